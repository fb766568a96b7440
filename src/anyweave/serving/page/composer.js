// The foot of the page: what is said next, and what the answer may be.

import { h, icon, iconButton, notice } from "./dom.js";
import { recordSound, useCamera } from "./capture.js";
import { Draft } from "./draft.js";
import { about } from "./media.js";

const ANSWERS = [
  ["", "Anything", "weave"],
  ["text", "Text", "text"],
  ["image", "Picture", "image"],
  ["audio", "Sound", "audio"],
  ["video", "Clip", "video"],
];

/** Fills the form. `onsend(parts)` and `onstop()`; `onoptions()` opens the options. */
export class Composer {
  constructor(form, { onsend, onstop, onoptions }) {
    Object.assign(this, { form, onsend, onstop });
    this.draft = new Draft({
      id: "words",
      label: "Message",
      placeholder: "Say it, show it, play it",
      onsubmit: () => this.busy || this.#submit(), // Enter stops nothing
      onchange: () => this.#enable(),
    });
    this.files = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      id: "files",
      onchange: () => {
        this.draft.attach([...this.files.files]);
        this.files.value = "";
        this.draft.focus();
      },
    });
    this.send = h("button", { type: "submit", class: "send", "aria-label": "Send" }, icon("send"));
    this.mic = iconButton("mic", "Record a sound", () => this.#record());
    const attach = (made) => made && this.draft.attach([made]);
    form.append(
      this.draft.element,
      this.files,
      h(
        "div",
        { class: "tools" },
        iconButton("plus", "Attach pictures, sounds or clips", () => this.files.click()),
        this.mic,
        iconButton("camera", "Use the camera", () => useCamera().then(attach).catch(told)),
        (this.answers = answers()),
        iconButton("sliders", "Options of the reply", onoptions, { id: "open-options" }),
        this.send,
      ),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.busy && !document.querySelector("dialog[open]")) onstop();
    });
    this.#drops();
    this.#enable();
  }

  /** Which medium the answer shall be, or "" for whatever the model chooses. */
  get only() {
    return new FormData(this.form).get("only") ?? "";
  }

  /** Further kinds that an answer may be. */
  offer(kinds) {
    const there = new Set([...this.answers.querySelectorAll("input")].map(({ value }) => value));
    for (const kind of kinds.filter((one) => !there.has(one))) {
      const { name } = about(kind);
      this.answers.append(answer([kind, name[0].toUpperCase() + name.slice(1), "file"]));
    }
  }

  get busy() {
    return this.form.dataset.busy === "true";
  }

  set busy(busy) {
    this.form.dataset.busy = busy;
    this.send.setAttribute("aria-label", busy ? "Stop" : "Send");
    this.send.title = busy ? "Stop (Esc)" : "Send (Enter)";
    this.send.replaceChildren(icon(busy ? "stop" : "send"));
    this.#enable();
  }

  #submit() {
    if (this.busy) return this.onstop();
    if (this.draft.empty) return undefined;
    notice("");
    const { parts } = this.draft;
    this.draft.parts = [];
    return this.onsend(parts);
  }

  #enable() {
    this.send.disabled = !this.busy && this.draft.empty;
  }

  async #record() {
    try {
      const sound = await recordSound(this.mic);
      if (sound) this.draft.attach([sound]);
    } catch (error) {
      told(error);
    }
  }

  /** Files may be dropped anywhere on the page. */
  #drops() {
    const root = document.documentElement;
    const withFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!withFiles(event)) return;
      event.preventDefault();
      root.dataset.dropping = "";
    });
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) delete root.dataset.dropping;
    });
    addEventListener("drop", (event) => {
      delete root.dataset.dropping;
      if (!withFiles(event)) return;
      event.preventDefault();
      this.draft.attach([...event.dataTransfer.files]);
      this.draft.focus();
    });
  }
}

function answers() {
  return h(
    "fieldset",
    { class: "only" },
    h("legend", { class: "unseen" }, "Answer with"),
    ...ANSWERS.map(answer),
  );
}

function answer([value, label, shape]) {
  return h(
    "label",
    { title: value ? `Only ${label.toLowerCase()}` : "The model decides" },
    h("input", { type: "radio", name: "only", value, checked: value === "" }),
    h("span", {}, icon(shape), h("span", { class: "only-label" }, label)),
  );
}

function told(error) {
  notice(error.message);
}
