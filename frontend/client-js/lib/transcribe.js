/** Transcribes a recording by one request. */

import { NO_SERVICE, TranscriptionError } from "./errors.js";

/**
 * @param {string} url the address of the service: http(s)://host[:port]
 * @param {Blob} recording any format that the service reads; the name of a `File` is sent
 * @param {{key?: string, signal?: AbortSignal} & Record<string, unknown>} [options] `key`, if the service requires one, and
 *   form fields of `/v1/audio/transcriptions` (`language`, `prompt`, `numerals`, …)
 * @returns {Promise<{text: string, language?: string, duration: number, segments: any[], words?: any[]}>}
 * @throws {TranscriptionError}
 * @throws {TypeError} for an address or a key that a request cannot have
 * @throws the reason of `signal`, if it aborts the request
 */
export async function transcribe(url, recording, { key, signal, ...fields } = {}) {
  const request = new Request(`${url.replace(/\/$/, "")}/v1/audio/transcriptions`, {
    method: "POST",
    body: formOf(recording, { response_format: "verbose_json", ...fields }),
    headers: key ? { authorization: `Bearer ${key}` } : {},
    signal,
  });
  /** @type {Response | undefined} */
  let response;
  let answer;
  try {
    response = await fetch(request);
    answer = await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new TranscriptionError({ message: response ? foreign(response) : NO_SERVICE, status: response?.status });
  }
  if (!response.ok) throw new TranscriptionError({ message: foreign(response), ...answer?.error, status: response.status });
  return answer;
}

/**
 * @param {Blob} recording
 * @param {Record<string, unknown>} fields those without a value are left to the service
 */
function formOf(recording, fields) {
  const form = new FormData();
  form.append("file", recording, recording instanceof File ? recording.name : "recording");
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one === undefined || one === null) continue;
      form.append(Array.isArray(value) ? `${name}[]` : name, typeof one === "object" ? JSON.stringify(one) : String(one));
    }
  }
  return form;
}

/** @param {Response} response what a proxy or another server answers */
const foreign = ({ status }) => `The answer (HTTP ${status}) is incomplete, or not that of a transcription service.`;
