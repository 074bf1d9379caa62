/**
 * The locks that are held now, folded from a snapshot and the events after it.
 *
 * Pure. Invariants
 *   H1  One entry per key; its (generation, seq) never goes back.
 *   H2  A generation that was released or has expired is never shown as held again, however late an event comes.
 *   H3  Bounded: at most LOCKS_MAX entries and GONE_MAX memories of what is gone.
 *
 * Events of different nodes may be recorded out of order, hence H1 and H2 are checked, not assumed.
 * Elsewhere: who owns a position (ring.js).
 */

import { crc32OfText } from "./crc32.js";
import { compareWide } from "./wide.js";

export const LOCKS_MAX = 50_000;
export const GONE_MAX = 10_000;

/**
 * @typedef {{key: string, owner: string, generation: string, seq: string, position: number,
 *   holder: string, primary: string | null, backup: string | null, sinceMs: number, ttlMs: number, session: string}} HeldLock
 */

const HOLDING = new Set(["granted", "readmitted", "promoted", "transferred", "demoted", "migrated"]);
const ENDING = new Set(["released", "expired"]);

export class HeldLocks {
  /** @param {import("./ring.js").HashRing} ring */
  constructor(ring) {
    /** @type {Map<string, HeldLock>} */
    this.byKey = new Map();
    /** @type {Map<string, string>} key -> the generation that is over */
    this.gone = new Map();
    this.ring = ring;
    /** How many the bound kept out; the page says so. */
    this.leftOut = 0;
  }

  get size() {
    return this.byKey.size;
  }

  /** @returns {IterableIterator<HeldLock>} */
  values() {
    return this.byKey.values();
  }

  /** @param {string} key @returns {HeldLock | undefined} */
  get(key) {
    return this.byKey.get(key);
  }

  /**
   * Start again from a snapshot.
   * @param {import("./contract.js").LockRow[]} rows
   */
  reset(rows) {
    this.byKey.clear();
    this.gone.clear();
    this.leftOut = 0;
    this.add(rows);
  }

  /**
   * Take more rows of the same snapshot.
   * @param {readonly import("./contract.js").LockRow[]} rows
   */
  add(rows) {
    for (const [key, owner, generation, seq, holder, sinceMs, ttlMs, session] of rows) {
      if (this.byKey.size >= LOCKS_MAX && !this.byKey.has(key)) this.leftOut += 1;
      else this.#put({ key, owner, generation, seq, holder, sinceMs, ttlMs, session: session ?? "" });
    }
  }

  /**
   * Fold one event.
   * @param {import("./contract.js").LockEvent} event
   * @returns {boolean} whether anything held has changed
   */
  apply(event) {
    if (event.key === "") return false;
    if (ENDING.has(event.kind)) return this.#end(event);
    if (HOLDING.has(event.kind)) return this.#hold(event);
    return false;
  }

  /**
   * A view was published: locks go to whom the ring says, until an event says otherwise.
   * @param {import("./ring.js").HashRing} ring
   */
  moveTo(ring) {
    this.ring = ring;
    for (const lock of this.byKey.values()) {
      Object.assign(lock, ring.ownersAt(lock.position));
      lock.holder = lock.primary ?? lock.holder;
    }
  }

  /** @param {import("./contract.js").LockEvent} event @returns {boolean} */
  #end(event) {
    const lock = this.byKey.get(event.key);
    if (lock) {
      if (compareWide(event.generation, lock.generation) < 0) return false;
      // A node that no longer serves the key may see its old copy run out while the lock lives on elsewhere.
      const serves = event.node === lock.holder || event.node === lock.primary;
      if (event.kind === "expired" && !serves) return false;
    }
    this.#remember(event.key, event.generation);
    return this.byKey.delete(event.key);
  }

  /** @param {import("./contract.js").LockEvent} event @returns {boolean} */
  #hold(event) {
    const lock = this.byKey.get(event.key);
    if (compareWide(event.generation, this.gone.get(event.key)) <= 0) return false;
    const fresh = lock === undefined || compareWide(event.generation, lock.generation) > 0;
    if (fresh) return this.#begin(event);
    if (compareWide(event.generation, lock.generation) < 0) return false;
    if (compareWide(event.seq, lock.seq) < 0) return false;
    lock.seq = event.seq;
    lock.holder = this.#holderOf(event);
    lock.ttlMs = event.ttl_ms || lock.ttlMs;
    lock.owner = event.owner || lock.owner;
    if (event.kind !== "demoted") lock.session = event.session;
    return true;
  }

  /** @param {import("./contract.js").LockEvent} event @returns {boolean} */
  #begin(event) {
    if (event.kind === "demoted") return false;
    if (!this.byKey.has(event.key) && this.byKey.size >= LOCKS_MAX) {
      this.leftOut += 1;
      return false;
    }
    const { key, owner, generation, seq, session } = event;
    this.#put({ key, owner, generation, seq, session, holder: this.#holderOf(event), sinceMs: event.time_ms, ttlMs: event.ttl_ms });
    return true;
  }

  /**
   * Which node has the lock after the event.
   *
   * A transfer or a demotion names two nodes; the one that the ring calls primary is the one that has it now.
   * @param {import("./contract.js").LockEvent} event
   * @returns {string}
   */
  #holderOf(event) {
    if (event.kind !== "transferred" && event.kind !== "demoted") return event.node;
    const { primary } = this.ring.owners(event.key);
    if (primary !== null && (primary === event.peer || primary === event.node)) return primary;
    return event.kind === "demoted" && event.peer !== "" ? event.peer : event.node;
  }

  /** @param {Omit<HeldLock, "position" | "primary" | "backup">} lock */
  #put(lock) {
    const position = this.byKey.get(lock.key)?.position ?? crc32OfText(lock.key);
    this.byKey.set(lock.key, { ...lock, position, ...this.ring.ownersAt(position) });
    this.gone.delete(lock.key);
  }

  /** @param {string} key @param {string} generation */
  #remember(key, generation) {
    if (compareWide(generation, this.gone.get(key)) < 0) return;
    this.gone.delete(key);
    this.gone.set(key, generation);
    if (this.gone.size > GONE_MAX) this.gone.delete(/** @type {string} */ (this.gone.keys().next().value));
  }
}
