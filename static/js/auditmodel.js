/**
 * What is looked for in the history, and the pages of it: the address of the page, the address of the API. Pure.
 *
 * Invariants
 *   M1  The state of the filter is the address of the page: what is not in it is not asked for.
 *   M2  While followed, rows only come on top, without one twice; beyond ROWS_MAX the oldest fall off, for they are on
 *       the next page.
 */

import { gettext } from "./text.js";
import { compareWide, wide } from "./wide.js";

export const PAGE_ROWS = 100;
export const ROWS_MAX = 1_000;
/** What the API takes, but for its cursors. */
export const FIELDS = [
  "key", "prefix", "owner", "node", "kind", "session", "operator", "view", "version", "generation", "from", "to", "text",
];
export const MORE_FIELDS = ["text", "session", "operator", "view", "version", "generation"];
/** @type {[name: string, title: string][]} every column, in order */
export const COLUMNS = [
  ["time", gettext("Time")], ["node", gettext("Node")], ["kind", gettext("Kind")], ["key", gettext("Lock")], ["owner", gettext("Owner")], ["generation", gettext("Fencing token")],
  ["seq", gettext("Seq")], ["session", gettext("Session")], ["peer", gettext("Peer")], ["view", gettext("View")], ["version", gettext("Version")], ["ttl", gettext("TTL")],
  ["renewals", gettext("Renewals")], ["detail", gettext("Detail")], ["id", gettext("Row")],
];
export const DEFAULT_COLUMNS = ["time", "node", "kind", "key", "owner", "generation", "detail"];

/**
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {{events: LockEvent[], next_before: string | null, next_after: string, more_after: boolean, scanned: number,
 *   cut: boolean, says: string}} Page
 * @typedef {{filter: Map<string, string>, before: string, after: string, live: boolean, columns: string[], open: string}} State
 *   `before`, `after`: ids, "" for none; `open`: id of the event whose detail is shown
 */

/** @param {string} search such as ?key=a @returns {State} what it cannot mean is left out */
export function stateOf(search) {
  const asked = new URLSearchParams(search);
  const filter = new Map(FIELDS.map((name) => [name, asked.get(name) ?? ""]).filter(([, value]) => value !== "").map(([name, value]) => [String(name), String(value)]));
  const digits = (/** @type {string} */ name) => (/^\d{1,19}$/.test(asked.get(name) ?? "") ? String(asked.get(name)) : "");
  const before = digits("before");
  const after = before === "" ? digits("after") : "";
  const known = new Set(COLUMNS.map(([name]) => name));
  const columns = (asked.get("columns") ?? "").split(",").filter((name) => known.has(name));
  return {
    filter, before, after, columns: columns.length === 0 ? DEFAULT_COLUMNS : columns, open: digits("open"),
    live: before === "" && after === "" && asked.get("live") !== "no" && !filter.has("to"),
  };
}

/** @param {State} state @returns {string} the search of the page's address, "" for none */
export function searchOf(state) {
  const said = new URLSearchParams([...state.filter]);
  if (state.before !== "") said.set("before", state.before);
  if (state.after !== "") said.set("after", state.after);
  if (!state.live && state.before === "" && state.after === "" && !state.filter.has("to")) said.set("live", "no");
  if (state.columns.join() !== DEFAULT_COLUMNS.join()) said.set("columns", state.columns.join());
  if (state.open !== "") said.set("open", state.open);
  const text = said.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * @param {ReadonlyMap<string, string>} filter
 * @param {{before?: string, after?: string, limit?: number}} [cursor]
 * @returns {string} the API's address of a page
 */
export function pagePath(filter, { before = "", after = "", limit = PAGE_ROWS } = {}) {
  const said = new URLSearchParams([...filter, ["limit", String(limit)]]);
  if (before !== "") said.set("before", before);
  if (after !== "") said.set("after", after);
  return `/api/audit/?${said}`;
}

/** @param {ReadonlyMap<string, string>} filter @param {string} format @param {string} job @returns {string} */
export function exportPath(filter, format, job) {
  return `/api/audit/export/?${new URLSearchParams([["format", format], ["job", job], ...filter])}`;
}

/**
 * @param {ReadonlyMap<string, string>} filter
 * @returns {string} the API's address of an incident file of the filter's time range; "" if that is open at an end
 */
export function incidentPath(filter) {
  const from = filter.get("from") ?? "";
  const to = filter.get("to") ?? "";
  return from === "" || to === "" ? "" : `/api/incident/?${new URLSearchParams({ from, to })}`;
}

/** @param {Record<string, string>} fields @returns {string} the page's own address for a filter */
export function linkTo(fields) {
  return `/audit/?${new URLSearchParams(Object.entries(fields))}`;
}

/**
 * A time as a field of the form has it, in the reader's zone.
 * @param {string} text as in the address: ISO 8601, or milliseconds or nanoseconds since 1970
 * @returns {string} such as 2026-11-21T14:03:00.000, "" if it is no time
 */
export function localTime(text) {
  const ms = /^\d{11,15}$/.test(text) ? Number(text) : /^\d{16,19}$/.test(text) ? Number(wide(text) / 1_000_000n) : Date.parse(hasZone(text) ? text : `${text}Z`);
  return Number.isFinite(ms) ? isoLocal(ms).replace(" ", "T") : "";
}

/** @param {string} text @returns {boolean} dates alone are in UTC to Date.parse and to the server alike */
function hasZone(text) {
  return !text.includes(":") || /(?:Z|[+-]\d\d:?\d\d)$/i.test(text);
}

/** @param {string} field as the form has it @returns {string} for the address, in UTC; "" for none */
export function universalTime(field) {
  const at = new Date(field);
  return field === "" || Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

/** @param {number} timeMs @returns {string} such as 2026-11-21 14:03:00.123, in the reader's zone */
export function isoLocal(timeMs) {
  const at = new Date(timeMs);
  const part = (/** @type {number} */ value, width = 2) => String(value).padStart(width, "0");
  const day = `${part(at.getFullYear(), 4)}-${part(at.getMonth() + 1)}-${part(at.getDate())}`;
  return `${day} ${part(at.getHours())}:${part(at.getMinutes())}:${part(at.getSeconds())}.${part(at.getMilliseconds(), 3)}`;
}

/** The rows on the page, and where they were taken from. */
export class Found {
  constructor() {
    /** @type {LockEvent[]} newest first */
    this.events = [];
    /** @type {string | null} */
    this.nextBefore = null;
    this.nextAfter = "0";
    this.says = "";
    this.cut = false;
    this.scanned = 0;
    /** @type {Set<string>} ids of rows that came while the page was followed */
    this.fresh = new Set();
  }

  /** @param {Page} page that was asked for anew */
  show(page) {
    this.events = page.events;
    this.nextBefore = page.next_before;
    this.nextAfter = page.next_after;
    this.says = page.says;
    this.cut = page.cut;
    this.scanned = page.scanned;
    this.fresh = new Set();
  }

  /** @param {Page} page of what came after `nextAfter` @returns {number} how many rows it brought */
  add(page) {
    const known = new Set(this.events.map((event) => event.id));
    const news = page.events.filter((event) => !known.has(event.id));
    this.events = [...news, ...this.events];
    if (this.events.length > ROWS_MAX) {
      this.events = this.events.slice(0, ROWS_MAX);
      this.nextBefore = this.events.at(-1)?.id ?? null;
    }
    if (compareWide(page.next_after, this.nextAfter) > 0) this.nextAfter = page.next_after;
    this.fresh = new Set(news.map((event) => event.id));
    return news.length;
  }
}
