/**
 * What is under the pointer (or the keyboard's cursor) on the ring, in words.
 *
 * Left and right arrow keys walk the arcs, Escape leaves; the tooltip is a polite live region for the keyboard.
 * Elsewhere: painting the outline (ringview.js).
 */

import { make, oncePerFrame, swatch } from "./dom.js";
import { degrees, hex, percent, shortNumber, shorten } from "./format.js";
import { angleOf, locate, TURN } from "./geometry.js";
import { listenKeys } from "./keys.js";
import { CIRCLE } from "./ring.js";
import { gettext } from "./text.js";

const MARK_REACH_PX = 4;

/**
 * @typedef {import("./locks.js").HeldLock} HeldLock
 * @typedef {import("./ring.js").Arc} Arc
 */

export class RingPointer {
  /**
   * @param {{host: HTMLElement, tooltip: HTMLElement, view: import("./ringview.js").RingView,
   *   cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string}} parts
   */
  constructor(parts) {
    this.parts = parts;
    /** @type {Arc[]} */
    this.arcs = [];
    this.ring = parts.cluster.ring;
    this.cursor = -1;
    this.at = { x: 0, y: 0 };
    const look = oncePerFrame(() => this.#look());
    parts.host.addEventListener("pointermove", (event) => {
      const box = parts.host.getBoundingClientRect();
      this.at = { x: event.clientX - box.left, y: event.clientY - box.top };
      look();
    });
    parts.host.addEventListener("pointerleave", () => this.leave());
    parts.host.addEventListener("blur", () => this.leave());
    listenKeys(gettext("On the ring"), parts.host, [
      { keys: ["ArrowRight", "ArrowDown"], does: gettext("next arc"), act: () => this.#walk(1) },
      { keys: ["ArrowLeft", "ArrowUp"], does: gettext("previous arc"), act: () => this.#walk(-1) },
      { keys: ["Escape"], does: gettext("leave the arcs"), act: () => this.leave() },
    ]);
  }

  leave() {
    this.parts.tooltip.hidden = true;
    this.cursor = -1;
    this.at = { x: -1, y: -1 };
    if (this.parts.view.pointed) this.parts.view.point(null);
  }

  /** @returns {Arc[]} the arcs of the ring as it is now */
  #arcs() {
    if (this.ring !== this.parts.cluster.ring || this.arcs.length === 0) {
      this.ring = this.parts.cluster.ring;
      this.arcs = this.ring.arcs();
      this.cursor = -1;
    }
    return this.arcs;
  }

  #look() {
    const { view, cluster } = this.parts;
    const hit = locate(view.geometry, this.at.x, this.at.y);
    if (hit.zone === null || cluster.ring.size === 0) return this.leave();
    const lock = hit.zone === "marks" ? this.#lockNear(hit.position, hit.radius) : null;
    if (lock) {
      view.point(null);
      return this.#tell(this.#lockLines(lock), this.at.x, this.at.y);
    }
    const arc = this.#arcAt(hit.position);
    if (arc) this.#show(arc, hit.zone === "backup" ? "backup" : "primary", this.at.x, this.at.y);
  }

  /** @param {number} position @returns {Arc | undefined} */
  #arcAt(position) {
    return this.#arcs().find((arc) => (position - arc.from + CIRCLE - 1) % CIRCLE < arc.size);
  }

  /** @param {number} position @param {number} radius @returns {HeldLock | null} */
  #lockNear(position, radius) {
    let best = null;
    let least = (MARK_REACH_PX / radius / TURN) * CIRCLE;
    for (const lock of this.parts.cluster.locks.values()) {
      const apart = Math.abs(lock.position - position);
      const distance = Math.min(apart, CIRCLE - apart);
      if (distance < least) {
        best = lock;
        least = distance;
      }
    }
    return best;
  }

  /** @param {1 | -1} step @returns {boolean} */
  #walk(step) {
    const arcs = this.#arcs();
    if (arcs.length === 0) return false;
    this.cursor = this.cursor < 0 ? 0 : (this.cursor + step + arcs.length) % arcs.length;
    const arc = /** @type {Arc} */ (arcs[this.cursor]);
    const { geometry } = this.parts.view;
    const angle = angleOf(arc.from + arc.size / 2);
    const radius = geometry.backup[0] * 0.8;
    this.#show(arc, "primary", geometry.centre + radius * Math.sin(angle), geometry.centre - radius * Math.cos(angle));
    return true;
  }

  /** @param {Arc} arc @param {"primary" | "backup"} zone @param {number} x @param {number} y */
  #show(arc, zone, x, y) {
    this.parts.view.point({ arc, zone });
    const { labelOf } = this.#names();
    this.#tell([
      [gettext("Arc"), `${hex(arc.from)} … ${hex(arc.to)}`],
      [gettext("Share"), percent(arc.size / CIRCLE)],
      [gettext("Primary"), arc.primary === null ? gettext("none") : labelOf(arc.primary)],
      [gettext("Backup"), arc.backup === null ? gettext("none") : labelOf(arc.backup)],
    ], x, y);
  }

  #names() {
    const { cluster, colorOf } = this.parts;
    return { labelOf: (/** @type {string} */ address) => swatch(cluster.labelOf(address), colorOf(address)) };
  }

  /** @param {HeldLock} lock @returns {[string, string | Node][]} */
  #lockLines(lock) {
    const { labelOf } = this.#names();
    return [
      [gettext("Lock"), shorten(lock.key, 60)],
      [gettext("Owner"), shorten(lock.owner, 60) || "–"],
      [gettext("Generation"), shortNumber(lock.generation)],
      [gettext("Position"), `${hex(lock.position)} · ${degrees(lock.position)}`],
      [gettext("Held at"), labelOf(lock.holder)],
      [gettext("Backup"), lock.backup === null ? gettext("none") : labelOf(lock.backup)],
    ];
  }

  /** @param {[string, string | Node][]} lines @param {number} x @param {number} y */
  #tell(lines, x, y) {
    const { tooltip, host } = this.parts;
    tooltip.replaceChildren(make("dl", {}, lines.flatMap(([term, value]) => [make("dt", { text: term }), make("dd", {}, [value])])));
    tooltip.hidden = false;
    const left = Math.min(Math.max(4, x + 16), host.clientWidth - tooltip.offsetWidth - 4);
    const below = y + 18 + tooltip.offsetHeight < host.clientHeight;
    tooltip.style.transform = `translate(${left}px, ${below ? y + 18 : Math.max(4, y - tooltip.offsetHeight - 12)}px)`;
  }
}
