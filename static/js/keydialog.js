/**
 * What is on one key: the named lock, its queue in order, its byte ranges on a strip, what was migrated.
 *
 * Asked of the key's primary when it is opened, and each second while it is open. What cannot be asked is not shown as
 * it was: the dialog says that it is old.
 * Elsewhere: where ranges lie (strip.js), drawing them (stripview.js).
 */

import { get, SignedOut } from "./api.js";
import { byId, make, setText, swatch } from "./dom.js";
import { age, clock, count, messageOf, shortNumber, shortSession, shorten } from "./format.js";
import { spanText } from "./strip.js";
import { drawStrip } from "./stripview.js";
import { gettext, ngettext, pieces } from "./text.js";

const EVERY_MS = 1_000;

/**
 * @typedef {import("./contract.js").KeyFacts} KeyFacts
 * @typedef {import("./contract.js").Piece} Piece
 */

export class KeyDialog {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, colorOf: (address: string) => string,
   *   release: import("./release.js").ReleaseForm | null}} parts `release`: for operators
   */
  constructor(parts) {
    this.parts = parts;
    this.dialog = byId("key-dialog", HTMLDialogElement);
    this.title = byId("key-title", HTMLElement);
    this.status = byId("key-status", HTMLElement);
    this.problem = byId("key-problem", HTMLElement);
    this.body = byId("key-body", HTMLElement);
    this.key = "";
    this.asked = 0;
    /** @type {KeyFacts | null} */
    this.facts = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    byId("key-close", HTMLButtonElement).addEventListener("click", () => this.dialog.close());
    this.dialog.addEventListener("close", () => {
      clearTimeout(this.timer);
      this.asked += 1;
    });
  }

  /** @param {string} key */
  open(key) {
    this.key = key;
    this.facts = null;
    setText(this.title, shorten(key, 120), key);
    byId("key-life", HTMLAnchorElement).search = `?key=${encodeURIComponent(key)}`;
    setText(this.status, gettext("asking its primary …"));
    this.problem.hidden = true;
    this.parts.release?.reset();
    this.body.replaceChildren();
    if (!this.dialog.open) this.dialog.showModal();
    void this.#ask();
  }

  async #ask() {
    clearTimeout(this.timer);
    this.asked += 1;
    const number = this.asked;
    try {
      const facts = await get(`/api/key/?key=${encodeURIComponent(this.key)}`);
      if (number !== this.asked) return;
      this.#show(facts);
    } catch (error) {
      if (number !== this.asked) return;
      this.#fail(error);
      if (error instanceof SignedOut) return;
    }
    this.timer = setTimeout(() => void this.#ask(), EVERY_MS);
  }

  /** @param {unknown} error */
  #fail(error) {
    setText(this.problem, messageOf(error));
    this.problem.hidden = false;
    this.parts.release?.show(null);
    this.body.classList.toggle("is-old", this.facts !== null);
    setText(this.status, this.facts === null ? gettext("unknown") : gettext("as of {seen}; it may be otherwise now", { seen: clock(this.facts.seen_ms) }));
  }

  /** @param {KeyFacts} facts */
  #show(facts) {
    this.facts = facts;
    this.problem.hidden = true;
    this.body.classList.remove("is-old");
    this.parts.release?.show(facts);
    const { cluster, colorOf } = this.parts;
    this.status.replaceChildren(...pieces(gettext("as {primary} decides, its primary, at {seen}"), {
      primary: swatch(cluster.labelOf(facts.primary), colorOf(facts.primary), { title: facts.primary }), seen: clock(facts.seen_ms),
    }));
    const inside = this.body.querySelector(".scroll");
    const [x, y] = [inside?.scrollLeft ?? 0, this.body.scrollTop];
    this.body.replaceChildren(...this.#lock(facts), ...this.#ranges(facts), ...this.#migrations(facts));
    this.body.scrollTop = y;
    this.body.querySelector(".scroll")?.scrollTo(x, 0);
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #lock({ holder, queue, queue_total: total, seen_ms: nowMs }) {
    const held = holder === null ? make("p", { class: "quiet", id: "key-holder", text: gettext("Nobody holds the lock.") }) : make("p", { id: "key-holder" }, pieces(
      holder.session === "" ? gettext("Held by {owner} by a token, generation {generation}. It ends in {remaining} unless it is renewed.")
        : gettext("Held by {owner} through the session {session}, generation {generation}. It ends in {remaining} unless it is renewed."), {
        owner: make("strong", { text: shorten(holder.owner, 80) || gettext("an owner without a name") }),
        session: make("span", {}, sessionName(holder.label, holder.session)),
        generation: make("span", { title: holder.generation, text: shortNumber(holder.generation) }), remaining: age(holder.remaining_ms),
      },
    ));
    const rows = queue.map((place, i) => make("tr", {}, [
      cell(gettext("Place"), String(i + 1), "num"), cell(gettext("Owner"), shorten(place.owner, 60)), make("td", { "data-label": gettext("Session") }, sessionName(place.label, place.session)),
      cell(gettext("Waits since"), sinceText(place.since_ms, nowMs)), cell(gettext("Gives up in"), place.remaining_ms === null ? gettext("never") : age(place.remaining_ms)),
    ]));
    return [
      make("h3", { text: gettext("Named lock") }), held,
      ...(rows.length === 0 ? [make("p", { class: "quiet", text: gettext("Nobody waits in its queue.") })] : [
        table("key-queue", gettext("The queue, in order"), [`${gettext("Place")}#`, gettext("Owner"), gettext("Session"), gettext("Waits since"), gettext("Gives up in")], rows), ...rest(total, rows.length),
      ]),
    ];
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #ranges(facts) {
    const { ranges, waiting, seen_ms: nowMs } = facts;
    if (ranges.length + waiting.length === 0) {
      return [make("h3", { text: gettext("Byte ranges") }), make("p", { class: "quiet", id: "key-no-ranges", text: gettext("No range is locked, and nobody waits for one.") })];
    }
    const width = Math.max(200, this.body.clientWidth - 12);
    const rows = [...ranges.map((piece) => pieceRow(piece, "held", "")), ...waiting.map((piece) => pieceRow(
      piece, piece.fair ? gettext("waits, is not passed") : gettext("waits"),
      [sinceText(piece.since_ms, nowMs), piece.remaining_ms === null ? "" : gettext("gives up in {remaining}", { remaining: age(piece.remaining_ms) })].filter(Boolean).join(", "),
    ))];
    return [
      make("h3", { text: gettext("Byte ranges") }), ...drawStrip(ranges, waiting, width),
      table("key-ranges", gettext("Byte ranges"), [gettext("State"), gettext("Kind"), gettext("Bytes"), gettext("Lock-owner"), gettext("Session"), `${gettext("Fence")}#`, gettext("Waits since")], rows),
      ...rest(facts.ranges_total + facts.waiting_total, rows.length),
    ];
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #migrations({ migrations }) {
    if (migrations.length === 0) return [];
    return [make("h3", { text: gettext("Migrations") }), make("ol", { class: "migrations", id: "key-migrations" }, migrations.map((moved) => make("li", {}, [
      make("span", { class: "num quiet", text: clock(moved.time_ms) }),
      make("span", { class: "move" }, [
        make("span", { class: "end mono", title: moved.from, text: shortSession(moved.from) }),
        make("span", { class: "arrow", "aria-label": "to", role: "img" }),
        make("span", { class: "end mono", title: moved.to, text: shortSession(moved.to) }),
      ]),
      make("span", { class: "quiet", text: [
        moved.kind === "migrated" ? gettext("the lock, without a break") : gettext("ranges, without a break"),
        ...(moved.label === "" ? [] : [gettext("now {label}", { label: shorten(moved.label, 60) })]),
      ].join(", ") }),
    ])))];
  }
}

/** @param {Piece} piece @param {string} state @param {string} since */
function pieceRow(piece, state, since) {
  return make("tr", { "data-state": state === "held" ? "held" : "waits" }, [
    cell(gettext("State"), state), cell(gettext("Kind"), piece.kind), cell(gettext("Bytes"), spanText(piece), "num-left"), cell(gettext("Lock-owner"), shorten(piece.owner, 60)),
    make("td", { "data-label": gettext("Session") }, sessionName(piece.label, piece.session)),
    make("td", { class: "num", "data-label": gettext("Fence"), title: piece.fence, text: shortSession(piece.fence) }), cell(gettext("Waits since"), since),
  ]);
}

/** @param {string} label @param {string} session @returns {(string | Node)[]} its name and the part in which ids differ */
export function sessionName(label, session) {
  return [shorten(label, 60) || gettext("without a name"), " ", make("span", { class: "quiet mono", title: session, text: shortSession(session) })];
}

/** @param {number | null} sinceMs @param {number} nowMs */
function sinceText(sinceMs, nowMs) {
  return sinceMs === null ? "unknown" : `${clock(sinceMs)}, for ${age(Math.max(0, nowMs - sinceMs))}`;
}

/** @param {string} label @param {string} text @param {string} [kind] */
function cell(label, text, kind) {
  return make("td", { class: kind, "data-label": label, text });
}

/** @param {string} id @param {string} caption @param {string[]} titles with # at the end for numbers @param {Node[]} rows */
function table(id, caption, titles, rows) {
  const heads = titles.map((title) => make("th", { scope: "col", class: title.endsWith("#") ? "num" : undefined, text: title.replace("#", "") }));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, [make("table", { class: "keyrows", id }, [
    make("caption", { class: "hidden", text: caption }), make("thead", {}, [make("tr", {}, heads)]), make("tbody", {}, rows),
  ])]);
}

/** @param {number} total @param {number} shown @returns {Node[]} */
function rest(total, shown) {
  return total <= shown ? [] : [make("p", { class: "quiet", text: gettext("and {total}; the first {shown} are shown", { total: ngettext("{count} more", "{count} more", total - shown), shown: count(shown) }) })];
}
