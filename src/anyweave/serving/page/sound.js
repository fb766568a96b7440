// A player for one sound: its waveform is its seek bar.

import { h, icon, svg } from "./dom.js";
import { addressOf } from "./media.js";

const BARS = 72;
const HEIGHT = 40;
let playing = null; // one sound at a time

/** The player; `label` says what is heard. */
export function soundPlayer(blob, label) {
  const audio = new Audio(addressOf(blob));
  const seek = h("input", {
    type: "range",
    class: "sound-seek",
    min: 0,
    max: 1000,
    value: 0,
    "aria-label": `Position in: ${label}`,
    disabled: true,
  });
  const time = h("span", { class: "sound-time" }, "0:00");
  const button = h(
    "button",
    { type: "button", class: "sound-play", "aria-label": `Play: ${label}` },
    icon("play"),
  );
  const wave = h("div", { class: "sound-wave" });
  const player = h(
    "div",
    { class: "sound", role: "group", "aria-label": label },
    button,
    h("div", { class: "sound-track" }, wave, seek),
    time,
  );
  let seconds = 0;

  const show = () => {
    const at = seconds ? Math.min(1, audio.currentTime / seconds) : 0;
    seek.value = String(Math.round(at * 1000));
    seek.setAttribute(
      "aria-valuetext",
      `${audio.currentTime.toFixed(1)} of ${seconds.toFixed(1)} s`,
    );
    wave.style.setProperty("--at", `${at * 100}%`);
    time.textContent = clock(audio.paused && !audio.currentTime ? seconds : audio.currentTime);
    if (!audio.paused) requestAnimationFrame(show);
  };
  const turned = () => {
    const on = !audio.paused;
    button.replaceChildren(icon(on ? "pause" : "play"));
    button.setAttribute("aria-label", `${on ? "Pause" : "Play"}: ${label}`);
    show();
  };
  button.addEventListener("click", () => {
    if (!audio.paused) return audio.pause();
    if (playing !== audio) playing?.pause();
    playing = audio;
    return audio.play();
  });
  seek.addEventListener("input", () => {
    audio.currentTime = (seek.value / 1000) * seconds;
    show();
  });
  for (const event of ["play", "pause"]) audio.addEventListener(event, turned);
  audio.addEventListener("ended", () => {
    audio.currentTime = 0;
    turned();
  });

  peaksOf(blob).then(
    (found) => {
      seconds = found.seconds;
      seek.disabled = false;
      wave.append(drawn(found.peaks, "sound-bars"), drawn(found.peaks, "sound-bars played"));
      show();
    },
    () => {
      // a sound this browser cannot read may still be saved
      time.textContent = "";
      button.disabled = true;
      wave.append(h("span", { class: "faint" }, "This browser cannot play it"));
    },
  );
  return player;
}

/** Length and loudness of a sound, `BARS` values of 0 to 1. */
async function peaksOf(blob) {
  const context = new OfflineAudioContext(1, 1, 44100); // decodes without a person's touch
  const sound = await context.decodeAudioData(await blob.arrayBuffer());
  const wave = sound.getChannelData(0);
  const step = wave.length / BARS;
  const peaks = Array.from({ length: BARS }, (_, bar) => {
    let power = 0;
    const end = Math.floor((bar + 1) * step);
    for (let at = Math.floor(bar * step); at < end; at++) power += wave[at] ** 2;
    return Math.sqrt(power / Math.max(1, step));
  });
  const loudest = Math.max(...peaks, 1e-6);
  return { seconds: sound.duration, peaks: peaks.map((peak) => peak / loudest) };
}

function drawn(peaks, kind) {
  const bars = peaks.map((peak, bar) => {
    const height = Math.max(2, peak * HEIGHT);
    return svg("rect", { x: bar * 4, y: (HEIGHT - height) / 2, width: 2.4, height, rx: 1.2 });
  });
  return svg(
    "svg",
    {
      viewBox: `0 0 ${BARS * 4 - 1.6} ${HEIGHT}`,
      preserveAspectRatio: "none",
      class: kind,
      "aria-hidden": "true",
    },
    ...bars,
  );
}

function clock(seconds) {
  return seconds < 10
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}
