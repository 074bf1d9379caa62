import assert from "node:assert/strict";
import test from "node:test";

import { addArc } from "../../static/js/ringpaths.js";
import { CIRCLE } from "../../static/js/ring.js";
import { gettext, ngettext, pieces } from "../../static/js/text.js";

test("without a catalogue the words are those of the source", () => {
  assert.equal(gettext("Held by {owner}, {owner}", { owner: "ada" }), "Held by ada, ada");
  assert.equal(gettext("100 % of {this}"), "100 % of {this}");
  assert.deepEqual([0, 1, 2, 12_345].map((n) => ngettext("{count} lock", "{count} locks", n)), ["0 locks", "1 lock", "2 locks", "12,345 locks"]);
});

test("what is filled in is not filled in again, and a name without a value is left to be seen", () => {
  assert.equal(gettext("{a} {b}", { a: "{b}", b: "x" }), "{b} x");
  assert.equal(gettext("{a} {c}", { a: "1" }), "1 {c}");
});

test("a sentence can have elements in any order", () => {
  const node = /** @type {Node} */ ({});
  assert.deepEqual(pieces("{who} holds it since {when}", { who: node, when: "noon" }), [node, " holds it since ", "noon"]);
});

test("an arc of any length begins where it is said to, stays on its circle and ends at its end", () => {
  for (const [from, size] of /** @type {[number, number][]} */ ([[0, CIRCLE], [CIRCLE / 8, 12_345], [CIRCLE - 10, CIRCLE / 3], [5, 1]])) {
    /** @type {[number, number][]} */
    const points = [];
    addArc(/** @type {any} */ ({
      moveTo: (/** @type {number} */ x, /** @type {number} */ y) => points.push([x, y]),
      bezierCurveTo(/** @type {number[]} */ ...[ax, ay, bx, by, x, y]) {
        const [x0, y0] = /** @type {[number, number]} */ (points.at(-1));
        const half = (/** @type {number} */ p, /** @type {number} */ q, /** @type {number} */ r, /** @type {number} */ s) => (p + 3 * q + 3 * r + s) / 8;
        points.push([half(x0, Number(ax), Number(bx), Number(x)), half(y0, Number(ay), Number(by), Number(y))], [Number(x), Number(y)]);
      },
    }), 800, { from, size });
    for (const [x, y] of points) assert.ok(Math.abs(Math.hypot(x, y) - 800) < 0.01, `${x} ${y}`);
    const [first, last] = [points[0], points.at(-1)].map((point) => Math.atan2(point?.[0] ?? 0, -(point?.[1] ?? 0)));
    const turn = (/** @type {number} */ at) => ((at / CIRCLE) * 2 * Math.PI) % (2 * Math.PI);
    const near = (/** @type {number | undefined} */ a, /** @type {number} */ b) => Math.abs(Math.sin(((a ?? 9) - b) / 2)) < 1e-9;
    assert.ok(near(first, turn(from)), "begin");
    assert.ok(near(last, turn(from + size)), "end");
  }
});
