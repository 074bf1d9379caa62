import assert from "node:assert/strict";
import test from "node:test";

import { Countdown } from "../../static/js/countdown.js";
import { FRESH_MS, LAG_EXCUSED_MS, healthOf } from "../../static/js/health.js";
import { node } from "./helpers.js";

const NOW = { elapsedMs: 0, lagMs: 0, down: false };

/** @param {Partial<import("../../static/js/contract.js").NodeRow>} parts @param {Partial<typeof NOW>} [now] */
function state(parts, now = {}) {
  return healthOf(node(parts), { ...NOW, ...now }).state;
}

test("a node is up while its heartbeat is at most two heartbeats old, and suspected from then on", () => {
  assert.equal(state({ heartbeat_age_ms: FRESH_MS }), "up");
  assert.equal(state({ heartbeat_age_ms: FRESH_MS + 1 }), "suspected");
});

test("the lag that is shown is excused, but not without bound", () => {
  assert.equal(state({ heartbeat_age_ms: FRESH_MS + 50 }, { lagMs: 50 }), "up");
  assert.equal(state({ heartbeat_age_ms: FRESH_MS + 51 }, { lagMs: 50 }), "suspected");
  assert.equal(state({ heartbeat_age_ms: FRESH_MS + LAG_EXCUSED_MS + 1 }, { lagMs: 60_000 }), "suspected");
});

test("health ends by itself when nothing more is told", () => {
  const parts = { heartbeat_age_ms: 100, seen_age_ms: 50 };
  assert.equal(state(parts, { elapsedMs: FRESH_MS - 100 }), "up");
  assert.equal(state(parts, { elapsedMs: FRESH_MS - 99 }), "suspected");
  assert.equal(state(parts, { elapsedMs: FRESH_MS - 49 }), "unknown");
});

test("whatever a node was, it is unknown when nobody looks any more, and what it was stays readable", () => {
  for (const was of ["up", "down", "fenced", "killed", "stopped", "joining", "paused"]) {
    const found = healthOf(node({ state: was, seen_age_ms: FRESH_MS + 1 }), NOW);
    assert.deepEqual([found.state, found.tone, found.note], ["unknown", "quiet", `was ${was}`]);
  }
});

test("a member that nobody has looked at is unknown", () => {
  assert.equal(state({ state: "unknown", seen_age_ms: null, heartbeat_age_ms: null }), "unknown");
});

test("no state that claims life is shown without a heartbeat", () => {
  for (const claimed of ["up", "acquiring", "leaving", "fenced"]) assert.equal(state({ state: claimed, heartbeat_age_ms: null }), "suspected");
});

test("states that claim no life need no heartbeat", () => {
  for (const other of ["joining", "down", "killed", "stopped", "paused"]) assert.equal(state({ state: other, heartbeat_age_ms: null }), other);
});

test("who is marked down is down, also while it is only suspected elsewhere", () => {
  assert.equal(state({}, { down: true }), "down");
  assert.equal(state({ state: "suspected", heartbeat_age_ms: 1_500 }, { down: true }), "down");
  assert.equal(state({ state: "leaving" }, { down: true }), "leaving");
});

test("only health is green, and each state has a word beside its colour", () => {
  for (const each of ["acquiring", "leaving", "suspected", "fenced", "down", "joining", "killed", "stopped", "paused", "unknown"]) {
    const found = healthOf(node({ state: each }), NOW);
    assert.notEqual(found.tone, "ok");
    assert.notEqual(found.why, "");
  }
  assert.equal(healthOf(node({}), NOW).tone, "ok");
});

test("a node that is up says whether it is settled", () => {
  assert.equal(healthOf(node({}), NOW).note, "settled");
  assert.equal(healthOf(node({ settled: false }), NOW).note, "settling");
});

test("a countdown runs between what the server tells", () => {
  const countdown = new Countdown();
  assert.equal(countdown.leftMs(0), null);
  countdown.told(1_000, 100);
  assert.equal(countdown.leftMs(350), 750);
  assert.equal(countdown.leftMs(9_000), 0, "it never falls below nothing");
  countdown.told(null, 9_100);
  assert.equal(countdown.leftMs(9_100), null);
});

test("a countdown does not stutter when the server tells a little late, and follows when it starts again", () => {
  const countdown = new Countdown();
  countdown.told(1_000, 0);
  countdown.told(900, 200);
  assert.equal(countdown.leftMs(200), 800);
  countdown.told(500, 300);
  assert.equal(countdown.leftMs(300), 500, "what ends earlier ends earlier");
  countdown.told(1_000, 400);
  assert.equal(countdown.leftMs(400), 1_000, "another change has started it again");
});
