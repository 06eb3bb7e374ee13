/** What the modules of the page meet in place of the network: sockets whose server answers as the native protocol says. */

const READY = { type: "ready", session_id: "s", seq: 1, resume_token: "r", resume_timeout_s: 30 };

export class Server {
  constructor() {
    /** Messages received, with audio as its bytes. @type {any[]} */
    this.received = [];
    /** @type {Set<any>} */
    this.open = new Set();
    this.opened = 0;
    /** Called with each message, before its answer; true if there is none. @type {(message: any, socket: any) => unknown} */
    this.onMessage = () => false;
    const server = this;
    this.WebSocket = class {
      readyState = 0;
      samples = 0;

      constructor() {
        server.opened++;
        server.open.add(this);
        setImmediate(() => {
          if (this.readyState !== 0) return;
          this.readyState = 1;
          this.onopen?.();
        });
      }

      /** @param {string | ArrayBuffer} content */
      send(content) {
        server.take(typeof content === "string" ? JSON.parse(content) : content, this);
      }

      close() {
        this.readyState = 3;
        server.open.delete(this);
      }

      /** The server closes it. */
      end() {
        this.close();
        setImmediate(() => this.onclose?.());
      }

      /** @param {Record<string, any>} message */
      answer(message) {
        setImmediate(() => this.onmessage?.({ data: JSON.stringify(message) }));
      }
    };
  }

  get audioBytes() {
    return this.received.reduce((bytes, content) => bytes + (content.byteLength ?? 0), 0);
  }

  take(message, socket) {
    this.received.push(message);
    if (this.onMessage(message, socket)) return;
    if (message instanceof ArrayBuffer) {
      socket.samples += message.byteLength / 2;
      socket.answer({ type: "received", audio_received_samples: socket.samples });
    } else if (message.type === "auth") socket.answer({ type: "authorized" });
    else if (message.type === "ping") socket.answer({ type: "pong" });
    else if (message.type === "start") socket.answer(READY);
    else if (message.type === "stop") {
      const end = socket.samples / 16000;
      if (end > 0) socket.answer({ type: "final", seq: 2, segment: 0, text: `${end} seconds`, start: 0, end });
      socket.answer({ type: "done", seq: 3 });
    }
  }
}

/** Waits for a condition, which something that is due makes true. @param {() => unknown} condition */
export async function until(condition) {
  while (!condition()) await new Promise(setImmediate);
}

/** Waits for everything that is due now, and for what it makes due. */
export async function turns() {
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
}
