/** A session's events over server-sent events, read with `fetch`, so that the token is in a header and in no URL. */

const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 15000;
/** The server sends something at least every 15 s. After this long without anything, the connection is considered dead. */
const SILENCE_LIMIT_MS = 40000;

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
 * @param {AbortSignal} [signal] ends it: no handler is called afterwards
 */
export async function follow(url, token, handlers, signal) {
  let lastId = "";
  let failures = 0;
  handlers.onState("connecting");
  while (!signal?.aborted) {
    const watch = new Watch(signal);
    try {
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${token}`, ...(lastId && { "last-event-id": lastId }) },
        cache: "no-store",
        signal: watch.signal,
      });
      if (response.status === 204) return handlers.onEnd();
      if (response.ok && response.body) {
        failures = 0;
        handlers.onState("live");
        for await (const { id, data } of messages(response.body, watch)) {
          lastId = id || lastId;
          const event = JSON.parse(data);
          handlers.onEvent(event);
          if (signal?.aborted) return;
          if (event.type === "done") return handlers.onEnd();
        }
      } else if (response.status < 500 && response.status !== 429) {
        return handlers.onRefused((await response.json()).error.message);
      }
    } catch {
      // A network error: retried below.
    } finally {
      watch.end();
    }
    if (signal?.aborted) return;
    handlers.onState("waiting");
    const ceiling = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures++);
    await new Promise((resolve) => setTimeout(resolve, ceiling * (0.5 + Math.random() / 2)));
  }
}

/** Aborts one request if the server is silent for too long, or if the caller wants nothing more. */
class Watch {
  #request = new AbortController();
  #timer = 0;
  #abort = () => this.#request.abort();

  /** @param {AbortSignal} [caller] */
  constructor(caller) {
    this.caller = caller;
    caller?.addEventListener("abort", this.#abort);
    this.hear();
  }

  get signal() {
    return this.#request.signal;
  }

  /** The server has sent something. */
  hear() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#abort, SILENCE_LIMIT_MS);
  }

  /** Frees the connection. */
  end() {
    clearTimeout(this.#timer);
    this.caller?.removeEventListener("abort", this.#abort);
    this.#abort();
  }
}

/**
 * The messages of an event stream. Comments and unused fields are ignored.
 *
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @param {Watch} watch
 * @returns {AsyncGenerator<{id: string, data: string}>}
 */
async function* messages(body, watch) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let message = { id: "", data: "" };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.hear();
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
