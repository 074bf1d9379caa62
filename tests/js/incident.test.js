import assert from "node:assert/strict";
import test from "node:test";

import { Incident, nsOf, tellChain, upTo, utc, VALID_MS } from "../../static/js/incidentmodel.js";
import { N1, N2, N3, node, THREE, view } from "./helpers.js";

const COLUMNS = ["id", "wall_ns", "node", "kind", "key", "owner", "generation", "seq", "view", "version", "peer", "detail", "ttl_ms", "renewals", "session", "place"];
const BASE = 1_795_259_651_000_000_000n;
const S = 1_000_000_000n;

/** @param {number} id @param {number} second @param {Record<string, unknown>} parts @returns {unknown[]} */
function row(id, second, parts) {
  const known = { id: String(id), wall_ns: String(BASE + BigInt(second) * S), node: N1, kind: "granted", key: "", owner: "", generation: "", seq: "", view: "", version: "", peer: "", detail: "", ttl_ms: 0, renewals: 0, session: "", place: String(id), ...parts };
  return COLUMNS.map((name) => /** @type {any} */ (known)[name]);
}

/** @param {unknown[][]} rows @param {{end?: object, head?: object, start?: object}} [parts] */
function incident(rows, { end = {}, head = {}, start = {} } = {}) {
  return new Incident(/** @type {any} */ ({
    format: 1, made_ns: String(BASE), made_by: "eve", from_ns: String(BASE), to_ns: String(BASE + 60n * S), columns: COLUMNS, labels: { [N1]: "n1", [N2]: "n2", [N3]: "n3" }, colors: {}, rules: {},
    start: { moment: { doubts: [], missing: 0, where: "within" }, view: view(THREE), nodes: THREE.map((address, i) => node({ address, label: `n${i + 1}`, seen_age_ms: 0 })), locks: [["old", "ada", "5", "1", N1, 0, 7_000, ""]], ...start }, ...head,
  }), [rows], /** @type {any} */ ({
    events: rows.length, cut: false, to_ns: String(BASE + 60n * S), says: [], views: [], actions: [], nodes: [], violations: [],
    chain: { head: "", checked: 0, older: 0, unchecked: 0, breaks: 0, found: [] }, ...end,
  }));
}

/** @param {Incident} told @param {number} second */
const keysAt = (told, second) => [...told.locksAt(BASE + BigInt(second) * S).values()].map((lock) => lock.key).sort();

const STORY = [
  row(1, 1, { key: "a", generation: "10", seq: "1", owner: "bob" }), row(2, 5, { key: "b", generation: "11", seq: "1" }),
  row(3, 9, { key: "a", kind: "released", generation: "10", seq: "2" }), row(4, 12, { key: "old", kind: "expired", generation: "5", seq: "1" }),
];

test("a moment is the beginning and the events until then", () => {
  const told = incident(STORY);
  assert.deepEqual([0, 1, 5, 9, 60].map((second) => keysAt(told, second).join()), ["old", "a,old", "a,b,old", "b,old", "b"]);
});

test("what is shown does not depend on the way there", () => {
  const forth = incident(STORY);
  for (let second = 0; second <= 9; second += 1) forth.locksAt(BASE + BigInt(second) * S);
  const back = incident(STORY);
  back.locksAt(BASE + 60n * S);
  assert.deepEqual(keysAt(back, 9), keysAt(forth, 9));
  assert.deepEqual(keysAt(back, 5), ["a", "b", "old"]);
});

test("an event that was recorded before one that is folded already is folded in its place", () => {
  // Two nodes report apart: what happened later may be recorded earlier.
  const told = incident([row(1, 8, { key: "a", kind: "released", generation: "10", seq: "9" }), row(2, 4, { key: "a", generation: "10", seq: "1" })]);
  assert.deepEqual(keysAt(told, 5), ["a", "old"]);
  assert.deepEqual(keysAt(told, 9), ["old"]);
});

test("events are in the order of time, and steps meet each time once", () => {
  const told = incident([row(1, 8, { kind: "view" }), row(2, 4, { kind: "view" }), row(3, 4, { kind: "settled" })]);
  assert.deepEqual(told.events.map(({ event }) => event.id), ["2", "3", "1"]);
  assert.equal(told.next(BASE), BASE + 4n * S);
  assert.equal(told.next(BASE + 4n * S), BASE + 8n * S);
  assert.equal(told.next(BASE + 8n * S), null);
  assert.equal(told.previous(BASE + 8n * S), BASE + 4n * S);
  assert.equal(told.previous(BASE + 4n * S), null);
  assert.equal(told.countAt(BASE + 4n * S), 2);
});

test("a view that comes changes the ring, and the one before stays until then", () => {
  const views = [{ ...view([N1, N2], { number: "200" }), at_ns: String(BASE + 10n * S), settled_ns: String(BASE + 12n * S), changes: ["n3 left"] }];
  const told = incident([], { end: { views } });
  assert.equal(told.viewAt(BASE + 9n * S)?.number, "100");
  assert.equal(told.viewAt(BASE + 10n * S)?.settled, false);
  assert.equal(told.viewAt(BASE + 12n * S)?.settled, true);
  told.locksAt(BASE);
  assert.equal(told.ring.servers.length, 3);
  told.locksAt(BASE + 11n * S);
  assert.equal(told.ring.servers.length, 2);
  told.locksAt(BASE);
  assert.equal(told.ring.servers.length, 3);
});

test("a node is what was seen last, what events say since, and unknown where nobody looked", () => {
  const told = incident([row(1, 5, { node: "master", kind: "died", peer: N2 }), row(2, 6, { node: N3, kind: "fenced" })], { head: {}, end: { to_ns: String(BASE + 200n * S) } });
  const states = (/** @type {number} */ second) => told.nodesAt(BASE + BigInt(second) * S).map(({ state }) => state);
  assert.deepEqual(states(1), ["up", "up", "up"]);
  assert.deepEqual(states(7), ["up", "down", "fenced"]);
  assert.deepEqual(states(VALID_MS / 1_000 + 1), ["unknown", "down", "fenced"]);
});

test("held locks are counted at who serves them", () => {
  const told = incident(STORY);
  assert.deepEqual(told.nodesAt(BASE + 6n * S).map(({ held_primary: held }) => held), [3, 0, 0]);
});

test("marks are in the order of time, with labels", () => {
  const told = incident([row(1, 5, { node: "master", kind: "died", peer: N2, detail: "was seen to end" })], {
    end: { actions: [{ id: "1", who: "ada", what: "kill", target: "n2", state: "done", detail: "", requested_ms: Number(BASE / 1_000_000n) + 4_000, views: [] }] },
  });
  assert.deepEqual(told.marks.map(({ kind, text }) => [kind, text]), [["action", "ada: kill n2 (done)"], ["fault", "n2 died: was seen to end"]]);
});

test("a moment outside is the nearest one inside", () => {
  const told = incident([]);
  assert.equal(told.within(BASE - 5n), BASE);
  assert.equal(told.within(BASE + 999n * S), BASE + 60n * S);
});

test("rows are called verified only where all of them were looked at and agree", () => {
  const chain = { head: "9:ab", checked: 5, older: 0, unchecked: 0, breaks: 0, found: [] };
  assert.equal(tellChain(chain).tone, "ok");
  assert.equal(tellChain({ ...chain, unchecked: 3 }).tone, "unknown");
  assert.equal(tellChain({ ...chain, older: 3 }).tone, "unknown");
  assert.equal(tellChain({ ...chain, checked: 0 }).tone, "unknown");
  assert.equal(tellChain({ ...chain, breaks: 1, found: ["row 7"] }).tone, "bad");
});

test("times are universal, to the millisecond", () => {
  assert.equal(utc(nsOf(Date.UTC(2026, 10, 21, 14, 3, 0, 123))), "2026-11-21 14:03:00.123");
});

test("a search meets the last of equal times", () => {
  const rows = [1n, 2n, 2n, 3n];
  assert.deepEqual([0n, 1n, 2n, 9n].map((ns) => upTo(rows, (one) => one, ns)), [0, 1, 3, 4]);
});
