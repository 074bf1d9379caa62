/**
 * The live tail of events on the page: newest first, at most ROWS_MAX rows, rows reused by event id.
 *
 * Elsewhere: filter and pause (tailmodel.js). Screen readers hear only view changes (main.js), not each event.
 */

import { byId, make, oncePerFrame, setText, swatch } from "./dom.js";
import { clock, clockMs, count, shortNumber, shortSession } from "./format.js";
import { TONES } from "./kinds.js";
import { Tail } from "./tailmodel.js";
import { gettext, ngettext } from "./text.js";

export const ROWS_MAX = 200;
const KINDS = [
  "granted", "released", "expired", "promoted", "demoted", "transferred", "refused", "readmitted", "joined", "left", "died",
  "view", "settled", "fenced", "unfenced", "gap", "operator", "opened", "ended", "lapsed", "queued", "unqueued", "migrated",
  "range-locked", "range-unlocked", "range-queued", "range-migrated", "range-promoted", "range-demoted", "range-received",
];

export class TailPanel {
  /**
   * @param {import("./cluster.js").Cluster} cluster
   * @param {(address: string) => string} colorOf
   * @param {(key: string) => void} onKey look at a key
   */
  constructor(cluster, colorOf, onKey) {
    this.cluster = cluster;
    this.body = byId("tail-body", HTMLTableSectionElement);
    this.body.addEventListener("click", (event) => {
      const key = event.target instanceof HTMLButtonElement ? event.target.dataset["key"] : undefined;
      if (key !== undefined) onKey(key);
    });
    this.colorOf = colorOf;
    this.model = new Tail();
    this.button = byId("tail-pause", HTMLButtonElement);
    this.status = byId("tail-status", HTMLElement);
    this.text = byId("tail-text", HTMLInputElement);
    this.kind = byId("tail-kind", HTMLSelectElement);
    this.node = byId("tail-node", HTMLSelectElement);
    /** @type {Map<string, HTMLTableRowElement>} */
    this.rows = new Map();
    this.skipped = 0;
    this.nodesDrawn = "";
    this.show = oncePerFrame(() => this.#show());
    this.kind.append(...KINDS.map((kind) => make("option", { value: kind, text: kind })));
    this.button.addEventListener("click", () => this.#toggle());
    for (const field of [this.text, this.kind, this.node]) field.addEventListener("input", () => this.#filter());
  }

  /** @param {import("./cluster.js").Change} change */
  update(change) {
    if (change.reset) this.rows.clear();
    this.model.noteNew(change.events);
    this.skipped += change.skipped;
    if (change.nodes) this.#fillNodes();
    if (change.reset || change.events.length > 0 || change.skipped > 0) this.show();
  }

  /** Show only what has to do with a session. @param {string} session */
  showSession(session) {
    [this.text.value, this.kind.value, this.node.value] = [session, "", ""];
    this.#filter();
    this.text.scrollIntoView({ block: "center" });
    this.text.focus();
  }

  #toggle() {
    if (this.model.paused) this.model.resume();
    else this.model.pause(this.cluster.events);
    this.show();
  }

  #filter() {
    this.model.filter = { text: this.text.value.trim(), kind: this.kind.value, node: this.node.value };
    this.show();
  }

  #fillNodes() {
    const options = this.cluster.nodes.map((node) => ({ value: node.address, text: node.label }));
    const drawn = JSON.stringify(options);
    if (drawn === this.nodesDrawn) return;
    this.nodesDrawn = drawn;
    const chosen = this.node.value;
    options.sort((a, b) => a.text.localeCompare(b.text, "en", { numeric: true }));
    const fixed = [{ value: "", text: gettext("all nodes") }, { value: "master", text: gettext("master") }, { value: "site", text: gettext("site") }];
    this.node.replaceChildren(...[...fixed, ...options].map(({ value, text }) => make("option", { value, text })));
    this.node.value = chosen;
  }

  #show() {
    const events = this.model.rows(this.cluster.events, ROWS_MAX);
    /** @type {Map<string, HTMLTableRowElement>} */
    const rows = new Map();
    for (const event of events) rows.set(event.id, this.rows.get(event.id) ?? this.#row(event));
    this.#place([...rows.values()]);
    this.rows = rows;
    this.#tell(events.length);
  }

  /** Touch only what differs: new rows come in above, old ones fall off below. @param {HTMLTableRowElement[]} wanted */
  #place(wanted) {
    const keep = new Set(wanted);
    for (const row of [...this.body.rows]) if (!keep.has(row)) row.remove();
    let at = this.body.firstElementChild;
    for (const row of wanted) {
      if (row === at) at = at.nextElementSibling;
      else this.body.insertBefore(row, at);
    }
  }

  /** @param {import("./contract.js").LockEvent} event @returns {HTMLTableRowElement} */
  #row(event) {
    const { key, owner, generation, kind } = event;
    const color = event.node === "master" || event.node === "site" ? "var(--muted)" : this.colorOf(event.node);
    const session = event.session === "" ? "" : `session ${shortSession(event.session)}`;
    const detail = [key === "" ? owner : "", event.detail, event.renewals > 0 ? ngettext("{count} renewal", "{count} renewals", event.renewals) : "", session].filter(Boolean).join(" · ");
    return make("tr", { "data-kind": kind }, [
      make("td", { class: "when num", text: clockMs(event.time_ms), title: new Date(event.time_ms).toISOString() }),
      make("td", { class: "who" }, [swatch(event.label || event.node, color, { title: event.node })]),
      make("td", { class: "kind", "data-tone": TONES.get(kind) ?? "", text: kind }),
      ...(key === "" ? [] : [
        make("td", { class: "key mono", title: key }, [
          // For the mouse; the keyboard has the search above and the table of held locks, without two hundred stops.
          make("button", { type: "button", class: "open-key", tabindex: "-1", "data-key": key, text: key }),
        ]),
        make("td", { class: "owner", text: owner, title: owner }),
        make("td", { class: "gen num", text: generation === "" ? "" : shortNumber(generation), title: generation }),
      ]),
      make("td", { class: "detail", text: detail, title: detail, colspan: key === "" ? "4" : undefined }),
    ]);
  }

  /** @param {number} shown */
  #tell(shown) {
    const { paused, waiting } = this.model;
    setText(this.button, paused ? (waiting > 0 ? gettext("Resume ({waiting} waiting)", { waiting: count(waiting) }) : gettext("Resume")) : gettext("Pause"));
    this.button.setAttribute("aria-pressed", String(paused));
    const parts = [];
    const { frozen, filter } = this.model;
    if (frozen) parts.push(gettext("paused at {time}", { time: clock(frozen.at(-1)?.time_ms ?? Date.now()) }));
    if (shown === 0) parts.push(filter.text || filter.kind || filter.node ? gettext("no event matches the filter") : gettext("no events yet"));
    if (this.skipped > 0) parts.push(gettext("{skipped} came too fast to show; all are in the journal", { skipped: ngettext("{count} event", "{count} events", this.skipped) }));
    setText(this.status, parts.join(" · "));
  }
}
