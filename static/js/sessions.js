/**
 * The sessions, as the nodes tell them: who they are, whether they live, what they hold and wait for.
 *
 * Asked only while the section is open. Counts are sums over the nodes that answered; the status says who did not.
 */

import { get, SignedOut } from "./api.js";
import { byId, make, setText } from "./dom.js";
import { age, clock, count, messageOf, shortSession } from "./format.js";
import { gettext, ngettext } from "./text.js";

const EVERY_MS = 2_000;
const TONES = new Map([["alive", "ok"], ["lapsed", "warn"], ["ended", ""]]);

/** @typedef {import("./contract.js").Sessions} Told */

/**
 * What the numbers rest on, in words. Pure.
 * @param {Told} told
 * @returns {string}
 */
export function tellSessions({ sessions, total, counted, asked, silent, seen_ms: seenMs }) {
  if (asked === 0) return gettext("No node is up, so nobody can tell.");
  if (silent.length === asked) return gettext("No node answered, so nothing is known.");
  return [
    total > sessions.length ? gettext("The newest {sessions} of {total}", { sessions: count(sessions.length), total: ngettext("{count} session", "{count} sessions", total) }) : ngettext("{count} session", "{count} sessions", total),
    ` at ${clock(seenMs)}`,
    silent.length > 0 ? gettext(". {nodes} did not answer: the counts may be too low", { nodes: silent.join(", ") }) : "",
    counted ? "" : gettext(". They have more than was counted: the counts are too low"),
    ".",
  ].join("");
}

export class SessionsPanel {
  /** @param {{onEvents: (session: string) => void}} parts `onEvents`: show what happened to a session */
  constructor({ onEvents }) {
    this.onEvents = onEvents;
    this.section = byId("sessions", HTMLDetailsElement);
    this.status = byId("sessions-status", HTMLElement);
    this.problem = byId("sessions-problem", HTMLElement);
    this.body = byId("sessions-body", HTMLTableSectionElement);
    this.table = byId("sessions-table", HTMLTableElement);
    this.asked = 0;
    this.seenMs = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.section.addEventListener("toggle", () => {
      clearTimeout(this.timer);
      this.asked += 1;
      if (this.section.open) void this.#ask();
    });
  }

  async #ask() {
    this.asked += 1;
    const number = this.asked;
    try {
      if (!document.hidden) {
        const told = await get("/api/sessions/");
        if (number !== this.asked) return;
        this.#show(told);
      }
    } catch (error) {
      if (number !== this.asked) return;
      setText(this.problem, messageOf(error));
      this.problem.hidden = false;
      this.table.classList.toggle("is-old", true);
      setText(this.status, this.seenMs === 0 ? gettext("unknown") : gettext("as of {seen}; it may be otherwise now", { seen: clock(this.seenMs) }));
      if (error instanceof SignedOut) return;
    }
    this.timer = setTimeout(() => void this.#ask(), EVERY_MS);
  }

  /** @param {Told} told */
  #show(told) {
    this.seenMs = told.seen_ms;
    this.problem.hidden = true;
    this.table.classList.remove("is-old");
    setText(this.status, tellSessions(told));
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["session"] : undefined;
    const rows = told.sessions.map((session) => this.#row(session));
    if (rows.length === 0) rows.push(make("tr", { class: "empty" }, [make("td", { colspan: "8", text: told.silent.length === told.asked ? gettext("Unknown.") : gettext("There is no session.") })]));
    this.body.replaceChildren(...rows);
    if (focused !== undefined) this.#focus(focused);
  }

  /** @param {string} session */
  #focus(session) {
    const button = [...this.body.querySelectorAll("button")].find((one) => one.dataset["session"] === session);
    button?.focus();
  }

  /** @param {import("./contract.js").SessionFacts} session */
  #row(session) {
    const button = make("button", { type: "button", class: "small", "data-session": session.id, title: gettext("Show only events of this session"), text: gettext("Events") });
    button.addEventListener("click", () => this.onEvents(session.id));
    return make("tr", { "data-state": session.state }, [
      make("td", { "data-label": gettext("Label") }, [make("span", { class: "clip", text: session.label || gettext("without a name"), title: session.label })]),
      make("td", { "data-label": gettext("Session"), class: "mono", title: session.id, text: shortSession(session.id) }),
      make("td", { "data-label": gettext("State") }, [make("span", { class: "badge", "data-tone": TONES.get(session.state) ?? "", text: session.state })]),
      make("td", { "data-label": gettext("Ends in"), class: "num", text: session.state === "alive" ? age(session.remaining_ms) : "–" }),
      ...["locks", "ranges", "waits"].map((name) => make("td", {
        "data-label": `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`, class: "num", text: count(session[/** @type {"locks" | "ranges" | "waits"} */ (name)]),
      })),
      make("td", {}, [button]),
    ]);
  }
}
