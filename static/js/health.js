/**
 * What may be said of a node now: what was seen of it, as long as that is not too old to be true.
 *
 * Pure: how much time has passed is an argument.
 *
 * Invariants
 *   H1  A state that claims life is shown only while a heartbeat was heard within two heartbeats and the lag shown;
 *       later the node is suspected.
 *   H2  What nobody has looked at for that long is unknown, whatever it was: a page that hears nothing knows nothing.
 *
 * Elsewhere: drawing it (nodestable.js, tables.js), the master's own judgement (a view in which a node is down).
 */

import { age } from "./format.js";
import { gettext } from "./text.js";

export const HEARTBEAT_MS = 400;
export const FRESH_MS = 2 * HEARTBEAT_MS;
/** A larger lag is shown as trouble, and excuses no more than this. */
export const LAG_EXCUSED_MS = 1_000;

const LIVING = new Set(["up", "acquiring", "leaving", "fenced", "suspected"]);
const TONES = new Map([
  ["up", "ok"], ["joining", "warn"], ["acquiring", "warn"], ["leaving", "warn"], ["suspected", "warn"],
  ["paused", "warn"], ["fenced", "bad"], ["down", "bad"], ["killed", "bad"],
]);
const MEANINGS = new Map([
  ["up", gettext("Serves its arcs")],
  ["joining", gettext("Has asked the master to join the ring")],
  ["acquiring", gettext("Waits until every living member has handed over its arcs")],
  ["leaving", gettext("Hands over what it holds")],
  ["suspected", gettext("Has missed two heartbeats; the master has not marked it down yet")],
  ["paused", gettext("Its process was stopped by an operator and can be resumed")],
  ["fenced", gettext("Cannot reach the master and refuses everything")],
  ["down", gettext("Marked down in the current view: its backups serve")],
  ["killed", gettext("Its process was killed")],
  ["stopped", gettext("Its process has ended")],
  ["unknown", gettext("Nobody has measured its state")],
]);

/**
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {{state: string, note: string, why: string, tone: string}} Health `note`: beside the state, may be empty
 */

/**
 * How old a measurement may be.
 * @param {number | null} lagMs what the page shows as its lag
 * @returns {number}
 */
export function freshMs(lagMs) {
  return FRESH_MS + Math.min(Math.max(lagMs ?? 0, 0), LAG_EXCUSED_MS);
}

/**
 * @param {number | null} toldMs an age when it was told
 * @param {number} elapsedMs since it was told
 * @param {number | null} lagMs
 * @returns {boolean} whether a measurement of that age still says something of now
 */
export function isFresh(toldMs, elapsedMs, lagMs) {
  return toldMs !== null && toldMs + elapsedMs <= freshMs(lagMs);
}

/**
 * @param {NodeRow} node
 * @param {{elapsedMs: number, lagMs: number | null, down: boolean}} now `elapsedMs`: since the node was told of; `down`:
 *   in the current view
 * @returns {Health}
 */
export function healthOf(node, { elapsedMs, lagMs, down }) {
  if (!isFresh(node.seen_age_ms, elapsedMs, lagMs)) {
    const was = node.state === "unknown" ? "" : `was ${node.state}`;
    const since = node.seen_age_ms === null ? gettext("Nobody has looked at it") : gettext("Last looked at {seenAge} ago", { seenAge: age(node.seen_age_ms + elapsedMs) });
    return { state: "unknown", note: was, why: since, tone: "quiet" };
  }
  const state = down && LIVING.has(node.state) && node.state !== "leaving" ? "down" : node.state;
  if (!LIVING.has(state)) return health(state, "");
  const silentMs = node.heartbeat_age_ms === null ? null : node.heartbeat_age_ms + elapsedMs;
  if (state === "suspected" || !isFresh(node.heartbeat_age_ms, elapsedMs, lagMs)) {
    return health("suspected", silentMs === null ? gettext("never heard") : gettext("silent {silent}", { silent: age(silentMs) }));
  }
  return health(state, state === "up" ? (node.settled ? "settled" : "settling") : "");
}

/** @param {string} state @param {string} note @returns {Health} */
function health(state, note) {
  return { state, note, why: MEANINGS.get(state) ?? "", tone: TONES.get(state) ?? "quiet" };
}
