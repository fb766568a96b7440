// The only file that speaks to the server, and it speaks the public API alone.

import { events } from "./sse.js";

const KEY = "anyweave.key";

/** An answer that is no answer; `status` 0 where the server was not reached. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The key that the server may ask for. It leaves with the tab. */
export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
};

/** The models that are served: ids, and what they read and make. */
export async function models() {
  const answer = await ask("/v1/models");
  return (await answer.json()).data;
}

/** The bytes of a file that a reply names by its address on this server. */
export async function file(path) {
  return (await ask(path)).blob();
}

/** Yields the chunks of a reply. A busy server is asked again when it says; `onWait(seconds)`. */
export async function* chat(body, { signal, onWait }) {
  for (let tries = 0; ; tries++) {
    try {
      const answer = await ask("/v1/chat/completions", {
        method: "POST",
        signal,
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      yield* events(answer.body);
      return;
    } catch (error) {
      if (error.status !== 429 || !error.retryAfter || tries === 5) throw error;
      onWait(error.retryAfter);
      await pause(error.retryAfter * 1000, signal);
    }
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The server cannot be reached. Is anyweave serve still running?");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  let text = `The server answered ${answer.status} ${answer.statusText}.`;
  try {
    text = (await answer.json()).error.message ?? text;
  } catch {
    /* not the API's envelope: the status is all there is to say */
  }
  if (answer.status === 401) text = `${text} Put your key into the options.`;
  const error = new ApiError(answer.status, text);
  error.retryAfter = Number(answer.headers.get("Retry-After"));
  return error;
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
