/** Error messages for users. */

/** @param {unknown} error the exception of `getUserMedia` or Web Audio */
export function microphoneTrouble(error) {
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "The browser does not let this page use the microphone. Allow it in the address bar, then try again.";
    case "SecurityError":
      return "Browsers allow the microphone only on https pages and on this computer's own address (localhost).";
    case "NotFoundError":
      return "No microphone was found. Connect one, then try again.";
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

export const CONNECTION_LOST = "The connection to the server was lost. Final text is kept.";
export const PAUSED =
  "Recording is paused: the server has not accepted the last 30 seconds yet. Speech is not recorded until it does.";
export const NOT_CONNECTED = "There is no connection to the server yet. Try again when the page says “Connected”.";
export const MICROPHONE_LOST = "The microphone was disconnected or blocked; the recording has ended.";
export const NO_ANSWER = "The server did not finish in time. Final text is kept.";
