/**
 * The confirmation before an operator acts: what it will move, from the ring as it is now.
 *
 * Invariants
 *   D1  Nothing is sent before it is confirmed, and the dialog never claims success: that is the event's to tell.
 *   D2  While it is open the plan follows the cluster, so what is confirmed is what is shown.
 */

import { post } from "./api.js";
import { byId, make, swatch } from "./dom.js";
import { messageOf, percent } from "./format.js";
import { nextNode, planAction, tellPlan } from "./plan.js";
import { gettext } from "./text.js";

const TITLES = { kill: gettext("Kill"), stop: gettext("Stop"), restart: gettext("Restart"), add: gettext("Add a node") };
const FLOWS_SHOWN = 8;

/**
 * @typedef {import("./plan.js").What} What
 * @typedef {{what: What, label: string, address: string | null}} Question
 */

export class ActionDialog {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string, isLive: () => boolean,
   *   onAction: (action: import("./contract.js").Action) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.dialog = byId("action-dialog", HTMLDialogElement);
    this.title = byId("action-title", HTMLElement);
    this.plan = byId("action-plan", HTMLElement);
    this.error = byId("action-error", HTMLElement);
    this.confirm = byId("action-confirm", HTMLButtonElement);
    /** @type {Question | null} */
    this.question = null;
    this.drawn = "";
    byId("action-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    byId("action-cancel", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => (this.question = null));
  }

  /** @param {Exclude<What, "add">} what @param {import("./contract.js").NodeRow} node */
  askNode(what, node) {
    this.#open({ what, label: node.label, address: node.address });
  }

  askAdd() {
    const next = nextNode(this.parts.cluster.nodes);
    this.#open({ what: "add", label: next?.label ?? "a node", address: next?.address ?? null });
  }

  /** @param {Question} question */
  #open(question) {
    this.question = question;
    this.drawn = "";
    const { what, label } = question;
    this.title.textContent = what === "add" ? TITLES.add : `${TITLES[what]} ${label}?`;
    this.confirm.textContent = what === "add" ? gettext("Add the node") : `${TITLES[what]} ${label}`;
    this.confirm.classList.toggle("danger", what === "kill");
    this.error.hidden = true;
    this.update();
    this.dialog.showModal();
  }

  /** The cluster has changed while the question is open. */
  update() {
    if (this.question === null) return;
    const { what, label, address } = this.question;
    const { cluster } = this.parts;
    const plan = planAction(what, address, cluster.ring, cluster.locks.values());
    const labelOf = (/** @type {string | null} */ a) => (what === "add" && a === address ? label : cluster.labelOf(a));
    const told = tellPlan(what, label, plan, labelOf);
    const drawn = JSON.stringify([told, plan.flows]);
    this.confirm.disabled = !this.parts.isLive();
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.plan.replaceChildren(
      make("p", { text: told.lead }),
      ...(what === "add" && address === null ? [make("p", { class: "quiet", text: gettext("Its address is not known beforehand, so what it takes over cannot be told.") })] : []),
      make("ul", {}, told.effects.map((text) => make("li", { text }))),
      ...this.#flows(plan.flows, labelOf),
      ...(told.warning === "" ? [] : [make("p", { class: "warning", text: told.warning })]),
    );
  }

  /** @param {import("./ringdiff.js").Flow[]} flows @param {(address: string | null) => string} labelOf */
  #flows(flows, labelOf) {
    if (flows.length === 0) return [];
    const name = (/** @type {string | null} */ address) =>
      address === null ? document.createTextNode("nobody") : swatch(labelOf(address), this.parts.colorOf(address));
    const rows = flows.slice(0, FLOWS_SHOWN).map((flow) => make("tr", {}, [
      make("td", {}, [name(flow.source)]), make("td", {}, [name(flow.target)]),
      make("td", { class: "num", text: percent(flow.share) }),
    ]));
    const rest = flows.length - rows.length;
    if (rest > 0) rows.push(make("tr", {}, [make("td", { colspan: "3", class: "quiet", text: gettext("and {rest} smaller moves", { rest }) })]));
    const head = make("tr", {}, [make("th", { text: gettext("From") }), make("th", { text: gettext("To") }), make("th", { class: "num", text: gettext("Key space") })]);
    return [make("table", {}, [make("thead", {}, [head]), make("tbody", {}, rows)])];
  }

  async #send() {
    if (this.question === null) return;
    const { what, label } = this.question;
    this.confirm.disabled = true;
    this.error.hidden = true;
    try {
      const path = what === "add" ? "/api/nodes/" : `/api/nodes/${encodeURIComponent(label)}/${what}/`;
      const answer = await post(path);
      if (answer.action) this.parts.onAction(answer.action);
      this.dialog.close();
    } catch (error) {
      this.error.textContent = messageOf(error);
      this.error.hidden = false;
    } finally {
      this.confirm.disabled = false;
    }
  }
}
