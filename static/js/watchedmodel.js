/**
 * A watched cluster as the page knows it: what the site has read of it, as what the ring's picture is drawn from.
 *
 * Pure. Whoever is on the ring serves it, as far as a master says: there is no "down" in a SeaweedFS ring. Its locks are
 * not known.
 *
 * Elsewhere: asking and showing (watched.js), the ring and what differs between two (ring.js, ringdiff.js).
 */

import { age, clock, count, percent, shortNumber } from "./format.js";
import { HashRing } from "./ring.js";
import { gettext, ngettext } from "./text.js";
import { compareWide } from "./wide.js";

export const VERSIONS_MAX = 2_000;
export const CHOICES_MAX = 60;
export const JOINS = "joins";
const NEWS_MAX = 4;

/**
 * @typedef {{version: string, renewed: string, servers: string[], at_ms: number}} Ring `renewed`: the newest version with
 *   the same members, for masters tell the ring again twice a minute
 * @typedef {{at_ms: number, acquire_ms: number | null, renew_ms: number | null, release_ms: number | null,
 *   generation: string, problem: string, served_by: string, tries: number, failures: number, falls: number,
 *   fell_from: string}} Canary
 * @typedef {{address: string, label: string, color: number, on_ring: boolean, connected: boolean | null,
 *   since_ms: number, software: string, canary: Canary | Record<string, never>}} Filer
 * @typedef {{id: string, at_ms: number, kind: string, address: string, label: string, version: string, text: string}} WatchedEvent
 * @typedef {{name: string, masters: string, group: string, attached: boolean, attached_by: string, attached_ms: number,
 *   canary: boolean, state: "following" | "away" | "unknown" | "detached", leader: string, trouble: string,
 *   heard_ms: number | null, seen_age_ms: number | null}} WatchedCluster
 * @typedef {{kind: string, severity: "bad" | "warn", text: string, address: string, label: string}} Alert
 * @typedef {{cluster: WatchedCluster, ring: Ring | null, filers: Filer[], alerts: Alert[], events: WatchedEvent[],
 *   versions: number}} Watched
 * @typedef {{at_ms: number, joined: number, left: number}} Step
 * @typedef {{over: string, from_ms: number, to_ms: number, step_ms: number, steps: Step[],
 *   filers: {address: string, label: string, joined: number, left: number}[], cut: boolean}} Churned
 * @typedef {{kind: "joined" | "left", number: number, at_ms: number, x: number, y: number, width: number, height: number}} Bar
 * @typedef {{value: string, text: string}} Choice
 */

/** The versions that are known, oldest first, each once, VERSIONS_MAX at most. */
export class Versions {
  constructor() {
    /** @type {Ring[]} */
    this.all = [];
  }

  /** @param {Ring[]} rings in any order @returns {boolean} whether one was new */
  add(rings) {
    const known = new Map(this.all.map((ring) => [ring.version, ring]));
    const fresh = rings.filter((ring) => !known.has(ring.version));
    for (const ring of rings) Object.assign(known.get(ring.version) ?? {}, ring);
    if (fresh.length === 0) return false;
    this.all = [...this.all, ...fresh].sort((a, b) => compareWide(a.version, b.version)).slice(-VERSIONS_MAX);
    return true;
  }

  /** @returns {Ring | null} */
  get newest() {
    return this.all.at(-1) ?? null;
  }

  /** @param {string | null} version null: the newest @returns {Ring | null} */
  at(version) {
    return version === null ? this.newest : this.all.find((ring) => ring.version === version) ?? null;
  }

  /** @param {string | null} version @returns {number} its place, -1 where it is not known */
  placeOf(version) {
    return version === null ? this.all.length - 1 : this.all.findIndex((ring) => ring.version === version);
  }
}

/**
 * What the ring's picture takes: a whole picture without locks.
 * @param {Ring | null} ring
 * @param {Filer[]} filers
 * @returns {import("./contract.js").Snapshot}
 */
export function pictureOf(ring, filers) {
  const labels = new Map(filers.map((filer) => [filer.address, filer.label]));
  return {
    type: "snapshot", last_event_id: "0", master: null, locks: [], actions: [], workload: { available: false, on: false },
    invariants: null, events: [], lag_ms: null,
    view: ring === null ? null : {
      number: ring.version, version: ring.version, settled: true, at_ms: ring.at_ms,
      members: ring.servers.map((address) => ({ address, label: labels.get(address) ?? address, incarnation: "", down: false })),
    },
    nodes: filers.map((filer) => ({
      address: filer.address, label: filer.label, color: filer.color, incarnation: "", pid: null, state: "unknown",
      settled: false, view: "", refused_views: 0, refused_last: "", refused_ms: null, held_primary: 0, held_backup: 0,
      ops_per_s: 0, heartbeat_age_ms: null, seen_age_ms: null,
    })),
  };
}

/**
 * How the watching is, for the bar.
 * @param {WatchedCluster} cluster
 * @returns {{tone: string, text: string, title: string}}
 */
export function stateOf(cluster) {
  const heard = cluster.heard_ms === null ? gettext("Its master has not said anything yet.") : gettext("Its master's last word: {time}.", { time: dateOf(cluster.heard_ms) });
  if (cluster.state === "detached") return { tone: "unknown", text: gettext("not watched any more"), title: gettext("It was detached; what was recorded stays") };
  if (cluster.state === "away") return { tone: "bad", text: gettext("no master answers"), title: `${heard} ${gettext("It is tried again, at the latest every 2 s.")}` };
  if (cluster.state === "unknown") return { tone: "unknown", text: gettext("unknown"), title: cluster.trouble || heard };
  return cluster.trouble === "" ? { tone: "ok", text: gettext("following"), title: heard } : { tone: "warn", text: gettext("following"), title: cluster.trouble };
}

/**
 * What is known of a filer now.
 * @param {Filer} filer
 * @returns {{tone: string, text: string, title: string}}
 */
export function filerState(filer) {
  if (filer.on_ring && filer.connected === false) return { tone: "bad", text: gettext("gone, still on the ring"), title: gettext("The master has lost its connection; it leaves the ring about a second later, unless it is the last one") };
  if (filer.on_ring && filer.connected) return { tone: "ok", text: gettext("on the ring"), title: gettext("The master has a connection to it, and publishes it") };
  if (filer.on_ring) return { tone: "unknown", text: gettext("on the ring"), title: gettext("Whether the master has a connection to it is not known") };
  if (filer.connected) return { tone: "warn", text: gettext("joining"), title: gettext("The master has a connection to it, and has not published it yet") };
  return { tone: "quiet", text: gettext("off the ring"), title: gettext("The newest version does not have it") };
}

/** @param {Ring} ring @returns {string} a version in one line */
export function tellVersion(ring) {
  return `${dateOf(ring.at_ms)} · ${ngettext("{count} filer", "{count} filers", ring.servers.length)} · ${shortNumber(ring.version)}`;
}

/** @param {number} timeMs @returns {string} local date and time of day */
function dateOf(timeMs) {
  return new Date(timeMs).toLocaleString("en-GB");
}

/**
 * What has become of the ring from one version to the next.
 * @param {Ring | null} before
 * @param {Ring} ring
 * @param {(address: string) => string} labelOf
 * @returns {string}
 */
export function tellStep(before, ring, labelOf) {
  if (before === null) return gettext("the first that is recorded");
  const come = ring.servers.filter((server) => !before.servers.includes(server)).map((server) => gettext("{filer} joined", { filer: labelOf(server) }));
  const gone = before.servers.filter((server) => !ring.servers.includes(server)).map((server) => gettext("{filer} left", { filer: labelOf(server) }));
  const news = [...come, ...gone];
  const rest = news.length - NEWS_MAX;
  if (rest > 0) news.splice(NEWS_MAX, rest, gettext("{count} more", { count: count(rest) }));
  const told = news.length === 0 ? gettext("the same members") : news.join(", ");
  return gettext("{news}, {time} after the version before", { news: told, time: age(Math.max(0, ring.at_ms - before.at_ms)) });
}

/**
 * What can be compared: the versions, newest first.
 * @param {Versions} versions
 * @returns {Choice[]}
 */
export function versionChoices(versions) {
  return versions.all.slice(-CHOICES_MAX).reverse().map((ring, i) => ({ value: ring.version, text: i === 0 ? gettext("now: {version}", { version: tellVersion(ring) }) : tellVersion(ring) }));
}

/**
 * What might come: a filer that leaves, or one that joins.
 * @param {Ring | null} ring
 * @param {(address: string) => string} labelOf
 * @returns {Choice[]}
 */
export function futureChoices(ring, labelOf) {
  const servers = ring?.servers ?? [];
  return [...servers.map((server) => ({ value: `-${server}`, text: gettext("if {filer} left", { filer: labelOf(server) }) })), { value: JOINS, text: gettext("if another filer joined") }];
}

/**
 * The ring that a choice stands for.
 * @param {string} choice a version, or one of futureChoices
 * @param {Versions} versions
 * @param {Ring | null} from what leaves or joins is compared with
 * @param {string} joining the address that would join
 * @returns {HashRing}
 */
export function ringOf(choice, versions, from, joining) {
  const servers = from?.servers ?? [];
  if (choice === JOINS) return new HashRing(joining === "" ? servers : [...servers, joining]);
  if (choice.startsWith("-")) return new HashRing(servers.filter((server) => server !== choice.slice(1)));
  return new HashRing(versions.at(choice)?.servers ?? []);
}

/** @param {import("./ringdiff.js").RingDiff} diff @returns {string} */
export function tellMoves(diff) {
  if (diff.primaryShare === 0 && diff.backupShare === 0) return gettext("Nothing moves.");
  return gettext("{primary} of the key space changes its primary, {backup} its backup.", { primary: percent(diff.primaryShare), backup: percent(diff.backupShare) });
}

/** @param {Filer} filer @returns {{times: string, generation: string, failed: string, title: string, fell: boolean, isFailing: boolean}} */
export function canaryOf(filer) {
  const canary = /** @type {Canary} */ (filer.canary);
  if (canary.tries === undefined) return { times: "–", generation: "–", failed: "–", title: gettext("No canary lock was tried"), fell: false, isFailing: false };
  const ms = (/** @type {number | null} */ value) => (value === null ? "–" : value.toFixed(value < 10 ? 1 : 0));
  const times = `${ms(canary.acquire_ms)} / ${ms(canary.renew_ms)} / ${ms(canary.release_ms)}`;
  const fell = canary.falls > 0;
  const title = canary.problem || (fell
    ? ngettext("Fell {count} time, the last time from {generation}", "Fell {count} times, the last time from {generation}", canary.falls, { generation: canary.fell_from })
    : gettext("At {time}", { time: clock(canary.at_ms) }));
  return { times, generation: (canary.generation || "–") + (fell ? " ↓" : ""), failed: gettext("{failures} of {tries}", { failures: count(canary.failures), tries: count(canary.tries) }), title, fell, isFailing: canary.problem !== "" };
}

/** The chart of churn: joins above its middle, departures below. */
export const CHART = { width: 960, height: 120, middle: 60 };
const GAP = 1;

/** @param {Churned} churned @returns {{joined: number, left: number}} */
export function totalsOf({ steps }) {
  return { joined: steps.reduce((sum, step) => sum + step.joined, 0), left: steps.reduce((sum, step) => sum + step.left, 0) };
}

/** @param {Churned} churned @returns {Bar[]} what is drawn: nothing where nothing changed */
export function barsOf({ steps }) {
  const most = Math.max(1, ...steps.flatMap((step) => [step.joined, step.left]));
  const width = CHART.width / Math.max(1, steps.length);
  return steps.flatMap((step, i) => /** @type {const} */ (["joined", "left"]).filter((kind) => step[kind] > 0).map((kind) => {
    const height = (step[kind] / most) * (CHART.middle - GAP);
    const y = kind === "joined" ? CHART.middle - height : CHART.middle;
    return { kind, number: step[kind], at_ms: step.at_ms, x: i * width, y, width: Math.max(GAP, width - GAP), height };
  }));
}

/** @param {Alert[]} alerts @param {boolean} isKnown whether somebody watches @returns {string} */
export function tellAlerts(alerts, isKnown) {
  if (alerts.length > 0) return ngettext("{count} alert", "{count} alerts", alerts.length);
  return isKnown ? gettext("nothing is wrong, as far as can be seen from outside") : gettext("not watched: not known");
}
