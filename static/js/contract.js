/**
 * The words the server and the page speak to each other, as types only.
 *
 * Every 64-bit number (generation, seq, view, version, incarnation, event id) is a decimal STRING:
 * they pass 2^53, so a JavaScript number would round them. Compare them with `compareWide` (wide.js).
 * Units come last in names (`ttl_ms`); times are wall-clock milliseconds since 1970.
 *
 * Elsewhere: folding these messages (cluster.js), receiving them (socket.js).
 *
 * @typedef {{address: string, label: string, incarnation: string, down: boolean}} Member
 * @typedef {{number: string, version: string, settled: boolean, at_ms: number, members: Member[]}} View
 * @typedef {{address: string, label: string, color: number, incarnation: string, pid: number | null,
 *   state: string, settled: boolean, view: string, refused_views: number, refused_last: string,
 *   refused_ms: number | null, held_primary: number, held_backup: number, ops_per_s: number,
 *   heartbeat_age_ms: number | null, seen_age_ms: number | null}} NodeRow `state` was true `seen_age_ms` ago (health.js)
 * @typedef {{seen_age_ms: number, stabilising_ms: number | null}} Master `stabilising_ms`: what is left of its delay
 * @typedef {{rule: string, says: string, found: number}} Rule
 * @typedef {{id: string, rule: string, text: string, found_ms: number, first: LockEvent, second: LockEvent}} Violation
 *   of `text`, the two events are the proof, copied when it was found
 * @typedef {{state: "checking" | "stopped" | "unknown", trouble: string, checked: string, unchecked: string,
 *   forgotten: string, since_ms: number | null, remembers_since_ms: number | null, found: number, rules: Rule[],
 *   violations: Violation[]}} Invariants `violations`: the newest of the `found`
 * @typedef {{id: string, time_ms: number, node: string, label: string, kind: string, key: string,
 *   owner: string, generation: string, seq: string, view: string, version: string, peer: string,
 *   detail: string, ttl_ms: number, renewals: number, session: string}} LockEvent `session`: "" where none has to do with it
 * @typedef {{id: string, who: string, what: string, target: string,
 *   state: "requested" | "running" | "done" | "failed", detail: string, requested_ms: number}} Action
 * @typedef {{available: boolean, on: boolean}} Workload
 * @typedef {[key: string, owner: string, generation: string, seq: string, primaryAddress: string,
 *   sinceMs: number, ttlMs: number, session?: string]} LockRow
 * @typedef {{owner: string, session: string, label: string, generation: string, seq: string, ttl_ms: number,
 *   remaining_ms: number}} Holder `session`: "" where a token holds it
 * @typedef {{owner: string, session: string, label: string, since_ms: number | null, remaining_ms: number | null}} Place
 *   `since_ms` null: no event says; `remaining_ms` null: as long as the session lives
 * @typedef {{session: string, label: string, owner: string, kind: "read" | "write", start: string, end: string | null,
 *   fence: string}} Piece `owner`: the lock-owner within the session; `end`: the last byte, null: to the end
 * @typedef {Piece & {fair: boolean, since_ms: number | null, remaining_ms: number | null}} WaitingPiece
 * @typedef {{time_ms: number, kind: string, from: string, to: string, label: string, detail: string}} Migration
 *   `from`, `to`: sessions
 * @typedef {{key: string, primary: string, seen_ms: number, holder: Holder | null, queue: Place[], queue_total: number,
 *   ranges: Piece[], ranges_total: number, waiting: WaitingPiece[], waiting_total: number, migrations: Migration[]}} KeyFacts
 * @typedef {{id: string, incarnation: string, label: string, state: "alive" | "lapsed" | "ended", remaining_ms: number,
 *   locks: number, ranges: number, waits: number}} SessionFacts
 * @typedef {{seen_ms: number, sessions: SessionFacts[], total: number, counted: boolean, asked: number,
 *   silent: string[]}} Sessions the newest of `total`; `silent`: nodes that did not answer, of `asked`
 * @typedef {{type: "hello", user: string, can_operate: boolean, server_time_ms: number}} Hello
 * @typedef {{type: "snapshot", last_event_id: string, view: View | null, master: Master | null,
 *   nodes: NodeRow[], locks: LockRow[], actions: Action[], workload: Workload, invariants: Invariants | null,
 *   events: LockEvent[], lag_ms: number | null}} Snapshot
 * @typedef {{type: "locks", locks: LockRow[]}} MoreLocks what did not fit into the snapshot before it
 * @typedef {{type: "delta", last_event_id: string, events: LockEvent[], view?: View | null,
 *   master?: Master | null, nodes?: NodeRow[], actions?: Action[], workload?: Workload, invariants?: Invariants,
 *   skipped: number, lag_ms: number | null}} Delta
 * @typedef {{type: "pong", server_time_ms: number}} Pong
 * @typedef {{type: "error", detail: string}} Problem
 * @typedef {{type: "news"}} News there is something to read of a watched cluster
 * @typedef {Hello | Snapshot | MoreLocks | Delta | Pong | Problem | News} Message
 */

export {};
