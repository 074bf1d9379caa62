/**
 * Taking a lock away from its holder: asked for with a reason, for one generation.
 *
 * Invariants
 *   R1  What is asked for is the hold that was shown when the form was opened, whoever holds the lock by then.
 *   R2  The form never claims success: what is on the key, and its events, tell.
 * Elsewhere: what is on a key (keydialog.js).
 */

import { post } from "./api.js";
import { byId, setText } from "./dom.js";
import { age, messageOf, shortNumber, shorten } from "./format.js";
import { gettext } from "./text.js";

/** @typedef {import("./contract.js").KeyFacts} KeyFacts */

export class ReleaseForm {
  /** @param {(action: import("./contract.js").Action) => void} onAction */
  constructor(onAction) {
    this.onAction = onAction;
    this.form = byId("release-form", HTMLFormElement);
    this.opener = byId("release-open", HTMLButtonElement);
    this.text = byId("release-text", HTMLElement);
    this.reason = byId("release-reason", HTMLInputElement);
    this.problem = byId("release-problem", HTMLElement);
    this.confirm = byId("release-confirm", HTMLButtonElement);
    /** @type {KeyFacts | null} */
    this.facts = null;
    /** @type {{key: string, generation: string} | null} */
    this.meant = null;
    this.opener.addEventListener("click", () => this.#open());
    byId("release-cancel", HTMLButtonElement).addEventListener("click", () => this.#close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#send();
    });
  }

  /** What is on the key has been told, or is unknown now. @param {KeyFacts | null} facts */
  show(facts) {
    this.facts = facts;
    this.opener.hidden = !this.form.hidden || facts === null || facts.holder === null;
  }

  /** Another key, or none. */
  reset() {
    this.reason.value = "";
    this.#close();
    this.show(null);
  }

  #open() {
    const holder = this.facts?.holder;
    if (!this.facts || !holder) return;
    this.meant = { key: this.facts.key, generation: holder.generation };
    setText(this.text, gettext("{owner} loses generation {generation} of this lock, and whoever waits gets it. ", { owner: shorten(holder.owner, 80) || gettext("Its holder"), generation: shortNumber(holder.generation) })
      + gettext("The holder learns of it at its next renewal, {remaining} from now at the latest, and may write until then: ", { remaining: age(holder.remaining_ms) })
      + gettext("only what checks the fencing token refuses it."));
    this.problem.hidden = true;
    this.form.hidden = false;
    this.opener.hidden = true;
    this.reason.focus();
  }

  #close() {
    this.form.hidden = true;
    this.meant = null;
    this.show(this.facts);
  }

  async #send() {
    if (this.meant === null || this.confirm.disabled) return;
    this.confirm.disabled = true;
    this.problem.hidden = true;
    try {
      const answer = await post("/api/locks/release/", { ...this.meant, reason: this.reason.value });
      if (answer.action) this.onAction(answer.action);
      this.reason.value = "";
      this.#close();
    } catch (error) {
      setText(this.problem, messageOf(error));
      this.problem.hidden = false;
    } finally {
      this.confirm.disabled = false;
    }
  }
}
