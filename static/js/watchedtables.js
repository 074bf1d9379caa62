/**
 * The tables of a watched cluster's page: filers, what moves, events, arcs.
 *
 * Elsewhere: what is in them (watchedmodel.js), putting them together (watched.js).
 */

import { byId, make, setText, swatch } from "./dom.js";
import { clock, clockMs, hex, messageOf, percent } from "./format.js";
import { CIRCLE } from "./ring.js";
import { diffRings } from "./ringdiff.js";
import { gettext, ngettext } from "./text.js";
import { canaryOf, filerState, futureChoices, JOINS, ringOf, tellMoves, versionChoices } from "./watchedmodel.js";

const ARCS_MAX = 2_000;
const FLOWS_MAX = 200;
const TONES = /** @type {Record<string, string>} */ ({
  ring: "view", joined: "move", left: "move", gone: "bad", away: "bad", fell: "bad", missed: "bad", older: "warn", canary: "warn",
});
const KINDS = ["ring", "joined", "left", "connected", "gone", "leader", "away", "back", "older", "missed", "canary", "fell", "attached", "detached"];

/**
 * @typedef {{cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string,
 *   onHover: (address: string | null) => void}} Names
 * @typedef {import("./watchedmodel.js").WatchedEvent} WatchedEvent
 */

/** @param {Names} names @param {string | null} address @returns {Node | string} */
function mark({ cluster, colorOf }, address) {
  return address === null ? gettext("nobody") : swatch(cluster.labelOf(address), colorOf(address), { title: address });
}

/** Draw only what differs from what is drawn. */
class Drawn {
  constructor() {
    this.before = "";
  }

  /** @param {unknown} told @returns {boolean} */
  differs(told) {
    const text = JSON.stringify(told);
    if (text === this.before) return false;
    this.before = text;
    return true;
  }
}

export class Filers {
  /** @param {Names} names */
  constructor(names) {
    this.names = names;
    this.body = byId("filers-body", HTMLTableSectionElement);
    this.drawn = new Drawn();
  }

  /** @param {import("./watchedmodel.js").Filer[]} filers */
  show(filers) {
    const shares = this.names.cluster.ring.shares();
    const colors = filers.map((filer) => this.names.colorOf(filer.address));
    if (!this.drawn.differs([filers, [...shares], colors])) return;
    const rows = filers.map((filer) => {
      const state = filerState(filer);
      const canary = canaryOf(filer);
      const share = shares.get(filer.address);
      const row = make("tr", { "data-filer": filer.label, "data-address": filer.address }, [
        make("th", { scope: "row" }, [mark(this.names, filer.address), make("span", { class: "sub mono", text: filer.address }), make("span", { class: "sub", text: filer.software || gettext("not asked yet what it is") })]),
        make("td", { "data-label": gettext("State") }, [make("span", { class: "badge", "data-tone": state.tone, text: state.text, title: state.title })]),
        make("td", { class: "num", "data-label": gettext("Share"), text: share === undefined ? "–" : percent(share.primary) }),
        make("td", { "data-label": gettext("Since"), text: clock(filer.since_ms), title: new Date(filer.since_ms).toISOString() }),
        make("td", { class: `num${canary.isFailing ? " failed" : ""}`, "data-label": gettext("Canary"), text: canary.isFailing ? gettext("failed") : canary.times, title: canary.title }),
        make("td", { class: `num${canary.fell ? " fell" : ""}`, "data-label": gettext("Generation"), text: canary.generation, title: canary.title }),
        make("td", { class: "num", "data-label": gettext("Failed"), text: canary.failed }),
      ]);
      row.addEventListener("pointerenter", () => this.names.onHover(filer.address));
      row.addEventListener("pointerleave", () => this.names.onHover(null));
      return row;
    });
    this.body.replaceChildren(...(rows.length > 0 ? rows : [make("tr", { class: "empty" }, [make("td", { colspan: "7", text: gettext("No filer is known yet.") })])]));
  }
}

export class Arcs {
  /** @param {Names} names */
  constructor(names) {
    this.names = names;
    this.panel = byId("tables", HTMLDetailsElement);
    this.body = byId("arcs-body", HTMLTableSectionElement);
    this.text = byId("arcs-text", HTMLElement);
    this.drawn = new Drawn();
    this.panel.addEventListener("toggle", () => this.show());
  }

  show() {
    if (!this.panel.open) return;
    const arcs = this.names.cluster.ring.arcs();
    if (!this.drawn.differs([arcs.length, this.names.cluster.ring.servers, arcs.slice(0, 1).map((arc) => this.names.colorOf(arc.primary ?? ""))])) return;
    this.body.replaceChildren(...arcs.slice(0, ARCS_MAX).map((arc) => make("tr", {}, [
      make("td", { class: "num", text: hex(arc.from) }), make("td", { class: "num", text: hex(arc.to) }),
      make("td", { class: "num", text: percent(arc.size / CIRCLE) }),
      make("td", {}, [mark(this.names, arc.primary)]), make("td", {}, [arc.backup === null ? gettext("none") : mark(this.names, arc.backup)]),
    ])));
    const counted = ngettext("{count} arc", "{count} arcs", arcs.length);
    setText(this.text, arcs.length > ARCS_MAX ? gettext("{arcs}, the first {count} of them", { arcs: counted, count: ARCS_MAX }) : counted);
  }
}

/** What moved between two versions, or would move. */
export class Moves {
  /** @param {Names & {versions: import("./watchedmodel.js").Versions}} parts */
  constructor(parts) {
    this.parts = parts;
    this.from = byId("from", HTMLSelectElement);
    this.to = byId("to", HTMLSelectElement);
    this.joining = byId("joining", HTMLInputElement);
    this.text = byId("moves-text", HTMLElement);
    this.body = byId("moves-body", HTMLTableSectionElement);
    this.options = new Drawn();
    this.drawn = new Drawn();
    /** Until somebody chooses, the last change is shown. */
    this.chosen = false;
    for (const control of [this.from, this.to]) control.addEventListener("change", () => this.#choose());
    this.joining.addEventListener("input", () => this.show());
  }

  #choose() {
    this.chosen = true;
    this.show();
  }

  show() {
    this.#showOptions();
    const { versions, cluster } = this.parts;
    this.joining.hidden = this.to.value !== JOINS;
    const from = versions.at(this.from.value || null);
    const joining = this.joining.value.trim();
    if (from === null || this.to.value === "") return this.#tell(gettext("Nothing is recorded yet."), []);
    if (this.to.value === JOINS && joining === "") return this.#tell(gettext("Write the address that it would have, as SeaweedFS writes it: its place on the ring depends on every letter."), []);
    const diff = diffRings(cluster.ring.servers.join() === from.servers.join() ? cluster.ring : ringOf(from.version, versions, null, ""), ringOf(this.to.value, versions, from, joining));
    this.#tell(tellMoves(diff), diff.flows);
  }

  #showOptions() {
    const { versions, cluster } = this.parts;
    const known = versionChoices(versions);
    const labelOf = (/** @type {string} */ address) => cluster.labelOf(address);
    const future = futureChoices(versions.at(this.from.value || null) ?? versions.newest, labelOf);
    if (!this.options.differs([known, future])) return;
    const [from, to] = this.chosen ? [this.from.value, this.to.value] : [known[1]?.value ?? known[0]?.value ?? "", known[0]?.value ?? ""];
    const option = (/** @type {import("./watchedmodel.js").Choice} */ choice) => make("option", { value: choice.value, text: choice.text });
    this.from.replaceChildren(...known.map(option));
    this.to.replaceChildren(
      make("optgroup", { label: gettext("What moved") }, known.map(option)), make("optgroup", { label: gettext("What would move") }, future.map(option)),
    );
    this.from.value = from;
    this.to.value = to;
  }

  /** @param {string} text @param {import("./ringdiff.js").Flow[]} flows */
  #tell(text, flows) {
    setText(this.text, text);
    if (!this.drawn.differs([flows, flows.map((flow) => this.parts.cluster.labelOf(flow.source))])) return;
    this.body.replaceChildren(...flows.slice(0, FLOWS_MAX).map((flow) => make("tr", {}, [
      make("td", {}, [mark(this.parts, flow.source)]), make("td", {}, [mark(this.parts, flow.target)]),
      make("td", { class: "num", text: percent(flow.share) }),
    ])));
  }
}

export class Tail {
  /**
   * @param {Names} names
   * @param {(query: string) => Promise<{events: WatchedEvent[], next_before: string | null}>} ask
   * @param {(text: string) => void} onProblem
   */
  constructor(names, ask, onProblem) {
    this.names = names;
    this.ask = ask;
    this.onProblem = onProblem;
    this.body = byId("tail-body", HTMLTableSectionElement);
    this.kind = byId("tail-kind", HTMLSelectElement);
    this.older = byId("tail-older", HTMLButtonElement);
    this.newest = byId("tail-newest", HTMLButtonElement);
    this.status = byId("tail-status", HTMLElement);
    this.drawn = new Drawn();
    /** @type {WatchedEvent[]} */
    this.live = [];
    /** @type {WatchedEvent[] | null} a page of the past; null: the newest, as they come */
    this.page = null;
    this.isOlder = false;
    this.kind.append(...KINDS.map((kind) => make("option", { value: kind, text: kind })));
    this.kind.addEventListener("change", () => void this.#read(null));
    this.older.addEventListener("click", () => void this.#read((this.page ?? this.live).at(-1)?.id ?? null));
    this.newest.addEventListener("click", () => void this.#read(null));
  }

  /** @param {string | null} before */
  async #read(before) {
    if (before === null && this.kind.value === "") {
      this.page = null;
      this.isOlder = false;
      return this.#draw(this.live, "");
    }
    const query = new URLSearchParams({ ...(this.kind.value && { kind: this.kind.value }), ...(before && { before }) });
    try {
      const found = await this.ask(query.toString());
      this.page = found.events;
      this.isOlder = before !== null;
      const [first, older] = this.isOlder ? [gettext("Older events."), gettext("There are no older ones.")] : [gettext("The newest of this kind."), gettext("There are no others.")];
      this.#draw(found.events, found.next_before === null ? `${first} ${older}` : first);
    } catch (error) {
      this.onProblem(messageOf(error));
    }
  }

  /** @param {WatchedEvent[]} events the newest, newest first */
  show(events) {
    const isNews = events[0]?.id !== this.live[0]?.id;
    this.live = events;
    if (this.page === null) this.#draw(events, "");
    else if (isNews && !this.isOlder) void this.#read(null);
  }

  /** @param {WatchedEvent[]} events @param {string} status */
  #draw(events, status) {
    this.newest.hidden = !this.isOlder;
    setText(this.status, status);
    const colors = events.map((event) => (event.label.startsWith("f") ? this.names.colorOf(event.address) : ""));
    if (!this.drawn.differs([events, colors])) return;
    const shown = new Map([...this.body.querySelectorAll("tr")].map((row) => [row.dataset["id"], row.dataset["shown"]]));
    this.body.replaceChildren(...events.map((event) => make("tr", { "data-id": event.id, "data-kind": event.kind, "data-address": event.address, "data-shown": shown.get(event.id) ?? String(Date.now()) }, [
      make("td", { class: "when", text: clockMs(event.at_ms), title: new Date(event.at_ms).toISOString() }),
      make("td", { class: "kind", "data-tone": TONES[event.kind] ?? "", text: event.kind }),
      make("td", {}, [event.label !== event.address ? mark(this.names, event.address) : event.address || "–"]),
      make("td", { class: "detail", text: event.text, title: event.version === "" ? "" : gettext("version {version}", { version: event.version }) }),
    ])));
    if (events.length === 0) this.body.replaceChildren(make("tr", { class: "empty" }, [make("td", { colspan: "4", text: gettext("Nothing has happened.") })]));
  }
}
