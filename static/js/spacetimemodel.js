/**
 * The space-time diagram: what its address says, what is where in the picture, and messages in words. Pure.
 *
 * Invariants
 *   D1  The state is the address of the page: a link shows a colleague the same stretch, filter and event.
 *   D2  An open end has no place in time: its arrow stops short of the lane.
 *   D3  Each event is met once on the way from the first to the last.
 *
 * Elsewhere: which events and arrows there are (dlmsite/dashboard/spacetime.py), drawing (spacetimedraw.js).
 */

import { count } from "./format.js";
import { TONES } from "./kinds.js";
import { gettext, ngettext } from "./text.js";
import { wide } from "./wide.js";

export const SPAN_MS_MIN = 1;
export const SPAN_MS_MAX = 86_400_000;
export const SPAN_MS_USUAL = 10_000;
export const LIVE_LIMIT = 500;
export const LIMIT_MAX = 2_000;
const NS_PER_MS = 1_000_000n;
const MS_NS = 1_000_000;

/**
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {{id: string, kind: "master" | "node" | "site" | "client" | "clients", label: string, color: number | null}} Lane
 * @typedef {{kind: string, from: string, to: string, from_event: string, to_event: string, why: string, back_ns: number,
 *   refused: boolean}} Arrow
 * @typedef {{at_ns: string, from_ns: string, to_ns: string, live: boolean, first_ns: string, last_ns: string,
 *   event: LockEvent | null, lanes: Lane[], events: LockEvent[], wall_ns: string[], arrows: Arrow[], left_out: number,
 *   at_least: boolean, cut: boolean, says: string}} Body
 * @typedef {{at: string, event: string, spanMs: number, filter: Map<string, string>, context: boolean, groups: string[]}} State
 *   `at`: nanoseconds, "" for none; `event`: id of the one that is looked at; neither: live
 * @typedef {{x: number, y: number}} Place `x` in 0 to 1, `y` the number of a lane
 * @typedef {{event: LockEvent, ns: bigint, place: Place}} Point
 * @typedef {{arrow: Arrow, group: string, from: Place | null, to: Place | null, fromLane: number, toLane: number}} Drawn
 *   `from`, `to`: null where that end is open
 */

/** What the API takes beside the moment. */
export const FIELDS = ["key", "node", "kind", "session"];
/** @type {[name: string, kinds: string[]][]} what can be drawn or not, each with a line of its own */
export const GROUPS = [
  ["ring", ["view", "settled", "join", "goodbye"]],
  ["move", ["transfer", "handed over", "replica"]],
  ["copy", ["copy"]],
  ["client", ["request", "answer", "forward"]],
];
const GROUP_OF = new Map(GROUPS.flatMap(([name, kinds]) => kinds.map((kind) => [kind, name])));
const ALL = GROUPS.map(([name]) => name);

/** @param {string} search such as ?at=1795259651123456789&span=2000 @returns {State} what it cannot mean is left out */
export function stateOf(search) {
  const asked = new URLSearchParams(search);
  const digits = (/** @type {string} */ name) => (/^\d{1,19}$/.test(asked.get(name) ?? "") ? String(asked.get(name)) : "");
  const span = Number(digits("span") || SPAN_MS_USUAL);
  const groups = (asked.get("arrows") ?? "").split(",").filter((name) => ALL.includes(name));
  return {
    at: digits("at"), event: digits("event"), spanMs: Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, span)),
    filter: new Map(FIELDS.map((name) => /** @type {[string, string]} */ ([name, asked.get(name) ?? ""])).filter(([, value]) => value !== "")),
    context: asked.get("context") !== "no",
    groups: asked.get("arrows") === "none" ? [] : groups.length === 0 ? ALL : groups,
  };
}

/** @param {State} state @returns {string} the search of the page's address, "" for none */
export function searchOf(state) {
  const said = new URLSearchParams();
  if (state.at !== "") said.set("at", state.at);
  if (state.event !== "") said.set("event", state.event);
  if (state.spanMs !== SPAN_MS_USUAL) said.set("span", String(state.spanMs));
  for (const [name, value] of state.filter) said.set(name, value);
  if (!state.context) said.set("context", "no");
  if (state.groups.length !== ALL.length) said.set("arrows", state.groups.join() || "none");
  const text = said.toString();
  return text === "" ? "" : `?${text}`;
}

/** @param {State} state @returns {boolean} whether what happens is shown as it happens */
export function isLive(state) {
  return state.at === "" && state.event === "";
}

/** @param {State} state @returns {string} the API's address */
export function apiPath(state) {
  const said = new URLSearchParams([...state.filter, ["span_ms", String(state.spanMs)]]);
  if (state.at !== "") said.set("at_ns", state.at);
  else if (state.event !== "") said.set("event", state.event);
  said.set("limit", String(isLive(state) ? LIVE_LIMIT : LIMIT_MAX));
  if (!state.context) said.set("context", "no");
  return `/api/spacetime/?${said}`;
}

/** @param {Partial<{at: string, event: string, key: string, spanMs: number}>} about @returns {string} an address of this page */
export function linkAround({ at = "", event = "", key = "", spanMs = SPAN_MS_USUAL }) {
  const filter = new Map(key === "" ? [] : [["key", key]]);
  return `/spacetime/${searchOf({ at, event, spanMs, filter, context: true, groups: ALL })}`;
}

/** @param {number} ms @returns {string} a wall-clock time in nanoseconds, as an address has it */
export function nsOfMs(ms) {
  return String(BigInt(Math.round(ms * 1_000)) * 1_000n);
}

/** The events of a stretch, with their places. */
export class Diagram {
  /** @param {Body} body */
  constructor(body) {
    this.body = body;
    this.lanes = body.lanes;
    this.fromNs = wide(body.from_ns);
    this.spanNs = Number(wide(body.to_ns) - this.fromNs) || 1;
    const rows = new Map(body.lanes.map((lane, i) => [lane.id, i]));
    /** @type {Point[]} in the order of time */
    this.points = body.events.map((event, i) => {
      const ns = wide(body.wall_ns[i] ?? "0");
      return { event, ns, place: { x: this.xOf(ns), y: rows.get(event.node) ?? 0 } };
    });
    /** @type {Map<string, number>} */
    this.at = new Map(this.points.map((point, i) => [point.event.id, i]));
    /** @type {Drawn[]} */
    this.arrows = body.arrows.map((arrow) => ({
      arrow, group: GROUP_OF.get(arrow.kind) ?? "client", from: this.#placeOf(arrow.from_event), to: this.#placeOf(arrow.to_event),
      fromLane: rows.get(arrow.from) ?? 0, toLane: rows.get(arrow.to) ?? 0,
    }));
  }

  /** @param {bigint} ns @returns {number} 0 to 1 */
  xOf(ns) {
    return Math.min(1, Math.max(0, Number(ns - this.fromNs) / this.spanNs));
  }

  /** @param {number} x 0 to 1 @returns {bigint} */
  nsAt(x) {
    return this.fromNs + BigInt(Math.round(x * this.spanNs));
  }

  /** @param {string} id @returns {Point | null} */
  point(id) {
    return this.points[this.at.get(id) ?? -1] ?? null;
  }

  /** @param {string} id @returns {Drawn[]} what left or arrived at an event */
  arrowsOf(id) {
    return this.arrows.filter(({ arrow }) => id !== "" && (arrow.from_event === id || arrow.to_event === id));
  }

  /**
   * @param {string} id of an event, "" for none: then from the middle on
   * @param {1 | -1} step
   * @returns {Point | null} the next one in time, null at the end
   */
  next(id, step) {
    const at = this.at.get(id);
    if (at !== undefined) return this.points[at + step] ?? null;
    const middle = wide(this.body.at_ns);
    return (step > 0 ? this.points.find((point) => point.ns >= middle) : [...this.points].reverse().find((point) => point.ns <= middle)) ?? null;
  }

  /**
   * @param {number} x pixels from the left of the first lane's beginning
   * @param {number} y pixels
   * @param {{width: number, lanePx: number, top: number}} size of the picture
   * @param {number} reachPx further away is nothing
   * @returns {Point | null}
   */
  nearest(x, y, size, reachPx) {
    let best = null;
    let least = reachPx;
    for (const point of this.points) {
      const far = Math.hypot(point.place.x * size.width - x, laneY(point.place.y, size) - y);
      if (far <= least) [best, least] = [point, far];
    }
    return best;
  }

  /** @param {string | null} id @returns {string} */
  laneName(id) {
    return this.lanes.find((lane) => lane.id === id)?.label ?? String(id);
  }

  #placeOf(/** @type {string} */ id) {
    return this.point(id)?.place ?? null;
  }
}

/** @param {number} lane @param {{lanePx: number, top: number}} size @returns {number} pixels from the top */
export function laneY(lane, { lanePx, top }) {
  return top + (lane + 0.5) * lanePx;
}

/** @param {LockEvent} event @returns {"bad" | "warn" | "view" | "move" | "plain"} each has a shape of its own */
export function toneOf(event) {
  return /** @type {any} */ (TONES.get(event.kind) ?? "plain");
}

/**
 * @param {Drawn} drawn
 * @param {Diagram} diagram
 * @param {string} id the event it is told from
 * @returns {string} such as "transfer from n1, its sending is not recorded"
 */
export function tellArrow({ arrow, from, to }, diagram, id) {
  const left = arrow.from_event === id;
  const names = { kind: arrow.kind, lane: diagram.laneName(left ? arrow.to : arrow.from) };
  const towards = () => (arrow.refused ? gettext("refused {kind} to {lane}", names) : gettext("{kind} to {lane}", names));
  const what = left ? towards() : arrow.refused ? gettext("refused {kind} from {lane}", names) : gettext("{kind} from {lane}", names);
  const parts = [];
  if (from !== null && to !== null) {
    const ns = Number((diagram.point(arrow.to_event)?.ns ?? 0n) - (diagram.point(arrow.from_event)?.ns ?? 0n));
    parts.push(arrow.back_ns > 0 ? gettext("arrived {time} before it left: the clocks differ", { time: short(arrow.back_ns) }) : left ? gettext("arrived {time} later", { time: short(ns) }) : gettext("left {time} before", { time: short(ns) }));
  }
  if (arrow.why !== "") parts.push(arrow.why);
  return parts.length === 0 ? what : `${what}, ${parts.join(", ")}`;
}

/** @param {number} ns @returns {string} such as 1.25 ms */
export function short(ns) {
  const ms = Math.abs(ns) / MS_NS;
  const text = ms < 10 ? `${ms.toFixed(2)} ms` : ms < 1_000 ? `${ms.toFixed(1)} ms` : `${(ms / 1_000).toFixed(2)} s`;
  return ns < 0 ? `−${text}` : text;
}

/** @param {Body} body @returns {string[]} what the picture lacks, in words */
export function limitsOf(body) {
  const told = [];
  if (body.left_out > 0 && body.at_least) told.push(gettext("At least {number} events of this stretch are left out: the nearest to the middle are shown. Choose a shorter stretch or a filter.", { number: count(body.left_out) }));
  else if (body.left_out > 0) told.push(ngettext("{count} event of this stretch is left out: the nearest to the middle are shown. Choose a shorter stretch or a filter.", "{count} events of this stretch are left out: the nearest to the middle are shown. Choose a shorter stretch or a filter.", body.left_out));
  if (body.cut) told.push(gettext("Not the whole stretch was looked at: the time of one request was used up. Choose a shorter one, or a lock or node."));
  const back = body.arrows.filter((arrow) => arrow.back_ns > 0).length;
  if (back > 0) told.push(ngettext("{count} message arrived before it left: the clocks of the two lanes differ.", "{count} messages arrived before they left: the clocks of the two lanes differ.", back));
  return told;
}

/**
 * Round times within a stretch, for the axis.
 * @param {Diagram} diagram
 * @param {number} most
 * @returns {{x: number, text: string}[]} counted from the middle
 */
export function ticksOf(diagram, most) {
  const middle = wide(diagram.body.at_ns);
  const roughMs = diagram.spanNs / MS_NS / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(roughMs));
  const stepMs = [1, 2, 5, 10].map((times) => times * power).find((step) => step >= roughMs) ?? roughMs;
  const first = Math.ceil(Number(diagram.fromNs - middle) / MS_NS / stepMs);
  const last = Math.floor(Number(diagram.fromNs + BigInt(diagram.spanNs) - middle) / MS_NS / stepMs);
  const ticks = [];
  for (let i = first; i <= last && ticks.length <= 2 * most; i += 1) {
    const ns = middle + (BigInt(Math.round(i * stepMs * 1_000)) * NS_PER_MS) / 1_000n;
    ticks.push({ x: diagram.xOf(ns), text: i === 0 ? "0" : offset(i * stepMs) });
  }
  return ticks;
}

/** @param {number} ms @returns {string} such as +2 s */
function offset(ms) {
  const size = Math.abs(ms);
  const text = size < 1_000 ? `${Number(size.toPrecision(6))} ms` : size < 120_000 ? `${size / 1_000} s` : `${Number((size / 60_000).toFixed(2))} min`;
  return `${ms < 0 ? "−" : "+"}${text}`;
}
