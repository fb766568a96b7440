// Things to try: kinds of conversion in the figures 12 to 19 of the paper. Beside the media of `to`
// there are always words.

import { h, icon, notice } from "./dom.js";

const EXAMPLES = [
  { from: ["text"], to: ["image"], say: "Show me a picture of three foxes under a blue sky." },
  { from: ["text"], to: ["image", "audio"], say: "Show me a bee on a beach and let me hear it." },
  { from: ["text"], to: ["video"], say: "Make a clip of a rocket rising at night." },
  { from: ["image", "text"], to: ["audio"], say: "Let me hear it.", file: "sheep.png" },
  { from: ["image", "text"], to: ["video"], say: "Now a clip of it.", file: "sheep.png" },
  { from: ["audio", "text"], to: ["image"], say: "Show me a picture of that.", file: "piano.flac" },
  { from: ["video", "text"], to: [], say: "What happens in this clip?", file: "duck.mp4" },
  { from: ["video", "text"], to: ["image"], say: "Draw it as a picture.", file: "duck.mp4" },
  {
    from: ["text"],
    to: ["image", "video"],
    say: "Show me a picture of a duck and a clip of it rising.",
  },
];
const NAMES = { text: "words", image: "picture", audio: "sound", video: "clip" };
const TYPES = { png: "image/png", flac: "audio/flac", mp4: "video/mp4" };

/** The first screen, in `section`. A click says the example: `onpick(parts)`. */
export function welcome(section, onpick) {
  section.append(
    h("h1", { id: "welcome-title" }, "Say it in words, pictures, sounds or clips."),
    h(
      "p",
      { class: "lead" },
      "The answer comes the same way. Drop something in, record it, or " +
        "begin with one of these.",
    ),
    h(
      "ul",
      { class: "examples", "aria-label": "Examples" },
      ...EXAMPLES.map((example) => h("li", {}, card(example, onpick))),
    ),
  );
}

function card(example, onpick) {
  return h(
    "button",
    {
      type: "button",
      class: "example",
      onclick: () => said(example).then(onpick, (error) => notice(error.message)),
    },
    h(
      "span",
      { class: "example-kinds" },
      ...kinds(example.from),
      h("span", { class: "arrow" }, "→"),
      h("span", { class: "unseen" }, " to "),
      ...kinds(["text", ...example.to]),
    ),
    h("span", { class: "example-words" }, example.say),
    thumbnail(example.file),
  );
}

const kinds = (names) =>
  names.map((name) =>
    h(
      "span",
      { class: "kind", title: NAMES[name] },
      icon(name),
      h("span", { class: "unseen" }, `${NAMES[name]} `),
    ),
  );

function thumbnail(file) {
  if (!file) return null;
  const kind = TYPES[file.split(".")[1]].split("/")[0];
  if (kind === "image")
    return h("img", { class: "example-thumb", src: `page/examples/${file}`, alt: "" });
  if (kind === "audio") return h("span", { class: "example-thumb" }, icon("audio"));
  const film = h("video", {
    class: "example-thumb",
    src: `page/examples/${file}`,
    preload: "auto",
    tabindex: -1,
    "aria-hidden": "true",
  });
  film.muted = true;
  return film;
}

async function said({ say, file }) {
  const words = { kind: "text", text: say };
  if (!file) return [words];
  const answer = await fetch(`page/examples/${file}`);
  if (!answer.ok) throw new Error(`The example's file is not there: ${file}`);
  const type = TYPES[file.split(".")[1]];
  const blob = new Blob([await answer.arrayBuffer()], { type });
  return [{ kind: type.split("/")[0], blob, name: file }, words];
}
