/**
 * The cluster as the page knows it: the fold of a snapshot and the deltas after it.
 *
 * Pure: messages come in, a summary of what changed comes out; no DOM, no clock, no network.
 *
 * Invariants
 *   C1  Event ids only grow: an event that was folded once is never folded again.
 *   C2  View numbers only grow between snapshots; a snapshot is the truth and may replace anything.
 *   C3  After skipped events, a gap or a settled view the held locks are marked doubtful, and the page asks for a snapshot.
 *   C4  Bounded: EVENTS_MAX events, ACTIONS_MAX actions.
 *
 * Elsewhere: held locks (locks.js), the ring (ring.js), the socket (socket.js).
 */

import { HeldLocks } from "./locks.js";
import { HashRing } from "./ring.js";
import { diffRings } from "./ringdiff.js";
import { compareWide } from "./wide.js";

export const EVENTS_MAX = 1_000;
export const ACTIONS_MAX = 20;

/**
 * @typedef {{before: HashRing, after: HashRing, diff: import("./ringdiff.js").RingDiff,
 *   first: boolean}} RingChange `first`: there was no view before, so nothing moved
 * @typedef {{reset: boolean, ring: RingChange | null, view: boolean, nodes: boolean, heard: boolean, locks: boolean,
 *   actions: boolean, workload: boolean, master: boolean, invariants: boolean, events: import("./contract.js").LockEvent[], skipped: number,
 *   doubtful: boolean}} Change `heard`: the nodes were told of, mostly as they were but for their ages
 */

/** @returns {Change} */
function nothing() {
  return {
    reset: false, ring: null, view: false, nodes: false, heard: false, locks: false, actions: false, workload: false,
    master: false, invariants: false, events: [], skipped: 0, doubtful: false,
  };
}

export class Cluster {
  constructor() {
    this.ready = false;
    this.lastEventId = "0";
    /** @type {import("./contract.js").View | null} */
    this.view = null;
    this.ring = new HashRing([]);
    this.locks = new HeldLocks(this.ring);
    /** @type {import("./contract.js").NodeRow[]} */
    this.nodes = [];
    /** @type {import("./contract.js").Action[]} newest first */
    this.actions = [];
    /** @type {import("./contract.js").Workload} */
    this.workload = { available: false, on: false };
    /** @type {import("./contract.js").Master | null} */
    this.master = null;
    /** @type {import("./contract.js").Invariants | null} null: nobody has told */
    this.invariants = null;
    /** @type {import("./contract.js").LockEvent[]} oldest first */
    this.events = [];
  }

  /**
   * @param {string | null} address
   * @returns {string} the short name people use; the address itself when nobody has told one
   */
  labelOf(address) {
    if (address === null || address === "") return "nobody";
    const known = this.nodes.find((n) => n.address === address) ?? this.view?.members.find((m) => m.address === address);
    return known?.label || address;
  }

  /** @param {string} address @returns {number} the node's lasting colour */
  colorOf(address) {
    const known = this.nodes.findIndex((n) => n.address === address);
    if (known >= 0) return this.nodes[known]?.color ?? known;
    const inRing = this.ring.servers.indexOf(address);
    if (inRing >= 0) return inRing;
    const taken = new Set(this.nodes.map((n) => n.color)); // a node to come gets the first that is free
    let free = 0;
    while (taken.has(free)) free += 1;
    return free;
  }

  /**
   * Take a whole picture.
   * @param {import("./contract.js").Snapshot} snapshot
   * @returns {Change | null} null when it is older than what is known
   */
  applySnapshot(snapshot, { force = true } = {}) {
    if (!force && compareWide(snapshot.last_event_id, this.lastEventId) < 0) return null;
    const change = nothing();
    const known = this.lastEventId;
    change.reset = true;
    change.ring = this.#setView(snapshot.view);
    this.locks.reset(snapshot.locks);
    this.nodes = snapshot.nodes;
    this.workload = snapshot.workload;
    this.master = snapshot.master ?? null;
    this.invariants = snapshot.invariants ?? null;
    this.actions = snapshot.actions;
    this.#sortActions();
    // A picture from before what we know means another history (a new data folder): start over.
    if (compareWide(snapshot.last_event_id, known) < 0) this.events = [];
    change.events = this.#keepEvents(snapshot.events);
    this.lastEventId = snapshot.last_event_id;
    this.ready = true;
    return Object.assign(change, { view: true, nodes: true, heard: true, locks: true, actions: true, workload: true, master: true, invariants: true });
  }

  /**
   * Take the locks that did not fit into the snapshot; they come before any delta.
   * @param {import("./contract.js").MoreLocks} more
   * @returns {Change | null} null when there was no snapshot
   */
  applyMoreLocks(more) {
    if (!this.ready) return null;
    this.locks.add(more.locks);
    return Object.assign(nothing(), { locks: true });
  }

  /**
   * Take what has happened since.
   * @param {import("./contract.js").Delta} delta
   * @returns {Change | null} null when it is older than what is known, or came before any snapshot
   */
  applyDelta(delta) {
    if (!this.ready || compareWide(delta.last_event_id, this.lastEventId) < 0) return null;
    const change = nothing();
    if (delta.view !== undefined && !this.#isOlder(delta.view)) {
      const wasSettled = this.view?.settled ?? false;
      change.view = true;
      change.ring = this.#setView(delta.view);
      change.locks = change.ring !== null;
      change.doubtful = !wasSettled && (this.view?.settled ?? false);
    }
    this.#foldEvents(delta, change);
    if (delta.nodes) {
      change.heard = true;
      change.nodes = !sameButAges(this.nodes, delta.nodes);
      this.nodes = delta.nodes;
    }
    if (delta.workload) this.workload = delta.workload;
    if (delta.master !== undefined) this.master = delta.master;
    if (delta.invariants) this.invariants = delta.invariants;
    for (const action of delta.actions ?? []) this.noteAction(action);
    change.workload = delta.workload !== undefined;
    change.master = delta.master !== undefined;
    change.invariants = delta.invariants !== undefined;
    change.actions = (delta.actions?.length ?? 0) > 0;
    this.lastEventId = delta.last_event_id;
    return change;
  }

  /**
   * Keep an operator's action; its state never goes back.
   * @param {import("./contract.js").Action} action
   */
  noteAction(action) {
    const steps = ["requested", "running", "done", "failed"];
    const known = this.actions.find((a) => a.id === action.id);
    if (known && steps.indexOf(known.state) > steps.indexOf(action.state)) return;
    this.actions = [action, ...this.actions.filter((a) => a.id !== action.id)];
    this.#sortActions();
  }

  #sortActions() {
    this.actions = [...this.actions].sort((a, b) => -compareWide(a.id, b.id)).slice(0, ACTIONS_MAX);
  }

  /** @param {import("./contract.js").View | null} view @returns {boolean} */
  #isOlder(view) {
    return this.view !== null && (view === null || compareWide(view.number, this.view.number) < 0);
  }

  /**
   * @param {import("./contract.js").View | null} view
   * @returns {RingChange | null} null when nobody's arcs have changed
   */
  #setView(view) {
    const before = this.ring;
    const first = this.view === null;
    const after = HashRing.ofView(view);
    this.view = view;
    if (sameRing(before, after)) return null;
    this.ring = after;
    this.locks.moveTo(after);
    return { before, after, diff: diffRings(before, after), first };
  }

  /** @param {import("./contract.js").Delta} delta @param {Change} change */
  #foldEvents(delta, change) {
    change.skipped = delta.skipped;
    change.doubtful ||= delta.skipped > 0;
    const fresh = delta.events.filter((event) => compareWide(event.id, this.lastEventId) > 0);
    for (const event of fresh) {
      if (this.locks.apply(event)) change.locks = true;
      if (event.kind === "gap") change.doubtful = true;
    }
    change.events = this.#keepEvents(fresh);
  }

  /**
   * @param {import("./contract.js").LockEvent[]} events in any order
   * @returns {import("./contract.js").LockEvent[]} those that were not known, oldest first
   */
  #keepEvents(events) {
    const newest = this.events.at(-1)?.id ?? "0";
    const fresh = events.filter((event) => compareWide(event.id, newest) > 0).sort((a, b) => compareWide(a.id, b.id));
    this.events = [...this.events, ...fresh].slice(-EVENTS_MAX);
    return fresh;
  }
}

/** @param {HashRing} a @param {HashRing} b @returns {boolean} */
function sameRing(a, b) {
  return a.servers.join() === b.servers.join() && [...a.down].sort().join() === [...b.down].sort().join();
}

/**
 * @param {import("./contract.js").NodeRow[]} before
 * @param {import("./contract.js").NodeRow[]} after
 * @returns {boolean} whether nothing differs but how long ago each was heard and looked at
 */
function sameButAges(before, after) {
  const timeless = (/** @type {import("./contract.js").NodeRow} */ node) => JSON.stringify({ ...node, heartbeat_age_ms: 0, seen_age_ms: 0 });
  return before.length === after.length && after.every((node, i) => {
    const old = before[i];
    return old !== undefined && isKnown(node) === isKnown(old) && timeless(node) === timeless(old);
  });
}

/** @param {import("./contract.js").NodeRow} node @returns {boolean} whether it was heard and looked at, ever */
function isKnown(node) {
  return node.heartbeat_age_ms !== null && node.seen_age_ms !== null;
}
