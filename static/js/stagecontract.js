/**
 * What the server says of plans, as types only (dlmsite/dashboard/planshapes.py has the same).
 *
 * @typedef {"kill" | "add" | "stop"} StageWhat
 * @typedef {"together" | "in turn"} Pace
 * @typedef {"stays" | "promoted" | "transferred" | "grace"} Fate
 * @typedef {"same" | "ended" | "differs"} Verdict
 * @typedef {{what: StageWhat, label: string, address: string, wave: number}} PlannedChange
 * @typedef {{address: string, label: string, before: boolean, after: boolean}} PlannedNode
 * @typedef {{source: string | null, target: string | null, share: number}} SpaceFlow
 * @typedef {{source: string | null, target: string | null, fate: Fate, locks: number}} LockFlow
 * @typedef {{moved: number, copied: number, fates: Record<Fate, number>, flows: SpaceFlow[], flows_total: number}} Space
 * @typedef {{total: number, fates: Record<Fate, number>, copied: number, unserved: number, flows: LockFlow[]}} Held
 * @typedef {{changes: PlannedChange[], nodes: PlannedNode[], space: Space, held: Held, grace_ms: number}} Totals
 * @typedef {{verdict: Verdict, fate: Fate, node: string, ended: string}} Actual
 * @typedef {{key: string, owner: string, generation: string, fate: Fate, source: string | null, target: string | null,
 *   backup_from: string | null, backup_to: string | null, copied: boolean, hops: {node: string, how: Fate}[]}} PlannedLock
 * @typedef {PlannedLock & {remaining_ms: number | null}} LeasedLock
 * @typedef {PlannedLock & {actual: Actual | null}} JudgedLock
 * @typedef {Totals & {view: string, pace: Pace, locks: {list: LeasedLock[], next_after: string | null, silent: string[]}}} Preview
 * @typedef {{id: string, who: string, pace: Pace, changes: PlannedChange[], committed_ms: number,
 *   state: "running" | "settling" | "final", differs: number | null}} PlanHead
 * @typedef {{final: boolean, view: string, at_ns: string, complete: boolean, gaps: number, compared: number,
 *   fates: Record<Fate, Record<Verdict, number>>, differs: number, moved: number, missing: string[], unforeseen: string[]}} Happened
 * @typedef {PlanHead & Totals & {view: string, actions: import("./contract.js").Action[], happened: Happened,
 *   locks: {list: JudgedLock[], next_after: string | null}}} Committed
 */

export {};
