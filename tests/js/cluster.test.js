import assert from "node:assert/strict";
import test from "node:test";

import { ACTIONS_MAX, Cluster, EVENTS_MAX } from "../../static/js/cluster.js";
import { action, delta, event, node, snapshot, view, N1, N2, N3, THREE } from "./helpers.js";

const BIG = "1795259651123456789";

/** @param {Partial<import("../../static/js/contract.js").Snapshot>} [parts] */
function started(parts) {
  const cluster = new Cluster();
  cluster.applySnapshot(snapshot(parts));
  return cluster;
}

/** @param {Cluster} cluster @param {...Partial<import("../../static/js/contract.js").LockEvent>} events */
function fold(cluster, ...events) {
  const first = Number(cluster.lastEventId) + 1;
  return cluster.applyDelta(delta({ events: events.map((parts, i) => event({ id: String(first + i), ...parts })) }));
}

/** @param {Cluster} cluster @param {string} [key] */
function primaryOf(cluster, key = "k") {
  return /** @type {string} */ (cluster.ring.owners(key).primary);
}

test("a granted lock is held at the node that granted it", () => {
  const cluster = started();
  const change = fold(cluster, { key: "k", node: N2, generation: BIG });
  assert.equal(cluster.locks.get("k")?.holder, N2);
  assert.equal(cluster.locks.get("k")?.generation, BIG);
  assert.equal(change?.locks, true);
});

test("a released lock is gone", () => {
  const cluster = started();
  fold(cluster, { kind: "granted" }, { kind: "released", seq: "2" });
  assert.equal(cluster.locks.size, 0);
});

test("a late event of a released generation does not bring the lock back", () => {
  const cluster = started();
  fold(cluster, { kind: "granted" }, { kind: "released" }, { kind: "transferred" }, { kind: "promoted" }, { kind: "granted" });
  assert.equal(cluster.locks.size, 0);
});

test("the release of an old generation does not remove a newer lock", () => {
  const cluster = started();
  fold(cluster, { kind: "granted", generation: "9007199254740993" }, { kind: "released", generation: "9007199254740992" });
  assert.equal(cluster.locks.size, 1, "the two generations are one and the same as JavaScript numbers");
});

test("a new generation after a release is held", () => {
  const cluster = started();
  fold(cluster, { kind: "granted" }, { kind: "released" }, { kind: "granted", generation: "11" });
  assert.equal(cluster.locks.get("k")?.generation, "11");
});

test("a lock that expires at its primary is gone", () => {
  const cluster = started();
  const primary = primaryOf(cluster);
  fold(cluster, { node: primary }, { kind: "expired", node: primary });
  assert.equal(cluster.locks.size, 0);
});

test("an old copy that runs out at another node leaves the lock held", () => {
  const cluster = started();
  const primary = primaryOf(cluster);
  const other = /** @type {string} */ (THREE.find((address) => address !== primary));
  fold(cluster, { node: primary }, { kind: "expired", node: other });
  assert.equal(cluster.locks.size, 1);
});

test("a promotion moves the lock and keeps its generation", () => {
  const cluster = started();
  fold(cluster, { node: N1, generation: BIG }, { kind: "promoted", node: N3, generation: BIG });
  assert.equal(cluster.locks.get("k")?.holder, N3);
  assert.equal(cluster.locks.get("k")?.generation, BIG);
});

test("a transfer is told the same by either side: the ring's primary has the lock", () => {
  for (const sides of [{ from: "node", to: "peer" }, { from: "peer", to: "node" }]) {
    const cluster = started();
    const primary = primaryOf(cluster);
    const other = /** @type {string} */ (THREE.find((address) => address !== primary));
    fold(cluster, { node: other }, { kind: "transferred", [sides.from]: other, [sides.to]: primary });
    assert.equal(cluster.locks.get("k")?.holder, primary);
  }
});

test("an event with an older seq changes nothing", () => {
  const cluster = started();
  fold(cluster, { node: N1, seq: "5" }, { kind: "transferred", node: N2, seq: "4" });
  assert.equal(cluster.locks.get("k")?.holder, N1);
});

test("when a primary is marked down its locks go to their backups", () => {
  const cluster = started();
  const { primary, backup } = cluster.ring.owners("k");
  fold(cluster, { node: primary ?? "" });
  const change = cluster.applyDelta(delta({ last_event_id: "101", view: view(THREE, { number: "200", version: "100", down: [primary ?? ""] }) }));
  assert.equal(cluster.locks.get("k")?.holder, backup);
  assert.ok((change?.ring?.diff.primaryShare ?? 0) > 0);
});

test("an older view is refused, an equal one may only settle", () => {
  const cluster = started({ view: view(THREE, { number: "200", settled: false }) });
  cluster.applyDelta(delta({ view: view([N1], { number: "199" }) }));
  assert.equal(cluster.ring.servers.length, 3);
  const change = cluster.applyDelta(delta({ view: view(THREE, { number: "200", settled: true }) }));
  assert.equal(cluster.view?.settled, true);
  assert.equal(change?.ring, null, "nothing moved");
  assert.equal(change?.doubtful, true, "handover is over: ask what is held");
});

test("events that were folded before are not folded again", () => {
  const cluster = started();
  fold(cluster, { kind: "granted" });
  const change = cluster.applyDelta(delta({ last_event_id: "102", events: [event({ id: "101", key: "k" }), event({ id: "102", key: "other" })] }));
  assert.deepEqual(change?.events.map((e) => e.key), ["other"]);
  assert.equal(cluster.events.length, 2);
});

test("nodes that are told of as they were, but for their ages, were heard and have not changed", () => {
  const cluster = started({ nodes: [node({ heartbeat_age_ms: 100, seen_age_ms: 10 })] });
  const change = cluster.applyDelta(delta({ nodes: [node({ heartbeat_age_ms: 300, seen_age_ms: 20 })] }));
  assert.deepEqual([change?.heard, change?.nodes], [true, false]);
  assert.equal(cluster.nodes[0]?.heartbeat_age_ms, 300);
  for (const other of [node({ heartbeat_age_ms: null }), node({ held_primary: 3 }), node({ state: "fenced" })]) {
    assert.equal(cluster.applyDelta(delta({ nodes: [other] }))?.nodes, true);
  }
  assert.equal(cluster.applyDelta(delta({ nodes: [] }))?.nodes, true);
  assert.deepEqual([cluster.applyDelta(delta({}))?.heard, cluster.applyDelta(delta({}))?.nodes], [false, false]);
});

test("a delta that is older than what is known changes nothing", () => {
  const cluster = started({ nodes: [node({ held_primary: 5 })] });
  assert.equal(cluster.applyDelta(delta({ last_event_id: "99", nodes: [node({ held_primary: 1 })] })), null);
  assert.equal(cluster.nodes[0]?.held_primary, 5);
});

test("a delta before any snapshot is not taken for the whole", () => {
  assert.equal(new Cluster().applyDelta(delta()), null);
});

test("after a gap or skipped events the held locks are doubtful", () => {
  const cluster = started();
  assert.equal(fold(cluster, { kind: "gap", key: "" })?.doubtful, true);
  assert.equal(cluster.applyDelta(delta({ last_event_id: "150", skipped: 3 }))?.doubtful, true);
  assert.equal(fold(cluster, { kind: "refused" })?.doubtful, false);
});

test("a snapshot that was fetched is dropped when deltas have overtaken it", () => {
  const cluster = started();
  fold(cluster, { kind: "granted" });
  assert.equal(cluster.applySnapshot(snapshot({ last_event_id: "100" }), { force: false }), null);
  assert.equal(cluster.locks.size, 1);
});

test("a snapshot replaces what is held", () => {
  const cluster = started({ locks: [["old", "ada", "1", "1", N1, 1, 7000]] });
  cluster.applySnapshot(snapshot({ last_event_id: "300", locks: [["new", "ada", BIG, "2", N2, 1, 7000]] }));
  assert.deepEqual([...cluster.locks.values()].map((lock) => lock.key), ["new"]);
});

test("a snapshot of another history starts the events anew", () => {
  const cluster = started({ last_event_id: "500", events: [event({ id: "500" })] });
  cluster.applySnapshot(snapshot({ last_event_id: "7", events: [event({ id: "7" })] }));
  assert.deepEqual(cluster.events.map((e) => e.id), ["7"]);
  assert.equal(cluster.lastEventId, "7");
});

test("events are bounded, the newest stay", () => {
  const cluster = started();
  fold(cluster, ...Array.from({ length: EVENTS_MAX + 50 }, (_, i) => ({ key: `k${i}` })));
  assert.equal(cluster.events.length, EVENTS_MAX);
  assert.equal(cluster.events.at(-1)?.key, `k${EVENTS_MAX + 49}`);
});

test("an action's state never goes back", () => {
  const cluster = started();
  cluster.noteAction(action({ state: "done" }));
  cluster.noteAction(action({ state: "requested" }));
  assert.equal(cluster.actions[0]?.state, "done");
});

test("actions are bounded, newest first", () => {
  const cluster = started();
  for (let i = 1; i <= ACTIONS_MAX + 5; i += 1) cluster.noteAction(action({ id: String(i) }));
  assert.equal(cluster.actions.length, ACTIONS_MAX);
  assert.equal(cluster.actions[0]?.id, String(ACTIONS_MAX + 5));
});

test("a cluster without a view has an empty ring and still counts locks", () => {
  const cluster = started({ view: null, locks: [["k", "ada", "1", "1", N1, 1, 7000]] });
  assert.equal(cluster.ring.size, 0);
  assert.equal(cluster.locks.get("k")?.holder, N1);
});
