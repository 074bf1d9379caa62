/**
 * The ring on its canvas: decides when to paint what.
 *
 * Invariants
 *   V1  Nothing is painted when nothing changed: no idle loop. A timer runs only while arcs are moving.
 *   V2  Bands and marks live on canvases of their own, stacked by the browser, and are repainted only when their model,
 *       size or theme changes. (Copying one canvas to another waits until it is rastered: 20 ms and more.)
 *   V3  Each redraw is a performance measure named `ring-frame` (script time, milliseconds).
 *   V4  With prefers-reduced-motion nothing moves; moved arcs stay outlined until the next change.
 *
 * Elsewhere: shapes (ringpaths.js), painting (ringlayers.js), what is under the pointer (ringpointer.js).
 */

import { easeCubicInOut } from "d3-ease";
import { timer } from "d3-timer";

import { oncePerFrame } from "./dom.js";
import { geometryOf } from "./geometry.js";
import { paintBase, paintMarks, paintMoves, paintNode, paintOutline, paintOutlines, paintWalk } from "./ringlayers.js";
import { markPaths, ringPaths } from "./ringpaths.js";
import { gettext } from "./text.js";

const MOVE_MS = 1_200;
const DIM = "0.16";
const MEASURES_KEPT = 600;
const REDUCED = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @typedef {{arc: {from: number, size: number}, zone: "primary" | "backup"}} Pointed
 * @typedef {{position: number, steps: import("./ring.js").Step[]}} Walk
 */

export class RingView {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./cluster.js").Cluster} cluster
   * @param {(address: string) => string} colorOf
   */
  constructor(canvas, cluster, colorOf) {
    this.canvas = canvas;
    this.cluster = cluster;
    this.colorOf = colorOf;
    this.marks = layerAbove(canvas);
    this.over = layerAbove(this.marks);
    this.overUsed = false;
    this.stale = { size: true, paths: true, base: true, marks: true };
    this.geometry = geometryOf(canvas.clientWidth || 600);
    this.paths = ringPaths(cluster.ring, this.geometry);
    /** @type {Map<string, Path2D>} */
    this.markPaths = new Map();
    this.theme = themeOf(canvas);
    /** @type {string | null} */
    this.highlighted = null;
    /** @type {Pointed | null} */
    this.pointed = null;
    /** @type {Walk | null} */
    this.walk = null;
    /** @type {import("./ringdiff.js").Move[]} */
    this.moves = [];
    this.progress = 1;
    /** @type {import("d3-timer").Timer | null} */
    this.timer = null;
    this.measured = 0;
    this.redraw = oncePerFrame(() => this.#frame());
    new ResizeObserver(() => this.#invalidate("size")).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.restyle());
    REDUCED.addEventListener("change", () => this.#rest());
  }

  /** The theme or the nodes' colours or labels have changed. */
  restyle() {
    this.theme = themeOf(this.canvas);
    this.stale.marks = true;
    this.#invalidate("base");
  }

  /** Held locks have changed. */
  locksChanged() {
    this.#invalidate("marks");
  }

  /** @param {import("./cluster.js").RingChange} change */
  ringChanged(change) {
    this.stale.marks = true;
    this.pointed = null;
    this.moves = change.first ? [] : change.diff.moves;
    this.timer?.stop();
    this.timer = null;
    this.#invalidate("paths");
    if (this.moves.length === 0 || REDUCED.matches || document.hidden) return this.#rest();
    this.progress = 0;
    this.timer = timer((elapsed) => {
      this.progress = easeCubicInOut(Math.min(1, elapsed / MOVE_MS));
      if (elapsed >= MOVE_MS) this.#rest();
      this.#frame();
    });
  }

  #rest() {
    this.timer?.stop();
    this.timer = null;
    this.progress = 1;
    if (!REDUCED.matches) this.moves = [];
    this.redraw();
  }

  /** Show one node alone; null shows all. @param {string | null} address */
  highlight(address) {
    if (address === this.highlighted) return;
    this.highlighted = address;
    this.redraw();
  }

  /** @param {Pointed | null} pointed */
  point(pointed) {
    this.pointed = pointed;
    this.redraw();
  }

  /** @param {Walk | null} walk */
  showWalk(walk) {
    this.walk = walk;
    this.redraw();
  }

  /** @param {"size" | "paths" | "base" | "marks"} what */
  #invalidate(what) {
    this.stale[what] = true;
    this.redraw();
  }

  #frame() {
    const start = performance.now();
    this.#refresh();
    const alone = this.highlighted !== null && this.paths.byServer.has(this.highlighted) ? this.highlighted : null;
    for (const layer of [this.canvas, this.marks]) layer.style.opacity = alone === null ? "" : DIM;
    const used = alone !== null || this.moves.length > 0 || this.pointed !== null || this.walk !== null;
    if (used || this.overUsed) paintLayer(this.over, (ctx) => this.#paintOver(ctx, alone));
    this.overUsed = used;
    this.#measure(start);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {string | null} alone */
  #paintOver(ctx, alone) {
    const look = this.#look();
    if (alone !== null) {
      paintNode(ctx, look, this.paths, alone, this.cluster.ring.down.has(alone));
      paintMarks(ctx, look, this.markPaths, this.cluster.locks.size, alone);
    }
    if (this.timer) paintMoves(ctx, look, this.moves, this.progress);
    else paintOutlines(ctx, look, this.moves);
    if (this.pointed) paintOutline(ctx, look, this.pointed.arc, this.geometry[this.pointed.zone]);
    if (this.walk) paintWalk(ctx, look, this.walk);
  }

  /** Bring the layers up to date, the stale ones only. */
  #refresh() {
    if (this.stale.size) this.#resize();
    if (this.stale.paths) this.paths = ringPaths(this.cluster.ring, this.geometry);
    if (this.stale.paths || this.stale.base) {
      paintLayer(this.canvas, (ctx) => paintBase(ctx, this.#look(), this.cluster.ring, this.paths));
    }
    if (this.stale.marks) {
      this.markPaths = markPaths(this.cluster.locks.values(), this.geometry);
      paintLayer(this.marks, (ctx) => paintMarks(ctx, this.#look(), this.markPaths, this.cluster.locks.size));
    }
    this.stale = { size: false, paths: false, base: false, marks: false };
  }

  #resize() {
    const side = Math.round((this.canvas.clientWidth || 1) * devicePixelRatio);
    this.geometry = geometryOf(this.canvas.clientWidth || 1);
    for (const canvas of [this.canvas, this.marks, this.over]) {
      canvas.width = side;
      canvas.height = side;
    }
    this.overUsed = true;
    this.stale.paths = true;
    this.stale.marks = true;
  }

  /** @returns {import("./ringlayers.js").Look} */
  #look() {
    return {
      geometry: this.geometry,
      theme: this.theme,
      colorOf: this.colorOf,
      labelOf: (address) => this.cluster.labelOf(address),
    };
  }

  /** @param {number} start */
  #measure(start) {
    this.measured += 1;
    if (this.measured % MEASURES_KEPT === 0) performance.clearMeasures("ring-frame");
    performance.measure("ring-frame", { start, end: performance.now() });
  }
}

/** @param {HTMLCanvasElement} below @returns {HTMLCanvasElement} a canvas over it that no pointer or reader meets */
function layerAbove(below) {
  const layer = document.createElement("canvas");
  layer.className = "layer";
  layer.setAttribute("aria-hidden", "true");
  below.after(layer);
  return layer;
}

/**
 * Clear a layer and paint it anew, the origin in its centre, the unit a CSS pixel.
 * @param {HTMLCanvasElement} layer
 * @param {(ctx: CanvasRenderingContext2D) => void} paint
 */
export function paintLayer(layer, paint) {
  const ctx = contextOf(layer);
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.clearRect(0, 0, layer.width, layer.height);
  ctx.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, layer.width / 2, layer.height / 2);
  paint(ctx);
}

/** @param {HTMLCanvasElement} canvas @returns {CanvasRenderingContext2D} */
function contextOf(canvas) {
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser has no 2D canvas");
  return context;
}

/** @param {Element} element @returns {import("./ringlayers.js").Theme} */
export function themeOf(element) {
  const style = getComputedStyle(element);
  const of = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    ink: of("--ink"), muted: of("--muted"), paper: of("--panel"), line: of("--line-strong"), track: of("--track"),
    accent: of("--accent"), font: style.fontFamily,
  };
}
