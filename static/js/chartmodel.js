/**
 * What the charts show: a stretch of time, lines of numbers, one cursor. Pure.
 *
 * Invariants
 *   C1  The stretch is in the page's address, or it is live: a link shows a colleague the same.
 *   C2  What nobody measured is null here too: no line is drawn through it, and no zero is told.
 *
 * Elsewhere: drawing (chartview.js), asking and keys (charts.js), the numbers (dlmsite/dashboard/series.py).
 */

import { age, clock, count, perSecond } from "./format.js";
import { gettext } from "./text.js";

export const SPAN_MIN_MS = 10_000;
export const SPAN_MAX_MS = 31 * 86_400_000;
export const SPAN_DEFAULT_MS = 900_000;
export const EVERYBODY = "";

/**
 * @typedef {(number | null)[]} Line one number per point
 * @typedef {{ops_per_s: Line, p50_ms: Line, p95_ms: Line, p99_ms: Line, held: Line, waiting: Line, lag_ms: Line,
 *   replicated_p99_ms: Line}} Lines
 * @typedef {Lines & {label: string, color: number}} NodeLines
 * @typedef {{at_ms: number, view: string, nodes: string[], duration_ms: number | null}} Failover
 * @typedef {{from_ns: string, to_ns: string, step_s: number, at_ms: number[], total: Lines, nodes: NodeLines[],
 *   failovers: Failover[], failovers_left_out: number}} Series
 * @typedef {{fromMs: number, toMs: number}} Stretch
 * @typedef {{name: string, color: number | null, dash: string, values: Line}} Drawn `color` null: all together
 * @typedef {{id: string, title: string, says: string, whole: boolean, tell: (value: number) => string}} Chart
 *   `whole`: counts, between whose numbers there is nothing
 */

/** @param {number} ms @returns {string} with the digits that matter */
export function milliseconds(ms) {
  if (ms === 0) return "0 ms";
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  return ms < 1_000 ? `${Math.round(ms)} ms` : age(ms);
}

/** @type {Chart[]} */
export const CHARTS = [
  { id: "ops", title: gettext("Operations"), says: gettext("per second"), whole: false, tell: (value) => `${perSecond(value)}/s` },
  { id: "times", title: gettext("Time to an answer"), says: gettext("p50 line, p95 dashes, p99 dots; without waits for other holders"), whole: false, tell: milliseconds },
  { id: "held", title: gettext("Held locks"), says: gettext("as primary"), whole: true, tell: (value) => count(Math.round(value)) },
  { id: "waiting", title: gettext("Requests whose answer waits"), says: gettext("the most at once"), whole: true, tell: (value) => count(Math.round(value)) },
  { id: "lag", title: gettext("Replication lag"), says: gettext("the oldest change that a backup lacks"), whole: false, tell: milliseconds },
];
const OF_NODES = /** @type {const} */ ({ ops: "ops_per_s", held: "held", waiting: "waiting", lag: "lag_ms" });
const TIMES = /** @type {const} */ ([["p50", "p50_ms", ""], ["p95", "p95_ms", "6 3"], ["p99", "p99_ms", "2 3"]]);
/** Beside their colours, which come again after eight nodes and mean nothing to some. */
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];

// --- the stretch ------------------------------------------------------------------------------------------------------

/** @param {string} search such as ?from=2026-11-21T14:00:00Z&to=… @returns {Stretch | null} null: live, or no sense */
export function stretchOf(search) {
  const asked = new URLSearchParams(search);
  const [fromMs, toMs] = [timeOf(asked.get("from")), timeOf(asked.get("to"))];
  if (fromMs === null || toMs === null || fromMs >= toMs) return null;
  return fitted(fromMs, toMs);
}

/** @param {Stretch | null} stretch @param {number} spanMs of a live one @param {string} who @returns {string} */
export function searchOf(stretch, spanMs, who) {
  const said = new URLSearchParams();
  if (stretch !== null) {
    said.set("from", new Date(stretch.fromMs).toISOString());
    said.set("to", new Date(stretch.toMs).toISOString());
  } else if (spanMs !== SPAN_DEFAULT_MS) said.set("last", String(Math.round(spanMs / 1_000)));
  if (who !== EVERYBODY) said.set("node", who);
  const text = said.toString();
  return text === "" ? "" : `?${text}`;
}

/** @param {string} search @returns {number} how much of the past a live page shows */
export function spanOf(search) {
  const seconds = new URLSearchParams(search).get("last") ?? "";
  const ms = /^\d{1,7}$/.test(seconds) ? Number(seconds) * 1_000 : SPAN_DEFAULT_MS;
  return Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS, ms));
}

/** @param {number} fromMs @param {number} toMs in either order @returns {Stretch} neither too short nor too long */
export function fitted(fromMs, toMs) {
  const [first, last] = fromMs < toMs ? [fromMs, toMs] : [toMs, fromMs];
  const spanMs = Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS, last - first));
  const middle = (first + last) / 2;
  const start = Math.max(1, Math.round(middle - spanMs / 2));
  return { fromMs: start, toMs: Math.round(start + spanMs) };
}

/** @param {Stretch} stretch @param {number} atMs stays where it is @param {number} factor below 1: closer @returns {Stretch} */
export function zoomed(stretch, atMs, factor) {
  return fitted(atMs - (atMs - stretch.fromMs) * factor, atMs + (stretch.toMs - atMs) * factor);
}

/** @param {Stretch} stretch @param {number} share of its length, negative: earlier @returns {Stretch} */
export function moved(stretch, share) {
  const byMs = (stretch.toMs - stretch.fromMs) * share;
  return fitted(stretch.fromMs + byMs, stretch.toMs + byMs);
}

/** @param {Stretch} stretch @returns {string} the API's address */
export function seriesPath({ fromMs, toMs }) {
  return `/api/series/?from_ns=${nanoseconds(fromMs)}&to_ns=${nanoseconds(toMs)}`;
}

/** @param {number} ms @returns {string} */
export function nanoseconds(ms) {
  return String(BigInt(Math.round(ms)) * 1_000_000n);
}

/** @param {string | null} text ISO 8601, or nanoseconds @returns {number | null} */
function timeOf(text) {
  if (text === null || text === "") return null;
  if (/^\d{1,19}$/.test(text)) return Number(BigInt(text) / 1_000_000n) || null;
  const ms = Date.parse(text);
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}

// --- lines ------------------------------------------------------------------------------------------------------------

/** @param {Series} series @param {string} who a label, or EVERYBODY @returns {Lines} */
export function linesOf(series, who) {
  return series.nodes.find((node) => node.label === who) ?? series.total;
}

/**
 * @param {Series} series
 * @param {string} chart id
 * @param {string} who whose; EVERYBODY: every node, and all together where adding up means something
 * @returns {Drawn[]}
 */
export function drawn(series, chart, who) {
  if (chart === "times") {
    const lines = linesOf(series, who);
    const color = series.nodes.find((node) => node.label === who)?.color ?? null;
    return TIMES.map(([name, member, dash]) => ({ name, color, dash, values: lines[member] }));
  }
  const member = OF_NODES[/** @type {keyof typeof OF_NODES} */ (chart)];
  const nodes = series.nodes.filter((node) => who === EVERYBODY || node.label === who);
  const found = nodes.map((node) => ({ name: node.label, color: node.color, dash: dashOf(node.color), values: node[member] }));
  const adds = who === EVERYBODY && nodes.length > 1 && chart !== "lag";
  return adds ? [...found, { name: "all", color: null, dash: "", values: series.total[member] }] : found;
}

/** @param {number} color @returns {string} */
export function dashOf(color) {
  return DASHES[color % DASHES.length] ?? "";
}

/** @param {Drawn[]} lines @returns {number} the highest value of all, 0 without any */
export function highest(lines) {
  return lines.reduce((most, line) => line.values.reduce((/** @type {number} */ high, value) => Math.max(high, value ?? 0), most), 0);
}

// --- the cursor -------------------------------------------------------------------------------------------------------

/** @param {Series} series @param {number} atMs @returns {number} the point in which it lies; -1 without points */
export function pointAt(series, atMs) {
  const first = series.at_ms[0];
  if (first === undefined) return -1;
  const point = Math.floor((atMs - first) / (series.step_s * 1_000));
  return Math.min(series.at_ms.length - 1, Math.max(0, point));
}

/** @param {Drawn[]} lines @param {number} point @param {Chart} chart @returns {string} such as "n1 12.0/s · n2 unknown" */
export function readout(lines, point, chart) {
  const told = lines.map((line) => {
    const value = line.values[point] ?? null;
    return `${line.name} ${value === null ? "unknown" : chart.tell(value)}`;
  });
  return told.join(" · ");
}

/** @param {Failover} failover @returns {string} */
export function tellFailover({ nodes, duration_ms }) {
  const took = duration_ms === null ? gettext("not settled yet, as far as is known") : gettext("settled after {duration}", { duration: milliseconds(duration_ms) });
  return gettext("{nodes} marked down, {took}", { nodes: nodes.join(", "), took });
}

/** @param {number} ms @param {number} spanMs of the whole axis @returns {string} local time, as short as it stays clear */
export function tickText(ms, spanMs) {
  const time = clock(ms);
  if (spanMs <= 600_000) return time;
  return spanMs <= 86_400_000 ? time.slice(0, 5) : `${new Date(ms).toLocaleDateString("en-CA").slice(5)} ${time.slice(0, 5)}`;
}

/**
 * @param {Series} series @param {string} who
 * @returns {{atMs: number, cells: string[]}[]} one row per point that says something, the newest first
 */
export function rows(series, who) {
  const lines = linesOf(series, who);
  const columns = /** @type {const} */ ([["ops_per_s", 0], ["p50_ms", 1], ["p95_ms", 1], ["p99_ms", 1], ["held", 2], ["waiting", 3], ["lag_ms", 4]]);
  const found = series.at_ms.map((atMs, point) => ({
    atMs,
    known: columns.some(([member]) => (lines[member][point] ?? null) !== null),
    cells: columns.map(([member, chart]) => {
      const value = lines[member][point] ?? null;
      return value === null ? "–" : /** @type {Chart} */ (CHARTS[chart]).tell(value);
    }),
  }));
  return found.filter((row) => row.known).reverse().map(({ atMs, cells }) => ({ atMs, cells }));
}
