/**
 * The page of the space-time diagram: form, address, picture, keys and live stream.
 *
 * The socket is a hint that there is something new; the diagram comes from the API.
 * Elsewhere: addresses and places (spacetimemodel.js), picture (spacetimedraw.js), table (spacetimetable.js).
 */

import { get, SignedOut } from "./api.js";
import { isoLocal, localTime } from "./auditmodel.js";
import { byId, make, oncePerFrame, setPill, setProblem, setText } from "./dom.js";
import { messageOf } from "./format.js";
import { listenKeys, listenPageKeys } from "./keys.js";
import { nodeColor } from "./palette.js";
import { LiveSocket } from "./socket.js";
import { draw, HEIGHT_PX } from "./spacetimedraw.js";
import { apiPath, Diagram, FIELDS, GROUPS, isLive, limitsOf, nsOfMs, searchOf, SPAN_MS_MAX, SPAN_MS_MIN, stateOf } from "./spacetimemodel.js";
import { DiagramTable, describe } from "./spacetimetable.js";
import { gettext, ngettext } from "./text.js";
import { compareWide, wide } from "./wide.js";

const FOLLOW_EVERY_MS = 1_000;
const MOVE_EVERY_MS = 2_000;
const REACH_PX = 22;
const ZOOM = 2;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const NS_PER_MS = 1_000_000n;

const status = byId("status", HTMLElement);
const problem = byId("problem", HTMLElement);
const link = byId("link", HTMLElement);
const live = byId("live", HTMLButtonElement);
const form = byId("filter", HTMLFormElement);
const stage = byId("stage", HTMLElement);
const about = byId("picked", HTMLElement);
const svg = /** @type {SVGSVGElement} */ (stage.querySelector("svg"));
const fields = new Map(FIELDS.map((name) => [name, /** @type {HTMLInputElement | HTMLSelectElement} */ (form.elements.namedItem(name))]));
const at = byId("f-at", HTMLInputElement);
const span = byId("f-span", HTMLSelectElement);
const context = byId("f-context", HTMLInputElement);
let state = stateOf(location.search);
let asked = 0;
let busy = false;
let hinted = "0";
let seen = "0";
/** @type {Diagram | null} */
let diagram = null;
/** @type {import("./spacetimedraw.js").Size | null} */
let size = null;
/** @type {Map<string, number>} */
const colors = new Map();

const colorOf = (/** @type {string} */ address) => (colors.has(address) ? nodeColor(colors.get(address) ?? 0, DARK.matches) : "var(--muted)");
const table = new DiagramTable({ onPick: pick, colorOf });
const socket = new LiveSocket({
  path: byId("app", HTMLElement).dataset["live"] ?? "/ws/live/", sessionPath: "/api/spacetime/?span_ms=1&limit=1",
  lastEventId: () => hinted, onMessage: receive, onState: showLink,
});
const redraw = oncePerFrame(() => {
  if (diagram === null) return;
  size = draw(svg, diagram, { groups: state.groups, picked: state.event, colorOf: (lane) => colorOf(lane.id) });
  // Clients come and go while it is live: what is below stays where it is.
  stage.style.minHeight = `${Math.max(HEIGHT_PX, size.height, isLive(state) ? Number.parseFloat(stage.style.minHeight) || 0 : 0)}px`;
});

/** @param {import("./contract.js").Message} message */
function receive(message) {
  if (message.type !== "snapshot" && message.type !== "delta") return;
  if (compareWide(message.last_event_id, hinted) > 0) hinted = message.last_event_id;
  void follow();
}

async function follow() {
  if (busy || !isLive(state) || document.hidden || compareWide(hinted, seen) <= 0) return;
  busy = true;
  const wanted = hinted;
  await load();
  if (compareWide(wanted, seen) > 0) seen = wanted;
  setTimeout(() => {
    busy = false;
    void follow();
  }, FOLLOW_EVERY_MS);
}

/** Ask for what the state says. */
async function load() {
  asked += 1;
  const number = asked;
  stage.setAttribute("aria-busy", "true");
  try {
    const body = await get(apiPath(state));
    if (number !== asked) return;
    fail("");
    show(new Diagram(body));
  } catch (error) {
    if (number !== asked) return;
    fail(error);
  }
  stage.setAttribute("aria-busy", "false");
}

/** @param {Diagram} found */
function show(found) {
  diagram = found;
  for (const lane of found.lanes) if (lane.color !== null) colors.set(lane.id, lane.color);
  if (state.at === "" && !isLive(state)) remember({ at: found.body.at_ns });
  redraw();
  tell();
}

/** Say what is shown, and what is not. */
function tell() {
  if (diagram === null) return;
  const { body } = diagram;
  const middle = Number(wide(body.at_ns) / NS_PER_MS);
  const arrows = diagram.arrows.filter(({ group }) => state.groups.includes(group)).length;
  const where = isLive(state) ? gettext("the last {span}", { span: spanText(state.spanMs) }) : gettext("{span} around {time}", { span: spanText(state.spanMs), time: isoLocal(middle) });
  const found = diagram.points.length === 0 ? body.says || gettext("No event here.") : `${ngettext("{count} event", "{count} events", diagram.points.length)}, ${ngettext("{count} message", "{count} messages", arrows)}`;
  setText(status, `${found} · ${where}`);
  byId("limits", HTMLElement).replaceChildren(...limitsOf(body).map((text) => make("p", { text })));
  const point = diagram.point(state.event);
  about.replaceChildren(...(point === null ? [make("p", { class: "quiet", text: gettext("Choose an event: point at it, or press ] for the next one.") })] : describe(point, diagram)));
  table.show(diagram, state.event);
  showForm();
}

function showForm() {
  setText(live, isLive(state) ? gettext("Pause") : gettext("Live"));
  live.setAttribute("aria-pressed", String(isLive(state)));
  for (const [name, field] of fields) if (document.activeElement !== field) field.value = state.filter.get(name) ?? "";
  if (document.activeElement !== at) at.value = isLive(state) || diagram === null ? "" : localTime(diagram.body.at_ns);
  if (![...span.options].some((option) => option.value === String(state.spanMs))) span.append(make("option", { value: String(state.spanMs), text: spanText(state.spanMs) }));
  span.value = String(state.spanMs);
  context.checked = state.context;
  for (const [name] of GROUPS) byId(`arrows-${name}`, HTMLInputElement).checked = state.groups.includes(name);
}

/** @param {number} ms */
function spanText(ms) {
  return ms < 1_000 ? `${ms} ms` : ms < 60_000 ? `${ms / 1_000} s` : `${Number((ms / 60_000).toFixed(1))} min`;
}

/** @param {string} id */
function pick(id) {
  // What is looked at stays in the picture: the stream goes on without it.
  if (isLive(state) && diagram !== null) remember({ at: middleOf(diagram), event: id });
  else remember({ event: id });
  redraw();
  tell();
}

/** @param {Diagram} shown @returns {string} so that the same stretch is shown when it stands still */
function middleOf(shown) {
  return String(shown.body.live ? shown.fromNs + BigInt(Math.round(shown.spanNs / 2)) : wide(shown.body.at_ns));
}

/** @param {1 | -1} way */
function step(way) {
  const next = diagram?.next(state.event, way);
  if (next) pick(next.event.id);
}

/** @param {number} factor */
function zoom(factor) {
  const point = diagram?.point(state.event);
  const spanMs = Math.min(SPAN_MS_MAX, Math.max(SPAN_MS_MIN, Math.round(state.spanMs * factor)));
  if (isLive(state)) return go({ ...state, spanMs });
  return go({ ...state, at: String(point?.ns ?? diagram?.body.at_ns ?? state.at), spanMs });
}

/** @param {number} part of the stretch */
function shift(part) {
  if (diagram === null) return;
  const to = wide(middleOf(diagram)) + BigInt(Math.round(diagram.spanNs * part));
  go({ ...state, at: String(to < 0n ? 0n : to) });
}

/** @param {import("./spacetimemodel.js").State} next */
function go(next) {
  state = next;
  history.pushState(null, "", location.pathname + searchOf(state));
  showForm();
  void load();
}

/** @param {Partial<import("./spacetimemodel.js").State>} parts */
function remember(parts) {
  state = { ...state, ...parts };
  history.replaceState(null, "", location.pathname + searchOf(state));
}

/** @param {unknown} error "" for none */
function fail(error) {
  if (error instanceof SignedOut) socket.link.end(gettext("signed out: reload to log in"));
  setProblem(problem, messageOf(error));
}

function showLink() {
  setPill(link, socket.link.describe(Date.now()));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const filter = new Map([...fields].map(([name, field]) => /** @type {[string, string]} */ ([name, field.value])).filter(([, value]) => value !== ""));
  const ms = new Date(at.value).getTime();
  const moved = at.value !== "" && (isLive(state) || at.value !== localTime(diagram?.body.at_ns ?? ""));
  const wanted = at.value === "" ? { at: "", event: "" } : moved && !Number.isNaN(ms) ? { at: nsOfMs(ms), event: "" } : {};
  go({ ...state, ...wanted, filter, spanMs: Number(span.value), context: context.checked });
});
byId("clear", HTMLButtonElement).addEventListener("click", () => go({ ...state, filter: new Map(), context: true }));
for (const [name] of GROUPS) {
  byId(`arrows-${name}`, HTMLInputElement).addEventListener("change", () => {
    remember({ groups: GROUPS.map(([group]) => group).filter((group) => byId(`arrows-${group}`, HTMLInputElement).checked) });
    redraw();
    tell();
  });
}
live.addEventListener("click", () => toggleLive());
function toggleLive() {
  if (isLive(state) && diagram !== null) go({ ...state, at: middleOf(diagram) });
  else go({ ...state, at: "", event: "" });
}
/** @type {[id: string, act: () => void][]} */
const buttons = [
  ["previous", () => step(-1)], ["next", () => step(1)], ["closer", () => zoom(1 / ZOOM)], ["wider", () => zoom(ZOOM)],
  ["earlier", () => shift(-0.5)], ["later", () => shift(0.5)],
];
for (const [id, act] of buttons) byId(id, HTMLButtonElement).addEventListener("click", act);
stage.addEventListener("click", (event) => {
  if (diagram === null || size === null) return;
  const box = svg.getBoundingClientRect();
  const point = diagram.nearest(event.clientX - box.left - size.left, event.clientY - box.top, size, REACH_PX);
  if (point !== null) pick(point.event.id);
});
listenPageKeys([
  { keys: ["["], does: gettext("previous event"), act: () => step(-1) },
  { keys: ["]"], does: gettext("next event"), act: () => step(1) },
  { keys: ["+", "="], does: gettext("shorter stretch"), act: () => zoom(1 / ZOOM) },
  { keys: ["-"], does: gettext("longer stretch"), act: () => zoom(ZOOM) },
  { keys: ["{"], does: gettext("half a stretch earlier"), act: () => shift(-0.5) },
  { keys: ["}"], does: gettext("half a stretch later"), act: () => shift(0.5) },
  { keys: ["l"], does: gettext("live, or pause"), act: toggleLive },
  { keys: ["f", "/"], does: gettext("to the filter"), act: () => fields.get("key")?.focus() },
]);
listenKeys(gettext("On the picture"), stage, [
  { keys: ["ArrowLeft"], does: gettext("previous event"), act: () => step(-1) },
  { keys: ["ArrowRight"], does: gettext("next event"), act: () => step(1) },
  { keys: ["PageUp"], does: gettext("half a stretch earlier"), act: () => shift(-0.5) },
  { keys: ["PageDown"], does: gettext("half a stretch later"), act: () => shift(0.5) },
]);
addEventListener("popstate", () => {
  state = stateOf(location.search);
  void load();
});
DARK.addEventListener("change", redraw);
new ResizeObserver(redraw).observe(stage);
// What was goes out of the picture also while nothing new comes; an empty one rests.
setInterval(() => {
  if (isLive(state) && !busy && !document.hidden && diagram !== null && diagram.points.length > 0) void load();
}, MOVE_EVERY_MS);
showForm();
void load().then(() => socket.start());
