/**
 * Time travel: the line under the ring, its keys, the moment in the address, and the pictures of the past.
 *
 * Invariants
 *   P1  At most one picture is asked for at a time; what was wanted last is asked for next, the rest is skipped.
 *   P2  While the past is shown, it says so, with its time, and one key leads back.
 *
 * Elsewhere: keys and pointer (timelinehands.js), what is where (timelinemodel.js), drawing (timelinestrip.js), what becomes of a picture (main.js).
 */

import { get, SignedOut } from "./api.js";
import { byId, oncePerFrame, setAttribute, setState, setText } from "./dom.js";
import { messageOf } from "./format.js";
import { gettext, ngettext } from "./text.js";
import { ComparePanel } from "./timelinecompare.js";
import { listen, spanMs } from "./timelinehands.js";
import { dateTime, msOf, nsText, readAddress, TimeLine, writeAddress } from "./timelinemodel.js";
import { drawCursors, drawMarks } from "./timelinestrip.js";
import { MarksTable } from "./timelinetable.js";

const REREAD_EVERY_MS = 10_000;
const REREAD_SOON_MS = 600;
const TICK_MS = 1_000;
/** Time moves what is drawn in steps of so many pixels. */
const STEP_PX = 2;
/** As the width of what is drawn: it is to be drawn anew. */
const NOTHING = -1;
const PLAY_TICK_MS = 100;
const PICTURE_EVERY_MS = 250;
const MARKED = new Set(["died", "fenced", "gap", "operator"]);

/**
 * @typedef {{at_ns: string, at_ms: number, event: string, where: string, doubts: string[], missing: number,
 *   gaps: {text: string, label: string, at_ms: number}[]}} Head
 * @typedef {import("./contract.js").Snapshot & {moment: Head}} Past
 */

export class Travel {
  /**
   * @param {{labelOf: (address: string | null) => string, colorOf: (address: string) => string,
   *   onPast: (past: Past) => void, onLive: () => void, onSignedOut: () => void}} parts
   */
  constructor(parts) {
    this.parts = parts;
    this.line = new TimeLine();
    this.app = byId("app", HTMLElement);
    this.track = byId("timeline-track", HTMLElement);
    const svg = this.track.querySelector("svg");
    if (!svg) throw new Error("The line of time has no picture");
    this.svg = svg;
    this.note = byId("timeline-note", HTMLElement);
    this.ribbon = byId("past", HTMLElement);
    this.ribbonTime = byId("past-time", HTMLElement);
    this.playButton = byId("timeline-play", HTMLButtonElement);
    this.compareButton = byId("timeline-compare", HTMLButtonElement);
    this.speed = byId("timeline-speed", HTMLSelectElement);
    this.span = byId("timeline-span", HTMLSelectElement);
    this.table = new MarksTable(this.line, (ns) => this.go(ns));
    this.compare = new ComparePanel({ ...parts, onClose: () => this.compareWith(null) });
    this.playing = false;
    this.problem = "";
    /** @type {Head | null} */
    this.head = null;
    this.asking = false;
    this.askedMs = 0;
    /** @type {bigint | null} */
    this.shown = null;
    this.readMs = 0;
    this.rereadDue = false;
    this.drawn = { fromMs: 0, toMs: 0, width: NOTHING };
    this.draw = oncePerFrame(() => this.#draw());
    listen(this);
  }

  /** Whether what is shown is not the present. */
  get past() {
    return !this.line.live;
  }

  /** Read the line, and go where the address says. */
  start() {
    const address = readAddress(location.search);
    if (address.at !== null) {
      this.line.withNs = address.with;
      this.go(address.at);
    }
    this.line.spanMs = spanMs(this.span);
    void this.#read();
    setInterval(() => this.#tick(), TICK_MS);
    new ResizeObserver(() => this.draw()).observe(this.track);
  }

  /** Something has happened: a mark may be new. @param {{view: boolean, events: import("./contract.js").LockEvent[], actions: boolean}} change */
  heard(change) {
    if (change.view || change.actions || change.events.some((event) => MARKED.has(event.kind))) this.rereadSoon();
  }

  /** Show a moment. @param {bigint} ns */
  go(ns) {
    this.line.goTo(ns);
    this.moved();
  }

  goLive() {
    this.stop();
    this.line.goLive();
    this.moved();
  }

  // --- inside --------------------------------------------------------------------------------------------------------

  /** The moment is another one: say so at once, and ask for its picture. */
  moved() {
    const { line } = this;
    const wasPast = this.app.classList.contains("is-past");
    const nowMs = Date.now();
    if (line.frame(nowMs)) this.rereadSoon();
    this.#address();
    this.app.classList.toggle("is-past", this.past);
    this.ribbon.hidden = !this.past;
    if (line.atNs !== null) setText(this.ribbonTime, dateTime(msOf(line.atNs)), new Date(msOf(line.atNs)).toISOString());
    if (this.past) void this.#ask();
    else if (wasPast) this.#arrived();
    this.#compareShown();
    this.draw();
  }

  #arrived() {
    this.shown = null;
    this.head = null;
    this.problem = "";
    this.parts.onLive();
  }

  async #ask() {
    if (this.asking) return; // whoever asks looks again afterwards (P1)
    this.asking = true;
    try {
      while (this.line.atNs !== null && this.line.atNs !== this.shown) await this.#askOne(this.line.atNs);
    } finally {
      this.asking = false;
    }
    this.draw();
  }

  /** @param {bigint} wanted */
  async #askOne(wanted) {
    await pause(this.askedMs + PICTURE_EVERY_MS - Date.now());
    if (this.line.atNs === null) return;
    wanted = this.line.atNs;
    this.askedMs = Date.now();
    try {
      /** @type {Past} */
      const past = await get(`/api/moment/?at_ns=${wanted}`);
      this.problem = "";
      if (this.past) {
        this.head = past.moment;
        this.parts.onPast(past);
      }
    } catch (error) {
      if (error instanceof SignedOut) this.parts.onSignedOut();
      this.problem = messageOf(error);
      this.stop();
    }
    this.shown = wanted;
  }

  #address() {
    const { atNs: at, withNs } = this.line;
    const wanted = writeAddress(location.search, { at, with: withNs });
    if (wanted !== location.search) history.replaceState(null, "", `${location.pathname}${wanted}${location.hash}`);
  }

  async #read() {
    const { line } = this;
    const nowMs = Date.now();
    this.readMs = nowMs;
    line.frame(nowMs);
    const whole = line.spanMs === null;
    const range = whole ? "" : `?from_ns=${nsText(line.fromMs)}&to_ns=${nsText(line.toMs)}`;
    try {
      line.take(await get(`/api/timeline/${range}`), Date.now());
    } catch (error) {
      if (error instanceof SignedOut) this.parts.onSignedOut();
      else if (!this.past) setText(this.note, gettext("The line of time cannot be read: {message}", { message: messageOf(error) }));
      return;
    }
    line.frame(Date.now());
    this.drawn.width = NOTHING;
    this.draw();
  }

  rereadSoon() {
    if (this.rereadDue) return;
    this.rereadDue = true;
    setTimeout(() => {
      this.rereadDue = false;
      void this.#read();
    }, REREAD_SOON_MS);
  }

  #tick() {
    if (document.hidden) return;
    if (Date.now() - this.readMs >= REREAD_EVERY_MS) void this.#read();
    this.line.frame(Date.now());
    if (this.#isOff()) this.draw();
  }

  // --- what is shown -------------------------------------------------------------------------------------------------

  #draw() {
    const { line } = this;
    const nowMs = Date.now();
    line.frame(nowMs);
    if (this.#isOff()) {
      this.drawn = { fromMs: line.fromMs, toMs: line.toMs, width: this.svg.clientWidth };
      drawMarks(this.svg, line, nowMs);
    }
    drawCursors(this.svg, line, nowMs);
    this.#slider(nowMs);
    this.#buttons();
    this.#tell(nowMs);
    this.table.show();
  }

  /** @returns {boolean} whether a mark is too far from where it should be: what moves less needs no drawing */
  #isOff() {
    const { fromMs, toMs, width } = this.drawn;
    const { line } = this;
    const pxMs = (line.toMs - line.fromMs) / (this.svg.clientWidth || 1);
    return width !== this.svg.clientWidth || Math.max(Math.abs(line.fromMs - fromMs), Math.abs(line.toMs - toMs)) >= STEP_PX * pxMs;
  }

  /** @param {number} nowMs */
  #slider(nowMs) {
    const { line } = this;
    const begin = line.firstMs || line.fromMs;
    setAttribute(this.track, "aria-valuemin", String(Math.round(begin / 1_000)));
    setAttribute(this.track, "aria-valuemax", String(Math.round(line.nowMs(nowMs) / 1_000)));
    setAttribute(this.track, "aria-valuenow", String(Math.round(line.atMs(nowMs) / 1_000)));
    setAttribute(this.track, "aria-valuetext", line.valueText(nowMs));
  }

  #buttons() {
    const { line } = this;
    setState(byId("timeline-previous", HTMLButtonElement), { disabled: line.previous() === null });
    setState(byId("timeline-next", HTMLButtonElement), { disabled: line.live });
    setState(this.playButton, { disabled: line.live });
    setText(this.playButton, this.playing ? gettext("Pause") : gettext("Play"));
    setAttribute(this.playButton, "aria-pressed", String(this.playing));
    setAttribute(byId("timeline-file", HTMLAnchorElement), "href", `/api/incident/?${new URLSearchParams({ from: nsText(line.fromMs), to: nsText(line.toMs) })}`);
    setState(this.compareButton, { disabled: line.live });
    setText(this.compareButton, line.withNs === null ? gettext("Compare from here") : gettext("Stop comparing"));
    setAttribute(this.compareButton, "aria-pressed", String(line.withNs !== null));
  }

  /** @param {number} nowMs */
  #tell(nowMs) {
    const { line, head } = this;
    const busy = line.atNs !== null && line.atNs !== this.shown;
    setAttribute(this.track, "aria-busy", String(busy));
    if (this.problem !== "") return setText(this.note, this.problem);
    if (line.live) return setText(this.note, line.marks.length === 0 ? gettext("Live. Nothing is marked in this stretch.") : gettext("Live. Point at the line, or press [ for the last mark."));
    const told = [line.where(nowMs) === "past" ? "" : capital(line.where(nowMs)), line.met()?.text ?? "", ...(head?.doubts ?? [])];
    if (head !== null && head.missing > 0) told.push(gettext("{missing} that should be in this picture never arrived: {gaps}.", { missing: ngettext("{count} fact", "{count} facts", head.missing), gaps: head.gaps.map((gap) => `${gap.label}, ${gap.text}`).join("; ") }));
    setText(this.note, told.filter(Boolean).join(" · ") || gettext("The past, as it was recorded."));
  }

  // --- comparing and playing -----------------------------------------------------------------------------------------

  /** @param {bigint | null} ns */
  compareWith(ns) {
    this.line.withNs = ns;
    this.#address();
    this.#compareShown();
    this.draw();
  }

  #compareShown() {
    const { atNs, withNs } = this.line;
    if (atNs === null || withNs === null) this.compare.hide();
    else if (!this.playing) void this.compare.show(withNs, atNs);
  }

  stop() {
    this.playing = false;
  }

  play() {
    this.playing = !this.playing && this.past;
    this.draw();
    if (!this.playing) return this.#compareShown();
    let beforeMs = performance.now();
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (this.playing) {
        if (this.line.play(nowMs - beforeMs, Number(this.speed.value), Date.now())) this.stop();
        this.moved();
      }
      if (!this.playing) clearInterval(timer);
      beforeMs = nowMs;
    }, PLAY_TICK_MS);
  }
}

/** @param {number} ms @returns {Promise<void>} */
function pause(ms) {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}

/** @param {string} text @returns {string} */
function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
