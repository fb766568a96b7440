// A conversation as a tree of messages. Asking again and editing both add a sibling, so nothing
// that was said is lost; `picked` says which child of each message is shown.

const ROOT = "root";

/** An id that no other tab makes. */
export const newId = () =>
  [...crypto.getRandomValues(new Uint8Array(12))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");

export class Conversation {
  constructor(
    { id = newId(), title = "", created = Date.now(), updated = created, picked = {} } = {},
    messages = [],
  ) {
    Object.assign(this, { id, title, created, updated, picked });
    this.messages = new Map(messages.map((message) => [message.id, message]));
  }

  /** What is stored beside the messages. */
  get record() {
    const { id, title, created, updated, picked } = this;
    return { id, title, created, updated, picked };
  }

  /** The messages that are shown, first to last. */
  path() {
    const shown = [];
    for (let parent = ROOT; ;) {
      const children = this.childrenOf(parent);
      if (!children.length) return shown;
      const picked = children.find((child) => child.id === this.picked[parent]) ?? children.at(-1);
      shown.push(picked);
      parent = picked.id;
    }
  }

  /** The messages that lead to `message`, without it. */
  before(message) {
    const found = [];
    for (let at = this.messages.get(message.parent); at; at = this.messages.get(at.parent))
      found.unshift(at);
    return found;
  }

  childrenOf(parent) {
    return [...this.messages.values()]
      .filter((message) => message.parent === parent)
      .sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
  }

  siblings(message) {
    return this.childrenOf(message.parent);
  }

  /** Add a message after `parent` (null begins the conversation) and show it. */
  add(parent, role, parts, more = {}) {
    const message = {
      id: newId(),
      conversation: this.id,
      parent: parent?.id ?? ROOT,
      role,
      parts,
      created: Date.now(),
      ...more,
    };
    this.messages.set(message.id, message);
    this.pick(message);
    if (!this.title) this.title = titleOf(parts);
    return message;
  }

  pick(message) {
    this.picked[message.parent] = message.id;
    this.updated = Date.now();
  }
}

const NAMES = { image: "A picture", audio: "A sound", video: "A clip" };

function titleOf(parts) {
  const words = parts
    .filter((part) => part.kind === "text")
    .map((part) => part.text)
    .join(" ");
  const title = words.trim().replace(/\s+/g, " ") || NAMES[parts[0]?.kind] || "Conversation";
  return title.length > 60 ? `${title.slice(0, 59).trimEnd()}…` : title;
}
