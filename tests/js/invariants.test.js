import assert from "node:assert/strict";
import test from "node:test";

import { Cluster } from "../../static/js/cluster.js";
import { compareEvents, tellInvariants } from "../../static/js/invariantstext.js";
import { delta, event, snapshot } from "./helpers.js";

const NOW_MS = 1_800_000_000_000;
const NOW = { fresh: true, nowMs: NOW_MS };

/** @param {Partial<import("../../static/js/contract.js").Invariants>} [parts] @returns {import("../../static/js/contract.js").Invariants} */
function invariants(parts = {}) {
  return {
    state: "checking", trouble: "", checked: "1234", unchecked: "0", forgotten: "0", since_ms: NOW_MS - 5_000,
    remembers_since_ms: NOW_MS - 5_000, found: 0, rules: [{ rule: "I1", says: "a rule", found: 0 }], violations: [], ...parts,
  };
}

/** @param {Partial<import("../../static/js/contract.js").Invariants>} [parts] @param {Partial<typeof NOW>} [now] */
function judged(parts, now = {}) {
  const { tone, pill } = tellInvariants(invariants(parts), { ...NOW, ...now });
  return [tone, pill];
}

test("a check that has checked something and found nothing is green", () => {
  assert.deepEqual(judged(), ["ok", "0 violations"]);
  assert.match(tellInvariants(invariants(), NOW).text, /^1,234 events checked since \d\d:\d\d:\d\d$/);
});

test("nothing checked is not green, whatever else is told", () => {
  const unknown = ["unknown", "nothing checked yet"];
  assert.deepEqual(judged({ checked: "0" }), unknown);
  assert.deepEqual(judged({ checked: "0", state: "unknown" }), unknown);
  const { tone, pill } = tellInvariants(null, NOW);
  assert.deepEqual([tone, pill], unknown);
});

test("a check that nobody hears of is unknown", () => {
  assert.deepEqual(judged({ state: "unknown" }), ["unknown", "unknown"]);
  assert.deepEqual(judged({}, { fresh: false }), ["unknown", "unknown"]);
});

test("a check that has stopped is told with the reason", () => {
  const told = tellInvariants(invariants({ state: "stopped", trouble: "stopped by an error (X)" }), NOW);
  assert.deepEqual([told.tone, told.pill], ["bad", "check stopped"]);
  assert.match(told.notes.join(), /stopped by an error \(X\)/);
});

test("a violation stays told, also when the check stops or falls silent", () => {
  for (const state of /** @type {const} */ (["checking", "stopped", "unknown"])) assert.deepEqual(judged({ found: 2, state }), ["bad", "2 violations"]);
  assert.deepEqual(judged({ found: 1 }, { fresh: false }), ["bad", "1 violation"]);
});

test("a zero of one rule is measured beside violations of another, and not where nothing is checked", () => {
  const measured = (/** @type {Partial<import("../../static/js/contract.js").Invariants>} */ parts) => tellInvariants(invariants(parts), NOW).measured;
  assert.equal(measured({ found: 2 }), true);
  for (const parts of [{ checked: "0" }, /** @type {const} */ ({ state: "stopped" }), /** @type {const} */ ({ state: "unknown" })]) assert.equal(measured(parts), false);
  assert.equal(tellInvariants(invariants(), { ...NOW, fresh: false }).measured, false);
});

test("what was not checked and what is not compared with is said", () => {
  const { notes } = tellInvariants(invariants({ unchecked: "7", forgotten: "3", remembers_since_ms: NOW_MS - 1_000, found: 30 }), NOW);
  assert.match(notes.join("\n"), /compares with events since/);
  assert.match(notes.join("\n"), /7 events recorded while it did not run were not checked/);
  assert.match(notes.join("\n"), /3 locks/);
  assert.match(notes.join("\n"), /newest 0 of 30/);
  assert.deepEqual(tellInvariants(invariants(), NOW).notes, []);
});

test("two events are compared field by field, and what applies to neither is left out", () => {
  const fields = compareEvents(event({ generation: "9007199254740993" }), event({ generation: "9007199254740992", id: "2" }));
  const generation = fields.find((field) => field.name === "Generation");
  assert.equal(generation?.same, false, "the two are one and the same as JavaScript numbers");
  assert.equal(fields.find((field) => field.name === "Key")?.same, true);
  assert.equal(fields.some((field) => field.name === "Peer"), false);
});

test("an event that retention has removed is still shown from its copy", () => {
  const [first] = compareEvents(event({ id: "", time_ms: 0 }), event({}));
  assert.deepEqual([first?.name, first?.first], ["Event", "no longer kept"]);
});

test("the cluster keeps what was told of the check and of the master", () => {
  const cluster = new Cluster();
  cluster.applySnapshot(snapshot({ invariants: invariants(), master: { seen_age_ms: 1, stabilising_ms: 900 } }));
  const change = cluster.applyDelta(delta({ invariants: invariants({ found: 1 }) }));
  assert.equal(change?.invariants, true);
  assert.equal(change?.master, false);
  assert.equal(cluster.invariants?.found, 1);
  assert.equal(cluster.master?.stabilising_ms, 900);
  cluster.applyDelta(delta({ master: null }));
  assert.equal(cluster.master, null);
});
