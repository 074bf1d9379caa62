/**
 * Keys, pointer and buttons of the line of time.
 *
 *   on the line: arrows step from mark to mark, Page up and down move by a tenth, Home and End, space plays
 *   anywhere but in a field: L is live, [ and ] step
 *
 * Elsewhere: what they do (timeline.js), what is where (timelinemodel.js).
 */

import { byId } from "./dom.js";
import { msOf, nsText, readAddress } from "./timelinemodel.js";

const NEAR_PX = 6;
const PAGE_PART = 0.1;

/** @typedef {import("./timeline.js").Travel} Travel */

/** @param {Travel} travel */
export function listen(travel) {
  const { track, line, span } = travel;
  track.addEventListener("keydown", (event) => pressOnLine(travel, event));
  document.addEventListener("keydown", (event) => press(travel, event));
  track.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    track.setPointerCapture(event.pointerId);
    point(travel, event, NEAR_PX);
  });
  track.addEventListener("pointermove", (event) => {
    if (track.hasPointerCapture(event.pointerId)) point(travel, event, 0);
  });
  byId("past-live", HTMLButtonElement).addEventListener("click", () => travel.goLive());
  byId("timeline-previous", HTMLButtonElement).addEventListener("click", () => step(travel, line.previous()));
  byId("timeline-next", HTMLButtonElement).addEventListener("click", () => forward(travel));
  travel.playButton.addEventListener("click", () => travel.play());
  travel.compareButton.addEventListener("click", () => travel.compareWith(line.withNs === null ? line.atNs : null));
  span.addEventListener("change", () => {
    line.spanMs = spanMs(span);
    travel.rereadSoon();
    travel.draw();
  });
  addEventListener("popstate", () => {
    const { at, with: withNs } = readAddress(location.search);
    line.withNs = withNs;
    if (at === null) travel.goLive();
    else travel.go(at);
  });
}

/** @param {HTMLSelectElement} span @returns {number | null} how long the stretch is; null: all */
export function spanMs(span) {
  return span.value === "" ? null : Number(span.value) * 1_000;
}

/** @param {Travel} travel @param {PointerEvent} event @param {number} nearPx */
function point(travel, event, nearPx) {
  const box = travel.svg.getBoundingClientRect();
  const ns = travel.line.pick((event.clientX - box.left) / (box.width || 1), nearPx / (box.width || 1));
  travel.stop();
  if (msOf(ns) >= travel.line.nowMs(Date.now())) travel.line.goLive();
  else travel.line.goTo(ns);
  travel.moved();
}

/** @param {Travel} travel @param {import("./timelinemodel.js").Mark | null} mark */
function step(travel, mark) {
  if (mark === null) return;
  travel.stop();
  travel.go(BigInt(mark.at_ns));
}

/** To the next mark; behind the last one is the present. @param {Travel} travel */
function forward(travel) {
  if (travel.line.live) return;
  const next = travel.line.next();
  if (next === null) travel.goLive();
  else step(travel, next);
}

/** @param {Travel} travel @param {number} part of the stretch */
function shift(travel, part) {
  travel.stop();
  travel.line.shift(part, Date.now());
  travel.moved();
}

/** @param {Travel} travel @param {KeyboardEvent} event */
function pressOnLine(travel, event) {
  const { line } = travel;
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => step(travel, line.previous()), ArrowDown: () => step(travel, line.previous()),
    ArrowRight: () => forward(travel), ArrowUp: () => forward(travel),
    PageDown: () => shift(travel, -PAGE_PART), PageUp: () => shift(travel, PAGE_PART),
    Home: () => travel.go(BigInt(nsText(Math.ceil(line.firstMs)))), End: () => travel.goLive(),
    " ": () => travel.play(),
  };
  const act = event.altKey || event.ctrlKey || event.metaKey ? undefined : keys[event.key];
  if (act === undefined) return;
  event.preventDefault();
  act();
}

/** Keys of the whole page. @param {Travel} travel @param {KeyboardEvent} event */
function press(travel, event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  const { target } = event;
  if (target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName))) return;
  if (event.key === "l" || event.key === "L") {
    if (travel.past) travel.goLive();
  } else if (event.key === "[") step(travel, travel.line.previous());
  else if (event.key === "]") forward(travel);
  else return;
  event.preventDefault();
}
