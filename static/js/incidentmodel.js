/**
 * An incident file as it is replayed: its parts, and what was at any moment of its interval. Pure.
 *
 * Invariants
 *   I1  A moment is the picture at the beginning and every event dated then or earlier, in the order of recording: what
 *       is shown does not depend on how one got there.
 *   I2  The rules for locks are those of the live page (locks.js), the ring is computed (ring.js).
 *   I3  A node that nobody had looked at for VALID_MS is unknown, not well.
 *
 * Elsewhere: what is in the file (dlmsite/dashboard/incident.py), the page (incident.js).
 */

import { HeldLocks } from "./locks.js";
import { HashRing } from "./ring.js";
import { gettext, ngettext } from "./text.js";
import { wide } from "./wide.js";

export const VALID_MS = 70_000;
const NS_PER_MS = 1_000_000n;
const STATES = new Map([["died", "down"], ["fenced", "fenced"], ["unfenced", "up"]]);

/**
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {import("./contract.js").View & {at_ns: string, settled_ns: string, changes: string[]}} View
 * @typedef {import("./contract.js").Action & {started_ms: number | null, ended_ms: number | null, views: {number: string, how: string}[]}} Action
 * @typedef {{format: number, made_ns: string, made_by: string, from_ns: string, to_ns: string, columns: string[],
 *   labels: Record<string, string>, colors: Record<string, number>,
 *   start: {moment: {doubts: string[], missing: number, where: string}, view: import("./contract.js").View | null, nodes: NodeRow[],
 *   locks: import("./contract.js").LockRow[]}, rules: Record<string, string>}} Head
 * @typedef {{events: number, cut: boolean, to_ns: string, says: string[], views: View[], actions: Action[],
 *   nodes: {at_ns: string, nodes: NodeRow[]}[], violations: import("./contract.js").Violation[],
 *   chain: {head: string, checked: number, older: number, unchecked: number, breaks: number, found: string[]}}} End
 * @typedef {{event: LockEvent, ns: bigint, place: string}} Told
 * @typedef {{ns: bigint, kind: "view" | "fault" | "action" | "violation", text: string}} Mark
 */

export class Incident {
  /**
   * @param {Head} head
   * @param {unknown[][][]} pieces of events, in the order of recording
   * @param {End} end
   */
  constructor(head, pieces, end) {
    this.head = head;
    this.end = end;
    this.fromNs = wide(head.from_ns);
    this.toNs = wide(end.to_ns);
    /** @type {Told[]} in the order of recording */
    this.recorded = pieces.flat().map((values) => toldOf(values, head));
    /** @type {Told[]} in the order of time */
    this.events = [...this.recorded].sort((a, b) => (a.ns === b.ns ? Number(wide(a.event.id) - wide(b.event.id)) : a.ns < b.ns ? -1 : 1));
    this.marks = marksOf(this);
    this.ring = new HashRing([]);
    this.locks = new HeldLocks(this.ring);
    /** @type {bigint | null} */
    this.atNs = null;
    this.folded = 0;
    this.viewNumber = "";
  }

  /** @param {string} address @returns {string} */
  labelOf(address) {
    return this.head.labels[address] ?? address;
  }

  /** @param {bigint} ns @returns {bigint} the nearest moment of the interval */
  within(ns) {
    return ns < this.fromNs ? this.fromNs : ns > this.toNs ? this.toNs : ns;
  }

  /** @param {bigint} ns @returns {import("./contract.js").View | null} */
  viewAt(ns) {
    const index = upTo(this.end.views, (view) => wide(view.at_ns), ns);
    const view = this.end.views[index - 1];
    return view === undefined ? this.head.start.view : { ...view, settled: view.settled_ns !== "" && wide(view.settled_ns) <= ns };
  }

  /** @param {bigint} ns @returns {HeldLocks} what was held; the same object until the next call */
  locksAt(ns) {
    const view = this.viewAt(ns);
    const number = view?.number ?? "";
    const news = this.recorded.filter((told) => told.ns <= ns && (this.atNs === null || told.ns > this.atNs));
    const forward = this.atNs !== null && ns >= this.atNs && number === this.viewNumber;
    const first = news[0];
    // One that was recorded before another that is folded already: then all are folded again (I1).
    if (forward && (first === undefined || this.recorded.indexOf(first) >= this.folded)) this.#fold(news);
    else {
      this.ring = HashRing.ofView(view);
      this.locks = new HeldLocks(this.ring);
      this.locks.reset(this.head.start.locks);
      this.folded = 0;
      this.#fold(this.recorded.filter((told) => told.ns <= ns));
    }
    this.atNs = ns;
    this.viewNumber = number;
    return this.locks;
  }

  /** @param {Told[]} news */
  #fold(news) {
    for (const { event } of news) this.locks.apply(event);
    const last = news.at(-1);
    if (last !== undefined) this.folded = this.recorded.indexOf(last) + 1;
  }

  /** @param {bigint} ns @returns {NodeRow[]} as they were seen last, and as events say since */
  nodesAt(ns) {
    const looks = this.end.nodes;
    const look = looks[upTo(looks, (one) => wide(one.at_ns), ns) - 1];
    const seenNs = look === undefined ? this.fromNs : wide(look.at_ns);
    const base = look === undefined ? this.head.start.nodes : look.nodes;
    /** @type {Map<string, string>} */
    const states = new Map();
    for (const { event, ns: at } of this.events.slice(0, this.countAt(ns))) {
      const state = STATES.get(event.kind);
      if (state !== undefined && (at > seenNs || look === undefined)) states.set(event.kind === "died" ? event.peer : event.node, state);
    }
    const held = new Map();
    for (const lock of this.locksAt(ns).values()) held.set(lock.holder, (held.get(lock.holder) ?? 0) + 1);
    const old = Number((ns - seenNs) / NS_PER_MS);
    return base.map((node) => {
      const ageMs = node.seen_age_ms === null ? null : node.seen_age_ms + old;
      const known = (ageMs !== null && ageMs <= VALID_MS) || states.has(node.address);
      return { ...node, state: known ? states.get(node.address) ?? node.state : "unknown", seen_age_ms: ageMs, held_primary: held.get(node.address) ?? 0 };
    });
  }

  /** @param {bigint} ns @returns {number} how many events had happened */
  countAt(ns) {
    return upTo(this.events, (told) => told.ns, ns);
  }

  /** @param {bigint} ns @returns {bigint | null} the next event's time */
  next(ns) {
    return this.events[this.countAt(ns)]?.ns ?? null;
  }

  /** @param {bigint} ns @returns {bigint | null} the time of the last event before this moment */
  previous(ns) {
    return this.events[upTo(this.events, (told) => told.ns, ns - 1n) - 1]?.ns ?? null;
  }

  /** @param {string} id @returns {Told | null} */
  told(id) {
    return this.recorded.find(({ event }) => event.id === id) ?? null;
  }
}

/**
 * @template T
 * @param {readonly T[]} rows in the order of their times
 * @param {(row: T) => bigint} nsOf
 * @param {bigint} ns
 * @returns {number} how many are of then or earlier
 */
export function upTo(rows, nsOf, ns) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (nsOf(/** @type {T} */ (rows[middle])) <= ns) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {unknown[]} values @param {Head} head @returns {Told} */
function toldOf(values, head) {
  const row = /** @type {any} */ (Object.fromEntries(head.columns.map((name, i) => [name, values[i]])));
  const { wall_ns: wallNs, place, ...event } = row;
  const ns = wide(wallNs);
  return { ns, place: String(place), event: { ...event, label: head.labels[row.node] ?? row.node, time_ms: Number(ns / 1_000n) / 1_000 } };
}

/** @param {Incident} incident @returns {Mark[]} what is worth a look, in the order of time */
function marksOf({ events, end, head }) {
  const name = (/** @type {string} */ address) => head.labels[address] ?? address;
  /** @type {Mark[]} */
  const marks = [
    ...end.views.map((view) => ({ ns: wide(view.at_ns), kind: /** @type {const} */ ("view"), text: `${gettext("view {view}", { view: view.number })}: ${view.changes.join(", ")}` })),
    ...end.actions.map((action) => ({ ns: nsOf(action.requested_ms), kind: /** @type {const} */ ("action"), text: `${action.who}: ${action.what} ${action.target} (${action.state})` })),
    ...end.violations.map((violation) => ({ ns: nsOf(Math.max(violation.first.time_ms, violation.second.time_ms)), kind: /** @type {const} */ ("violation"), text: `${violation.rule}: ${violation.text}` })),
    ...events.filter(({ event }) => ["died", "fenced", "gap"].includes(event.kind)).map(({ event, ns }) => (
      { ns, kind: /** @type {const} */ ("fault"), text: `${event.kind === "died" ? gettext("{node} died", { node: name(event.peer) }) : `${event.label} ${event.kind}`}${event.detail === "" ? "" : `: ${event.detail}`}` }
    )),
  ];
  return marks.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
}

/** @param {number} ms @returns {bigint} */
export function nsOf(ms) {
  return BigInt(Math.round(ms * 1_000)) * 1_000n;
}

/** @param {bigint} ns @returns {string} such as 2026-11-21 14:03:00.123, in UTC */
export function utc(ns) {
  return new Date(Number(ns / NS_PER_MS)).toISOString().replace("T", " ").replace("Z", "");
}

/** @param {End["chain"]} chain @returns {{tone: "ok" | "bad" | "unknown", text: string}} whether the rows are what was recorded */
export function tellChain(chain) {
  if (chain.breaks > 0) return { tone: "bad", text: gettext("Not whole: {count} of the rows in between are not what was recorded. {found}", { count: chain.breaks, found: chain.found.join(" · ") }) };
  if (chain.checked === 0) return { tone: "unknown", text: chain.head === "" ? gettext("Nothing is sealed, so nothing can be said.") : gettext("No row of the interval was checked.") };
  const told = [ngettext("{count} row was checked when this file was made: it is sealed upon the one before.", "{count} rows were checked when this file was made, each sealed upon the one before.", chain.checked)];
  if (chain.older > 0) told.push(ngettext("{count} is older than the chain.", "{count} are older than the chain.", chain.older));
  if (chain.unchecked > 0) told.push(ngettext("{count} was not looked at.", "{count} were not looked at.", chain.unchecked));
  return { tone: told.length === 1 ? "ok" : "unknown", text: told.join(" ") };
}
