/**
 * The ring's shapes, one path per node and band, so that 3,200 arcs and 10,000 marks are a few strokes.
 *
 * Paths are built when the ring, the locks or the size change, and are then only stroked. The origin is the centre.
 * Elsewhere: stroking them (ringlayers.js).
 */

import { angleOf, anglesOf, CANVAS_TURN, TURN } from "./geometry.js";
import { CIRCLE } from "./ring.js";

/**
 * @typedef {{primary: Path2D, backup: Path2D, ticks: Path2D}} NodePaths
 * @typedef {{byServer: Map<string, NodePaths>, orphaned: Path2D, seams: Path2D, orphans: number}} RingPaths
 *   `orphaned`: arcs whose own node is down, now served by the next one
 */

/** More boundaries than this would be nearer than a pixel or two: drawing them would hide the arcs. */
const SEAMS_MAX = 500;
const PIECE = TURN / 8;

/** @param {[number, number]} band @returns {number} */
export function middle(band) {
  return (band[0] + band[1]) / 2;
}

/**
 * An arc as curves of an eighth of a turn at most, off the circle by less than a hundred-thousandth of its radius.
 *
 * Not `path.arc`: that begins with a line from where the path is, and where rounding makes the two points differ the
 * join of that line and the arc sticks out of a thick stroke. On a large canvas it was a triangle that all could see.
 * @param {Path2D} path
 * @param {number} radius
 * @param {{from: number, size: number}} arc
 */
export function addArc(path, radius, arc) {
  const [start, end] = anglesOf(arc);
  const pieces = Math.max(1, Math.ceil((end - start) / PIECE));
  const turn = (end - start) / pieces;
  const reach = (4 / 3) * Math.tan(turn / 4) * radius;
  let [cos, sin] = [Math.cos(start + CANVAS_TURN), Math.sin(start + CANVAS_TURN)];
  path.moveTo(radius * cos, radius * sin);
  for (let i = 1; i <= pieces; i += 1) {
    const angle = start + CANVAS_TURN + i * turn;
    const [nextCos, nextSin] = [Math.cos(angle), Math.sin(angle)];
    path.bezierCurveTo(
      radius * cos - reach * sin, radius * sin + reach * cos,
      radius * nextCos + reach * nextSin, radius * nextSin - reach * nextCos, radius * nextCos, radius * nextSin,
    );
    [cos, sin] = [nextCos, nextSin];
  }
}

/**
 * @param {Path2D} path
 * @param {[number, number]} band
 * @param {number} position
 */
export function addSpoke(path, band, position) {
  const angle = angleOf(position) + CANVAS_TURN;
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  path.moveTo(band[0] * cos, band[0] * sin);
  path.lineTo(band[1] * cos, band[1] * sin);
}

/**
 * @param {import("./ring.js").HashRing} ring
 * @param {import("./geometry.js").Geometry} geometry
 * @returns {RingPaths}
 */
export function ringPaths(ring, geometry) {
  /** @type {RingPaths} */
  const paths = { byServer: new Map(), orphaned: new Path2D(), seams: new Path2D(), orphans: ring.down.size };
  for (const server of ring.servers) {
    paths.byServer.set(server, { primary: new Path2D(), backup: new Path2D(), ticks: new Path2D() });
  }
  for (const role of /** @type {const} */ (["primary", "backup"])) {
    const bands = ring.bands(role);
    for (const band of bands) {
      const own = paths.byServer.get(band.server);
      if (own) addArc(own[role], middle(geometry[role]), band);
      if (bands.length > 1 && bands.length < SEAMS_MAX) addSpoke(paths.seams, geometry[role], band.to);
    }
  }
  for (const band of ring.down.size > 0 ? ring.bands("owner") : []) {
    if (ring.down.has(band.server)) addArc(paths.orphaned, middle(geometry.primary), band);
  }
  const ticks = ring.servers.map((server) => paths.byServer.get(server)?.ticks);
  ring.positions.forEach((position, i) => {
    const path = ticks[/** @type {number} */ (ring.owner[i])];
    if (path) addSpoke(path, geometry.ticks, position);
  });
  return paths;
}

/**
 * Held locks as marks at their hash, one path per holder.
 *
 * Two marks within half a pixel of each other would cover one another: the first stands for both, so that what is
 * painted is bounded by the circle, not by the number of locks.
 * @param {Iterable<import("./locks.js").HeldLock>} locks
 * @param {import("./geometry.js").Geometry} geometry
 * @returns {Map<string, Path2D>}
 */
export function markPaths(locks, geometry) {
  /** @type {Map<string, Path2D>} */
  const paths = new Map();
  const slots = new Uint8Array(Math.ceil(TURN * geometry.marks[1] * 2));
  for (const lock of locks) {
    const slot = Math.floor((lock.position / CIRCLE) * slots.length);
    if (slots[slot] === 1) continue;
    slots[slot] = 1;
    let path = paths.get(lock.holder);
    if (!path) paths.set(lock.holder, (path = new Path2D()));
    addSpoke(path, geometry.marks, lock.position);
  }
  return paths;
}
