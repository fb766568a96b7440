// Light, dark, or as the system says.

import { icon } from "./dom.js";

const KEPT = "anyweave.theme";
const NEXT = { auto: "light", light: "dark", dark: "auto" };
const LABELS = { auto: "as the system", light: "light", dark: "dark" };

/** Makes `button` step through the themes; the choice is kept. */
export function themeButton(button) {
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.replaceChildren(icon(theme));
    button.title = `Colours: ${LABELS[theme]}`;
    button.setAttribute("aria-label", button.title);
  };
  const kept = localStorage.getItem(KEPT);
  show(kept in NEXT ? kept : "auto");
  button.addEventListener("click", () => {
    const theme = NEXT[document.documentElement.dataset.theme];
    localStorage.setItem(KEPT, theme);
    show(theme);
  });
  return button;
}
