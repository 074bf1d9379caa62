import assert from "node:assert/strict";
import test from "node:test";

import { BACKOFF_FIRST_MS, BACKOFF_MAX_MS, GIVE_UP_MS, Link, PING_AFTER_MS, QUIET_MS, STALE_MS, backoffMs, resumePath } from "../../static/js/link.js";

test("the first connection asks for everything, a reconnect resumes after the last event", () => {
  assert.equal(resumePath("/ws/live/", "0"), "/ws/live/");
  assert.equal(resumePath("/ws/live/", "9007199254740993"), "/ws/live/?after=9007199254740993");
});

test("retries back off, are jittered and bounded", () => {
  assert.equal(backoffMs(0, 0), BACKOFF_FIRST_MS / 2);
  assert.ok(backoffMs(3, 0.5) > backoffMs(1, 0.5));
  assert.notEqual(backoffMs(2, 0.1), backoffMs(2, 0.9));
  assert.ok(backoffMs(1_000, 0.999) <= BACKOFF_MAX_MS);
});

test("a lost connection counts down to its next try and then connects", () => {
  const link = new Link(0);
  link.heard(1_000, 5);
  link.closed(2_000, 0.5);
  assert.match(link.describe(2_000).text, /^reconnecting in 1 s · stale since/);
  assert.equal(link.tick(2_001), null);
  assert.equal(link.tick(link.retryAtMs), "connect");
});

test("a message resets the backoff", () => {
  const link = new Link(0);
  for (let i = 0; i < 6; i += 1) link.closed(0, 1);
  assert.ok(link.retryAtMs > 10_000);
  link.heard(20_000, 1);
  link.closed(20_000, 1);
  assert.equal(link.retryAtMs, 20_000 + BACKOFF_FIRST_MS);
});

test("silence is pinged once, then called stale, then given up", () => {
  const link = new Link(0);
  link.heard(1_000, 5);
  assert.equal(link.tick(1_000 + PING_AFTER_MS - 1), null);
  assert.equal(link.tick(1_000 + PING_AFTER_MS), "ping");
  assert.equal(link.tick(1_500 + PING_AFTER_MS), null);
  assert.equal(link.isLive(1_000 + STALE_MS), false);
  assert.match(link.describe(1_000 + STALE_MS).text, /^stale since/);
  assert.equal(link.tick(1_000 + GIVE_UP_MS), "close");
});

test("a ping that was answered is followed by another one", () => {
  const link = new Link(0);
  link.heard(1_000, 5);
  assert.equal(link.tick(5_000), "ping");
  link.heard(5_010);
  assert.equal(link.tick(9_010), "ping");
});

test("a connection that never opens is given up", () => {
  const link = new Link(0);
  assert.equal(link.tick(GIVE_UP_MS), "close");
});

test("lag that nobody has measured is unknown, not zero", () => {
  const link = new Link(0);
  link.heard(1_000, null);
  assert.match(link.describe(1_000).text, /lag unknown/);
  link.heard(1_000, 12);
  assert.equal(link.describe(1_000).text, "connected · lag 12 ms");
});

test("a large lag is a warning", () => {
  const link = new Link(0);
  link.heard(1_000, 30_000);
  assert.deepEqual([link.describe(1_000).tone, link.describe(1_000).text], ["warn", "connected · lag 30 s"]);
});

test("when the session is over nothing is tried any more", () => {
  const link = new Link(0);
  link.end("signed out");
  link.closed(1_000, 0.5);
  assert.equal(link.tick(1_000_000), null);
  assert.equal(link.describe(1_000_000).text, "signed out");
});

test("an open connection on which nothing comes is not called connected", () => {
  const link = new Link(0);
  link.heard(1_000, 5);
  assert.equal(link.describe(1_000 + QUIET_MS).tone, "ok");
  const told = link.describe(1_001 + QUIET_MS);
  assert.deepEqual([told.tone, told.text], ["warn", "silent for 2.0 s"]);
});
