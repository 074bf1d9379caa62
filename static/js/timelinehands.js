/**
 * Keys, pointer and buttons of the line of time.
 *
 * Elsewhere: what they do (timeline.js), what is where (timelinemodel.js).
 */

import { byId, setText } from "./dom.js";
import { listenKeys, listenPageKeys, tellKeys } from "./keys.js";
import { gettext } from "./text.js";
import { msOf, nsText, readAddress } from "./timelinemodel.js";

const NEAR_PX = 6;
const PAGE_PART = 0.1;

/** @typedef {import("./timeline.js").Travel} Travel */

/** @param {Travel} travel */
export function listen(travel) {
  const { track, line, span } = travel;
  const onLine = lineKeys(travel);
  listenKeys(gettext("On the line of time"), track, onLine);
  listenPageKeys(pageKeys(travel));
  setText(byId("timeline-keys", HTMLElement), `${tellKeys(onLine)}. ${gettext("Every mark has its row in the table of marks below.")}`);
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

/** @param {Travel} travel @returns {import("./keys.js").Binding[]} */
function lineKeys(travel) {
  const { line } = travel;
  return [
    { keys: ["ArrowLeft", "ArrowDown"], does: gettext("previous mark"), act: () => step(travel, line.previous()) },
    { keys: ["ArrowRight", "ArrowUp"], does: gettext("next mark"), act: () => forward(travel) },
    { keys: ["PageDown"], does: gettext("a tenth of the stretch back"), act: () => shift(travel, -PAGE_PART) },
    { keys: ["PageUp"], does: gettext("a tenth of the stretch on"), act: () => shift(travel, PAGE_PART) },
    { keys: ["Home"], does: gettext("the first event"), act: () => travel.go(BigInt(nsText(Math.ceil(line.firstMs)))) },
    { keys: ["End"], does: gettext("live"), act: () => travel.goLive() },
    { keys: [" "], does: gettext("play, and stop"), act: () => travel.play() },
  ];
}

/** @param {Travel} travel @returns {import("./keys.js").Binding[]} */
function pageKeys(travel) {
  return [
    { keys: ["l"], does: gettext("live"), act: () => travel.past && travel.goLive() },
    { keys: ["["], does: gettext("previous mark on the line of time"), act: () => step(travel, travel.line.previous()) },
    { keys: ["]"], does: gettext("next mark on the line of time"), act: () => forward(travel) },
  ];
}
