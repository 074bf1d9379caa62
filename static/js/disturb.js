/**
 * The dialog that disturbs a node: pause it, or cut it off, for how long, and what that will do.
 *
 * Invariants
 *   D1  Nothing is sent before it is confirmed, and the dialog never claims success: the server's word is the badge.
 *   D2  What is foretold follows the choices and the clock while the dialog is open.
 *
 * Elsewhere: the sentences (faults.js), kill, stop, restart and add (dialogs.js).
 */

import { post } from "./api.js";
import { byId, make } from "./dom.js";
import { foretell } from "./faults.js";
import { messageOf } from "./format.js";
import { gettext } from "./text.js";

/** @typedef {import("./contract.js").NodeRow} NodeRow */

export class DisturbDialog {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, isLive: () => boolean,
   *   onAction: (action: import("./contract.js").Action) => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.dialog = byId("disturb-dialog", HTMLDialogElement);
    this.form = byId("disturb-form", HTMLFormElement);
    this.title = byId("disturb-title", HTMLElement);
    this.what = byId("disturb-what", HTMLSelectElement);
    this.way = byId("disturb-way", HTMLSelectElement);
    this.seconds = byId("disturb-seconds", HTMLSelectElement);
    this.plan = byId("disturb-plan", HTMLElement);
    this.error = byId("disturb-error", HTMLElement);
    this.confirm = byId("disturb-confirm", HTMLButtonElement);
    /** @type {NodeRow | null} */
    this.node = null;
    this.drawn = "";
    this.sending = false;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
    this.form.addEventListener("change", () => this.update());
    byId("disturb-cancel", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => (this.node = null));
  }

  /** @param {NodeRow} node */
  ask(node) {
    this.node = node;
    this.drawn = "";
    this.title.textContent = gettext("Disturb {label}", { label: node.label });
    this.form.reset();
    this.error.hidden = true;
    this.update();
    this.dialog.showModal();
  }

  /** A choice, the cluster or the time has changed while the dialog is open. */
  update() {
    if (this.node === null) return;
    const { label, address } = this.node;
    const what = this.#disturbance();
    this.way.disabled = what.kind === "pause";
    this.confirm.textContent = what.kind === "pause" ? gettext("Pause {label}", { label }) : gettext("Isolate {label}", { label });
    this.confirm.disabled = this.sending || !this.parts.isLive();
    const others = (this.parts.cluster.view?.members ?? []).filter((m) => m.address !== address && !m.down).length;
    const told = foretell(what, label, { seconds: this.#seconds(), nowMs: Date.now(), others });
    const drawn = JSON.stringify(told);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.plan.replaceChildren(
      make("p", { text: told.lead }),
      make("ul", {}, told.effects.map((text) => make("li", { text }))),
      ...(told.warning === "" ? [] : [make("p", { class: "warning", text: told.warning })]),
    );
  }

  /** @returns {import("./faults.js").Disturbance} */
  #disturbance() {
    if (this.what.value === "pause") return { kind: "pause" };
    const scope = /** @type {import("./faults.js").Scope} */ (this.what.value);
    return { kind: "isolate", scope, way: /** @type {import("./faults.js").Way} */ (this.way.value) };
  }

  /** @returns {number | null} */
  #seconds() {
    return this.seconds.value === "" ? null : Number(this.seconds.value);
  }

  async #send() {
    if (this.node === null || this.sending) return;
    const { kind, ...choices } = this.#disturbance();
    this.sending = this.confirm.disabled = true;
    this.error.hidden = true;
    try {
      const answer = await post(`/api/nodes/${encodeURIComponent(this.node.label)}/${kind}/`, { ...choices, seconds: this.#seconds() });
      if (answer.action) this.parts.onAction(answer.action);
      this.dialog.close();
    } catch (error) {
      this.error.textContent = messageOf(error);
      this.error.hidden = false;
    } finally {
      this.sending = false;
      this.update();
    }
  }
}
