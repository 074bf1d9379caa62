/**
 * The bar at the top: connection, view, workload. What is not known is said to be unknown.
 */

import { post } from "./api.js";
import { byId, setText } from "./dom.js";
import { shortNumber } from "./format.js";

export class Header {
  /** @param {import("./cluster.js").Cluster} cluster */
  constructor(cluster) {
    this.cluster = cluster;
    this.link = byId("link", HTMLElement);
    this.view = byId("view-number", HTMLElement);
    this.version = byId("view-version", HTMLElement);
    this.settled = byId("view-settled", HTMLElement);
    const toggle = document.getElementById("workload");
    this.workload = toggle instanceof HTMLInputElement ? toggle : null;
    this.workloadText = byId("workload-text", HTMLElement);
    this.problem = byId("problem", HTMLElement);
    this.workload?.addEventListener("change", () => this.#switchWorkload());
  }

  /** @param {import("./link.js").LinkText} state */
  showLink({ tone, text, title }) {
    if (this.link.dataset["tone"] !== tone) this.link.dataset["tone"] = tone;
    setText(this.link, text, title);
  }

  showView() {
    const { view } = this.cluster;
    if (view === null) {
      setText(this.view, "–", "No view has been published yet");
      setText(this.version, "–", "No version has been published yet");
      this.#showSettled("unknown", "no view yet");
      return;
    }
    setText(this.view, shortNumber(view.number), `View ${view.number}`);
    setText(this.version, shortNumber(view.version), `Ring version ${view.version}`);
    if (view.settled) this.#showSettled("ok", "settled");
    else this.#showSettled("warn", "settling");
  }

  /** @param {string} tone @param {string} text */
  #showSettled(tone, text) {
    this.settled.dataset["tone"] = tone;
    setText(this.settled, text);
  }

  showWorkload() {
    const { available, on } = this.cluster.workload;
    setText(this.workloadText, available ? `Workload ${on ? "on" : "off"}` : "No workload");
    if (!this.workload) return;
    this.workload.disabled = !available;
    this.workload.checked = on;
    this.workload.title = available ? "Built-in clients that take, hold and release locks" : "Started without a workload (--no-workload)";
  }

  /** The switch moves when the server says so, not before. */
  async #switchWorkload() {
    if (!this.workload) return;
    const on = this.workload.checked;
    this.workload.checked = !on;
    this.workload.disabled = true;
    setText(this.workloadText, `Workload: turning ${on ? "on" : "off"}`);
    try {
      const answer = await post("/api/workload/", { on });
      if (answer.action) this.onAction?.(answer.action);
      this.workload.disabled = false;
    } catch (error) {
      this.showProblem(String(error instanceof Error ? error.message : error));
      this.showWorkload();
    }
  }

  /** @type {((action: import("./contract.js").Action) => void) | null} */
  onAction = null;

  /** @param {string} text empty: none */
  showProblem(text) {
    this.problem.hidden = text === "";
    setText(this.problem, text);
  }
}
