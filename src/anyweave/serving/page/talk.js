// What happens when something is said: the conversation, the request, the reply as it comes.

import { chat as ask } from "./api.js";
import { Conversation } from "./conversation.js";
import { announce, notice } from "./dom.js";
import { editor } from "./draft.js";
import { download, about } from "./media.js";
import { options } from "./options.js";
import { applied, broken, markLost, words } from "./reply.js";
import * as store from "./store.js";
import { exported, known, request } from "./wire.js";

export class Talk {
  #running = new Map(); // conversation id -> { conversation, message, stop }
  conversation = new Conversation();

  /** `view.shown()` is called when another conversation, or more of this one, is there to show. */
  constructor({ chat, composer, view }) {
    Object.assign(this, { chat, composer, view });
  }

  /** Say something at the end of the conversation. */
  send(parts) {
    return this.#say(this.conversation, this.conversation.path().at(-1) ?? null, parts);
  }

  /** Another reply to the same message; the earlier one stays. */
  again(message) {
    const user = this.conversation.messages.get(message.parent);
    return this.#busy(this.conversation) ? undefined : this.#answer(this.conversation, user);
  }

  /** Change what was said; what followed it stays with the earlier version. */
  async edit(message) {
    const { conversation } = this;
    let { parts } = message;
    if (this.#busy(conversation)) return undefined;
    do {
      parts = await this.chat.replaceWhile(message, editor(parts));
      if (!parts || conversation !== this.conversation) return undefined;
    } while (this.#busy(conversation)); // a reply began meanwhile: what was written stays
    return this.#say(conversation, conversation.messages.get(message.parent) ?? null, parts);
  }

  /** Show another version of a message. */
  async pick(message) {
    this.conversation.pick(message);
    this.chat.show(this.conversation);
    this.chat.focus(message);
    await this.#keep(this.conversation);
  }

  stop() {
    this.#running.get(this.conversation.id)?.stop();
  }

  /** Begin anew. A reply in the making goes on in its own conversation. */
  fresh() {
    this.#turnTo(new Conversation());
  }

  /** Show a kept conversation; false where there is none of this id. */
  async open(id) {
    const found = this.#running.get(id)?.conversation ?? (await store.load(id));
    if (!found) return false;
    if (!this.#running.has(id)) {
      [...found.messages.values()]
        .filter((message) => message.state === "streaming")
        .forEach(broken);
    }
    this.#turnTo(found);
    return true;
  }

  async remove(id) {
    this.#running.get(id)?.stop();
    this.#running.delete(id);
    await store.remove(id);
    if (this.conversation.id === id) this.fresh();
    else this.view.shown();
  }

  /** Delete every conversation; replies in the making are stopped. */
  async removeAll() {
    for (const { stop } of this.#running.values()) stop();
    this.#running.clear();
    await store.removeAll();
    this.fresh();
  }

  async take(id) {
    const found = this.#running.get(id)?.conversation ?? (await store.load(id));
    const name = found.title
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu)
      ?.slice(0, 6)
      .join("-");
    download(await exported(found), `${name || "conversation"}.json`);
  }

  #turnTo(conversation) {
    this.conversation = conversation;
    this.chat.clear();
    this.#show();
    this.chat.toEnd();
  }

  #show() {
    this.chat.show(this.conversation);
    this.composer.busy = this.#running.has(this.conversation.id);
    this.view.shown();
  }

  #busy(conversation) {
    const running = this.#running.has(conversation.id);
    if (running) notice("A reply is being made: wait for it, or stop it");
    return running;
  }

  #say(conversation, parent, parts) {
    if (this.#busy(conversation)) return undefined;
    return this.#answer(conversation, conversation.add(parent, "user", parts));
  }

  async #answer(conversation, user) {
    const { only } = this.composer;
    const message = conversation.add(user, "assistant", [], { state: "streaming" });
    const abort = new AbortController();
    this.#running.set(conversation.id, { conversation, message, stop: () => abort.abort() });
    this.#show();
    this.chat.toEnd();
    if (document.activeElement === document.body) this.chat.focus(message);
    announce("Thinking");
    await this.#keep(conversation, user, message); // so that a page that is closed now can say so
    try {
      const { messages, left } = known(conversation.before(message));
      message.left = left;
      const body = await request(messages, { only, asked: options.forRequest() });
      await this.#read(conversation, message, body, abort.signal);
      message.state = "done";
    } catch (error) {
      message.state = abort.signal.aborted ? "stopped" : "failed";
      if (message.state === "failed") message.error = error.message;
    }
    await this.#end(conversation, message);
  }

  async #read(conversation, message, body, signal) {
    const onWait = (seconds) => {
      message.waiting = `The server is busy: asking again in ${seconds} s`;
      this.chat.update(message);
    };
    for await (const chunk of ask(body, { signal, onWait })) {
      delete message.waiting;
      const made = await applied(message, chunk);
      this.chat.update(message);
      for (const part of made)
        announce(`A ${about(part.kind).name}: ${part.caption || "without a caption"}`);
      // Deleted meanwhile: keeping it would bring it back.
      if (made.length && this.#running.get(conversation.id)?.message === message)
        await this.#keep(conversation, message);
    }
  }

  async #end(conversation, message) {
    markLost(message, message.state === "done" ? "it never came" : "the reply ended before it");
    // Deleted meanwhile: nothing is kept, and nothing shown.
    if (this.#running.get(conversation.id)?.message !== message) return;
    this.#running.delete(conversation.id);
    conversation.updated = Date.now();
    await this.#keep(conversation, message);
    if (conversation === this.conversation) this.#show();
    announce(
      message.error ?? (message.state === "stopped" ? "Stopped" : `Reply: ${words(message)}`),
    );
  }

  async #keep(conversation, ...messages) {
    try {
      await store.save(conversation, ...messages);
    } catch (error) {
      notice(`This conversation is not kept: ${error.message}`);
    }
    this.view.shown();
  }
}
