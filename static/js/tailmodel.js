/**
 * What the live tail shows: filter, pause, and how many wait. Pure.
 *
 * Invariant: while paused the list does not change; what waits is counted, not lost (as far as the page keeps events).
 */

/**
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {{text: string, kind: string, node: string}} Filter empty parts match everything
 */

/** @param {LockEvent} event @param {Filter} filter @returns {boolean} */
export function matches(event, { text, kind, node }) {
  if (kind !== "" && event.kind !== kind) return false;
  if (node !== "" && event.node !== node) return false;
  if (text === "") return true;
  const wanted = text.toLowerCase();
  return [event.key, event.owner, event.detail, event.label, event.kind, event.generation, event.session, event.peer]
    .some((field) => field.toLowerCase().includes(wanted));
}

export class Tail {
  constructor() {
    /** @type {Filter} */
    this.filter = { text: "", kind: "", node: "" };
    /** @type {readonly LockEvent[] | null} the list as it was when it was paused */
    this.frozen = null;
    this.waiting = 0;
  }

  get paused() {
    return this.frozen !== null;
  }

  /** @param {readonly LockEvent[]} events as they are now, oldest first */
  pause(events) {
    this.frozen = events;
    this.waiting = 0;
  }

  resume() {
    this.frozen = null;
    this.waiting = 0;
  }

  /** @param {readonly LockEvent[]} fresh */
  noteNew(fresh) {
    if (this.paused) this.waiting += fresh.filter((event) => matches(event, this.filter)).length;
  }

  /**
   * @param {readonly LockEvent[]} events as they are now, oldest first
   * @param {number} limit
   * @returns {LockEvent[]} newest first, at most `limit`
   */
  rows(events, limit) {
    const source = this.frozen ?? events;
    /** @type {LockEvent[]} */
    const rows = [];
    for (let i = source.length - 1; i >= 0 && rows.length < limit; i -= 1) {
      const event = /** @type {LockEvent} */ (source[i]);
      if (matches(event, this.filter)) rows.push(event);
    }
    return rows;
  }
}
