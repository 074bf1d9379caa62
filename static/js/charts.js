/**
 * The page of the charts: asks for the numbers, keeps the address, and moves one cursor over all charts.
 *
 * Elsewhere: what is shown (chartmodel.js), drawing it (chartview.js).
 */

import { get, SignedOut } from "./api.js";
import {
  CHARTS, EVERYBODY, dashOf, drawn, fitted, moved, nanoseconds, pointAt, readout, rows, searchOf, seriesPath, spanOf, stretchOf,
  tellFailover, zoomed,
} from "./chartmodel.js";
import { ChartView, sampleOf } from "./chartview.js";
import { byId, make, oncePerFrame, setText, swatch } from "./dom.js";
import { age, clock, messageOf } from "./format.js";
import { listenKeys, listenPageKeys, tellKeys } from "./keys.js";
import { nodeColor } from "./palette.js";
import { gettext, ngettext } from "./text.js";

const LIVE_EVERY_MS = 2_000;
const DRAG_MIN_PX = 6;
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** @type {import("./chartmodel.js").Series | null} */
let series = null;
/** @type {import("./chartmodel.js").Stretch | null} null: live */
let stretch = stretchOf(location.search);
let spanMs = spanOf(location.search);
let who = new URLSearchParams(location.search).get("node") ?? EVERYBODY;
/** @type {number | null} */
let cursorMs = null;
let asked = 0;
let askedMs = 0;
let heardMs = 0;

const board = byId("charts", HTMLElement);
const views = CHARTS.map((chart) => new ChartView(chart, (color) => (color === null ? "var(--ink)" : nodeColor(color, DARK.matches))));
const problem = byId("problem", HTMLElement);
const state = byId("link", HTMLElement);
const live = byId("live", HTMLButtonElement);
const shown = byId("shown", HTMLElement);
const spoken = byId("spoken", HTMLElement);
const span = byId("span", HTMLSelectElement);
const node = byId("node", HTMLSelectElement);
const legend = byId("legend", HTMLElement);
const table = byId("rows", HTMLTableSectionElement);
const failovers = byId("failovers", HTMLElement);
const details = byId("figures", HTMLDetailsElement);
const main = byId("main", HTMLElement);
board.prepend(...views.map((view) => view.element));

/** @returns {import("./chartmodel.js").Stretch} */
function wanted() {
  return stretch ?? { fromMs: Date.now() - spanMs, toMs: Date.now() };
}

/** @param {number} ms @returns {string} */
function when(ms) {
  return `${new Date(ms).toLocaleDateString("en-CA")} ${clock(ms)}`;
}

async function ask() {
  const mine = ++asked;
  askedMs = Date.now();
  const path = seriesPath(wanted());
  try {
    const told = await get(path);
    if (mine !== asked) return;
    series = told;
    heardMs = Date.now();
    problem.hidden = true;
    show();
  } catch (error) {
    if (mine !== asked) return;
    setText(problem, error instanceof SignedOut ? gettext("You are signed out: load the page again to log in.") : messageOf(error));
    problem.hidden = false;
    show();
  }
  showState();
}

const show = oncePerFrame(() => {
  main.classList.add("is-built");
  if (series === null) return;
  const told = series;
  const drawnOver = { fromMs: Number(BigInt(told.from_ns) / 1_000_000n), toMs: Number(BigInt(told.to_ns) / 1_000_000n) };
  showNodes(told);
  for (const view of views) view.show(told, drawn(told, view.chart.id, who), drawnOver);
  setText(shown, gettext("{from} to {to}, {stepS} per point", { from: when(drawnOver.fromMs), to: when(drawnOver.toMs), stepS: age(told.step_s * 1_000) }));
  showFailovers(told);
  if (details.open) showTable(told);
  showCursor();
});

/** @param {import("./chartmodel.js").Series} told */
function showNodes(told) {
  const labels = [EVERYBODY, ...told.nodes.map((one) => one.label)];
  if (who !== EVERYBODY && !labels.includes(who)) labels.push(who);
  if ([...node.options].map((option) => option.value).join("\n") !== labels.join("\n")) {
    node.replaceChildren(...labels.map((label) => make("option", { value: label, text: label || gettext("all nodes") })));
  }
  node.value = who;
  legend.replaceChildren(...told.nodes.map((one) => {
    const color = nodeColor(one.color, DARK.matches);
    return make("li", {}, [swatch(one.label, color), " ", sampleOf(color, dashOf(one.color))]);
  }));
}

/** @param {import("./chartmodel.js").Series} told */
function showFailovers(told) {
  const items = [...told.failovers].reverse().map((failover) => make("li", {}, [
    make("a", { href: `/?at=${nanoseconds(failover.at_ms)}`, class: "num", text: when(failover.at_ms) }),
    ` ${tellFailover(failover)}`,
  ]));
  if (told.failovers_left_out > 0) items.push(make("li", { class: "quiet", text: gettext("{failoversLeftOut} of this time left out: choose less of it.", { failoversLeftOut: ngettext("{count} older view", "{count} older views", told.failovers_left_out) }) }));
  failovers.replaceChildren(...(items.length > 0 ? items : [make("li", { class: "quiet", text: gettext("None in this time.") })]));
}

/** @param {import("./chartmodel.js").Series} told */
function showTable(told) {
  table.replaceChildren(...rows(told, who).map((row) => make("tr", {}, [
    make("th", { scope: "row", class: "num", text: when(row.atMs) }),
    ...row.cells.map((text) => make("td", { class: "num", text })),
  ])));
}

function showCursor() {
  if (series === null) return;
  const point = cursorMs === null ? -1 : pointAt(series, cursorMs);
  const atMs = point < 0 ? undefined : (series.at_ms[point] ?? 0) + series.step_s * 500;
  for (const view of views) view.say(point, atMs);
}

/** Say the cursor's figures, for who does not see them. */
function speak() {
  if (series === null || cursorMs === null) return;
  const told = series;
  const point = pointAt(told, cursorMs);
  const parts = views.map((view) => `${view.chart.title}: ${readout(view.lines, point, view.chart)}`);
  setText(spoken, `${when(told.at_ms[point] ?? 0)}. ${parts.join(". ")}`);
}

function showState() {
  const late = Date.now() - heardMs > 3 * LIVE_EVERY_MS;
  live.hidden = stretch === null;
  state.dataset["tone"] = stretch !== null ? "unknown" : late ? "warn" : "ok";
  setText(state, stretch !== null ? gettext("fixed time") : heardMs === 0 ? gettext("connecting") : late ? gettext("not updated since {heard}", { heard: clock(heardMs) }) : gettext("live"));
  board.classList.toggle("is-stale", stretch === null && heardMs > 0 && late);
  if (stretch === null) span.value = String(spanMs / 1_000);
  else span.value = "";
}

/** @param {import("./chartmodel.js").Stretch | null} next null: live @param {{push?: boolean}} [options] */
function go(next, { push = true } = {}) {
  stretch = next;
  if (push) history.pushState(null, "", `${location.pathname}${searchOf(stretch, spanMs, who)}`);
  showState();
  void ask();
}

/** @param {number} byPoints */
function step(byPoints) {
  if (series === null || series.at_ms.length === 0) return;
  const last = series.at_ms.length - 1;
  const point = cursorMs === null ? (byPoints > 0 ? 0 : last) : Math.min(last, Math.max(0, pointAt(series, cursorMs) + byPoints));
  cursorMs = series.at_ms[point] ?? null;
  showCursor();
  speak();
}

/** @param {number} factor */
function zoom(factor) {
  const now = wanted();
  go(zoomed(now, cursorMs ?? (now.fromMs + now.toMs) / 2, factor));
}

const boardKeys = [
  { keys: ["ArrowLeft"], does: gettext("the cursor one point back"), act: () => step(-1) },
  { keys: ["ArrowRight"], does: gettext("the cursor one point on"), act: () => step(1) },
  { keys: ["PageUp"], does: gettext("ten points back"), act: () => step(-10) },
  { keys: ["PageDown"], does: gettext("ten points on"), act: () => step(10) },
  { keys: ["Home"], does: gettext("to the first point"), act: () => step(-Infinity) },
  { keys: ["End"], does: gettext("to the last point"), act: () => step(Infinity) },
  { keys: ["Shift+ArrowLeft"], does: gettext("earlier"), act: () => go(moved(wanted(), -0.5)) },
  { keys: ["Shift+ArrowRight"], does: gettext("later"), act: () => go(moved(wanted(), 0.5)) },
  { keys: ["+"], does: gettext("closer"), act: () => zoom(0.5) },
  { keys: ["-"], does: gettext("wider"), act: () => zoom(2) },
  { keys: ["Escape"], does: gettext("let go of the cursor"), act: () => letGo() },
];
listenKeys(gettext("On the charts"), board, boardKeys);
listenPageKeys([{ keys: ["l"], does: gettext("live"), act: () => stretch !== null && go(null) }]);
byId("chart-keys", HTMLElement).append(` ${tellKeys(boardKeys)}.`);

function letGo() {
  cursorMs = null;
  showCursor();
}

for (const view of views) {
  /** @type {number | null} */
  let fromX = null;
  const timeOf = (/** @type {PointerEvent} */ event) => view.timeAt(event.clientX - view.svg.getBoundingClientRect().left);
  view.svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    fromX = event.clientX;
    view.svg.setPointerCapture(event.pointerId);
  });
  view.svg.addEventListener("pointermove", (event) => {
    cursorMs = timeOf(event);
    showCursor();
    if (fromX === null) return;
    const startMs = view.timeAt(fromX - view.svg.getBoundingClientRect().left);
    for (const each of views) each.choose(startMs, timeOf(event));
  });
  view.svg.addEventListener("pointerup", (event) => {
    if (fromX === null) return;
    const startMs = view.timeAt(fromX - view.svg.getBoundingClientRect().left);
    const far = Math.abs(event.clientX - fromX) >= DRAG_MIN_PX;
    fromX = null;
    for (const each of views) each.choose(0, 0);
    if (far) go(fitted(startMs, timeOf(event)));
  });
  view.svg.addEventListener("pointerleave", () => {
    if (fromX === null) letGo();
  });
}

byId("earlier", HTMLButtonElement).addEventListener("click", () => go(moved(wanted(), -0.5)));
byId("later", HTMLButtonElement).addEventListener("click", () => go(moved(wanted(), 0.5)));
byId("closer", HTMLButtonElement).addEventListener("click", () => zoom(0.5));
byId("wider", HTMLButtonElement).addEventListener("click", () => zoom(2));
live.addEventListener("click", () => go(null));
span.addEventListener("change", () => {
  if (span.value === "") return;
  spanMs = Number(span.value) * 1_000;
  go(null);
});
node.addEventListener("change", () => {
  who = node.value;
  history.replaceState(null, "", `${location.pathname}${searchOf(stretch, spanMs, who)}`);
  show();
});
details.addEventListener("toggle", () => series !== null && details.open && showTable(series));
addEventListener("popstate", () => {
  spanMs = spanOf(location.search);
  who = new URLSearchParams(location.search).get("node") ?? EVERYBODY;
  go(stretchOf(location.search), { push: false });
});
DARK.addEventListener("change", show);
new ResizeObserver(show).observe(board);
setInterval(() => {
  showState();
  if (stretch === null && document.visibilityState === "visible" && Date.now() - askedMs >= LIVE_EVERY_MS) void ask();
}, 500);
showState();
void ask();
