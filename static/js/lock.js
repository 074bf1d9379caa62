/**
 * The page of one lock: what is with it now, and its life as recorded.
 *
 * Asked each second while it is shown: what is now; each five: its life, as long as the newest page is shown.
 * Elsewhere: what is drawn (lockmodel.js).
 */

import { get, SignedOut } from "./api.js";
import { isoLocal, linkTo } from "./auditmodel.js";
import { byId, make, setText, shape } from "./dom.js";
import { age, clock, clockMs, count, messageOf, shorten } from "./format.js";
import { listenPageKeys } from "./keys.js";
import { behind, endOf, lay, ownerOf, servedBy } from "./lockmodel.js";
import { linkAround } from "./spacetimemodel.js";
import { gettext, ngettext } from "./text.js";

const NOW_MS = 1_000;
const LIFE_EVERY = 5;
const LANE_PX = 26;
const WIDTH_PX_MIN = 560;
const NAME_PX = 150;

/** @typedef {import("./lockmodel.js").Held} Held */

const problem = byId("problem", HTMLElement);
const input = byId("key", HTMLInputElement);
let key = new URLSearchParams(location.search).get("key") ?? "";
let asked = 0;
let ticks = 0;
/** @type {string | null} */
let before = null;
/** @type {Held[]} */
let shown = [];

byId("which", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  open(input.value);
  history.pushState(null, "", `?key=${encodeURIComponent(key)}`);
});
listenPageKeys([{ keys: ["/"], does: gettext("ask for another lock"), act: () => input.focus() }]);
addEventListener("popstate", () => open(new URLSearchParams(location.search).get("key") ?? ""));
byId("older", HTMLButtonElement).addEventListener("click", () => void older());

/** @param {string} wanted */
function open(wanted) {
  key = wanted;
  input.value = key;
  byId("then", HTMLAnchorElement).href = linkAround({ key });
  asked += 1;
  ticks = 0;
  shown = [];
  before = null;
  document.title = key === "" ? gettext("Lock · Lockring") : `${shorten(key, 60)} · Lockring`;
  for (const id of ["now", "life", "refused"]) byId(id, HTMLElement).hidden = true;
  problem.hidden = true;
  if (key === "") input.focus();
  else void tick(asked);
}

/** @param {number} number of the key that is shown */
async function tick(number) {
  if (number !== asked) return;
  const name = encodeURIComponent(key);
  try {
    const life = ticks % LIFE_EVERY === 0 && (ticks === 0 || before === null || shown.length === 0) ? await get(`/api/lock/?key=${name}`) : null;
    // Both together, or the one that comes second would move the other; its life also when nobody can say what is now.
    const now = await Promise.all([get(`/api/key/?key=${name}`), get(`/api/lock/pair/?key=${name}`)]).catch((error) => error);
    if (number !== asked) return;
    if (Array.isArray(now)) showNow(now[0], now[1]);
    if (life !== null) {
      shown = life.holds;
      showLife(life);
    }
    if (!Array.isArray(now)) throw now;
    problem.hidden = true;
  } catch (error) {
    if (number !== asked) return;
    setText(problem, messageOf(error));
    problem.hidden = false;
    setText(byId("now-status", HTMLElement), gettext("unknown"));
    byId("now", HTMLElement).classList.add("is-old");
    if (error instanceof SignedOut) return;
  }
  ticks += 1;
  setTimeout(() => void tick(number), NOW_MS);
}

async function older() {
  const number = asked;
  if (before === null) return;
  const life = await get(`/api/lock/?key=${encodeURIComponent(key)}&before=${before}`);
  if (number !== asked) return;
  const known = new Set(shown.map((held) => held.generation));
  shown = [...shown, ...life.holds.filter((/** @type {Held} */ held) => !known.has(held.generation))];
  showLife({ ...life, holds: shown });
}

/** @param {import("./contract.js").KeyFacts} facts @param {{nodes: {role: string, label: string, address: string, generation: string, seq: string, answers: boolean}[]}} pair */
function showNow(facts, pair) {
  const panel = byId("now", HTMLElement);
  panel.hidden = false;
  panel.classList.remove("is-old");
  const { holder } = facts;
  setText(byId("now-status", HTMLElement), gettext("as its primary decides, at {seen}", { seen: clock(facts.seen_ms) }));
  setText(byId("holder", HTMLElement), holder === null ? gettext("Nobody holds it.") : gettext("Held by {owner}{session}, generation {generation}.", { owner: shorten(holder.owner, 80) || gettext("an owner without a name"), session: holder.session === "" ? ` ${gettext("by a token")}` : gettext(" through a session {label}", { label: shorten(holder.label, 60) }), generation: holder.generation }));
  const lease = byId("lease", HTMLElement);
  lease.hidden = holder === null;
  if (holder !== null) {
    const bar = byId("lease-bar", HTMLProgressElement);
    bar.max = Math.max(holder.ttl_ms, holder.remaining_ms, 1);
    bar.value = holder.remaining_ms;
    setText(byId("lease-text", HTMLElement), gettext("{remaining} of {ttl} left, unless it is renewed", { remaining: age(holder.remaining_ms), ttl: age(holder.ttl_ms) }));
  }
  const words = behind(pair.nodes);
  byId("pair-body", HTMLTableSectionElement).replaceChildren(...pair.nodes.map((node, i) => make("tr", {}, [
    make("td", { "data-label": gettext("Role"), text: node.role }), make("td", { "data-label": gettext("Node"), title: node.address, text: node.label }),
    make("td", { class: "num", "data-label": gettext("Generation"), text: node.generation || "–" }),
    make("td", { class: "num", "data-label": gettext("Seq"), text: node.seq || "–" }),
    make("td", { "data-label": gettext("Behind"), text: words[i] ?? "" }),
  ])));
  const waits = facts.queue_total + facts.waiting_total;
  const ranges = facts.ranges_total === 0 ? "" : ` ${ngettext("{count} byte range is locked.", "{count} byte ranges are locked.", facts.ranges_total)}`;
  setText(byId("waiting", HTMLElement), `${waits === 0 ? gettext("Nobody waits.") : gettext("{waits}, the first: {label}.", { waits: ngettext("{count} waits", "{count} wait", waits), label: shorten(facts.queue[0]?.label ?? facts.waiting[0]?.label ?? "", 60) })}${ranges}`);
}

/** @param {{holds: Held[], refused: import("./contract.js").LockEvent[], read: number, next_before: string | null}} life */
function showLife(life) {
  before = life.next_before;
  byId("life", HTMLElement).hidden = false;
  byId("older", HTMLButtonElement).hidden = before === null;
  setText(byId("life-status", HTMLElement), life.holds.length === 0
    ? gettext("No event of this lock is recorded: it was never held, or so long ago that its history has been pruned.")
    : `${ngettext("{count} holder", "{count} holders", life.holds.length)}, from ${ngettext("{count} event", "{count} events", life.read)}${before === null ? "" : gettext("; there are older ones")}`);
  drawLanes(life.holds);
  byId("life-body", HTMLTableSectionElement).replaceChildren(...life.holds.map((held, i) => row(held, i === 0)));
  const refused = byId("refused", HTMLElement);
  refused.hidden = life.refused.length === 0;
  byId("refused-body", HTMLTableSectionElement).replaceChildren(...life.refused.map((event) => make("tr", {}, [
    make("td", { "data-label": gettext("Time") }, [make("a", { href: `/?at=${Math.floor(event.time_ms)}000000`, text: clockMs(event.time_ms), title: isoLocal(event.time_ms) })]),
    make("td", { "data-label": gettext("Node"), title: event.node, text: event.label }), make("td", { "data-label": gettext("Owner"), text: shorten(event.owner, 80) }),
    make("td", { "data-label": gettext("Why"), text: event.detail }),
  ])));
}

/** @param {Held} held @param {boolean} newest */
function row(held, newest) {
  const lasted = held.begin_ms === null ? "unknown" : age((held.end_ms ?? (newest ? Date.now() : held.begin_ms)) - held.begin_ms);
  const began = held.begin_ms;
  return make("tr", { "data-generation": held.generation }, [
    make("td", { "data-label": gettext("From"), text: began === null ? gettext("before these events") : isoLocal(began) }),
    make("td", { "data-label": gettext("For"), text: held.end_ms === null && !newest ? gettext("unknown") : lasted }),
    make("td", { "data-label": gettext("Holder"), title: ownerOf(held), text: held.owners.map((owner) => shorten(owner.name, 60) || gettext("without a name")).join(" → ") }),
    make("td", { class: "num", "data-label": gettext("Generation"), text: held.generation }),
    make("td", { class: "num", "data-label": gettext("Renewals"), text: count(held.renewals) }),
    make("td", { "data-label": gettext("Served by"), text: servedBy(held) }),
    make("td", { "data-label": gettext("Ended"), text: endOf(held, newest) }),
    make("td", { "data-label": gettext("See"), class: "links" }, [
      make("a", { href: linkTo({ key, generation: held.generation }), text: gettext("events") }),
      ...(held.view === "" ? [] : [make("a", { href: linkTo({ view: held.view }), title: gettext("view {view}", { view: held.view }), text: gettext("its view") })]),
      ...(began === null ? [] : [make("a", { href: `/?at=${Math.floor(began)}000000`, text: gettext("the ring then") }), make("a", { href: linkAround({ event: held.event, key }), text: gettext("who told whom") })]),
    ]),
  ]);
}

/** @param {readonly Held[]} holds */
function drawLanes(holds) {
  const svg = document.querySelector("#lanes");
  if (!(svg instanceof SVGSVGElement)) return;
  const { lanes, bars, fromMs, toMs } = lay(holds, Date.now());
  const width = Math.max(WIDTH_PX_MIN, (svg.parentElement?.clientWidth ?? 0) - 28);
  const height = Math.max(1, lanes.length) * LANE_PX + 22;
  svg.setAttribute("width", String(width));
  svg.setAttribute("height", String(height));
  const title = svg.querySelector("title");
  const wide = width - NAME_PX;
  svg.replaceChildren(...(title ? [title] : []), ...lanes.flatMap((name, i) => [
    shape("text", { x: "0", y: String(i * LANE_PX + 17), class: "lane-name" }, shorten(name || gettext("without a name"), 20)),
    shape("line", { x1: String(NAME_PX), x2: String(width), y1: String((i + 1) * LANE_PX - 2), y2: String((i + 1) * LANE_PX - 2), class: "lane-line" }),
  ]), ...bars.map(({ lane, from, to, open: goesOn, held }) => shape("rect", {
    x: String(NAME_PX + from * wide), y: String(lane * LANE_PX + 5), width: String(Math.max(2, (to - from) * wide)), height: String(LANE_PX - 10), rx: "3",
    class: `hold${goesOn ? " open" : ""}${held.how === "taken away" ? " taken" : ""}${held.how === "expired" ? " expired" : ""}`,
  }, undefined, `${ownerOf(held)}, generation ${held.generation}, ${endOf(held, held === holds[0])}`)),
  shape("text", { x: String(NAME_PX), y: String(height - 4), class: "axis" }, clockMs(fromMs)),
  shape("text", { x: String(width), y: String(height - 4), class: "axis", "text-anchor": "end" }, clockMs(toMs)));
}

open(key);
