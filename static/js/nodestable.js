/**
 * The nodes, one row each, updated in place. Operators have buttons; viewers have none.
 */

import { make, setText, swatch } from "./dom.js";
import { age, count, perSecond, shortNumber } from "./format.js";
import { availability } from "./plan.js";

const TONES = new Map([
  ["up", "ok"], ["joining", "warn"], ["acquiring", "warn"], ["leaving", "warn"], ["fenced", "bad"], ["down", "bad"],
  ["killed", "bad"], ["stopped", "quiet"], ["unknown", "quiet"],
]);
const MEANINGS = new Map([
  ["up", "Serves its arcs"],
  ["joining", "Has asked the master to join the ring"],
  ["acquiring", "Waits until every living member has handed over its arcs"],
  ["leaving", "Hands over what it holds"],
  ["fenced", "Cannot reach the master and refuses everything"],
  ["down", "Marked down in the current view: its backups serve"],
  ["killed", "Its process was killed"],
  ["stopped", "Its process has ended"],
  ["unknown", "Nobody has measured its state"],
]);
const COLUMNS = 8;
const HEARTBEAT_LATE_MS = 2_000;

/**
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {Exclude<import("./plan.js").What, "add">} NodeAction
 * @typedef {{row: HTMLTableRowElement, node: NodeRow, name: HTMLElement, state: HTMLElement, primary: HTMLElement,
 *   backup: HTMLElement, ops: HTMLElement, heartbeat: HTMLElement, view: HTMLElement, life: HTMLElement,
 *   buttons: Map<NodeAction, HTMLButtonElement>, drawn: string}} Line
 */

export class NodesTable {
  /**
   * @param {{body: HTMLTableSectionElement, cluster: import("./cluster.js").Cluster, canOperate: boolean,
   *   colorOf: (address: string) => string, isLive: () => boolean, onHover: (address: string | null) => void,
   *   onAction: (what: NodeAction, node: NodeRow) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    this.toldMs = 0;
  }

  /** Nodes, the view or actions have changed. */
  show() {
    this.toldMs = Date.now();
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

  /** A second has passed: ages grow, and buttons follow the connection. */
  tick() {
    for (const line of this.lines.values()) {
      this.#fillHeartbeat(line);
      this.#fillButtons(line);
    }
  }

  /** @returns {NodeRow[]} what nodes report, and members nobody has reported on */
  #rows() {
    const { cluster } = this.parts;
    const known = new Set(cluster.nodes.map((node) => node.address));
    const silent = (cluster.view?.members ?? []).filter((member) => !known.has(member.address)).map((member) => ({
      address: member.address, label: member.label, color: 0, incarnation: member.incarnation, pid: null,
      state: "unknown", view: "", held_primary: 0, held_backup: 0, ops_per_s: 0, heartbeat_age_ms: null,
    }));
    return [...cluster.nodes, ...silent].sort((a, b) => a.label.localeCompare(b.label, "en", { numeric: true }));
  }

  /** @param {NodeRow} node @returns {Line} */
  #add(node) {
    const cell = (/** @type {string} */ label, /** @type {string} */ kind, /** @type {Node[]} */ ...children) =>
      make("td", { class: kind, "data-label": label }, children);
    const span = (/** @type {string} */ kind) => make("span", { class: kind });
    const [state, primary, backup, ops, heartbeat, view, life] = /** @type {[HTMLElement, HTMLElement, HTMLElement,
      HTMLElement, HTMLElement, HTMLElement, HTMLElement]} */ (["badge", "", "", "", "", "", "sub"].map(span));
    const name = make("th", { scope: "row" });
    /** @type {Map<NodeAction, HTMLButtonElement>} */
    const buttons = new Map();
    const row = make("tr", { "data-address": node.address, "data-node": node.label }, [
      name, cell("State", "", state), cell("Primary", "num", primary), cell("Backup", "num", backup),
      cell("Ops/s", "num", ops), cell("Heartbeat", "num", heartbeat), cell("View", "num", view, life),
    ]);
    const line = { row, node, name, state, primary, backup, ops, heartbeat, view, life, buttons, drawn: "" };
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
    const names = /** @type {const} */ ([["kill", "Kill"], ["stop", "Stop"], ["restart", "Restart"]]);
    for (const [what, text] of names) {
      const button = make("button", { type: "button", class: "small", text, "aria-label": `${text} ${line.node.label}` });
      button.addEventListener("click", () => this.parts.onAction(what, line.node));
      line.buttons.set(what, button);
      cell.append(button);
    }
    return cell;
  }

  /** @param {Line} line */
  #fill(line) {
    const { node } = line;
    const { cluster, colorOf } = this.parts;
    const down = cluster.ring.down.has(node.address);
    const state = down && node.state === "up" ? "down" : node.state;
    const drawn = `${node.label} ${colorOf(node.address)} ${down}`;
    if (drawn !== line.drawn) {
      line.drawn = drawn;
      line.name.replaceChildren(swatch(node.label, colorOf(node.address), { down }), make("span", { class: "sub mono", text: node.address }));
    }
    line.row.classList.toggle("is-down", down || TONES.get(state) === "bad");
    line.state.dataset["tone"] = TONES.get(state) ?? "quiet";
    setText(line.state, state, `${MEANINGS.get(state) ?? ""}${node.pid === null ? "" : ` · process ${node.pid}`}`);
    setText(line.primary, count(node.held_primary));
    setText(line.backup, count(node.held_backup));
    setText(line.ops, perSecond(node.ops_per_s));
    const behind = cluster.view !== null && node.view !== cluster.view.number;
    setText(line.view, shortNumber(node.view), node.view === "" ? "It has told no view yet" : `View ${node.view}${behind ? ": not the current one" : ""}`);
    line.view.classList.toggle("behind", behind && node.view !== "");
    setText(line.life, shortNumber(node.incarnation), `Incarnation ${node.incarnation || "unknown"}`);
    this.#fillHeartbeat(line);
    this.#fillButtons(line);
  }

  /** @param {Line} line */
  #fillHeartbeat(line) {
    const told = line.node.heartbeat_age_ms;
    const elapsed = Date.now() - this.toldMs;
    // Between two messages the age goes on growing; small steps would only flicker.
    const ageMs = told === null ? null : told + (elapsed > 1_500 ? elapsed : 0);
    setText(line.heartbeat, ageMs === null ? "unknown" : age(ageMs));
    line.heartbeat.classList.toggle("late", ageMs !== null && ageMs > HEARTBEAT_LATE_MS);
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
  const text = ready ? "No nodes yet. They appear here when they have joined." : "Waiting for the first picture.";
  return make("tr", { class: "empty" }, [make("td", { colspan: String(COLUMNS), text })]);
}
