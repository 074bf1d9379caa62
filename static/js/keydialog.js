/**
 * What is on one key: the named lock, its queue in order, its byte ranges on a strip, what was migrated.
 *
 * Asked of the key's primary when it is opened, and each second while it is open. What cannot be asked is not shown as
 * it was: the dialog says that it is old.
 * Elsewhere: where ranges lie (strip.js), drawing them (stripview.js).
 */

import { get, SignedOut } from "./api.js";
import { byId, make, setText, swatch } from "./dom.js";
import { age, clock, count, plural, shortNumber, shortSession, shorten } from "./format.js";
import { spanText } from "./strip.js";
import { drawStrip } from "./stripview.js";

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
    setText(this.status, "asking its primary …");
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
    setText(this.problem, error instanceof Error ? error.message : String(error));
    this.problem.hidden = false;
    this.parts.release?.show(null);
    this.body.classList.toggle("is-old", this.facts !== null);
    setText(this.status, this.facts === null ? "unknown" : `as of ${clock(this.facts.seen_ms)}; it may be otherwise now`);
  }

  /** @param {KeyFacts} facts */
  #show(facts) {
    this.facts = facts;
    this.problem.hidden = true;
    this.body.classList.remove("is-old");
    this.parts.release?.show(facts);
    const { cluster, colorOf } = this.parts;
    this.status.replaceChildren("as ", swatch(cluster.labelOf(facts.primary), colorOf(facts.primary), { title: facts.primary }),
      ` decides, its primary, at ${clock(facts.seen_ms)}`);
    const inside = this.body.querySelector(".scroll");
    const [x, y] = [inside?.scrollLeft ?? 0, this.body.scrollTop];
    this.body.replaceChildren(...this.#lock(facts), ...this.#ranges(facts), ...this.#migrations(facts));
    this.body.scrollTop = y;
    this.body.querySelector(".scroll")?.scrollTo(x, 0);
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #lock({ holder, queue, queue_total: total, seen_ms: nowMs }) {
    const held = holder === null ? make("p", { class: "quiet", id: "key-holder", text: "Nobody holds the lock." }) : make("p", { id: "key-holder" }, [
      "Held by ", make("strong", { text: shorten(holder.owner, 80) || "an owner without a name" }),
      ...(holder.session === "" ? [" by a token"] : [" through the session ", ...sessionName(holder.label, holder.session)]),
      ", generation ", make("span", { title: holder.generation, text: shortNumber(holder.generation) }),
      `. It ends in ${age(holder.remaining_ms)} unless it is renewed.`,
    ]);
    const rows = queue.map((place, i) => make("tr", {}, [
      cell("Place", String(i + 1), "num"), cell("Owner", shorten(place.owner, 60)), make("td", { "data-label": "Session" }, sessionName(place.label, place.session)),
      cell("Waits since", sinceText(place.since_ms, nowMs)), cell("Gives up in", place.remaining_ms === null ? "never" : age(place.remaining_ms)),
    ]));
    return [
      make("h3", { text: "Named lock" }), held,
      ...(rows.length === 0 ? [make("p", { class: "quiet", text: "Nobody waits in its queue." })] : [
        table("key-queue", "The queue, in order", ["Place#", "Owner", "Session", "Waits since", "Gives up in"], rows), ...rest(total, rows.length),
      ]),
    ];
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #ranges(facts) {
    const { ranges, waiting, seen_ms: nowMs } = facts;
    if (ranges.length + waiting.length === 0) {
      return [make("h3", { text: "Byte ranges" }), make("p", { class: "quiet", id: "key-no-ranges", text: "No range is locked, and nobody waits for one." })];
    }
    const width = Math.max(200, this.body.clientWidth - 12);
    const rows = [...ranges.map((piece) => pieceRow(piece, "held", "")), ...waiting.map((piece) => pieceRow(
      piece, piece.fair ? "waits, is not passed" : "waits",
      [sinceText(piece.since_ms, nowMs), piece.remaining_ms === null ? "" : `gives up in ${age(piece.remaining_ms)}`].filter(Boolean).join(", "),
    ))];
    return [
      make("h3", { text: "Byte ranges" }), ...drawStrip(ranges, waiting, width),
      table("key-ranges", "Byte ranges", ["State", "Kind", "Bytes", "Lock-owner", "Session", "Fence#", "Waits since"], rows),
      ...rest(facts.ranges_total + facts.waiting_total, rows.length),
    ];
  }

  /** @param {KeyFacts} facts @returns {Node[]} */
  #migrations({ migrations }) {
    if (migrations.length === 0) return [];
    return [make("h3", { text: "Migrations" }), make("ol", { class: "migrations", id: "key-migrations" }, migrations.map((moved) => make("li", {}, [
      make("span", { class: "num quiet", text: clock(moved.time_ms) }),
      make("span", { class: "move" }, [
        make("span", { class: "end mono", title: moved.from, text: shortSession(moved.from) }),
        make("span", { class: "arrow", "aria-label": "to", role: "img" }),
        make("span", { class: "end mono", title: moved.to, text: shortSession(moved.to) }),
      ]),
      make("span", { class: "quiet", text: `${moved.kind === "migrated" ? "the lock" : "ranges"}, without a break${moved.label === "" ? "" : `, now ${shorten(moved.label, 60)}`}` }),
    ])))];
  }
}

/** @param {Piece} piece @param {string} state @param {string} since */
function pieceRow(piece, state, since) {
  return make("tr", { "data-state": state === "held" ? "held" : "waits" }, [
    cell("State", state), cell("Kind", piece.kind), cell("Bytes", spanText(piece), "num-left"), cell("Lock-owner", shorten(piece.owner, 60)),
    make("td", { "data-label": "Session" }, sessionName(piece.label, piece.session)),
    make("td", { class: "num", "data-label": "Fence", title: piece.fence, text: shortSession(piece.fence) }), cell("Waits since", since),
  ]);
}

/** @param {string} label @param {string} session @returns {(string | Node)[]} its name and the part in which ids differ */
export function sessionName(label, session) {
  return [shorten(label, 60) || "without a name", " ", make("span", { class: "quiet mono", title: session, text: shortSession(session) })];
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
  return total <= shown ? [] : [make("p", { class: "quiet", text: `and ${plural(total - shown, "more", "more")}; the first ${count(shown)} are shown` })];
}
