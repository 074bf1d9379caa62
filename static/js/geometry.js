/**
 * Where things are on the picture: positions to angles, roles to radii, and back from the pointer.
 *
 * Pure. Angles are radians clockwise from the top, the unit d3-shape uses; canvas angles start at the right (`CANVAS_TURN`).
 */

import { CIRCLE } from "./ring.js";

export const TURN = 2 * Math.PI;
export const CANVAS_TURN = -Math.PI / 2;

/**
 * @typedef {{size: number, centre: number, rim: number, ticks: [number, number], primary: [number, number],
 *   marks: [number, number], backup: [number, number]}} Geometry radii in CSS pixels, [inner, outer]
 */

/**
 * @param {number} size the side of the square, CSS pixels
 * @returns {Geometry}
 */
export function geometryOf(size) {
  const rim = Math.max(40, size / 2 - Math.max(14, size * 0.036));
  const at = (/** @type {number} */ part) => rim * part;
  return {
    size,
    centre: size / 2,
    rim,
    ticks: [at(0.972), at(1)],
    primary: [at(0.865), at(0.962)],
    marks: [at(0.8), at(0.85)],
    backup: [at(0.735), at(0.785)],
  };
}

/** @param {number} position @returns {number} radians clockwise from the top */
export function angleOf(position) {
  return (position / CIRCLE) * TURN;
}

/**
 * An arc's start and end, the end never before the start.
 * @param {{from: number, size: number}} arc
 * @returns {[start: number, end: number]}
 */
export function anglesOf(arc) {
  const start = angleOf(arc.from);
  return [start, start + angleOf(arc.size)];
}

/**
 * What is under a point.
 * @param {Geometry} geometry
 * @param {number} x from the left, CSS pixels
 * @param {number} y from the top
 * @returns {{position: number, zone: "primary" | "marks" | "backup" | null, radius: number}}
 */
export function locate(geometry, x, y) {
  const dx = x - geometry.centre;
  const dy = y - geometry.centre;
  const radius = Math.hypot(dx, dy);
  const turn = (Math.atan2(dx, -dy) + TURN) % TURN;
  const position = Math.min(CIRCLE - 1, Math.floor((turn / TURN) * CIRCLE));
  if (radius > geometry.rim + 8 || radius < geometry.backup[0] - 4) return { position, zone: null, radius };
  if (radius > geometry.marks[1]) return { position, zone: "primary", radius };
  return { position, zone: radius > geometry.backup[1] ? "marks" : "backup", radius };
}
