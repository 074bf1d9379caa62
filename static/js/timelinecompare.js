/**
 * What moved between two moments: totals, locks, arcs and nodes.
 *
 * Elsewhere: choosing the moments (timeline.js), finding what moved (dlmsite/dashboard/compare.py).
 */

import { get } from "./api.js";
import { byId, make, swatch } from "./dom.js";
import { count, messageOf, percent, shortNumber } from "./format.js";
import { gettext, ngettext } from "./text.js";
import { dateTime, msOf } from "./timelinemodel.js";

/**
 * @typedef {{node: string, label: string, owner: string, generation: string, session: string}} Side
 * @typedef {{key: string, what: "moved" | "passed" | "granted" | "released", a: Side | null, b: Side | null}} LockChange
 * @typedef {{where: string, doubts: string[], missing: number, held: number}} Head
 * @typedef {{a: Head, b: Head, locks: {moved: number, passed: number, granted: number, released: number, stayed: number,
 *   list: LockChange[]}, arcs: {share: number, flows: {source: string | null, target: string | null, share: number}[]},
 *   nodes: {address: string, label: string, a: string, b: string}[], views: {a: string, b: string, between: number}}} Compared
 */

const FLOWS_SHOWN = 12;
const WHATS = { moved: gettext("moved"), passed: gettext("other holder"), granted: gettext("held at B only"), released: gettext("held at A only") };

/** @param {Compared} found @returns {string} one sentence */
export function tellCompared({ locks, arcs, nodes, views }) {
  const changes = [
    locks.moved > 0 ? gettext("{moved} moved to another node", { moved: ngettext("{count} lock", "{count} locks", locks.moved) }) : "",
    locks.passed > 0 ? gettext("{passed} passed to another holder", { passed: ngettext("{count} lock", "{count} locks", locks.passed) }) : "",
    locks.granted > 0 ? gettext("{granted} held at B only", { granted: ngettext("{count} lock", "{count} locks", locks.granted) }) : "",
    locks.released > 0 ? gettext("{released} held at A only", { released: ngettext("{count} lock", "{count} locks", locks.released) }) : "",
    arcs.share > 0 ? gettext("{share} of the key space changed its primary", { share: percent(arcs.share) }) : "",
    nodes.length > 0 ? gettext("{nodes} changed state", { nodes: ngettext("{count} node", "{count} nodes", nodes.length) }) : "",
  ].filter(Boolean);
  const stayed = ngettext("{count} lock stayed", "{count} locks stayed", locks.stayed);
  if (changes.length === 0) return gettext("Nothing moved: {stayed}.", { stayed });
  return `${changes.join(", ")}; ${stayed}. ${ngettext("{count} view between.", "{count} views between.", views.between)}`;
}

export class ComparePanel {
  /**
   * @param {{labelOf: (address: string | null) => string, colorOf: (address: string) => string, onClose: () => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.section = byId("compare", HTMLElement);
    this.title = byId("compare-title", HTMLElement);
    this.text = byId("compare-text", HTMLElement);
    this.problem = byId("compare-problem", HTMLElement);
    this.body = byId("compare-body", HTMLElement);
    this.asked = "";
    byId("compare-close", HTMLButtonElement).addEventListener("click", () => parts.onClose());
  }

  hide() {
    this.section.hidden = true;
    this.asked = "";
  }

  /** @param {bigint} a @param {bigint} b */
  async show(a, b) {
    const asked = `${a} ${b}`;
    if (asked === this.asked) return;
    this.asked = asked;
    this.section.hidden = false;
    this.section.setAttribute("aria-busy", "true");
    this.title.textContent = gettext("What moved from A, {a}, to B, {b}", { a: dateTime(msOf(a)), b: dateTime(msOf(b)) });
    try {
      const found = await get(`/api/compare/?a_ns=${a}&b_ns=${b}`);
      if (asked === this.asked) this.#fill(found);
    } catch (error) {
      if (asked === this.asked) this.#fail(messageOf(error));
    }
    this.section.removeAttribute("aria-busy");
  }

  /** @param {string} text */
  #fail(text) {
    this.problem.hidden = false;
    this.problem.textContent = text;
    this.text.textContent = "";
    this.body.replaceChildren();
    this.asked = "";
  }

  /** @param {Compared} found */
  #fill(found) {
    this.problem.hidden = true;
    const doubts = [...new Set([...found.a.doubts, ...found.b.doubts])];
    this.text.textContent = [tellCompared(found), ...doubts].join(" ");
    this.body.replaceChildren(...[this.#locks(found.locks), this.#flows(found.arcs.flows), this.#nodes(found.nodes)].flat());
  }

  /** @param {Compared["locks"]} locks */
  #locks({ list, moved, passed, granted, released }) {
    if (list.length === 0) return [];
    const rest = moved + passed + granted + released - list.length;
    return [table(gettext("Locks"), [gettext("Key"), gettext("What"), gettext("A: node"), gettext("holder"), gettext("B: node"), gettext("holder")], list.map((lock) => [
      make("span", { class: "clip mono", text: lock.key, title: lock.key }), WHATS[lock.what], ...this.#side(lock.a), ...this.#side(lock.b),
    ]), rest > 0 ? `and ${count(rest)} more` : "")];
  }

  /** @param {Side | null} side @returns {(Node | string)[]} */
  #side(side) {
    if (side === null) return ["–", "–"];
    const owner = make("span", { text: `${side.owner || side.session || "–"} ` });
    owner.append(make("span", { class: "quiet num", text: shortNumber(side.generation), title: gettext("Generation {generation}", { generation: side.generation }) }));
    return [swatch(side.label, this.parts.colorOf(side.node), { title: side.node }), owner];
  }

  /** @param {Compared["arcs"]["flows"]} flows */
  #flows(flows) {
    if (flows.length === 0) return [];
    const name = (/** @type {string | null} */ address) => (address === null ? "nobody" : swatch(this.parts.labelOf(address), this.parts.colorOf(address)));
    const rest = flows.length - FLOWS_SHOWN;
    const rows = flows.slice(0, FLOWS_SHOWN).map((flow) => [name(flow.source), name(flow.target), percent(flow.share)]);
    return [table(gettext("Arcs, by primary"), [gettext("From"), gettext("To"), gettext("Key space")], rows, rest > 0 ? gettext("and {rest} smaller moves", { rest }) : "")];
  }

  /** @param {Compared["nodes"]} nodes */
  #nodes(nodes) {
    if (nodes.length === 0) return [];
    return [table(gettext("Nodes"), [gettext("Node"), "A", "B"], nodes.map((node) => [swatch(node.label, this.parts.colorOf(node.address)), node.a, node.b]), "")];
  }
}

/**
 * @param {string} caption
 * @param {string[]} heads
 * @param {(Node | string)[][]} rows
 * @param {string} rest
 */
function table(caption, heads, rows, rest) {
  const lines = rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, [cell]))));
  if (rest !== "") lines.push(make("tr", { class: "empty" }, [make("td", { colspan: String(heads.length), text: rest })]));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, [make("table", { class: "rows" }, [
    make("caption", { text: caption }), make("thead", {}, [make("tr", {}, heads.map((text) => make("th", { scope: "col", text })))]),
    make("tbody", {}, lines),
  ])]);
}
