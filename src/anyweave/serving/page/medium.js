// One medium in a message: in the making with its progress, then picture, player or clip.

import { h, icon, iconButton } from "./dom.js";
import { about, addressOf, download, fileName } from "./media.js";
import { soundPlayer } from "./sound.js";

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** A view of `part` with `update(part)`: call it when the part has changed. */
export function mediumView(part) {
  const figure = h("figure", { class: `medium ${part.kind}` });
  let shown = null;
  const update = (now) => {
    const state = now.blob ? "done" : now.lost ? "lost" : "making";
    if (state !== shown) {
      figure.replaceChildren(...{ done, lost, making }[state](now));
      figure.dataset.state = shown = state;
    }
    if (state === "making") advance(figure, now);
  };
  update(part);
  return { element: figure, update };
}

function done(part) {
  const label = part.caption || part.name || `a ${about(part.kind).name}`;
  const frame = h("div", { class: "medium-frame" }, (SHOWN[part.kind] ?? savedFile)(part.blob, label, part));
  if (part.name) return [frame]; // a file of one's own needs no caption and no saving
  return [
    frame,
    h(
      "figcaption",
      {},
      h("span", { class: "medium-caption" }, part.caption ?? ""),
      iconButton("save", `Save ${about(part.kind).name}: ${label}`, () =>
        download(part.blob, fileName(part)),
      ),
    ),
  ];
}

const SHOWN = {
  image: (blob, label, part) =>
    h(
      "button",
      {
        type: "button",
        class: "medium-open",
        "aria-label": `Enlarge: ${label}`,
        onclick: () => enlarge(blob, label),
      },
      h("img", {
        src: addressOf(blob),
        alt: label,
        onload: ({ target }) => sized(target, target.naturalWidth),
        onerror: ({ target }) => unshown(target, blob, label, part),
      }),
    ),
  audio: soundPlayer,
  video: clip,
};

/** What the page cannot show is a link that saves it. */
function savedFile(blob, label, part) {
  const name = part.name || fileName(part);
  return h("a", { class: "medium-file", href: addressOf(blob), download: name }, icon("file"), name);
}

/** Not every browser reads every format: Firefox needs the system's codecs for clips. */
function unshown(target, blob, label, part) {
  target.closest(".medium-frame")?.replaceChildren(
    h("p", { class: "medium-unshown" }, `This browser cannot show this ${about(part.kind).name}.`),
    savedFile(blob, label, part),
  );
}

function clip(blob, label, part) {
  const film = h("video", {
    src: addressOf(blob),
    controls: true,
    loop: true,
    playsinline: true,
    preload: "auto",
    "aria-label": label,
    onloadedmetadata: ({ target }) => sized(target, target.videoWidth),
    onerror: ({ target }) => unshown(target, blob, label, part),
  });
  film.muted = true; // an attribute set by a script does not mute
  if (calm.matches) return film;
  film.autoplay = true;
  // It plays by itself, and its controls would cover a small one: they come when they are wanted.
  film.tabIndex = 0;
  film.controls = false;
  for (const event of ["pointerenter", "focus"])
    film.addEventListener(event, () => {
      film.controls = true;
    });
  for (const event of ["pointerleave", "blur"])
    film.addEventListener(event, () => {
      film.controls = false;
    });
  return film;
}

/** A few pixels are shown small: large, they are a blur. */
function sized(shown, width) {
  shown.closest(".medium")?.classList.toggle("tiny", width <= 128);
}

function making(part) {
  const { name, making: verb } = about(part.kind);
  return [
    h(
      "div",
      { class: "medium-frame weaving" },
      h("img", { class: "preview", alt: "", hidden: true }),
      h("div", { class: "weave", "aria-hidden": "true" }),
      h("progress", { "aria-label": `${verb} a ${name}` }),
    ),
    h(
      "figcaption",
      {},
      h("span", { class: "medium-caption" }, part.caption || `${verb} a ${name}`),
      h("span", { class: "medium-steps" }),
    ),
  ];
}

function advance(figure, part) {
  const { step = 0, total = 0, preview } = part;
  if (preview) {
    const image = figure.querySelector(".preview");
    const before = image.src;
    Object.assign(image, { src: addressOf(preview), hidden: false });
    if (before !== image.src) URL.revokeObjectURL(before);
  }
  if (total) {
    Object.assign(figure.querySelector("progress"), { max: total, value: step });
    figure.querySelector(".medium-steps").textContent = `${step} of ${total}`;
    figure.style.setProperty("--done", `${(step / total) * 100}%`);
  }
}

function lost(part) {
  return [
    h("div", { class: "medium-frame lost" }, `No ${about(part.kind).name}: ${part.lost}`),
    h("figcaption", {}, h("span", { class: "medium-caption" }, part.caption ?? "")),
  ];
}

function enlarge(blob, label) {
  const box = h(
    "dialog",
    {
      class: "lightbox",
      "aria-label": label,
      onclose: () => box.remove(),
      onclick: () => box.close(),
    },
    h("img", { src: addressOf(blob), alt: label }),
    h("p", {}, label),
    iconButton("close", "Close", () => box.close()),
  );
  document.body.append(box);
  box.showModal();
}
