/**
 * The panel of the running check: how much was checked, one row per rule, and of each violation both events.
 *
 * Elsewhere: the words (invariantstext.js), finding violations (the recorder).
 */

import { byId, make, setPill, setState, setText } from "./dom.js";
import { clockMs, count } from "./format.js";
import { compareEvents, tellInvariants } from "./invariantstext.js";
import { linkAround, nsOfMs } from "./spacetimemodel.js";
import { gettext } from "./text.js";

/**
 * @typedef {import("./contract.js").Violation} Violation
 */

export class InvariantsPanel {
  /** @param {import("./cluster.js").Cluster} cluster @param {() => boolean} isFresh whether the server was heard just now */
  constructor(cluster, isFresh) {
    this.cluster = cluster;
    this.isFresh = isFresh;
    this.section = byId("invariants", HTMLDetailsElement);
    this.pill = byId("invariants-pill", HTMLElement);
    this.text = byId("invariants-text", HTMLElement);
    this.notes = byId("invariants-notes", HTMLElement);
    this.body = byId("invariants-body", HTMLTableSectionElement);
    this.list = byId("violations", HTMLElement);
    this.dialog = byId("violation-dialog", HTMLDialogElement);
    this.found = 0;
    this.drawn = "";
    byId("violation-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
  }

  /** What was told has changed, or has grown old. */
  show() {
    const { invariants } = this.cluster;
    const told = tellInvariants(invariants, { fresh: this.isFresh(), nowMs: Date.now() });
    setPill(this.pill, { tone: told.tone, text: told.pill });
    setText(this.text, told.text);
    const drawn = JSON.stringify([told.notes, invariants?.rules, invariants?.violations.map((v) => v.id), told.measured]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.notes.replaceChildren(...told.notes.map((text) => make("p", { text })));
    this.#showRules(told.measured);
    this.list.replaceChildren(...(invariants?.violations ?? []).map((violation) => this.#item(violation)));
    setState(this.list, { hidden: (invariants?.violations.length ?? 0) === 0 });
    // What contradicts itself is not to be looked for.
    if ((invariants?.found ?? 0) > this.found) this.section.open = true;
    this.found = invariants?.found ?? 0;
  }

  /** @param {boolean} measured whether a zero means that something was checked */
  #showRules(measured) {
    const rules = this.cluster.invariants?.rules ?? [];
    this.body.replaceChildren(...rules.map(({ rule, says, found }) => {
      const verdict = found > 0 ? { tone: "bad", text: count(found) } : measured ? { tone: "ok", text: "0" } : { tone: "unknown", text: "–" };
      return make("tr", { "data-rule": rule }, [
        make("th", { scope: "row", text: rule }), make("td", { text: says }),
        make("td", { class: "num" }, [make("span", { class: "badge", "data-tone": verdict.tone, text: verdict.text })]),
      ]);
    }));
    if (rules.length === 0) this.body.append(make("tr", { class: "empty" }, [make("td", { colspan: "3", text: gettext("Nobody has told the rules yet.") })]));
  }

  /** @param {Violation} violation @returns {HTMLElement} */
  #item(violation) {
    const { rule, text, first, second } = violation;
    const button = make("button", { type: "button", class: "link", "aria-haspopup": "dialog" }, [
      make("strong", { text: `${rule} ` }), text,
    ]);
    button.addEventListener("click", () => this.#open(violation));
    const events = [first, second].map((event) => `${event.label || event.node} ${event.kind} ${event.time_ms > 0 ? clockMs(event.time_ms) : ""}`.trim());
    return make("li", { "data-violation": violation.id }, [button, make("span", { class: "quiet", text: events.join(" ↔ ") })]);
  }

  /** @param {Violation} violation */
  #open({ rule, text, first, second }) {
    byId("violation-title", HTMLElement).textContent = gettext("Violation of {rule}", { rule });
    byId("violation-text", HTMLElement).textContent = text;
    const then = byId("violation-then", HTMLAnchorElement);
    then.href = linkAround({ at: nsOfMs(second.time_ms), event: second.id, key: second.key });
    then.hidden = !(second.time_ms > 0);
    byId("violation-body", HTMLTableSectionElement).replaceChildren(...compareEvents(first, second).map((field) =>
      make("tr", { class: field.same ? undefined : "differs" }, [
        make("th", { scope: "row", text: field.same ? field.name : `${field.name} ≠` }),
        make("td", { class: "mono", text: field.first }), make("td", { class: "mono", text: field.second }),
      ])));
    this.dialog.showModal();
  }
}
