import assert from "node:assert/strict";
import test from "node:test";

import { Cluster } from "../../static/js/cluster.js";
import { diffRings } from "../../static/js/ringdiff.js";
import { barsOf, canaryOf, CHART, filerState, futureChoices, JOINS, pictureOf, ringOf, stateOf, tellAlerts, tellMoves, tellStep, totalsOf, Versions, VERSIONS_MAX } from "../../static/js/watchedmodel.js";
import { N1, N2, N3, THREE } from "./helpers.js";

/** @param {string} version @param {string[]} servers */
const ring = (version, servers) => ({ version, renewed: version, servers, at_ms: Number(version) });

/** @param {Partial<import("../../static/js/watchedmodel.js").Filer>} parts @returns {import("../../static/js/watchedmodel.js").Filer} */
const filer = (parts) => ({ address: N1, label: "f1", color: 0, on_ring: true, connected: true, since_ms: 1, software: "", canary: {}, ...parts });

/** @param {Partial<import("../../static/js/watchedmodel.js").WatchedCluster>} parts @returns {import("../../static/js/watchedmodel.js").WatchedCluster} */
const told = (parts) => ({
  name: "prod", masters: "m1:9333", group: "", attached: true, attached_by: "ada", attached_ms: 1, canary: false, state: "following", leader: "m1:9333",
  trouble: "", heard_ms: 1, seen_age_ms: 1, ...parts,
});

const label = (/** @type {string | null} */ address) => ({ [N1]: "f1", [N2]: "f2", [N3]: "f3" })[address ?? ""] ?? "nobody";

test("versions are kept once each, oldest first, and are compared as 64-bit numbers", () => {
  const versions = new Versions();
  assert.ok(versions.add([ring("1795295692481650993", [N1]), ring("1795295692481650992", THREE)]));
  assert.ok(!versions.add([ring("1795295692481650992", THREE)]));
  assert.deepEqual(versions.all.map((each) => each.version), ["1795295692481650992", "1795295692481650993"]);
  assert.equal(versions.newest?.version, "1795295692481650993");
  assert.equal(versions.placeOf("1795295692481650992"), 0);
  versions.add(Array.from({ length: VERSIONS_MAX }, (_, i) => ring(String(2_000_000_000_000_000_000n + BigInt(i)), [N1])));
  assert.equal(versions.all.length, VERSIONS_MAX);
});

test("a version becomes a ring with its filers' names and colours, and without locks", () => {
  const cluster = new Cluster();
  const change = cluster.applySnapshot(pictureOf(ring("5", THREE), [filer({}), filer({ address: N2, label: "f2", color: 4 })]));
  assert.ok(change?.ring?.first);
  assert.deepEqual(cluster.ring.servers, THREE);
  assert.equal(cluster.labelOf(N2), "f2");
  assert.equal(cluster.colorOf(N2), 4);
  assert.equal(cluster.labelOf(N3), N3);
  assert.equal(cluster.locks.size, 0);
  const next = cluster.applySnapshot(pictureOf(ring("6", [N1, N2]), []));
  assert.ok(next?.ring && next.ring.diff.primaryShare > 0);
});

test("a past version can be shown after a newer one", () => {
  const cluster = new Cluster();
  cluster.applySnapshot(pictureOf(ring("6", [N1]), []));
  cluster.applySnapshot(pictureOf(ring("5", THREE), []));
  assert.deepEqual(cluster.ring.servers, THREE);
});

test("no version yet is an empty ring, not an error", () => {
  const cluster = new Cluster();
  cluster.applySnapshot(pictureOf(null, []));
  assert.equal(cluster.ring.size, 0);
});

test("a filer that left, or one that would join, moves only its own arcs", () => {
  const versions = new Versions();
  versions.add([ring("5", THREE)]);
  const from = versions.newest;
  assert.deepEqual(futureChoices(from, label).map((choice) => choice.value), [`-${N1}`, `-${N2}`, `-${N3}`, JOINS]);
  const left = diffRings(ringOf("5", versions, null, ""), ringOf(`-${N1}`, versions, from, ""));
  assert.ok(left.flows.length > 0 && left.flows.every((flow) => flow.source === N1));
  const joined = diffRings(ringOf("5", versions, null, ""), ringOf(JOINS, versions, from, "10.0.0.9:8888.18888"));
  assert.ok(joined.flows.length > 0 && joined.flows.every((flow) => flow.target === "10.0.0.9:8888.18888"));
  assert.match(tellMoves(joined), /of the key space changes its primary/);
  assert.equal(tellMoves(diffRings(ringOf("5", versions, null, ""), ringOf(JOINS, versions, from, ""))), "Nothing moves.");
});

test("the last filer that leaves moves everything to nobody", () => {
  const versions = new Versions();
  versions.add([ring("5", [N1])]);
  const diff = diffRings(ringOf("5", versions, null, ""), ringOf(`-${N1}`, versions, versions.newest, ""));
  assert.deepEqual(diff.flows.map((flow) => [flow.source, flow.target]), [[N1, null]]);
});

test("what is not known is not shown as healthy", () => {
  assert.equal(stateOf(told({})).tone, "ok");
  assert.equal(stateOf(told({ trouble: "its lock ring is empty" })).tone, "warn");
  assert.equal(stateOf(told({ state: "unknown" })).tone, "unknown");
  assert.equal(stateOf(told({ state: "away" })).tone, "bad");
  assert.equal(stateOf(told({ state: "detached", attached: false })).tone, "unknown");
  assert.equal(filerState(filer({ connected: null })).tone, "unknown");
  assert.equal(filerState(filer({ connected: false })).tone, "bad");
  assert.equal(filerState(filer({ on_ring: false, connected: false })).text, "off the ring");
  assert.equal(filerState(filer({})).tone, "ok");
});

test("a generation that fell stays marked", () => {
  const canary = { at_ms: 1, acquire_ms: 1.25, renew_ms: 12.4, release_ms: null, generation: "1", problem: "", served_by: "", tries: 3, failures: 1, falls: 1, fell_from: "23056" };
  const shown = canaryOf(filer({ canary }));
  assert.equal(shown.times, "1.3 / 12 / –");
  assert.equal(shown.generation, "1 ↓");
  assert.match(shown.title, /from 23056/);
  assert.equal(shown.failed, "1 of 3");
  assert.equal(canaryOf(filer({})).times, "–");
});

test("a step between versions names who came and who went", () => {
  assert.match(tellStep(ring("5", [N1, N2]), ring("2005", [N2, N3]), label), /f3 joined, f1 left, 2.0 s after/);
  assert.equal(tellStep(null, ring("5", THREE), label), "the first that is recorded");
});

/** @param {[number, number][]} steps @returns {import("../../static/js/watchedmodel.js").Churned} */
function churned(steps) {
  return { over: "hour", from_ms: 0, to_ms: steps.length * 1_000, step_ms: 1_000, filers: [], cut: false, steps: steps.map(([joined, left], i) => ({ at_ms: i * 1_000, joined, left })) };
}

test("joins stand above the middle, departures below, and the most of them fill their half", () => {
  const bars = barsOf(churned([[0, 0], [4, 2], [0, 1]]));
  assert.deepEqual(bars.map((bar) => [bar.kind, bar.number, bar.at_ms]), [["joined", 4, 1_000], ["left", 2, 1_000], ["left", 1, 2_000]]);
  const [most, less] = bars;
  assert.ok(most && less && most.y >= 0 && most.y + most.height === CHART.middle && less.y === CHART.middle && less.height === most.height / 2);
  assert.ok(bars.every((bar) => bar.x >= 0 && bar.x + bar.width <= CHART.width && bar.y + bar.height <= CHART.height));
  assert.deepEqual(barsOf(churned([[0, 0]])), []);
  assert.deepEqual(totalsOf(churned([[0, 0], [4, 2], [0, 1]])), { joined: 4, left: 3 });
});

test("no alert is told as what it is, and a cluster that nobody watches as not known", () => {
  assert.match(tellAlerts([], true), /as far as can be seen/);
  assert.match(tellAlerts([], false), /not known/);
  assert.equal(tellAlerts([{ kind: "away", severity: "bad", text: "", address: "", label: "" }], true), "1 alert");
});
