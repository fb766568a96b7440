// The list of messages of the conversation that is shown.

import { h } from "./dom.js";
import { messageView } from "./message.js";

/** The list in `turns`, which scrolls within `scroll`. See main.js for `acts`. */
export class Chat {
  #views = new Map();

  constructor(turns, scroll, acts) {
    Object.assign(this, { turns, scroll, acts });
    this.following = true;
    scroll.addEventListener(
      "scroll",
      () => {
        this.following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
      },
      { passive: true },
    );
    // Media get their height when they are read, long after they were put here.
    new ResizeObserver(() => this.#follow()).observe(turns);
  }

  /** Show the picked messages of `conversation`. */
  show(conversation) {
    const path = conversation.path();
    const views = path.map(
      (message) => this.#views.get(message.id) ?? messageView(message, conversation, this.acts),
    );
    this.#views = new Map(path.map((message, place) => [message.id, views[place]]));
    const elements = views.map((view) => view.element);
    for (const child of [...this.turns.children]) if (!elements.includes(child)) child.remove();
    elements.forEach((element, place) => {
      if (this.turns.children[place] !== element) {
        this.turns.insertBefore(element, this.turns.children[place] ?? null);
      }
    });
    views.forEach((view) => view.update());
  }

  /** Forget all views: another conversation comes. */
  clear() {
    this.#views.clear();
    this.turns.replaceChildren();
    this.scroll.scrollTop = 0;
  }

  /** Go on from here by keyboard: what had the focus is no longer shown. */
  focus(message) {
    this.#views.get(message.id)?.element.focus();
  }

  update(message) {
    this.#views.get(message.id)?.update();
  }

  /** Go to the end and stay there while it grows. */
  toEnd() {
    this.following = true;
    this.#follow();
  }

  /** Put a form in the place of a message until it is answered; resolves to its parts or null. */
  replaceWhile(message, editor) {
    const view = this.#views.get(message.id);
    const { element } = view;
    view.element = h("li", { class: "message user editing" }, editor.element);
    element.replaceWith(view.element);
    editor.focus();
    return editor.answer.finally(() => {
      view.element.replaceWith(element);
      view.element = element;
      element.focus();
    });
  }

  #follow() {
    if (this.following && this.turns.children.length)
      this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}
