/**
 * Numbers, times and errors as people read them. Pure; the locale is fixed to English, 24-hour, so pictures and tests agree.
 */

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
// Made once: to make one takes longer than to use it a hundred times.
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const NANOSECOND_DIGITS = 16;

/** @param {unknown} error whatever was thrown @returns {string} what it says */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** @param {number} value @returns {string} such as 12,345 */
export function count(value) {
  return COUNT.format(value);
}

/**
 * @param {number} value
 * @param {string} one
 * @param {string} [many] the plural, when it is not one + "s"
 * @returns {string} such as "1 lock", "2 locks"
 */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** @param {number} fraction of 1 @returns {string} such as 33.3 % */
export function percent(fraction) {
  const value = fraction * 100;
  if (value > 0 && value < 0.05) return "<0.1 %";
  return `${value.toFixed(1)} %`;
}

/** @param {number} position @returns {string} eight hexadecimal digits with 0x */
export function hex(position) {
  return `0x${position.toString(16).padStart(8, "0")}`;
}

/** @param {number} position @returns {string} degrees clockwise from the top */
export function degrees(position) {
  return `${((position / 2 ** 32) * 360).toFixed(2)}°`;
}

/** @param {number} ms duration @returns {string} such as 320 ms, 4.2 s, 3 min, 2 h */
export function age(ms) {
  if (ms < SECOND_MS) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 10 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  if (ms < MINUTE_MS) return `${Math.round(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return `${Math.floor(ms / MINUTE_MS)} min`;
  if (ms < 2 * DAY_MS) return `${Math.floor(ms / HOUR_MS)} h`;
  return `${Math.floor(ms / DAY_MS)} d`;
}

/** @param {number} rate per second @returns {string} one decimal below 100 */
export function perSecond(rate) {
  return rate < 100 ? rate.toFixed(1) : count(rate);
}

/** @param {number} timeMs @returns {string} local time of day, to the second */
export function clock(timeMs) {
  return CLOCK.format(timeMs);
}

/** @param {number} timeMs @returns {string} local time of day, to the millisecond */
export function clockMs(timeMs) {
  return `${clock(timeMs)}.${String(Math.floor(timeMs % SECOND_MS)).padStart(3, "0")}`;
}

/**
 * A long number by the part in which it differs from its neighbours.
 *
 * Views, versions and generations are wall-clock nanoseconds: seconds (last four digits) and milliseconds tell them
 * apart. Anything short is shown as it is; other long names by their first eight characters.
 * @param {string} number
 * @returns {string} such as …7654.123
 */
export function shortNumber(number) {
  if (number === "" || number === "0") return "–";
  if (!/^\d+$/.test(number)) return number.length > 10 ? `${number.slice(0, 8)}…` : number;
  if (number.length < NANOSECOND_DIGITS) return number;
  const milliseconds = number.slice(0, -6);
  return `…${milliseconds.slice(-7, -3)}.${milliseconds.slice(-3)}`;
}

/**
 * A session's id, or a fence, by its end: those of about the same time begin alike.
 * @param {string} id
 * @returns {string}
 */
export function shortSession(id) {
  return id.length > 8 ? `…${id.slice(-6)}` : id || "–";
}

/** @param {string} text @param {number} limit characters @returns {string} */
export function shorten(text, limit) {
  const letters = [...text];
  return letters.length <= limit ? text : `${letters.slice(0, limit - 1).join("")}…`;
}
