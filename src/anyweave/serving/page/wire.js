// Conversations in the form of the API.

import { about, toDataUrl } from "./media.js";

/** The body of a request for the reply that follows `messages`. */
export async function request(messages, { only, asked }) {
  return {
    ...asked,
    messages: await Promise.all(
      messages.map((message) => wireMessage(message, { data: message.role === "user" })),
    ),
    ...(only ? { modalities: ["text", ...(only === "text" ? [] : [only])] } : {}),
    ...(only && only !== "text" ? { force: [only] } : {}),
    edit: "auto",
    stream: true,
    previews: true,
    stream_options: { include_usage: true },
  };
}

/** Of the messages before a reply those that are sent. Exchanges that got no answer at all are not:
 * there is nothing in them to go on from. Nor are the oldest where there is more than the server
 * takes in one request; enough of them leave that it does not happen again at once. `left` counts
 * exchanges of this kind.
 */
export function known(messages) {
  const exchanges = [];
  for (const message of messages) {
    if (message.role === "user") exchanges.push([message]);
    else exchanges.at(-1).push(message);
  }
  const last = exchanges.pop();
  let sent = exchanges.filter(([, reply]) => reply?.parts.some(spoken));
  const all = sent.length;
  if (!fits([...sent, last], 1)) {
    const share = fits([last], 0.5) ? 0.5 : 1;
    while (sent.length && !fits([...sent, last], share)) sent = sent.slice(1);
  }
  return { messages: [...sent, last].flat(), left: all - sent.length };
}

let most = {};

/** Learn what one request may hold from the server's list of models; it refuses more. */
export function allow({ limits = {} }) {
  most = limits;
}

const fits = (exchanges, share) =>
  Object.entries(measured(exchanges.flat())).every(
    ([name, size]) => size <= (most[name] ?? Infinity) * share,
  );

function measured(messages) {
  const parts = messages.flatMap((message) => message.parts);
  const said = messages.filter(({ role }) => role === "user").flatMap((message) => message.parts);
  const bytes = said.reduce((sum, part) => sum + (part.blob?.size ?? 0), 0); // a reply's stay here
  const characters = parts.reduce((sum, part) => sum + (part.text ?? part.caption ?? "").length, 0);
  return {
    max_media: parts.filter((part) => part.blob).length,
    max_messages: messages.length,
    max_text: characters,
    max_body: 1.4 * bytes + 4 * characters, // base64 and the parts' names, UTF-8
  };
}

const spoken = (part) => (part.kind === "text" ? part.text : part.blob);

/** One message in the API's form. The model remembers of a reply's media what it said of them, so a
 * request needs no `data` there: ids and captions are enough.
 */
export async function wireMessage({ role, parts }, { data = true } = {}) {
  const content = await Promise.all(
    parts.filter(spoken).map(async (part) => {
      if (part.kind === "text") return { type: "text", text: part.text };
      const wire = { type: about(part.kind).part };
      if (data) wire[wire.type] = { url: await toDataUrl(part.blob) };
      if (part.id) wire.id = part.id;
      if (part.caption) wire.caption = part.caption;
      return wire;
    }),
  );
  return role === "user" ? { role, content } : { role, content_parts: content };
}

/** A conversation as a JSON file: the shown messages in the API's own form. */
export async function exported(conversation) {
  const messages = await Promise.all(conversation.path().map((message) => wireMessage(message)));
  const created = new Date(conversation.created).toISOString();
  return new Blob([JSON.stringify({ title: conversation.title, created, messages }, null, 2)], {
    type: "application/json",
  });
}
