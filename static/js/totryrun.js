/**
 * One run of a thing to try: its lock, its steps, and each expectation as expected, measured, kept or not.
 *
 * Elsewhere: words and links (totrymodel.js), the list beside it (totry.js).
 */

import { make, setPill, setText } from "./dom.js";
import { shortNumber } from "./format.js";
import { beliefText, goesOn, graceText, linksOf, lockText, measuredText, momentOf, resultMark, stateMark, stepMark, stepTime } from "./totrymodel.js";
import { gettext, pieces } from "./text.js";

/** @typedef {import("./totrymodel.js").Run} Run */

export class RunView {
  /** @param {HTMLDetailsElement} host opened where there is something to watch @param {(() => void) | null} onCancel null: the reader may not */
  constructor(host, onCancel) {
    this.host = host;
    /** @type {Run | null} */
    this.run = null;
    this.drawn = "";
    this.wanted = false;
    const title = host.querySelector("h3");
    this.title = title ?? make("h3", {});
    this.badge = make("span", { class: "badge", role: "status" });
    title?.after(" ", this.badge);
    this.cancel = onCancel ? make("button", { type: "button", class: "small", text: gettext("Cancel, and put everything back"), hidden: "" }) : null;
    this.cancel?.addEventListener("click", () => onCancel?.());
    this.lock = make("p", { class: "totry-lock" });
    this.steps = make("ol", { class: "totry-steps", "aria-label": gettext("Steps") });
    this.rows = make("tbody", {});
    this.notes = make("div", { class: "totry-notes" });
    this.links = make("p", { class: "links" });
    const heads = [gettext("Expected"), gettext("Measured"), gettext("Result")].map((text) => make("th", { scope: "col", text }));
    host.append(
      ...(this.cancel ? [this.cancel] : []), this.lock, this.steps,
      make("table", { class: "totry-expects" }, [
        make("caption", { class: "hidden", text: gettext("What was expected, and what was measured") }),
        make("thead", {}, [make("tr", {}, heads)]), this.rows,
      ]),
      this.notes, this.links,
    );
  }

  /** One was asked for: bring it into view when it comes. */
  expect() {
    this.wanted = true;
  }

  /** @param {Run | null} run */
  show(run) {
    const other = run?.id !== this.run?.id;
    this.run = run;
    this.host.hidden = run === null;
    if (run === null) return;
    this.host.dataset["run"] = run.id;
    const drawn = JSON.stringify({ ...run, changed: "", belief: { ...run.belief, seen_ms: 0 } });
    if (drawn !== this.drawn) {
      this.drawn = drawn;
      this.#draw(run);
    }
    this.tick();
    if (!other || !(this.wanted || goesOn(run.state))) return;
    this.host.open = true;
    if (this.wanted) this.host.scrollIntoView({ block: "nearest" });
    this.wanted = false;
  }

  /** Times go on while it does. */
  tick() {
    const { run } = this;
    if (run === null) return;
    const ongoing = goesOn(run.state);
    run.steps.forEach((step, i) => {
      const item = this.steps.children[i];
      if (item?.lastElementChild) setText(item.lastElementChild, stepTime(step, ongoing ? Date.now() : run.ended_ms ?? 0));
    });
    const grace = graceText(run, Date.now());
    const note = this.notes.querySelector(".grace");
    if (note instanceof HTMLElement) {
      setText(note, grace);
      note.hidden = grace === "";
    }
  }

  /** @param {Run} run */
  #draw(run) {
    const ongoing = goesOn(run.state);
    setText(this.title, run.title);
    setPill(this.badge, stateMark(run.state));
    if (this.cancel) this.cancel.hidden = run.state !== "running";
    this.#drawLock(run);
    this.steps.replaceChildren(...run.steps.map((step) => {
      const mark = stepMark(step.state, ongoing);
      return make("li", { "data-step": step.id, "data-state": step.state }, [
        make("span", { class: "badge", "data-tone": mark.tone, text: mark.text }),
        make("span", { text: step.says, title: step.detail }),
        ...(step.state === "running" && step.detail !== "" ? [make("span", { class: "why quiet", text: step.detail })] : []),
        make("span", { class: "num quiet" }),
      ]);
    }));
    this.rows.replaceChildren(...run.expects.map((expected) => rowOf(expected, ongoing)));
    this.notes.replaceChildren(...notesOf(run), make("p", { class: "quiet grace", hidden: "" }));
    this.links.replaceChildren(...linksOf(run).map(({ text, href }) => make("a", { href, text })));
  }

  /** @param {Run} run */
  #drawLock(run) {
    if (run.key === "") return setText(this.lock, "");
    const token = make("span", { class: "mono", text: shortNumber(run.generation), title: run.generation });
    const key = make("span", { class: "mono", text: run.key });
    this.lock.replaceChildren(...pieces(lockText(run), { key, token, who: run.who, belief: beliefText(run) }));
  }
}

/** @param {import("./totrymodel.js").Expected} expected @param {boolean} ongoing */
function rowOf(expected, ongoing) {
  const mark = resultMark(expected.result, ongoing);
  const moment = momentOf(expected, ongoing);
  const link = moment === null ? [] : [" ", make("a", { href: moment.href, title: moment.title, "aria-label": moment.title, text: moment.text })];
  return make("tr", { "data-expects": expected.id, "data-result": expected.result }, [
    make("th", { scope: "row", text: expected.expected }),
    make("td", { "data-label": gettext("Measured") }, [make("span", { class: "quiet", text: measuredText(expected, ongoing) }), ...link]),
    make("td", {}, [make("span", { class: "badge", "data-tone": mark.tone, text: mark.text })]),
  ]);
}

/** @param {Run} run @returns {HTMLElement[]} */
function notesOf(run) {
  const notes = [];
  if (["failed", "cancelled"].includes(run.state) && run.detail !== "") notes.push(make("p", { class: run.state === "failed" ? "problem" : "quiet", text: run.detail }));
  if (run.others.length > 0) notes.push(make("p", { class: "warning", text: gettext("Others acted on nodes meanwhile, so what was measured may be their doing: {what}.", { what: run.others.join(", ") }) }));
  return notes;
}
