/**
 * Draws the space-time diagram: a few paths, however many events there are.
 *
 * Invariants
 *   P1  Shape as well as colour says what a point is, line pattern as well as colour what an arrow is.
 * Elsewhere: what is where (spacetimemodel.js).
 */

import { shape } from "./dom.js";
import { shorten } from "./format.js";
import { GROUPS, laneY, ticksOf, toneOf } from "./spacetimemodel.js";

const TOP_PX = 8;
const AXIS_PX = 24;
const HEAD_PX = 7;
const OPEN_PART = 0.7;
const OPEN_LEAN_PX = 16;
/** What the page keeps free for the picture before there is one (spacetime.css), so that nothing below it jumps. */
export const HEIGHT_PX = 545;
const LANE_PX_MIN = 22;
const LANE_PX_MAX = 64;
const TICK_PX = 110;
const TONES = ["plain", "view", "move", "warn", "bad"];

/**
 * @typedef {import("./spacetimemodel.js").Diagram} Diagram
 * @typedef {import("./spacetimemodel.js").Drawn} Drawn
 * @typedef {import("./spacetimemodel.js").Place} Place
 * @typedef {{left: number, width: number, lanePx: number, top: number, height: number}} Size `left`: where time begins
 */

/** @param {number} widthPx @param {number} lanes @returns {Size} */
export function sizeOf(widthPx, lanes) {
  const left = widthPx < 560 ? 74 : 150;
  const lanePx = Math.min(LANE_PX_MAX, Math.max(LANE_PX_MIN, Math.floor((HEIGHT_PX - TOP_PX - AXIS_PX) / Math.max(1, lanes))));
  return { left, width: Math.max(120, widthPx - left - 14), lanePx, top: TOP_PX, height: TOP_PX + Math.max(1, lanes) * lanePx + AXIS_PX };
}

/**
 * @param {SVGSVGElement} svg its title stays
 * @param {Diagram} diagram
 * @param {{groups: readonly string[], picked: string, colorOf: (lane: import("./spacetimemodel.js").Lane) => string}} look
 * @returns {Size}
 */
export function draw(svg, diagram, { groups, picked, colorOf }) {
  const size = sizeOf(svg.parentElement?.clientWidth ?? 800, diagram.lanes.length);
  svg.setAttribute("viewBox", `0 0 ${size.left + size.width + 14} ${size.height}`);
  svg.setAttribute("height", String(size.height));
  const arrows = diagram.arrows.filter(({ group }) => groups.includes(group));
  const title = svg.querySelector("title");
  svg.replaceChildren(
    ...(title ? [title] : []), ...axis(diagram, size), ...lanes(diagram, size, colorOf), ...lines(arrows, size), ...points(diagram, size),
    ...pick(diagram, arrows, picked, size),
  );
  svg.setAttribute("data-points", String(diagram.points.length));
  svg.setAttribute("data-arrows", String(arrows.length));
  return size;
}

/** @param {Diagram} diagram @param {Size} size */
function axis(diagram, size) {
  const bottom = size.height - AXIS_PX;
  return ticksOf(diagram, Math.max(2, Math.floor(size.width / TICK_PX))).flatMap(({ x, text }) => {
    const at = size.left + x * size.width;
    const middle = text === "0";
    return [
      shape("line", { x1: px(at), x2: px(at), y1: px(size.top), y2: px(bottom), class: middle ? "middle" : "tick" }),
      shape("text", { x: px(at), y: px(size.height - 7), class: "axis", "text-anchor": x > 0.96 ? "end" : x < 0.04 ? "start" : "middle" }, text),
    ];
  });
}

/** @param {Diagram} diagram @param {Size} size @param {(lane: import("./spacetimemodel.js").Lane) => string} colorOf */
function lanes(diagram, size, colorOf) {
  const room = Math.floor((size.left - 20) / 6.6);
  return diagram.lanes.flatMap((lane, i) => {
    const y = px(laneY(i, size));
    const dot = shape("circle", { cx: "8", cy: y, r: "4", class: `lane-dot ${lane.kind}` });
    dot.style.setProperty("--c", colorOf(lane));
    const name = shape("text", { x: "18", y, class: `lane-name ${lane.kind}` }, shorten(lane.label, room), lane.label);
    return [dot, name, shape("line", { x1: px(size.left), x2: px(size.left + size.width), y1: y, y2: y, class: `lane ${lane.kind}` })];
  });
}

/** @param {readonly Drawn[]} arrows @param {Size} size */
function lines(arrows, size) {
  return GROUPS.flatMap(([group]) => {
    const own = arrows.filter((drawn) => drawn.group === group);
    const of = (/** @type {boolean} */ open) => own.filter((drawn) => isOpen(drawn) === open);
    return [
      shape("path", { class: `arrow ${group}`, d: of(false).map((drawn) => lineOf(drawn, size)).join("") }),
      shape("path", { class: `arrow ${group} open`, d: of(true).map((drawn) => lineOf(drawn, size)).join("") }),
      shape("path", { class: `head ${group}`, d: own.map((drawn) => headOf(drawn, size)).join("") }),
    ];
  });
}

/** @param {Drawn} drawn @returns {boolean} */
function isOpen({ from, to }) {
  return from === null || to === null;
}

/** @param {Diagram} diagram @param {Size} size */
function points(diagram, size) {
  return TONES.map((tone) => shape("path", {
    class: `point ${tone}`, d: diagram.points.filter(({ event }) => toneOf(event) === tone).map(({ place }) => markOf(tone, ...xy(place, size))).join(""),
  }));
}

/** @param {Diagram} diagram @param {readonly Drawn[]} arrows @param {string} picked @param {Size} size */
function pick(diagram, arrows, picked, size) {
  const point = diagram.point(picked);
  if (point === null) return [];
  const own = arrows.filter(({ arrow }) => arrow.from_event === picked || arrow.to_event === picked);
  const [x, y] = xy(point.place, size);
  return [
    shape("path", { class: "arrow picked", d: own.map((drawn) => lineOf(drawn, size)).join("") }),
    shape("path", { class: "head picked", d: own.map((drawn) => headOf(drawn, size)).join("") }),
    shape("circle", { class: "picked", cx: px(x), cy: px(y), r: "9" }),
  ];
}

/**
 * Both ends of an arrow in pixels; an open one stops short of its lane.
 * @param {Drawn} drawn
 * @param {Size} size
 * @returns {[x1: number, y1: number, x2: number, y2: number]}
 */
export function endsOf({ from, to, fromLane, toLane }, size) {
  if (from !== null && to !== null) return [...xy(from, size), ...xy(to, size)];
  if (to !== null) {
    const [x, y] = xy(to, size);
    return [x - OPEN_LEAN_PX, y + (laneY(fromLane, size) - y) * OPEN_PART, x, y];
  }
  const [x, y] = from === null ? [size.left, laneY(fromLane, size)] : xy(from, size);
  return [x, y, x + OPEN_LEAN_PX, y + (laneY(toLane, size) - y) * OPEN_PART];
}

/** @param {Drawn} drawn @param {Size} size */
function lineOf(drawn, size) {
  const [x1, y1, x2, y2] = endsOf(drawn, size).map(px);
  return `M${x1} ${y1}L${x2} ${y2}`;
}

/** @param {Drawn} drawn @param {Size} size */
function headOf(drawn, size) {
  const [x1, y1, x2, y2] = endsOf(drawn, size);
  const angle = Math.atan2(y2 - y1, x2 - x1);
  // Before the point, so that both are seen; an open end has none.
  const [tipX, tipY] = [x2 - 4 * Math.cos(angle), y2 - 4 * Math.sin(angle)];
  const wing = (/** @type {number} */ turn) => `${px(tipX - HEAD_PX * Math.cos(angle + turn))} ${px(tipY - HEAD_PX * Math.sin(angle + turn))}`;
  const tip = `${px(tipX)} ${px(tipY)}`;
  return drawn.arrow.refused ? `M${wing(0.9)}L${tip}L${wing(-0.9)}M${wing(2.2)}L${tip}L${wing(-2.2)}` : `M${wing(0.45)}L${tip}L${wing(-0.45)}Z`;
}

/** @param {string} tone @param {number} x @param {number} y @returns {string} */
function markOf(tone, x, y) {
  const r = 4.2;
  const at = (/** @type {number} */ dx, /** @type {number} */ dy) => `${px(x + dx)} ${px(y + dy)}`;
  if (tone === "bad") return `M${at(-r, -r)}L${at(r, -r)}L${at(0, r + 1)}Z`;
  if (tone === "warn") return `M${at(-r, -r)}L${at(r, -r)}L${at(r, r)}L${at(-r, r)}Z`;
  if (tone === "view") return `M${at(-1.6, -r - 3)}L${at(1.6, -r - 3)}L${at(1.6, r + 3)}L${at(-1.6, r + 3)}Z`;
  if (tone === "move") return `M${at(0, -r - 1)}L${at(r + 1, 0)}L${at(0, r + 1)}L${at(-r - 1, 0)}Z`;
  return `M${at(-r + 0.6, 0)}a${r - 0.6} ${r - 0.6} 0 1 0 ${2 * (r - 0.6)} 0a${r - 0.6} ${r - 0.6} 0 1 0 ${-2 * (r - 0.6)} 0Z`;
}

/** @param {Place} place @param {Size} size @returns {[number, number]} */
function xy(place, size) {
  return [size.left + place.x * size.width, laneY(place.y, size)];
}

/** @param {number} value @returns {string} */
function px(value) {
  return String(Math.round(value * 10) / 10);
}
