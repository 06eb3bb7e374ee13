/**
 * QR codes of short texts (ISO/IEC 18004): bytes, error correction level M, versions 1 to 15. Pure.
 *
 * The steps follow the standard's: encode the data, add error correction, place both, and choose the mask with the least
 * penalty.
 */

/**
 * Of each version at level M: error correction codewords of a block, and the data codewords of each block.
 *
 * @type {[number, number[]][]}
 */
const VERSIONS = [
  [10, [16]],
  [16, [28]],
  [26, [44]],
  [18, [32, 32]],
  [24, [43, 43]],
  [16, [27, 27, 27, 27]],
  [18, [31, 31, 31, 31]],
  [22, [38, 38, 39, 39]],
  [22, [36, 36, 36, 37, 37]],
  [26, [43, 43, 43, 43, 44]],
  [30, [50, 51, 51, 51, 51]],
  [22, [36, 36, 36, 36, 36, 36, 37, 37]],
  [22, [37, 37, 37, 37, 37, 37, 37, 37, 38]],
  [24, [40, 40, 40, 40, 41, 41, 41, 41, 41]],
  [24, [41, 41, 41, 41, 41, 42, 42, 42, 42, 42]],
];
/** Centres of the alignment patterns, in rows and in columns. */
const ALIGNMENT = [
  [],
  ...[[6, 18], [6, 22], [6, 26], [6, 30], [6, 34]],
  ...[[6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50], [6, 30, 54], [6, 32, 58], [6, 34, 62]],
  ...[[6, 26, 46, 66], [6, 26, 48, 70]],
];
/** @type {((row: number, column: number) => boolean)[]} */
const MASKS = [
  (row, column) => (row + column) % 2 === 0,
  (row) => row % 2 === 0,
  (_row, column) => column % 3 === 0,
  (row, column) => (row + column) % 3 === 0,
  (row, column) => (Math.floor(row / 2) + Math.floor(column / 3)) % 2 === 0,
  (row, column) => ((row * column) % 2) + ((row * column) % 3) === 0,
  (row, column) => (((row * column) % 2) + ((row * column) % 3)) % 2 === 0,
  (row, column) => (((row + column) % 2) + ((row * column) % 3)) % 2 === 0,
];
const BYTE_MODE = 0b0100;
const LEVEL_M = 0b00;
const PADDING = [0xec, 0x11];

/**
 * @param {string} text
 * @param {number} [mask] 0 to 7; by default the one with the least penalty
 * @returns {boolean[][]} rows of modules, true is dark; without the quiet zone
 */
export function qrCode(text, mask) {
  const bytes = new TextEncoder().encode(text);
  const version = VERSIONS.findIndex(([, blocks], index) => sum(blocks) * 8 >= 4 + countBits(index + 1) + bytes.length * 8) + 1;
  if (version === 0) throw new RangeError(`A QR code holds up to 412 bytes; the text has ${bytes.length}.`);
  const codewords = withCorrection(dataOf(bytes, version), version);
  const masks = mask === undefined ? MASKS.map((_, index) => index) : [mask];
  const candidates = masks.map((index) => drawn(codewords, version, index));
  return candidates.reduce((best, one) => (penalty(one) < penalty(best) ? one : best));
}

/** @param {number} version */
function countBits(version) {
  return version < 10 ? 8 : 16;
}

/** @param {number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} version
 */
function dataOf(bytes, version) {
  /** @type {number[]} */
  const bits = [];
  const put = (/** @type {number} */ value, /** @type {number} */ count) => {
    for (let bit = count - 1; bit >= 0; bit--) bits.push((value >> bit) & 1);
  };
  put(BYTE_MODE, 4);
  put(bytes.length, countBits(version));
  for (const byte of bytes) put(byte, 8);
  const capacity = sum(VERSIONS[version - 1][1]);
  put(0, Math.min(4, capacity * 8 - bits.length));
  put(0, -bits.length & 7);
  const codewords = Array.from({ length: bits.length / 8 }, (_, at) => parseInt(bits.slice(at * 8, at * 8 + 8).join(""), 2));
  for (let at = 0; codewords.length < capacity; at++) codewords.push(PADDING[at % 2]);
  return codewords;
}

/**
 * Splits data into blocks, adds their error correction, and interleaves both.
 *
 * @param {number[]} data
 * @param {number} version
 */
function withCorrection(data, version) {
  const [count, sizes] = VERSIONS[version - 1];
  let at = 0;
  const blocks = sizes.map((size) => data.slice(at, (at += size)));
  const corrections = blocks.map((block) => remainder(block, count));
  const interleaved = (/** @type {number[][]} */ parts) =>
    Array.from({ length: Math.max(...parts.map(({ length }) => length)) }, (_, index) =>
      parts.flatMap((part) => (index < part.length ? [part[index]] : [])),
    ).flat();
  return [...interleaved(blocks), ...interleaved(corrections)];
}

/** Powers of 2 in GF(256) with the polynomial 0x11d, and their logarithms. */
const POWERS = new Uint8Array(255);
const LOGARITHMS = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  POWERS[power] = value;
  LOGARITHMS[value] = power;
  value = value < 128 ? value * 2 : (value * 2) ^ 0x11d;
}

/**
 * @param {number} a
 * @param {number} b
 */
function product(a, b) {
  return a && b ? POWERS[(LOGARITHMS[a] + LOGARITHMS[b]) % 255] : 0;
}

/**
 * The Reed-Solomon codewords of a block.
 *
 * @param {number[]} block
 * @param {number} count
 */
function remainder(block, count) {
  let generator = [1];
  for (let power = 0; power < count; power++) {
    const shifted = [...generator, 0];
    generator = shifted.map((value, at) => value ^ (at ? product(generator[at - 1], POWERS[power]) : 0));
  }
  const rest = [...block, ...Array(count).fill(0)];
  for (let at = 0; at < block.length; at++) {
    const factor = rest[at];
    generator.forEach((value, offset) => (rest[at + offset] ^= product(value, factor)));
  }
  return rest.slice(block.length);
}

/**
 * @param {number[]} codewords
 * @param {number} version
 * @param {number} mask
 */
function drawn(codewords, version, mask) {
  const size = 17 + 4 * version;
  /** @type {(boolean | undefined)[][]} */
  const modules = Array.from({ length: size }, () => Array(size).fill(undefined));
  drawPatterns(modules, version);
  drawFormat(modules, mask);
  if (version >= 7) drawVersion(modules, version);
  drawData(modules, codewords, mask);
  return /** @type {boolean[][]} */ (modules);
}

/**
 * Finders, alignment and timing.
 *
 * @param {(boolean | undefined)[][]} modules
 * @param {number} version
 */
function drawPatterns(modules, version) {
  const size = modules.length;
  const square = (/** @type {number} */ row, /** @type {number} */ column, /** @type {number} */ reach, /** @type {number[]} */ light) => {
    for (let y = -reach; y <= reach; y++) {
      for (let x = -reach; x <= reach; x++) {
        if (modules[row + y] && column + x >= 0 && column + x < size) {
          modules[row + y][column + x] = !light.includes(Math.max(Math.abs(x), Math.abs(y)));
        }
      }
    }
  };
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(row, column, 4, [2, 4]);
  const centres = ALIGNMENT[version - 1];
  const last = centres.at(-1);
  for (const row of centres) {
    for (const column of centres) {
      const isFinder = (row === 6 && column === 6) || (row === 6 && column === last) || (row === last && column === 6);
      if (!isFinder) square(row, column, 2, [1]);
    }
  }
  for (let at = 8; at < size - 8; at++) modules[6][at] = modules[at][6] = at % 2 === 0;
  modules[size - 8][8] = true;
}

/**
 * @param {(boolean | undefined)[][]} modules
 * @param {number} mask
 */
function drawFormat(modules, mask) {
  const size = modules.length;
  const data = (LEVEL_M << 3) | mask;
  const bits = ((data << 10) | checkBits(data, 10, 0x537)) ^ 0x5412;
  for (let bit = 0; bit < 15; bit++) {
    const isDark = ((bits >> bit) & 1) === 1;
    modules[bit < 6 ? bit : bit < 8 ? bit + 1 : size - 15 + bit][8] = isDark;
    modules[8][bit < 8 ? size - 1 - bit : bit < 9 ? 7 : 14 - bit] = isDark;
  }
}

/**
 * @param {(boolean | undefined)[][]} modules
 * @param {number} version
 */
function drawVersion(modules, version) {
  const size = modules.length;
  const bits = (version << 12) | checkBits(version, 12, 0x1f25);
  for (let bit = 0; bit < 18; bit++) {
    const [near, far] = [Math.floor(bit / 3), size - 11 + (bit % 3)];
    modules[near][far] = modules[far][near] = ((bits >> bit) & 1) === 1;
  }
}

/**
 * The remainder of a BCH code.
 *
 * @param {number} data
 * @param {number} count
 * @param {number} polynomial
 */
function checkBits(data, count, polynomial) {
  let rest = data << count;
  for (let bit = 31; bit >= count; bit--) if ((rest >>> bit) & 1) rest ^= polynomial << (bit - count);
  return rest;
}

/**
 * In columns of two modules, from the lower right corner up and down.
 *
 * @param {(boolean | undefined)[][]} modules
 * @param {number[]} codewords
 * @param {number} mask
 */
function drawData(modules, codewords, mask) {
  const size = modules.length;
  let bit = 0;
  let isUpwards = true;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5; // the timing pattern
    for (let step = 0; step < size; step++) {
      const row = isUpwards ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (modules[row][column] !== undefined) continue;
        const isDark = (((codewords[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) === 1;
        modules[row][column] = isDark !== MASKS[mask](row, column);
        bit++;
      }
    }
    isUpwards = !isUpwards;
  }
}

/** @param {boolean[][]} modules */
function penalty(modules) {
  const size = modules.length;
  const columns = modules.map((_, column) => modules.map((row) => row[column]));
  const lines = [...modules, ...columns].map((line) => line.map((isDark) => (isDark ? "1" : "0")).join(""));
  let points = 0;
  for (const line of lines) {
    for (const [run] of line.matchAll(/0{5,}|1{5,}/g)) points += run.length - 2;
    points += 40 * [...line.matchAll(/(?=10111010000|00001011101)/g)].length;
  }
  for (let row = 1; row < size; row++) {
    for (let column = 1; column < size; column++) {
      const block = [modules[row][column - 1], modules[row - 1][column], modules[row - 1][column - 1]];
      if (block.every((one) => one === modules[row][column])) points += 3;
    }
  }
  const dark = modules.flat().filter((isDark) => isDark).length / size ** 2;
  return points + 10 * Math.floor(Math.abs(dark * 20 - 10));
}

/**
 * A QR code as SVG, with its quiet zone.
 *
 * @param {string} text
 * @returns {SVGSVGElement}
 */
export function qrImage(text) {
  const modules = qrCode(text);
  const size = modules.length + 8;
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "QR code of the link");
  const path = document.createElementNS(svg.namespaceURI, "path");
  const dark = modules.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [`M${x + 4} ${y + 4}h1v1h-1z`] : [])));
  path.setAttribute("d", dark.join(""));
  svg.append(path);
  return /** @type {SVGSVGElement} */ (svg);
}
