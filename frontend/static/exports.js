/** A document as text, Markdown, subtitles or JSON. Pure. */

import { clock } from "./clock.js";
import { turnsOf } from "./turns.js";

/** @typedef {import("./transcript-document.js").Saved} Saved */
/** @typedef {import("./transcript-document.js").Segment} Segment */
/** @typedef {import("./transcript-document.js").Word} Word */
/** @typedef {{start: number, end: number, lines: string[], speaker?: string}} Cue */

/** The label of text whose speaker is not known, among other text whose speaker is. */
const UNSURE = "?";
/** The labels that the service gives: a letter, after the number of a separate channel. */
const LETTER = /^\d?[A-Z]{1,2}$/;
/** The bounds of subtitles, as `frontend/transcripts/subtitles.py` has them. */
const LINE_COLUMNS = 42;
const MAX_LINES = 2;
const MAX_CUE_S = 7;
const PAUSE_S = 1;
const SENTENCE_END = /[.!?…。！？]$/u;

/** @type {Record<string, {label: string, write: (saved: Saved) => string}>} by the suffix of the file */
export const FORMATS = {
  txt: { label: "Text", write: (saved) => asText(saved) },
  "times.txt": { label: "Text with times", write: (saved) => asText(saved, { times: true }) },
  md: { label: "Markdown", write: asMarkdown },
  srt: { label: "SRT subtitles", write: asSrt },
  vtt: { label: "WebVTT subtitles", write: asVtt },
  json: { label: "JSON with words", write: asJson },
};

/**
 * A file name after the document's own.
 *
 * @param {Saved} saved
 * @param {string} suffix
 */
export function fileName({ name }, suffix) {
  const stem = name.replace(/\.(?=\d*[a-z])[a-z0-9]{1,5}$/i, "").replace(/[\\/:*?"<>|\u0000-\u001f]+/g, "-").trim();
  return `${stem || "transcript"}${suffix === "times.txt" ? " with times.txt" : `.${suffix}`}`;
}

/**
 * @param {Saved} saved
 * @param {{times?: boolean}} [choice]
 */
export function asText(saved, { times = false } = {}) {
  return turns(saved)
    .map(({ speaker, segments }) => {
      const lines = segments.map(({ start, text }) => (times ? `[${clock(start)}] ${text}` : text));
      return (speaker ? [`${speaker}:`, ...lines] : lines).join("\n") + "\n";
    })
    .join(saved.segments.some((segment) => labelOf(saved, segment)) ? "\n" : "");
}

/** @param {Saved} saved */
export function asMarkdown(saved) {
  const facts = [new Date(saved.createdMs).toISOString().slice(0, 10), clock(saved.durationS), saved.model];
  const paragraphs = turns(saved).map(({ speaker, segments }) => {
    const text = segments.map((segment) => escaped(segment.text)).join(" ");
    return `${speaker ? `**${escaped(speaker)}** ` : ""}*${clock(segments[0].start)}* ${text}\n`;
  });
  return [`# ${escaped(saved.name)}\n`, `${facts.filter((fact) => fact).join(" · ")}\n`, ...paragraphs].join("\n");
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[\\`*_[\]<>#]/g, "\\$&");
}

/** @param {Saved} saved */
export function asSrt(saved) {
  return cues(saved)
    .map(({ start, end, lines, speaker }, index) => {
      const body = speaker ? [`${speaker}: ${lines[0]}`, ...lines.slice(1)] : lines;
      return `${index + 1}\n${stamp(start, ",")} --> ${stamp(end, ",")}\n${body.join("\n")}\n\n`;
    })
    .join("");
}

/** @param {Saved} saved */
export function asVtt(saved) {
  const blocks = cues(saved).map(({ start, end, lines, speaker }) => {
    const text = lines.map(entities).join("\n");
    return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${speaker ? `<v ${entities(speaker)}>` : ""}${text}\n\n`;
  });
  return "WEBVTT\n\n" + blocks.join("");
}

/** @param {string} text */
function entities(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** @param {Saved} saved */
export function asJson(saved) {
  const segments = saved.segments.map((segment) => {
    const { start, end, text, words, language, channel, isEdited } = segment;
    const speaker = labelOf(saved, segment);
    return { start: rounded(start), end: rounded(end), text, language, speaker, channel, edited: isEdited, words: words.map(written) };
  });
  const { name, createdMs, durationS, model, mode } = saved;
  const created = new Date(createdMs).toISOString();
  return JSON.stringify({ name, created, duration: rounded(durationS), model, mode, segments }, null, 2) + "\n";
}

/** @param {Word} word */
function written(word) {
  return { ...word, start: rounded(word.start), end: rounded(word.end) };
}

/** @param {number} seconds */
function rounded(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

/**
 * The name of who speaks: the user's, the speaker's label, or the number of the channel.
 *
 * @param {Saved} saved
 * @param {Segment} segment
 * @returns {string | undefined}
 */
export function labelOf(saved, { speaker, channel, isUnsure }) {
  if (speaker) return saved.speakers[speaker] ?? (LETTER.test(speaker) ? `Speaker ${speaker}` : speaker);
  if (channel === undefined) return isUnsure ? UNSURE : undefined;
  return saved.speakers[`channel ${channel}`] ?? `Channel ${channel}`;
}

/**
 * Consecutive segments of one speaker; each segment on its own if no speaker is known.
 *
 * @param {Saved} saved
 */
function turns(saved) {
  /** @type {{speaker?: string, segments: Segment[]}[]} */
  const found = [];
  for (const segment of saved.segments.flatMap(turnsOf)) {
    const speaker = labelOf(saved, segment);
    const last = found.at(-1);
    if (last && speaker && last.speaker === speaker) last.segments.push(segment);
    else found.push({ speaker, segments: [segment] });
  }
  return found;
}

/**
 * Cues of at most two lines. A cue ends with its segment, at a long pause, when it is full, and after a sentence that
 * fills more than a line.
 *
 * @param {Saved} saved
 * @returns {Cue[]}
 */
export function cues(saved) {
  return saved.segments.flatMap(turnsOf).flatMap((segment) => {
    const speaker = labelOf(saved, segment);
    return grouped(timed(segment)).map((words) => ({
      start: words[0].start,
      end: Math.max(words[words.length - 1].end, words[0].start + 0.001),
      lines: wrapped(words),
      speaker,
    }));
  });
}

/**
 * The smallest units of a line, with the time of each. `isGlued` follows the one before without a space.
 *
 * @typedef {{text: string, start: number, end: number, isGlued: boolean}} Token
 *
 * @param {Segment} segment
 * @returns {Token[]}
 */
function timed(segment) {
  let drawn = 0;
  const words = segment.words.flatMap(({ text, start, end }) => {
    const at = segment.text.indexOf(text.trim(), drawn);
    const isGlued = drawn > 0 && at === drawn;
    drawn = Math.max(drawn, at + text.trim().length);
    return cut({ text: text.trim(), start, end, isGlued });
  });
  return words.length > 0 ? words : spread(segment);
}

/**
 * The text's words, each with a share of the segment's time in proportion to its length.
 *
 * @param {Segment} segment
 * @returns {Token[]}
 */
function spread({ text, start, end }) {
  return [...text.matchAll(/\S+/g)].flatMap(({ 0: word, index }) => {
    const at = (/** @type {number} */ position) => start + ((end - start) * position) / text.length;
    return cut({ text: word, start: at(index), end: at(index + word.length), isGlued: false });
  });
}

/**
 * A word that is wider than a line (a sentence in a script without spaces) becomes its characters.
 *
 * @param {Token} token
 * @returns {Token[]}
 */
function cut(token) {
  if (columns(token.text) <= LINE_COLUMNS) return [token];
  const characters = [...token.text];
  const share = (token.end - token.start) / characters.length;
  return characters.map((text, at) => {
    const start = token.start + at * share;
    return { text, start, end: start + share, isGlued: at > 0 || token.isGlued };
  });
}

/**
 * @param {Token[]} tokens
 * @returns {Token[][]}
 */
function grouped(tokens) {
  /** @type {Token[][]} */
  const groups = [];
  /** @type {Token[]} */
  let group = [];
  for (const token of tokens) {
    const last = group.at(-1);
    const isFull = wrapped([...group, token]).length > MAX_LINES || token.end - (group[0] ?? token).start > MAX_CUE_S;
    const isSentence = last && SENTENCE_END.test(last.text) && wrapped(group).length > 1;
    if (last && (isFull || isSentence || token.start - last.end >= PAUSE_S)) {
      groups.push(group);
      group = [];
    }
    group.push(token);
  }
  return group.length ? [...groups, group] : groups;
}

/**
 * @param {Token[]} tokens
 * @returns {string[]} lines
 */
function wrapped(tokens) {
  /** @type {string[]} */
  const lines = [];
  for (const { text, isGlued } of tokens) {
    const longer = `${lines.at(-1) ?? ""}${isGlued ? "" : " "}${text}`;
    if (lines.length > 0 && columns(longer) <= LINE_COLUMNS) lines[lines.length - 1] = longer;
    else lines.push(text);
  }
  return lines;
}

const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\uff60]/u;

/**
 * The width of a text. A wide character (Chinese, Japanese, Korean) counts as two columns.
 *
 * @param {string} text
 */
function columns(text) {
  return [...text].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);
}

/**
 * @param {number} seconds
 * @param {string} mark before the milliseconds
 */
function stamp(seconds, mark) {
  const ms = Math.round(seconds * 1000);
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const [hours, minutes, whole] = [Math.floor(ms / 3600000), Math.floor(ms / 60000) % 60, Math.floor(ms / 1000) % 60];
  return `${two(hours)}:${two(minutes)}:${two(whole)}${mark}${String(ms % 1000).padStart(3, "0")}`;
}
