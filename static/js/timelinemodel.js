/**
 * The line of time: which stretch of it is shown, which moment is looked at, where the marks are.
 *
 * Pure: no DOM, no clock, no network. Moments are nanoseconds as BigInt, for a mark is met exactly; places on the line are
 * milliseconds.
 *
 * Invariants
 *   T1  `atNs` null means live: the page shows what is, and nothing here keeps it from doing so.
 *   T2  Steps from mark to mark visit every mark of the stretch once, in both directions.
 *   T3  The moment that is looked at is always inside the stretch that is shown.
 *
 * Elsewhere: drawing it (timelinestrip.js), keys, address and network (timeline.js).
 */

import { clockMs } from "./format.js";
import { gettext, ngettext } from "./text.js";

export const NS_PER_MS = 1_000_000n;
/** A stretch is never shorter: closer together nobody can point. */
export const SPAN_MS_MIN = 1_000;
/** A shorter history has room around it. */
const SPAN_MS_USUAL = 60_000;
const MARGIN = 0.04;
/** So that the cursor of the present is whole. */
const EDGE = 0.01;
const NS_DIGITS_MAX = 19;

/**
 * @typedef {"version" | "view" | "fault" | "action" | "violation"} Kind
 * @typedef {{at_ns: string, until_ns: string, at_ms: number, until_ms: number, kind: Kind, count: number, text: string,
 *   event: string}} Mark
 * @typedef {{from_ns: string, to_ns: string, first_ns: string, last_ns: string, now_ns: string, total: number,
 *   marks: Mark[], cut: {kind: Kind, since_ns: string}[]}} Line
 * @typedef {{at: bigint | null, with: bigint | null}} Address
 */

/** @param {bigint | string} ns @returns {number} */
export function msOf(ns) {
  return Number(BigInt(ns) / 1_000n) / 1_000;
}

/** @param {number} ms @returns {bigint} */
export function nsOf(ms) {
  return BigInt(Math.round(Math.max(0, ms) * 1_000)) * 1_000n;
}

/** @param {number} ms @returns {string} nanoseconds in decimal, of whole milliseconds, not below zero */
export function nsText(ms) {
  return String(BigInt(Math.floor(Math.max(0, ms))) * NS_PER_MS);
}

/** @param {string} search such as "?at=1795259651123456789" @returns {Address} what makes no sense counts as absent */
export function readAddress(search) {
  const asked = new URLSearchParams(search);
  const at = wide(asked.get("at"));
  return { at, with: at === null ? null : wide(asked.get("with")) };
}

/** @param {string} search as it is @param {Address} address @returns {string} with this moment, and all else as it was */
export function writeAddress(search, address) {
  const asked = new URLSearchParams(search);
  for (const name of /** @type {const} */ (["at", "with"])) {
    const value = address.at === null ? null : address[name];
    if (value === null) asked.delete(name);
    else asked.set(name, String(value));
  }
  const text = asked.toString();
  return text === "" ? "" : `?${text}`;
}

/** @param {string | null} text @returns {bigint | null} */
function wide(text) {
  return text !== null && /^\d+$/.test(text) && text.length <= NS_DIGITS_MAX ? BigInt(text) : null;
}

export class TimeLine {
  constructor() {
    /** @type {bigint | null} the moment that is looked at; null: live */
    this.atNs = null;
    /** @type {bigint | null} the moment that it is compared with */
    this.withNs = null;
    /** @type {Mark[]} in the order of time */
    this.marks = [];
    /** Recorded is what lies between. Zero: nothing is. */
    this.firstMs = 0;
    this.lastMs = 0;
    /** The server's clock minus ours. */
    this.aheadMs = 0;
    this.fromMs = 0;
    this.toMs = 0;
    /** @type {number | null} how long the stretch is; null: all that is recorded */
    this.spanMs = null;
    /** @type {Line["cut"]} */
    this.cut = [];
  }

  get live() {
    return this.atNs === null;
  }

  /** @param {number} nowMs by our clock @returns {number} the moment that is looked at */
  atMs(nowMs) {
    return this.atNs === null ? this.nowMs(nowMs) : msOf(this.atNs);
  }

  /** @param {number} nowMs by our clock @returns {number} by the server's */
  nowMs(nowMs) {
    return nowMs + this.aheadMs;
  }

  /** @param {Line} line what the server told @param {number} nowMs by our clock */
  take(line, nowMs) {
    this.marks = line.marks;
    this.cut = line.cut;
    this.firstMs = line.first_ns === "" ? 0 : msOf(line.first_ns);
    this.lastMs = line.last_ns === "" ? 0 : msOf(line.last_ns);
    this.aheadMs = msOf(line.now_ns) - nowMs;
  }

  /** Look at a moment. @param {bigint} ns */
  goTo(ns) {
    this.atNs = ns < 0n ? 0n : ns;
  }

  goLive() {
    this.atNs = null;
    this.withNs = null;
  }

  /**
   * Choose the stretch that is shown: it follows the present while live, and stays while the moment is inside.
   * @param {number} nowMs by our clock
   * @returns {boolean} whether it has changed
   */
  frame(nowMs) {
    const end = Math.max(this.nowMs(nowMs), this.lastMs);
    const begin = this.firstMs || end - SPAN_MS_MIN;
    const recorded = Math.max(SPAN_MS_MIN, end - begin);
    const span = Math.min(this.spanMs ?? recorded, Math.max(SPAN_MS_USUAL, recorded * (1 + MARGIN)));
    const at = this.atMs(nowMs);
    const before = [this.fromMs, this.toMs];
    if (this.spanMs === null) [this.fromMs, this.toMs] = [Math.min(begin, at) - recorded * MARGIN, Math.max(end, at) + recorded * MARGIN];
    else if (this.live) [this.fromMs, this.toMs] = [end - span, end + span * EDGE];
    else if (at < this.fromMs || at > this.toMs || Math.abs(this.toMs - this.fromMs - span) > 2 * EDGE * span) {
      [this.fromMs, this.toMs] = [at - span / 2, at + span / 2];
    }
    return before[0] !== this.fromMs || before[1] !== this.toMs;
  }

  /** @param {number} ms @returns {number} part of the line's length, may be outside of it */
  placeOf(ms) {
    return (ms - this.fromMs) / Math.max(1, this.toMs - this.fromMs);
  }

  /** @param {number} place part of the line's length @returns {number} milliseconds */
  timeAt(place) {
    return this.fromMs + place * (this.toMs - this.fromMs);
  }

  /**
   * The moment that a pointer means: a mark that is near enough is met exactly.
   * @param {number} place part of the line's length
   * @param {number} near part of the line's length
   * @returns {bigint}
   */
  pick(place, near) {
    const ms = this.timeAt(place);
    let best = null;
    let least = near * (this.toMs - this.fromMs);
    for (const mark of this.marks) {
      const away = Math.abs(mark.at_ms - ms);
      if (away <= least) [best, least] = [mark, away];
    }
    return best === null ? nsOf(ms) : BigInt(best.at_ns);
  }

  /** @returns {Mark | null} the first mark after the moment; null: none, or live */
  next() {
    const { atNs } = this;
    if (atNs === null) return null;
    return this.marks.find((mark) => BigInt(mark.at_ns) > atNs) ?? null;
  }

  /** @returns {Mark | null} the last mark before the moment */
  previous() {
    const { atNs } = this;
    return this.marks.filter((mark) => atNs === null || BigInt(mark.at_ns) < atNs).at(-1) ?? null;
  }

  /** @returns {Mark | null} the mark that is met exactly */
  met() {
    return this.marks.find((mark) => this.atNs !== null && BigInt(mark.at_ns) === this.atNs) ?? null;
  }

  /**
   * Move by a part of the stretch.
   * @param {number} part negative: back
   * @param {number} nowMs by our clock
   */
  shift(part, nowMs) {
    this.arrive(this.atMs(nowMs) + part * (this.toMs - this.fromMs), nowMs);
  }

  /**
   * Time is played.
   * @param {number} elapsedMs of ours
   * @param {number} speed
   * @param {number} nowMs by our clock
   * @returns {boolean} whether it has arrived in the present
   */
  play(elapsedMs, speed, nowMs) {
    if (this.atNs === null) return true;
    this.atNs += nsOf(elapsedMs * speed);
    if (msOf(this.atNs) < this.nowMs(nowMs)) return false;
    this.goLive();
    return true;
  }

  /** @param {number} ms where to go; what is not past is live @param {number} nowMs by our clock */
  arrive(ms, nowMs) {
    if (ms >= this.nowMs(nowMs)) this.goLive();
    else this.goTo(nsOf(ms));
  }

  /** @param {number} nowMs by our clock @returns {string} what a screen reader says of the moment */
  valueText(nowMs) {
    if (this.atNs === null) return gettext("Live");
    const met = this.met();
    return [dateTime(msOf(this.atNs)), met === null ? "" : markText(met)].filter(Boolean).join(", ") + `, ${this.where(nowMs)}`;
  }

  /** @param {number} nowMs by our clock @returns {string} */
  where(nowMs) {
    const at = this.atMs(nowMs);
    if (this.firstMs === 0) return gettext("nothing is recorded");
    if (at < this.firstMs) return gettext("before the first recorded event");
    if (at > this.lastMs + 1) return gettext("after the last recorded event");
    return "past";
  }
}

/** @param {Mark} mark @returns {string} */
export function markText(mark) {
  const names = { version: "", view: "", fault: `${gettext("Fault:")} `, action: `${gettext("Operator action:")} `, violation: `${gettext("Violation:")} ` };
  return mark.count > 1 ? `${mark.text} until ${clockMs(mark.until_ms)}` : `${names[mark.kind]}${mark.text}`;
}

/** @param {number} ms @returns {string} local date and time, to the millisecond; the date only if it is not today's */
export function dateTime(ms) {
  const day = new Date(ms).toLocaleDateString("sv-SE"); // year-month-day
  return day === new Date().toLocaleDateString("sv-SE") ? clockMs(ms) : `${day} ${clockMs(ms)}`;
}

/** @param {Line["cut"]} cut @returns {string} empty: nothing is left out */
export function cutText(cut) {
  if (cut.length === 0) return "";
  const [first] = cut.map(({ since_ns: since }) => msOf(since)).sort((a, b) => b - a);
  return gettext("{cut} of marks have more than can be looked at: shown since {first}. Choose a shorter stretch.", { cut: ngettext("{count} kind", "{count} kinds", cut.length), first: dateTime(first ?? 0) });
}
