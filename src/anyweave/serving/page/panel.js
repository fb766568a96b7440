// What happened inside a reply: what was spoken, which parts worked, how long each took.

import { h, iconButton } from "./dom.js";

const NAMES = { text: "text", image: "picture", audio: "sound", video: "clip" };
// As in Figure 7 of the paper, in the order in which a message passes them.
const STATIONS = {
  encoder: ["Encoders", "see and hear"],
  input_projector: ["Input projectors", "translate in"],
  language_model: ["Language model", "reads and speaks"],
  output_projector: ["Output projectors", "translate out"],
  decoder: ["Decoders", "draw, sound, film"],
};

/** A closed panel under a reply, or null where the server told nothing. */
export function panel(message, acts) {
  const { told } = message;
  if (!told) return null;
  const timed = told.parts.filter((part) => part.seconds > 0);
  const total = timed.reduce((sum, part) => sum + part.seconds, 0);
  const count = message.usage?.completion_tokens;
  const facts = [`${total.toFixed(1)} s`, count && `${count} token${count === 1 ? "" : "s"}`];
  return h(
    "details",
    { class: "panel" },
    h(
      "summary",
      {},
      h("span", {}, "What happened"),
      h("span", { class: "faint" }, facts.filter(Boolean).join(" · ")),
    ),
    h(
      "div",
      { class: "panel-body" },
      described(message.usage?.described),
      found(told.retrieved),
      spoken(message, told.signals),
      parts(told.parts),
      times(timed, told.waited_seconds),
      seed(told.seed, acts),
    ),
  );
}

/** The words that stood in the prompt for media, where captioners read them. */
function described(media) {
  return listed(
    "What captioners read",
    "The language model was given these words, and not the media themselves.",
    media?.map(({ modality, words }) => `${NAMES[modality] ?? modality}: ${words}`),
  );
}

/** Where media come from that were found in the server's index, not made. */
function found(media) {
  return listed(
    "What was found, not made",
    "These come from the owner's own collection.",
    media?.map(({ source, licence }) => [source, licence].filter(Boolean).join(", ")),
  );
}

/** A section of lines of text, or null where there are none. */
function listed(title, about, lines) {
  if (!lines?.length) return null;
  return section(
    title,
    about,
    h(
      "ul",
      {},
      lines.map((line) => h("li", { dir: "auto" }, line)),
    ),
  );
}

/** The reply as the language model spoke it: words, and runs of signal tokens in their places. */
function spoken(message, signals) {
  if (!signals.length) return null;
  const runs = new Map(signals.map((run) => [run.part_id, run]));
  return section(
    "What the model said",
    "Signal tokens stand where they were spoken; each run tells one decoder what to make.",
    h(
      "p",
      { class: "spoken", dir: "auto" },
      message.parts.map((part) =>
        part.kind === "text" ? part.text.trim() && ` ${part.text.trim()} ` : run(runs.get(part.id)),
      ),
    ),
  );
}

function run(signal) {
  if (!signal) return null;
  return h(
    "span",
    { class: "signals" },
    signal.tokens.map((token) => h("code", {}, token)),
    signal.forced && h("span", { class: "faint" }, "asked for by you"),
  );
}

/** The path of this reply through the parts, the idle ones asleep. */
function parts(told) {
  const columns = Object.entries(STATIONS).map(([role, [title, what]]) => {
    const units = told.filter(({ part }) => part.split(":")[0] === role);
    return (
      units.length &&
      h(
        "div",
        { class: "flow-column", role: "listitem" },
        h("h4", {}, title, h("small", {}, what)),
        h("ul", {}, units.map(unit)),
      )
    );
  });
  return section(
    "Which parts worked",
    "The others were asleep.",
    h("div", { class: "flow", role: "list" }, columns),
  );
}

function unit({ part, active }) {
  const name = part.split(":")[1] ?? "text";
  return h(
    "li",
    { class: active ? "unit active" : "unit asleep" },
    NAMES[name] ?? name,
    h("span", { class: "unseen" }, active ? ", active" : ", asleep"),
  );
}

function times(timed, waited) {
  const rows = timed.map(({ part, seconds }) => {
    const [role, kind] = part.split(":");
    return [role === "language_model" ? "words" : (NAMES[kind] ?? part), seconds];
  });
  if (waited >= 0.05) rows.unshift(["in the queue", waited]);
  if (!rows.length) return null;
  const longest = Math.max(...rows.map(([, seconds]) => seconds));
  return section(
    "How long it took",
    "",
    h(
      "dl",
      { class: "times" },
      rows
        .map(([name, seconds]) => {
          const bar = h("span", { class: "bar-fill" });
          bar.style.setProperty("--share", `${(seconds / longest) * 100}%`);
          return [
            h("dt", {}, name),
            h("dd", {}, bar, h("span", { class: "number" }, `${seconds.toFixed(2)} s`)),
          ];
        })
        .flat(),
    ),
  );
}

function seed(number, acts) {
  return h(
    "p",
    { class: "seed faint" },
    `Seed ${number}`,
    iconButton("pin", `Keep seed ${number} for the next replies`, () => acts.keepSeed(number)),
  );
}

function section(title, about, content) {
  return h("section", {}, h("h3", {}, title, about && h("small", {}, about)), content);
}
