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

/**
 * @param {number} bytes of a file
 * @param {number} limitBytes
 */
export function tooLarge(bytes, limitBytes) {
  return `The file has ${megabytes(bytes)}; the limit is ${megabytes(limitBytes)}. Use the command line or the API for larger files.`;
}

/** @param {string} name of a document */
export function audioDeleted(name) {
  return `The audio of “${name}” was deleted to make room; its text stays.`;
}

export const ONLY_FILES = "Only files can be dropped here.";
export const OFFLINE =
  "The server cannot be reached. Your recording continues and is kept in this browser; its text follows when the server is back.";
export const CONTINUES = "Your recording continues and is kept in this browser; its text follows.";
export const FILE_INTERRUPTED = "The connection to the server was lost. Use “Transcribe again” when it is back.";
export const MICROPHONE_LOST = "The microphone was disconnected or blocked; the recording has ended.";
export const MICROPHONE_INTERRUPTED =
  "The system has interrupted the microphone, for example for a call. Nothing is recorded until it is free again.";
export const CHANGED_ELSEWHERE = "This document is in use, or another tab has changed it. Choose it again from the list.";
export const NO_ANSWER = "The server did not finish in time. The audio is kept: use “Transcribe again”.";
export const OTHER_RATE = "This microphone has another sample rate than the recording; start a new recording.";
export const NOT_STORED =
  "This browser does not store audio now, so a reload would lose it. Export the text before you close the page.";
