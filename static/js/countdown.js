/**
 * A time that runs out at the server, counted down here between what the server tells. Pure.
 *
 * Invariant: it only jumps back up when the server has started it again; what it is told a little late or early does not
 * make it stutter.
 */

const STARTED_AGAIN_MS = 250;

export class Countdown {
  /** @type {number | null} */
  #endMs = null;

  /** @param {number | null} leftMs what is left, null: it does not run @param {number} nowMs */
  told(leftMs, nowMs) {
    if (leftMs === null) {
      this.#endMs = null;
      return;
    }
    const endMs = nowMs + leftMs;
    if (this.#endMs === null || endMs < this.#endMs || endMs > this.#endMs + STARTED_AGAIN_MS) this.#endMs = endMs;
  }

  /** @param {number} nowMs @returns {number | null} what is left, never below 0; null: it does not run */
  leftMs(nowMs) {
    return this.#endMs === null ? null : Math.max(0, this.#endMs - nowMs);
  }
}
