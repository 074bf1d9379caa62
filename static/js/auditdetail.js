/**
 * All that is known of one event: its fields, what caused it or came of it, and where to go on from it.
 *
 * Asked for when a row is opened. Elsewhere: causes (dlmsite/dashboard/auditlinks.py).
 */

import { get } from "./api.js";
import { isoLocal, linkTo } from "./auditmodel.js";
import { make } from "./dom.js";
import { age, messageOf } from "./format.js";
import { linkAround } from "./spacetimemodel.js";
import { gettext, ngettext } from "./text.js";

/**
 * @typedef {import("./contract.js").LockEvent} LockEvent
 * @typedef {{kinds: Record<string, number>, total: number, at_least: boolean}} Moved
 * @typedef {{number: string, version: string, at_ms: number, settled_ms: number | null, changes: string[]}} ShortView
 * @typedef {ShortView & {how: string, moved: Moved}} CausedView
 * @typedef {{id: string, who: string, what: string, target: string, state: string, detail: string, requested_ms: number,
 *   how: string, views: CausedView[]}} Cause
 * @typedef {{event: LockEvent, wall_ns: string, incarnation: string, number: string, place: string,
 *   view: ShortView | null, actions: Cause[]}} About
 */

/** @param {LockEvent} event @returns {HTMLElement} filled when the answer is there */
export function detailOf(event) {
  const host = make("div", {}, [make("p", { class: "quiet", role: "status", text: "reading …" })]);
  get(`/api/audit/event/?id=${event.id}`)
    .then((about) => host.replaceChildren(...parts(about)))
    .catch((error) => host.replaceChildren(make("p", { class: "problem", role: "alert", text: messageOf(error) })));
  return host;
}

/** @param {About} about @returns {Node[]} */
function parts(about) {
  const { event } = about;
  /** @type {[string, string][]} */
  const fields = [
    [gettext("Time"), `${isoLocal(event.time_ms)} (${about.wall_ns} ns)`], [gettext("Told by"), event.label === event.node ? event.node : `${event.label}, ${event.node}`],
    [gettext("Kind"), event.kind], [gettext("Owner"), event.owner], [gettext("Fencing token"), event.generation], [gettext("Seq"), event.seq], [gettext("View"), event.view],
    [gettext("Version"), event.version], [gettext("Session"), event.session], [gettext("Peer"), event.peer], [gettext("TTL"), event.ttl_ms === 0 ? "" : age(event.ttl_ms)],
    [gettext("Renewals"), event.renewals === 0 ? "" : String(event.renewals)], [gettext("Incarnation"), about.incarnation], [gettext("Number in its life"), about.number],
    [gettext("Row"), event.id], [gettext("Place in the chain"), about.place === "" ? gettext("none: recorded before there was a chain") : about.place],
  ];
  const long = [[gettext("Lock"), event.key], [gettext("Detail"), event.detail]];
  return [
    make("dl", { class: "about" }, [
      ...long.filter(([, value]) => value !== "").map(([name, value]) => field(String(name), String(value), "long")),
      ...fields.filter(([, value]) => value !== "").map(([name, value]) => field(name, value)),
    ]),
    ...causes(about),
    make("p", { class: "to" }, links(event).map(([text, href]) => make("a", { href, text }))),
  ];
}

/** @param {string} name @param {string} value @param {string} [kind] */
function field(name, value, kind) {
  return make("div", { class: kind }, [make("dt", { text: name }), make("dd", { text: value })]);
}

/** @param {About} about @returns {Node[]} */
function causes({ event, view, actions }) {
  if (event.kind === "operator") {
    if (actions.length === 0) return [];
    return [make("div", { class: "causes" }, [make("h3", { text: gettext("What came of it") }), make("ul", {}, actions.map(came))])];
  }
  if (view === null) return [];
  const behind = actions.length === 0 ? [make("li", { class: "quiet", text: gettext("No operator's action is known to be behind this view.") })] : actions.map(
    (action) => make("li", { text: action.how === "likely" ? gettext("likely after {action}", { action: tell(action) }) : gettext("after {action}", { action: tell(action) }) }),
  );
  return [make("div", { class: "causes" }, [
    make("h3", { text: gettext("The view it happened in, and what led to that") }),
    make("ul", {}, [make("li", {}, [viewLink(view), ` ${changesOf(view)}`, make("ul", {}, behind)])]),
  ])];
}

/** @param {Cause} action */
function came(action) {
  const views = action.views.map((view) => make("li", {}, [
    viewLink(view), ` ${changesOf(view)}${view.how === "likely" ? " (likely)" : ""}: `,
    view.moved.total === 0 ? gettext("no lock moved") : make("a", {
      href: linkTo({ view: view.number, kind: Object.keys(view.moved.kinds).join() }), text: movedText(view.moved),
    }),
  ]));
  const none = make("li", { class: "quiet", text: gettext("No view is known to have come of it.") });
  return make("li", {}, [tell(action), make("ul", {}, views.length === 0 ? [none] : views)]);
}

/** @param {Moved} moved */
function movedText(moved) {
  const kinds = Object.entries(moved.kinds).map(([kind, many]) => `${many} ${kind}`).join(", ");
  return `${moved.at_least ? `${gettext("at least")} ` : ""}${ngettext("{count} move", "{count} moves", moved.total)} (${kinds})`;
}

/** @param {ShortView} view */
function viewLink(view) {
  return make("a", { href: linkTo({ view: view.number }), text: `view ${view.number}` });
}

/** @param {ShortView} view */
function changesOf(view) {
  return view.changes.length === 0 ? "" : view.changes.join(", ");
}

/** @param {Cause} action */
function tell({ who, what, target, state, detail, requested_ms: atMs }) {
  return gettext("{who}: {asked}, asked for at {at}, {state}{detail}", { who, asked: `${what} ${target}`.trim(), at: isoLocal(atMs), state, detail: detail === "" ? "" : `: ${detail}` });
}

/** @param {LockEvent} event @returns {[string, string][]} */
function links(event) {
  const around = (/** @type {number} */ ms) => new Date(event.time_ms + ms).toISOString();
  return [
    ...(event.key === "" ? [] : [/** @type {[string, string]} */ ([gettext("All of this lock"), linkTo({ key: event.key })])]),
    ...(event.owner === "" ? [] : [/** @type {[string, string]} */ ([gettext("All of this owner"), linkTo({ owner: event.owner })])]),
    ...(event.session === "" ? [] : [/** @type {[string, string]} */ ([gettext("All of this session"), linkTo({ session: event.session })])]),
    ...(event.view === "" ? [] : [/** @type {[string, string]} */ ([gettext("All of this view"), linkTo({ view: event.view })])]),
    [gettext("Five seconds around it"), linkTo({ from: around(-2_500), to: around(2_500) })],
    [gettext("Who told whom then"), linkAround({ event: event.id, spanMs: 5_000 })],
  ];
}
