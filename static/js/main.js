/**
 * Puts the page together: messages fold into the cluster, and each part shows what has changed.
 *
 * Elsewhere: everything with an idea of its own. Nothing here computes.
 */

import { ActionsList } from "./actions.js";
import { get, SignedOut } from "./api.js";
import { Breaking } from "./breaking.js";
import { Cluster } from "./cluster.js";
import { ActionDialog } from "./dialogs.js";
import { byId, oncePerFrame, setState } from "./dom.js";
import { messageOf } from "./format.js";
import { Header } from "./header.js";
import { isFresh } from "./health.js";
import { InvariantsPanel } from "./invariants.js";
import { KeyDialog } from "./keydialog.js";
import { ReleaseForm } from "./release.js";
import { Legend } from "./legend.js";
import { NodesTable } from "./nodestable.js";
import { nodeColor } from "./palette.js";
import { NOT_LIVE } from "./plan.js";
import { RingPointer } from "./ringpointer.js";
import { RingView } from "./ringview.js";
import { Search } from "./search.js";
import { SessionsPanel } from "./sessions.js";
import { LiveSocket } from "./socket.js";
import { StagePanel } from "./stage.js";
import { Tables } from "./tables.js";
import { TailPanel } from "./tail.js";
import { gettext } from "./text.js";
import { Travel } from "./timeline.js";
import { dateTime } from "./timelinemodel.js";
import { tellChange } from "./viewtext.js";

const RESYNC_AFTER_MS = 800;
const RESYNC_EVERY_MS = 5_000;
const COUNT_EVERY_MS = 100;
const AGE_EVERY_MS = 200;
const RETURN_AGAIN_MS = 2_000;
const WAITING_MAX = 1_000;
const DARK = matchMedia("(prefers-color-scheme: dark)");

const app = byId("app", HTMLElement);
const canOperate = app.dataset["operate"] === "yes";
const cluster = new Cluster();
/** @type {Map<string, string>} colours of the nodes in the current theme */
const colors = new Map();

/** @param {string} address @returns {string} */
function colorOf(address) {
  let color = colors.get(address);
  if (color === undefined) colors.set(address, (color = nodeColor(cluster.colorOf(address), DARK.matches)));
  return color;
}

const header = new Header(cluster);
const view = new RingView(byId("ring", HTMLCanvasElement), cluster, colorOf);
const highlight = (/** @type {string | null} */ address) => view.highlight(address);
const legend = new Legend({
  total: byId("locks-total", HTMLElement), note: byId("locks-note", HTMLElement), list: byId("legend", HTMLElement),
  cluster, colorOf, onHover: highlight,
});
const socket = new LiveSocket({
  path: app.dataset["live"] ?? "/ws/live/",
  sessionPath: "/api/events/?limit=1",
  lastEventId: () => (cluster.ready && !travel.past ? cluster.lastEventId : "0"),
  onMessage: hear,
  onState: showLink,
});
const isLive = () => !travel.past && waiting === null && socket.link.isLive(Date.now());
const lagMs = () => socket.link.lagMs;
const actions = new ActionsList(byId("actions", HTMLElement), cluster);
const dialog = new ActionDialog({ cluster, colorOf, isLive, onAction: noteAction });
const nodes = new NodesTable({
  body: byId("nodes-body", HTMLTableSectionElement), cluster, canOperate, colorOf, isLive, lagMs, onHover: highlight,
  onAction: (what, node) => dialog.askNode(what, node),
});
const breaking = new Breaking({
  cluster, lines: nodes.lines, isLive, onAction: noteAction, onProblem: (text) => header.showProblem(text),
});
const keyDialog = new KeyDialog({ cluster, colorOf, release: canOperate ? new ReleaseForm(noteAction) : null });
const lookAt = (/** @type {string} */ key) => {
  if (travel.past) header.showProblem(gettext("Looking inside a key asks its node as it is now. Press L for live, and look again."));
  else keyDialog.open(key);
};
const search = new Search({ cluster, view, colorOf, onKey: lookAt });
const stage = new StagePanel({ cluster, colorOf, isLive, onKey: lookAt, onAction: noteAction });
const tail = new TailPanel(cluster, colorOf, lookAt);
const tables = new Tables(cluster, colorOf, (node) => nodes.healthOf(node), lookAt);
const invariants = new InvariantsPanel(cluster, () => isFresh(Date.now() - socket.link.heardMs, 0, lagMs()));
const caption = byId("ring-caption", HTMLElement);
const spoken = byId("announce", HTMLElement);
const addButton = document.getElementById("add-node");
const showLocks = oncePerFrame(() => {
  legend.showLocks();
  view.locksChanged();
  search.show();
  dialog.update();
});
new SessionsPanel({ onEvents: (session) => tail.showSession(session) });
const travel = new Travel({
  labelOf: (address) => cluster.labelOf(address), colorOf, onPast: showPast, onLive: () => void showPresent(), onSignedOut: signedOut,
});
/** @type {import("./contract.js").Message[] | null} what came while the present was asked for, to be folded after it */
let waiting = null;
let colorsKey = "";
let resyncDue = false;
let resyncedMs = 0;

new RingPointer({
  host: byId("ring-host", HTMLElement), tooltip: byId("tooltip", HTMLElement), view, cluster, colorOf,
});
header.onAction = noteAction;
addButton?.addEventListener("click", () => dialog.askAdd());
DARK.addEventListener("change", () => {
  colors.clear();
  colorsKey = "";
  tail.rows.clear();
  tail.show();
  showAll();
});

/** While the past is shown the present waits: it is asked for as a whole afterwards. @param {import("./contract.js").Message} message */
function hear(message) {
  if (travel.past) {
    if (message.type === "delta") travel.heard({ view: message.view !== undefined, actions: message.actions !== undefined, events: message.events });
  } else if (waiting === null) receive(message);
  else if (waiting.length < WAITING_MAX) waiting.push(message);
}

/** Draw the picture of a moment. What only the present has (workload, running check) stays as it is. @param {import("./timeline.js").Past} past */
function showPast(past) {
  const { workload, invariants } = cluster;
  freeze(true);
  cluster.events = [];
  show(cluster.applySnapshot({ ...past, workload, invariants }));
  breaking.receive({ holds: [] });
  caption.textContent = gettext("The ring as it was at {at}.", { at: dateTime(past.moment.at_ms) });
}

/** Come back: a whole picture, and then what was told since it was asked for. */
async function showPresent() {
  waiting = [];
  try {
    const snapshot = await get("/api/snapshot/");
    const since = waiting;
    if (travel.past || since === null) return;
    waiting = null;
    freeze(false);
    cluster.events = [];
    show(cluster.applySnapshot(snapshot));
    breaking.receive(snapshot);
    header.showProblem("");
    spoken.textContent = gettext("Live again");
    caption.textContent = gettext("Outer band: primaries. Inner band: backups. Marks between them: held locks.");
    since.forEach(receive);
  } catch (error) {
    if (error instanceof SignedOut) return signedOut();
    header.showProblem(gettext("The present cannot be read, and is asked for again: {message}", { message: messageOf(error) }));
    setTimeout(() => !travel.past && showPresent(), RETURN_AGAIN_MS);
  }
}

/** Ages stop while the past is shown: a moment does not grow old. @param {boolean} still */
function freeze(still) {
  nodes.frozen = still;
  header.freeze(still);
}

function signedOut() {
  socket.link.end(gettext("signed out: reload to log in"));
}

/** @param {import("./contract.js").Message} message */
function receive(message) {
  if (message.type === "snapshot") show(cluster.applySnapshot(message));
  else if (message.type === "locks") show(cluster.applyMoreLocks(message));
  else if (message.type === "delta") {
    if (cluster.ready) show(cluster.applyDelta(message));
    else resync();
  } else if (message.type === "error") header.showProblem(message.detail);
  breaking.receive(message);
}

/** @param {import("./cluster.js").Change | null} change */
function show(change) {
  if (change === null) return;
  if (change.heard) nodes.told();
  if (change.master) header.masterTold();
  if (change.nodes || change.view) refreshColors();
  if (change.ring) showRing(change.ring);
  if (change.view) header.showView();
  if (change.view) stage.changed();
  if (change.nodes || change.view || change.actions) nodes.show();
  if (change.actions) actions.show();
  if (change.invariants) invariants.show();
  if (change.workload) header.showWorkload();
  if (change.locks) showLocks();
  tail.update(change);
  if (change.locks || change.view || change.nodes) tables.changed();
  if (change.doubtful) resync();
  if (!travel.past) travel.heard(change);
  showLink();
}

/** @param {import("./cluster.js").RingChange} change */
function showRing(change) {
  view.ringChanged(change);
  legend.showRing();
  search.show();
  dialog.update();
  if (travel.past) return;
  const text = tellChange(change, (address) => cluster.labelOf(address));
  // What moved stays readable when the dead are taken off the ring a second later, by which nothing moves.
  if (change.first || change.diff.primaryShare > 0) caption.textContent = text;
  spoken.textContent = text;
}

/** Colours and labels belong to nodes; when these change, what is drawn from them is drawn anew. */
function refreshColors() {
  const key = JSON.stringify(cluster.nodes.map((node) => [node.address, node.color, node.label]));
  if (key === colorsKey) return;
  colorsKey = key;
  colors.clear();
  view.restyle();
  legend.showRing();
}

function showAll() {
  refreshColors();
  header.showView();
  header.showWorkload();
  legend.showRing();
  nodes.show();
  actions.show();
  invariants.show();
  showLocks();
  tables.show();
}

function showLink() {
  header.showLink(socket.link.describe(Date.now()));
  app.classList.toggle("is-stale", cluster.ready && !travel.past && !isLive());
  if (!(addButton instanceof HTMLButtonElement)) return;
  setState(addButton, { disabled: !isLive(), title: isLive() ? gettext("Start one more lock node") : NOT_LIVE });
}

/** @param {import("./contract.js").Action} action */
function noteAction(action) {
  cluster.noteAction(action);
  actions.show();
  nodes.show();
}

/** What is held may have changed unseen: ask for the whole picture, soon but not often. */
function resync() {
  if (resyncDue) return;
  resyncDue = true;
  setTimeout(async () => {
    resyncDue = false;
    resyncedMs = Date.now();
    if (travel.past || waiting !== null) return;
    try {
      const snapshot = await get("/api/snapshot/");
      if (!travel.past && waiting === null) show(cluster.applySnapshot(snapshot, { force: false }));
    } catch (error) {
      if (error instanceof SignedOut) signedOut();
    }
  }, Math.max(RESYNC_AFTER_MS, resyncedMs + RESYNC_EVERY_MS - Date.now()));
}

setInterval(() => header.tick(lagMs()), COUNT_EVERY_MS);
setInterval(() => nodes.tick(), AGE_EVERY_MS);
setInterval(() => {
  invariants.show();
  tables.changed();
}, 1_000);
showAll();
travel.start();
socket.start();
