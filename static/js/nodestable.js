/**
 * The nodes, one row each, updated in place. Operators have buttons; viewers have none.
 *
 * Elsewhere: what may be said of a node as time passes (health.js).
 */

import { make, setPill, setText, swatch } from "./dom.js";
import { age, clock, count, perSecond, shortNumber } from "./format.js";
import { freshMs, healthOf } from "./health.js";
import { availability } from "./plan.js";
import { gettext, ngettext } from "./text.js";

const COLUMNS = 8;
/** Heartbeats come more often than this: their age to the millisecond would change all the time, and say nothing. */
const WITHIN_MS = 1_000;
/** Made once: `localeCompare` makes one for each comparison. */
const ORDER = new Intl.Collator("en", { numeric: true });

/**
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {Exclude<import("./plan.js").What, "add">} NodeAction
 * @typedef {{row: HTMLTableRowElement, node: NodeRow, name: HTMLElement, state: HTMLElement, note: HTMLElement,
 *   primary: HTMLElement, backup: HTMLElement, ops: HTMLElement, heartbeat: HTMLElement, view: HTMLElement,
 *   refused: HTMLElement, life: HTMLElement,
 *   buttons: Map<NodeAction, HTMLButtonElement>, drawn: string, told: string, health: string,
 *   actions: import("./contract.js").Action[]}} Line `told`, `health`, `actions`: what it was filled from
 */

export class NodesTable {
  /**
   * @param {{body: HTMLTableSectionElement, cluster: import("./cluster.js").Cluster, canOperate: boolean,
   *   colorOf: (address: string) => string, isLive: () => boolean, lagMs: () => number | null, onHover: (address: string | null) => void,
   *   onAction: (what: NodeAction, node: NodeRow) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    this.toldMs = 0;
    /** Whether a moment of the past is shown: it does not grow old. */
    this.frozen = false;
    /** What buttons depend on, as it was at the last tick. */
    this.ticked = { live: false, actions: parts.cluster.actions };
  }

  /** @returns {number} since the server has told of the nodes */
  #elapsedMs() {
    return this.frozen ? 0 : Date.now() - this.toldMs;
  }

  /** The server has told of the nodes just now; where nothing differs but their ages, the next tick shows these. */
  told() {
    this.toldMs = Date.now();
    for (const node of this.parts.cluster.nodes) {
      const line = this.lines.get(node.address);
      if (line !== undefined) line.node = node;
    }
  }

  /** @param {NodeRow} node @returns {import("./health.js").Health} what may be said of it now */
  healthOf(node) {
    const down = this.parts.cluster.ring.down.has(node.address);
    return healthOf(node, { elapsedMs: this.#elapsedMs(), lagMs: this.parts.lagMs(), down });
  }

  /** Nodes, the view or actions have changed. */
  show() {
    const rows = this.#rows();
    const wanted = new Set(rows.map((node) => node.address));
    for (const [address, line] of this.lines) {
      if (wanted.has(address)) continue;
      line.row.remove();
      this.lines.delete(address);
    }
    if (rows.length === 0) return this.parts.body.replaceChildren(emptyRow(this.parts.cluster.ready));
    this.parts.body.querySelector(".empty")?.remove();
    rows.forEach((node, i) => {
      const line = this.lines.get(node.address) ?? this.#add(node);
      line.node = node;
      this.#fill(line);
      if (this.parts.body.rows[i] !== line.row) this.parts.body.insertBefore(line.row, this.parts.body.rows[i] ?? null);
    });
  }

  /** Time has passed: ages grow, health that is not measured again ends, and buttons follow the connection. */
  tick() {
    const [live, actions] = [this.parts.isLive(), this.parts.cluster.actions];
    const followed = live === this.ticked.live && actions === this.ticked.actions;
    this.ticked = { live, actions };
    for (const line of this.lines.values()) {
      this.#fillHealth(line);
      if (!followed) this.#fillButtons(line);
    }
  }

  /** @returns {NodeRow[]} what nodes report, and members nobody has reported on */
  #rows() {
    const { cluster } = this.parts;
    const known = new Set(cluster.nodes.map((node) => node.address));
    const silent = (cluster.view?.members ?? []).filter((member) => !known.has(member.address)).map((member) => ({
      address: member.address, label: member.label, color: 0, incarnation: member.incarnation, pid: null,
      state: "unknown", settled: false, view: "", refused_views: 0, refused_last: "", refused_ms: null,
      held_primary: 0, held_backup: 0, ops_per_s: 0, heartbeat_age_ms: null, seen_age_ms: null,
    }));
    return [...cluster.nodes, ...silent].sort((a, b) => ORDER.compare(a.label, b.label));
  }

  /** @param {NodeRow} node @returns {Line} */
  #add(node) {
    const cell = (/** @type {string} */ label, /** @type {string} */ kind, /** @type {Node[]} */ ...children) =>
      make("td", { class: kind, "data-label": label }, children);
    const span = (/** @type {string} */ kind) => make("span", { class: kind });
    const [state, note, primary, backup, ops, heartbeat, view, refused, life] = /** @type {[HTMLElement, HTMLElement,
      HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ (
      ["badge", "sub note", "", "", "", "", "", "sub refused", "sub"].map(span));
    const name = make("th", { scope: "row" });
    /** @type {Map<NodeAction, HTMLButtonElement>} */
    const buttons = new Map();
    const row = make("tr", { "data-address": node.address, "data-node": node.label }, [
      name, cell(gettext("State"), "state", state, note), cell(gettext("Primary"), "num", primary), cell(gettext("Backup"), "num", backup),
      cell(gettext("Ops/s"), "num", ops), cell(gettext("Heartbeat"), "num", heartbeat), cell(gettext("View"), "num view", view, refused, life),
    ]);
    const line = { row, node, name, state, note, primary, backup, ops, heartbeat, view, refused, life, buttons, drawn: "", told: "", health: "", actions: [] };
    if (this.parts.canOperate) row.append(this.#buttons(line));
    row.addEventListener("pointerenter", () => this.parts.onHover(node.address));
    row.addEventListener("pointerleave", () => this.parts.onHover(null));
    row.addEventListener("focusin", () => this.parts.onHover(node.address));
    row.addEventListener("focusout", () => this.parts.onHover(null));
    this.lines.set(node.address, line);
    return line;
  }

  /** @param {Line} line @returns {HTMLElement} */
  #buttons(line) {
    const cell = make("td", { class: "acts" });
    const names = /** @type {const} */ ([["kill", gettext("Kill")], ["stop", gettext("Stop")], ["restart", gettext("Restart")]]);
    for (const [what, text] of names) {
      const button = make("button", { type: "button", class: "small", text, "aria-label": `${text} ${line.node.label}` });
      button.addEventListener("click", () => this.parts.onAction(what, line.node));
      line.buttons.set(what, button);
      cell.append(button);
    }
    return cell;
  }

  /** Fill what has changed: nodes are told of five times a second, mostly as they were. @param {Line} line */
  #fill(line) {
    const { node } = line;
    const { cluster, colorOf } = this.parts;
    const down = cluster.ring.down.has(node.address);
    const drawn = `${node.label} ${colorOf(node.address)} ${down}`;
    this.#fillHealth(line);
    const told = JSON.stringify([drawn, cluster.view?.number, this.parts.isLive(), { ...node, heartbeat_age_ms: 0, seen_age_ms: 0 }]);
    if (told === line.told && cluster.actions === line.actions) return;
    [line.told, line.actions] = [told, cluster.actions];
    if (drawn !== line.drawn) {
      line.drawn = drawn;
      line.name.replaceChildren(swatch(node.label, colorOf(node.address), { down }), make("span", { class: "sub mono", text: node.address }));
    }
    setText(line.primary, count(node.held_primary));
    setText(line.backup, count(node.held_backup));
    setText(line.ops, perSecond(node.ops_per_s));
    this.#fillView(line);
    this.#fillButtons(line);
  }

  /** @param {Line} line */
  #fillView(line) {
    const { node } = line;
    const { view } = this.parts.cluster;
    const behind = view !== null && node.view !== view.number;
    setText(line.view, shortNumber(node.view), node.view === "" ? gettext("It has told no view yet") : gettext("View {view}{behind}", { view: node.view, behind: behind ? gettext(": not the current one") : "" }));
    line.view.classList.toggle("behind", behind && node.view !== "");
    const { refused_views: refused, refused_last: last, refused_ms: at } = node;
    setText(line.refused, refused === 0 ? "" : `refused ${count(refused)}`, refused === 0 ? "" :
      gettext("This life of it has refused {refused}, the last one {last}{at}", { refused: ngettext("{count} older view", "{count} older views", refused), last, at: at === null ? "" : ` at ${clock(at)}` }));
    setText(line.life, shortNumber(node.incarnation), gettext("Incarnation {incarnation}", { incarnation: node.incarnation || "unknown" }));
  }

  /** @param {Line} line */
  #fillHealth(line) {
    const { node } = line;
    const { state, note, why, tone } = this.healthOf(node);
    const isDown = tone === "bad" || this.parts.cluster.ring.down.has(node.address);
    const heardMs = node.heartbeat_age_ms === null ? null : node.heartbeat_age_ms + this.#elapsedMs();
    const heard = heardMs === null ? gettext("unknown") : heardMs < WITHIN_MS ? gettext("< 1 s") : age(heardMs);
    const late = heardMs !== null && heardMs > freshMs(this.parts.lagMs());
    const health = `${state}|${note}|${why}|${tone}|${node.pid}|${isDown}|${heard}|${late}`;
    if (health === line.health) return;
    line.health = health;
    setPill(line.state, { tone, text: state, title: `${why}${node.pid === null ? "" : ` · process ${node.pid}`}` });
    setText(line.note, note);
    line.row.classList.toggle("is-down", isDown);
    setText(line.heartbeat, heard);
    line.heartbeat.classList.toggle("late", late);
  }

  /** @param {Line} line */
  #fillButtons(line) {
    const now = { live: this.parts.isLive(), actions: this.parts.cluster.actions };
    for (const [what, button] of line.buttons) {
      const { enabled, why } = availability(what, line.node, now);
      if (button.disabled === enabled) button.disabled = !enabled;
      if (button.title !== why) button.title = why;
    }
  }
}

/** @param {boolean} ready */
function emptyRow(ready) {
  const text = ready ? gettext("No nodes yet. They appear here when they have joined.") : gettext("Waiting for the first picture.");
  return make("tr", { class: "empty" }, [make("td", { colspan: String(COLUMNS), text })]);
}
