import assert from "node:assert/strict";
import test from "node:test";

import { tellCompared } from "../../static/js/timelinecompare.js";
import { cutText, markText, msOf, nsOf, readAddress, TimeLine, writeAddress } from "../../static/js/timelinemodel.js";

const NOW_MS = 1_790_000_100_000;
const START_NS = 1_790_000_000_000_000_001n;

/** @param {number} atS @param {Partial<import("../../static/js/timelinemodel.js").Mark>} [parts] */
function mark(atS, parts = {}) {
  const ns = String(START_NS + BigInt(atS) * 1_000_000_000n);
  return { at_ns: ns, until_ns: ns, at_ms: msOf(ns), until_ms: msOf(ns), kind: /** @type {const} */ ("fault"), count: 1, text: "n1 died", event: "7", ...parts };
}

/** @param {import("../../static/js/timelinemodel.js").Mark[]} marks @param {{aheadMs?: number}} [options] */
function lineOf(marks, { aheadMs = 0 } = {}) {
  const line = new TimeLine();
  line.spanMs = 60_000;
  line.take({
    from_ns: "0", to_ns: "0", first_ns: String(START_NS), last_ns: String(START_NS + 90_000_000_000n), now_ns: String(nsOf(NOW_MS + aheadMs)),
    total: marks.length, marks, cut: [],
  }, NOW_MS);
  line.frame(NOW_MS);
  return line;
}

test("it is live until a moment is chosen, and live again after the last mark of the keys", () => {
  const line = lineOf([mark(1)]);
  assert.equal(line.live, true);
  line.goTo(START_NS);
  assert.equal(line.live, false);
  line.goLive();
  assert.equal(line.valueText(NOW_MS), "Live");
});

test("steps visit every mark once, to the nanosecond, in both directions", () => {
  const marks = [1, 2, 2, 5, 9].map((atS, i) => mark(atS, { at_ns: String(START_NS + BigInt(atS) * 1_000_000_000n + BigInt(i)) }));
  const line = lineOf(marks);
  const back = [];
  for (let step = line.previous(); step !== null; step = line.previous()) {
    back.push(step.at_ns);
    line.goTo(BigInt(step.at_ns));
  }
  assert.deepEqual(back, marks.map((each) => each.at_ns).reverse());
  const forth = [String(line.atNs)];
  for (let step = line.next(); step !== null; step = line.next()) {
    forth.push(step.at_ns);
    line.goTo(BigInt(step.at_ns));
  }
  assert.deepEqual(forth, marks.map((each) => each.at_ns));
});

test("the moment in the address is exact, and the rest of the address stays", () => {
  const search = writeAddress("?theme=dark&at=5", { at: 1795259651123456789n, with: 42n });
  assert.equal(search, "?theme=dark&at=1795259651123456789&with=42");
  assert.deepEqual(readAddress(search), { at: 1795259651123456789n, with: 42n });
  assert.equal(writeAddress(search, { at: null, with: 42n }), "?theme=dark");
  assert.equal(writeAddress("?at=1", { at: null, with: null }), "");
});

test("an address that makes no sense is no moment", () => {
  for (const search of ["", "?at=", "?at=yesterday", "?at=-5", "?at=1e9", "?at=99999999999999999999", "?with=5"]) {
    assert.deepEqual(readAddress(search), { at: null, with: null });
  }
});

test("milliseconds and nanoseconds go to and fro within a microsecond", () => {
  for (const ms of [0, 0.001, 1_790_000_000_000.123, NOW_MS]) assert.ok(Math.abs(msOf(nsOf(ms)) - ms) < 0.001);
  assert.equal(nsOf(-5), 0n);
});

test("the stretch follows the present while live, and stays while the moment is inside", () => {
  const line = lineOf([]);
  assert.deepEqual([line.fromMs, line.toMs], [NOW_MS - 60_000, NOW_MS + 600]);
  assert.equal(line.frame(NOW_MS + 1_000), true);
  assert.equal(line.toMs, NOW_MS + 1_600);
  line.goTo(nsOf(NOW_MS - 10_000));
  assert.equal(line.frame(NOW_MS + 50_000), false);
});

test("a moment outside of the stretch brings the stretch along", () => {
  const line = lineOf([]);
  for (const atMs of [1, NOW_MS - 61_000, NOW_MS + 10 ** 9]) {
    line.goTo(nsOf(atMs));
    line.frame(NOW_MS);
    assert.ok(line.fromMs <= atMs && atMs <= line.toMs);
    assert.ok(Math.abs(line.placeOf(line.timeAt(0.25)) - 0.25) < 1e-9);
  }
});

test("the whole stretch holds all that is recorded, the present and the moment", () => {
  const line = lineOf([]);
  line.spanMs = null;
  line.goTo(nsOf(5_000));
  line.frame(NOW_MS);
  assert.ok(line.fromMs <= 5_000 && line.toMs >= NOW_MS);
});

test("a pointer near a mark means the mark, and elsewhere the time", () => {
  const line = lineOf([mark(50), mark(80)]);
  const at = line.placeOf(mark(80).at_ms);
  assert.equal(line.pick(at + 0.005, 0.01), BigInt(mark(80).at_ns));
  assert.notEqual(line.pick(at + 0.02, 0.01), BigInt(mark(80).at_ns));
  assert.notEqual(line.pick(at + 0.005, 0), BigInt(mark(80).at_ns));
});

test("playing moves the moment by the speed and ends in the present", () => {
  const line = lineOf([]);
  line.goTo(nsOf(NOW_MS - 10_000));
  assert.equal(line.play(100, 20, NOW_MS), false);
  assert.equal(line.atMs(NOW_MS), NOW_MS - 8_000);
  assert.equal(line.play(1_000, 20, NOW_MS), true);
  assert.equal(line.live, true);
});

test("shifting past the present is live, and never below the beginning of time", () => {
  const line = lineOf([]);
  line.shift(-0.5, NOW_MS);
  assert.equal(line.atMs(NOW_MS), NOW_MS - 30_300);
  line.shift(0.6, NOW_MS);
  assert.equal(line.live, true);
  line.arrive(-99, NOW_MS);
  assert.equal(line.atNs, 0n);
});

test("the present is the server's, whatever our clock says", () => {
  const line = lineOf([], { aheadMs: 3_600_000 });
  assert.equal(line.atMs(NOW_MS), NOW_MS + 3_600_000);
  assert.equal(line.toMs, NOW_MS + 3_600_600);
});

test("a screen reader hears time, mark and where the moment lies", () => {
  const line = lineOf([mark(50)]);
  line.goTo(BigInt(mark(50).at_ns));
  assert.match(line.valueText(NOW_MS), /\d\d:\d\d:\d\d\.000, Fault: n1 died, past$/);
  line.goTo(5n);
  assert.match(line.valueText(NOW_MS), /before the first recorded event$/);
  line.goTo(nsOf(NOW_MS));
  assert.match(line.valueText(NOW_MS), /after the last recorded event$/);
  assert.match(new TimeLine().where(NOW_MS), /nothing is recorded/);
});

test("marks that stand for many say until when, and what was cut is told", () => {
  assert.match(markText(mark(1, { count: 37, text: "37 faults" })), /^37 faults until/);
  assert.equal(cutText([]), "");
  assert.match(cutText([{ kind: "fault", since_ns: String(START_NS) }]), /^1 kind of marks have more/);
});

test("what moved is told in one sentence, and so is that nothing did", () => {
  const head = { where: "within", doubts: [], missing: 0, held: 1 };
  const nothing = { a: head, b: head, locks: { moved: 0, passed: 0, granted: 0, released: 0, stayed: 3, list: [] }, arcs: { share: 0, flows: [] }, nodes: [], views: { a: "1", b: "1", between: 0 } };
  assert.equal(tellCompared(nothing), "Nothing moved: 3 locks stayed.");
  const moved = { ...nothing, locks: { ...nothing.locks, moved: 2 }, arcs: { share: 1 / 3, flows: [] }, views: { a: "1", b: "2", between: 1 } };
  assert.equal(tellCompared(moved), "2 locks moved to another node, 33.3 % of the key space changed its primary; 3 locks stayed. 1 view between.");
});
