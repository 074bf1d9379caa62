/**
 * The page of one watched cluster: the socket says that there is news, the page reads it, each part shows what changed.
 *
 * Elsewhere: what is known (watchedmodel.js), the tables (watchedtables.js), the picture (ringview.js and around it).
 */

import { get, post, SignedOut } from "./api.js";
import { Cluster } from "./cluster.js";
import { byId, make, setPill, setProblem, setText } from "./dom.js";
import { messageOf, shortNumber } from "./format.js";
import { listenPageKeys } from "./keys.js";
import { Legend } from "./legend.js";
import { nodeColor } from "./palette.js";
import { RingPointer } from "./ringpointer.js";
import { RingView } from "./ringview.js";
import { Search } from "./search.js";
import { LiveSocket } from "./socket.js";
import { gettext } from "./text.js";
import { Churn } from "./watchedchurn.js";
import { pictureOf, stateOf, tellAlerts, tellStep, tellVersion, Versions } from "./watchedmodel.js";
import { Arcs, Filers, Moves, Tail } from "./watchedtables.js";

const PAGE = 200;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const app = byId("app", HTMLElement);
const api = `/api/cluster/${encodeURIComponent(app.dataset["name"] ?? "")}`;
const problem = byId("problem", HTMLElement);
const trouble = byId("trouble", HTMLElement);
const cluster = new Cluster();
const versions = new Versions();
/** @type {import("./watchedmodel.js").Watched | null} */
let watched = null;
/** @type {string | null} the version that is shown; null: the newest, as it comes */
let past = null;
/** @type {string | null} where older versions begin; null: there are none */
let older = null;
let reading = false;
let again = false;
let named = "";
/** @type {Map<string, string>} */
const colors = new Map();

/** @param {string} address @returns {string} */
function colorOf(address) {
  let color = colors.get(address);
  if (color === undefined) colors.set(address, (color = nodeColor(cluster.colorOf(address), DARK.matches)));
  return color;
}

const labelOf = (/** @type {string | null} */ address) => cluster.labelOf(address);
const view = new RingView(byId("ring", HTMLCanvasElement), cluster, colorOf);
const highlight = (/** @type {string | null} */ address) => view.highlight(address);
const legend = new Legend({
  total: byId("filers-total", HTMLElement), note: byId("filers-note", HTMLElement), list: byId("legend", HTMLElement),
  cluster, colorOf, onHover: highlight,
});
const search = new Search({ cluster, view, colorOf, onKey: () => search.askNow(), ask: askHolder, unasked: gettext("not asked: press Enter, or the button") });
const names = { cluster, colorOf, onHover: highlight };
const filers = new Filers(names);
const arcs = new Arcs(names);
const moves = new Moves({ ...names, versions });
const tail = new Tail(names, (query) => get(`${api}/events/?${query}`), showProblem);
const churn = new Churn({ colorOf, ask: (over) => get(`${api}/churn/?over=${over}`) });
const line = byId("line", HTMLInputElement);
let alerted = "";
const socket = new LiveSocket({
  path: `/ws/cluster/${encodeURIComponent(app.dataset["name"] ?? "")}/`,
  sessionPath: `${api}/`,
  lastEventId: () => "0",
  onMessage: (message) => message.type === "news" && void read(),
  onState: showLink,
});
new RingPointer({ host: byId("ring-host", HTMLElement), tooltip: byId("tooltip", HTMLElement), view, cluster, colorOf });

/** @param {string} key @returns {Promise<import("./search.js").Answer>} */
async function askHolder(key) {
  if (past !== null) throw new Error(gettext("A holder can only be asked for as things are now: press L for live."));
  const found = await get(`${api}/holder/?key=${encodeURIComponent(key)}`);
  return { held: found.held, owner: found.owner, generation: "", primary: found.primary, askedMs: found.asked_ms };
}

/** Read what is there now; what is asked for meanwhile is read after it. */
async function read() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  try {
    const first = watched === null;
    watched = /** @type {import("./watchedmodel.js").Watched} */ (await get(`${api}/`));
    if (first) await readVersions();
    show();
    showProblem("");
  } catch (error) {
    showProblem(messageOf(error));
    if (error instanceof SignedOut) return;
  }
  reading = false;
  if (again) {
    again = false;
    void read();
  }
}

async function readVersions() {
  const found = await get(`${api}/rings/?limit=${PAGE}${older === null ? "" : `&before=${older}`}`);
  versions.add(found.rings);
  older = found.next_before;
}

function show() {
  if (watched === null) return;
  if (watched.ring !== null) versions.add([watched.ring]);
  const ring = versions.at(past);
  const change = cluster.applySnapshot(pictureOf(ring, watched.filers))?.ring ?? null;
  const told = JSON.stringify(watched.filers.map((filer) => [filer.address, filer.label]));
  if (told !== named) {
    named = told;
    colors.clear();
    view.restyle();
  }
  if (change !== null) {
    view.ringChanged(change);
    if (!change.first && ring !== null) setText(byId("announce", HTMLElement), gettext("Version {version}: {news}", { version: shortNumber(ring.version), news: tellStep(versions.all[versions.placeOf(ring.version) - 1] ?? null, ring, labelOf) }));
  }
  legend.showRing();
  setText(byId("filers-total", HTMLElement), ring === null ? "–" : String(ring.servers.length));
  setText(byId("filers-note", HTMLElement), ring?.servers.length === 1 ? gettext("filer: no backup") : gettext("filers"));
  search.show();
  showBar(watched);
  showLine(ring);
  filers.show(watched.filers);
  arcs.show();
  moves.show();
  tail.show(watched.events);
  showAlerts(watched);
  churn.changed();
}

/** What is wrong now, whatever version is looked at. @param {import("./watchedmodel.js").Watched} told */
function showAlerts({ alerts, cluster: { state } }) {
  setText(byId("alerts-text", HTMLElement), tellAlerts(alerts, state !== "detached"));
  const drawn = JSON.stringify(alerts);
  if (drawn === alerted) return;
  alerted = drawn;
  byId("alerts", HTMLElement).replaceChildren(...alerts.map((alert) => make("li", { "data-alert": alert.kind }, [
    make("span", { class: "badge", "data-tone": alert.severity, text: alert.severity === "bad" ? gettext("grave") : gettext("take care") }),
    ` ${alert.label === "" ? "" : `${alert.label}: `}${alert.text}`,
  ])));
}

/** @param {import("./watchedmodel.js").Watched} told */
function showBar({ cluster: told }) {
  setPill(byId("state", HTMLElement), stateOf(told));
  setText(byId("version", HTMLElement), shortNumber(versions.newest?.renewed ?? ""), versions.newest?.renewed);
  setText(byId("leader", HTMLElement), told.leader || "–");
  setProblem(trouble, told.trouble);
  app.classList.toggle("is-stale", told.state !== "following");
  const canary = document.getElementById("canary");
  if (canary instanceof HTMLInputElement && !canary.dataset["busy"]) {
    canary.disabled = !told.attached;
    canary.checked = told.canary;
  }
}

/** @param {import("./watchedmodel.js").Ring | null} ring */
function showLine(ring) {
  const place = versions.placeOf(ring?.version ?? null);
  line.max = String(Math.max(0, versions.all.length - 1));
  line.value = String(Math.max(0, place));
  line.disabled = versions.all.length < 2;
  const which = past === null ? gettext("Now") : gettext("Version {place} of {total}", { place: place + 1, total: versions.all.length });
  const text = ring === null ? gettext("No version of its ring is recorded yet.") : `${which}: ${tellVersion(ring)}; ${tellStep(versions.all[place - 1] ?? null, ring, labelOf)}`;
  setText(byId("line-text", HTMLElement), text);
  line.setAttribute("aria-valuetext", text);
  byId("earlier", HTMLButtonElement).disabled = place <= 0;
  byId("later", HTMLButtonElement).disabled = past === null;
  byId("now", HTMLButtonElement).hidden = past === null;
  byId("older-versions", HTMLButtonElement).hidden = older === null;
  app.classList.toggle("is-past", past !== null);
}

/** Show a version by its place among those that are known. @param {number} place */
function go(place) {
  const last = versions.all.length - 1;
  past = place >= last ? null : versions.all[Math.max(0, place)]?.version ?? null;
  show();
}

function showLink() {
  setPill(byId("link", HTMLElement), socket.link.describe(Date.now()));
  if (!socket.link.isLive(Date.now())) app.classList.add("is-stale");
}

/** @param {string} text */
function showProblem(text) {
  setProblem(problem, text);
}

line.addEventListener("input", () => go(Number(line.value)));
byId("earlier", HTMLButtonElement).addEventListener("click", () => go(versions.placeOf(past) - 1));
byId("later", HTMLButtonElement).addEventListener("click", () => go(versions.placeOf(past) + 1));
byId("now", HTMLButtonElement).addEventListener("click", () => go(Infinity));
byId("older-versions", HTMLButtonElement).addEventListener("click", () => void readVersions().then(show, (error) => showProblem(messageOf(error))));
listenPageKeys([{ keys: ["l"], does: gettext("live"), act: () => past !== null && go(Infinity) }]);
DARK.addEventListener("change", () => {
  colors.clear();
  show();
});

const canary = document.getElementById("canary");
canary?.addEventListener("change", async () => {
  if (!(canary instanceof HTMLInputElement)) return;
  const on = canary.checked;
  canary.checked = !on; // it moves when the server says so
  canary.dataset["busy"] = "yes";
  canary.disabled = true;
  await post(`${api}/canary/`, { on }).catch((error) => showProblem(messageOf(error)));
  delete canary.dataset["busy"];
  void read();
});
socket.start();
void read();
