/** A chosen file as samples, or as base64 for the server to decode. */

import { mixToMono } from "./downmix.js";

/** Above this many compressed bytes, decoding in the browser could use more memory than a phone has. */
export const DECODE_LIMIT_BYTES = 100e6;

/**
 * The file as mono s16le, decoded and resampled by the browser; null if it cannot decode the file.
 *
 * @param {Blob} file
 * @param {number} sampleRate Hz
 * @returns {Promise<Int16Array | null>}
 */
export async function decodeFile(file, sampleRate) {
  if (file.size > DECODE_LIMIT_BYTES) return null;
  try {
    const context = new OfflineAudioContext(1, 1, sampleRate);
    return monoOf(await context.decodeAudioData(await file.arrayBuffer()));
  } catch {
    return null;
  }
}

/** @param {AudioBuffer} audio */
function monoOf(audio) {
  const channels = Array.from({ length: audio.numberOfChannels }, (_, index) => audio.getChannelData(index));
  const mono = mixToMono(channels, audio.sampleRate);
  const pcm = new Int16Array(mono.length);
  for (let index = 0; index < pcm.length; index++) pcm[index] = Math.round(Math.max(-1, Math.min(1, mono[index])) * 32767);
  return pcm;
}

/**
 * @param {Blob} file
 * @returns {Promise<string>}
 */
export function toBase64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result).split(",", 2)[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

/**
 * Offers text as a download.
 *
 * @param {string} name
 * @param {string} text
 */
export function saveText(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
