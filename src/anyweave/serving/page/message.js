// One message in the list: its parts in order, and what can be done with it.

import { announce, h, icon, iconButton, notice } from "./dom.js";
import { mediumView } from "./medium.js";
import { panel } from "./panel.js";

/** A view with `element` and `update()`. `acts` are what its buttons do, see chat.js. */
export function messageView(message, conversation, acts) {
  const body = h("div", { class: "message-body" });
  const foot = h("div", { class: "message-foot" });
  const element = h(
    "li",
    { class: `message ${message.role}`, "data-id": message.id, tabindex: -1 },
    h("h2", { class: "unseen" }, message.role === "user" ? "You" : "Reply"),
    body,
    foot,
  );
  const views = [];
  let said = null;

  const update = () => {
    message.parts.forEach((part, place) => {
      if (views[place]?.kind !== part.kind) {
        const view = { kind: part.kind, ...(part.kind === "text" ? textView() : mediumView(part)) };
        if (views[place]) views[place].element.replaceWith(view.element);
        else body.append(view.element);
        views[place] = view;
      }
      views[place].update(part);
    });
    while (views.length > message.parts.length) views.pop().element.remove();
    element.dataset.state = message.state;
    body.setAttribute("aria-busy", message.state === "streaming");
    // Made anew only when it says something else: whoever has opened or focused it stays there.
    const all = conversation.siblings(message);
    const says = [message.state, message.waiting, doing(message), all.indexOf(message), all.length];
    if (String(says) !== said) foot.replaceChildren(...footOf(message, conversation, acts));
    said = String(says);
  };
  update();
  return { element, update };
}

function textView() {
  const element = h("p", { class: "words", dir: "auto" });
  const update = (part) => {
    element.textContent = part.text.trim();
    element.hidden = !element.textContent;
  };
  return { element, update };
}

function doing({ parts }) {
  return parts.some((part) => part.kind !== "text" && !part.blob) ? "Making" : "Thinking";
}

function footOf(message, conversation, acts) {
  if (message.state === "streaming") {
    return [h("p", { class: "faint thinking" }, message.waiting || doing(message))];
  }
  const rows = [];
  if (message.error) rows.push(h("p", { class: "trouble" }, message.error));
  if (message.state === "stopped") rows.push(h("p", { class: "faint" }, "Stopped here."));
  if (message.finish === "length") {
    rows.push(h("p", { class: "faint" }, "Cut off: the reply reached the limit of its length."));
  }
  const dropped = (message.dropped?.exchanges ?? 0) + (message.left ?? 0);
  if (dropped) {
    rows.push(
      h(
        "p",
        { class: "faint" },
        "The conversation is longer than the model's memory: " +
          `${dropped} earlier ${dropped === 1 ? "exchange was" : "exchanges were"} left out.`,
      ),
    );
  }
  const mine = message.role === "user";
  const words = message.parts.filter((part) => part.kind === "text").map((part) => part.text);
  rows.push(
    h(
      "div",
      { class: "acts" },
      versions(message, conversation, acts),
      mine
        ? iconButton("edit", "Edit and send again", () => acts.edit(message))
        : iconButton("again", "Ask again", () => acts.again(message)),
      words.join("").trim() &&
        iconButton("copy", "Copy the words", () => copy(words.join("\n").trim())),
    ),
  );
  const told = mine ? null : panel(message, acts);
  if (told) rows.push(told);
  return rows;
}

async function copy(words) {
  try {
    await navigator.clipboard.writeText(words);
    announce("Copied");
  } catch {
    notice("The browser does not let this page copy; it does on https pages and on localhost.");
  }
}

/** Which of the versions of a message this is, with buttons to the others. */
function versions(message, conversation, acts) {
  const all = conversation.siblings(message);
  if (all.length < 2) return null;
  const place = all.indexOf(message);
  const step = (by, label, shape) =>
    h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": label,
        title: label,
        disabled: !all[place + by],
        onclick: () => acts.pick(all[place + by]),
      },
      icon(shape),
    );
  return h(
    "div",
    { class: "versions", role: "group", "aria-label": "Versions" },
    step(-1, "Earlier version", "left"),
    h("span", {}, `${place + 1} / ${all.length}`),
    step(1, "Later version", "right"),
  );
}
