import assert from "node:assert/strict";
import test from "node:test";

import { disturbable, endOf, Faults, foretell, holdText } from "../../static/js/faults.js";
import { availability } from "../../static/js/plan.js";
import { headlineOf } from "../../static/js/rehearse.js";
import { action, node } from "./helpers.js";

/** @param {Partial<import("../../static/js/faults.js").Hold>} [parts] @returns {import("../../static/js/faults.js").Hold} */
function hold(parts = {}) {
  return { label: "n1", kind: "paused", scope: "", way: "", who: "ada", text: "paused", since_ms: 0, until_ms: 5_000, ...parts };
}

/** @param {Partial<import("../../static/js/faults.js").Rehearsal>} parts @returns {import("../../static/js/faults.js").Rehearsal} */
function rehearsal(parts) {
  return {
    id: "1", who: "ada", seconds: 20, nodes: 3, seed: 7, state: "running", detail: "", lines: [], events: "4711",
    violations: 0, report: null, started_ms: 0, faults_ms: null, ended_ms: null, ...parts,
  };
}

const told = (/** @type {import("../../static/js/faults.js").Disturbance} */ what, /** @type {number | null} */ seconds, others = 2) => {
  const { lead, effects, warning } = foretell(what, "n1", { seconds, nowMs: 0, others });
  return [lead, ...effects, warning].join(" ");
};

test("a message without holds leaves them, one with none ends them", () => {
  const faults = new Faults();
  faults.apply({ holds: [hold()] });
  assert.deepEqual(faults.apply({}), { holds: false, rehearsal: false });
  assert.equal(faults.holds.get("n1")?.who, "ada");
  faults.apply({ holds: [] });
  assert.equal(faults.holds.size, 0);
});

test("a badge counts down, and claims no end that nobody has seen", () => {
  assert.equal(holdText(hold(), 1_000), "paused, 4 s");
  assert.equal(holdText(hold(), 4_999), "paused, 1 s");
  assert.equal(holdText(hold(), 6_000), "paused, ending");
  const isolated = { kind: /** @type {const} */ ("isolated"), scope: "master", way: "both" };
  assert.equal(holdText(hold({ ...isolated, until_ms: null }), 6_000), "isolated from master");
  assert.equal(holdText(hold({ ...isolated, way: "in" }), 1_000), "isolated from master (in), 4 s");
  assert.equal(holdText(hold({ ...isolated, scope: "everything" }), 1_000), "isolated, 4 s");
});

test("what ends a hold depends on what it is", () => {
  assert.equal(endOf(hold()), "resume");
  assert.equal(endOf(hold({ kind: "isolated" })), "heal");
});

test("a node is disturbed only while it has a process, is shown live, and nobody else acts on it", () => {
  const now = { live: true, actions: [] };
  assert.ok(disturbable(node({}), undefined, now).enabled);
  assert.ok(disturbable(node({ state: "suspected" }), hold(), now).enabled);
  assert.match(disturbable(node({ state: "killed", pid: null }), undefined, now).why, /no process/);
  assert.match(disturbable(node({}), hold(), { ...now, live: false }).why, /Not live/);
  assert.match(disturbable(node({}), undefined, { live: true, actions: [action({ what: "pause" })] }).why, /wait for its end/);
});

test("a pause longer than the node lease is foretold with fencing, takeover and its end", () => {
  const text = told({ kind: "pause" }, 5);
  for (const part of [/SIGSTOP/, /After 2 s/, /about 2.5 s .* backups take over/, /Resumes by itself at \d\d:\d\d:05/]) assert.match(text, part);
});

test("a pause shorter than the node lease is foretold without a takeover", () => {
  const text = told({ kind: "pause" }, 1);
  assert.match(text, /nobody takes over/);
  assert.doesNotMatch(text, /marks it down|comes back/);
});

test("each cut names whom it concerns, which way, and what follows", () => {
  assert.match(told({ kind: "isolate", scope: "master", way: "in" }, 10), /the master; it still speaks, and hears nothing.*fenced after 2 s/);
  assert.match(told({ kind: "isolate", scope: "peers", way: "both" }, 10), /shares with another node wait.*out of the ring/);
  assert.match(told({ kind: "isolate", scope: "everything", way: "out" }, 10), /its clients too; it still hears, and is not heard/);
  assert.match(told({ kind: "isolate", scope: "everything", way: "both" }, 1), /not fenced, and nobody takes over/);
});

test("without a timer the end is yours, and with nobody else nothing is served", () => {
  assert.match(told({ kind: "isolate", scope: "master", way: "both" }, null), /no timer/);
  assert.match(told({ kind: "pause" }, 5, 0), /nothing is served/);
});

test("a rehearsal that runs says how far it is, and claims no result", () => {
  assert.match(headlineOf(rehearsal({}), 0), /^Its cluster starts \(ada, 3 nodes, seed 7, 20 s\)/);
  assert.match(headlineOf(rehearsal({ faults_ms: 0 }), 5_000), /another 15 s; 4,711 facts checked, 0 violations so far/);
  assert.match(headlineOf(rehearsal({ faults_ms: 0 }), 25_000), /then all is judged/);
  assert.match(headlineOf(rehearsal({ state: "failed", detail: "no port", ended_ms: 0 }), 0), /no port \(ada/);
});

test("a node that is only marked down can still be killed, one without a process cannot", () => {
  const now = { live: true, actions: [] };
  assert.ok(availability("kill", node({ state: "down", pid: 7 }), now).enabled);
  assert.ok(!availability("kill", node({ state: "down", pid: null }), now).enabled);
  assert.ok(!availability("stop", node({ state: "down", pid: 7 }), now).enabled);
});
