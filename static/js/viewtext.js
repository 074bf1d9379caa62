/**
 * A change of view in one sentence, for the caption under the ring and for screen readers. Pure.
 */

import { percent } from "./format.js";
import { gettext } from "./text.js";

const FLOWS_TOLD = 4;

/**
 * @param {import("./cluster.js").RingChange} change
 * @param {(address: string | null) => string} labelOf
 * @returns {string} such as "n1 is down. 33.1 % of the key space moved: n1 → n2 17.0 %, n1 → n3 16.1 %."
 */
export function tellChange({ before, after, diff, first }, labelOf) {
  if (after.size === 0) return gettext("The ring is empty.");
  if (first) {
    const down = tell([...after.down], labelOf, gettext("is down"), gettext("are down"));
    return gettext("The ring has {servers}{down}.", { servers: names(after.servers, labelOf), down: down === "" ? "" : `; ${down}` });
  }
  const was = new Set(before.servers);
  const is = new Set(after.servers);
  const parts = [
    tell(after.servers.filter((s) => !was.has(s)), labelOf, "joined", "joined"),
    tell(before.servers.filter((s) => !is.has(s)), labelOf, gettext("left the ring"), gettext("left the ring")),
    tell([...after.down].filter((s) => !before.down.has(s)), labelOf, gettext("is down"), gettext("are down")),
    tell([...before.down].filter((s) => is.has(s) && !after.down.has(s)), labelOf, gettext("is back"), gettext("are back")),
  ].filter((part) => part !== "");
  return `${parts.join(", ")}. ${tellFlows(diff, labelOf)}`;
}

/**
 * @param {import("./ringdiff.js").RingDiff} diff
 * @param {(address: string | null) => string} labelOf
 * @returns {string}
 */
function tellFlows(diff, labelOf) {
  if (diff.primaryShare === 0) return gettext("No arc changed its primary.");
  const told = diff.flows.slice(0, FLOWS_TOLD)
    .map((flow) => `${labelOf(flow.source)} → ${labelOf(flow.target)} ${percent(flow.share)}`);
  const rest = diff.flows.length - told.length;
  if (rest > 0) told.push(`and ${rest} more`);
  return gettext("{primaryShare} of the key space moved: {told}.", { primaryShare: percent(diff.primaryShare), told: told.join(", ") });
}

/**
 * @param {readonly string[]} servers
 * @param {(address: string | null) => string} labelOf
 * @param {string} one
 * @param {string} many
 */
function tell(servers, labelOf, one, many) {
  if (servers.length === 0) return "";
  return `${names(servers, labelOf)} ${servers.length === 1 ? one : many}`;
}

/** @param {readonly string[]} servers @param {(address: string | null) => string} labelOf */
function names(servers, labelOf) {
  return servers.length > 6 ? `${servers.length} nodes` : servers.map(labelOf).join(", ");
}
