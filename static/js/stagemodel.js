/**
 * Changes of the ring that are staged and not committed to, and what is said of a plan. Pure.
 *
 * Invariants
 *   S1  A node is staged once; staging it otherwise replaces what was staged before.
 *   S2  At most CHANGES_MAX changes, as the server has it.
 *
 * Elsewhere: what would happen (the server: dlmsite/operations/foresight.py), the panel (stage.js).
 */

import { age, count, percent } from "./format.js";
import { gettext, ngettext } from "./text.js";

export const CHANGES_MAX = 16;
export const FATES = /** @type {const} */ (["stays", "promoted", "transferred", "grace"]);

/**
 * @typedef {import("./stagecontract.js").Fate} Fate
 * @typedef {{what: import("./stagecontract.js").StageWhat, label: string}} Staged `label`: "" of a node to come
 */

/** A sign beside each word: colour is never alone. */
export const FATE_SIGNS = { stays: "=", promoted: "↑", transferred: "→", grace: "!" };
export const FATE_TEXTS = {
  stays: gettext("stays where it is"),
  promoted: gettext("its backup becomes its primary"),
  transferred: gettext("sent to a node that had no copy"),
  grace: gettext("waits out a grace: every node that knew it goes at once"),
};
export const VERDICT_SIGNS = { same: "✓", ended: "–", differs: "≠" };
const ENDINGS = {
  released: gettext("{what}, then released"), expired: gettext("{what}, then expired"), "passed on": gettext("{what}, then passed on"),
};

export class Stage {
  constructor() {
    /** @type {Staged[]} */
    this.changes = [];
    /** @type {import("./stagecontract.js").Pace} */
    this.pace = "together";
  }

  /**
   * @param {Staged} change
   * @returns {string} why it cannot be staged; empty if it was
   */
  add(change) {
    const others = this.changes.filter((one) => change.label === "" || one.label !== change.label);
    if (others.length >= CHANGES_MAX) return gettext("A plan has at most {most} changes. Commit to these first, or take some out.", { most: CHANGES_MAX });
    this.changes = [...others, change];
    return "";
  }

  /** @param {number} index */
  remove(index) {
    this.changes = this.changes.filter((_, i) => i !== index);
  }

  clear() {
    this.changes = [];
  }

  /** @returns {string} as the server reads them */
  get text() {
    return this.changes.map(({ what, label }) => (what === "add" ? "add" : `${what}:${label}`)).join(",");
  }
}

/** @param {Staged} change @returns {string} */
export function tellChange({ what, label }) {
  if (label === "") return gettext("Add a node");
  if (what === "add") return gettext("Add {label}", { label });
  return what === "kill" ? gettext("Kill {label}", { label }) : gettext("Stop {label}", { label });
}

/**
 * The plan in one breath, for the line that is read aloud.
 * @param {import("./stagecontract.js").Totals & {pace: import("./stagecontract.js").Pace}} plan
 * @returns {string}
 */
export function tellPreview({ changes, nodes, space, held, pace }) {
  if (changes.length === 0) return ngettext("Nothing is staged: {count} held lock would stay.", "Nothing is staged: {count} held locks would stay.", held.total);
  const left = nodes.filter((node) => node.after).length;
  const deeds = changes.map(tellChange).join(", ");
  return [
    changes.length === 1 ? `${deeds}:` : pace === "together" ? gettext("{deeds}, at once:", { deeds }) : gettext("{deeds}, one after another:", { deeds }),
    gettext("{share} of the key space changes its primary.", { share: percent(space.moved) }),
    ngettext("Of {count} held lock: {fates}.", "Of {count} held locks: {fates}.", held.total, { fates: tellFates(held.fates) }),
    held.copied > 0 ? ngettext("{count} backup copy made anew.", "{count} backup copies made anew.", held.copied) : "",
    held.unserved > 0 ? ngettext("{count} more lock had lost both nodes before.", "{count} more locks had lost both nodes before.", held.unserved) : "",
    left === 0 ? gettext("No node is left: nothing is served until one is back.") : left === 1 ? gettext("One node is left: there are no backups.") : "",
  ].filter(Boolean).join(" ");
}

/** @param {Record<Fate, number>} fates @returns {string} */
function tellFates({ stays, promoted, transferred, grace }) {
  return [
    stays > 0 ? ngettext("{count} stays", "{count} stay", stays) : "",
    promoted > 0 ? ngettext("{count} is promoted", "{count} are promoted", promoted) : "",
    transferred > 0 ? ngettext("{count} is transferred", "{count} are transferred", transferred) : "",
    grace > 0 ? ngettext("{count} waits out a grace", "{count} wait out a grace", grace) : "",
  ].filter(Boolean).join(", ") || gettext("none is touched");
}

/**
 * What must be read before committing; empty where nothing is lost.
 * @param {import("./stagecontract.js").Totals & {pace: import("./stagecontract.js").Pace}} plan
 * @returns {string}
 */
export function warn({ space, held, changes, pace, grace_ms: graceMs }) {
  if (space.fates.grace === 0) return "";
  return [
    ngettext("{count} lock on {share} of the key space would be lost from memory: for up to {time} only its holder can come back, and nobody else gets a lock there.",
      "{count} locks on {share} of the key space would be lost from memory: for up to {time} only their holders can come back, and nobody else gets a lock there.",
      held.fates.grace, { share: percent(space.fates.grace), time: age(graceMs) }),
    pace === "together" && changes.length > 1 ? gettext("One after another, what is lost at once may be kept.") : "",
  ].filter(Boolean).join(" ");
}

/**
 * What came of a plan, in one breath.
 * @param {import("./stagecontract.js").Committed} plan
 * @param {(address: string) => string} labelOf
 * @returns {string}
 */
export function tellHappened({ id, state, actions, happened, held, space }, labelOf) {
  const failed = actions.filter((action) => action.state === "failed");
  const names = (/** @type {string[]} */ addresses) => addresses.map(labelOf).join(", ");
  return [
    state === "running" ? gettext("Plan {id} is being carried out.", { id }) : state === "settling" ? gettext("Plan {id} is carried out; the ring settles.", { id }) : gettext("Plan {id} is over.", { id }),
    ...failed.map((action) => gettext("{deed} failed: {why}.", { deed: tellChange({ what: /** @type {Staged["what"]} */ (action.what), label: action.target }), why: action.detail })),
    tellLocks(happened, state === "final"),
    ...(state === "final" ? [
      Math.abs(happened.moved - space.moved) < 1e-9 ? gettext("The key space moved as foreseen.") : gettext("{moved} of the key space moved, and {foreseen} was foreseen.", { moved: percent(happened.moved), foreseen: percent(space.moved) }),
      happened.missing.length > 0 ? gettext("Not in the ring, as it was to be: {nodes}.", { nodes: names(happened.missing) }) : "",
      happened.unforeseen.length > 0 ? gettext("In the ring, and was not to be: {nodes}.", { nodes: names(happened.unforeseen) }) : "",
      happened.complete ? "" : gettext("Perhaps not every fact was recorded when this was written down."),
    ] : []),
    happened.compared < held.total ? ngettext("Only {compared} of {count} lock are compared.", "Only {compared} of {count} locks are compared.", held.total, { compared: count(happened.compared) }) : "",
    happened.gaps > 0 ? ngettext("The record has {count} gap, so a lock may have fared otherwise than it looks.", "The record has {count} gaps, so a lock may have fared otherwise than it looks.", happened.gaps) : "",
  ].filter(Boolean).join(" ");
}

/** @param {import("./stagecontract.js").Happened} happened @param {boolean} final @returns {string} */
function tellLocks({ differs, compared }, final) {
  if (differs > 0 && final) return ngettext("{count} lock fared otherwise than foreseen.", "{count} locks fared otherwise than foreseen.", differs);
  if (differs > 0) return ngettext("{count} lock not as foreseen yet.", "{count} locks not as foreseen yet.", differs);
  if (compared === 0) return gettext("No lock was held.");
  return ngettext("{count} lock fared as foreseen, or had ended before.", "{count} locks fared as foreseen, or had ended before.", compared);
}

/** @param {import("./stagecontract.js").Actual | null} actual @param {(address: string) => string} labelOf @returns {string} */
export function tellActual(actual, labelOf) {
  if (actual === null) return gettext("unknown");
  const node = labelOf(actual.node);
  if (actual.fate === "grace") return actual.ended === "came back" ? gettext("lost, and came back at {node}", { node }) : gettext("lost: {node} is out of the ring", { node });
  const what = actual.fate === "stays" ? gettext("stayed at {node}", { node }) : actual.fate === "promoted" ? gettext("promoted at {node}", { node }) : gettext("transferred to {node}", { node });
  return actual.ended === "" ? what : (ENDINGS[/** @type {keyof typeof ENDINGS} */ (actual.ended)] ?? "{what}").replace("{what}", what);
}
