import assert from "node:assert/strict";
import test from "node:test";

import { tellSessions } from "../../static/js/sessions.js";
import { shortSession } from "../../static/js/format.js";
import { labels, lanes, layOut, offsetText, spanText } from "../../static/js/strip.js";

const near = (/** @type {number} */ a, /** @type {number} */ b) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

test("ranges of like size lie to scale, from the first byte of the file", () => {
  const strip = layOut([{ start: "0", end: "49" }, { start: "75", end: "99" }]);
  assert.equal(strip.linear, true);
  assert.equal(strip.open, false);
  const [first, second] = strip.bars;
  near(first?.from ?? -1, 0);
  near(first?.to ?? -1, 0.5);
  near(second?.from ?? -1, 0.75);
  near(second?.to ?? -1, 1);
});

test("what runs to the end of the file ends where the strip ends, beyond every offset", () => {
  const strip = layOut([{ start: "10", end: "19" }, { start: "10", end: null }]);
  assert.equal(strip.open, true);
  assert.equal(strip.bars[1]?.to, 1);
  assert.ok((strip.bars[0]?.to ?? 1) < 0.9);
  assert.deepEqual(layOut([{ start: "0", end: null }]).bars, [{ from: 0, to: 1 }]);
});

test("a single byte is seen beside 2^62, in the right order, and the strip is not to scale", () => {
  const big = (2n ** 62n).toString();
  const strip = layOut([{ start: "0", end: "0" }, { start: "1", end: big }, { start: "9007199254740993", end: "9007199254740993" }]);
  assert.equal(strip.linear, false);
  for (const bar of strip.bars) assert.ok(bar.to - bar.from > 0.001, JSON.stringify(bar));
  const places = strip.boundaries.map((boundary) => boundary.at);
  assert.deepEqual(places, [...places].sort((a, b) => a - b));
  assert.equal(new Set(places).size, places.length);
});

test("offsets beyond 2^53 are not rounded", () => {
  assert.equal(spanText({ start: "9007199254740993", end: null }), "9 007 199 254 740 993 to the end");
  assert.equal(spanText({ start: "0", end: "1234" }), "0 to 1 234");
  assert.equal(offsetText(2n ** 62n), "2^62");
  assert.equal(offsetText(4096n), "4 096");
});

test("labels do not overlap, however narrow the strip is", () => {
  const strip = layOut(Array.from({ length: 40 }, (_, i) => ({ start: String(i * 1_000), end: i === 39 ? null : String(i * 1_000 + 499) })));
  for (const width of [300, 1_200]) {
    const shown = labels(strip, width);
    assert.equal(shown.at(-1)?.text, "end");
    const lefts = shown.map(({ at, text }) => ({ left: Math.min(at * width, width - text.length * 6.6), text }));
    lefts.slice(1).forEach(({ left }, i) => assert.ok(left >= (lefts[i]?.left ?? 0) + (lefts[i]?.text.length ?? 0) * 6.6));
  }
  assert.ok(labels(strip, 1_200).length > labels(strip, 300).length);
});

test("a lock-owner has one lane for what it has and wants", () => {
  const piece = (/** @type {string} */ session, /** @type {string} */ owner) => ({ session, owner });
  assert.deepEqual(lanes([piece("s", "t1"), piece("s", "t2"), piece("s", "t1")]).map((lane) => lane.length), [2, 1]);
});

test("sessions say what their numbers rest on", () => {
  const told = { seen_ms: 0, sessions: [], total: 0, counted: true, asked: 3, silent: [] };
  assert.match(tellSessions(told), /^0 sessions at .*\.$/);
  assert.match(tellSessions({ ...told, silent: ["n2"] }), /n2 did not answer: the counts may be too low/);
  assert.equal(tellSessions({ ...told, silent: ["n1", "n2", "n3"] }), "No node answered, so nothing is known.");
  assert.equal(tellSessions({ ...told, asked: 0 }), "No node is up, so nobody can tell.");
  assert.match(tellSessions({ ...told, total: 900 }), /The newest 0 of 900 sessions/);
  assert.match(tellSessions({ ...told, counted: false }), /the counts are too low/);
});

test("sessions that were opened together look different in short form", () => {
  assert.notEqual(shortSession("18e5a7c9b2f40001"), shortSession("18e5a7c9b2f40101"));
  assert.equal(shortSession(""), "–");
});
