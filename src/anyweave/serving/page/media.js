// Media as blobs: what they are, and how they travel.

import { file } from "./api.js";

/** Per kind: how a person calls it, its part on the wire, its field in a reply. */
export const KINDS = {
  image: { name: "picture", part: "image_url", field: "images", making: "Drawing" },
  audio: { name: "sound", part: "audio_url", field: "audio", making: "Making" },
  video: { name: "clip", part: "video_url", field: "videos", making: "Filming" },
};

/** The same of any kind: what the page does not know by itself is a file to be saved. */
export const about = (kind) =>
  KINDS[kind] ?? { name: kind.replaceAll("_", " "), part: `${kind}_url`, making: "Making" };

/** By suffix, kinds beside these that the model reads; told by the server. */
const others = {};

/** Learn what a model of the server's list reads and makes; kinds that it makes beside `KINDS`. */
export function learn({ modalities, files = {} }) {
  for (const [kind, suffixes] of Object.entries(files))
    if (modalities.input.includes(kind)) for (const suffix of suffixes) others[suffix] = kind;
  return modalities.output.filter((kind) => kind !== "text" && !(kind in KINDS));
}

/** The kind of a file by its type, or else by its name; null for one that nobody reads. */
export function kindOf(blob) {
  const kind = blob.type.split("/")[0];
  const suffix = blob.name?.split(".").at(-1).toLowerCase();
  return kind in KINDS ? kind : (others[suffix] ?? null);
}

/** A data URL of a blob. */
export function toDataUrl(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    // Without parameters such as codecs=opus: not every reader of data URLs knows them.
    reader.readAsDataURL(new Blob([blob], { type: blob.type.split(";")[0] }));
  });
}

/** The blob behind an address in a reply: data, or a file of this server, and nothing else. */
export function fromUrl(url) {
  const data = /^data:([\w/+.-]+);base64,/.exec(url);
  if (data) return fromBase64(url.slice(data[0].length), data[1]);
  const path = new URL(url, location.href);
  if (path.origin !== location.origin) throw new Error(`a medium from elsewhere: ${path.origin}`);
  return file(path.pathname);
}

export function fromBase64(text, type) {
  const binary = atob(text);
  return new Blob([Uint8Array.from(binary, (letter) => letter.charCodeAt(0))], { type });
}

const addresses = new WeakMap();

/** An address of a blob for `src` and `href`; one per blob. */
export function addressOf(blob) {
  if (!addresses.has(blob)) addresses.set(blob, URL.createObjectURL(blob));
  return addresses.get(blob);
}

const SUFFIXES = { jpeg: "jpg", mpeg: "mp3", "x-wav": "wav", "svg+xml": "svg" };

/** A name for the download of a medium: a few of its words and the suffix of its type. */
export function fileName(part) {
  const kind = part.format ?? part.blob.type.split(";")[0].split("/")[1] ?? "bin";
  const words =
    (part.caption || about(part.kind).name).toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return `${words.slice(0, 8).join("-") || part.kind}.${SUFFIXES[kind] ?? kind}`;
}

/** Have the browser save a blob. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = addressOf(blob);
  link.download = name;
  link.click();
}
