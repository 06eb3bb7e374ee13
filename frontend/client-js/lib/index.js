/** Live and one-shot transcription with a Voxtral Real-time Streaming service. */

export { TranscriptionError } from "./errors.js";
export { follow } from "./event-stream.js";
export { LiveTranscription } from "./live.js";
export { MicrophoneTranscription } from "./microphone.js";
export { transcribe } from "./transcribe.js";
