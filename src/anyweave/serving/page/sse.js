// Server-sent events of a fetch response, as they come.

/** Yields the data of each event until `[DONE]` or the end of the stream.
 *
 * Throws where the stream ends without `[DONE]`: half an answer must not pass for a whole one.
 */
export async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the connection ended before the reply did");
      rest += value;
      // An event ends with an empty line; a cut inside \r\n waits for the other half.
      for (let end; (end = /\r?\n\r?\n/.exec(rest));) {
        const data = dataOf(rest.slice(0, end.index));
        rest = rest.slice(end.index + end[0].length);
        if (data === "[DONE]") return;
        if (data !== null) yield JSON.parse(data);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have failed already, which was told above
  }
}

function dataOf(event) {
  const lines = event.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  return lines.length ? lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n") : null;
}
