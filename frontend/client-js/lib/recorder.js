/** Records the microphone as s16le chunks. Knows nothing of servers or of the page. */

const CONSTRAINTS = { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: true };

/** The highest rate that the server accepts, in Hz. */
const MAX_RATE_HZ = 48000;

/** How long the audio may take to start. Firefox never starts it on a computer without an audio output. */
const START_LIMIT_MS = 10000;

/** How long the last samples may take. An audio context that the system interrupts meanwhile delivers nothing. */
const STOP_LIMIT_MS = 1000;

/**
 * @typedef {object} RecorderHandlers
 * @property {(pcm: ArrayBuffer) => void} onChunk s16le, mono, at `Recorder.sampleRate`
 * @property {(peak: number) => void} onLevel 0 to 1, once for each chunk
 * @property {() => void} onLost the device was unplugged, or its permission withdrawn
 * @property {() => void} [onInterrupted] the system has stopped the audio, for example for a phone call; it continues when the
 *   system permits it
 * @property {() => void} [onResumed] the audio continues
 */

export class Recorder {
  /**
   * Asks for the microphone and starts recording.
   *
   * @param {{sampleRate: number, chunkSize: number, deviceId?: string}} format requested rate in Hz, samples per chunk at
   *   that rate, and the microphone (by default, or if it is not connected, the browser's)
   * @param {RecorderHandlers} handlers
   * @returns {Promise<Recorder>} rejects with the DOMException of `getUserMedia`
   */
  static async start({ sampleRate, chunkSize, deviceId }, handlers) {
    if (!navigator.mediaDevices) throw new DOMException("insecure page", "SecurityError");
    const stream = await openMicrophone(deviceId);
    /** @type {AudioContext | null} */
    let context = null;
    try {
      const connected = connectSource(stream, sampleRate);
      context = connected.context;
      await resumed(context);
      await context.audioWorklet.addModule(new URL("recorder-worklet.js", import.meta.url));
      const chunkSamples = Math.round((chunkSize * context.sampleRate) / sampleRate);
      const node = new AudioWorkletNode(context, "chunk-processor", {
        numberOfOutputs: 0,
        channelCount: 1,
        channelCountMode: "explicit",
        processorOptions: { chunkSamples },
      });
      connected.source.connect(node);
      return new Recorder(stream, context, node, handlers);
    } catch (error) {
      stopTracks(stream);
      void context?.close();
      throw error;
    }
  }

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   * @param {AudioWorkletNode} node
   * @param {RecorderHandlers} handlers
   */
  constructor(stream, context, node, handlers) {
    this.stream = stream;
    this.context = context;
    this.node = node;
    this.sampleRate = context.sampleRate;
    /** @type {Promise<void> | null} */
    this.stopped = null;
    /** @type {Promise<void>} */
    this.ended = new Promise((resolve) => {
      node.port.onmessage = ({ data }) => {
        if (data.ended) return resolve();
        handlers.onChunk(data.pcm);
        handlers.onLevel(data.peak);
      };
    });
    stream.getAudioTracks()[0].addEventListener("ended", handlers.onLost);
    context.addEventListener("statechange", () => {
      if (this.stopped || context.state === "closed") return;
      if (context.state === "running") return handlers.onResumed?.();
      handlers.onInterrupted?.();
      context.resume().catch(() => {}); // not permitted yet: another change of the state follows
    });
  }

  /** Delivers the remaining samples, then frees the microphone. */
  stop() {
    this.stopped ??= this.free();
    return this.stopped;
  }

  async free() {
    if (this.context.state === "running") {
      this.node.port.postMessage("stop");
      await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, STOP_LIMIT_MS))]);
    }
    stopTracks(this.stream);
    if (this.context.state !== "closed") await this.context.close();
  }
}

/**
 * @param {string} [deviceId]
 * @returns {Promise<MediaStream>}
 */
async function openMicrophone(deviceId) {
  const { mediaDevices } = navigator;
  if (!deviceId) return mediaDevices.getUserMedia({ audio: CONSTRAINTS });
  try {
    return await mediaDevices.getUserMedia({ audio: { ...CONSTRAINTS, deviceId: { exact: deviceId } } });
  } catch (error) {
    if (/** @type {Error} */ (error).name !== "OverconstrainedError") throw error;
    return mediaDevices.getUserMedia({ audio: CONSTRAINTS }); // it is not connected
  }
}

/**
 * A context at the requested rate, which saves bandwidth, or at the device's own rate if the browser cannot resample a
 * microphone (Firefox).
 *
 * @param {MediaStream} stream
 * @param {number} sampleRate
 */
function connectSource(stream, sampleRate) {
  const wished = new AudioContext({ sampleRate });
  try {
    return { context: wished, source: wished.createMediaStreamSource(stream) };
  } catch {
    void wished.close();
  }
  let context = new AudioContext();
  if (context.sampleRate > MAX_RATE_HZ) {
    void context.close();
    context = new AudioContext({ sampleRate: MAX_RATE_HZ });
  }
  try {
    return { context, source: context.createMediaStreamSource(stream) };
  } catch (error) {
    void context.close();
    throw error;
  }
}

/**
 * Rejects with a DOMException if the audio does not start in time.
 *
 * @param {AudioContext} context
 */
async function resumed(context) {
  let timer = 0;
  const late = new Promise((_, reject) => {
    const error = new DOMException("the browser does not start its audio; it may need an audio output", "InvalidStateError");
    timer = setTimeout(() => reject(error), START_LIMIT_MS);
  });
  try {
    await Promise.race([context.resume(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {MediaStream} stream */
function stopTracks(stream) {
  for (const track of stream.getTracks()) track.stop();
}
