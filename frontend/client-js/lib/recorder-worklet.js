/**
 * Runs on the audio thread: collects the microphone's samples and posts them as s16le chunks with their peak.
 * On the message "stop" it posts the remaining samples, then `{ended: true}`, and ends.
 */
class ChunkProcessor extends AudioWorkletProcessor {
  /** @param {{processorOptions: {chunkSamples: number}}} options */
  constructor(options) {
    super();
    this.chunk = new Int16Array(options.processorOptions.chunkSamples);
    this.filled = 0;
    this.peak = 0;
    this.stopped = false;
    this.port.onmessage = () => this.finish();
  }

  /** @param {Float32Array[][]} inputs one input, its channels, 128 samples each */
  process([channels]) {
    if (this.stopped) return false;
    for (const sample of channels[0] ?? []) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(clipped));
      this.chunk[this.filled++] = Math.round(clipped * 32767);
      if (this.filled === this.chunk.length) this.post();
    }
    return true;
  }

  post() {
    const pcm = this.chunk.slice(0, this.filled).buffer;
    this.port.postMessage({ pcm, peak: this.peak }, [pcm]);
    this.filled = 0;
    this.peak = 0;
  }

  finish() {
    if (this.filled > 0) this.post();
    this.stopped = true;
    this.port.postMessage({ ended: true });
  }
}

registerProcessor("chunk-processor", ChunkProcessor);
