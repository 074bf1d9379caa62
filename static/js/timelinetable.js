/**
 * The marks of the line of time as a table, filled only while it is open.
 *
 * Elsewhere: the same as a picture (timelinestrip.js).
 */

import { byId, make, setText } from "./dom.js";
import { count } from "./format.js";
import { gettext, ngettext } from "./text.js";
import { cutText, dateTime, markText } from "./timelinemodel.js";

export class MarksTable {
  /**
   * @param {import("./timelinemodel.js").TimeLine} line
   * @param {(ns: bigint) => void} onGo
   */
  constructor(line, onGo) {
    this.line = line;
    this.details = byId("marks", HTMLDetailsElement);
    this.note = byId("marks-note", HTMLElement);
    this.body = byId("marks-body", HTMLTableSectionElement);
    this.drawn = "";
    this.details.addEventListener("toggle", () => this.show());
    this.body.addEventListener("click", (event) => {
      const at = event.target instanceof HTMLButtonElement ? event.target.dataset["at"] : undefined;
      if (at !== undefined) onGo(BigInt(at));
    });
  }

  /** The marks or the moment have changed. */
  show() {
    const { marks, cut, live, fromMs, toMs } = this.line;
    setText(this.note, live || marks.length === 0 ? ngettext("{count} mark", "{count} marks", marks.length) : `${ngettext("{count} mark", "{count} marks", marks.length)} from ${dateTime(fromMs)} to ${dateTime(toMs)}`);
    if (!this.details.open) return;
    const drawn = JSON.stringify([marks.map((mark) => [mark.at_ns, mark.kind, mark.count, mark.text]), cut, String(this.line.atNs)]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = marks.map((mark) => this.#row(mark)).reverse();
    const left = cutText(cut);
    if (left !== "") rows.push(wholeRow(left));
    if (marks.length === 0) rows.push(wholeRow(gettext("Nothing to mark in this stretch.")));
    this.body.replaceChildren(...rows);
  }

  /** @param {import("./timelinemodel.js").Mark} mark */
  #row(mark) {
    const here = this.line.atNs !== null && BigInt(mark.at_ns) === this.line.atNs;
    const at = dateTime(mark.at_ms);
    return make("tr", { "data-kind": mark.kind, "aria-current": here ? "true" : undefined }, [
      make("td", { class: "num", text: at, title: new Date(mark.at_ms).toISOString() }),
      make("td", { text: mark.kind }), make("td", { class: "num", text: count(mark.count) }),
      make("td", { class: "what", text: mark.count > 1 ? markText(mark) : mark.text }),
      make("td", {}, [make("button", { type: "button", class: "small", "data-at": mark.at_ns, text: gettext("Go there"), "aria-label": gettext("Go there: {at}", { at }) })]),
    ]);
  }
}

/** @param {string} text */
function wholeRow(text) {
  return make("tr", { class: "empty" }, [make("td", { colspan: "5", text })]);
}
