/**
 * The rehearsal: a cluster of its own that is broken on purpose, its progress, and the report of the last one.
 *
 * Invariants
 *   R1  It says nothing of the live cluster: its figures are of the cluster that it broke.
 *   R2  "No violation" is shown of a report only; while it runs, or when it failed, nothing is claimed.
 *   R3  A violation is loud, with its text, and opens the panel by itself.
 *
 * Elsewhere: what it does (`make chaos`), its state (faults.js).
 */

import { post } from "./api.js";
import { byId, make, setState, setText } from "./dom.js";
import { age, clock, count, messageOf } from "./format.js";
import { NOT_LIVE } from "./plan.js";
import { gettext, ngettext } from "./text.js";

const SECOND_MS = 1_000;
const SEED_MAX = 2 ** 31 - 1;
const TONES = { running: "warn", passed: "ok", violated: "bad", stopped: "quiet", failed: "bad" };
const COLUMNS = [gettext("Fault"), gettext("Trials"), gettext("Violations"), gettext("Locks lost"), gettext("Failover p50"), "p99", gettext("Samples"), gettext("Unavailable"), gettext("Not settled")];

/** @typedef {import("./faults.js").Rehearsal} Rehearsal */

export class RehearsalPanel {
  /**
   * @param {{faults: import("./faults.js").Faults, cluster: import("./cluster.js").Cluster, isLive: () => boolean,
   *   onAction: (action: import("./contract.js").Action) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.panel = byId("rehearsal", HTMLDetailsElement);
    this.badge = byId("rehearsal-state", HTMLElement);
    this.headline = byId("rehearsal-headline", HTMLElement);
    this.alert = byId("rehearsal-alert", HTMLElement);
    this.progress = byId("rehearsal-progress", HTMLProgressElement);
    this.lines = byId("rehearsal-lines", HTMLElement);
    this.report = byId("rehearsal-report", HTMLElement);
    this.drawn = "";
    this.alarmed = "";
    const form = document.getElementById("rehearsal-form");
    this.form = form instanceof HTMLFormElement ? form : null;
    if (this.form) this.#listen(this.form);
  }

  /** @param {HTMLFormElement} form */
  #listen(form) {
    this.error = byId("rehearsal-error", HTMLElement);
    this.start = byId("rehearsal-start", HTMLButtonElement);
    this.stop = byId("rehearsal-stop", HTMLButtonElement);
    this.seed = byId("rehearsal-seed", HTMLInputElement);
    this.seed.value = String(Math.floor(Math.random() * SEED_MAX));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const value = (/** @type {string} */ name) => Number(new FormData(form).get(name));
      void this.#send("/api/rehearsal/", { seconds: value("seconds"), nodes: value("nodes"), seed: value("seed") });
    });
    this.stop.addEventListener("click", () => void this.#send("/api/rehearsal/stop/", {}));
  }

  /** @param {string} path @param {object} body */
  async #send(path, body) {
    if (!this.error || !this.start || !this.stop) return;
    this.error.hidden = true;
    this.start.disabled = this.stop.disabled = true;
    try {
      const answer = await post(path, body);
      if (answer.action) this.parts.onAction(answer.action);
    } catch (error) {
      setText(this.error, messageOf(error));
      this.error.hidden = false;
    }
    this.#fillButtons();
  }

  /** The rehearsal has changed. */
  show() {
    const { rehearsal } = this.parts.faults;
    const drawn = JSON.stringify(rehearsal);
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.#draw(rehearsal);
    }
    this.tick();
  }

  /** A second has passed, or an action has changed: the bar grows, and buttons follow. */
  tick() {
    const { rehearsal } = this.parts.faults;
    setState(this.progress, { hidden: rehearsal?.state !== "running" });
    if (rehearsal?.state === "running") {
      setText(this.headline, headlineOf(rehearsal, Date.now()));
      if (rehearsal.faults_ms === null) this.progress.removeAttribute("value");
      else this.progress.value = Math.min(1, (Date.now() - rehearsal.faults_ms) / (rehearsal.seconds * SECOND_MS));
    }
    this.#fillButtons();
  }

  #fillButtons() {
    if (!this.start || !this.stop) return;
    const pending = (/** @type {string} */ what) =>
      this.parts.cluster.actions.some((a) => a.what === what && (a.state === "requested" || a.state === "running"));
    const live = this.parts.isLive();
    const busy = pending("rehearse") || this.parts.faults.rehearsal?.state === "running";
    const why = busy ? gettext("One at a time") : gettext("Breaks a cluster of its own, not this one");
    setState(this.start, { disabled: !live || busy, title: live ? why : NOT_LIVE });
    setState(this.stop, { hidden: !busy, disabled: !live || pending("stop rehearsal") });
  }

  /** @param {Rehearsal | null} rehearsal */
  #draw(rehearsal) {
    this.badge.hidden = rehearsal === null;
    this.lines.replaceChildren(...(rehearsal?.state === "running" ? rehearsal.lines : []).map(lineOf));
    this.report.replaceChildren(...(rehearsal?.report ? reportOf(rehearsal.report) : []));
    this.#alarm(rehearsal);
    if (rehearsal === null) return setText(this.headline, gettext("Nobody has rehearsed yet."));
    this.badge.dataset["tone"] = TONES[rehearsal.state] ?? "quiet";
    setText(this.badge, rehearsal.state);
    setText(this.headline, headlineOf(rehearsal, Date.now()));
  }

  /** @param {Rehearsal | null} rehearsal */
  #alarm(rehearsal) {
    const found = rehearsal?.report?.violations ?? [];
    const total = Math.max(rehearsal?.violations ?? 0, rehearsal?.report?.violations_total ?? 0);
    this.alert.hidden = total === 0;
    if (total === 0 || rehearsal === null) return;
    const lead = gettext("{total} of the lock rules, with seed {seed} and {nodes} nodes", { total: ngettext("{count} violation", "{count} violations", total), seed: rehearsal.seed, nodes: rehearsal.nodes });
    this.alert.replaceChildren(
      make("strong", { text: found.length > 0 ? `${lead}:` : gettext("{lead}; the report will say which.", { lead }) }),
      ...found.map((violation) => make("div", {}, [
        make("p", { text: `${violation.rule}: ${violation.text}` }),
        make("ul", { class: "mono" }, violation.records.map((text) => make("li", { text }))),
      ])),
      ...(found.length > 0 && total > found.length ? [make("p", { text: gettext("and {total} more, in the folder of the last rehearsal", { total: total - found.length }) })] : []),
    );
    if (this.alarmed !== rehearsal.id) {
      this.alarmed = rehearsal.id;
      this.panel.open = true;
    }
  }
}

/** @param {Rehearsal} rehearsal @param {number} nowMs @returns {string} */
export function headlineOf(rehearsal, nowMs) {
  const asked = gettext("{who}, {nodes} nodes, seed {seed}, {seconds} s", { who: rehearsal.who, nodes: rehearsal.nodes, seed: rehearsal.seed, seconds: rehearsal.seconds });
  if (rehearsal.state !== "running") return `${clock(rehearsal.ended_ms ?? rehearsal.started_ms)}: ${rehearsal.detail} (${asked})`;
  if (rehearsal.faults_ms === null) return gettext("Its cluster starts ({asked})", { asked });
  const ran = nowMs - rehearsal.faults_ms;
  const left = rehearsal.seconds * SECOND_MS - ran;
  const rest = left > 0 ? gettext("faults for another {left}", { left: age(Math.ceil(left / SECOND_MS) * SECOND_MS) }) : gettext("the last fault is ended in order, then all is judged");
  return gettext("{rest}; {events} facts checked, {violations} so far ({asked})", { rest, events: count(Number(rehearsal.events)), violations: ngettext("{count} violation", "{count} violations", rehearsal.violations), asked });
}

/** @param {import("./faults.js").RehearsalLine} line */
function lineOf(line) {
  const how = line.phase === "begun" ? gettext("under way")
    : line.problem || gettext("settled {settled} after its end", { settled: line.settled_ms === null ? "" : age(line.settled_ms) });
  const failover = line.failover_ms === null || line.failover_ms === undefined ? "" : `, failover ${age(line.failover_ms)}`;
  return make("li", { "data-phase": line.phase }, [
    make("span", { class: "num quiet", text: `${line.number}` }),
    make("span", { class: "what", text: `${line.title} of ${line.target}` }),
    make("span", { class: "quiet", text: `${how}${failover}` }),
  ]);
}

/** @param {import("./faults.js").Report} report @returns {HTMLElement[]} */
function reportOf(report) {
  const duration = (/** @type {number | null} */ ms) => (ms === null || ms === undefined ? "–" : age(ms));
  const rows = report.rows.map((row) => make("tr", {}, [
    make("th", { scope: "row", text: row.title }),
    ...[count(row.trials), count(row.violations), count(row.locks_lost), duration(row.failover_p50_ms),
      duration(row.failover_p99_ms), count(row.failover_samples), duration(row.unavailable_mean_ms), count(row.not_settled)]
      .map((text, i) => make("td", {
        class: "num", text, "data-label": COLUMNS[i + 1],
        "data-tone": (i === 1 || i === 2) && text !== "0" ? "bad" : undefined,
      })),
  ]));
  const head = COLUMNS.map((text, i) => make("th", { scope: "col", class: i === 0 ? "" : "num", text }));
  return [make("table", { class: "rows report" }, [
    make("caption", { class: "hidden", text: gettext("Report of the last rehearsal, by kind of fault") }),
    make("thead", {}, [make("tr", {}, head)]), make("tbody", {}, rows),
  ])];
}
