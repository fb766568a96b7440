// A reply from its chunks: parts in the order in which they were spoken.

import { about, fromBase64, fromUrl } from "./media.js";

/** Take one chunk into `message`; the media that it completed. Throws what the server says. */
export async function applied(message, chunk) {
  if (chunk.error) throw new Error(chunk.error.message);
  const choice = chunk.choices?.[0];
  const { delta = {}, finish_reason: finish } = choice ?? {};
  if (delta.content) say(message, delta.content);
  if (delta.progress) await progress(message, delta.progress);
  const made = [];
  for (const given of media(delta)) {
    const part = partOf(message, given.id, given.kind);
    part.caption = given.caption || part.caption;
    part.format = given.format;
    part.blob = await given.blob();
    delete part.preview;
    made.push(part);
  }
  if (finish) message.finish = finish;
  if (chunk.usage) {
    message.usage = chunk.usage;
    message.dropped = chunk.usage.dropped;
  }
  if (chunk.anyweave) message.told = chunk.anyweave;
  return made;
}

function say(message, text) {
  const last = message.parts.at(-1);
  if (last?.kind === "text") last.text += text;
  else message.parts.push({ kind: "text", text });
}

async function progress(message, { part_id: id, modality, caption, step, total, preview }) {
  const part = partOf(message, id, modality);
  if (caption) part.caption = caption;
  if (preview) part.preview = await fromUrl(preview);
  Object.assign(part, { step, total });
}

/** The medium of this id: it stands where the reply first spoke of it. */
function partOf(message, id, kind) {
  const known = message.parts.find((part) => part.id === id);
  if (known) return known;
  const part = { kind, id };
  message.parts.push(part);
  return part;
}

/** The finished media of a delta, in one form for all kinds. */
function* media(delta) {
  if (delta.audio) {
    const { id, data, url, transcript: caption } = delta.audio;
    yield {
      id,
      kind: "audio",
      caption,
      blob: () => (data ? fromBase64(data, "audio/wav") : fromUrl(url)),
    };
  }
  for (const list of ["images", "audios", "videos", "media"]) {
    for (const entry of delta[list] ?? []) {
      const kind = entry.type.replace(/_url$/, "");
      const { id, caption, format } = entry;
      yield { id, kind, caption, format, blob: () => fromUrl(entry[entry.type].url) };
    }
  }
}

/** A reply whose page was closed or reloaded before its end. */
export function broken(message) {
  message.state = "stopped";
  markLost(message, "the page was closed before it");
}

/** Media that did not come say why. */
export function markLost(message, why) {
  for (const part of message.parts) if (part.kind !== "text" && !part.blob) part.lost = why;
}

/** A reply in words, for who listens to it. */
export const words = (message) =>
  message.parts
    .map((part) =>
      part.kind === "text" ? part.text.trim() : `a ${about(part.kind).name}, ${part.caption ?? ""}`,
    )
    .filter(Boolean)
    .join(". ");
