/** Transcribes the microphone of a browser. */

import { LiveTranscription } from "./live.js";
import { Recorder } from "./recorder.js";

const FORMAT = { sampleRate: 16000, chunkSize: 1024 };

/** A live transcription whose audio is the microphone's until it is stopped. Its end frees the microphone. */
export class MicrophoneTranscription extends LiveTranscription {
  /** @type {Recorder} */
  #recorder;
  /** @type {Promise<void>} */
  #sent = Promise.resolve();

  /**
   * Asks for the microphone and starts.
   *
   * @param {string} url the address of the service
   * @param {import("./live.js").LiveOptions & Record<string, unknown> & {deviceId?: string}} [options] `deviceId` of the
   *   microphone, and those of `LiveTranscription`
   * @returns {Promise<MicrophoneTranscription>} rejects with the DOMException of `getUserMedia`, or a
   *   TypeError for a wrong address
   */
  static async start(url, { deviceId, ...options } = {}) {
    /** @type {MicrophoneTranscription | null} */
    let live = null;
    const recorder = await Recorder.start(
      { ...FORMAT, deviceId },
      { onChunk: (pcm) => live && live.#take(pcm), onLevel: () => {}, onLost: () => live?.stop() },
    );
    try {
      live = new MicrophoneTranscription(url, recorder, options);
    } catch (error) {
      void recorder.stop();
      throw error;
    }
    void live.ended.then(() => recorder.stop());
    return live;
  }

  /**
   * @param {string} url
   * @param {Recorder} recorder
   * @param {import("./live.js").LiveOptions & Record<string, unknown>} options
   */
  constructor(url, recorder, options) {
    super(url, { ...options, sample_rate: recorder.sampleRate });
    this.#recorder = recorder;
  }

  /** @param {ArrayBuffer} pcm */
  #take(pcm) {
    this.#sent = this.#sent.then(() => this.write(pcm));
  }

  /** Frees the microphone and ends the audio. The remaining text still arrives. */
  stop() {
    void this.#recorder.stop().then(() => this.#sent.then(() => super.stop()));
  }
}
