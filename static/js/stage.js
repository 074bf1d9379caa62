/**
 * The plan of several changes: staged here, foreseen by the server, committed to as a whole; then predicted beside actual.
 *
 * Invariants
 *   P1  What is committed to is what is shown: the view's number goes with it, and another view refuses it.
 *   P2  Nothing is asked while the panel is closed or the page hidden, and no plan is made of what is not live.
 *   P3  An answer to an older question is not shown.
 *
 * Elsewhere: what is staged and said (stagemodel.js), pictures (stagerings.js), tables (stagetables.js).
 */

import { get, post, SignedOut } from "./api.js";
import { byId, make, setProblem, setText } from "./dom.js";
import { clock, count, messageOf } from "./format.js";
import { listenPageKeys } from "./keys.js";
import { nodeColor } from "./palette.js";
import { NOT_LIVE } from "./plan.js";
import { Stage, tellChange, tellHappened, tellPreview, warn } from "./stagemodel.js";
import { StageRings } from "./stagerings.js";
import { countDown, fatesTable, flowsTable, judgedTable, locksTable, outcomesTable } from "./stagetables.js";
import { gettext, ngettext } from "./text.js";

const PAGE = 50;
const AGAIN_MS = 5_000;
const WATCH_MS = 1_000;
const TICK_MS = 500;
const TONES = { requested: "warn", running: "warn", done: "ok", failed: "bad" };
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** @typedef {import("./stagecontract.js").Preview} Preview @typedef {import("./stagecontract.js").Committed} Committed */

export class StagePanel {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string, isLive: () => boolean,
   *   onKey: (key: string) => void, onAction: (action: import("./contract.js").Action) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.stage = new Stage();
    this.section = byId("stage", HTMLDetailsElement);
    this.status = byId("stage-status", HTMLElement);
    this.said = byId("stage-said", HTMLElement);
    this.saidOf = "";
    this.problem = byId("stage-problem", HTMLElement);
    this.warning = byId("stage-warning", HTMLElement);
    this.staged = byId("stage-list", HTMLElement);
    this.node = byId("stage-node", HTMLSelectElement);
    this.pace = byId("stage-pace", HTMLSelectElement);
    this.totals = byId("stage-totals", HTMLElement);
    this.locks = byId("stage-locks", HTMLElement);
    this.filter = byId("stage-filter", HTMLSelectElement);
    this.range = byId("stage-range", HTMLElement);
    this.previous = byId("stage-previous", HTMLButtonElement);
    this.next = byId("stage-next", HTMLButtonElement);
    this.clear = byId("stage-clear", HTMLButtonElement);
    this.past = byId("stage-past", HTMLSelectElement);
    const commit = document.getElementById("stage-commit");
    this.commit = commit instanceof HTMLButtonElement ? commit : null;
    /** @type {string[]} keys after which the pages up to this one begin */
    this.pages = [""];
    /** @type {string | null} the plan that is watched; null: a plan is being made */
    this.plan = null;
    /** @type {Preview | null} */
    this.shown = null;
    this.asked = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {Map<string, string>} of nodes that are not there yet */
    this.labels = new Map();
    const labelOf = (/** @type {string | null} */ address) => this.labels.get(address ?? "") ?? parts.cluster.labelOf(address);
    this.look = { labelOf, colorOf: (/** @type {string} */ a) => this.#colorOf(a), onKey: parts.onKey };
    this.rings = new StageRings({
      before: byId("stage-before", HTMLCanvasElement), after: byId("stage-after", HTMLCanvasElement), labelOf, colorOf: this.look.colorOf,
    });
    this.#listen();
    setInterval(() => this.#tick(), TICK_MS);
  }

  #listen() {
    byId("stage-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      const what = /** @type {import("./stagecontract.js").StageWhat} */ (byId("stage-what", HTMLSelectElement).value);
      this.#change(this.stage.add({ what, label: what === "add" ? "" : this.node.value }));
    });
    byId("stage-what", HTMLSelectElement).addEventListener("change", () => this.#showNodes());
    this.pace.addEventListener("change", () => {
      this.stage.pace = /** @type {import("./stagecontract.js").Pace} */ (this.pace.value);
      this.#change("");
    });
    this.clear.addEventListener("click", () => {
      this.stage.clear();
      this.#change("");
    });
    this.commit?.addEventListener("click", () => void this.#commit());
    this.filter.addEventListener("change", () => this.#turn([""]));
    this.next.addEventListener("click", () => this.next.value !== "" && this.#turn([...this.pages, this.next.value]));
    this.previous.addEventListener("click", () => this.#turn(this.pages.slice(0, -1)));
    this.past.addEventListener("change", () => this.#watch(this.past.value === "" ? null : this.past.value));
    this.section.addEventListener("toggle", () => this.changed());
    document.addEventListener("visibilitychange", () => this.changed());
    listenPageKeys([{ keys: ["p"], does: gettext("plan changes of the ring"), act: () => this.open() }]);
    const open = byId("stage-open", HTMLButtonElement);
    open.addEventListener("click", () => this.open());
    open.disabled = false;
  }

  /** Open it, and go there. */
  open() {
    this.section.open = true;
    this.section.scrollIntoView({ block: "start" });
    byId("stage-what", HTMLSelectElement).focus();
  }

  /** The ring or its nodes have changed, or what is shown is the present again: ask anew. */
  changed() {
    this.#showNodes();
    this.#ask();
  }

  /** @param {string} problem */
  #change(problem) {
    this.plan = null;
    this.past.value = "";
    this.pages = [""];
    this.#showStaged();
    this.#ask(problem);
  }

  /** @param {string | null} plan */
  #watch(plan) {
    this.plan = plan;
    this.filter.value = "";
    this.#turn([""]);
  }

  /** @param {string[]} pages */
  #turn(pages) {
    this.pages = pages.length === 0 ? [""] : pages;
    this.locks.classList.add("is-old");
    this.#ask();
  }

  /** @param {string} [problem] kept until something is done about it */
  #ask(problem = "") {
    clearTimeout(this.timer);
    this.asked += 1;
    if (problem !== "") this.#fail(problem);
    if (!this.section.open || document.hidden) return;
    if (this.plan === null && !this.parts.isLive()) {
      this.#fail(NOT_LIVE);
      this.#again(WATCH_MS);
      return;
    }
    void this.#get(this.asked, problem);
  }

  /** @param {number} number @param {string} problem */
  async #get(number, problem) {
    try {
      const [answer, plans] = await Promise.all([get(this.#path()), get("/api/plans/")]);
      if (number !== this.asked) return;
      this.problem.hidden = problem === "";
      this.locks.classList.remove("is-old");
      this.#showPlans(plans.plans);
      if (this.plan === null) this.#showPreview(answer);
      else this.#showCommitted(answer);
      this.#again(this.plan === null ? AGAIN_MS : answer.state === "final" ? null : WATCH_MS);
    } catch (error) {
      if (number !== this.asked) return;
      this.#fail(messageOf(error));
      if (!(error instanceof SignedOut)) this.#again(WATCH_MS);
    }
  }

  /** @param {number | null} afterMs */
  #again(afterMs) {
    clearTimeout(this.timer);
    if (afterMs !== null) this.timer = setTimeout(() => this.#ask(), afterMs);
  }

  #path() {
    const query = new URLSearchParams({ limit: String(PAGE) });
    const after = this.pages.at(-1) ?? "";
    if (after !== "") query.set("after", after);
    const [name = "", value = ""] = this.filter.value.split("=");
    if (name === "fate" || (name === "verdict" && this.plan !== null)) query.set(name, value);
    if (this.plan !== null) return `/api/plan/${this.plan}/?${query}`;
    query.set("pace", this.stage.pace);
    if (this.stage.text !== "") query.set("changes", this.stage.text);
    return `/api/plan/?${query}`;
  }

  /** @param {string} text what is shown is not what would be */
  #fail(text) {
    this.shown = null;
    this.problem.hidden = false;
    setText(this.problem, text);
    this.#allow();
  }

  /**
   * Show a sentence, and have it read aloud when it is of something else: locks come and go all the time.
   * @param {string} text
   * @param {string} of
   */
  #say(text, of) {
    setText(this.status, text);
    if (of !== this.saidOf) setText(this.said, text);
    this.saidOf = of;
  }

  /** @param {Preview} plan */
  #showPreview(plan) {
    this.shown = plan;
    this.#name(plan.nodes);
    this.rings.show(plan.nodes);
    this.#say(tellPreview(plan), JSON.stringify([plan.view, plan.pace, plan.changes]));
    setProblem(this.warning, warn(plan));
    replace(this.totals, [flowsTable(plan, this.look), fatesTable(plan)]);
    replace(this.locks, [locksTable(plan.locks.list, this.look, Date.now())]);
    const listed = this.filter.value.startsWith("fate=") ? plan.held.fates[/** @type {keyof Preview["held"]["fates"]} */ (this.filter.value.slice(5))] : plan.held.total;
    this.#showRange(plan.locks.list.length, listed, plan.locks.next_after, plan.locks.silent.length > 0 ? gettext("{nodes} did not tell of leases", { nodes: plan.locks.silent.join(", ") }) : "");
    this.#allow();
  }

  /** @param {Committed} plan */
  #showCommitted(plan) {
    this.shown = null;
    this.#name(plan.nodes);
    this.rings.show(plan.nodes);
    this.#say(tellHappened(plan, this.look.labelOf), JSON.stringify([plan.id, plan.state]));
    this.warning.hidden = true;
    const acts = make("ol", { class: "stage-acts", "aria-label": gettext("Changes of the plan") }, plan.actions.map((action) => make("li", {}, [
      `${tellChange({ what: /** @type {"kill"} */ (action.what), label: action.target })}: `, make("span", { class: "badge", "data-tone": TONES[action.state], text: action.state }), ` ${action.detail}`,
    ])));
    replace(this.totals, [outcomesTable(plan), flowsTable(plan, this.look), acts]);
    replace(this.locks, [judgedTable(plan.locks.list, this.look, plan.happened.final)]);
    this.#showRange(plan.locks.list.length, this.filter.value === "" ? plan.happened.compared : null, plan.locks.next_after, "");
    this.#allow();
  }

  /** @param {number} shown @param {number | null} total null: not counted @param {string | null} following @param {string} note */
  #showRange(shown, total, following, note) {
    const first = (this.pages.length - 1) * PAGE + 1;
    const values = { first: count(first), last: count(first + shown - 1), total: count(total ?? 0) };
    const range = shown === 0 ? gettext("none") : total === null ? gettext("{first}–{last}", values) : gettext("{first}–{last} of {total}", values);
    setText(this.range, note === "" ? range : `${range}; ${note}`);
    this.next.value = following ?? "";
    this.next.disabled = following === null;
    this.previous.disabled = this.pages.length < 2;
  }

  /** @param {import("./stagecontract.js").PlannedNode[]} nodes */
  #name(nodes) {
    this.labels = new Map(nodes.map((node) => [node.address, node.label]));
  }

  /** @param {string} address @returns {string} nodes to come get those that are free, one after the other */
  #colorOf(address) {
    const { nodes } = this.parts.cluster;
    const known = new Set(nodes.map((node) => node.address));
    const coming = [...this.labels.keys()].filter((one) => !known.has(one));
    if (!coming.includes(address)) return this.parts.colorOf(address);
    const taken = new Set(nodes.map((node) => node.color));
    const free = Array.from({ length: taken.size + coming.length }, (_, i) => i).filter((color) => !taken.has(color));
    return nodeColor(free[coming.indexOf(address)] ?? 0, DARK.matches);
  }

  #showStaged() {
    const items = this.stage.changes.map((change, i) => {
      const text = tellChange(change);
      const remove = make("button", { type: "button", class: "small", text: "✕", "aria-label": gettext("Take out: {change}", { change: text }), title: gettext("Take it out") });
      remove.addEventListener("click", () => {
        this.stage.remove(i);
        this.#change("");
        const left = this.staged.querySelectorAll("button");
        (left[Math.min(i, left.length - 1)] ?? this.clear).focus();
      });
      return make("li", { "data-what": change.what }, [make("span", { text }), remove]);
    });
    this.staged.replaceChildren(...(items.length > 0 ? items : [make("li", { class: "empty", text: gettext("Nothing is staged.") })]));
  }

  #showNodes() {
    const what = byId("stage-what", HTMLSelectElement).value;
    const members = (this.parts.cluster.view?.members ?? []).map((member) => member.label).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
    const known = [...this.node.options].map((option) => option.value);
    if (JSON.stringify(known) !== JSON.stringify(members)) {
      const chosen = this.node.value;
      this.node.replaceChildren(...members.map((label) => make("option", { value: label, text: label })));
      if (members.includes(chosen)) this.node.value = chosen;
    }
    this.node.disabled = what === "add" || members.length === 0;
  }

  /** @param {import("./stagecontract.js").PlanHead[]} plans */
  #showPlans(plans) {
    const options = plans.map((plan) => {
      const told = plan.differs === null ? gettext("not over yet") : plan.differs === 0 ? gettext("as foreseen") : ngettext("{count} otherwise", "{count} otherwise", plan.differs);
      return make("option", { value: plan.id, text: `${plan.id}: ${plan.changes.map(tellChange).join(", ")}, ${clock(plan.committed_ms)}, ${told}` });
    });
    const wanted = [make("option", { value: "", text: gettext("a new plan") }), ...options];
    const same = wanted.length === this.past.options.length && wanted.every((option, i) => option.textContent === this.past.options[i]?.textContent);
    if (!same) this.past.replaceChildren(...wanted);
    const chosen = this.plan ?? "";
    if (this.past.value !== chosen) this.past.value = chosen;
  }

  /** What can be pressed now. */
  #allow() {
    const live = this.parts.isLive();
    const ready = this.shown !== null && this.shown.changes.length > 0 && this.shown.changes.length === this.stage.changes.length;
    this.clear.disabled = this.stage.changes.length === 0;
    if (this.commit === null) return;
    this.commit.disabled = !(live && ready);
    this.commit.title = !live ? NOT_LIVE : ready ? gettext("Have all of it done") : gettext("Stage a change, and wait until the plan is shown");
  }

  async #commit() {
    if (this.shown === null || this.commit === null || this.commit.disabled) return;
    this.commit.disabled = true;
    const { view, pace } = this.shown;
    setText(this.status, gettext("Writing the plan down …"));
    clearTimeout(this.timer);
    this.asked += 1; // an answer that is on its way was to another question
    try {
      const answer = await post("/api/plan/commit/", { view, pace, changes: this.stage.text });
      answer.actions.forEach(this.parts.onAction);
      this.stage.clear();
      this.#showStaged();
      this.#watch(answer.id);
    } catch (error) {
      setText(this.status, gettext("Nothing was committed to."));
      this.#ask(messageOf(error));
    }
  }

  #tick() {
    if (!this.section.open || document.hidden) return;
    countDown(this.locks, Date.now());
    this.#allow();
  }
}

/**
 * Put new tables in the place of old ones, and the focus where it was.
 * @param {HTMLElement} host
 * @param {HTMLElement[]} parts
 */
function replace(host, parts) {
  const buttons = [...host.querySelectorAll("button")];
  const at = buttons.findIndex((button) => button === document.activeElement);
  host.replaceChildren(...parts);
  if (at >= 0) host.querySelectorAll("button")[at]?.focus();
}
