/**
 * Rows of the history: one per event with the columns that were chosen, and below an opened one what is known of it.
 *
 * Elsewhere: which events (auditmodel.js), what one event says (auditdetail.js).
 */

import { COLUMNS, isoLocal, linkTo } from "./auditmodel.js";
import { make, swatch } from "./dom.js";
import { age, count, shortNumber, shortSession } from "./format.js";
import { TONES } from "./kinds.js";
import { gettext } from "./text.js";

/** @typedef {import("./contract.js").LockEvent} LockEvent */

export class AuditRows {
  /**
   * @param {{head: HTMLElement, body: HTMLTableSectionElement, colorOf: (address: string) => string,
   *   onOpen: (id: string) => void, detail: (event: LockEvent) => HTMLElement}} parts
   *   `onOpen`: a row was opened, or ("") closed
   */
  constructor(parts) {
    this.parts = parts;
    /** @type {Map<string, HTMLTableRowElement>} */
    this.rows = new Map();
    this.drawn = "";
    this.opened = "";
    /** @type {HTMLTableRowElement | null} */
    this.inside = null;
    parts.body.addEventListener("click", (event) => {
      const button = event.target instanceof Element ? event.target.closest("button[data-id]") : null;
      if (button instanceof HTMLButtonElement) this.toggle(button.dataset["id"] ?? "");
    });
  }

  /** Draw everything anew the next time: colours or labels are others now. */
  forget() {
    this.rows.clear();
  }

  /** @param {readonly LockEvent[]} events newest first @param {string[]} columns @param {ReadonlySet<string>} fresh */
  show(events, columns, fresh) {
    if (columns.join() !== this.drawn) this.#head(columns);
    this.events = events;
    /** @type {Map<string, HTMLTableRowElement>} */
    const rows = new Map();
    for (const event of events) rows.set(event.id, this.rows.get(event.id) ?? this.#row(event, columns));
    this.rows = rows;
    for (const [id, row] of rows) row.classList.toggle("is-new", fresh.has(id));
    if (!rows.has(this.opened)) this.inside = null;
    this.#place([...rows].flatMap(([id, row]) => (id === this.opened && this.inside ? [row, this.inside] : [row])));
  }

  /** @param {string} id */
  toggle(id) {
    const event = this.events?.find((one) => one.id === id);
    const close = id === this.opened;
    this.#close();
    if (!close && event !== undefined) this.#open(event);
    this.parts.onOpen(this.opened);
  }

  /** @param {LockEvent} event */
  #open(event) {
    const row = this.rows.get(event.id);
    if (row === undefined) return;
    this.opened = event.id;
    this.inside = make("tr", { class: "inside" }, [make("td", { colspan: String(row.cells.length), id: "detail" }, [this.parts.detail(event)])]);
    row.classList.add("opened");
    row.querySelector("button[data-id]")?.setAttribute("aria-expanded", "true");
    row.after(this.inside);
  }

  #close() {
    const row = this.rows.get(this.opened);
    row?.classList.remove("opened");
    row?.querySelector("button[data-id]")?.setAttribute("aria-expanded", "false");
    this.inside?.remove();
    this.inside = null;
    this.opened = "";
  }

  /** @param {string[]} columns */
  #head(columns) {
    this.drawn = columns.join();
    this.rows.clear();
    this.#close();
    const titles = COLUMNS.filter(([name]) => columns.includes(name));
    this.parts.head.replaceChildren(make("tr", {}, [
      make("th", { scope: "col" }, [make("span", { class: "hidden", text: gettext("Detail") })]),
      ...titles.map(([name, title]) => make("th", { scope: "col", class: NUMBERS.has(name) ? "num" : undefined, text: title })),
    ]));
  }

  /** Touch only what differs. @param {HTMLTableRowElement[]} wanted */
  #place(wanted) {
    const keep = new Set(wanted);
    const { body } = this.parts;
    for (const row of [...body.rows]) if (!keep.has(row)) row.remove();
    let at = body.firstElementChild;
    for (const row of wanted) {
      if (row === at) at = at.nextElementSibling;
      else body.insertBefore(row, at);
    }
  }

  /** @param {LockEvent} event @param {string[]} columns @returns {HTMLTableRowElement} */
  #row(event, columns) {
    const cells = COLUMNS.filter(([name]) => columns.includes(name)).map(([name, title]) => this.#cell(name, title, event));
    const what = `${event.kind} ${event.key}`.trim();
    return make("tr", { "data-id": event.id, "data-kind": event.kind }, [
      make("td", { class: "open" }, [make("button", { type: "button", "data-id": event.id, "aria-expanded": "false", "aria-label": gettext("Detail of {what}", { what }) })]),
      ...cells,
    ]);
  }

  /** @param {string} name @param {string} title @param {LockEvent} event */
  #cell(name, title, event) {
    const content = this.#content(name, event);
    // "kind" is what the tones of ring.css are for.
    const kind = [name === "kind" ? name : `c-${name}`, NUMBERS.has(name) ? "num" : ""].filter(Boolean).join(" ");
    return make("td", { class: kind, "data-label": title, "data-tone": name === "kind" ? TONES.get(event.kind) ?? "" : undefined }, [content].flat());
  }

  /** @param {string} name @param {LockEvent} event @returns {(string | Node)[]} */
  #content(name, event) {
    const { colorOf } = this.parts;
    switch (name) {
      case "time": return [make("time", { datetime: new Date(event.time_ms).toISOString(), title: new Date(event.time_ms).toISOString(), text: isoLocal(event.time_ms) })];
      case "node": return [swatch(event.label || event.node, colorOf(event.node), { title: event.node })];
      case "key": return event.key === "" ? [] : [make("a", { class: "mono", href: linkTo({ key: event.key }), title: event.key, text: event.key })];
      case "session": return event.session === "" ? [] : [make("a", { class: "mono", href: linkTo({ session: event.session }), title: event.session, text: shortSession(event.session) })];
      case "view": return event.view === "" ? [] : [make("a", { href: linkTo({ view: event.view }), title: event.view, text: shortNumber(event.view) })];
      case "generation": return event.generation === "" ? [] : [event.generation];
      case "version": return event.version === "" ? [] : [make("span", { title: event.version, text: shortNumber(event.version) })];
      case "ttl": return event.ttl_ms === 0 ? [] : [age(event.ttl_ms)];
      case "renewals": return event.renewals === 0 ? [] : [count(event.renewals)];
      case "owner": case "peer": case "detail": return event[name] === "" ? [] : [make("span", { title: event[name], text: event[name] })];
      case "seq": return [event.seq];
      case "kind": return [event.kind];
      default: return [event.id];
    }
  }
}

const NUMBERS = new Set(["generation", "seq", "view", "version", "ttl", "renewals", "id"]);
