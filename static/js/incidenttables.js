/**
 * The tables of an incident file. Elsewhere: what was when (incidentmodel.js), slider and ring (incident.js).
 */

import { byId, make, setText, swatch } from "./dom.js";
import { age, count, percent, shorten } from "./format.js";
import { nsOf, utc } from "./incidentmodel.js";
import { TONES } from "./kinds.js";
import { PAGE_ROWS, pageOf } from "./paging.js";
import { gettext } from "./text.js";
import { wide } from "./wide.js";

const TONE_OF = new Map([["up", "ok"], ["down", "bad"], ["killed", "bad"], ["fenced", "bad"], ["unknown", "unknown"]]);

/** @typedef {import("./incidentmodel.js").Told} Told */

export class Tables {
  /**
   * @param {import("./incidentmodel.js").Incident} incident
   * @param {{colorOf: (address: string) => string, go: (ns: bigint) => void}} parts
   */
  constructor(incident, parts) {
    this.incident = incident;
    this.parts = parts;
    this.now = incident.fromNs;
    /** @type {Told[]} */
    this.found = incident.events;
    this.events = new Pager("events", (page) => this.#events(page));
    this.locks = new Pager("locks", (page) => this.#locks(page));
    byId("find", HTMLInputElement).addEventListener("input", () => this.#find());
    byId("find-lock", HTMLInputElement).addEventListener("input", () => this.locks.to(0));
    this.#once();
  }

  /** @param {bigint} now */
  show(now) {
    this.now = now;
    this.#nodes();
    this.#views();
    const done = this.found.filter((told) => told.ns <= now).length;
    this.events.to(Math.max(0, Math.floor((done - 1) / PAGE_ROWS)));
    this.locks.to(this.locks.page);
    centre(document.querySelector("#events .current"));
  }

  #find() {
    const text = byId("find", HTMLInputElement).value.toLowerCase();
    this.found = this.incident.events.filter(({ event }) => [event.key, event.owner, event.kind, event.label, event.detail, event.session].some((field) => field.toLowerCase().includes(text)));
    this.show(this.now);
  }

  /** @param {number} wanted */
  #events(wanted) {
    const shown = pageOf(this.found, wanted);
    const done = this.found.filter((told) => told.ns <= this.now).length;
    byId("events", HTMLElement).replaceChildren(...shown.rows.map((told, i) => this.#event(told, shown.first - 1 + i, done)));
    return shown;
  }

  /** @param {Told} told @param {number} at @param {number} done how many have happened */
  #event({ event, ns }, at, done) {
    return make("tr", { class: at === done - 1 ? "current" : at >= done ? "future" : undefined, "aria-current": at === done - 1 ? "true" : undefined, "data-event": event.id }, [
      make("td", { class: "when", "data-label": gettext("Time") }, [this.#jump(ns)]),
      cell(gettext("Node"), [swatch(event.label, this.parts.colorOf(event.node), { title: event.node })]),
      make("td", { class: "kind", "data-label": gettext("Event"), "data-tone": TONES.get(event.kind) ?? "", text: event.kind }),
      cell(gettext("Lock"), [short(event.key, "mono")]), cell(gettext("Owner"), [short(event.owner)]),
      make("td", { class: "num", "data-label": gettext("Fencing token"), text: event.generation }), cell(gettext("Detail"), [short(event.detail)]),
    ]);
  }

  /** @param {number} wanted */
  #locks(wanted) {
    const text = byId("find-lock", HTMLInputElement).value.toLowerCase();
    const held = [...this.incident.locksAt(this.now).values()].filter((lock) => lock.key.toLowerCase().includes(text) || lock.owner.toLowerCase().includes(text));
    held.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    const shown = pageOf(held, wanted);
    const node = (/** @type {string | null} */ address) => (address === null ? [make("span", { class: "quiet", text: gettext("none") })] : [swatch(this.incident.labelOf(address), this.parts.colorOf(address), { title: address })]);
    byId("locks", HTMLElement).replaceChildren(...shown.rows.map((lock) => make("tr", {}, [
      cell(gettext("Lock"), [short(lock.key, "mono")]), cell(gettext("Owner"), [short(lock.owner)]), cell(gettext("Served by"), node(lock.holder)), cell(gettext("Backup"), node(lock.backup)),
      make("td", { class: "num", "data-label": gettext("Fencing token"), text: lock.generation }), make("td", { class: "when", "data-label": gettext("Since") }, [utc(nsOf(lock.sinceMs))]),
    ])));
    return shown;
  }

  #nodes() {
    const { incident } = this;
    const view = incident.viewAt(this.now);
    const shares = incident.ring.shares();
    setText(byId("view", HTMLElement), view === null ? gettext("no view") : view.settled ? gettext("view {view}, settled", { view: view.number }) : gettext("view {view}, not settled", { view: view.number }));
    byId("nodes", HTMLElement).replaceChildren(...incident.nodesAt(this.now).map((node) => {
      const member = view?.members.find((one) => one.address === node.address);
      return make("tr", { "data-node": node.label }, [
        cell(gettext("Node"), [swatch(node.label, this.parts.colorOf(node.address), { title: node.address, down: member?.down ?? true })]),
        cell(gettext("State"), [make("span", { class: "badge", "data-tone": TONE_OF.get(node.state) ?? "warn", text: node.state })]),
        cell(gettext("In the view"), [member === undefined ? gettext("no member") : member.down ? "down" : "up"]),
        make("td", { class: "num", "data-label": gettext("Primary of"), text: count(node.held_primary) }),
        make("td", { class: "num", "data-label": gettext("Share"), text: percent(shares.get(node.address)?.primary ?? 0) }),
        make("td", { class: "num", "data-label": gettext("Seen"), text: node.seen_age_ms === null ? gettext("never") : gettext("{time} before", { time: age(node.seen_age_ms) }) }),
      ]);
    }));
  }

  #views() {
    const number = this.incident.viewAt(this.now)?.number;
    for (const row of byId("views", HTMLTableSectionElement).rows) row.classList.toggle("current", row.dataset["view"] === number);
  }

  /** What does not change with the moment. */
  #once() {
    const { end, head } = this.incident;
    fill("views", gettext("No view was published."), end.views.map((view) => make("tr", { "data-view": view.number }, [
      make("td", { class: "when", "data-label": gettext("Published") }, [this.#jump(wide(view.at_ns))]), cell(gettext("View"), [make("span", { class: "mono", text: view.number })]),
      cell(gettext("What changed"), [view.changes.join(", ")]), cell(gettext("Settled"), [view.settled_ns === "" ? gettext("not in this interval") : utc(wide(view.settled_ns))]),
    ])));
    fill("actions", gettext("Nobody asked for anything."), end.actions.map((action) => make("tr", {}, [
      make("td", { class: "when", "data-label": gettext("Asked for") }, [this.#jump(nsOf(action.requested_ms))]), cell(gettext("Who"), [action.who]), cell(gettext("What"), [`${action.what} ${action.target}`.trim()]),
      cell(gettext("State"), [action.detail === "" ? action.state : `${action.state}: ${action.detail}`]), cell(gettext("Views of it"), [action.views.map((view) => (view.how === "likely" ? gettext("{view} (likely)", { view: view.number }) : view.number)).join(", ")]),
    ])));
    fill("violations", gettext("None was found in this interval."), end.violations.map((violation) => make("tr", {}, [
      cell(gettext("Rule"), [make("span", { title: head.rules[violation.rule], text: violation.rule })]), cell(gettext("What"), [violation.text]),
      cell(gettext("Events"), [violation.first, violation.second].map((event) => make("span", {}, [this.#jump(nsOf(event.time_ms)), ` ${event.label || event.node} ${event.kind} `]))),
    ])));
  }

  /** @param {bigint} ns */
  #jump(ns) {
    const button = make("button", { type: "button", class: "link num", text: utc(ns).slice(11), title: gettext("{time} UTC: show this moment", { time: utc(ns) }) });
    button.addEventListener("click", () => this.parts.go(ns));
    return button;
  }
}

/** Buttons and note of a table with pages. */
class Pager {
  /** @param {string} name @param {(page: number) => {page: number, pages: number, first: number, last: number, total: number}} draw */
  constructor(name, draw) {
    this.draw = draw;
    this.page = 0;
    this.note = byId(`${name}-note`, HTMLElement);
    this.back = byId(`${name}-back`, HTMLButtonElement);
    this.on = byId(`${name}-on`, HTMLButtonElement);
    this.back.addEventListener("click", () => this.to(this.page - 1));
    this.on.addEventListener("click", () => this.to(this.page + 1));
  }

  /** @param {number} page */
  to(page) {
    const shown = this.draw(page);
    this.page = shown.page;
    setText(this.note, shown.total === 0 ? gettext("none") : gettext("{first} to {last} of {total}", { first: count(shown.first), last: count(shown.last), total: count(shown.total) }));
    this.back.disabled = shown.page === 0;
    this.on.disabled = shown.page === shown.pages - 1;
  }
}

/** Bring a row into the middle of what its table shows; the page itself stays. @param {Element | null} row */
function centre(row) {
  const host = row?.closest(".scroll");
  if (!row || !host) return;
  host.scrollTop += row.getBoundingClientRect().top - host.getBoundingClientRect().top - host.clientHeight / 2;
}

/** @param {string} id @param {string} none @param {HTMLElement[]} rows */
function fill(id, none, rows) {
  byId(id, HTMLElement).replaceChildren(...(rows.length === 0 ? [make("tr", { class: "empty" }, [make("td", { colspan: "7", text: none })])] : rows));
}

/** @param {string} label @param {(Node | string)[]} content */
function cell(label, content) {
  return make("td", { "data-label": label }, content);
}

/** @param {string} text @param {string} [kind] */
function short(text, kind) {
  return make("span", { class: kind, text: shorten(text, 120), title: text });
}
