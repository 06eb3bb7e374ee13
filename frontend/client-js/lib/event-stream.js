/** A session's events over server-sent events, read with `fetch`, so that the token is in a header and in no URL. */

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;

/**
 * @typedef {object} StreamHandlers
 * @property {(event: Record<string, any>) => void} onEvent
 * @property {(state: "connecting" | "live" | "waiting") => void} onState
 * @property {() => void} onEnd the session has ended, and all of it was received
 * @property {(message: string) => void} onRefused rejected permanently
 */

/**
 * Follows a session to its end, reconnecting as often as needed.
 *
 * @param {string} url
 * @param {string} token
 * @param {StreamHandlers} handlers
 */
export async function follow(url, token, handlers) {
  let lastId = "";
  let failures = 0;
  handlers.onState("connecting");
  for (;;) {
    try {
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${token}`, ...(lastId && { "last-event-id": lastId }) },
        cache: "no-store",
      });
      if (response.status === 204) return handlers.onEnd();
      if (response.ok && response.body) {
        failures = 0;
        handlers.onState("live");
        for await (const { id, data } of messages(response.body)) {
          lastId = id || lastId;
          const event = JSON.parse(data);
          handlers.onEvent(event);
          if (event.type === "done") return handlers.onEnd();
        }
      } else if (response.status < 500 && response.status !== 429) {
        return handlers.onRefused((await response.json()).error.message);
      }
    } catch {
      // A network error: retried below.
    }
    handlers.onState("waiting");
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++);
    await new Promise((resolve) => setTimeout(resolve, ceiling * (0.5 + Math.random() / 2)));
  }
}

/**
 * The messages of an event stream. Comments and unused fields are ignored.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @returns {AsyncGenerator<{id: string, data: string}>}
 */
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let message = { id: "", data: "" };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("id: ")) message.id = line.slice(4);
      if (line.startsWith("data: ")) message.data = line.slice(6);
      if (line === "" && message.data) {
        yield message;
        message = { id: "", data: "" };
      }
    }
  }
}
