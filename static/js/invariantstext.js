/**
 * The running check of the invariants in words. Pure.
 *
 * Invariant: it is green only if something was checked, is being checked now, and contradicts nothing.
 */

import { clock, count } from "./format.js";
import { gettext, ngettext } from "./text.js";

/**
 * @typedef {import("./contract.js").Invariants} Invariants
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {{tone: "ok" | "bad" | "unknown", pill: string, measured: boolean, text: string, notes: string[]}} Told
 *   `measured`: a zero means that something was checked
 * @typedef {{name: string, first: string, second: string, same: boolean}} Field
 */

const DAY_MS = 86_400_000;

/**
 * @param {Invariants | null} found
 * @param {{fresh: boolean, nowMs: number}} now `fresh`: the server was heard just now
 * @returns {Told}
 */
export function tellInvariants(found, { fresh, nowMs }) {
  if (found === null) return { tone: "unknown", pill: gettext("nothing checked yet"), measured: false, text: "", notes: [] };
  const nothing = Number(found.checked) === 0;
  const text = nothing || found.since_ms === null ? "" : gettext("{checked} events checked since {since}", { checked: count(Number(found.checked)), since: when(found.since_ms, nowMs) });
  const measured = fresh && !nothing && found.state === "checking";
  return { ...judge(found, nothing, measured), measured, text, notes: tellLimits(found, nowMs) };
}

/** @param {Invariants} found @param {boolean} nothing @param {boolean} measured @returns {{tone: Told["tone"], pill: string}} */
function judge(found, nothing, measured) {
  if (found.found > 0) return { tone: "bad", pill: ngettext("{count} violation", "{count} violations", found.found) };
  if (found.state === "stopped") return { tone: "bad", pill: gettext("check stopped") };
  if (nothing) return { tone: "unknown", pill: gettext("nothing checked yet") };
  return measured ? { tone: "ok", pill: "0 violations" } : { tone: "unknown", pill: "unknown" };
}

/** @param {Invariants} found @param {number} nowMs @returns {string[]} */
function tellLimits(found, nowMs) {
  const notes = [];
  if (found.state === "stopped") notes.push(gettext("The check has {trouble}. Recording goes on; restart the site to check again.", { trouble: found.trouble }));
  if (found.state === "unknown" && Number(found.checked) > 0) notes.push(gettext("The recorder has not said for some seconds how the check is doing."));
  if (found.since_ms !== null && found.remembers_since_ms !== null && found.remembers_since_ms > found.since_ms) {
    notes.push(gettext("After a restart it compares with events since {remembersSince}.", { remembersSince: when(found.remembers_since_ms, nowMs) }));
  }
  if (Number(found.unchecked) > 0) notes.push(ngettext("{count} event recorded while it did not run was not checked.", "{count} events recorded while it did not run were not checked.", Number(found.unchecked)));
  if (Number(found.forgotten) > 0) notes.push(ngettext("{count} lock not heard of for long was forgotten for lack of room.", "{count} locks not heard of for long were forgotten for lack of room.", Number(found.forgotten)));
  if (found.found > found.violations.length) notes.push(gettext("The newest {violations} of {found} violations are listed.", { violations: count(found.violations.length), found: count(found.found) }));
  return notes;
}

/**
 * Both events field by field, without what applies to neither.
 * @param {LockEvent} first
 * @param {LockEvent} second
 * @returns {Field[]}
 */
export function compareEvents(first, second) {
  const one = fieldsOf(first);
  const other = fieldsOf(second);
  return [...one.keys()].map((name) => {
    const pair = { first: one.get(name) ?? "", second: other.get(name) ?? "" };
    return { name, ...pair, same: pair.first === pair.second };
  }).filter((field) => field.first !== "" || field.second !== "");
}

/** @param {LockEvent} event @returns {Map<string, string>} */
function fieldsOf(event) {
  return new Map([
    [gettext("Event"), event.id || gettext("no longer kept")],
    [gettext("Time"), event.time_ms > 0 ? new Date(event.time_ms).toISOString() : ""],
    [gettext("Node"), event.label === event.node || event.label === "" ? event.node : `${event.label} (${event.node})`],
    [gettext("Kind"), event.kind],
    [gettext("Key"), event.key],
    [gettext("Owner"), event.owner],
    [gettext("Generation"), event.generation],
    [gettext("Seq"), event.seq],
    [gettext("View"), event.view],
    [gettext("Version"), event.version],
    [gettext("Peer"), event.peer],
    [gettext("TTL"), event.ttl_ms > 0 ? `${count(event.ttl_ms)} ms` : ""],
    [gettext("Renewals"), event.renewals > 0 ? count(event.renewals) : ""],
    [gettext("Detail"), event.detail],
  ]);
}

/** @param {number} timeMs @param {number} nowMs @returns {string} the time of day, with the date if that is not today's */
function when(timeMs, nowMs) {
  const date = new Date(timeMs);
  const today = nowMs - timeMs < DAY_MS && date.getDate() === new Date(nowMs).getDate();
  return today ? clock(timeMs) : `${date.toLocaleDateString("en-CA")} ${clock(timeMs)}`;
}
