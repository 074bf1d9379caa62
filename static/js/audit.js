/**
 * The page of the history: form, address, rows and live tail.
 *
 * The socket is a hint that there is something new; the rows come from the API, after the last id that was looked at.
 * Elsewhere: addresses and pages (auditmodel.js), rows (auditrows.js), one event (auditdetail.js), files (auditexport.js).
 */

import { get, SignedOut } from "./api.js";
import { detailOf } from "./auditdetail.js";
import { AuditExport } from "./auditexport.js";
import { AuditForm } from "./auditform.js";
import { Found, pagePath, searchOf, stateOf } from "./auditmodel.js";
import { AuditRows } from "./auditrows.js";
import { byId, setPill, setProblem, setText } from "./dom.js";
import { count, messageOf } from "./format.js";
import { nodeColor } from "./palette.js";
import { LiveSocket } from "./socket.js";
import { gettext, ngettext } from "./text.js";
import { compareWide } from "./wide.js";

const FOLLOW_EVERY_MS = 400;
const DARK = matchMedia("(prefers-color-scheme: dark)");

const found = new Found();
/** @type {Map<string, number>} */
const colors = new Map();
const status = byId("status", HTMLElement);
const problem = byId("problem", HTMLElement);
const link = byId("link", HTMLElement);
const live = byId("live", HTMLButtonElement);
const buttons = { newest: byId("newest", HTMLButtonElement), newer: byId("newer", HTMLButtonElement), older: byId("older", HTMLButtonElement) };
let state = stateOf(location.search);
let asked = 0;
let busy = false;
/** Newest event that the server says there is. */
let hinted = "0";
let overrun = false;
/** The page that was asked for could not be had. */
let failed = false;
let waiting = false;

const rows = new AuditRows({
  head: byId("head", HTMLElement), body: byId("body", HTMLTableSectionElement), detail: detailOf,
  colorOf: (address) => (colors.has(address) ? nodeColor(colors.get(address) ?? 0, DARK.matches) : "var(--muted)"),
  onOpen: (id) => remember({ open: id }, false),
});
const form = new AuditForm({
  onFilter: (filter) => go({ ...state, filter, before: "", after: "", live: !filter.has("to"), open: "" }),
  onColumns: (columns) => {
    remember({ columns }, false);
    draw();
  },
});
const socket = new LiveSocket({
  path: byId("app", HTMLElement).dataset["live"] ?? "/ws/live/",
  sessionPath: "/api/audit/?limit=1",
  lastEventId: () => (compareWide(hinted, found.nextAfter) > 0 ? hinted : found.nextAfter),
  onMessage: receive,
  onState: showLink,
});
new AuditExport(() => state.filter);

/** @param {import("./contract.js").Message} message */
function receive(message) {
  if (message.type !== "snapshot" && message.type !== "delta") return;
  if (message.nodes) noteNodes(message.nodes);
  if (compareWide(message.last_event_id, hinted) > 0) hinted = message.last_event_id;
  void follow();
}

/** @param {import("./contract.js").NodeRow[]} nodes */
function noteNodes(nodes) {
  const before = JSON.stringify([...colors]);
  for (const node of nodes) colors.set(node.address, node.color);
  form.offerNodes(nodes.map((node) => node.label));
  if (JSON.stringify([...colors]) === before) return;
  rows.forget();
  draw();
}

/** Bring what came since the last look, if the page is followed. */
async function follow() {
  if (failed) return; // there is nothing to go on from
  if (busy || waiting || !state.live || compareWide(hinted, found.nextAfter) <= 0) return tell();
  busy = true;
  const number = asked;
  try {
    const page = await get(pagePath(state.filter, { after: found.nextAfter, limit: 500 }));
    if (number !== asked) return;
    overrun = page.more_after && !page.cut;
    if (overrun) await load();
    else {
      found.add(page);
      draw();
    }
    fail("");
  } catch (error) {
    if (number === asked) fail(error);
  } finally {
    busy = false;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      void follow();
    }, FOLLOW_EVERY_MS);
  }
}

/** Ask for the page that the state says. */
async function load() {
  asked += 1;
  const number = asked;
  const { filter, before, after } = state;
  setText(status, "looking …");
  try {
    const page = await get(pagePath(filter, { before, after }));
    if (number !== asked) return;
    found.show(page);
    failed = false;
    fail("");
  } catch (error) {
    if (number !== asked) return;
    found.show({ events: [], next_before: null, next_after: "0", more_after: false, scanned: 0, cut: false, says: "" });
    failed = true;
    fail(error);
  }
  draw();
  if (state.open !== "" && rows.opened !== state.open) rows.toggle(state.open);
}

/** @param {import("./auditmodel.js").State} next */
function go(next) {
  state = next;
  overrun = false;
  history.pushState(null, "", location.pathname + searchOf(state));
  form.show(state);
  void load();
}

/** @param {Partial<import("./auditmodel.js").State>} parts @param {boolean} step whether Back leads to before */
function remember(parts, step) {
  state = { ...state, ...parts };
  const address = location.pathname + searchOf(state);
  if (step) history.pushState(null, "", address);
  else history.replaceState(null, "", address);
}

function draw() {
  rows.show(found.events, state.columns, found.fresh);
  tell();
}

/** Say what is shown, what waits and how far was looked. */
function tell() {
  const newest = state.before === "" && state.after === "";
  const behind = compareWide(hinted, found.nextAfter) > 0;
  setText(live, state.live ? gettext("Pause") : gettext("Follow"));
  live.setAttribute("aria-pressed", String(state.live));
  live.disabled = failed || !newest || state.filter.has("to");
  live.title = live.disabled && !failed ? gettext("Only the newest page of an open time range can be followed") : "";
  buttons.newest.disabled = newest;
  buttons.newer.disabled = newest;
  buttons.older.disabled = found.nextBefore === null;
  const parts = [found.events.length === 0 ? found.says || gettext("Nothing here.") : ngettext("{count} row", "{count} rows", found.events.length)];
  if (found.cut) parts.push(gettext("{scanned} events were looked at and the page is not full: go on with Older", { scanned: count(found.scanned) }));
  if (overrun) parts.push(gettext("events come faster than they can be shown: the newest are shown, narrow the filter to see all"));
  if (newest && !live.disabled) parts.push(state.live ? gettext("followed live") : behind ? gettext("paused; there is more, Follow goes on from here") : gettext("paused"));
  setText(status, failed ? "" : parts.join(" · "));
}

/** @param {unknown} error "" for none */
function fail(error) {
  if (error instanceof SignedOut) socket.link.end(gettext("signed out: reload to log in"));
  setProblem(problem, messageOf(error));
}

function showLink() {
  setPill(link, socket.link.describe(Date.now()));
}

live.addEventListener("click", () => {
  remember({ live: !state.live }, false);
  overrun = false;
  tell();
  void follow();
});
buttons.newest.addEventListener("click", () => go({ ...state, before: "", after: "", live: !state.filter.has("to"), open: "" }));
buttons.older.addEventListener("click", () => go({ ...state, before: found.nextBefore ?? "", after: "", live: false, open: "" }));
buttons.newer.addEventListener("click", () => go({ ...state, before: "", after: found.nextAfter, live: false, open: "" }));
addEventListener("popstate", () => {
  state = stateOf(location.search);
  form.show(state);
  void load();
});
DARK.addEventListener("change", () => {
  rows.forget();
  draw();
});
form.show(state);
void load().then(() => socket.start());
