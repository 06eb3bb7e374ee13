/** Builds the parts of the operators' page from the state. Text is set as text, never as markup. */

/**
 * @typedef {{id: string, key: string, age_s: number | null, model: string | null, worker: string,
 *   language: string | null, lag_ms: number, audio_s: number, recording: boolean, detached: boolean}} LiveSession
 * @typedef {{id: string, host: string, model: string, device: string, slots: number, slots_used: number,
 *   draining: boolean, overloaded: boolean, lag_ms: number, rss_bytes: number, gpu_memory_used_bytes: number | null,
 *   gpu_memory_total_bytes: number | null, step_ms: {p50: number, p99: number}, gone_s: number | null}} Worker
 * @typedef {{status: string, reason: string | null, version: string, slots: number, slots_free: number,
 *   waiting: number, orphaned: number, connections: number, viewers: number, lag_ms: number, event_loop_delay_ms: number,
 *   redis_ms: number | null, can_change: boolean,
 *   latency_ms: Record<string, {p50: number, p95: number, p99: number}>,
 *   errors: {by_code: Record<string, number>},
 *   sessions_total: number, sessions: LiveSession[], workers: Worker[], starting: {doing: string}[]}} State
 * @typedef {{text: string, number?: boolean, state?: string, button?: HTMLButtonElement}} Cell
 */

/**
 * @param {string} name
 * @param {string} [text]
 */
export function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** @param {number | null} ms null: unknown */
export function duration(ms) {
  if (ms === null) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return minutes < 60 ? `${minutes} min ${Math.floor((ms % 60_000) / 1000)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} bytes */
export function size(bytes) {
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/**
 * Replaces the table in a place. The first cell of a row is its heading.
 *
 * @param {HTMLElement} place
 * @param {string[]} headings a leading `#` marks a column of numbers
 * @param {Cell[][]} rows
 * @param {string} none what to show without rows
 */
export function showTable(place, headings, rows, none) {
  const table = element("table");
  const head = table.appendChild(element("thead")).appendChild(element("tr"));
  for (const heading of headings) {
    const cell = element("th", heading.replace(/^#/, ""));
    cell.setAttribute("scope", "col");
    if (heading.startsWith("#")) cell.className = "number";
    head.append(cell);
  }
  const body = table.appendChild(element("tbody"));
  for (const row of rows) {
    const line = body.appendChild(element("tr"));
    row.forEach((cell, index) => {
      const made = element(index ? "td" : "th", cell.text);
      if (!index) made.setAttribute("scope", "row");
      if (cell.number) made.className = "number";
      if (cell.state) made.dataset.state = cell.state;
      if (cell.button) made.append(cell.button);
      line.append(made);
    });
  }
  if (!rows.length) {
    const cell = body.appendChild(element("tr")).appendChild(element("td", none));
    cell.className = "none";
    cell.setAttribute("colspan", String(headings.length));
  }
  place.replaceChildren(table);
}

/**
 * @param {HTMLElement} place
 * @param {[string, string][]} figures
 */
export function showFigures(place, figures) {
  place.replaceChildren(
    ...figures.map(([name, value]) => {
      const made = element("div");
      made.append(element("dt", name), element("dd", value));
      return made;
    }),
  );
}

/**
 * A line of past values with the last one beside its name.
 *
 * @param {string} name
 * @param {(number | null)[]} values milliseconds; null: unknown, a gap in the line
 */
export function sparkline(name, values) {
  const made = element("div");
  made.className = "spark";
  const last = duration(values.at(-1) ?? null);
  const title = made.appendChild(element("p"));
  title.append(element("span", name), element("strong", last));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const known = values.filter((value) => value !== null);
  const most = known.length ? Math.max(...known) : null;
  svg.setAttribute("aria-label", `${name}: ${last} now, ${duration(most)} at most`);
  const path = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  const top = Math.max(most ?? 0, 1);
  const step = values.length > 1 ? 100 / (values.length - 1) : 100;
  const parts = values.map((value, at) => {
    const point = `${at * step} ${29 - (22 * (value ?? 0)) / top}`;
    return value === null ? "" : (values[at - 1] ?? null) === null ? `M${point}h0` : `L${point}`;
  });
  path.setAttribute("d", parts.join(""));
  made.append(svg);
  return made;
}

/** @param {Worker} worker */
export function workerState(worker) {
  if (worker.gone_s !== null) return { text: `no heartbeat for ${duration(1000 * worker.gone_s)}`, state: "bad" };
  if (worker.draining) return { text: "draining", state: "wait" };
  return worker.overloaded ? { text: "overloaded", state: "bad" } : { text: "serving", state: "good" };
}
