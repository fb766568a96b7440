// Conversations in the form of the API.

import { KINDS, toDataUrl } from "./media.js";

/** The body of a request for the reply that follows `messages`. */
export async function request(messages, { only, asked, model }) {
  return {
    ...(model ? { model } : {}),
    ...asked,
    messages: await Promise.all(known(messages).map(wireMessage)),
    ...(only ? { modalities: ["text", ...(only === "text" ? [] : [only])] } : {}),
    ...(only && only !== "text" ? { force: [only] } : {}),
    stream: true,
    stream_options: { include_usage: true },
  };
}

/** Without exchanges that got no answer at all: there is nothing in them to go on from. */
function known(messages) {
  const answered = (message) => message.role !== "assistant" || message.parts.some(spoken);
  return messages.filter((message, place) => answered(message)
    && !(message.role === "user" && messages[place + 1] && !answered(messages[place + 1])));
}

const spoken = (part) => part.kind === "text" ? part.text : part.blob;

/** One message with its media as data; a reply's parts keep the ids that the server gave them. */
export async function wireMessage({ role, parts }) {
  const content = await Promise.all(parts.filter(spoken).map(async (part) => {
    if (part.kind === "text") return { type: "text", text: part.text };
    const wire = { type: KINDS[part.kind].part, [KINDS[part.kind].part]: { url: await toDataUrl(part.blob) } };
    if (part.id) wire.id = part.id;
    if (part.caption) wire.caption = part.caption;
    return wire;
  }));
  return role === "user" ? { role, content } : { role, content_parts: content };
}

/** A conversation as a JSON file: the shown messages in the API's own form. */
export async function exported(conversation) {
  const messages = await Promise.all(conversation.path().map(wireMessage));
  const created = new Date(conversation.created).toISOString();
  return new Blob([JSON.stringify({ title: conversation.title, created, messages }, null, 2)],
    { type: "application/json" });
}
