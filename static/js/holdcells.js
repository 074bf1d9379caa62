/**
 * A node's badge while it is paused or cut off, and the button that begins or ends that.
 *
 * They are put into the rows that the table of nodes makes; a row that goes takes them along.
 *
 * Elsewhere: the rest of a node's row (nodestable.js), what is possible (faults.js).
 */

import { make, setAttribute, setState, setText } from "./dom.js";
import { disturbable, endOf, holdText } from "./faults.js";
import { gettext } from "./text.js";

const WORDS = { resume: gettext("Resume"), heal: gettext("Heal") };

/**
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {{row: HTMLTableRowElement, node: NodeRow}} Line
 * @typedef {{live: boolean, actions: import("./contract.js").Action[], state: string, pid: number | null, label: string}} From
 * @typedef {{badge: HTMLElement, button: HTMLButtonElement | null, from: From | null}} Cell `from`: what it was filled from, without a hold
 */

export class HoldCells {
  /**
   * @param {{lines: Map<string, Line>, faults: import("./faults.js").Faults,
   *   cluster: import("./cluster.js").Cluster, isLive: () => boolean, onDisturb: (node: NodeRow) => void,
   *   onEnd: (hold: import("./faults.js").Hold) => void}} parts `lines`: the table's rows, as they come and go
   */
  constructor(parts) {
    this.parts = parts;
    /** @type {WeakMap<HTMLTableRowElement, Cell>} */
    this.cells = new WeakMap();
  }

  /** Holds, nodes or actions have changed, or time has passed. */
  show() {
    for (const line of this.parts.lines.values()) this.#fill(line, this.cells.get(line.row) ?? this.#add(line));
  }

  /** @param {Line} line @returns {Cell} */
  #add(line) {
    const badge = make("span", { class: "badge hold", "data-tone": "warn" });
    const acts = line.row.querySelector(".acts");
    const button = acts === null ? null : make("button", { type: "button", class: "small disturb" });
    if (button !== null) {
      button.addEventListener("click", () => this.#press(line.node));
      acts?.append(button);
    }
    const cell = { badge, button, from: null };
    this.cells.set(line.row, cell);
    return cell;
  }

  /** Fill what may differ: a hold counts down, all else follows from little. @param {Line} line @param {Cell} cell */
  #fill({ node, row }, cell) {
    const { badge, button } = cell;
    const name = row.cells[0];
    if (badge.parentNode !== name) name?.append(badge); // the table draws names anew when colours change
    const hold = this.parts.faults.holds.get(node.label);
    const from = { live: this.parts.isLive(), actions: this.parts.cluster.actions, state: node.state, pid: node.pid, label: node.label };
    if (hold === undefined && cell.from !== null && isSame(cell.from, from)) return;
    cell.from = hold === undefined ? from : null;
    setState(badge, { hidden: hold === undefined });
    if (hold) setText(badge, holdText(hold, Date.now()), gettext("{text}; asked for by {who}", { text: hold.text, who: hold.who }));
    if (button === null) return;
    const text = hold ? WORDS[endOf(hold)] : gettext("Disturb");
    const { enabled, why } = disturbable(node, hold, from);
    setText(button, text, why);
    setAttribute(button, "aria-label", `${text} ${node.label}`);
    button.classList.toggle("urgent", hold !== undefined);
    setState(button, { disabled: !enabled });
  }

  /** @param {NodeRow} node */
  #press(node) {
    const hold = this.parts.faults.holds.get(node.label);
    if (hold) this.parts.onEnd(hold);
    else this.parts.onDisturb(node);
  }
}

/** @param {From} one @param {From} other @returns {boolean} */
function isSame(one, other) {
  return one.live === other.live && one.actions === other.actions && one.state === other.state && one.pid === other.pid && one.label === other.label;
}
