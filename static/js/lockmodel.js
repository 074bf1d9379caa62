/**
 * One lock's life as it is drawn. Pure.
 *
 * Invariants
 *   M1  A bar never claims more than is known: what has no beginning or end among the rows runs to the picture's edge.
 * Elsewhere: drawing it (lock.js).
 */

import { gettext, ngettext } from "./text.js";

/**
 * @typedef {{node: string, label: string, at_ms: number, how: string, event: string}} Stay
 * @typedef {{generation: string, begin_ms: number | null, end_ms: number | null, how: string, why: string,
 *   renewals: number, ttl_ms: number, view: string, event: string,
 *   owners: {name: string, session: string, at_ms: number}[], stays: Stay[]}} Held
 * @typedef {{lane: number, from: number, to: number, open: boolean, held: Held}} Bar `from`, `to`: 0 to 1
 */

export const LANES_MAX = 12;

/** @param {Held} held @returns {string} who had it last */
export function ownerOf(held) {
  return held.owners.at(-1)?.name ?? "";
}

/**
 * A lane for each owner, the newest first; those beyond the last share it.
 * @param {readonly Held[]} holds newest first
 * @param {number} nowMs
 * @returns {{lanes: string[], bars: Bar[], fromMs: number, toMs: number}}
 */
export function lay(holds, nowMs) {
  const fromMs = Math.min(...holds.map((held) => startOf(held)), nowMs);
  const newestEnds = holds[0]?.end_ms ?? null;
  const toMs = Math.max(newestEnds ?? nowMs, fromMs + 1);
  const names = [...new Set(holds.map(ownerOf))];
  const lanes = names.length > LANES_MAX ? [...names.slice(0, LANES_MAX - 1), `${names.length - LANES_MAX + 1} others`] : names;
  const place = (/** @type {number} */ ms) => Math.min(1, Math.max(0, (ms - fromMs) / (toMs - fromMs)));
  const bars = holds.map((held, i) => {
    const next = holds[i - 1];
    const open = held.end_ms === null;
    // Whoever came next has ended it, at the latest.
    const end = held.end_ms ?? (next === undefined ? toMs : next.begin_ms ?? startOf(next));
    return { lane: Math.min(names.indexOf(ownerOf(held)), lanes.length - 1), from: held.begin_ms === null ? 0 : place(held.begin_ms), to: place(end), open, held };
  });
  return { lanes, bars, fromMs, toMs };
}

/** @param {Held} held @returns {number} when something was first heard of it */
function startOf(held) {
  return held.begin_ms ?? held.stays[0]?.at_ms ?? held.owners[0]?.at_ms ?? held.end_ms ?? 0;
}

/** @param {Held} held @param {boolean} newest @returns {string} how it ended, in words */
export function endOf(held, newest) {
  if (held.how === "taken away") return gettext("taken away by {why}", { why: held.why });
  if (held.how === "expired") return "expired";
  if (held.how === "released") return "released";
  return newest ? gettext("goes on") : gettext("no event says how");
}

/** @param {Held} held @returns {string} such as n1 → n2 */
export function servedBy(held) {
  const labels = held.stays.map((stay) => stay.label);
  return labels.filter((label, i) => label !== labels[i - 1]).join(" → ");
}

/**
 * How far the backup is behind.
 * @param {{role: string, generation: string, seq: string, answers: boolean}[]} nodes
 * @returns {string[]} in words, one for each node
 */
export function behind(nodes) {
  const [first] = nodes;
  return nodes.map((node, i) => {
    if (!node.answers) return gettext("unknown: it does not answer");
    if (i === 0 || first === undefined || !first.answers) return "";
    if (node.generation === first.generation && node.seq === first.seq) return "nothing";
    if (node.generation !== first.generation) return gettext("another generation");
    const lag = BigInt(first.seq) - BigInt(node.seq);
    return lag > 0n ? ngettext("{count} change", "{count} changes", Number(lag)) : gettext("ahead, by a change that is under way");
  });
}
