/**
 * What differs between two rings: which arcs change hands, from whom to whom.
 *
 * Pure. Invariant: sizes of all primary moves add up to the share of the key space that moves, exactly once each.
 *
 * Elsewhere: drawing the move (ringview.js), saying it before an operator confirms (plan.js).
 */

import { CIRCLE, clockwise } from "./ring.js";

/**
 * @typedef {"primary" | "backup"} Role
 * @typedef {{role: Role, from: number, to: number, size: number, source: string | null,
 *   target: string | null}} Move
 * @typedef {{source: string | null, target: string | null, share: number}} Flow
 * @typedef {{moves: Move[], primaryShare: number, backupShare: number, flows: Flow[]}} RingDiff
 */

/**
 * @param {import("./ring.js").HashRing} before
 * @param {import("./ring.js").HashRing} after
 * @returns {RingDiff} `flows`: primaries only, largest first; shares are fractions of 1
 */
export function diffRings(before, after) {
  const cuts = Uint32Array.from(new Set([...before.positions, ...after.positions])).sort();
  const moves = [...movesOf("primary", cuts, before, after), ...movesOf("backup", cuts, before, after)];
  return {
    moves,
    primaryShare: shareOf(moves, "primary"),
    backupShare: shareOf(moves, "backup"),
    flows: flowsOf(moves),
  };
}

/**
 * @param {Role} role
 * @param {Uint32Array} cuts all positions at which an owner may change, sorted
 * @param {import("./ring.js").HashRing} before
 * @param {import("./ring.js").HashRing} after
 * @returns {Move[]} neighbours merged
 */
function movesOf(role, cuts, before, after) {
  /** @type {Move[]} */
  const moves = [];
  for (let i = 0; i < cuts.length; i += 1) {
    const from = /** @type {number} */ (cuts[i === 0 ? cuts.length - 1 : i - 1]);
    const to = /** @type {number} */ (cuts[i]);
    const source = before.ownersAt(to)[role];
    const target = after.ownersAt(to)[role];
    if (source !== target) extend(moves, { role, from, to, size: clockwise(from, to), source, target });
  }
  return moves;
}

/** @param {Move[]} moves @param {Move} next */
function extend(moves, next) {
  const open = moves.at(-1);
  if (open && open.to === next.from && open.source === next.source && open.target === next.target) {
    open.to = next.to;
    open.size += next.size;
    return;
  }
  moves.push(next);
}

/** @param {Move[]} moves @param {Role} role @returns {number} */
function shareOf(moves, role) {
  return moves.reduce((sum, move) => (move.role === role ? sum + move.size : sum), 0) / CIRCLE;
}

/** @param {Move[]} moves @returns {Flow[]} */
function flowsOf(moves) {
  /** @type {Map<string, Flow>} */
  const flows = new Map();
  for (const { role, source, target, size } of moves) {
    if (role !== "primary") continue;
    const name = `${source} ${target}`;
    const flow = flows.get(name) ?? { source, target, share: 0 };
    flow.share += size / CIRCLE;
    flows.set(name, flow);
  }
  return [...flows.values()].sort((a, b) => b.share - a.share);
}
