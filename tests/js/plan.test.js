import assert from "node:assert/strict";
import test from "node:test";

import { HeldLocks } from "../../static/js/locks.js";
import { availability, nextNode, planAction, tellPlan } from "../../static/js/plan.js";
import { HashRing } from "../../static/js/ring.js";
import { action, node, N1, N2, N3, THREE } from "./helpers.js";

const label = (/** @type {string | null} */ address) => ({ [N1]: "n1", [N2]: "n2", [N3]: "n3" })[address ?? ""] ?? "nobody";

/** @param {HashRing} ring @param {number} total */
function held(ring, total) {
  const locks = new HeldLocks(ring);
  locks.reset(Array.from({ length: total }, (_, i) => [`key-${i}`, "ada", "1", "1", ring.owners(`key-${i}`).primary ?? "", 1, 7000]));
  return locks;
}

test("a kill promotes exactly the locks whose primary it is", () => {
  const ring = new HashRing(THREE);
  const locks = held(ring, 300);
  const plan = planAction("kill", N1, ring, locks.values());
  const own = [...locks.values()].filter((lock) => lock.primary === N1).length;
  assert.equal(plan.heldMoving, own);
  assert.equal(plan.gains.reduce((sum, gain) => sum + gain.count, 0), own);
  assert.ok(plan.gains.every((gain) => gain.target !== N1));
  assert.ok(plan.flows.every((flow) => flow.source === N1));
});

test("an added node takes locks, nobody else does", () => {
  const ring = new HashRing([N1, N2]);
  const plan = planAction("add", N3, ring, held(ring, 300).values());
  assert.deepEqual(plan.gains.map((gain) => gain.target), [N3]);
  assert.ok(plan.gains[0] && plan.gains[0].count > 0);
});

test("a node that is down already moves nothing", () => {
  const ring = new HashRing(THREE, { down: [N1] });
  const plan = planAction("restart", N1, ring, held(ring, 100).values());
  assert.equal(plan.primaryShare, 0);
  assert.match(tellPlan("restart", "n1", plan, label).effects.join(" "), /No arc changes its primary/);
});

test("killing the last living node warns that nobody is left", () => {
  const ring = new HashRing([N1, N2], { down: [N2] });
  const plan = planAction("kill", N1, ring, held(ring, 10).values());
  assert.equal(plan.nobodyLeft, true);
  assert.match(tellPlan("kill", "n1", plan, label).warning, /held locks are lost/);
});

test("the sentences name who gets what", () => {
  const ring = new HashRing(THREE);
  const told = tellPlan("kill", "n1", planAction("kill", N1, ring, held(ring, 300).values()), label);
  assert.match(told.lead, /SIGKILL/);
  assert.match(told.effects.join(" "), /promoted at n2/);
  assert.match(told.effects.join(" "), /promoted at n3/);
});

test("what a goodbye moves is promoted where a copy was, and what a newcomer gets is transferred, as the record will say", () => {
  const ring = new HashRing(THREE);
  const stopped = tellPlan("stop", "n1", planAction("stop", N1, ring, held(ring, 300).values()), label);
  assert.match(stopped.effects.join(" "), /promoted at n2/);
  const added = tellPlan("add", "n3", planAction("add", N3, new HashRing([N1, N2]), held(new HashRing([N1, N2]), 300).values()), label);
  assert.match(added.effects.join(" "), /transferred to n3/);
});

test("the next node's address follows the highest number", () => {
  const nodes = [node({ label: "n10", address: "127.0.0.1:8010.18010" }), node({ label: "n9", address: "127.0.0.1:8009.18009" })];
  assert.deepEqual(nextNode(nodes), { label: "n11", address: "127.0.0.1:8011.18011" });
  assert.equal(nextNode([node({ label: "filer", address: "filer:8888" })]), null);
});

test("buttons that make no sense say why", () => {
  const now = { live: true, actions: [] };
  assert.deepEqual(availability("kill", node({ state: "killed" }), now).enabled, false);
  assert.match(availability("stop", node({ state: "stopped" }), now).why, /no process to stop/);
  assert.match(availability("stop", node({ state: "leaving" }), now).why, /leaving already/);
  assert.equal(availability("restart", node({ state: "killed" }), now).enabled, true);
  assert.equal(availability("kill", node({ state: "unknown" }), now).enabled, true);
  for (const state of ["up", "joining", "acquiring", "fenced"]) assert.equal(availability("stop", node({ state }), now).enabled, true);
});

test("while an action on a node is under way there is no second one", () => {
  const actions = [action({ what: "restart", state: "running" })];
  assert.match(availability("kill", node({}), { live: true, actions }).why, /restart of n1 is running/);
  assert.equal(availability("kill", node({}), { live: true, actions: [action({ state: "done" })] }).enabled, true);
});

test("nobody acts on a picture that is out of date", () => {
  assert.match(availability("kill", node({}), { live: false, actions: [] }).why, /Not live/);
});
