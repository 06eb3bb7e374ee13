/** Turns: the parts of a segment that one speaker said in a row. `transcripts/turns.py` does the same on the server. Pure. */

/** @typedef {import("./transcript-document.js").Segment} Segment */
/** @typedef {import("./transcript-document.js").Word} Word */

/**
 * The turns of a segment, each as a segment. Without speakers of words it is the segment itself.
 *
 * @param {Segment} segment
 * @returns {Segment[]}
 */
export function turnsOf(segment) {
  const runs = runsOf(segment.words);
  if (runs.length <= 1) return [{ ...segment, speaker: segment.words[0]?.speaker ?? segment.speaker }];
  const starts = startsOf(segment.text, runs);
  return runs.map((words, at) => ({
    ...segment,
    text: segment.text.slice(starts[at], starts[at + 1] ?? segment.text.length).trim(),
    start: at ? words[0].start : segment.start,
    end: at + 1 < runs.length ? words[words.length - 1].end : segment.end,
    words,
    speaker: words[0].speaker,
    isUnsure: !words[0].speaker,
  }));
}

/**
 * A segment with what an event `speakers` says about it. Words have the speaker of the whole if their number differs.
 *
 * @param {Segment} segment
 * @param {{speaker?: string, speaker_unsure?: boolean, word_speakers?: (string | null)[]}} said
 * @returns {Segment}
 */
export function withSpeakers(segment, { speaker, word_speakers: names = [] }) {
  const isWhole = names.length === segment.words.length;
  const words = segment.words.map((word, at) => ({ ...word, speaker: (isWhole ? names[at] : speaker) ?? undefined }));
  return { ...segment, speaker, isUnsure: !speaker, words };
}

/**
 * @param {Word[]} words
 * @returns {Word[][]}
 */
function runsOf(words) {
  /** @type {Word[][]} */
  const runs = [];
  for (const word of words) {
    const run = runs.at(-1);
    if (run && run[0].speaker === word.speaker) run.push(word);
    else runs.push([word]);
  }
  return runs;
}

/**
 * Where each run begins in the text.
 *
 * @param {string} text
 * @param {Word[][]} runs
 */
function startsOf(text, runs) {
  let at = 0;
  const starts = runs.map((run) => {
    let first = -1;
    for (const { text: word } of run) {
      const found = text.indexOf(word.trim(), at);
      if (found < 0) continue;
      if (first < 0) first = found;
      at = found + word.trim().length;
    }
    return first < 0 ? at : first;
  });
  starts[0] = 0;
  return starts;
}
