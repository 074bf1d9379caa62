import assert from "node:assert/strict";
import test from "node:test";

import {
  CHARTS, EVERYBODY, SPAN_MAX_MS, SPAN_MIN_MS, drawn, fitted, highest, milliseconds, moved, pointAt, readout, rows,
  searchOf, seriesPath, spanOf, stretchOf, tellFailover, zoomed,
} from "../../static/js/chartmodel.js";

const NOW = 1_790_000_000_000;
const OPS = /** @type {import("../../static/js/chartmodel.js").Chart} */ (CHARTS[0]);

/** @param {(number | null)[]} values @returns {import("../../static/js/chartmodel.js").Lines} */
function lines(values) {
  return { ops_per_s: values, p50_ms: values, p95_ms: values, p99_ms: values, held: values, waiting: values, lag_ms: values, replicated_p99_ms: values };
}

/** @returns {import("../../static/js/chartmodel.js").Series} */
function series() {
  return {
    from_ns: `${NOW}000000`, to_ns: `${NOW + 30_000}000000`, step_s: 10, at_ms: [NOW, NOW + 10_000, NOW + 20_000],
    total: lines([7, null, 9]), failovers: [], failovers_left_out: 0,
    nodes: [{ ...lines([3, null, 4]), label: "n1", color: 0 }, { ...lines([4, null, 5]), label: "n2", color: 1 }],
  };
}

test("a stretch in the address comes back as it was, and live is an address without one", () => {
  const stretch = { fromMs: NOW, toMs: NOW + 60_000 };
  assert.deepEqual(stretchOf(searchOf(stretch, 1, EVERYBODY)), stretch);
  assert.equal(searchOf(null, 900_000, EVERYBODY), "");
  assert.equal(stretchOf(""), null);
  assert.equal(searchOf(null, 60_000, "n1"), "?last=60&node=n1");
  assert.equal(spanOf("?last=60"), 60_000);
});

test("nanoseconds are understood as well, and what makes no sense is live", () => {
  assert.deepEqual(stretchOf(`?from=${NOW}000000&to=${NOW + 20_000}000000`), { fromMs: NOW, toMs: NOW + 20_000 });
  for (const search of ["?from=1", "?from=x&to=y", `?from=${NOW + 1}000000&to=${NOW}000000`, "?from=0&to=0", `?from=${"9".repeat(40)}&to=1`]) {
    assert.equal(stretchOf(search), null, search);
  }
  assert.equal(spanOf("?last=0"), SPAN_MIN_MS);
  assert.equal(spanOf("?last=9999999"), SPAN_MAX_MS);
  assert.equal(spanOf("?last=-5"), 900_000);
});

test("no stretch is shorter or longer than the server takes, and its middle stays", () => {
  assert.deepEqual(fitted(NOW + 1_000, NOW), { fromMs: NOW + 500 - SPAN_MIN_MS / 2, toMs: NOW + 500 + SPAN_MIN_MS / 2 });
  const longest = fitted(NOW - 9 * SPAN_MAX_MS, NOW);
  assert.equal(longest.toMs - longest.fromMs, SPAN_MAX_MS);
});

test("what one zooms at stays where it is", () => {
  const stretch = { fromMs: NOW, toMs: NOW + 100_000 };
  assert.deepEqual(zoomed(stretch, NOW + 20_000, 0.5), { fromMs: NOW + 10_000, toMs: NOW + 60_000 });
  assert.deepEqual(zoomed(zoomed(stretch, NOW + 20_000, 0.5), NOW + 20_000, 2), stretch);
  assert.deepEqual(moved(stretch, -0.5), { fromMs: NOW - 50_000, toMs: NOW + 50_000 });
});

test("times are asked for in nanoseconds that no number has rounded", () => {
  assert.equal(seriesPath({ fromMs: NOW + 1, toMs: NOW + 2 }), `/api/series/?from_ns=${NOW + 1}000000&to_ns=${NOW + 2}000000`);
});

test("all nodes are drawn, and all together only where adding up means something", () => {
  assert.deepEqual(drawn(series(), "ops", EVERYBODY).map((line) => line.name), ["n1", "n2", "all"]);
  assert.deepEqual(drawn(series(), "lag", EVERYBODY).map((line) => line.name), ["n1", "n2"]);
  assert.deepEqual(drawn(series(), "ops", "n2").map((line) => line.values), [[4, null, 5]]);
  assert.deepEqual(drawn(series(), "times", EVERYBODY).map((line) => line.name), ["p50", "p95", "p99"]);
  assert.equal(new Set(drawn(series(), "times", "n1").map((line) => line.dash)).size, 3, "colour alone tells nothing");
});

test("nothing measured is told as unknown, never as zero", () => {
  assert.equal(readout(drawn(series(), "ops", EVERYBODY), 1, OPS), "n1 unknown · n2 unknown · all unknown");
  assert.equal(readout(drawn(series(), "ops", EVERYBODY), 0, OPS), "n1 3.0/s · n2 4.0/s · all 7.0/s");
  assert.deepEqual(rows(series(), EVERYBODY).map((row) => row.atMs), [NOW + 20_000, NOW]);
  assert.equal(highest(drawn(series(), "ops", EVERYBODY)), 9);
  assert.equal(highest([]), 0);
});

test("the cursor stands in the point whose time it is, and never beside them", () => {
  assert.deepEqual([-5, 0, 9_999, 10_000, 29_999, 99_999].map((ms) => pointAt(series(), NOW + ms)), [0, 0, 0, 1, 2, 2]);
  assert.equal(pointAt({ ...series(), at_ms: [] }, NOW), -1);
});

test("a failover that nobody saw settle does not look settled", () => {
  const failover = { at_ms: NOW, view: "1", nodes: ["n1", "n2"], duration_ms: null };
  assert.match(tellFailover(failover), /^n1, n2 marked down, not settled yet/);
  assert.equal(tellFailover({ ...failover, nodes: ["n1"], duration_ms: 1_234 }), "n1 marked down, settled after 1.2 s");
  assert.deepEqual([0.123, 4.56, 12.3, 2_500].map(milliseconds), ["0.12 ms", "4.6 ms", "12 ms", "2.5 s"]);
});

test("neighbours differ by their dashes too", () => {
  const [n1, n2] = drawn(series(), "ops", EVERYBODY);
  assert.notEqual(n1?.dash, n2?.dash);
});
