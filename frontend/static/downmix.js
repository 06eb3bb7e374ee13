/**
 * Mixes channels to one without losing audio that cancels out or is on one channel only, as `shared/audio/downmix.py` does.
 *
 * The result is the mean of all channels, but a channel that has been silent from the beginning is left out, and where
 * channels cancel each other, only the loudest one is used.
 */

const BLOCK_S = 0.5;
/** A channel with at most this share of the power of the loudest one (-40 dB) counts as silent. */
const SILENT = 1e-4;
/** If the mean has less than this share of the power that unrelated channels would give, they cancel each other. */
const CANCELLED = 0.35;

/**
 * @param {Float32Array[]} channels of one length
 * @param {number} sampleRate Hz
 * @returns {Float32Array}
 */
export function mixToMono(channels, sampleRate) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  const blockSamples = Math.max(1, Math.round(sampleRate * BLOCK_S));
  /** Power of the loudest block of each channel so far. */
  const loudest = channels.map(() => 0);
  for (let at = 0; at < mono.length; at += blockSamples) {
    const block = channels.map((channel) => channel.subarray(at, at + blockSamples));
    const powers = block.map(powerOf);
    powers.forEach((power, index) => (loudest[index] = Math.max(loudest[index], power)));
    const audible = SILENT * Math.max(...loudest);
    const heard = block.map((_, index) => index).filter((index) => loudest[index] > audible);
    mono.set(mixedBlock(block, powers, heard), at);
  }
  return mono;
}

/**
 * @param {Float32Array[]} block
 * @param {number[]} powers
 * @param {number[]} heard the channels that are not silent
 */
function mixedBlock(block, powers, heard) {
  if (heard.length === 0) return block[0];
  const mean = new Float32Array(block[0].length);
  for (const channel of heard.map((index) => block[index])) {
    for (let at = 0; at < mean.length; at++) mean[at] += channel[at] / heard.length;
  }
  const unrelated = heard.reduce((sum, index) => sum + powers[index], 0) / heard.length ** 2;
  return powerOf(mean) < CANCELLED * unrelated ? block[powers.indexOf(Math.max(...powers))] : mean;
}

/** @param {Float32Array} samples */
function powerOf(samples) {
  let sum = 0;
  for (let at = 0; at < samples.length; at++) sum += samples[at] ** 2;
  return sum / samples.length;
}
