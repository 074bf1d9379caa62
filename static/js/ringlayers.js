/**
 * Painting the ring: bands, ticks, labels, marks, moving arcs, the walk of a key.
 *
 * Every function paints on a context whose origin is the centre and whose unit is the CSS pixel, and leaves it as found.
 * Nothing here keeps state or decides when to paint (ringview.js does).
 */

import { interpolateLab } from "d3-interpolate";
import { arc } from "d3-shape";

import { angleOf, anglesOf, CANVAS_TURN, TURN } from "./geometry.js";
import { inkOn } from "./palette.js";
import { CIRCLE } from "./ring.js";
import { middle } from "./ringpaths.js";

/**
 * @typedef {{ink: string, muted: string, paper: string, line: string, track: string, accent: string,
 *   font: string}} Theme
 * @typedef {{geometry: import("./geometry.js").Geometry, theme: Theme, colorOf: (address: string) => string,
 *   labelOf: (address: string) => string}} Look
 * @typedef {CanvasRenderingContext2D} Context
 */

const LABELS_MAX_ARCS = 400;
const FLARE_PX = 11;
const QUARTERS = ["0x00", "0x40", "0x80", "0xc0"];

/** @param {[number, number]} band @returns {number} */
function width(band) {
  return band[1] - band[0];
}

/**
 * Everything that only a new ring, size or theme changes.
 * @param {Context} ctx
 * @param {Look} look
 * @param {import("./ring.js").HashRing} ring
 * @param {import("./ringpaths.js").RingPaths} paths
 */
export function paintBase(ctx, look, ring, paths) {
  const { geometry, theme, colorOf } = look;
  ctx.save();
  paintTracks(ctx, look);
  for (const server of paths.byServer.keys()) paintNode(ctx, look, paths, server, ring.down.has(server));
  if (paths.orphans > 0) hatch(ctx, theme, paths.orphaned, width(geometry.primary));
  ctx.strokeStyle = theme.paper;
  ctx.lineWidth = 1;
  ctx.stroke(paths.seams);
  paintLabels(ctx, look, ring, colorOf);
  ctx.restore();
}

/** @param {Context} ctx @param {Look} look */
function paintTracks(ctx, { geometry, theme }) {
  ctx.lineWidth = width(geometry.marks);
  ctx.strokeStyle = theme.track;
  ctx.beginPath();
  ctx.arc(0, 0, middle(geometry.marks), 0, TURN);
  ctx.stroke();
  ctx.fillStyle = theme.muted;
  ctx.strokeStyle = theme.line;
  ctx.lineWidth = 1;
  ctx.font = `10px ${theme.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  QUARTERS.forEach((text, i) => {
    const angle = (i * TURN) / 4 + CANVAS_TURN;
    const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
    ctx.beginPath();
    ctx.moveTo(cos * (geometry.backup[0] - 9), sin * (geometry.backup[0] - 9));
    ctx.lineTo(cos * (geometry.backup[0] - 3), sin * (geometry.backup[0] - 3));
    ctx.stroke();
    ctx.fillText(text, cos * (geometry.backup[0] - 24), sin * (geometry.backup[0] - 18));
  });
}

/**
 * One node's bands and ticks.
 * @param {Context} ctx
 * @param {Look} look
 * @param {import("./ringpaths.js").RingPaths} paths
 * @param {string} server
 * @param {boolean} down
 */
export function paintNode(ctx, { geometry, theme, colorOf }, paths, server, down) {
  const own = paths.byServer.get(server);
  if (!own) return;
  const before = ctx.globalAlpha;
  ctx.lineCap = "butt";
  ctx.strokeStyle = colorOf(server);
  ctx.lineWidth = width(geometry.primary);
  ctx.stroke(own.primary);
  ctx.globalAlpha = before * 0.62;
  ctx.lineWidth = width(geometry.backup);
  ctx.stroke(own.backup);
  ctx.globalAlpha = before;
  ctx.strokeStyle = down ? theme.muted : colorOf(server);
  ctx.lineWidth = paths.byServer.size > 16 ? 0.8 : 1.4;
  ctx.stroke(own.ticks);
}

/**
 * Hatching: the arc's own node is down, somebody else serves it.
 * @param {Context} ctx
 * @param {Theme} theme
 * @param {Path2D} path
 * @param {number} lineWidth
 */
function hatch(ctx, theme, path, lineWidth) {
  const tile = document.createElement("canvas");
  tile.width = 7;
  tile.height = 7;
  const pen = tile.getContext("2d");
  if (!pen) return;
  pen.strokeStyle = theme.paper;
  pen.globalAlpha = 0.7;
  pen.lineWidth = 1.6;
  for (const shift of [-7, 0, 7]) {
    pen.moveTo(shift, 7);
    pen.lineTo(shift + 7, 0);
  }
  pen.stroke();
  const pattern = ctx.createPattern(tile, "repeat");
  if (!pattern) return;
  ctx.strokeStyle = pattern;
  ctx.lineWidth = lineWidth;
  ctx.stroke(path);
}

/**
 * Labels inside arcs that are wide enough to carry one.
 * @param {Context} ctx
 * @param {Look} look
 * @param {import("./ring.js").HashRing} ring
 * @param {(address: string) => string} colorOf
 */
function paintLabels(ctx, { geometry, theme, labelOf }, ring, colorOf) {
  const bands = ring.bands("primary");
  const fontPx = Math.min(12, Math.floor(width(geometry.primary) * 0.5));
  if (bands.length > LABELS_MAX_ARCS || fontPx < 8) return;
  ctx.font = `600 ${fontPx}px ${theme.font}`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  const radius = middle(geometry.primary);
  for (const band of bands) {
    const label = labelOf(band.server);
    const [start, end] = anglesOf(band);
    if ((end - start) * radius < ctx.measureText(label).width + 7) continue;
    const angle = (start + end) / 2 + CANVAS_TURN;
    const [x, y] = [radius * Math.cos(angle), radius * Math.sin(angle) + 0.5];
    // A halo in the arc's colour keeps the label legible on hatching.
    ctx.lineWidth = 5;
    ctx.lineJoin = "round";
    ctx.strokeStyle = colorOf(band.server);
    ctx.strokeText(label, x, y);
    ctx.fillStyle = inkOn(colorOf(band.server));
    ctx.fillText(label, x, y);
  }
}

/**
 * @param {Context} ctx
 * @param {Look} look
 * @param {Map<string, Path2D>} marks
 * @param {number} total how many locks there are
 * @param {string | null} [only] paint this holder's alone
 */
export function paintMarks(ctx, { colorOf }, marks, total, only = null) {
  ctx.lineCap = "butt";
  ctx.lineWidth = total > 2_000 ? 1 : total > 300 ? 1.5 : 2;
  for (const [holder, path] of marks) {
    if (only !== null && holder !== only) continue;
    ctx.strokeStyle = colorOf(holder);
    ctx.stroke(path);
  }
}

/**
 * Arcs on their way: the old owner's colour gives way towards the arc's start, and the arc settles from outside.
 * @param {Context} ctx
 * @param {Look} look
 * @param {import("./ringdiff.js").Move[]} moves
 * @param {number} progress 0 just published, 1 at rest
 */
export function paintMoves(ctx, { geometry, theme, colorOf }, moves, progress) {
  const sector = arc().context(ctx);
  const rest = 1 - progress;
  for (const move of moves) {
    const [inner, outer] = geometry[move.role];
    const [start, end] = anglesOf(move);
    const lift = move.role === "primary" ? FLARE_PX * rest : -FLARE_PX * rest;
    const target = move.target === null ? theme.track : colorOf(move.target);
    const source = move.source === null ? theme.track : colorOf(move.source);
    const shape = { innerRadius: inner + lift, outerRadius: outer + lift };
    fill(ctx, target, () => sector({ ...shape, startAngle: start, endAngle: end }));
    const kept = start + (end - start) * rest;
    fill(ctx, interpolateLab(source, target)(progress * 0.6), () => sector({ ...shape, startAngle: start, endAngle: kept }));
    ctx.globalAlpha = rest;
    const edge = move.role === "primary" ? outer + lift : inner + lift;
    fill(ctx, theme.ink, () => sector({ innerRadius: edge - 1.2, outerRadius: edge + 1.2, startAngle: start, endAngle: end }));
    ctx.globalAlpha = 1;
  }
}

/**
 * Without motion: what has moved keeps an outline until the next change.
 * @param {Context} ctx
 * @param {Look} look
 * @param {import("./ringdiff.js").Move[]} moves
 */
export function paintOutlines(ctx, { geometry, theme }, moves) {
  const sector = arc().context(ctx);
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 1.5;
  for (const move of moves) {
    const [innerRadius, outerRadius] = geometry[move.role];
    const [startAngle, endAngle] = anglesOf(move);
    ctx.beginPath();
    sector({ innerRadius, outerRadius, startAngle, endAngle });
    ctx.stroke();
  }
}

/**
 * Outline one arc of one band: what the pointer is on.
 * @param {Context} ctx
 * @param {Look} look
 * @param {{from: number, size: number}} target
 * @param {[number, number]} band
 */
export function paintOutline(ctx, { theme }, target, band) {
  const [startAngle, endAngle] = anglesOf(target);
  ctx.strokeStyle = theme.ink;
  ctx.lineWidth = 2;
  ctx.beginPath();
  arc().context(ctx)({ innerRadius: band[0] - 1, outerRadius: band[1] + 1, startAngle, endAngle });
  ctx.stroke();
}

/**
 * The way of a key: from its position clockwise to its primary's virtual node and on to its backup's.
 * @param {Context} ctx
 * @param {Look} look
 * @param {{position: number, steps: import("./ring.js").Step[]}} walk
 */
export function paintWalk(ctx, { geometry, theme, colorOf }, { position, steps }) {
  const lane = geometry.rim + 7;
  const start = angleOf(position) + CANVAS_TURN;
  ctx.strokeStyle = theme.ink;
  ctx.fillStyle = theme.ink;
  ctx.lineWidth = 1.5;
  ctx.beginPath();
  ctx.moveTo((geometry.backup[0] - 6) * Math.cos(start), (geometry.backup[0] - 6) * Math.sin(start));
  ctx.lineTo(lane * Math.cos(start), lane * Math.sin(start));
  ctx.stroke();
  dot(ctx, middle(geometry.marks), start, 4.5, theme.ink, theme.paper);
  let from = position;
  let dashed = false;
  for (const { node, role } of steps) {
    if (role !== "primary" && role !== "backup") continue;
    const size = (node.position - from + CIRCLE) % CIRCLE;
    const [begin, end] = anglesOf({ from, size });
    ctx.setLineDash(dashed ? [3, 3] : []);
    ctx.strokeStyle = theme.ink;
    ctx.lineWidth = 2;
    ctx.beginPath();
    ctx.arc(0, 0, lane, begin + CANVAS_TURN, end + CANVAS_TURN);
    ctx.stroke();
    ctx.setLineDash([]);
    dot(ctx, lane, end + CANVAS_TURN, role === "primary" ? 5.5 : 4.5, colorOf(node.server), theme.ink);
    from = node.position;
    dashed = true;
  }
}

/**
 * @param {Context} ctx
 * @param {number} radius
 * @param {number} angle canvas angle
 * @param {number} size
 * @param {string} color
 * @param {string} rim
 */
function dot(ctx, radius, angle, size, color, rim) {
  ctx.beginPath();
  ctx.arc(radius * Math.cos(angle), radius * Math.sin(angle), size, 0, TURN);
  ctx.fillStyle = color;
  ctx.fill();
  ctx.lineWidth = 1.5;
  ctx.strokeStyle = rim;
  ctx.stroke();
}

/** @param {Context} ctx @param {string} color @param {() => void} trace */
function fill(ctx, color, trace) {
  ctx.beginPath();
  trace();
  ctx.fillStyle = color;
  ctx.fill();
}
