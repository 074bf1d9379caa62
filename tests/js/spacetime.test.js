import assert from "node:assert/strict";
import test from "node:test";

import { endsOf, sizeOf } from "../../static/js/spacetimedraw.js";
import {
  apiPath, Diagram, isLive, laneY, limitsOf, linkAround, nsOfMs, searchOf, short, stateOf, tellArrow, ticksOf,
} from "../../static/js/spacetimemodel.js";
import { event as lockEvent } from "./helpers.js";

/** @typedef {import("../../static/js/spacetimemodel.js").Body} Body */

const AT = 1_795_259_651_000_000_000n;
const SIZE = { left: 100, width: 1_000, lanePx: 40, top: 0, height: 200 };

/** @param {Partial<Body>} [parts] @returns {Body} 10 s around AT: master, n1, a client */
function body(parts = {}) {
  const events = [
    lockEvent({ id: "1", node: "master", kind: "view", key: "" }), lockEvent({ id: "2", node: "a:1", kind: "view", key: "" }),
    lockEvent({ id: "3", node: "a:1", kind: "granted", key: "k" }),
  ];
  return {
    at_ns: String(AT), from_ns: String(AT - 5_000_000_000n), to_ns: String(AT + 5_000_000_000n), live: false, first_ns: "1", last_ns: "2", event: null,
    lanes: [{ id: "master", kind: "master", label: "master", color: null }, { id: "a:1", kind: "node", label: "n1", color: 0 }, { id: "client:ada", kind: "client", label: "ada", color: null }],
    events, wall_ns: [String(AT - 1_000_000_000n), String(AT), String(AT + 2_500_000_001n)],
    arrows: [
      { kind: "view", from: "master", to: "a:1", from_event: "1", to_event: "2", why: "", back_ns: 0, refused: false },
      { kind: "answer", from: "a:1", to: "client:ada", from_event: "3", to_event: "", why: "its arrival is not recorded", back_ns: 0, refused: false },
    ],
    left_out: 0, at_least: false, cut: false, says: "", ...parts,
  };
}

test("the address holds the whole state, and an empty one is live", () => {
  assert.equal(isLive(stateOf("")), true);
  const search = "?at=1795259651000000123&event=77&span=2000&key=a%26b&node=n1&context=no&arrows=move%2Ccopy";
  assert.equal(searchOf(stateOf(search)), search);
  assert.equal(searchOf(stateOf("?arrows=none")), "?arrows=none");
  assert.equal(searchOf(stateOf("?at=yesterday&span=-5&event=x&arrows=nonsense")), "");
  assert.equal(stateOf("?span=999999999999").spanMs, 86_400_000);
});

test("the API is asked for the moment, or for the event where there is none", () => {
  assert.equal(apiPath(stateOf("?at=5&event=7&key=k")), "/api/spacetime/?key=k&span_ms=10000&at_ns=5&limit=2000");
  assert.equal(apiPath(stateOf("?event=7&context=no")), "/api/spacetime/?span_ms=10000&event=7&limit=2000&context=no");
  assert.equal(apiPath(stateOf("")), "/api/spacetime/?span_ms=10000&limit=500");
});

test("links from other pages keep what is special in a key", () => {
  assert.equal(linkAround({ event: "7", key: "a&b=<c>" }), "/spacetime/?event=7&key=a%26b%3D%3Cc%3E");
  assert.equal(nsOfMs(1_795_259_651_000.25), "1795259651000250000");
});

test("events lie to scale on the lane of who told them, to the nanosecond", () => {
  const diagram = new Diagram(body());
  assert.deepEqual(diagram.points.map(({ place }) => place), [{ x: 0.4, y: 0 }, { x: 0.5, y: 1 }, { x: 0.7500000001, y: 1 }]);
  assert.equal(diagram.nsAt(0.5), AT);
});

test("an arrow between two events joins them, and an open one stops short of its lane", () => {
  const diagram = new Diagram(body());
  const [view, answer] = diagram.arrows;
  assert.ok(view && answer);
  assert.deepEqual(endsOf(view, SIZE), [500, laneY(0, SIZE), 600, laneY(1, SIZE)]);
  const [, y1, , y2] = endsOf(answer, SIZE);
  assert.equal(y1, laneY(1, SIZE));
  assert.ok(y2 > laneY(1, SIZE) && y2 < laneY(2, SIZE));
});

test("steps meet every event once, and begin in the middle", () => {
  const diagram = new Diagram(body());
  assert.equal(diagram.next("", 1)?.event.id, "2");
  assert.equal(diagram.next("", -1)?.event.id, "2");
  const met = [];
  for (let point = diagram.next("2", -1); point !== null; point = diagram.next(point.event.id, 1)) met.push(point.event.id);
  assert.deepEqual(met, ["1", "2", "3"]);
  assert.equal(new Diagram(body({ events: [], wall_ns: [], arrows: [] })).next("", 1), null);
});

test("the nearest event within reach is met by the pointer", () => {
  const diagram = new Diagram(body());
  assert.equal(diagram.nearest(505, laneY(1, SIZE) + 3, SIZE, 20)?.event.id, "2");
  assert.equal(diagram.nearest(620, laneY(1, SIZE), SIZE, 20), null);
});

test("a message is told from either end, with how long it took or why that is not known", () => {
  const diagram = new Diagram(body());
  const [view, answer] = diagram.arrows;
  assert.ok(view && answer);
  assert.equal(tellArrow(view, diagram, "1"), "view to n1, arrived 1.00 s later");
  assert.equal(tellArrow(view, diagram, "2"), "view from master, left 1.00 s before");
  assert.equal(tellArrow(answer, diagram, "3"), "answer to ada, its arrival is not recorded");
  const late = new Diagram(body({ arrows: [{ ...view.arrow, back_ns: 3_000_000, refused: true }] }));
  assert.equal(tellArrow(/** @type {any} */ (late.arrows[0]), late, "2"), "refused view from master, arrived 3.00 ms before it left: the clocks differ");
});

test("what is left out is said, and nothing is said of what is not", () => {
  assert.deepEqual(limitsOf(body()), []);
  const told = limitsOf(body({ left_out: 4_000, at_least: true, cut: true, arrows: [{ kind: "view", from: "master", to: "a:1", from_event: "1", to_event: "2", why: "", back_ns: 5, refused: false }] }));
  assert.equal(told.length, 3);
  assert.match(told[0] ?? "", /^At least 4,000 events of this stretch are left out/);
});

test("the axis counts from the middle in round steps, however long the stretch", () => {
  assert.deepEqual(ticksOf(new Diagram(body()), 5).map(({ text }) => text), ["−4 s", "−2 s", "0", "+2 s", "+4 s"]);
  for (const span of [1_000_000n, 100_000_000n, 86_400_000_000_000n]) {
    const ticks = ticksOf(new Diagram(body({ from_ns: String(AT - span / 2n), to_ns: String(AT + span / 2n) })), 6);
    assert.ok(ticks.length >= 2 && ticks.length <= 13, `${ticks.length} ticks in ${span} ns`);
  }
});

test("short times keep what tells them apart", () => {
  assert.deepEqual([short(1_250_000), short(-12_000_000), short(61_000_000_000)], ["1.25 ms", "−12.0 ms", "61.00 s"]);
});

test("lanes are drawn closer where there are many", () => {
  assert.ok(sizeOf(1_000, 80).lanePx < sizeOf(1_000, 5).lanePx);
  assert.ok(sizeOf(360, 5).left < sizeOf(1_000, 5).left);
});
