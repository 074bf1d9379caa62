/**
 * Every drawn thing as a row: arcs, held locks, members. Paged, and rendered only while the section is open.
 */

import { byId, make, setText, swatch } from "./dom.js";
import { age, clock, count, degrees, hex, percent, shortNumber, shortSession } from "./format.js";
import { pageOf } from "./paging.js";
import { CIRCLE } from "./ring.js";
import { gettext, pieces } from "./text.js";

const REFRESH_MS = 1_000;

/**
 * @typedef {(string | Node)[]} Cells
 * @typedef {{title: string, kind: string}} Column
 * @typedef {{columns: Column[], rows: unknown[], cells: (row: any) => Cells, empty: string}} Table
 */

const ARC_COLUMNS = columns(gettext("From"), `${gettext("To")}#`, `${gettext("Angle")}#`, `${gettext("Share")}#`, gettext("Primary"), gettext("Backup"));
const LOCK_COLUMNS = columns(gettext("Key"), gettext("Position"), gettext("Primary"), gettext("Backup"), gettext("Owner"), gettext("Session"), `${gettext("Generation")}#`, `${gettext("Since")}#`, "TTL#");
const MEMBER_COLUMNS = columns(gettext("Node"), gettext("Address"), gettext("Down"), `${gettext("Primary share")}#`, `${gettext("Backup share")}#`, `${gettext("Virtual nodes")}#`, `${gettext("Incarnation")}#`,
  gettext("State"), `${gettext("View")}#`, `${gettext("Refused views")}#`);

/** @param {...string} names with # at the end for numbers @returns {Column[]} */
function columns(...names) {
  return names.map((name) => ({ title: name.replace("#", ""), kind: name.endsWith("#") ? "num" : "" }));
}

export class Tables {
  /**
   * @param {import("./cluster.js").Cluster} cluster
   * @param {(address: string) => string} colorOf
   * @param {(node: import("./contract.js").NodeRow) => import("./health.js").Health} healthOf as of now
   * @param {(key: string) => void} onKey look at a key
   */
  constructor(cluster, colorOf, healthOf, onKey) {
    this.onKey = onKey;
    this.cluster = cluster;
    this.healthOf = healthOf;
    this.colorOf = colorOf;
    this.section = byId("tables", HTMLDetailsElement);
    this.head = byId("tables-head", HTMLTableSectionElement);
    this.body = byId("tables-body", HTMLTableSectionElement);
    this.range = byId("tables-range", HTMLElement);
    this.caption = byId("tables-caption", HTMLElement);
    this.previous = byId("tables-previous", HTMLButtonElement);
    this.next = byId("tables-next", HTMLButtonElement);
    this.filter = byId("tables-filter", HTMLInputElement);
    this.tabs = [...this.section.querySelectorAll("button[data-table]")].filter((tab) => tab instanceof HTMLButtonElement);
    this.current = "arcs";
    this.page = 0;
    this.shownMs = 0;
    this.due = false;
    for (const tab of this.tabs) tab.addEventListener("click", () => this.#choose(tab.dataset["table"] ?? "arcs"));
    this.section.addEventListener("toggle", () => this.show());
    this.previous.addEventListener("click", () => this.#turn(-1));
    this.next.addEventListener("click", () => this.#turn(1));
    this.filter.addEventListener("input", () => this.#turn(-this.page));
  }

  /** Something has changed; a table that people read need not change ten times a second. */
  changed() {
    if (!this.section.open || this.due) return;
    this.due = true;
    setTimeout(() => {
      this.due = false;
      this.show();
    }, Math.max(0, this.shownMs + REFRESH_MS - Date.now()));
  }

  /** @param {string} name */
  #choose(name) {
    this.current = name;
    this.#turn(-this.page);
  }

  /** @param {number} by pages */
  #turn(by) {
    this.page += by;
    this.show();
  }

  show() {
    if (!this.section.open) return;
    this.shownMs = Date.now();
    const table = this.#table();
    const page = pageOf(table.rows, this.page);
    this.page = page.page;
    for (const tab of this.tabs) tab.setAttribute("aria-pressed", String(tab.dataset["table"] === this.current));
    this.filter.hidden = this.current !== "locks";
    this.caption.textContent = { arcs: gettext("Arcs of the ring"), locks: gettext("Held locks"), members: gettext("Members of the view") }[this.current] ?? "";
    this.head.replaceChildren(make("tr", {}, table.columns.map(({ title, kind }) => make("th", { scope: "col", class: kind, text: title }))));
    const rows = page.rows.map((row) => make("tr", {}, table.cells(row).map((cell, i) =>
      make("td", { class: table.columns[i]?.kind, "data-label": table.columns[i]?.title }, [cell]))));
    if (rows.length === 0) rows.push(make("tr", { class: "empty" }, [make("td", { colspan: String(table.columns.length), text: table.empty })]));
    this.body.replaceChildren(...rows);
    setText(this.range, `${count(page.first)}–${count(page.last)} of ${count(page.total)}`);
    this.previous.disabled = page.page === 0;
    this.next.disabled = page.page >= page.pages - 1;
  }

  /** @returns {Table} */
  #table() {
    if (this.current === "locks") return this.#locks();
    return this.current === "members" ? this.#members() : this.#arcs();
  }

  /** @param {string | null} address @returns {Node} */
  #node(address) {
    if (address === null) return make("span", { class: "quiet", text: gettext("none") });
    return swatch(this.cluster.labelOf(address), this.colorOf(address), { title: address, down: this.cluster.ring.down.has(address) });
  }

  /** @returns {Table} */
  #arcs() {
    return {
      columns: ARC_COLUMNS,
      rows: this.cluster.ring.arcs(),
      empty: gettext("No view has been published yet."),
      cells: (/** @type {import("./ring.js").Arc} */ arc) => [
        hex(arc.from), hex(arc.to), degrees(arc.from), percent(arc.size / CIRCLE), this.#node(arc.primary), this.#node(arc.backup),
      ],
    };
  }

  /** @returns {Table} */
  #locks() {
    const wanted = this.filter.value.trim().toLowerCase();
    const rows = [...this.cluster.locks.values()]
      .filter((lock) => wanted === "" || [lock.key, lock.owner, lock.session].some((text) => text.toLowerCase().includes(wanted)))
      .sort((a, b) => a.position - b.position);
    return {
      columns: LOCK_COLUMNS,
      rows,
      empty: wanted === "" ? gettext("No lock is held.") : gettext("No held lock matches."),
      cells: (/** @type {import("./locks.js").HeldLock} */ lock) => [
        this.#key(lock.key), hex(lock.position), this.#primary(lock),
        this.#node(lock.backup), make("span", { class: "clip", text: lock.owner, title: lock.owner }),
        make("span", { class: "mono", text: lock.session === "" ? "" : shortSession(lock.session), title: lock.session || undefined }),
        make("span", { text: shortNumber(lock.generation), title: lock.generation }), clock(lock.sinceMs), age(lock.ttlMs),
      ],
    };
  }

  /** @param {string} key @returns {Node} */
  #key(key) {
    const button = make("button", { type: "button", class: "open-key clip mono", "data-key": key, text: key, title: key });
    button.addEventListener("click", () => this.onKey(key));
    return button;
  }

  /** @param {import("./locks.js").HeldLock} lock @returns {Node} */
  #primary(lock) {
    if (lock.holder === lock.primary) return this.#node(lock.primary);
    return make("span", { title: gettext("Not handed over yet") }, pieces(gettext("{primary} still at {holder}"), { primary: this.#node(lock.primary), holder: this.#node(lock.holder) }));
  }

  /** @param {import("./contract.js").NodeRow | undefined} node @returns {Cells} */
  #state(node) {
    if (node === undefined) return ["unknown", "–", "unknown"];
    const { state, note, why } = this.healthOf(node);
    const refused = node.refused_views === 0 ? "0" : `${count(node.refused_views)}, last ${shortNumber(node.refused_last)}`;
    return [
      make("span", { text: note === "" ? state : `${state}, ${note}`, title: why }),
      make("span", { text: shortNumber(node.view), title: node.view }), make("span", { text: refused, title: node.refused_last }),
    ];
  }

  /** @returns {Table} */
  #members() {
    const { ring, view } = this.cluster;
    const shares = ring.shares();
    const vnodes = new Map(ring.servers.map((server) => [server, 0]));
    for (const owner of ring.owner) {
      const server = /** @type {string} */ (ring.servers[owner]);
      vnodes.set(server, (vnodes.get(server) ?? 0) + 1);
    }
    return {
      columns: MEMBER_COLUMNS,
      rows: [...(view?.members ?? [])].sort((a, b) => a.label.localeCompare(b.label, "en", { numeric: true })),
      empty: gettext("The view has no members."),
      cells: (/** @type {import("./contract.js").Member} */ member) => [
        this.#node(member.address), make("span", { class: "mono", text: member.address }), member.down ? "down" : "no",
        percent(shares.get(member.address)?.primary ?? 0), percent(shares.get(member.address)?.backup ?? 0),
        count(vnodes.get(member.address) ?? 0), make("span", { text: shortNumber(member.incarnation), title: member.incarnation }),
        ...this.#state(this.cluster.nodes.find((node) => node.address === member.address)),
      ],
    };
  }
}
