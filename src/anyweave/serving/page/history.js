// The list of kept conversations beside the chat; on a phone it slides in.

import { confirmed, h, iconButton } from "./dom.js";

/** The list within `aside`. `acts`: `open(id)`, `fresh()`, `remove(id)`, `take(id)` to export. */
export class History {
  constructor(aside, acts) {
    this.aside = aside;
    this.acts = acts;
    this.list = h("ul", { class: "history-list" });
    this.empty = h(
      "p",
      { class: "faint history-empty" },
      "Conversations are kept in this browser and nowhere else.",
    );
    aside.append(
      h(
        "div",
        { class: "history-top" },
        h(
          "button",
          { type: "button", class: "button new", onclick: () => this.#then(acts.fresh) },
          "New conversation",
        ),
        iconButton("close", "Close the list", () => this.toggle(false), {
          class: "icon-button only-narrow",
        }),
      ),
      h("nav", { "aria-label": "Kept conversations" }, this.list, this.empty),
    );
    aside.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.open) this.toggle(false);
    });
    document.addEventListener("click", (event) => {
      if (
        this.open &&
        !aside.contains(event.target) &&
        !event.target.closest("[aria-controls]") &&
        !event.target.closest("dialog")
      )
        this.toggle(false);
    });
  }

  get open() {
    return this.aside.classList.contains("open");
  }

  /** Slide in or out, on screens too narrow for both. */
  toggle(open = !this.open) {
    this.aside.classList.toggle("open", open);
    const opener = document.querySelector("[aria-controls=history]");
    opener.setAttribute("aria-expanded", open);
    (open ? this.aside.querySelector("button") : opener).focus();
  }

  /** Show these records; `current` is the id of the one that is open. */
  show(records, current) {
    this.empty.hidden = records.length > 0;
    const held = this.#held();
    this.list.replaceChildren(
      ...records.map((record) =>
        h(
          "li",
          { "data-id": record.id, class: record.id === current ? "current" : "" },
          h(
            "button",
            {
              type: "button",
              class: "history-open",
              "aria-current": record.id === current ? "page" : null,
              onclick: () => this.#then(() => this.acts.open(record.id)),
            },
            h("span", { class: "history-title" }, record.title),
            h(
              "time",
              { class: "faint", datetime: new Date(record.updated).toISOString() },
              when(record.updated),
            ),
          ),
          h(
            "span",
            { class: "history-acts" },
            iconButton("save", `Export: ${record.title}`, () => this.acts.take(record.id)),
            iconButton("bin", `Delete: ${record.title}`, async () => {
              if (await confirmed(`Delete “${record.title}”?`, "Delete"))
                this.acts.remove(record.id);
            }),
          ),
        ),
      ),
    );
    if (held) this.list.querySelectorAll(`[data-id="${held.id}"] button`)[held.place]?.focus();
  }

  /** Which button of which conversation has the focus, if one has. */
  #held() {
    const row = document.activeElement.closest(".history-list li");
    if (!row) return null;
    return {
      id: row.dataset.id,
      place: [...row.querySelectorAll("button")].indexOf(document.activeElement),
    };
  }

  #then(act) {
    if (this.open) this.toggle(false);
    return act();
  }
}

function when(moment) {
  const date = new Date(moment);
  const today = new Date().toDateString() === date.toDateString();
  return date.toLocaleString(
    [],
    today ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" },
  );
}
