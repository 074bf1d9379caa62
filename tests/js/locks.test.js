import assert from "node:assert/strict";
import { test } from "node:test";

import { HeldLocks } from "../../static/js/locks.js";
import { HashRing } from "../../static/js/ring.js";

test("the rest of a large snapshot is added to its first piece", () => {
  const locks = new HeldLocks(new HashRing(["a:1", "b:2"]));
  locks.reset([["one", "ada", "5", "1", "a:1", 0, 7000]]);
  locks.add([["two", "bob", "6", "1", "b:2", 0, 7000]]);
  assert.deepEqual([...locks.values()].map((lock) => lock.key), ["one", "two"]);
});
