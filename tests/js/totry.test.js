/** Things to try: only what was judged as kept is shown as expected, and links lead to that moment, that lock, those seconds. */

import { test } from "node:test";
import assert from "node:assert/strict";

import {
  beliefText, goesOn, graceText, headlineOf, linksOf, measuredText, momentOf, remedyPath, remedyText, resultMark, stateMark, stepMark, stepTime,
} from "../../static/js/totrymodel.js";

const T0 = Date.UTC(2026, 10, 21, 14, 3, 0);

/** @param {Partial<import("../../static/js/totrymodel.js").Run>} more @returns {import("../../static/js/totrymodel.js").Run} */
function run(more = {}) {
  return {
    id: "7", scenario: "freeze", title: "Freeze a node", who: "ada", state: "running", detail: "", key: "try/freeze/7",
    generation: "1790000000000000777", cast: { primary: "n1" }, before: ["n1"], steps: [], expects: [],
    belief: { is_locked: true, what: "renewed", until_ms: T0 + 9_000, renewals: 2 }, others: [], grace_until_ms: null,
    started_ms: T0, ended_ms: null, changed: "3", ...more,
  };
}

test("what is not known is never shown as expected", () => {
  assert.deepEqual(resultMark("unknown", false), { text: "not known", tone: "warn" });
  assert.deepEqual(resultMark("unknown", true), { text: "not yet", tone: "quiet" });
  assert.equal(resultMark("kept", false).text, "as expected");
  assert.equal(resultMark("kept", true).text, "so far");
  assert.equal(resultMark("broken", true).tone, "bad");
  assert.equal(stateMark("unknown").tone, "warn");
  assert.ok(["running", "ending"].every(goesOn));
  assert.ok(!["kept", "broken", "unknown", "cancelled", "failed", ""].some(goesOn));
});

test("a step that never came is left out, not to come", () => {
  assert.equal(stepMark("waiting", true).text, "to come");
  assert.equal(stepMark("waiting", false).text, "left out");
  assert.equal(stepMark("late", false).tone, "warn");
});

test("a step that goes on is timed by the clock, one that has ended by itself", () => {
  /** @type {import("../../static/js/totrymodel.js").StepRow} */
  const step = { id: "kill", says: "Kill n1", state: "running", detail: "", began_ms: T0, ended_ms: null };
  assert.equal(stepTime(step, T0 + 2_500), "2.5 s");
  assert.equal(stepTime({ ...step, ended_ms: T0 + 400 }, T0 + 9_000), "400 ms");
  assert.equal(stepTime({ ...step, began_ms: null }, T0), "");
});

test("what the holder believes is told as its client told it", () => {
  assert.match(beliefText(run()), /^is_locked is true, its lease runs until \d\d:\d\d:\d\d \(renewed 2 times\)\.$/);
  assert.match(beliefText(run({ belief: { is_locked: false, what: "lost", renewals: 1 } })), /lost it: is_locked is false \(renewed 1 time\)/);
  assert.equal(beliefText(run({ belief: { what: "released", renewals: 0 } })), "It was released in the end (renewed 0 times).");
  assert.equal(beliefText(run({ generation: "" })), "");
  assert.equal(beliefText(run({ belief: {} })), "");
});

test("links lead to the lock, to its history and to the seconds of the run", () => {
  assert.deepEqual(linksOf(run({ key: "" })), []);
  assert.equal(linksOf(run()).length, 2);
  const [life, history, seconds] = linksOf(run({ state: "kept", ended_ms: T0 + 8_000 }));
  assert.equal(life?.href, "/lock/?key=try%2Ffreeze%2F7");
  assert.equal(history?.href, "/audit/?key=try%2Ffreeze%2F7");
  assert.equal(seconds?.href, "/audit/?from=2026-11-21T14%3A02%3A59.000Z&to=2026-11-21T14%3A03%3A09.000Z");
});

test("why something is not known is said when it is over", () => {
  /** @type {import("../../static/js/totrymodel.js").Expected} */
  const expected = { id: "backup", expected: "", result: "unknown", measured: "no row says so", at_ns: "", event: "" };
  assert.equal(measuredText(expected, true), "");
  assert.equal(measuredText(expected, false), "no row says so");
  assert.equal(measuredText({ ...expected, result: "broken" }, true), "no row says so");
});

test("a moment is linked once it is recorded", () => {
  /** @type {import("../../static/js/totrymodel.js").Expected} */
  const expected = { id: "backup", expected: "n2 serves it", result: "kept", measured: "", at_ns: "1795294056973951918", event: "5" };
  assert.equal(momentOf(expected, false)?.href, "/?at=1795294056973951918");
  assert.equal(momentOf(expected, true), null);
  assert.equal(momentOf({ ...expected, at_ns: "" }, false), null);
});

test("what is in the way is offered to be removed", () => {
  assert.equal(remedyText(null), "");
  assert.equal(remedyText({ text: "", remedy: "wait", label: "" }), "");
  assert.equal(remedyText({ text: "", remedy: "restart", label: "n3" }), "Start n3 again");
  assert.equal(remedyPath({ text: "", remedy: "restart", label: "n3" }), "/api/nodes/n3/restart/");
  assert.equal(remedyPath({ text: "", remedy: "heal", label: "n 1" }), "/api/nodes/n%201/heal/");
  assert.equal(remedyPath({ text: "", remedy: "add", label: "" }), "", "a dialog asks first");
  assert.equal(remedyPath({ text: "", remedy: "stop", label: "" }), "/api/rehearsal/stop/");
  assert.equal(remedyPath({ text: "", remedy: "cancel", label: "" }), "/api/scenarios/cancel/");
});

test("what is different from before is said until it is over", () => {
  const grace = run({ state: "kept", grace_until_ms: T0 + 50_000 });
  assert.match(graceText(grace, T0), /\(50 s\): somebody may hold what nobody remembers\. It ends by itself\.$/);
  assert.equal(graceText(grace, T0 + 50_000), "");
  assert.equal(graceText(run(), T0), "");
});

test("the closed panel says what is tried, or how it ended", () => {
  assert.equal(headlineOf(run()), "ada tries “Freeze a node”");
  assert.match(headlineOf(run({ state: "kept", detail: "7 of 7 as expected", ended_ms: T0 })), /: Freeze a node, 7 of 7 as expected$/);
});
