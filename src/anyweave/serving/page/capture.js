// Microphone and camera: what they give is a file like any other.

import { announce, h, icon } from "./dom.js";

async function stream(wanted, name) {
  if (!navigator.mediaDevices) {
    throw new Error(`The ${name} can be used on https pages and on localhost alone.`);
  }
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    throw new Error(`The ${name} cannot be used: ${REASONS[error.name] ?? error.message}.`);
  }
}

const REASONS = {
  NotAllowedError: "the browser was not allowed to",
  NotFoundError: "there is none",
  NotReadableError: "another program holds it",
};

function close(tracks) {
  tracks.getTracks().forEach((track) => track.stop());
}

/** A recorder of `tracks` and the promise of its file. */
function recorder(tracks, stem) {
  const machine = new MediaRecorder(tracks);
  const pieces = [];
  machine.ondataavailable = (event) => pieces.push(event.data);
  const file = new Promise((resolve) => {
    machine.onstop = () => {
      const type = machine.mimeType.split(";")[0];
      resolve(new File(pieces, `${stem}.${type.split("/")[1]}`, { type }));
    };
  });
  machine.start();
  return { machine, file };
}

let recording = null;

/** Begin to record; called again, end: the first call's promise then gives the file. */
export async function recordSound(button) {
  if (recording) {
    recording.machine?.stop();
    return null;
  }
  recording = {}; // while permission is asked for: a second click must not begin another one
  let tracks = null;
  try {
    tracks = await stream({ audio: true }, "microphone");
    recording = recorder(tracks, "recording");
  } catch (error) {
    recording = null;
    if (tracks) close(tracks);
    throw error;
  }
  const label = button.getAttribute("aria-label");
  const clock = h("span", { class: "recording-time" }, "0 s");
  const begun = performance.now();
  const ticking = setInterval(() => {
    clock.textContent = `${Math.round((performance.now() - begun) / 1000)} s`;
  }, 250);
  button.setAttribute("aria-label", "End the recording");
  button.classList.add("recording");
  button.append(clock);
  announce("Recording");
  const sound = await recording.file;
  clearInterval(ticking);
  clock.remove();
  button.classList.remove("recording");
  button.setAttribute("aria-label", label);
  close(tracks);
  recording = null;
  return sound;
}

/** A window with the camera's picture; gives a picture, a clip or null. */
export async function useCamera() {
  const tracks = await stream({ video: { facingMode: "environment" } }, "camera");
  const view = h("video", { autoplay: true, playsinline: true, "aria-label": "Camera" });
  view.muted = true;
  view.srcObject = tracks;
  let running = null;
  return new Promise((resolve) => {
    const shutter = h(
      "button",
      { type: "button", class: "button primary", disabled: true, onclick: shoot },
      icon("camera"),
      "Take a picture",
    );
    view.addEventListener("loadeddata", () => (shutter.disabled = false));
    const box = h(
      "dialog",
      {
        class: "dialog camera",
        "aria-label": "Camera",
        onclose: () => {
          close(tracks);
          box.remove();
          resolve(null);
        },
      },
      view,
      h(
        "p",
        { class: "dialog-buttons" },
        h("button", { type: "button", class: "button", onclick: () => box.close() }, "Cancel"),
        h(
          "button",
          { type: "button", class: "button", onclick: film },
          icon("video"),
          "Record a clip",
        ),
        shutter,
      ),
    );

    async function film(event) {
      const button = event.currentTarget;
      if (running) return running.machine.stop();
      running = recorder(tracks, "clip");
      button.replaceChildren(icon("stop"), "End the clip");
      button.classList.add("recording");
      resolve(await running.file);
      return box.close();
    }

    function shoot() {
      const canvas = h("canvas", { width: view.videoWidth, height: view.videoHeight });
      canvas.getContext("2d").drawImage(view, 0, 0);
      canvas.toBlob(
        (blob) => {
          resolve(new File([blob], "photo.jpg", { type: "image/jpeg" }));
          box.close();
        },
        "image/jpeg",
        0.92,
      );
    }

    document.body.append(box);
    box.showModal();
  });
}
