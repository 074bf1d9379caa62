/** Makers of the things that tests are about, with everything that does not matter filled in. */

export const N1 = "127.0.0.1:8001.18001";
export const N2 = "127.0.0.1:8002.18002";
export const N3 = "127.0.0.1:8003.18003";
export const THREE = [N1, N2, N3];

/**
 * @param {string[]} addresses
 * @param {{number?: string, version?: string, settled?: boolean, down?: string[]}} [options]
 * @returns {import("../../static/js/contract.js").View}
 */
export function view(addresses, { number = "100", version = number, settled = true, down = [] } = {}) {
  return {
    number, version, settled, at_ms: 0,
    members: addresses.map((address, i) => ({ address, label: `n${i + 1}`, incarnation: String(i), down: down.includes(address) })),
  };
}

/**
 * @param {Partial<import("../../static/js/contract.js").LockEvent>} parts
 * @returns {import("../../static/js/contract.js").LockEvent}
 */
export function event(parts) {
  return {
    id: "1", time_ms: 1, node: N1, label: "n1", kind: "granted", key: "k", owner: "ada", generation: "10", seq: "1",
    view: "", version: "", peer: "", detail: "", ttl_ms: 7_000, renewals: 0, session: "", ...parts,
  };
}

/**
 * @param {Partial<import("../../static/js/contract.js").Snapshot>} [parts]
 * @returns {import("../../static/js/contract.js").Snapshot}
 */
export function snapshot(parts = {}) {
  return {
    type: "snapshot", last_event_id: "100", view: view(THREE), master: null, nodes: [], locks: [], actions: [],
    workload: { available: true, on: true }, invariants: null, events: [], lag_ms: 1, ...parts,
  };
}

/**
 * @param {Partial<import("../../static/js/contract.js").Delta>} [parts]
 * @returns {import("../../static/js/contract.js").Delta}
 */
export function delta(parts = {}) {
  const last = parts.events?.at(-1)?.id ?? "100";
  return { type: "delta", last_event_id: last, events: [], skipped: 0, lag_ms: 1, ...parts };
}

/**
 * @param {Partial<import("../../static/js/contract.js").NodeRow>} parts
 * @returns {import("../../static/js/contract.js").NodeRow}
 */
export function node(parts) {
  return {
    address: N1, label: "n1", color: 0, incarnation: "1", pid: 1, state: "up", settled: true, view: "100",
    refused_views: 0, refused_last: "", refused_ms: null, held_primary: 0, held_backup: 0, ops_per_s: 0,
    heartbeat_age_ms: 1, seen_age_ms: 1, ...parts,
  };
}

/**
 * @param {Partial<import("../../static/js/contract.js").Action>} parts
 * @returns {import("../../static/js/contract.js").Action}
 */
export function action(parts) {
  return { id: "1", who: "ada", what: "kill", target: "n1", state: "requested", detail: "", requested_ms: 1, ...parts };
}
