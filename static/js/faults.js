/**
 * What is done to nodes on purpose: which are paused or cut off, what may be done next, and what it will do.
 *
 * Pure: messages and the time come in, state and sentences go out.
 *
 * Invariants
 *   H1  A hold is what the server has seen; nothing here is guessed from a click.
 *   H2  What is foretold follows from the node lease, the margin and who is cut off: no measured figure is claimed.
 *
 * Elsewhere: the dialog (disturb.js), badges and buttons (holdcells.js), the rehearsal (rehearse.js).
 *
 * @typedef {"everything" | "master" | "peers"} Scope
 * @typedef {"both" | "in" | "out"} Way
 * @typedef {{kind: "pause"} | {kind: "isolate", scope: Scope, way: Way}} Disturbance
 * @typedef {{label: string, kind: "paused" | "isolated", scope: string, way: string, who: string, text: string,
 *   since_ms: number, until_ms: number | null}} Hold
 * @typedef {{number: number, phase: "begun" | "over", title: string, target: string, settled_ms: number | null,
 *   failover_ms: number | null, problem: string}} RehearsalLine
 * @typedef {{title: string, trials: number, violations: number, locks_lost: number, failover_p50_ms: number | null,
 *   failover_p99_ms: number | null, failover_samples: number, unavailable_mean_ms: number,
 *   not_settled: number}} RehearsalRow
 * @typedef {{rule: string, text: string, records: string[]}} RehearsalViolation
 * @typedef {{rows: RehearsalRow[], violations: RehearsalViolation[], violations_total: number, trials: number,
 *   lost: number, bound_percent: number | null, verdict: string}} Report
 * @typedef {{id: string, who: string, seconds: number, nodes: number, seed: number,
 *   state: "running" | "passed" | "violated" | "stopped" | "failed", detail: string, lines: RehearsalLine[],
 *   events: string, violations: number, report: Report | null, started_ms: number, faults_ms: number | null,
 *   ended_ms: number | null}} Rehearsal
 */

import { clock } from "./format.js";
import { NOT_LIVE } from "./plan.js";
import { gettext } from "./text.js";

const LEASE_S = 2;
const DOWN_S = 2.5;
const APART_S = 4;
const SECOND_MS = 1_000;
const GONE = new Set(["stopped", "killed"]);

/** The holds and the rehearsal as the last messages told them. */
export class Faults {
  constructor() {
    /** @type {Map<string, Hold>} by label */
    this.holds = new Map();
    /** @type {Rehearsal | null} */
    this.rehearsal = null;
  }

  /**
   * Take what a message tells of them; snapshots tell all, deltas what has changed.
   * @param {{holds?: Hold[], rehearsal?: Rehearsal | null}} message
   * @returns {{holds: boolean, rehearsal: boolean}} what has changed
   */
  apply(message) {
    if (message.holds !== undefined) this.holds = new Map(message.holds.map((hold) => [hold.label, hold]));
    if (message.rehearsal !== undefined) this.rehearsal = message.rehearsal;
    return { holds: message.holds !== undefined, rehearsal: message.rehearsal !== undefined };
  }
}

/** @param {Hold} hold @param {number} nowMs @returns {string} such as "paused, 4 s" or "isolated from master (in), 7 s" */
export function holdText(hold, nowMs) {
  const from = hold.kind === "paused" || hold.scope === "everything" ? "" : ` from ${hold.scope}`;
  const text = `${hold.kind}${from}${hold.way === "in" || hold.way === "out" ? ` (${hold.way})` : ""}`;
  if (hold.until_ms === null) return text;
  const leftS = Math.ceil((hold.until_ms - nowMs) / SECOND_MS);
  return leftS > 0 ? `${text}, ${leftS} s` : `${text}, ending`;
}

/** @param {Hold} hold @returns {"resume" | "heal"} what ends it */
export function endOf(hold) {
  return hold.kind === "paused" ? "resume" : "heal";
}

/**
 * Whether a node's button makes sense now, and if not, why.
 * @param {{label: string, state: string, pid: number | null}} node
 * @param {Hold | undefined} hold
 * @param {{live: boolean, actions: import("./contract.js").Action[]}} now
 * @returns {{enabled: boolean, why: string}}
 */
export function disturbable(node, hold, { live, actions }) {
  if (!live) return { enabled: false, why: NOT_LIVE };
  const pending = actions.find((a) => a.target === node.label && (a.state === "requested" || a.state === "running"));
  if (pending) return { enabled: false, why: gettext("{what} of {label} is {state}: wait for its end", { what: pending.what, label: node.label, state: pending.state }) };
  if (hold) return { enabled: true, why: gettext("{label} is {text}, asked for by {who}. End that now", { label: node.label, text: hold.text, who: hold.who }) };
  if (GONE.has(node.state) || node.pid === null) return { enabled: false, why: gettext("{label} has no process here to disturb", { label: node.label }) };
  return { enabled: true, why: gettext("Pause {label}, or cut it off from others", { label: node.label }) };
}

/**
 * What a disturbance will do, in sentences.
 * @param {Disturbance} what
 * @param {string} label
 * @param {{seconds: number | null, nowMs: number, others: number}} when `seconds` null: no timer; `others`: living members beside it
 * @returns {{lead: string, effects: string[], warning: string}}
 */
export function foretell(what, label, { seconds, nowMs, others }) {
  const lasts = (/** @type {number} */ s) => seconds === null || seconds > s;
  const effects = what.kind === "pause" ? ofPause(label, lasts) : ofIsolation(what, label, lasts);
  if (seconds === null) effects.push(gettext("Nothing ends it but you: there is no timer."));
  else {
    const at = clock(nowMs + seconds * SECOND_MS);
    if (what.kind === "pause") effects.push(gettext("Resumes by itself at {at}, or when this site runs again, should it end before.", { at }));
    else effects.push(gettext("Heals by itself at {at}, also if this site has died by then.", { at }));
  }
  if (lasts(LEASE_S)) effects.push(gettext("Afterwards {label} comes back as the same life and takes its arcs back.", { label }));
  return { lead: leadOf(what, label), effects, warning: others > 0 ? "" : gettext("No other node lives: meanwhile nothing is served.") };
}

/** @param {Disturbance} what @param {string} label */
function leadOf(what, label) {
  if (what.kind === "pause") return gettext("Sends SIGSTOP to {label}: it stands still, its connections stay open.", { label });
  const whom = { everything: gettext("everything, its clients too"), master: gettext("the master"), peers: gettext("the other nodes") }[what.scope];
  const way = { both: gettext("both ways"), in: gettext("it still speaks, and hears nothing"), out: gettext("it still hears, and is not heard") }[what.way];
  return gettext("{label} is cut off from {whom}; {way}. Messages are held, and no connection is closed.", { label, whom, way });
}

/** @param {string} label @param {(s: number) => boolean} lasts @returns {string[]} */
function ofPause(label, lasts) {
  if (!lasts(LEASE_S)) return [gettext("Shorter than the node lease of {lease} s: nobody takes over. Requests to {label} wait for it.", { lease: LEASE_S, label })];
  return [
    gettext("After {lease} s its node lease is over: when it wakes, it is fenced before it answers anybody.", { lease: LEASE_S }),
    ...(lasts(DOWN_S) ? [gettext("After about {down} s the master marks it down, and its backups take over.", { down: DOWN_S })] : []),
  ];
}

/** @param {Disturbance & {kind: "isolate"}} what @param {string} label @param {(s: number) => boolean} lasts @returns {string[]} */
function ofIsolation({ scope }, label, lasts) {
  if (scope === "peers") {
    const waits = gettext("Locks that {label} shares with another node wait: nothing is acknowledged with one copy.", { label });
    return lasts(APART_S) ? [waits, gettext("Within about {apart} s the master takes one of those that do not reach each other out of the ring.", { apart: APART_S })] : [waits];
  }
  if (!lasts(LEASE_S)) return [gettext("Shorter than the node lease of {lease} s: {label} is not fenced, and nobody takes over.", { lease: LEASE_S, label })];
  return [
    gettext("{label} is fenced after {lease} s: it refuses everything.", { label, lease: LEASE_S }),
    ...(lasts(DOWN_S) ? [gettext("After about {down} s the master marks it down, and its backups take over.", { down: DOWN_S })] : []),
  ];
}
