/**
 * Where byte ranges lie on a strip that stands for a file. Pure; offsets are decimal strings, for they pass 2^53.
 *
 * The scale is linear while every stretch between two boundaries is wide enough to be seen. Otherwise a stretch is as
 * wide as the logarithm of its bytes, and the page says so. What runs to the end of the file runs into a part of the
 * strip of its own, which has no scale.
 *
 * Invariants
 *   F1  Order is kept: of two offsets the larger is never drawn left of the smaller.
 *   F2  No held byte is invisible: every bar has a width above zero.
 */

import { gettext } from "./text.js";

const LEAST_SHARE = 0.02;
const END_SHARE = 0.12;
const LABEL_GAP_PX = 14;
const DIGIT_PX = 6.6;
const POWER_FROM = 2n ** 20n;

/**
 * @typedef {{start: string, end: string | null}} Span `end`: its last byte; null: to the end of the file
 * @typedef {{from: number, to: number}} Bar parts of the strip's width
 * @typedef {{linear: boolean, bars: Bar[], boundaries: {at: number, text: string}[], open: boolean}} Strip
 */

/** @param {bigint} length in bytes @returns {number} */
function logWidth(length) {
  return Math.log2(Number(length)) + 1;
}

/**
 * @param {readonly Span[]} spans
 * @returns {Strip} bars in the order of the spans; `open`: some run to the end
 */
export function layOut(spans) {
  const open = spans.some((span) => span.end === null);
  const offsets = [...new Set(["0", ...spans.flatMap((s) => [s.start, ...(s.end === null ? [] : [String(BigInt(s.end) + 1n)])])])]
    .map(BigInt).sort((a, b) => (a < b ? -1 : 1));
  const lengths = offsets.slice(1).map((offset, i) => offset - /** @type {bigint} */ (offsets[i]));
  const finite = offsets.length === 1 ? 0 : open ? 1 - END_SHARE : 1;
  const all = Number(offsets.at(-1));
  const linear = lengths.every((length) => Number(length) / all >= LEAST_SHARE);
  const widths = lengths.map((length) => (linear ? Number(length) : logWidth(length)));
  const total = widths.reduce((sum, width) => sum + width, 0);
  /** @type {Map<string, number>} */
  const places = new Map([["0", 0]]);
  let done = 0;
  offsets.slice(1).forEach((offset, i) => {
    done += /** @type {number} */ (widths[i]);
    places.set(String(offset), (done / total) * finite);
  });
  const at = (/** @type {bigint} */ offset) => /** @type {number} */ (places.get(String(offset)));
  return {
    linear, open,
    bars: spans.map((s) => ({ from: at(BigInt(s.start)), to: s.end === null ? 1 : at(BigInt(s.end) + 1n) })),
    boundaries: offsets.map((offset) => ({ at: at(offset), text: offsetText(offset) })),
  };
}

/** @param {bigint} offset @returns {string} large powers of two as such: they are limits that people know */
export function offsetText(offset) {
  if (offset >= POWER_FROM && (offset & (offset - 1n)) === 0n) return `2^${offset.toString(2).length - 1}`;
  return offset.toString().replace(/\B(?=(\d{3})+$)/g, " ");
}

/** @param {Span} span @returns {string} such as "0 to 99", "200 to the end" */
export function spanText({ start, end }) {
  const from = BigInt(start).toString().replace(/\B(?=(\d{3})+$)/g, " ");
  return end === null ? gettext("{from} to the end", { from }) : `${from} to ${end.replace(/\B(?=(\d{3})+$)/g, " ")}`;
}

/**
 * The labels that have room below the strip, from the left.
 * @param {Strip} strip
 * @param {number} widthPx
 * @returns {{at: number, text: string}[]}
 */
export function labels(strip, widthPx) {
  const end = strip.open ? [{ at: 1, text: gettext("end") }] : [];
  const lastLeft = end.length > 0 ? widthPx - 3 * DIGIT_PX - LABEL_GAP_PX : widthPx;
  let free = 0;
  const shown = strip.boundaries.filter(({ at, text }) => {
    const width = text.length * DIGIT_PX;
    const left = Math.min(at * widthPx, widthPx - width);
    if (left < free || left + width > lastLeft) return false;
    free = left + width + LABEL_GAP_PX;
    return true;
  });
  return [...shown, ...end];
}

/**
 * Who has or wants something, with everything that is theirs, in the order of their first byte.
 * @template {{session: string, owner: string}} T
 * @param {readonly T[]} pieces
 * @returns {T[][]}
 */
export function lanes(pieces) {
  /** @type {Map<string, T[]>} */
  const found = new Map();
  for (const piece of pieces) {
    const name = JSON.stringify([piece.session, piece.owner]);
    found.set(name, [...(found.get(name) ?? []), piece]);
  }
  return [...found.values()];
}
