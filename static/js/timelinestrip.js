/**
 * Draws the line of time: shapes in lanes, so that no kind of mark is told by its colour alone.
 *
 *   versions: tall bars, views: short bars | faults: triangles, violations: crosses | operators: circles
 *
 * Elsewhere: what is where (timelinemodel.js), the same marks as a table (timelinetable.js).
 */

import { scaleTime } from "d3-scale";
import { gettext } from "./text.js";

import { shape } from "./dom.js";
import { dateTime, markText, msOf } from "./timelinemodel.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 64;
const LABEL_PX = 90;
const EDGE_PX = 26;
const AXIS_Y = 48;
/** @type {Record<import("./timelinemodel.js").Kind, (x: number, many: boolean) => string>} */
const SHAPES = {
  version: (x) => `M${x} 3V20`,
  view: (x) => `M${x} 12V20`,
  fault: (x, many) => `M${x} 35L${x - (many ? 7 : 5)} 24H${x + (many ? 7 : 5)}Z`,
  violation: (x, many) => `M${x - (many ? 6 : 4)} 25l${many ? 12 : 8} 9m0 -9l${many ? -12 : -8} 9`,
  action: (x, many) => `M${x - (many ? 5 : 3.5)} 42a${many ? 5 : 3.5} ${many ? 5 : 3.5} 0 1 0 ${many ? 10 : 7} 0a${many ? 5 : 3.5} ${many ? 5 : 3.5} 0 1 0 ${many ? -10 : -7} 0`,
};

/**
 * @param {SVGSVGElement} svg
 * @param {import("./timelinemodel.js").TimeLine} line
 * @param {number} nowMs by our clock
 */
export function drawMarks(svg, line, nowMs) {
  const width = svg.clientWidth || 1;
  const x = (/** @type {number} */ ms) => Math.round(line.placeOf(ms) * width * 10) / 10;
  const begin = x(line.firstMs || line.nowMs(nowMs));
  const end = x(Math.min(line.toMs, line.nowMs(nowMs)));
  svg.setAttribute("height", String(HEIGHT));
  svg.replaceChildren(
    shape("rect", { class: "recorded", x: String(Math.max(0, begin)), y: "0", width: String(Math.max(0, end - Math.max(0, begin))), height: String(AXIS_Y) }),
    shape("line", { class: "axis", x1: "0", x2: String(width), y1: String(AXIS_Y), y2: String(AXIS_Y) }),
    ...ticks(line, width, x),
    ...line.marks.filter((mark) => mark.until_ms >= line.fromMs && mark.at_ms <= line.toMs).map((mark) => {
      const path = shape("path", { class: `mark ${mark.kind}${mark.count > 1 ? " many" : ""}`, d: SHAPES[mark.kind](x(mark.at_ms), mark.count > 1) });
      path.append(Object.assign(document.createElementNS(SVG, "title"), { textContent: `${dateTime(mark.at_ms)} ${markText(mark)}` }));
      return path;
    }),
  );
}

/**
 * Put the cursor, and the moment that is compared with, where they are.
 * @param {SVGSVGElement} svg
 * @param {import("./timelinemodel.js").TimeLine} line
 * @param {number} nowMs by our clock
 */
export function drawCursors(svg, line, nowMs) {
  const width = svg.clientWidth || 1;
  for (const old of svg.querySelectorAll(".cursor")) old.remove();
  if (line.withNs !== null) svg.append(cursor("cursor anchor", line.placeOf(msOf(line.withNs)) * width, "A"));
  svg.append(cursor(line.live ? "cursor live" : "cursor", line.placeOf(line.atMs(nowMs)) * width, line.withNs === null ? "" : "B"));
}

/** @param {string} kind @param {number} at @param {string} label */
function cursor(kind, at, label) {
  const x = String(Math.round(at * 10) / 10);
  const group = shape("g", { class: kind });
  group.append(shape("line", { x1: x, x2: x, y1: "0", y2: String(AXIS_Y + 2) }), shape("path", { d: `M${x} ${AXIS_Y + 1}l-6 8h12Z` }));
  if (label !== "") group.append(Object.assign(shape("text", { x: String(Number(x) + 5), y: "11" }), { textContent: label }));
  return group;
}

/** @param {import("./timelinemodel.js").TimeLine} line @param {number} width @param {(ms: number) => number} x */
function ticks(line, width, x) {
  const scale = scaleTime([new Date(line.fromMs), new Date(line.toMs)], [0, width]);
  const format = scale.tickFormat(Math.max(2, Math.floor(width / LABEL_PX)));
  return scale.ticks(Math.max(2, Math.floor(width / LABEL_PX))).flatMap((date) => {
    const at = x(date.getTime());
    const label = shape("text", { class: "tick", x: String(at), y: String(AXIS_Y + 13), "text-anchor": "middle" });
    // At the edges there is no room for one.
    label.textContent = at < EDGE_PX || at > width - EDGE_PX ? "" : clockText(date, format(date));
    return [shape("line", { class: "axis", x1: String(at), x2: String(at), y1: String(AXIS_Y - 3), y2: String(AXIS_Y) }), label];
  });
}

/** @param {Date} date @param {string} fallback what D3 says: milliseconds, or a day @returns {string} */
function clockText(date, fallback) {
  if (date.getMilliseconds() !== 0) return fallback;
  const time = date.toLocaleTimeString("en-GB");
  return date.getHours() + date.getMinutes() + date.getSeconds() === 0 ? date.toLocaleDateString("en-GB", { day: "numeric", month: "short" }) : time.replace(/:00$/, "");
}
