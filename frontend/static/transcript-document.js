/**
 * The text of one recording or file: settled segments, text that may still change, and edits that can be undone.
 * Segments are never changed, but replaced. Knows nothing of the page, the server or storage. All times are seconds since
 * the document's own audio began.
 */

import { patternOf, wordsAfterEdit } from "./edits.js";
import { withSpeakers } from "./turns.js";

/**
 * @typedef {{text: string, start: number, end: number, confidence?: number, speaker?: string}} Word
 *
 * @typedef {object} Segment
 * @property {string} id unique in the document
 * @property {number} start
 * @property {number} end
 * @property {string} text
 * @property {Word[]} words empty if the server sent none
 * @property {string} [language]
 * @property {string} [speaker] who spoke most of it
 * @property {boolean} [isUnsure] whether the service cannot tell who spoke
 * @property {number} [channel]
 * @property {boolean} [isEdited]
 * @property {boolean} [isUnsettled] its connection was lost before it was final, and its audio was not heard again yet
 *
 * @typedef {object} Saved what is stored of a document
 * @property {string} id
 * @property {string} name
 * @property {"recording" | "file"} kind
 * @property {number} createdMs since 1970
 * @property {"working" | "done" | "interrupted"} state
 * @property {number} durationS of its audio
 * @property {string | null} model
 * @property {string} mode
 * @property {Segment[]} segments
 * @property {Record<string, string>} speakers names by label
 * @property {number[]} peaks 0 to 255, one for each `PEAK_S` of audio
 * @property {Pick<Saved, "segments" | "state" | "model">} [former] what it was, until its audio is transcribed again
 * @property {boolean} [isDeleted] it can be brought back as long as a tab holds it
 *
 * @typedef {{segments: Segment[]} | {speakers: Record<string, string>}} Step what a change has replaced
 */

/** Audio for one bar of the waveform. */
export const PEAK_S = 0.1;
const UNDO_STEPS = 100;

export class TranscriptDocument {
  /** @param {Saved} saved */
  constructor(saved) {
    this.saved = saved;
    /** Where the audio of the current session begins. */
    this.offset = 0;
    /** Which of the document's sessions sends the events. */
    this.sessions = 0;
    /** @type {Map<string, Segment & {committed?: {text: string}}>} text that may still change, by the id of its segment */
    this.open = new Map();
    /** @type {Step[]} */
    this.undone = [];
    /** @type {Step[]} */
    this.done = [];
    /** What the latest edit belongs to, as long as nothing else was changed. @type {object | null} */
    this.step = null;
    for (const segment of saved.segments) this.sessions = Math.max(this.sessions, Number(segment.id.split(".")[0]));
  }

  /**
   * @param {{name: string, kind: "recording" | "file", mode: string}} given
   * @param {{id: string, createdMs: number}} identity
   */
  static create({ name, kind, mode }, { id, createdMs }) {
    return new TranscriptDocument({
      id,
      name,
      kind,
      createdMs,
      mode,
      state: "working",
      durationS: 0,
      model: null,
      segments: [],
      speakers: {},
      peaks: [],
    });
  }

  get segments() {
    return this.saved.segments;
  }

  get text() {
    return this.segments.map(({ text }) => text).join("\n");
  }

  /** Whether nothing was heard. */
  get isUnused() {
    return this.saved.durationS === 0 && this.segments.length === 0;
  }

  /** The languages of its segments, the most frequent first. */
  get languages() {
    /** @type {Map<string, number>} */
    const lengths = new Map();
    for (const { language, text } of this.segments) {
      if (language) lengths.set(language, (lengths.get(language) ?? 0) + text.length);
    }
    return [...lengths.keys()].sort((a, b) => (lengths.get(b) ?? 0) - (lengths.get(a) ?? 0));
  }

  /** Up to here the text is settled: a new session has to hear the audio from here on. */
  get settledS() {
    return this.segments.reduce((end, segment) => (segment.isUnsettled ? end : Math.max(end, segment.end)), 0);
  }

  /**
   * The next events are of a new session.
   *
   * @param {number} offset where its audio begins: text after it that is not settled will be heard again
   */
  begin(offset) {
    this.offset = offset;
    this.sessions += 1;
    this.open.clear();
    this.saved.segments = this.segments.filter(({ isUnsettled }) => !isUnsettled);
    this.saved.state = "working";
  }

  /** @param {Record<string, any>} event of the current session */
  apply(event) {
    switch (event.type) {
      case "ready":
        this.saved.model = event.model ?? this.saved.model;
        break;
      case "partial":
        this.open.set(this.idOf(event), { ...this.segmentOf(event), committed: event.committed });
        break;
      case "final":
        this.settle(this.segmentOf(event));
        break;
      case "revised":
        this.replace(this.segmentOf(event));
        break;
      case "speakers":
        for (const change of event.segments ?? []) this.relabel(change);
    }
  }

  /** @param {Segment} segment */
  settle(segment) {
    this.open.delete(segment.id);
    if (segment.text) {
      const after = this.segments.findIndex(({ start }) => start > segment.start);
      this.segments.splice(after < 0 ? this.segments.length : after, 0, segment);
    }
  }

  /** @param {Segment} revised */
  replace(revised) {
    const at = this.segments.findIndex(({ id }) => id === revised.id);
    if (at < 0 || this.segments[at].isEdited) return; // what the user wrote stays
    if (revised.text) this.segments[at] = revised;
    else this.segments.splice(at, 1);
  }

  /** @param {Record<string, any>} change of the speaker of a segment that is final */
  relabel(change) {
    const at = this.segments.findIndex(({ id }) => id === this.idOf(change));
    if (at >= 0) this.segments[at] = withSpeakers(this.segments[at], change);
  }

  /** The text that may still change, as it is kept if the session is lost. @returns {Segment[]} */
  get unsettled() {
    return [...this.open.values()]
      .filter(({ text }) => text)
      .map(({ committed: _, ...segment }) => ({ ...segment, isUnsettled: true }));
  }

  /** What to store now: after a crash, text that may still change is not lost. @returns {Saved} */
  get stored() {
    return { ...this.saved, segments: [...this.segments, ...this.unsettled] };
  }

  /** The session is lost: keeps its unsettled text, marked as such. */
  lose() {
    for (const segment of this.unsettled) this.settle(segment);
    this.open.clear();
  }

  /** All its audio is transcribed. */
  finish() {
    this.lose();
    this.saved.state = "done";
    delete this.saved.former;
  }

  /** Work on it ended before all its audio was transcribed: the text that is being replaced comes back. */
  interrupt() {
    this.lose();
    if (this.saved.state !== "working") return; // no audio was added to it, as if the microphone cannot be started
    const { former } = this.saved;
    if (former?.segments.length) this.done = this.done.filter((step) => !("segments" in step) || step.segments !== former.segments);
    this.saved = interrupted(this.saved);
  }

  /** Its audio is transcribed again: the text is kept until then; afterwards, `undo` brings it back. */
  startAgain() {
    const { state, model } = this.saved;
    const segments = [...this.segments];
    this.remember({ segments });
    this.empty();
    Object.assign(this.saved, { former: { segments, state, model }, state: "working" });
  }

  /**
   * @param {string} id
   * @param {string} text as the user wrote it; a segment without text is removed
   * @param {object} [step] edits of one step are undone together
   */
  edit(id, text, step = {}) {
    const segment = this.segments.find((one) => one.id === id);
    const written = text.replace(/\s+/g, " ").trim();
    if (!segment || segment.text === written) return;
    if (step !== this.step) this.remember();
    this.step = step;
    // Words that are deleted and typed again within a step keep their times.
    const before = this.done.at(-1);
    const former = before && "segments" in before ? before.segments.find((one) => one.id === id) : undefined;
    if (former?.text === written) {
      Object.assign(this.saved, this.done.pop()); // it is as before: there is nothing to undo
      this.step = null;
      return;
    }
    this.saved.segments = this.segments
      .map((one) => (one === segment ? edited(former ?? one, written) : one))
      .filter((one) => one.text);
  }

  /**
   * @param {string} found whatever its case
   * @param {string} replacement
   * @returns {number} how many places were changed
   */
  replaceAll(found, replacement) {
    if (!found) return 0;
    const pattern = patternOf(found);
    const places = this.segments.reduce((sum, { text }) => sum + (text.match(pattern)?.length ?? 0), 0);
    if (places === 0) return 0;
    this.remember();
    this.rewrite(({ text }) => (text.match(pattern) ? text.replace(pattern, () => replacement).trim() : text));
    return places;
  }

  /** @param {(segment: Segment) => string} textOf what the user wants it to be; segments without text are removed */
  rewrite(textOf) {
    this.saved.segments = this.segments.map((segment) => edited(segment, textOf(segment))).filter(({ text }) => text);
  }

  /** @param {string} label of a speaker @param {string} name as the user wrote it; empty for the label itself */
  renameSpeaker(label, name) {
    const { [label]: former = "", ...others } = this.saved.speakers;
    const written = name.trim();
    if (former === written) return;
    this.remember({ speakers: this.saved.speakers });
    this.saved.speakers = written ? { ...others, [label]: written } : others;
  }

  /** Removes the text; `undo` brings it back. */
  clear() {
    this.remember();
    this.empty();
  }

  empty() {
    this.saved.segments = [];
    this.open.clear();
  }

  /** @param {Step} step what `undo` brings back */
  remember(step = { segments: [...this.segments] }) {
    this.done.push(step);
    this.step = null;
    if (this.done.length > UNDO_STEPS) this.done.shift();
    this.undone = [];
  }

  /** @returns {boolean} whether there was something to undo */
  undo() {
    return this.swap(this.done, this.undone);
  }

  /** @returns {boolean} whether there was something to redo */
  redo() {
    return this.swap(this.undone, this.done);
  }

  /**
   * @param {Step[]} from
   * @param {Step[]} to
   */
  swap(from, to) {
    const step = from.pop();
    if (!step) return false;
    const { segments, speakers } = this.saved;
    this.step = null;
    to.push("segments" in step ? { segments } : { speakers });
    Object.assign(this.saved, step);
    return true;
  }

  /** @param {Record<string, any>} event */
  idOf(event) {
    return `${this.sessions}.${event.segment ?? 0}`;
  }

  /**
   * @param {Record<string, any>} event
   * @returns {Segment}
   */
  segmentOf(event) {
    const { start = 0, end = 0, text = "", words = [], language, speaker, channel, speaker_unsure: isUnsure } = event;
    const segment = {
      id: this.idOf(event),
      start: this.offset + start,
      end: this.offset + end,
      text: text.trim(),
      words: words.map((/** @type {Word} */ word) => this.shifted(word)),
    };
    const about = { ...(language && { language }), ...(speaker && { speaker }), ...(isUnsure && { isUnsure }) };
    return Object.assign(segment, about, channel !== undefined && { channel });
  }

  /** @param {Word} word */
  shifted(word) {
    return { ...word, start: this.offset + word.start, end: this.offset + word.end };
  }
}

/**
 * @param {Segment} segment
 * @param {string} text
 * @returns {Segment}
 */
function edited(segment, text) {
  if (text === segment.text) return segment;
  const { isUnsettled: _, ...settled } = segment;
  return { ...settled, text, words: wordsAfterEdit(segment.words, text, segment), isEdited: true };
}

/**
 * What is left of a document when work on it has ended too early.
 *
 * @param {Saved} saved
 * @returns {Saved}
 */
export function interrupted({ former, ...saved }) {
  return former?.segments.length ? { ...saved, ...former } : { ...saved, state: "interrupted" };
}
