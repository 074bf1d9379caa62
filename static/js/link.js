/**
 * The connection's state: when to ping, when to give up, when to try again, and what to tell people.
 *
 * Pure: time and randomness are arguments. socket.js does what `tick` says.
 *
 * Invariants
 *   L1  The page never looks live while it is not: silence beyond STALE_MS is called stale.
 *   L2  Retries back off up to BACKOFF_MAX_MS, with jitter, so that many pages do not return in step.
 *   L3  A reconnect resumes from the last event that was folded.
 */

import { age, clock } from "./format.js";
import { gettext } from "./text.js";

export const BACKOFF_FIRST_MS = 500;
export const BACKOFF_MAX_MS = 15_000;
export const PING_AFTER_MS = 4_000;
/** The server looks at the cluster five times a second and says so at least once a second. */
export const QUIET_MS = 2_000;
export const STALE_MS = 8_000;
export const GIVE_UP_MS = 12_000;
export const LAG_WARN_MS = 2_000;

/**
 * @typedef {{tone: "ok" | "warn" | "bad", text: string, title: string}} LinkText
 */

/**
 * How long to wait before the next try.
 * @param {number} attempt 0 for the first retry
 * @param {number} random in [0, 1)
 * @returns {number} milliseconds, between half of and the whole backoff
 */
export function backoffMs(attempt, random) {
  const full = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 20));
  return full / 2 + (full / 2) * random;
}

/**
 * The address to resume at.
 * @param {string} path
 * @param {string} lastEventId "0" when nothing is known yet
 * @returns {string}
 */
export function resumePath(path, lastEventId) {
  return lastEventId === "0" ? path : `${path}?after=${encodeURIComponent(lastEventId)}`;
}

export class Link {
  /** @param {number} nowMs */
  constructor(nowMs) {
    /** @type {"connecting" | "live" | "waiting" | "ended"} */
    this.phase = "connecting";
    this.attempt = 0;
    this.retryAtMs = 0;
    this.startedMs = nowMs;
    this.heardMs = 0;
    this.pingedMs = 0;
    /** @type {number | null} */
    this.lagMs = null;
    this.reason = "";
  }

  /** @param {number} nowMs */
  connecting(nowMs) {
    this.phase = "connecting";
    this.startedMs = nowMs;
    this.pingedMs = 0;
  }

  /**
   * Something arrived.
   * @param {number} nowMs
   * @param {number | null} [lagMs] what the server says it lags behind the cluster
   */
  heard(nowMs, lagMs) {
    this.phase = "live";
    this.attempt = 0;
    this.heardMs = nowMs;
    this.pingedMs = 0;
    if (lagMs !== undefined) this.lagMs = lagMs;
  }

  /** @param {number} nowMs @param {number} random in [0, 1) */
  closed(nowMs, random) {
    if (this.phase === "ended") return;
    this.retryAtMs = nowMs + backoffMs(this.attempt, random);
    this.attempt += 1;
    this.phase = "waiting";
  }

  /** The server will not have us: trying again would change nothing. @param {string} reason */
  end(reason) {
    this.phase = "ended";
    this.reason = reason;
  }

  /**
   * What is due now.
   * @param {number} nowMs
   * @returns {"connect" | "ping" | "close" | null}
   */
  tick(nowMs) {
    if (this.phase === "waiting") return nowMs >= this.retryAtMs ? "connect" : null;
    if (this.phase === "ended") return null;
    const silentMs = nowMs - (this.phase === "live" ? this.heardMs : this.startedMs);
    if (silentMs >= GIVE_UP_MS) return "close";
    if (this.phase === "live" && silentMs >= PING_AFTER_MS && this.pingedMs < this.heardMs + PING_AFTER_MS) {
      this.pingedMs = nowMs;
      return "ping";
    }
    return null;
  }

  /** @param {number} nowMs @returns {boolean} whether what is on the page is of now */
  isLive(nowMs) {
    return this.phase === "live" && nowMs - this.heardMs < STALE_MS;
  }

  /** @param {number} nowMs @returns {LinkText} */
  describe(nowMs) {
    const since = this.heardMs === 0 ? "" : gettext("stale since {heard} ({now})", { heard: clock(this.heardMs), now: age(nowMs - this.heardMs) });
    const title = since || gettext("Nothing received yet");
    if (this.phase === "ended") return { tone: "bad", text: this.reason, title };
    if (this.phase === "waiting") {
      const seconds = Math.max(1, Math.ceil((this.retryAtMs - nowMs) / 1000));
      return { tone: "bad", text: join(`reconnecting in ${seconds} s`, since), title };
    }
    if (this.phase === "connecting") return { tone: "warn", text: join("connecting", since), title };
    if (!this.isLive(nowMs)) return { tone: "bad", text: since, title: gettext("The server is silent") };
    return this.#live(nowMs - this.heardMs);
  }

  /** @param {number} silentMs @returns {LinkText} */
  #live(silentMs) {
    if (silentMs > QUIET_MS) return { tone: "warn", text: gettext("silent for {silent}", { silent: age(silentMs) }), title: gettext("The connection is open, and nothing comes") };
    if (this.lagMs === null) return { tone: "ok", text: gettext("connected · lag unknown"), title: gettext("The server has not measured its lag yet") };
    const tone = this.lagMs > LAG_WARN_MS ? "warn" : "ok";
    return { tone, text: gettext("connected · lag {lag}", { lag: lag(this.lagMs) }), title: gettext("From the event in the cluster to this page's server") };
  }
}

/** @param {number} ms @returns {string} */
function lag(ms) {
  return ms < 10_000 ? `${Math.round(ms)} ms` : age(ms);
}

/** @param {string} first @param {string} second @returns {string} */
function join(first, second) {
  return second === "" ? first : `${first} · ${second}`;
}
