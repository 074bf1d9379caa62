import assert from "node:assert/strict";
import test from "node:test";

import { age, count, degrees, hex, percent, plural, shorten, shortNumber } from "../../static/js/format.js";
import { angleOf, anglesOf, geometryOf, locate, TURN } from "../../static/js/geometry.js";
import { pageOf } from "../../static/js/paging.js";
import { HashRing } from "../../static/js/ring.js";
import { diffRings } from "../../static/js/ringdiff.js";
import { matches, Tail } from "../../static/js/tailmodel.js";
import { tellChange } from "../../static/js/viewtext.js";
import { compareWide } from "../../static/js/wide.js";
import { event, N1, N2, N3, THREE } from "./helpers.js";

const label = (/** @type {string | null} */ address) => `n${(address ?? "").slice(13, 14)}`;

test("wide numbers are compared beyond 2^53", () => {
  assert.equal(compareWide("9007199254740992", "9007199254740993"), -1);
  assert.equal(compareWide("10", "9"), 1);
  assert.equal(compareWide("", undefined), 0);
  assert.equal(compareWide("nonsense", "1"), -1);
});

test("views of neighbouring seconds look different in short form", () => {
  assert.equal(shortNumber("1795259651123456789"), "…9651.123");
  assert.notEqual(shortNumber("1795259651123456789"), shortNumber("1795259652123456789"));
  assert.equal(shortNumber("42"), "42");
  assert.equal(shortNumber(""), "–");
  assert.equal(shortNumber("0f8c2a7e-long-identity"), "0f8c2a7e…");
});

test("numbers read well", () => {
  assert.deepEqual([percent(0.3333), percent(0), percent(0.0001)], ["33.3 %", "0.0 %", "<0.1 %"]);
  assert.deepEqual([hex(255), degrees(2 ** 31)], ["0x000000ff", "180.00°"]);
  assert.deepEqual([age(320), age(4_200), age(59_000), age(61_000), age(7_200_000)], ["320 ms", "4.2 s", "59 s", "1 min", "2 h"]);
  assert.deepEqual([count(12_345), plural(1, "lock"), plural(0, "copy", "copies")], ["12,345", "1 lock", "0 copies"]);
  assert.equal(shorten("🔒🔒🔒🔒", 3), "🔒🔒…");
});

test("the pointer is found at the position that is drawn there", () => {
  const geometry = geometryOf(600);
  const radius = (geometry.primary[0] + geometry.primary[1]) / 2;
  for (const position of [0, 1e9, 2 ** 31, 4e9]) {
    const angle = angleOf(position);
    const hit = locate(geometry, 300 + radius * Math.sin(angle), 300 - radius * Math.cos(angle));
    assert.equal(hit.zone, "primary");
    const apart = Math.abs(hit.position - position);
    assert.ok(Math.min(apart, 2 ** 32 - apart) < 2 ** 32 / 100_000);
  }
});

test("the middle and the corners of the picture are nothing", () => {
  const geometry = geometryOf(600);
  assert.equal(locate(geometry, 300, 300).zone, null);
  assert.equal(locate(geometry, 2, 2).zone, null);
});

test("an arc over position 0 is drawn forwards", () => {
  const [start, end] = anglesOf({ from: 4e9, size: 1e9 });
  assert.ok(end > start && end - start < TURN);
});

test("a page out of range is brought back into it", () => {
  const rows = Array.from({ length: 120 }, (_, i) => i);
  assert.deepEqual(pageOf(rows, 9, 50), { rows: rows.slice(100), page: 2, pages: 3, first: 101, last: 120, total: 120 });
  assert.equal(pageOf(rows, -1, 50).page, 0);
  assert.deepEqual(pageOf([], 3, 50), { rows: [], page: 0, pages: 1, first: 0, last: 0, total: 0 });
});

test("the tail's filter looks into every field that is shown", () => {
  const none = { text: "", kind: "", node: "" };
  const one = event({ key: "/Orders/7", owner: "worker", detail: "by hand" });
  for (const text of ["orders", "WORK", "hand", "n1", "grant"]) assert.ok(matches(one, { ...none, text }));
  assert.equal(matches(one, { ...none, text: "absent" }), false);
  assert.equal(matches(one, { ...none, kind: "released" }), false);
  assert.equal(matches(one, { ...none, node: N2 }), false);
});

test("a paused tail stands still and counts what waits and matches", () => {
  const tail = new Tail();
  const before = [event({ id: "1" })];
  tail.pause(before);
  tail.filter = { text: "", kind: "died", node: "" };
  tail.noteNew([event({ id: "2", kind: "died" }), event({ id: "3" })]);
  assert.equal(tail.waiting, 1);
  tail.filter = { text: "", kind: "", node: "" };
  assert.deepEqual(tail.rows([...before, event({ id: "2" })], 10).map((e) => e.id), ["1"]);
  tail.resume();
  assert.deepEqual(tail.rows([...before, event({ id: "2" })], 10).map((e) => e.id), ["2", "1"]);
});

test("the tail shows a bounded number of rows, newest first", () => {
  const events = Array.from({ length: 500 }, (_, i) => event({ id: String(i) }));
  const rows = new Tail().rows(events, 200);
  assert.equal(rows.length, 200);
  assert.equal(rows[0]?.id, "499");
});

/** @param {HashRing} before @param {HashRing} after @param {boolean} [first] */
function told(before, after, first = false) {
  return tellChange({ before, after, diff: diffRings(before, after), first }, label);
}

test("a change of view is told by who and how much", () => {
  const three = new HashRing(THREE);
  assert.match(told(three, new HashRing(THREE, { down: [N1] })), /^n1 is down\. [\d.]+ % of the key space moved: n1 → n/);
  assert.match(told(new HashRing([N1, N2]), three), /^n3 joined\./);
  assert.match(told(three, new HashRing([N1, N2])), /^n3 left the ring\./);
  assert.match(told(new HashRing(THREE, { down: [N3] }), three), /^n3 is back\./);
  assert.equal(told(new HashRing(THREE, { down: [N3] }), new HashRing([N1, N2])), "n3 left the ring. No arc changed its primary.");
  assert.equal(told(new HashRing([]), new HashRing(THREE, { down: [N3] }), true), "The ring has n1, n2, n3; n3 is down.");
});

test("events are found by their session, and by the one that a migration took over", () => {
  const moved = event({ kind: "migrated", session: "18e5aa", peer: "18e5bb" });
  for (const text of ["18e5aa", "18e5bb"]) assert.ok(matches(moved, { text, kind: "migrated", node: "" }));
  assert.equal(matches(event({}), { text: "18e5aa", kind: "", node: "" }), false);
});
