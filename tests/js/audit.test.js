import assert from "node:assert/strict";
import { test } from "node:test";

import {
  DEFAULT_COLUMNS, exportPath, Found, incidentPath, linkTo, localTime, pagePath, ROWS_MAX, searchOf, stateOf, universalTime,
} from "../../static/js/auditmodel.js";
import { event } from "./helpers.js";

/** @param {Partial<import("../../static/js/auditmodel.js").Page>} parts */
function page(parts) {
  return { events: [], next_before: null, next_after: "0", more_after: false, scanned: 0, cut: false, says: "", ...parts };
}

test("the state of the page is its address, and comes back from it", () => {
  for (const search of ["", "?prefix=a%2F&kind=granted%2Cdied&live=no", "?key=a+b&before=17", "?after=9&columns=time%2Ckey", "?to=2026-11-21&open=5"]) {
    assert.equal(searchOf(stateOf(search)), search);
  }
});

test("what an address cannot mean is left out", () => {
  const state = stateOf("?before=x&colour=red&columns=nonsense&open=-1");
  assert.equal(state.before, "");
  assert.deepEqual(state.columns, DEFAULT_COLUMNS);
  assert.equal(searchOf(state), "");
});

test("only the newest page of an open time range is followed", () => {
  assert.equal(stateOf("").live, true);
  assert.equal(stateOf("?before=5").live, false);
  assert.equal(stateOf("?to=2026-11-21").live, false);
  assert.equal(stateOf("?live=no").live, false);
});

test("names with anything in them survive the way into an address", () => {
  const key = "a&b=c/ü %+#?\u0000";
  assert.equal(new URL(pagePath(new Map([["key", key]])), "http://x").searchParams.get("key"), key);
  assert.equal(new URL(linkTo({ key }), "http://x").searchParams.get("key"), key);
  assert.equal(new URL(exportPath(new Map([["key", key]]), "csv", "j"), "http://x").searchParams.get("key"), key);
});

test("a time goes from the address into the form and back", () => {
  for (const text of ["2026-11-21T14:03:00.123Z", "1795269780123", "1795269780123000000", "2026-11-21T14:03:00.123"]) {
    assert.equal(universalTime(localTime(text)), "2026-11-21T14:03:00.123Z");
  }
  assert.equal(localTime("soon"), "");
  assert.equal(universalTime(""), "");
});

test("what comes while followed is put on top, once", () => {
  const found = new Found();
  found.show(page({ events: [event({ id: "2" }), event({ id: "1" })], next_after: "4" }));
  assert.equal(found.add(page({ events: [event({ id: "9" }), event({ id: "2" })], next_after: "12" })), 1);
  assert.deepEqual(found.events.map(({ id }) => id), ["9", "2", "1"]);
  assert.deepEqual([...found.fresh], ["9"]);
  assert.equal(found.nextAfter, "12");
});

test("a page that is older than what is known does not turn the cursor back", () => {
  const found = new Found();
  found.show(page({ next_after: "100" }));
  found.add(page({ next_after: "99" }));
  assert.equal(found.nextAfter, "100");
});

test("rows are bounded, and what falls off is where the next page begins", () => {
  const found = new Found();
  found.show(page({ events: [event({ id: "1" })] }));
  found.add(page({ events: Array.from({ length: ROWS_MAX }, (_, i) => event({ id: String(ROWS_MAX + 1 - i) })) }));
  assert.equal(found.events.length, ROWS_MAX);
  assert.equal(found.nextBefore, "2");
});

test("an incident file is of a time range that is closed, whatever else is filtered", () => {
  assert.equal(incidentPath(new Map([["from", "2026-11-21T14:00:00Z"], ["key", "k"]])), "");
  assert.equal(incidentPath(new Map([["from", "1"], ["to", "2"], ["key", "k"]])), "/api/incident/?from=1&to=2");
});
