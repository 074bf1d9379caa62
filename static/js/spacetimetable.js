/**
 * The space-time diagram as a table, and the event that is looked at in words. Elsewhere: the words (spacetimemodel.js).
 */

import { isoLocal, linkTo } from "./auditmodel.js";
import { byId, make, setText, swatch } from "./dom.js";
import { count, shortNumber, shorten } from "./format.js";
import { TONES } from "./kinds.js";
import { PAGE_ROWS, pageOf } from "./paging.js";
import { linkAround, short, tellArrow } from "./spacetimemodel.js";
import { gettext } from "./text.js";
import { wide } from "./wide.js";

/**
 * @typedef {import("./spacetimemodel.js").Diagram} Diagram
 * @typedef {import("./spacetimemodel.js").Point} Point
 */

export class DiagramTable {
  /** @param {{onPick: (id: string) => void, colorOf: (address: string) => string}} parts */
  constructor(parts) {
    this.parts = parts;
    this.body = byId("rows", HTMLTableSectionElement);
    this.note = byId("rows-note", HTMLElement);
    this.buttons = { older: byId("rows-back", HTMLButtonElement), newer: byId("rows-on", HTMLButtonElement) };
    this.page = 0;
    /** @type {Diagram | null} */
    this.diagram = null;
    this.picked = "";
    this.buttons.older.addEventListener("click", () => this.#turn(-1));
    this.buttons.newer.addEventListener("click", () => this.#turn(1));
  }

  /** @param {Diagram} diagram @param {string} picked the page with this event is shown */
  show(diagram, picked) {
    this.diagram = diagram;
    this.picked = picked;
    const at = diagram.at.get(picked);
    if (at !== undefined) this.page = Math.floor(at / PAGE_ROWS);
    this.#draw();
  }

  /** @param {number} step */
  #turn(step) {
    this.page += step;
    this.#draw();
  }

  #draw() {
    const { diagram } = this;
    if (diagram === null) return;
    const shown = pageOf(diagram.points, this.page);
    this.page = shown.page;
    this.body.replaceChildren(...shown.rows.map((point) => this.#row(point, diagram)));
    setText(this.note, shown.total === 0 ? gettext("No event.") : gettext("{first} to {last} of {total}", { first: count(shown.first), last: count(shown.last), total: count(shown.total) }));
    this.buttons.older.disabled = shown.page === 0;
    this.buttons.newer.disabled = shown.page === shown.pages - 1;
  }

  /** @param {Point} point @param {Diagram} diagram */
  #row({ event, ns }, diagram) {
    const pick = make("button", { type: "button", class: "link mono", text: isoLocal(event.time_ms).slice(11), title: gettext("{time}: look at it", { time: isoLocal(event.time_ms) }) });
    pick.addEventListener("click", () => this.parts.onPick(event.id));
    const messages = diagram.arrowsOf(event.id).map((drawn) => make("li", { text: tellArrow(drawn, diagram, event.id) }));
    return make("tr", { "data-event": event.id, class: event.id === this.picked ? "picked" : undefined, "aria-current": event.id === this.picked ? "true" : undefined }, [
      cell(gettext("Time"), [pick]), cell(gettext("From the middle"), [short(Number(ns - wide(diagram.body.at_ns)))], "num"),
      cell(gettext("Lane"), [swatch(event.label || event.node, this.parts.colorOf(event.node), { title: event.node })]),
      make("td", { "data-label": gettext("Event"), class: "kind", "data-tone": TONES.get(event.kind) ?? "", text: event.kind }),
      cell(gettext("Lock"), event.key === "" ? [] : [make("span", { class: "mono", text: shorten(event.key, 60), title: event.key })]),
      cell(gettext("Owner"), event.owner === "" ? [] : [make("span", { text: shorten(event.owner, 40), title: event.owner })]),
      cell(gettext("Messages"), messages.length === 0 ? [] : [make("ul", {}, messages)]),
    ]);
  }
}

/** @param {string} label @param {(Node | string)[]} content @param {string} [kind] */
function cell(label, content, kind) {
  return make("td", { "data-label": label, class: kind }, content);
}

/**
 * One event in words, with where to go on from it.
 * @param {Point} point
 * @param {Diagram} diagram
 * @returns {Node[]}
 */
export function describe({ event, ns }, diagram) {
  /** @type {[string, string][]} */
  const facts = [
    [gettext("Lock"), event.key], [gettext("Owner"), event.owner], [gettext("Session"), event.session], [gettext("Fencing token"), event.generation],
    [gettext("Seq"), event.seq], [gettext("View"), shortNumber(event.view)], [gettext("Detail"), event.detail],
  ];
  const told = diagram.arrowsOf(event.id).map((drawn) => make("li", { text: tellArrow(drawn, diagram, event.id) }));
  const links = [
    make("a", { href: linkTo({ ...(event.key === "" ? { node: event.node } : { key: event.key }), live: "no", before: String(BigInt(event.id) + 1n), open: event.id }), text: gettext("Its row in the history") }),
    ...(event.key === "" ? [] : [
      make("a", { href: `/lock/?key=${encodeURIComponent(event.key)}`, text: gettext("This lock's life") }),
      make("a", { href: linkAround({ event: event.id, key: event.key, spanMs: diagram.spanNs / 1_000_000 }), text: gettext("Only this lock") }),
    ]),
    make("a", { href: `/?at=${ns}`, text: gettext("The ring then") }),
  ];
  return [
    make("h3", { text: gettext("{kind} at {lane}, {time}", { kind: event.kind, lane: diagram.laneName(event.node), time: isoLocal(event.time_ms) }) }),
    make("dl", { class: "about" }, facts.filter(([, value]) => value !== "" && value !== "–").map(([name, value]) => make("div", {}, [make("dt", { text: name }), make("dd", { text: value })]))),
    told.length === 0 ? make("p", { class: "quiet", text: gettext("No message is known to have left or arrived with it.") }) : make("ul", { class: "told" }, told),
    make("p", { class: "to" }, links),
  ];
}
