/** Transcribes a recording by one request. */

import { TranscriptionError } from "./errors.js";

/**
 * @param {string} url the address of the service: http(s)://host[:port]
 * @param {Blob} recording any format that the service reads; the name of a `File` is sent
 * @param {{key?: string, signal?: AbortSignal} & Record<string, unknown>} [options] `key`, if the service requires one, and
 *   form fields of `/v1/audio/transcriptions` (`language`, `prompt`, `numerals`, …)
 * @returns {Promise<{text: string, language?: string, duration: number, segments: any[], words?: any[]}>}
 * @throws {TranscriptionError}
 */
export async function transcribe(url, recording, { key, signal, ...fields } = {}) {
  const form = new FormData();
  form.append("file", recording, recording instanceof File ? recording.name : "recording");
  const given = { response_format: "verbose_json", ...fields };
  for (const [name, value] of Object.entries(given)) {
    for (const one of Array.isArray(value) ? value : [value]) form.append(Array.isArray(value) ? `${name}[]` : name, String(one));
  }
  const response = await fetch(`${url.replace(/\/$/, "")}/v1/audio/transcriptions`, {
    method: "POST",
    body: form,
    headers: key ? { authorization: `Bearer ${key}` } : {},
    signal,
  });
  const answer = await response.json();
  if (!response.ok) throw new TranscriptionError({ ...answer.error, status: response.status });
  return answer;
}
