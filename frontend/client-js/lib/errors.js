/** What the client throws. */

export const NO_SERVICE = "No transcription service answers at this address.";

export class TranscriptionError extends Error {
  name = "TranscriptionError";

  /** @param {{message: string, code?: string, retry_after_s?: number, status?: number}} error as the server sends it */
  constructor({ message, code, retry_after_s, status }) {
    super(message);
    /** One of the codes that the service documents; undefined if the connection was lost. @type {string | undefined} */
    this.code = code;
    /** Seconds after which another attempt may succeed. @type {number | undefined} */
    this.retry_after_s = retry_after_s;
    /** The HTTP status, for requests over HTTP. @type {number | undefined} */
    this.status = status;
  }
}
