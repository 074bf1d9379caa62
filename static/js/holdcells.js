/**
 * A node's badge while it is paused or cut off, and the button that begins or ends that.
 *
 * They are put into the rows that the table of nodes makes; a row that goes takes them along.
 *
 * Elsewhere: the rest of a node's row (nodestable.js), what is possible (faults.js).
 */

import { make, setState, setText } from "./dom.js";
import { disturbable, endOf, holdText } from "./faults.js";
import { gettext } from "./text.js";

const WORDS = { resume: gettext("Resume"), heal: gettext("Heal") };

/**
 * @typedef {import("./contract.js").NodeRow} NodeRow
 * @typedef {{row: HTMLTableRowElement, node: NodeRow}} Line
 * @typedef {{badge: HTMLElement, button: HTMLButtonElement | null}} Cell
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
    const cell = { badge, button };
    this.cells.set(line.row, cell);
    return cell;
  }

  /** @param {Line} line @param {Cell} cell */
  #fill({ node, row }, { badge, button }) {
    const name = row.cells[0];
    if (badge.parentNode !== name) name?.append(badge); // the table draws names anew when colours change
    const hold = this.parts.faults.holds.get(node.label);
    setState(badge, { hidden: hold === undefined });
    if (hold) setText(badge, holdText(hold, Date.now()), gettext("{text}; asked for by {who}", { text: hold.text, who: hold.who }));
    if (button === null) return;
    const text = hold ? WORDS[endOf(hold)] : gettext("Disturb");
    const now = { live: this.parts.isLive(), actions: this.parts.cluster.actions };
    const { enabled, why } = disturbable(node, hold, now);
    setText(button, text, why);
    if (button.getAttribute("aria-label") !== `${text} ${node.label}`) button.setAttribute("aria-label", `${text} ${node.label}`);
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
