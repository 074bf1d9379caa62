import assert from "node:assert/strict";
import test from "node:test";

import { behind, endOf, LANES_MAX, lay, ownerOf, servedBy } from "../../static/js/lockmodel.js";

/** @typedef {import("../../static/js/lockmodel.js").Held} Held */

/** @param {Partial<Held> & {owner?: string}} [parts] @returns {Held} */
function held({ owner = "ada", ...parts } = {}) {
  return {
    generation: "7", begin_ms: 0, end_ms: null, how: "", why: "", renewals: 0, ttl_ms: 5_000, view: "5", event: "1",
    owners: [{ name: owner, session: "", at_ms: 0 }], stays: [], ...parts,
  };
}

test("bars lie to scale, one lane for each owner, newest owner first", () => {
  const { lanes, bars } = lay([held({ owner: "bob", begin_ms: 60, end_ms: 100, how: "released" }), held({ begin_ms: 0, end_ms: 50, how: "expired" })], 1_000);
  assert.deepEqual(lanes, ["bob", "ada"]);
  assert.deepEqual(bars.map(({ lane, from, to, open }) => [lane, from, to, open]), [[0, 0.6, 1, false], [1, 0, 0.5, false]]);
});

test("a hold that goes on runs to now", () => {
  const { bars, toMs } = lay([held({ begin_ms: 500 })], 1_000);
  assert.equal(toMs, 1_000);
  assert.deepEqual(bars.map(({ from, to, open }) => [from, to, open]), [[0, 1, true]]);
});

test("what no event ends lasts until the next began, and is not drawn as ended", () => {
  const { bars } = lay([held({ owner: "bob", begin_ms: 80, end_ms: 100, how: "released" }), held({ begin_ms: 0 })], 1_000);
  assert.deepEqual([bars[1]?.to, bars[1]?.open], [0.8, true]);
});

test("what began before the rows runs from the edge", () => {
  const { bars } = lay([held({ begin_ms: null, end_ms: 100, how: "released", stays: [{ node: "a", label: "n1", at_ms: 50, how: "promoted", event: "1" }] })], 1_000);
  assert.deepEqual([bars[0]?.from, bars[0]?.to], [0, 1]);
});

test("more owners than lanes share the last one", () => {
  const holds = Array.from({ length: LANES_MAX + 5 }, (_, i) => held({ owner: `o${i}`, begin_ms: 100 - i, end_ms: 101 - i, how: "released" }));
  const { lanes, bars } = lay(holds, 1_000);
  assert.equal(lanes.length, LANES_MAX);
  assert.equal(lanes.at(-1), "6 others");
  assert.ok(bars.every(({ lane }) => lane < LANES_MAX));
});

test("a lock without events is an empty picture", () => {
  assert.deepEqual(lay([], 1_000).bars, []);
});

test("how a hold ended is said as it is known", () => {
  assert.equal(endOf(held({ how: "taken away", why: "olga: left" }), false), "taken away by olga: left");
  assert.equal(endOf(held(), true), "goes on");
  assert.equal(endOf(held(), false), "no event says how");
});

test("the nodes that served it are named once for each stay", () => {
  const stay = (/** @type {string} */ label) => ({ node: label, label, at_ms: 0, how: "promoted", event: "1" });
  assert.equal(servedBy(held({ stays: [stay("n1"), stay("n1"), stay("n2")] })), "n1 → n2");
  assert.equal(ownerOf(held({ owners: [] })), "");
});

test("how far the backup is behind is counted, and what is unknown is said", () => {
  const node = (/** @type {string} */ generation, /** @type {string} */ seq, answers = true) => ({ role: "", generation, seq, answers });
  assert.deepEqual(behind([node("9", "5"), node("9", "5")]), ["", "nothing"]);
  assert.deepEqual(behind([node("9", "1790000000000000005"), node("9", "1790000000000000004")]), ["", "1 change"]);
  assert.deepEqual(behind([node("9", "5"), node("8", "5")]), ["", "another generation"]);
  assert.deepEqual(behind([node("9", "5"), node("", "", false)]), ["", "unknown: it does not answer"]);
  assert.deepEqual(behind([node("", "", false), node("9", "5")]), ["unknown: it does not answer", ""]);
});
