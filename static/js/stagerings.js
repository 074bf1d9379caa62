/**
 * Two small rings beside each other: as it is, and as it would be, with what moves outlined in the second.
 *
 * Painted when they change, never in between. Elsewhere: shapes (ringpaths.js), painting (ringlayers.js).
 */

import { oncePerFrame } from "./dom.js";
import { geometryOf } from "./geometry.js";
import { HashRing } from "./ring.js";
import { diffRings } from "./ringdiff.js";
import { paintBase, paintOutlines } from "./ringlayers.js";
import { ringPaths } from "./ringpaths.js";
import { paintLayer, themeOf } from "./ringview.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");

export class StageRings {
  /**
   * @param {{before: HTMLCanvasElement, after: HTMLCanvasElement, colorOf: (address: string) => string,
   *   labelOf: (address: string) => string}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.drawn = "";
    this.rings = { before: new HashRing([]), after: new HashRing([]) };
    /** @type {import("./ringdiff.js").Move[]} */
    this.moves = [];
    this.redraw = oncePerFrame(() => this.#paint());
    new ResizeObserver(this.redraw).observe(parts.before);
    DARK.addEventListener("change", this.redraw);
  }

  /** @param {import("./stagecontract.js").PlannedNode[]} nodes */
  show(nodes) {
    const drawn = JSON.stringify(nodes);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const of = (/** @type {"before" | "after"} */ when) => new HashRing(nodes.filter((node) => node[when]).map((node) => node.address));
    this.rings = { before: of("before"), after: of("after") };
    this.moves = diffRings(this.rings.before, this.rings.after).moves.filter((move) => move.role === "primary");
    this.redraw();
  }

  #paint() {
    for (const when of /** @type {const} */ (["before", "after"])) {
      const canvas = this.parts[when];
      if (canvas.clientWidth === 0) continue;
      const side = Math.round(canvas.clientWidth * devicePixelRatio);
      if (canvas.width !== side) canvas.width = canvas.height = side;
      const geometry = geometryOf(canvas.clientWidth);
      const look = { geometry, theme: themeOf(canvas), colorOf: this.parts.colorOf, labelOf: this.parts.labelOf };
      const ring = this.rings[when];
      paintLayer(canvas, (ctx) => {
        paintBase(ctx, look, ring, ringPaths(ring, geometry));
        if (when === "after") paintOutlines(ctx, look, this.moves);
      });
    }
  }
}
