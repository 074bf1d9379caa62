import assert from "node:assert/strict";
import test from "node:test";

import { CHANGES_MAX, Stage, tellActual, tellChange, tellHappened, tellPreview, warn } from "../../static/js/stagemodel.js";
import { N1, N2, N3 } from "./helpers.js";

const label = (/** @type {string} */ address) => ({ [N1]: "n1", [N2]: "n2", [N3]: "n3" })[address] ?? address;
const FATES = { stays: 0, promoted: 0, transferred: 0, grace: 0 };

/**
 * @param {Partial<import("../../static/js/stagecontract.js").Preview>} [parts]
 * @returns {import("../../static/js/stagecontract.js").Preview}
 */
function preview(parts = {}) {
  return {
    view: "100", pace: "together", grace_ms: 60_000,
    changes: [{ what: "kill", label: "n1", address: N1, wave: 0 }],
    nodes: [N1, N2, N3].map((address) => ({ address, label: label(address), before: true, after: address !== N1 })),
    space: { moved: 0.25, copied: 0.5, fates: { ...FATES, stays: 0.75, promoted: 0.25 }, flows: [], flows_total: 0 },
    held: { total: 10, fates: { ...FATES, stays: 7, promoted: 3 }, copied: 5, unserved: 0, flows: [] },
    locks: { list: [], next_after: null, silent: [] }, ...parts,
  };
}

/**
 * @param {Partial<import("../../static/js/stagecontract.js").Committed>} [parts]
 * @param {Partial<import("../../static/js/stagecontract.js").Happened>} [happened]
 * @returns {import("../../static/js/stagecontract.js").Committed}
 */
function committed(parts = {}, happened = {}) {
  const verdicts = { same: 0, ended: 0, differs: 0 };
  return {
    ...preview(), id: "4", who: "ada", committed_ms: 1, state: "final", differs: 0, actions: [],
    locks: { list: [], next_after: null },
    happened: {
      final: true, view: "101", at_ns: "1", complete: true, gaps: 0, compared: 10, differs: 0, moved: 0.25, missing: [], unforeseen: [],
      fates: { stays: verdicts, promoted: verdicts, transferred: verdicts, grace: verdicts }, ...happened,
    }, ...parts,
  };
}

test("a node is staged once, and otherwise replaces what was staged before", () => {
  const stage = new Stage();
  for (const what of /** @type {const} */ (["kill", "stop", "kill"])) assert.equal(stage.add({ what, label: "n1" }), "");
  stage.add({ what: "add", label: "" });
  stage.add({ what: "add", label: "" });
  assert.equal(stage.text, "kill:n1,add,add");
  stage.remove(1);
  assert.equal(stage.text, "kill:n1,add");
  stage.clear();
  assert.equal(stage.text, "");
});

test("what is staged is bounded, and the refusal says what to do", () => {
  const stage = new Stage();
  for (let i = 0; i < CHANGES_MAX; i += 1) assert.equal(stage.add({ what: "add", label: "" }), "");
  assert.match(stage.add({ what: "add", label: "" }), /at most 16 changes. Commit/);
  assert.equal(stage.changes.length, CHANGES_MAX);
});

test("changes are said in words, a node to come by the label it will get", () => {
  assert.deepEqual(
    [{ what: "kill", label: "n1" }, { what: "stop", label: "n2" }, { what: "add", label: "" }, { what: "add", label: "n4" }]
      .map((change) => tellChange(/** @type {import("../../static/js/stagemodel.js").Staged} */ (change))),
    ["Kill n1", "Stop n2", "Add a node", "Add n4"],
  );
});

test("a plan is said in one breath, with what happens to locks in numbers", () => {
  const text = tellPreview(preview());
  assert.match(text, /^Kill n1: 25.0 % of the key space changes its primary. Of 10 held locks: 7 stay, 3 are promoted. 5 backup copies made anew.$/);
  const none = preview({ changes: [], held: { ...preview().held, total: 3 } });
  assert.equal(tellPreview(none), "Nothing is staged: 3 held locks would stay.");
});

test("a plan that leaves nobody, or one, says so", () => {
  const nodes = (/** @type {string[]} */ left) => preview().nodes.map((node) => ({ ...node, after: left.includes(node.address) }));
  assert.match(tellPreview(preview({ nodes: nodes([]) })), /No node is left: nothing is served/);
  assert.match(tellPreview(preview({ nodes: nodes([N2]) })), /One node is left: there are no backups/);
});

test("what is lost is warned of, with what to do instead", () => {
  assert.equal(warn(preview()), "");
  const base = preview();
  const lost = preview({
    changes: [...base.changes, { what: "kill", label: "n2", address: N2, wave: 0 }],
    space: { ...base.space, fates: { ...FATES, stays: 0.5, grace: 0.5 } }, held: { ...base.held, fates: { ...FATES, grace: 2 } },
  });
  assert.match(warn(lost), /2 locks on 50.0 % of the key space would be lost.*up to 1 min.*One after another/);
  assert.doesNotMatch(warn({ ...lost, pace: "in turn" }), /One after another/);
});

test("a plan that came as foreseen and one that did not are told apart", () => {
  assert.equal(tellHappened(committed(), label), "Plan 4 is over. 10 locks fared as foreseen, or had ended before. The key space moved as foreseen.");
  const odd = tellHappened(committed({}, { differs: 2, moved: 0.4, missing: [N3], gaps: 1, complete: false, compared: 9 }), label);
  for (const part of ["2 locks fared otherwise", "40.0 % of the key space moved, and 25.0 % was foreseen", "Not in the ring, as it was to be: n3", "Only 9 of 10 locks", "1 gap", "Perhaps not every fact"]) assert.ok(odd.includes(part), part);
});

test("until it is final a difference is only not as foreseen yet", () => {
  const text = tellHappened(committed({ state: "running" }, { final: false, differs: 3 }), label);
  assert.equal(text, "Plan 4 is being carried out. 3 locks not as foreseen yet.");
});

test("a change that failed says why", () => {
  const action = { id: "1", who: "ada", what: "add", target: "n4", state: /** @type {const} */ ("failed"), detail: "the port is taken", requested_ms: 1 };
  assert.match(tellHappened(committed({ actions: [action] }), label), /Add n4 failed: the port is taken\./);
});

test("what became of a lock is a sentence, and unknown is unknown", () => {
  /** @param {Partial<import("../../static/js/stagecontract.js").Actual>} parts */
  const told = (parts) => tellActual({ verdict: "same", fate: "stays", node: N2, ended: "", ...parts }, label);
  assert.equal(told({}), "stayed at n2");
  assert.equal(told({ fate: "promoted", ended: "released" }), "promoted at n2, then released");
  assert.equal(told({ fate: "grace" }), "lost: n2 is out of the ring");
  assert.equal(told({ fate: "grace", ended: "came back" }), "lost, and came back at n2");
  assert.equal(tellActual(null, label), "unknown");
});
