/**
 * Draws byte ranges as bars on a strip: one lane for each lock-owner, one scale for all.
 *
 * A write lock is solid and says W, a read lock is striped and says R, who waits has a dashed outline: nothing is told by
 * colour alone, and the table below has every row.
 * Elsewhere: where the bars lie (strip.js).
 */

import { make } from "./dom.js";
import { shorten } from "./format.js";
import { labels, lanes, layOut, spanText } from "./strip.js";
import { gettext, ngettext } from "./text.js";

const LANES_MAX = 12;
const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {Node[]} [children]
 */
function svg(tag, attributes, children = []) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** @param {number} part of 1 */
function percent(part) {
  return `${(part * 100).toFixed(3)}%`;
}

/** @returns {SVGElement} what read bars are filled with; the pattern is found by its id */
function stripes() {
  return svg("defs", {}, [
    svg("pattern", { id: "strip-read", width: "7", height: "7", patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, [
      svg("rect", { class: "stripe-ground", width: "7", height: "7" }), svg("rect", { class: "stripe", width: "3", height: "7" }),
    ]),
  ]);
}

/**
 * @param {readonly import("./contract.js").Piece[]} held
 * @param {readonly import("./contract.js").WaitingPiece[]} waiting
 * @param {number} widthPx
 * @returns {Node[]}
 */
export function drawStrip(held, waiting, widthPx) {
  const pieces = [...held.map((piece) => ({ ...piece, waits: false })), ...waiting.map((piece) => ({ ...piece, waits: true }))];
  const strip = layOut(pieces);
  const bars = new Map(pieces.map((piece, i) => [piece, /** @type {import("./strip.js").Bar} */ (strip.bars[i])]));
  const all = lanes(pieces);
  const shown = all.slice(0, LANES_MAX);
  const lines = shown.flatMap((lane) => [
    make("div", { class: "lane-name", text: laneName(/** @type {typeof pieces[0]} */ (lane[0])), title: lane[0]?.session }),
    svg("svg", { class: "lane", width: "100%", height: "24" }, [
      svg("rect", { class: "track", width: "100%", height: "24", rx: "3" }),
      ...lane.map((piece) => bar(piece, /** @type {import("./strip.js").Bar} */ (bars.get(piece)))),
    ]),
  ]);
  const axis = svg("svg", { class: "axis", width: "100%", height: "26" }, [stripes(), ...labels(strip, widthPx).flatMap(({ at, text }) => [
    svg("line", { x1: percent(at), x2: percent(at), y1: "0", y2: "6" }),
    svg("text", { x: percent(at), y: "19", "text-anchor": at > 0.9 ? "end" : "start" }, [document.createTextNode(text)]),
  ])]);
  const told = gettext("{held}, {waiting} waiting, on a strip that stands for the file. The table below has every row.", { held: ngettext("{count} held range", "{count} held ranges", held.length), waiting: waiting.length });
  const hidden = all.length - shown.length;
  return [
    make("div", { class: "strip", id: "key-strip", role: "img", "aria-label": told }, [...lines, axis]),
    make("p", { class: "quiet strip-note", id: "key-scale", text: [
      gettext("W write, R read, dashed: waits."), strip.linear ? "" : gettext("The scale is compressed, so that small ranges are seen beside large ones."),
      hidden > 0 ? gettext("{hidden} in the table only.", { hidden: ngettext("{count} more lock-owner", "{count} more lock-owners", hidden) }) : "",
    ].filter(Boolean).join(" ") }),
  ];
}

/** @param {import("./contract.js").Piece} piece */
function laneName({ label, owner, session }) {
  return shorten(`${label || session} · ${owner}`, 60);
}

/** @param {import("./contract.js").Piece & {waits: boolean}} piece @param {import("./strip.js").Bar} at */
function bar(piece, at) {
  const letter = piece.kind === "write" ? "W" : "R";
  const text = svg("text", { x: "6", y: "16" }, [document.createTextNode(piece.waits ? `${letter} waits` : letter)]);
  const title = svg("title", {}, [document.createTextNode(`${piece.kind} ${spanText(piece)}, ${laneName(piece)}, ${piece.waits ? "waits" : "held"}`)]);
  const plate = svg("rect", { class: "plate", x: "3", y: "5", rx: "2", height: "14", width: piece.waits ? "46" : "16" });
  return svg("svg", { class: `bar ${piece.kind}${piece.waits ? " waits" : ""}`, x: percent(at.from), width: percent(at.to - at.from), height: "24" }, [
    title, svg("rect", { class: "body", x: "0.75", y: "1.5", width: "100%", height: "21", rx: "2", ...(piece.kind === "read" ? { fill: "url(#strip-read)" } : {}) }), plate, text,
  ]);
}
