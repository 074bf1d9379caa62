/**
 * The panel of things to try: the list, and the run that is under way or was last, beside the ring that shows it.
 *
 * Invariants
 *   P1  What it shows of a run is what the server told; a click only asks.
 *   P2  Redrawn in place: what is open, focused or scrolled stays so while a run is told.
 *
 * Elsewhere: words and links (totrymodel.js), one run drawn (totryrun.js).
 */

import { get, post, SignedOut } from "./api.js";
import { byId, setPill, setProblem, setText } from "./dom.js";
import { messageOf } from "./format.js";
import { NOT_LIVE } from "./plan.js";
import { gettext } from "./text.js";
import { goesOn, headlineOf, remedyPath, remedyText, stateMark } from "./totrymodel.js";
import { RunView } from "./totryrun.js";

const READ_MS = 400;
const STORED = "lockring.things-to-try";

/**
 * @typedef {import("./totrymodel.js").List} List
 * @typedef {import("./totrymodel.js").Scenario} Scenario
 * @typedef {import("./totrymodel.js").Sign} Sign
 * @typedef {{start: HTMLButtonElement | null, lack: HTMLElement, help: HTMLButtonElement | null}} Card
 */

export class ToTryPanel {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, isLive: () => boolean,
   *   onAction: (action: import("./contract.js").Action) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.panel = byId("totry", HTMLDetailsElement);
    this.badge = byId("totry-state", HTMLElement);
    this.headline = byId("totry-headline", HTMLElement);
    this.error = byId("totry-error", HTMLElement);
    this.mayAct = this.panel.dataset["operate"] === "yes";
    this.run = new RunView(byId("totry-run", HTMLDetailsElement), this.mayAct ? () => void this.#ask("/api/scenarios/cancel/") : null);
    /** @type {List | null} */
    this.told = null;
    /** @type {Map<string, Card>} */
    this.cards = new Map();
    this.known = "";
    this.due = false;
    for (const item of byId("totry-list", HTMLElement).children) if (item instanceof HTMLElement) this.#adopt(item);
    this.panel.open = stored() ?? this.panel.open;
    this.panel.addEventListener("toggle", () => this.#toggled());
    byId("totry-open", HTMLAnchorElement).addEventListener("click", () => {
      this.panel.open = true;
      this.panel.querySelector("summary")?.focus();
    });
    if (location.hash === "#totry") this.panel.open = true;
    this.#readSoon();
  }

  /** Take what a message says; others pass by. @param {{scenario?: Sign | null}} message */
  receive(message) {
    const { cluster } = this.parts;
    if (message.scenario !== undefined) this.sign = message.scenario;
    const nodes = cluster.nodes.map((node) => [node.label, node.state, node.settled]);
    const actions = cluster.actions.map((action) => [action.id, action.state]);
    const known = JSON.stringify([this.sign, cluster.view?.number, cluster.view?.settled, cluster.master?.stabilising_ms === null, nodes, actions]);
    if (known === this.known) return;
    this.known = known;
    this.#readSoon();
  }

  /** A moment has passed. */
  tick() {
    this.run.tick();
    this.#fillButtons();
  }

  #toggled() {
    try {
      localStorage.setItem(STORED, this.panel.open ? "open" : "closed");
    } catch {
      // Where nothing may be kept it opens as the server says.
    }
    if (this.panel.open) this.#readSoon();
  }

  /** Read the list soon, and not more often than it makes sense to people. */
  #readSoon() {
    if (this.due) return;
    this.due = true;
    setTimeout(() => {
      this.due = false;
      void this.#read();
    }, READ_MS);
  }

  async #read() {
    if (!this.panel.open && this.told !== null && !goesOn(this.sign?.state ?? "") && this.told.run?.changed === this.sign?.changed) return;
    try {
      this.told = await get("/api/scenarios/");
      if (this.error.dataset["of"] === "reading") this.#problem("", "");
    } catch (error) {
      if (!(error instanceof SignedOut)) this.#problem(gettext("What can be tried is not known now: {why}", { why: messageOf(error) }), "reading");
      return;
    }
    this.#show();
  }

  #show() {
    if (this.told === null) return;
    const { run, scenarios } = this.told;
    this.badge.hidden = run === null;
    if (run !== null) {
      setPill(this.badge, stateMark(run.state));
      setText(this.headline, headlineOf(run));
    }
    this.run.show(run);
    for (const scenario of scenarios) this.#showCard(scenario);
    this.#fillButtons();
  }

  /** @param {Scenario} scenario */
  #showCard(scenario) {
    const card = this.cards.get(scenario.id);
    if (card === undefined) return;
    // What is in the way of all of them is said once, by the run itself.
    const lack = scenario.lack?.remedy === "cancel" ? null : scenario.lack;
    setText(card.lack, lack?.text ?? "");
    card.lack.hidden = lack === null;
    if (card.help) {
      card.help.hidden = remedyText(lack) === "";
      setText(card.help, remedyText(lack));
    }
  }

  /** The site has written the list already; what changes is filled in. @param {HTMLElement} item */
  #adopt(item) {
    const id = item.dataset["scenario"] ?? "";
    const part = (/** @type {string} */ name) => item.querySelector(`[data-part=${name}]`);
    const [start, lack, help] = [part("start"), part("lack"), part("help")];
    if (!(lack instanceof HTMLElement)) return;
    start?.addEventListener("click", () => void this.#ask(`/api/scenarios/${id}/start/`));
    help?.addEventListener("click", () => this.#help(id));
    this.cards.set(id, {
      start: start instanceof HTMLButtonElement ? start : null, lack, help: help instanceof HTMLButtonElement ? help : null,
    });
  }

  /** Do what helps. @param {string} id */
  #help(id) {
    const lack = this.told?.scenarios.find((scenario) => scenario.id === id)?.lack ?? null;
    if (lack === null) return;
    const path = remedyPath(lack);
    if (path === "") document.getElementById("add-node")?.click();
    else void this.#ask(path);
  }

  #fillButtons() {
    const live = this.parts.isLive();
    const pending = this.parts.cluster.actions.some((a) => a.what === "try" && (a.state === "requested" || a.state === "running"));
    for (const [id, card] of this.cards) {
      if (!card.start) continue;
      const lack = this.told?.scenarios.find((scenario) => scenario.id === id)?.lack ?? null;
      setDisabled(card.start, !live || pending || lack !== null, !live ? NOT_LIVE : lack?.text ?? (pending ? gettext("One at a time") : ""));
      if (card.help) setDisabled(card.help, !live, "");
    }
  }

  /** @param {string} path */
  async #ask(path) {
    this.#problem("", "");
    try {
      const answer = await post(path);
      if (answer.action) this.parts.onAction(answer.action);
      this.panel.open = true;
      if (path.endsWith("/start/")) this.run.expect();
    } catch (error) {
      this.#problem(messageOf(error), "asking");
    }
    this.#readSoon();
  }

  /** @param {string} text "" for none @param {string} of what went wrong */
  #problem(text, of) {
    this.error.dataset["of"] = of;
    setProblem(this.error, text);
  }
}

/** @returns {boolean | null} whether the reader left it open; null: never touched, or not to be known */
function stored() {
  try {
    const kept = localStorage.getItem(STORED);
    return kept === null ? null : kept === "open";
  } catch {
    return null;
  }
}

/** Touch a button only where it differs. @param {HTMLButtonElement} button @param {boolean} disabled @param {string} title */
function setDisabled(button, disabled, title) {
  if (button.disabled !== disabled) button.disabled = disabled;
  if (button.title !== title) button.title = title;
}
