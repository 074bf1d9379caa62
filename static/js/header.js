/**
 * The bar at the top: connection, view, stabilisation, workload. What is not known is said to be unknown.
 */

import { post } from "./api.js";
import { Countdown } from "./countdown.js";
import { byId, setPill, setProblem, setState, setText } from "./dom.js";
import { age, messageOf, shortNumber } from "./format.js";
import { isFresh } from "./health.js";
import { gettext } from "./text.js";

export class Header {
  /** @param {import("./cluster.js").Cluster} cluster */
  constructor(cluster) {
    this.cluster = cluster;
    this.link = byId("link", HTMLElement);
    this.view = byId("view-number", HTMLElement);
    this.version = byId("view-version", HTMLElement);
    this.settled = byId("view-settled", HTMLElement);
    this.stabilising = byId("stabilising", HTMLElement);
    this.countdown = new Countdown();
    this.masterToldMs = 0;
    /** Whether a moment of the past is shown: what is known of it stays known. */
    this.frozen = false;
    const toggle = document.getElementById("workload");
    this.workload = toggle instanceof HTMLInputElement ? toggle : null;
    this.workloadText = byId("workload-text", HTMLElement);
    this.problem = byId("problem", HTMLElement);
    this.workload?.addEventListener("change", () => this.#switchWorkload());
  }

  /** @param {import("./link.js").LinkText} told */
  showLink(told) {
    setPill(this.link, told);
  }

  /** The master was told of just now. */
  masterTold() {
    this.masterToldMs = Date.now();
    this.countdown.told(this.cluster.master?.stabilising_ms ?? null, this.masterToldMs);
  }

  /** @param {boolean} still whether a moment of the past is shown */
  freeze(still) {
    this.frozen = still;
    this.showWorkload();
  }

  /**
   * Time has passed: the delay runs, and what is not measured again is no longer known.
   * @param {number | null} lagMs
   */
  tick(lagMs) {
    const nowMs = Date.now();
    const seenMs = this.cluster.master?.seen_age_ms ?? null;
    const elapsedMs = nowMs - this.masterToldMs;
    const fresh = isFresh(seenMs, elapsedMs, lagMs);
    if (this.cluster.view !== null) this.#showWhetherSettled(fresh || this.frozen, seenMs === null ? null : seenMs + elapsedMs);
    const leftMs = fresh && !this.frozen ? this.countdown.leftMs(nowMs) : null;
    setState(this.stabilising, { hidden: leftMs === null });
    if (leftMs === null) return;
    if (this.cluster.master?.stabilising_ms === 0) setText(this.stabilising, gettext("ring update waits"), gettext("Until the nodes are settled from the last change"));
    else setText(this.stabilising, gettext("ring update in {seconds} s", { seconds: (leftMs / 1_000).toFixed(1) }), gettext("The master waits this long for more changes before it publishes the ring"));
  }

  /** @param {boolean} fresh @param {number | null} ageMs since the master was looked at */
  #showWhetherSettled(fresh, ageMs) {
    const settled = this.cluster.view?.settled ?? false;
    if (!fresh) this.#showSettled("unknown", gettext("settled? unknown"), ageMs === null ? gettext("Nobody has looked at the master") : gettext("The master was last looked at {age} ago", { age: age(ageMs) }));
    else if (settled) this.#showSettled("ok", gettext("settled"), gettext("Every living member has all that it needs in this view"));
    else this.#showSettled("warn", gettext("settling"), gettext("Members still hand over to each other"));
  }

  showView() {
    const { view } = this.cluster;
    if (view === null) {
      setText(this.view, "–", gettext("No view has been published yet"));
      setText(this.version, "–", gettext("No version has been published yet"));
      this.#showSettled("unknown", gettext("no view yet"), "");
      return;
    }
    setText(this.view, shortNumber(view.number), gettext("View {number}", { number: view.number }));
    setText(this.version, shortNumber(view.version), gettext("Ring version {version}", { version: view.version }));
  }

  /** @param {string} tone @param {string} text @param {string} title */
  #showSettled(tone, text, title) {
    if (this.settled.dataset["tone"] !== tone) this.settled.dataset["tone"] = tone;
    setText(this.settled, text, title);
  }

  showWorkload() {
    const { available, on } = this.cluster.workload;
    setText(this.workloadText, available ? (on ? gettext("Workload on") : gettext("Workload off")) : gettext("No workload"));
    if (!this.workload) return;
    this.workload.disabled = !available || this.frozen;
    this.workload.checked = on;
    this.workload.title = available ? gettext("Built-in clients that take, hold and release locks") : gettext("Started without a workload (--no-workload)");
  }

  /** The switch moves when the server says so, not before. */
  async #switchWorkload() {
    if (!this.workload) return;
    const on = this.workload.checked;
    this.workload.checked = !on;
    this.workload.disabled = true;
    setText(this.workloadText, on ? gettext("Workload: turning on") : gettext("Workload: turning off"));
    try {
      const answer = await post("/api/workload/", { on });
      if (answer.action) this.onAction?.(answer.action);
      this.workload.disabled = false;
    } catch (error) {
      this.showProblem(messageOf(error));
      this.showWorkload();
    }
  }

  /** @type {((action: import("./contract.js").Action) => void) | null} */
  onAction = null;

  /** @param {string} text empty: none */
  showProblem(text) {
    setProblem(this.problem, text);
  }
}
