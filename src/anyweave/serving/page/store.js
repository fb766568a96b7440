// Conversations in this browser's IndexedDB: they never leave the machine.

import { Conversation } from "./conversation.js";

const NAME = "anyweave";
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("conversations", { keyPath: "id" });
      asked.result
        .createObjectStore("messages", { keyPath: "id" })
        .createIndex("conversation", "conversation");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
    asked.onblocked = () => reject(new Error("another tab holds an older version of the history"));
  });
  return opened;
}

async function within(mode, work) {
  const base = await open();
  return new Promise((resolve, reject) => {
    const deal = base.transaction(["conversations", "messages"], mode);
    const result = work(deal.objectStore("conversations"), deal.objectStore("messages"));
    deal.oncomplete = () => resolve(result instanceof IDBRequest ? result.result : undefined);
    deal.onabort = () => reject(deal.error); // every error ends so, and only then has its reason
  });
}

/** The stored conversations without their messages, newest first. */
export async function list() {
  const records = await within("readonly", (conversations) => conversations.getAll());
  return records.sort((a, b) => b.updated - a.updated);
}

/** One conversation with its messages, or null. */
export async function load(id) {
  const record = await within("readonly", (conversations) => conversations.get(id));
  if (!record) return null;
  const messages = await within("readonly", (_, table) => table.index("conversation").getAll(id));
  return new Conversation(record, messages);
}

/** Keep a conversation's record and those of its messages that changed. */
export function save(conversation, ...messages) {
  return within("readwrite", (conversations, table) => {
    conversations.put(conversation.record);
    for (const message of messages) table.put(message);
  });
}

/** Forget one conversation, its media included. */
export function remove(id) {
  return within("readwrite", (conversations, table) => {
    conversations.delete(id);
    const asked = table.index("conversation").getAllKeys(id);
    asked.onsuccess = () => asked.result.forEach((message) => table.delete(message));
  });
}

/** Forget everything. */
export function removeAll() {
  return within("readwrite", (conversations, table) => {
    conversations.clear();
    table.clear();
  });
}
