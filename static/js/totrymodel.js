/**
 * Things to try, in words: what a run is at, what is shown of an expectation, where its links lead. Pure.
 *
 * Invariants
 *   T1  Only what the server has judged as kept is shown as expected; what is not known has a word of its own.
 *   T2  While a run goes on, what has not been measured yet is "not yet", and nothing else.
 *
 * Elsewhere: the panel (totry.js), what is tried and how it is judged (dlmsite.operations.scenarios).
 *
 * @typedef {"wait" | "add" | "restart" | "resume" | "heal" | "stop" | "cancel"} Remedy
 * @typedef {{text: string, remedy: Remedy, label: string}} Lack
 * @typedef {{id: string, title: string, shows: string, nodes: number, about_s: number,
 *   steps: {id: string, says: string}[], expects: {id: string, expected: string}[], lack: Lack | null}} Scenario
 * @typedef {{id: string, says: string, state: "waiting" | "running" | "done" | "late" | "failed", detail: string,
 *   began_ms: number | null, ended_ms: number | null}} StepRow
 * @typedef {{id: string, expected: string, result: "kept" | "broken" | "unknown", measured: string, at_ns: string,
 *   event: string}} Expected
 * @typedef {{is_locked?: boolean, what?: string, until_ms?: number | null, renewals?: number, seen_ms?: number}} BeliefRow
 * @typedef {{id: string, scenario: string, title: string, who: string,
 *   state: "running" | "ending" | "kept" | "broken" | "unknown" | "cancelled" | "failed", detail: string, key: string,
 *   generation: string, cast: {primary?: string, backup?: string}, before: string[], steps: StepRow[],
 *   expects: Expected[], belief: BeliefRow, others: string[], grace_until_ms: number | null, started_ms: number,
 *   ended_ms: number | null, changed: string}} Run
 * @typedef {{scenarios: Scenario[], run: Run | null, tried: boolean}} List
 * @typedef {{id: string, state: string, changed: string}} Sign
 * @typedef {{text: string, tone: "ok" | "bad" | "warn" | "quiet"}} Mark
 */

import { linkTo } from "./auditmodel.js";
import { age, clock } from "./format.js";
import { gettext, ngettext } from "./text.js";

const AROUND_MS = 1_000;
/** @type {Record<Run["state"], Mark>} */
const STATES = {
  running: { text: gettext("under way"), tone: "warn" },
  ending: { text: gettext("putting back"), tone: "warn" },
  kept: { text: gettext("as expected"), tone: "ok" },
  broken: { text: gettext("not as expected"), tone: "bad" },
  unknown: { text: gettext("not all is known"), tone: "warn" },
  cancelled: { text: gettext("cancelled"), tone: "quiet" },
  failed: { text: gettext("failed"), tone: "bad" },
};
/** @type {Record<StepRow["state"], Mark>} */
const STEPS = {
  waiting: { text: gettext("to come"), tone: "quiet" },
  running: { text: gettext("now"), tone: "warn" },
  done: { text: gettext("done"), tone: "ok" },
  late: { text: gettext("in vain"), tone: "warn" },
  failed: { text: gettext("not done"), tone: "bad" },
};
/** @type {Record<Exclude<Remedy, "wait">, (label: string) => string>} */
const REMEDIES = {
  add: () => gettext("Add a node"),
  restart: (label) => gettext("Start {node} again", { node: label }),
  resume: (label) => gettext("Resume {node}", { node: label }),
  heal: (label) => gettext("Heal {node}", { node: label }),
  stop: () => gettext("Stop the rehearsal"),
  cancel: () => gettext("Cancel it"),
};

/** @param {string} state @returns {boolean} whether a run in this state goes on */
export function goesOn(state) {
  return state === "running" || state === "ending";
}

/** @param {Run["state"]} state @returns {Mark} */
export function stateMark(state) {
  return STATES[state] ?? { text: state, tone: "quiet" };
}

/** @param {StepRow["state"]} state @param {boolean} ongoing @returns {Mark} what never came is no longer to come */
export function stepMark(state, ongoing) {
  if (!ongoing && state === "waiting") return { text: gettext("left out"), tone: "quiet" };
  return STEPS[state] ?? { text: state, tone: "quiet" };
}

/** @param {Expected["result"]} result @param {boolean} ongoing @returns {Mark} */
export function resultMark(result, ongoing) {
  if (result === "kept") return { text: ongoing ? gettext("so far") : gettext("as expected"), tone: "ok" };
  if (result === "broken") return { text: gettext("not as expected"), tone: "bad" };
  return ongoing ? { text: gettext("not yet"), tone: "quiet" } : { text: gettext("not known"), tone: "warn" };
}

/** @param {StepRow} step @param {number} nowMs @returns {string} how long it took, or takes; "" before it begins */
export function stepTime(step, nowMs) {
  if (step.began_ms === null) return "";
  return age(Math.max(0, (step.ended_ms ?? nowMs) - step.began_ms));
}

/** @param {Run} run @returns {string} one line for the closed panel */
export function headlineOf(run) {
  const when = clock(run.ended_ms ?? run.started_ms);
  if (goesOn(run.state)) return gettext("{who} tries “{title}”", { who: run.who, title: run.title });
  return gettext("{when}: {title}, {how}", { when, title: run.title, how: run.detail });
}

/** @param {Run} run @returns {string} whose the lock is, with {who}, {key}, {token} and {belief} to be filled in */
export function lockText(run) {
  if (run.generation === "") return gettext("{who} is about to hold {key}.");
  if (goesOn(run.state) && run.belief.what !== "released") return gettext("{who} holds {key}, fencing token {token}. {belief}");
  return gettext("{who} held {key}, fencing token {token}. {belief}");
}

/** @param {Run} run @returns {string} what the holder's client believes; "" before it has the lock */
export function beliefText(run) {
  const { is_locked: held, what, until_ms: until, renewals = 0 } = run.belief;
  if (run.generation === "" || what === undefined || what === "") return "";
  const times = ngettext("renewed {count} time", "renewed {count} times", renewals);
  if (what === "lost") return gettext("Its client lost it: is_locked is false ({times}).", { times });
  if (what === "released") return gettext("It was released in the end ({times}).", { times });
  if (!held || until === null || until === undefined) return gettext("is_locked is {value} ({times}).", { value: String(Boolean(held)), times });
  return gettext("is_locked is true, its lease runs until {time} ({times}).", { time: clock(until), times });
}

/** @param {Run} run @param {number} nowMs @returns {string} what is still different from before, and until when */
export function graceText(run, nowMs) {
  if (run.grace_until_ms === null || run.grace_until_ms <= nowMs) return "";
  const left = age(Math.ceil((run.grace_until_ms - nowMs) / 1_000) * 1_000);
  return gettext("New locks on the arcs of both nodes wait until {time} ({left}): somebody may hold what nobody remembers. It ends by itself.", { time: clock(run.grace_until_ms), left });
}

/** @param {Run} run @returns {{text: string, href: string}[]} where to look closer */
export function linksOf(run) {
  if (run.key === "") return [];
  const to = run.ended_ms ?? Date.now();
  const links = [
    { text: gettext("The lock's life"), href: `/lock/?key=${encodeURIComponent(run.key)}` },
    { text: gettext("Its history"), href: linkTo({ key: run.key }) },
  ];
  if (run.ended_ms === null) return links;
  const seconds = { from: iso(run.started_ms - AROUND_MS), to: iso(to + AROUND_MS) };
  return [...links, { text: gettext("All that happened in these seconds"), href: linkTo(seconds) }];
}

/** @param {Expected} expected @param {boolean} ongoing @returns {string} why something is not known is said when it is over */
export function measuredText(expected, ongoing) {
  return ongoing && expected.result === "unknown" ? "" : expected.measured;
}

/** @param {Expected} expected @param {boolean} ongoing @returns {{text: string, title: string, href: string} | null} the picture of that moment */
export function momentOf(expected, ongoing) {
  if (expected.at_ns === "" || ongoing) return null;
  return { text: gettext("see then"), title: gettext("The ring as it was then: {expected}", { expected: expected.expected }), href: `/?at=${expected.at_ns}` };
}

/** @param {Lack | null} lack @returns {string} what the button says that helps; "" where only waiting does */
export function remedyText(lack) {
  return lack === null || lack.remedy === "wait" ? "" : REMEDIES[lack.remedy](lack.label);
}

/** @param {Lack} lack @returns {string} where to ask for it; "" where a dialog asks first */
export function remedyPath(lack) {
  if (lack.remedy === "stop") return "/api/rehearsal/stop/";
  if (lack.remedy === "cancel") return "/api/scenarios/cancel/";
  return lack.label === "" ? "" : `/api/nodes/${encodeURIComponent(lack.label)}/${lack.remedy}/`;
}

/** @param {number} ms @returns {string} */
function iso(ms) {
  return new Date(ms).toISOString();
}
