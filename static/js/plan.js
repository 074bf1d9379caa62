/**
 * What an operator's action would move, said before it is confirmed; and which actions make sense now.
 *
 * Pure. The shares are exact (same ring as the cluster's); lock counts are of what the page knows at that moment.
 *
 * Elsewhere: the dialog that shows it (dialogs.js), who is allowed (the server decides; it refuses and records).
 */

import { count, percent } from "./format.js";
import { HashRing } from "./ring.js";
import { diffRings } from "./ringdiff.js";
import { gettext, ngettext } from "./text.js";

export const NOT_LIVE = gettext("Not live: what you see may be out of date, or of the past");

/**
 * @typedef {"kill" | "stop" | "restart" | "add"} What
 * @typedef {{target: string, count: number}} Gain
 * @typedef {{flows: import("./ringdiff.js").Flow[], primaryShare: number, backupShare: number,
 *   gains: Gain[], heldMoving: number, copiesMoving: number, heldBackup: number,
 *   nobodyLeft: boolean}} Plan `gains`: held locks by their new primary
 * @typedef {{enabled: boolean, why: string}} Availability
 */

const ALIVE = new Set(["up", "joining", "acquiring", "fenced", "leaving"]);
const GONE = new Set(["down", "stopped", "killed"]);

/**
 * @param {What} what
 * @param {string | null} address of the node; for `add` the address it is expected to get
 * @param {HashRing} ring
 * @param {Iterable<import("./locks.js").HeldLock>} locks
 * @returns {Plan}
 */
export function planAction(what, address, ring, locks) {
  const after = ringAfter(what, address, ring);
  const diff = diffRings(ring, after);
  /** @type {Map<string, number>} */
  const gains = new Map();
  let copiesMoving = 0;
  let heldBackup = 0;
  for (const lock of locks) {
    const next = after.ownersAt(lock.position);
    if (next.primary !== lock.primary) gains.set(next.primary ?? "", (gains.get(next.primary ?? "") ?? 0) + 1);
    if (next.backup !== lock.backup) copiesMoving += 1;
    if (lock.backup === address) heldBackup += 1;
  }
  return {
    flows: diff.flows,
    primaryShare: diff.primaryShare,
    backupShare: diff.backupShare,
    gains: [...gains].map(([target, number]) => ({ target, count: number })).sort((a, b) => b.count - a.count),
    heldMoving: [...gains.values()].reduce((sum, number) => sum + number, 0),
    copiesMoving,
    heldBackup,
    nobodyLeft: what !== "add" && after.servers.every((server) => after.down.has(server)),
  };
}

/** @param {What} what @param {string | null} address @param {HashRing} ring @returns {HashRing} */
function ringAfter(what, address, ring) {
  if (address === null) return ring;
  if (what === "add") return new HashRing([...ring.servers, address], { vnodes: ring.vnodes, down: ring.down });
  return new HashRing(ring.servers, { vnodes: ring.vnodes, down: [...ring.down, address] });
}

/**
 * The address the next node will probably get: one above the highest number, as `manage.py up` counts them.
 * @param {{address: string, label: string}[]} nodes
 * @returns {{label: string, address: string} | null} null when the addresses do not follow that pattern
 */
export function nextNode(nodes) {
  let best = null;
  for (const node of nodes) {
    const label = /^n(\d+)$/.exec(node.label);
    const address = /^(.+):(\d+)\.(\d+)$/.exec(node.address);
    if (!label || !address) continue;
    const found = { number: Number(label[1]), host: address[1], http: Number(address[2]), grpc: Number(address[3]) };
    if (best === null || found.number > best.number) best = found;
  }
  if (best === null) return null;
  return { label: `n${best.number + 1}`, address: `${best.host}:${best.http + 1}.${best.grpc + 1}` };
}

/**
 * Whether a node's button makes sense now, and if not, why.
 * @param {Exclude<What, "add">} what
 * @param {import("./contract.js").NodeRow} node
 * @param {{live: boolean, actions: import("./contract.js").Action[]}} now
 * @returns {Availability}
 */
export function availability(what, node, { live, actions }) {
  if (!live) return no(NOT_LIVE);
  const pending = actions.find((a) => a.target === node.label && (a.state === "requested" || a.state === "running"));
  if (pending) return no(gettext("{what} of {label} is {state}: wait for its end", { what: pending.what, label: node.label, state: pending.state }));
  if (what === "restart") {
    if (node.state === "leaving") return no(gettext("{label} is leaving: restart it when it has stopped", { label: node.label }));
    return yes(GONE.has(node.state) ? gettext("Start {label} again", { label: node.label }) : gettext("Stop {label} and start it again", { label: node.label }));
  }
  // A node that is marked down may only be silent: its process can be killed all the same.
  if (GONE.has(node.state) && !(what === "kill" && node.state === "down" && node.pid !== null)) return no(gettext("{label} is {state}: there is no process to {what}", { label: node.label, state: node.state, what }));
  if (what === "stop" && node.state === "leaving") return no(gettext("{label} is leaving already", { label: node.label }));
  if (what === "stop" && !ALIVE.has(node.state)) return no(gettext("The state of {label} is {state}: it cannot be asked to leave", { label: node.label, state: node.state }));
  return yes(what === "kill" ? gettext("Send SIGKILL to {label}", { label: node.label }) : gettext("Ask {label} to hand over and leave", { label: node.label }));
}

/** @param {string} why @returns {Availability} */
function no(why) {
  return { enabled: false, why };
}

/** @param {string} why @returns {Availability} */
function yes(why) {
  return { enabled: true, why };
}

/**
 * The plan in sentences.
 * @param {What} what
 * @param {string} label the node's
 * @param {Plan} plan
 * @param {(address: string | null) => string} labelOf
 * @returns {{lead: string, effects: string[], warning: string}}
 */
export function tellPlan(what, label, plan, labelOf) {
  const leads = {
    kill: gettext("Sends SIGKILL to {label}: no goodbye, no handover. Its backups serve its arcs at once.", { label }),
    stop: gettext("Asks {label} to say goodbye: it hands over what it holds and then leaves the ring.", { label }),
    restart: gettext("Stops {label} and starts it again as a new incarnation, without memory. Its arcs leave and come back.", { label }),
    add: gettext("Starts a new lock node, {label}. It acquires its arcs before it grants anything.", { label }),
  };
  const verb = what === "add" ? gettext("transferred to") : gettext("promoted at"); // who takes over from a member had the copy
  const effects = [];
  if (plan.primaryShare === 0) effects.push(gettext("No arc changes its primary."));
  else effects.push(gettext("{primaryShare} of the key space changes its primary.", { primaryShare: percent(plan.primaryShare) }));
  if (plan.heldMoving > 0) {
    const where = plan.gains.map((gain) => `${count(gain.count)} ${verb} ${labelOf(gain.target)}`).join(", ");
    effects.push(`${ngettext("{count} held lock", "{count} held locks", plan.heldMoving)}: ${where}.`);
  } else effects.push(gettext("No held lock changes its primary."));
  if (plan.copiesMoving > 0) effects.push(gettext("{copiesMoving} made anew on another node.", { copiesMoving: ngettext("{count} backup copy", "{count} backup copies", plan.copiesMoving) }));
  return {
    lead: leads[what],
    effects,
    warning: plan.nobodyLeft ? gettext("No living node is left: nothing is served until one is back, and held locks are lost.") : "",
  };
}
