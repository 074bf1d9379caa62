/**
 * Replays an incident file: slider, play, keys, ring and tables. Runs inside the file, without a server.
 *
 * Invariants
 *   R1  A file without its end says that it is cut off, and is not replayed.
 *   R2  Nothing is fetched: all there is stands in the file.
 * Elsewhere: what was when (incidentmodel.js), tables (incidenttables.js), how it gets into the file (dlmsite/dashboard/incidentfile.py).
 */

import { byId, make, oncePerFrame, setText, shape } from "./dom.js";
import { count } from "./format.js";
import { Incident, tellChain, utc } from "./incidentmodel.js";
import { Tables } from "./incidenttables.js";
import { listenKeys, listenPageKeys } from "./keys.js";
import { nodeColor } from "./palette.js";
import { HashRing } from "./ring.js";
import { diffRings } from "./ringdiff.js";
import { RingView } from "./ringview.js";
import { gettext, ngettext } from "./text.js";

const SLIDER_STEPS = 1_000;
const DARK = matchMedia("(prefers-color-scheme: dark)");
const STRIP_PX = 26;

/** @param {string} name @returns {any[]} what the file holds of one part */
function parts(name) {
  return [...document.querySelectorAll(`script[type="application/json"][data-part="${name}"]`)].map((part) => JSON.parse(part.textContent ?? "null"));
}

/** @param {Incident} incident */
function replay(incident) {
  const { head, end } = incident;
  const slider = byId("slider", HTMLInputElement);
  const speed = byId("speed", HTMLSelectElement);
  const playButton = byId("play", HTMLButtonElement);
  const strip = /** @type {SVGSVGElement} */ (document.querySelector("#strip"));
  const spanNs = Number(incident.toNs - incident.fromNs) || 1;
  const colorOf = (/** @type {string} */ address) => nodeColor(head.colors[address] ?? 7, DARK.matches);
  const cluster = { ring: new HashRing([]), locks: incident.locks, labelOf: (/** @type {string | null} */ address) => (address === null || address === "" ? "nobody" : incident.labelOf(address)) };
  let now = incident.fromNs;
  let playing = false;
  /** @type {RingView | null} */
  let view = null;
  const tables = new Tables(incident, { colorOf, go });

  /** @param {bigint} ns */
  function go(ns) {
    now = incident.within(ns);
    slider.value = String((Number(now - incident.fromNs) / spanNs) * SLIDER_STEPS);
    redraw();
  }

  const redraw = oncePerFrame(() => {
    const before = cluster.ring;
    cluster.locks = incident.locksAt(now);
    cluster.ring = incident.ring;
    view ??= new RingView(byId("ring", HTMLCanvasElement), /** @type {any} */ (cluster), colorOf);
    if (before !== cluster.ring) view.ringChanged({ before, after: cluster.ring, diff: diffRings(before, cluster.ring), first: before.size === 0 || playing === false });
    else view.locksChanged();
    const text = utc(now);
    setText(byId("now", HTMLElement), `${text} UTC`);
    slider.setAttribute("aria-valuetext", text);
    setText(byId("held", HTMLElement), count(cluster.locks.size));
    setText(byId("told", HTMLElement), gettext("{done} of {all} events so far", { done: count(incident.countAt(now)), all: count(incident.events.length) }));
    byId("previous", HTMLButtonElement).disabled = incident.previous(now) === null;
    byId("next", HTMLButtonElement).disabled = incident.next(now) === null;
    drawStrip(strip, incident, now);
    tables.show(now);
  });

  function play() {
    playing = !playing && now < incident.toNs;
    setText(playButton, playing ? gettext("Pause") : gettext("Play"));
    playButton.setAttribute("aria-pressed", String(playing));
    if (!playing) return;
    let beforeMs = performance.now();
    const frame = () => {
      if (!playing) return;
      const ms = performance.now();
      go(now + BigInt(Math.round((ms - beforeMs) * 1_000_000 * Number(speed.value))));
      beforeMs = ms;
      if (now >= incident.toNs) play();
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  /** @param {bigint | null} ns */
  const step = (ns) => {
    if (playing) play();
    if (ns !== null) go(ns);
  };
  slider.addEventListener("input", () => step(incident.fromNs + BigInt(Math.round((Number(slider.value) / SLIDER_STEPS) * spanNs))));
  playButton.addEventListener("click", play);
  byId("previous", HTMLButtonElement).addEventListener("click", () => step(incident.previous(now)));
  byId("next", HTMLButtonElement).addEventListener("click", () => step(incident.next(now)));
  const keys = [
    { keys: ["["], does: gettext("previous event"), act: () => step(incident.previous(now)) },
    { keys: ["]"], does: gettext("next event"), act: () => step(incident.next(now)) },
    { keys: ["p"], does: gettext("play, or pause"), act: play },
    { keys: ["Home"], does: gettext("the interval's beginning"), act: () => step(incident.fromNs) },
    { keys: ["End"], does: gettext("the interval's end"), act: () => step(incident.toNs) },
  ];
  listenPageKeys(keys);
  listenKeys(gettext("On the slider"), slider, keys);
  DARK.addEventListener("change", () => {
    view?.restyle();
    redraw();
  });
  byId("replay", HTMLElement).hidden = false;
  tellFile(incident);
  go(incident.fromNs);
  setText(byId("ends", HTMLElement), end.cut ? gettext("{time} UTC, where it was cut", { time: utc(incident.toNs) }) : `${utc(incident.toNs)} UTC`);
  setText(byId("begins", HTMLElement), utc(incident.fromNs));
}

/** @param {SVGSVGElement} svg @param {Incident} incident @param {bigint} now */
function drawStrip(svg, incident, now) {
  const at = (/** @type {bigint} */ ns) => `${((Number(incident.within(ns) - incident.fromNs) / (Number(incident.toNs - incident.fromNs) || 1)) * 100).toFixed(3)}%`;
  if (svg.childElementCount === 0) {
    svg.append(shape("line", { class: "base", x1: "0", x2: "100%", y1: String(STRIP_PX - 4), y2: String(STRIP_PX - 4) }));
    for (const mark of incident.marks) svg.append(markOf(mark.kind, at(mark.ns), mark.text));
    svg.append(shape("line", { class: "cursor", y1: "0", y2: String(STRIP_PX) }));
  }
  const cursor = svg.lastElementChild;
  cursor?.setAttribute("x1", at(now));
  cursor?.setAttribute("x2", at(now));
}

/** Each kind has a shape of its own. @param {string} kind @param {string} x @param {string} title */
function markOf(kind, x, title) {
  const inner = shape("svg", { x, y: "0", overflow: "visible" });
  const paths = { view: "M-1.5 6h3v16h-3z", fault: "M0 22l-6 -10h12z", action: "M-4 8a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", violation: "M-5 2l10 10m0 -10l-10 10" };
  inner.append(shape("path", { class: kind, d: paths[/** @type {keyof typeof paths} */ (kind)] }, undefined, title));
  return inner;
}

/** What this file is, and what it lacks. @param {Incident} incident */
function tellFile({ head, end }) {
  const chain = tellChain(end.chain);
  const pill = byId("chain-pill", HTMLElement);
  pill.dataset["tone"] = chain.tone;
  setText(pill, chain.tone === "ok" ? gettext("rows verified") : chain.tone === "bad" ? gettext("rows NOT whole") : gettext("rows not verified"));
  setText(byId("chain", HTMLElement), chain.text);
  setText(byId("head", HTMLElement), end.chain.head === "" ? "" : gettext("head of the chain when made: {head}", { head: end.chain.head }));
  setText(byId("made", HTMLElement), gettext("made {time} UTC by {who}", { time: utc(BigInt(head.made_ns)), who: head.made_by }));
  const lacks = [...end.says, ...head.start.moment.doubts];
  if (head.start.moment.missing > 0) lacks.push(ngettext("{count} fact that should be in the first picture never arrived.", "{count} facts that should be in the first picture never arrived.", head.start.moment.missing));
  byId("says", HTMLElement).replaceChildren(...lacks.map((text) => make("p", { text })));
}

const [head] = parts("head");
const [end] = parts("end");
if (head !== undefined && end !== undefined) {
  replay(new Incident(head, parts("events"), end));
  byId("unfinished", HTMLElement).hidden = true;
}
