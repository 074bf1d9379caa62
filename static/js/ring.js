/**
 * The hash ring, as SeaweedFS and lockcore have it: 50 virtual nodes per server on a circle of 2^32.
 *
 * Pure and immutable. The page computes owners itself, so that the picture can be checked against what nodes claim.
 *
 * Invariants
 *   R1  A key belongs to the first virtual node at or after its position, clockwise, wrapping: arcs are (from, to].
 *   R2  The backup is the next virtual node of ANOTHER server; null when there is none.
 *   R3  Of virtual nodes that collide, the server that sorts last (by bytes) owns the position.
 *   R4  Servers that are down are skipped in the walk, and no other arc moves.
 *
 * Elsewhere: what differs between two rings (ringdiff.js), where things are on the screen (geometry.js).
 */

import { crc32OfText } from "./crc32.js";

export const VIRTUAL_NODES = 50;
export const CIRCLE = 2 ** 32;
const NOBODY = -1;
const UTF8 = new TextEncoder();

/**
 * @typedef {{position: number, server: string, index: number, down: boolean}} VirtualNode
 * @typedef {{from: number, to: number, size: number, primary: string | null, backup: string | null}} Arc
 * @typedef {{from: number, to: number, size: number, server: string}} Band
 * @typedef {{node: VirtualNode, role: "primary" | "backup" | "down" | "same"}} Step
 */

/**
 * @param {string} a
 * @param {string} b
 * @returns {number} the order of the two texts' UTF-8 bytes
 */
export function compareBytes(a, b) {
  const left = UTF8.encode(a);
  const right = UTF8.encode(b);
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i += 1) {
    const order = /** @type {number} */ (left[i]) - /** @type {number} */ (right[i]);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/**
 * How far it is clockwise from one position to another; a full circle when they are the same.
 * @param {number} from
 * @param {number} to
 * @returns {number} in (0, 2^32]
 */
export function clockwise(from, to) {
  const distance = (to - from + CIRCLE) % CIRCLE;
  return distance === 0 ? CIRCLE : distance;
}

export class HashRing {
  /**
   * @param {Iterable<string>} servers ring addresses, in any order; repeats count once
   * @param {{vnodes?: number, down?: Iterable<string>}} [options] `down`: servers that the walk skips
   */
  constructor(servers, options = {}) {
    this.vnodes = options.vnodes ?? VIRTUAL_NODES;
    /** @type {readonly string[]} */
    this.servers = Object.freeze([...new Set(servers)].sort(compareBytes));
    const known = new Set(this.servers);
    /** @type {ReadonlySet<string>} */
    this.down = new Set([...(options.down ?? [])].filter((server) => known.has(server)));
    const owners = this.#place();
    /** Sorted positions of the virtual nodes. */
    this.positions = Uint32Array.from(owners.keys()).sort();
    this.size = this.positions.length;
    this.owner = new Int32Array(this.size);
    this.index = new Int32Array(this.size);
    this.primary = new Int32Array(this.size).fill(NOBODY);
    this.backup = new Int32Array(this.size).fill(NOBODY);
    this.#fill(owners);
    this.#walkBack();
  }

  /**
   * The ring of a published view.
   * @param {import("./contract.js").View | null} view
   * @returns {HashRing}
   */
  static ofView(view) {
    const members = view?.members ?? [];
    return new HashRing(members.map((m) => m.address), {
      down: members.filter((m) => m.down).map((m) => m.address),
    });
  }

  /** @returns {Map<number, [server: number, index: number]>} */
  #place() {
    /** @type {Map<number, [number, number]>} */
    const owners = new Map();
    this.servers.forEach((server, number) => {
      for (let i = 0; i < this.vnodes; i += 1) owners.set(crc32OfText(`${server}#${i}`), [number, i]);
    });
    return owners;
  }

  /** @param {Map<number, [server: number, index: number]>} owners */
  #fill(owners) {
    this.positions.forEach((position, i) => {
      const [server, index] = /** @type {[number, number]} */ (owners.get(position));
      this.owner[i] = server;
      this.index[i] = index;
    });
  }

  /** Walk counter-clockwise, twice round, carrying the two nearest distinct living servers. */
  #walkBack() {
    let first = NOBODY;
    let second = NOBODY;
    const living = this.servers.map((server) => !this.down.has(server));
    for (let step = 2 * this.size - 1; step >= 0; step -= 1) {
      const i = step % this.size;
      const server = /** @type {number} */ (this.owner[i]);
      if (living[server] && server !== first) {
        second = first;
        first = server;
      }
      this.primary[i] = first;
      this.backup[i] = second;
    }
  }

  /**
   * The number of the virtual node that a position falls to (down or not).
   * @param {number} position
   * @returns {number} -1 on an empty ring
   */
  indexAt(position) {
    if (this.size === 0) return NOBODY;
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (/** @type {number} */ (this.positions[middle]) < position) low = middle + 1;
      else high = middle;
    }
    return low === this.size ? 0 : low;
  }

  /**
   * @param {number} i index of a virtual node
   * @returns {VirtualNode}
   */
  virtualNode(i) {
    const server = /** @type {string} */ (this.servers[/** @type {number} */ (this.owner[i])]);
    return {
      position: /** @type {number} */ (this.positions[i]),
      server,
      index: /** @type {number} */ (this.index[i]),
      down: this.down.has(server),
    };
  }

  /**
   * Who serves a position.
   * @param {number} position
   * @returns {{primary: string | null, backup: string | null}}
   */
  ownersAt(position) {
    const i = this.indexAt(position);
    if (i === NOBODY) return { primary: null, backup: null };
    return { primary: this.#name(this.primary[i]), backup: this.#name(this.backup[i]) };
  }

  /** @param {string} key @returns {{primary: string | null, backup: string | null}} */
  owners(key) {
    return this.ownersAt(crc32OfText(key));
  }

  /** @param {number | undefined} number @returns {string | null} */
  #name(number) {
    return number === undefined || number === NOBODY ? null : (this.servers[number] ?? null);
  }

  /**
   * The virtual nodes met on the way from a position to its primary and its backup.
   * @param {number} position
   * @returns {Step[]} ends at the backup, or after one round
   */
  walk(position) {
    /** @type {Step[]} */
    const steps = [];
    const start = this.indexAt(position);
    let primary = "";
    for (let n = 0; n < this.size; n += 1) {
      const node = this.virtualNode((start + n) % this.size);
      if (node.down) steps.push({ node, role: "down" });
      else if (primary === "") steps.push({ node, role: "primary" });
      else if (node.server === primary) steps.push({ node, role: "same" });
      else return [...steps, { node, role: "backup" }];
      if (!node.down) primary = node.server;
    }
    return steps;
  }

  /**
   * Arcs with one primary and one backup each, neighbours merged.
   * @returns {Arc[]} clockwise from the lowest position
   */
  arcs() {
    return this.#merge((i) => `${this.primary[i]} ${this.backup[i]}`).map((run) => ({
      from: run.from,
      to: run.to,
      size: run.size,
      primary: this.#name(this.primary[run.at]),
      backup: this.#name(this.backup[run.at]),
    }));
  }

  /**
   * Arcs by one role only: what one band of the picture shows.
   * @param {"primary" | "backup" | "owner"} role `owner`: whose virtual nodes they are, down or not
   * @returns {Band[]}
   */
  bands(role) {
    const who = this[role];
    /** @type {Band[]} */
    const bands = [];
    for (const run of this.#merge((i) => /** @type {number} */ (who[i]))) {
      const server = this.#name(who[run.at]);
      if (server !== null) bands.push({ from: run.from, to: run.to, size: run.size, server });
    }
    return bands;
  }

  /**
   * Join neighbouring elementary arcs that have the same value.
   * @param {(i: number) => string | number} valueOf
   * @returns {{from: number, to: number, size: number, at: number}[]} `at`: index of the last virtual node
   */
  #merge(valueOf) {
    /** @type {{from: number, to: number, size: number, at: number}[]} */
    const runs = [];
    if (this.size === 0) return runs;
    const last = this.size - 1;
    for (let i = 0; i < this.size; i += 1) {
      const from = /** @type {number} */ (this.positions[i === 0 ? last : i - 1]);
      const to = /** @type {number} */ (this.positions[i]);
      const open = runs.at(-1);
      if (open && valueOf(open.at) === valueOf(i)) {
        open.to = to;
        open.at = i;
        open.size += clockwise(from, to);
      } else runs.push({ from, to, size: clockwise(from, to), at: i });
    }
    const first = runs[0];
    const final = runs.at(-1);
    // The circle has no seam: the run over 0 is one arc.
    if (first && final && first !== final && valueOf(first.at) === valueOf(final.at)) {
      first.from = final.from;
      first.size += final.size;
      runs.pop();
    }
    return runs;
  }

  /**
   * Each server's part of the key space.
   * @returns {Map<string, {primary: number, backup: number}>} fractions of 1
   */
  shares() {
    const shares = new Map(this.servers.map((server) => [server, { primary: 0, backup: 0 }]));
    for (const role of /** @type {const} */ (["primary", "backup"])) {
      for (const band of this.bands(role)) {
        const share = shares.get(band.server);
        if (share) share[role] += band.size / CIRCLE;
      }
    }
    return shares;
  }
}
