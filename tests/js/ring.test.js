import assert from "node:assert/strict";
import test from "node:test";

import { crc32OfText } from "../../static/js/crc32.js";
import { CIRCLE, HashRing, clockwise, compareBytes } from "../../static/js/ring.js";
import { diffRings } from "../../static/js/ringdiff.js";
import { N1, N2, N3, THREE } from "./helpers.js";

const KEYS = Array.from({ length: 500 }, (_, i) => `key-${i}`);

/**
 * The rule of DESIGN 3 word for word, without any of the ring's shortcuts.
 * @param {string[]} servers
 * @param {string} key
 * @param {string[]} down
 */
function ownersByTheRule(servers, key, down = []) {
  /** @type {Map<number, string>} */
  const places = new Map();
  for (const server of [...servers].sort(compareBytes)) {
    for (let i = 0; i < 50; i += 1) places.set(crc32OfText(`${server}#${i}`), server);
  }
  const position = crc32OfText(key);
  const order = [...places].sort(([a], [b]) => a - b);
  const walk = [...order.filter(([at]) => at >= position), ...order.filter(([at]) => at < position)]
    .map(([, server]) => server).filter((server) => !down.includes(server));
  const primary = walk[0] ?? null;
  return { primary, backup: walk.find((server) => server !== primary) ?? null };
}

test("primary and backup follow the rule for every key", () => {
  const ring = new HashRing(THREE);
  for (const key of KEYS) assert.deepEqual(ring.owners(key), ownersByTheRule(THREE, key));
});

test("down members are skipped, also when several are down", () => {
  const servers = [...THREE, "h:4.5", "h:5.6"];
  for (const down of [[N1], [N1, N3], ["h:4.5", N2, N3]]) {
    const ring = new HashRing(servers, { down });
    for (const key of KEYS) assert.deepEqual(ring.owners(key), ownersByTheRule(servers, key, down));
  }
});

test("an empty ring has no owners, arcs or steps", () => {
  const ring = new HashRing([]);
  assert.deepEqual(ring.owners("k"), { primary: null, backup: null });
  assert.deepEqual(ring.arcs(), []);
  assert.deepEqual(ring.walk(7), []);
  assert.equal(ring.shares().size, 0);
});

test("one server owns the whole circle and has no backup", () => {
  const ring = new HashRing([N1]);
  assert.deepEqual(ring.owners("k"), { primary: N1, backup: null });
  const [arc, ...rest] = ring.arcs();
  assert.deepEqual(rest, []);
  assert.equal(arc?.size, CIRCLE);
  assert.deepEqual(ring.bands("backup"), []);
  assert.deepEqual(ring.shares().get(N1), { primary: 1, backup: 0 });
});

test("when all are down nobody owns anything, and the picture has no bands", () => {
  const ring = new HashRing(THREE, { down: THREE });
  assert.deepEqual(ring.owners("k"), { primary: null, backup: null });
  assert.deepEqual(ring.bands("primary"), []);
  assert.equal(ring.arcs()[0]?.primary, null);
});

test("of colliding virtual nodes the server that sorts last owns the position", () => {
  const pair = collision();
  const ring = new HashRing(pair.servers);
  const last = [...pair.servers].sort(compareBytes).at(-1);
  assert.equal(ring.virtualNode(ring.indexAt(pair.position)).server, last);
  assert.ok(ring.size < 100);
});

/** Two servers one of whose virtual nodes collide, by search: among 100,000 positions of 2^32 there is one. */
function collision() {
  /** @type {Map<number, string>} */
  const seen = new Map();
  for (let i = 0; i < 5_000; i += 1) {
    // CRC-32 tells names apart that differ in few bits: only names that differ in many can collide.
    const server = `${(Math.imul(i, 2_654_435_761) >>> 0).toString(36)}-${(Math.imul(i, 40_503) >>> 0).toString(36)}:80`;
    for (let v = 0; v < 50; v += 1) {
      const position = crc32OfText(`${server}#${v}`);
      const other = seen.get(position);
      if (other !== undefined && other !== server) return { servers: [server, other], position };
      seen.set(position, server);
    }
  }
  throw new Error("no collision among 250,000 virtual nodes: the hash is not CRC-32");
}

test("arcs close the circle without gap or overlap", () => {
  for (const servers of [[N1], [N1, N2], THREE]) {
    const arcs = new HashRing(servers).arcs();
    assert.equal(arcs.reduce((sum, arc) => sum + arc.size, 0), CIRCLE);
    arcs.forEach((arc, i) => {
      assert.equal(arc.from, arcs.at(i - 1)?.to);
      assert.equal(arc.size, clockwise(arc.from, arc.to));
    });
  }
});

test("an arc excludes its start and includes its end", () => {
  const ring = new HashRing(THREE);
  for (const arc of ring.arcs()) {
    assert.deepEqual(ring.ownersAt(arc.to), { primary: arc.primary, backup: arc.backup });
    assert.deepEqual(ring.ownersAt((arc.from + 1) % CIRCLE), { primary: arc.primary, backup: arc.backup });
  }
});

test("neighbouring arcs differ, also over position 0", () => {
  const arcs = new HashRing(THREE).arcs();
  arcs.forEach((arc, i) => {
    const before = arcs.at(i - 1);
    assert.ok(before && (before.primary !== arc.primary || before.backup !== arc.backup));
  });
});

test("shares of all servers add up to one in each role", () => {
  const shares = [...new HashRing(THREE).shares().values()];
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share.primary, 0) - 1) < 1e-9);
  assert.ok(Math.abs(shares.reduce((sum, share) => sum + share.backup, 0) - 1) < 1e-9);
});

test("the walk of a key ends at its backup and names what it skipped", () => {
  const ring = new HashRing(THREE, { down: [N2] });
  for (const key of KEYS) {
    const steps = ring.walk(crc32OfText(key));
    const { primary, backup } = ring.owners(key);
    assert.equal(steps.find((step) => step.role === "primary")?.node.server, primary);
    assert.equal(steps.at(-1)?.node.server, backup);
    assert.ok(steps.filter((step) => step.role === "down").every((step) => step.node.server === N2));
  }
});

test("servers sort by bytes, not by UTF-16 units", () => {
  assert.ok(compareBytes("\uFFFD", "\u{1F512}") < 0);
});

test("marking a member down moves its own arcs only, each to its backup", () => {
  const before = new HashRing(THREE);
  const diff = diffRings(before, new HashRing(THREE, { down: [N2] }));
  for (const move of diff.moves.filter((m) => m.role === "primary")) {
    assert.equal(move.source, N2);
    assert.equal(move.target, before.ownersAt(move.to).backup);
  }
  assert.ok(Math.abs(diff.primaryShare - (before.shares().get(N2)?.primary ?? 0)) < 1e-9);
});

test("a join moves arcs only to the newcomer", () => {
  const diff = diffRings(new HashRing([N1, N2]), new HashRing(THREE));
  assert.ok(diff.primaryShare > 0);
  assert.deepEqual(new Set(diff.flows.map((flow) => flow.target)), new Set([N3]));
});

test("flows add up to the share that moves, largest first", () => {
  const { flows, primaryShare } = diffRings(new HashRing(THREE), new HashRing([N1, N2]));
  assert.ok(Math.abs(flows.reduce((sum, flow) => sum + flow.share, 0) - primaryShare) < 1e-9);
  assert.deepEqual(flows, [...flows].sort((a, b) => b.share - a.share));
});

test("equal rings do not differ", () => {
  assert.deepEqual(diffRings(new HashRing(THREE), new HashRing([...THREE].reverse())).moves, []);
});

test("the first server takes the whole circle from nobody", () => {
  const diff = diffRings(new HashRing([]), new HashRing([N1]));
  assert.equal(diff.primaryShare, 1);
  assert.deepEqual(diff.flows, [{ source: null, target: N1, share: 1 }]);
});
