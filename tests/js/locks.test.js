import assert from "node:assert/strict";
import { test } from "node:test";

import { HeldLocks } from "../../static/js/locks.js";
import { HashRing } from "../../static/js/ring.js";
import { event, THREE } from "./helpers.js";

test("the rest of a large snapshot is added to its first piece", () => {
  const locks = new HeldLocks(new HashRing(["a:1", "b:2"]));
  locks.reset([["one", "ada", "5", "1", "a:1", 0, 7000]]);
  locks.add([["two", "bob", "6", "1", "b:2", 0, 7000]]);
  assert.deepEqual([...locks.values()].map((lock) => lock.key), ["one", "two"]);
});

test("a migrated lock is held by the new session in the same generation", () => {
  const locks = new HeldLocks(new HashRing(THREE));
  locks.apply(event({ session: "old" }));
  const since = locks.get("k")?.sinceMs;
  assert.equal(locks.apply(event({ kind: "migrated", seq: "2", session: "new", peer: "old", time_ms: 9 })), true);
  assert.deepEqual([locks.get("k")?.session, locks.get("k")?.generation, locks.get("k")?.sinceMs], ["new", "10", since]);
  locks.apply(event({ session: "old" }));
  assert.equal(locks.get("k")?.session, "new");
});

test("what happens to the ranges of a key says nothing of its lock", () => {
  const locks = new HeldLocks(new HashRing(THREE));
  for (const kind of ["range-locked", "range-promoted", "queued"]) assert.equal(locks.apply(event({ kind })), false);
});
