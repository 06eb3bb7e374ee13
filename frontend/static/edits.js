/** Keeps the times of words that an edit does not change. Pure. */

/** @typedef {import("./transcript-document.js").Word} Word */

/**
 * The words of an edited text. Words that it has in common with the old text, in the same order, keep their times and
 * speakers; new words share the time between their neighbours in proportion to their length.
 *
 * @param {Word[]} before
 * @param {string} text
 * @param {{start: number, end: number}} segment
 * @returns {Word[]} empty if the old text had none
 */
export function wordsAfterEdit(before, text, segment) {
  if (before.length === 0) return [];
  const written = text.split(/\s+/).filter((word) => word);
  const kept = commonWords(before.map((word) => word.text.trim()), written);
  /** @type {Word[]} */
  const words = written.map((word, at) => ({ ...(before[kept[at] ?? -1] ?? { start: NaN, end: NaN }), text: word }));
  for (let at = 0; at < words.length; at++) {
    if (!Number.isNaN(words[at].start)) continue;
    let next = at;
    while (next < words.length && Number.isNaN(words[next].start)) next++;
    spread(words.slice(at, next), words[at - 1]?.end ?? segment.start, words[next]?.start ?? segment.end);
  }
  return words;
}

/**
 * @param {Word[]} words get times in place
 * @param {number} from
 * @param {number} to
 */
function spread(words, from, to) {
  const total = words.reduce((sum, { text }) => sum + text.length, 0);
  let at = from;
  for (const word of words) {
    word.start = at;
    at += (Math.max(0, to - from) * word.text.length) / total;
    word.end = at;
  }
}

/**
 * The longest common subsequence.
 *
 * @param {string[]} before
 * @param {string[]} after
 * @returns {(number | undefined)[]} for each word of `after`, its index in `before`
 */
function commonWords(before, after) {
  const lengths = Array.from({ length: before.length + 1 }, () => new Uint16Array(after.length + 1));
  for (let i = before.length - 1; i >= 0; i--) {
    for (let j = after.length - 1; j >= 0; j--) {
      lengths[i][j] = before[i] === after[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
    }
  }
  /** @type {(number | undefined)[]} */
  const kept = Array(after.length);
  for (let i = 0, j = 0; i < before.length && j < after.length; ) {
    if (before[i] === after[j]) kept[j++] = i++;
    else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return kept;
}

/** @param {string} found matches whatever its case */
export function patternOf(found) {
  return new RegExp(found.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
}
