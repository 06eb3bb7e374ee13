/** What went wrong, in sentences for people. */

/** @param {unknown} error what `getUserMedia` or Web Audio threw */
export function microphoneTrouble(error) {
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "The browser does not let this page use the microphone. Allow it in the address bar, then try again.";
    case "SecurityError":
      return "Browsers give the microphone only to https pages and to this computer's own address (localhost).";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then try again.";
    case "NotReadableError":
      return "The microphone is in use by another program.";
    default:
      return `The microphone could not be started (${error instanceof Error ? error.message : error}).`;
  }
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

export const CONNECTION_LOST = "The connection to the server was lost. What was settled before is kept.";
export const PAUSED =
  "Recording is paused: the server has not taken the last 30 seconds of it yet. What is said now is not recorded.";
export const NOT_CONNECTED = "There is no connection to the server yet. Try again when the page says “Connected”.";
export const MICROPHONE_LOST = "The microphone was unplugged or taken away; the recording has ended.";
export const NO_ANSWER = "The server did not finish in time. What was settled before is kept.";
