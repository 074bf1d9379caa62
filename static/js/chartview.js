/**
 * Draws one chart as SVG: lines with gaps where nothing is known, failovers as marks, the cursor.
 *
 * Elsewhere: what is drawn (chartmodel.js), what the pointer means (charts.js).
 */

import { scaleLinear, scaleTime } from "d3-scale";
import { select } from "d3-selection";
import { line } from "d3-shape";

import { highest, readout, tellFailover, tickText } from "./chartmodel.js";
import { make, setText } from "./dom.js";
import { gettext } from "./text.js";

const HEIGHT_MIN = 150;
const HEIGHT_MAX = 340;
const HEIGHT_SHARE = 0.16; // of the window: six charts fit on any screen
const LEFT = 58;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const TICK_ROOM = 95;

/**
 * @typedef {import("./chartmodel.js").Series} Series
 * @typedef {import("./chartmodel.js").Drawn} Drawn
 * @typedef {import("./chartmodel.js").Stretch} Stretch
 */

/**
 * What a line looks like, for the legend.
 * @param {string} color @param {string} dash @returns {SVGSVGElement}
 */
export function sampleOf(color, dash) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  select(svg).attr("width", 26).attr("height", 8).attr("aria-hidden", "true")
    .append("line").attr("x1", 1).attr("x2", 25).attr("y1", 4).attr("y2", 4).attr("stroke-width", 2)
    .attr("stroke", color).attr("stroke-dasharray", dash || null);
  return svg;
}

export class ChartView {
  /**
   * @param {import("./chartmodel.js").Chart} chart
   * @param {(color: number | null) => string} colorOf
   */
  constructor(chart, colorOf) {
    this.chart = chart;
    this.colorOf = colorOf;
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("aria-hidden", "true");
    this.told = make("p", { class: "chart-told num" });
    const title = make("h2", { id: `chart-${chart.id}`, text: chart.title });
    const head = make("div", { class: "chart-head" }, [title, make("span", { class: "quiet", text: chart.says }), this.told]);
    this.element = make("section", { class: "panel chart", "aria-labelledby": `chart-${chart.id}` }, [head, this.svg]);
    this.height = HEIGHT_MIN;
    this.x = scaleTime();
    this.y = scaleLinear();
    /** @type {Drawn[]} */
    this.lines = [];
    for (const name of ["axes", "marks", "lines", "band", "cursor"]) select(this.svg).append("g").attr("class", name);
  }

  /** @param {Series} series @param {Drawn[]} lines @param {Stretch} stretch */
  show(series, lines, stretch) {
    const width = Math.max(160, this.svg.clientWidth);
    this.lines = lines;
    this.height = Math.round(Math.min(HEIGHT_MAX, Math.max(HEIGHT_MIN, innerHeight * HEIGHT_SHARE)));
    this.svg.setAttribute("height", String(this.height));
    this.x.domain([stretch.fromMs, stretch.toMs]).range([LEFT, width - RIGHT]);
    this.y.domain([0, highest(lines) || 1]).nice(4).range([this.height - BOTTOM, TOP]);
    this.#axes(width);
    this.#lines(series);
    this.#failovers(series);
    this.say(-1);
  }

  /** @param {number} width */
  #axes(width) {
    const axes = select(this.svg).select(".axes");
    axes.selectAll("*").remove();
    const [from = 0, to = 0] = this.x.domain().map(Number);
    for (const value of this.y.ticks(4).filter((tick) => !this.chart.whole || Number.isInteger(tick))) {
      const y = this.y(value);
      axes.append("line").attr("class", "rule").attr("x1", LEFT).attr("x2", width - RIGHT).attr("y1", y).attr("y2", y);
      axes.append("text").attr("x", LEFT - 8).attr("y", y + 4).attr("text-anchor", "end").text(this.chart.tell(value));
    }
    for (const moment of this.x.ticks(Math.max(2, Math.floor((width - LEFT) / TICK_ROOM)))) {
      const x = this.x(moment);
      const anchor = x > width - TICK_ROOM / 3 ? "end" : "middle";
      axes.append("text").attr("x", x).attr("y", this.height - 5).attr("text-anchor", anchor).text(tickText(moment.getTime(), to - from));
    }
  }

  /** @param {Series} series */
  #lines(series) {
    const half = series.step_s * 500;
    const path = line().defined((point) => !Number.isNaN(point[1]));
    /** @param {Drawn} drawn @returns {[number, number][]} */
    const points = (drawn) => series.at_ms.map((atMs, i) => {
      const value = drawn.values[i] ?? null;
      return [this.x(atMs + half), value === null ? Number.NaN : this.y(value)];
    });
    select(this.svg).select(".lines").selectAll("path").data(this.lines).join("path")
      .attr("class", (drawn) => (drawn.color === null ? "line all" : "line"))
      .attr("stroke", (drawn) => this.colorOf(drawn.color))
      .attr("stroke-dasharray", (drawn) => drawn.dash || null)
      .attr("d", (drawn) => path(points(drawn)));
  }

  /** @param {Series} series */
  #failovers(series) {
    const marks = select(this.svg).select(".marks");
    marks.selectAll("*").remove();
    const [first = 0, last = 0] = this.x.range();
    for (const failover of series.failovers) {
      const x = this.x(failover.at_ms);
      if (x < first || x > last) continue;
      const mark = marks.append("g").attr("class", "failover");
      mark.append("line").attr("x1", x).attr("x2", x).attr("y1", TOP).attr("y2", this.height - BOTTOM);
      mark.append("path").attr("d", `M${x - 5},${TOP - 7}h10l-5,8z`);
      mark.append("title").text(tellFailover(failover));
    }
  }

  /** @param {number} x in the picture @returns {number} when */
  timeAt(x) {
    return this.x.invert(x).getTime();
  }

  /** @param {number} point of the series, -1 for none @param {number} [atMs] where its line stands */
  say(point, atMs) {
    const cursor = select(this.svg).select(".cursor");
    cursor.selectAll("*").remove();
    if (point < 0 || atMs === undefined) {
      setText(this.told, this.lines.length === 0 ? gettext("nothing measured") : "");
      return;
    }
    const x = this.x(atMs);
    cursor.append("line").attr("x1", x).attr("x2", x).attr("y1", TOP).attr("y2", this.height - BOTTOM);
    for (const drawn of this.lines) {
      const value = drawn.values[point] ?? null;
      if (value !== null) cursor.append("circle").attr("cx", x).attr("cy", this.y(value)).attr("r", 3).attr("fill", this.colorOf(drawn.color));
    }
    setText(this.told, readout(this.lines, point, this.chart));
  }

  /** Mark what is being chosen. @param {number} fromMs @param {number} toMs */
  choose(fromMs, toMs) {
    const band = select(this.svg).select(".band");
    band.selectAll("*").remove();
    if (fromMs === toMs) return;
    const [a, b] = [this.x(Math.min(fromMs, toMs)), this.x(Math.max(fromMs, toMs))];
    band.append("rect").attr("x", a).attr("width", b - a).attr("y", TOP).attr("height", this.height - BOTTOM - TOP);
  }
}
