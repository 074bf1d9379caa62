/**
 * How often the filers of a watched cluster came and went: a chart, and the same as tables.
 *
 * Elsewhere: when there is news (watched.js), counting (dlmsite.dashboard.churn).
 */

import { byId, make, setText, shape, swatch } from "./dom.js";
import { clock, count, messageOf } from "./format.js";
import { gettext, ngettext } from "./text.js";
import { barsOf, CHART, totalsOf } from "./watchedmodel.js";

const AGAIN_MS = 5_000;

export class Churn {
  /**
   * @param {{colorOf: (address: string) => string,
   *   ask: (over: string) => Promise<import("./watchedmodel.js").Churned>}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.details = byId("churn", HTMLDetailsElement);
    this.over = byId("churn-over", HTMLSelectElement);
    this.text = byId("churn-text", HTMLElement);
    this.askedMs = 0;
    this.due = false;
    this.details.addEventListener("toggle", () => this.details.open && void this.#ask());
    this.over.addEventListener("change", () => void this.#ask());
  }

  /** There is news; what is not open is asked for when it is opened. */
  changed() {
    if (!this.details.open || this.due) return;
    this.due = true;
    setTimeout(() => {
      this.due = false;
      void this.#ask();
    }, Math.max(0, this.askedMs + AGAIN_MS - Date.now()));
  }

  async #ask() {
    this.askedMs = Date.now();
    const over = this.over.value;
    try {
      const churned = await this.parts.ask(over);
      if (over === this.over.value) this.#show(churned);
    } catch (error) {
      setText(this.text, messageOf(error));
    }
  }

  /** @param {import("./watchedmodel.js").Churned} churned */
  #show(churned) {
    const { joined, left } = totalsOf(churned);
    const told = [ngettext("{count} joined", "{count} joined", joined), ngettext("{count} left", "{count} left", left)];
    if (churned.cut) told.push(gettext("there were more changes than are counted: the oldest are missing"));
    setText(this.text, told.join(" · "));
    this.#draw(churned);
    const { colorOf } = this.parts;
    byId("churn-filers", HTMLElement).replaceChildren(...churned.filers.map((filer) => make("tr", {}, [
      make("td", {}, [swatch(filer.label, colorOf(filer.address), { title: filer.address })]), ...numbers(filer),
    ])));
    const steps = churned.steps.filter((step) => step.joined + step.left > 0).reverse();
    byId("churn-steps", HTMLElement).replaceChildren(...steps.map((step) => make("tr", {}, [
      make("td", { text: stepText(step.at_ms, churned.step_ms) }), ...numbers(step),
    ])));
  }

  /** @param {import("./watchedmodel.js").Churned} churned */
  #draw(churned) {
    const svg = document.getElementById("churn-chart");
    if (!(svg instanceof SVGSVGElement)) return;
    const { width, height, middle } = CHART;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.replaceChildren(
      shape("line", { class: "axis", x1: "0", x2: String(width), y1: String(middle), y2: String(middle) }),
      ...barsOf(churned).map((bar) => shape("rect", {
        class: `bar ${bar.kind}`, x: String(bar.x), y: String(bar.y), width: String(bar.width), height: String(bar.height),
      }, undefined, `${stepText(bar.at_ms, churned.step_ms)}: ${bar.kind === "joined" ? gettext("{count} joined", { count: count(bar.number) }) : gettext("{count} left", { count: count(bar.number) })}`)),
    );
  }
}

/** @param {{joined: number, left: number}} counted @returns {HTMLTableCellElement[]} */
function numbers({ joined, left }) {
  return [make("td", { class: "num", text: count(joined) }), make("td", { class: "num", text: count(left) })];
}

/** @param {number} atMs @param {number} stepMs @returns {string} the beginning of a step, as far as it matters */
function stepText(atMs, stepMs) {
  const date = new Date(atMs).toLocaleDateString("en-GB");
  return stepMs >= 86_400_000 ? date : `${date} ${clock(atMs)}`;
}
