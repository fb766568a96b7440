// What a person is about to say: media and words, in a form of its own. The field at the foot of
// the page is one; a message that is edited is another.

import { announce, h, icon, iconButton, notice } from "./dom.js";
import { addressOf, about, kindOf } from "./media.js";

/** A text field above a row of attachments. `onsubmit` is called for Enter. */
export class Draft {
  #media = [];

  constructor({ label, placeholder = "", id, onsubmit, onchange = () => {} }) {
    this.words = h("textarea", {
      id,
      class: "words-field",
      rows: 1,
      placeholder,
      "aria-label": label,
      "aria-keyshortcuts": "Enter",
      enterkeyhint: "send",
      dir: "auto",
    });
    this.list = h("ul", { class: "attachments", "aria-label": "Attached media", hidden: true });
    this.element = h("div", { class: "draft" }, this.list, this.words);
    this.onchange = onchange;
    this.words.addEventListener("input", () => this.#grow());
    this.words.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      onsubmit();
    });
    this.words.addEventListener("paste", (event) => {
      const files = [...event.clipboardData.files];
      if (!files.length) return;
      event.preventDefault();
      this.attach(files);
    });
  }

  /** The parts of the message: media first, then the words. */
  get parts() {
    const text = this.words.value.trim();
    return [...this.#media, ...(text ? [{ kind: "text", text }] : [])];
  }

  set parts(parts) {
    this.#media = parts.filter((part) => part.kind !== "text");
    this.words.value = parts
      .filter((part) => part.kind === "text")
      .map((part) => part.text)
      .join("\n");
    this.#show();
  }

  get empty() {
    return !this.#media.length && !this.words.value.trim();
  }

  /** Add files; what the model cannot read is named and left out. */
  attach(files) {
    const strange = files.filter((file) => !kindOf(file)).map((file) => file.name);
    notice(strange.length ? `Not a picture, sound or clip: ${strange.join(", ")}` : "");
    for (const file of files) {
      const kind = kindOf(file);
      if (!kind) continue;
      this.#media.push({ kind, blob: file, name: file.name });
      announce(`Attached a ${about(kind).name}: ${file.name}`);
    }
    this.#show();
  }

  focus() {
    this.words.focus();
  }

  /** As many lines as there are, where the style sheet alone does not see to it. */
  #grow() {
    if (!CSS.supports("field-sizing", "content")) {
      this.words.rows = Math.min(8, this.words.value.split("\n").length);
    }
    this.onchange();
  }

  #show() {
    this.list.hidden = !this.#media.length;
    this.list.replaceChildren(
      ...this.#media.map((part) =>
        h(
          "li",
          { class: "attachment" },
          thumbnail(part),
          iconButton("close", `Remove ${part.name}`, () => {
            this.#media = this.#media.filter((other) => other !== part);
            this.#show();
            this.focus();
          }),
        ),
      ),
    );
    this.#grow();
  }
}

function thumbnail(part) {
  if (part.kind === "image") return h("img", { src: addressOf(part.blob), alt: part.name });
  if (part.kind !== "video") {
    const shape = part.kind === "audio" ? "audio" : "file";
    return h("span", { class: "attachment-sound" }, icon(shape), h("span", {}, part.name));
  }
  const film = h("video", { src: addressOf(part.blob), "aria-label": part.name, preload: "auto" });
  film.muted = true;
  return film;
}

/** A form in which `parts` are edited: `element`, `focus`, and `answer`, the new parts or null. */
export function editor(parts) {
  let answered;
  const answer = new Promise((resolve) => {
    answered = resolve;
  });
  const draft = new Draft({
    label: "Edit your message",
    onsubmit: () => {
      if (!draft.empty) answered(draft.parts);
    },
  });
  draft.parts = parts;
  const element = h(
    "form",
    {
      class: "composer edit",
      "aria-label": "Edit your message",
      onsubmit: (event) => {
        event.preventDefault();
        if (!draft.empty) answered(draft.parts);
      },
      onkeydown: (event) => {
        if (event.key === "Escape") {
          event.stopPropagation();
          answered(null);
        }
      },
    },
    draft.element,
    h(
      "div",
      { class: "dialog-buttons" },
      h("button", { type: "button", class: "button", onclick: () => answered(null) }, "Cancel"),
      h("button", { class: "button primary" }, "Send again"),
    ),
  );
  return { element, answer, focus: () => draft.focus() };
}
