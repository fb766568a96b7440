// How replies are made and what the page looks like; kept in this browser.

import { key } from "./api.js";
import { confirmed, h, iconButton } from "./dom.js";

const KEPT = "anyweave.options";

// Per option: label, hint, and the limits of its field.
const FIELDS = {
  seed: [
    "Seed",
    "Same seed and same words, same reply. Empty: a new one each time.",
    { min: 0, max: 2 ** 31 - 1, step: 1, placeholder: "new each time" },
  ],
  guidance_scale: [
    "Guidance",
    "How closely media follow what was meant. Empty: the model's own.",
    { min: 0, max: 30, step: 0.5, placeholder: "model's own" },
  ],
  num_inference_steps: [
    "Steps",
    "More is finer and slower.",
    { min: 1, max: 200, step: 1, placeholder: "model's own" },
  ],
  temperature: [
    "Temperature",
    "0 always says the likeliest word.",
    { min: 0, max: 2, step: 0.1, placeholder: "server's own" },
  ],
};

function read() {
  try {
    return JSON.parse(localStorage.getItem(KEPT)) ?? {};
  } catch {
    return {}; // written by hand, or by another version
  }
}

export const options = {
  /** What is sent with a request: the fields that are filled, and always a seed to tell. */
  forRequest() {
    const kept = read();
    const sent = Object.fromEntries(
      Object.keys(FIELDS)
        .filter((name) => Number.isFinite(kept[name]))
        .map((name) => [name, kept[name]]),
    );
    return { ...sent, seed: sent.seed ?? crypto.getRandomValues(new Uint32Array(1))[0] >>> 1 };
  },
  set(name, value) {
    localStorage.setItem(KEPT, JSON.stringify({ ...read(), [name]: value }));
    mark();
  },
};

/** Whether anything differs from what the model would do by itself shows on the button. */
export function mark() {
  const changed = Object.keys(FIELDS).some((name) => Number.isFinite(read()[name]));
  document.getElementById("open-options")?.classList.toggle("changed", changed);
}

/** The window with the options. `onclear` forgets the history, `onclose` comes at the end. */
export function openOptions({ onclear, onclose }) {
  const kept = read();
  const box = h(
    "dialog",
    {
      class: "dialog",
      "aria-labelledby": "options-title",
      onclose: () => {
        box.remove();
        onclose();
      },
    },
    h(
      "form",
      { method: "dialog" },
      h(
        "header",
        {},
        h("h2", { id: "options-title" }, "Options"),
        iconButton("close", "Close", () => box.close()),
      ),
      ...Object.entries(FIELDS).map(([name, [label, hint, limits]]) =>
        field(label, hint, {
          type: "number",
          inputmode: "decimal",
          name,
          value: kept[name],
          ...limits,
          oninput: ({ target }) =>
            target.validity.valid &&
            options.set(name, target.value === "" ? null : Number(target.value)),
        }),
      ),
      field("API key", "If the server asks for one. Kept until this tab is closed.", {
        type: "password",
        autocomplete: "off",
        value: key.get(),
        oninput: ({ target }) => key.set(target.value.trim()),
      }),
      h(
        "p",
        { class: "dialog-buttons" },
        h(
          "button",
          {
            type: "button",
            class: "button danger quiet",
            onclick: async () => {
              if (await confirmed("Delete all conversations from this browser?", "Delete all")) {
                await onclear();
                box.close();
              }
            },
          },
          "Delete all conversations",
        ),
        h("button", { class: "button primary" }, "Done"),
      ),
    ),
  );
  document.body.append(box);
  box.showModal();
}

function field(label, hint, props) {
  const id = `option-${label.toLowerCase().replace(/ /g, "-")}`;
  return h(
    "p",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { id, "aria-describedby": `${id}-hint`, ...props }),
    h("small", { id: `${id}-hint` }, hint),
  );
}
