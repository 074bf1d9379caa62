/**
 * Walk a key to its primary and its backup: computed here from the ring, and asked of the cluster as well.
 *
 * Both answers are shown when they differ: the ring says who should serve the key, the cluster says who does.
 */

import { get } from "./api.js";
import { byId, make, swatch } from "./dom.js";
import { crc32OfText } from "./crc32.js";
import { clock, degrees, hex, messageOf, shortNumber, shorten } from "./format.js";
import { listenKeys, listenPageKeys } from "./keys.js";
import { gettext, ngettext, pieces } from "./text.js";

const KEY_BYTES_MAX = 4_096;
const ASK_AFTER_MS = 250;

/**
 * @typedef {{held: boolean, owner: string, generation: string, primary: string | null, askedMs?: number}} Answer
 */

export class Search {
  /**
   * @param {{cluster: import("./cluster.js").Cluster, view: import("./ringview.js").RingView,
   *   colorOf: (address: string) => string, onKey: (key: string) => void,
   *   ask?: (key: string) => Promise<Answer>, unasked?: string}} parts `onKey`: look at a key. With `ask` it is asked of
   *   somebody else's cluster, and only when the reader says so; `unasked` is said until then
   */
  constructor(parts) {
    this.parts = parts;
    this.input = byId("search-key", HTMLInputElement);
    this.result = byId("search-result", HTMLElement);
    this.look = byId("search-look", HTMLButtonElement);
    this.look.addEventListener("click", () => parts.onKey(this.input.value));
    /** @type {Answer | null} */
    this.answer = null;
    this.failure = "";
    this.asked = 0;
    this.askedRing = parts.cluster.ring;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.waiting = undefined;
    this.drawn = "";
    this.input.addEventListener("input", () => this.#typed());
    byId("search-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#typed();
      if (this.parts.ask !== undefined) this.askNow();
    });
    listenKeys(gettext("In the search"), this.input, [{ keys: ["Escape"], does: gettext("empty it"), act: () => this.#clear() }]);
    listenPageKeys([{ keys: ["/"], does: gettext("search a key"), act: () => this.input.focus() }]);
  }

  #clear() {
    this.input.value = "";
    this.#typed();
  }

  #typed() {
    clearTimeout(this.waiting);
    this.answer = null;
    this.failure = "";
    this.asked += 1;
    const key = this.input.value;
    if (key !== "" && !this.#problem(key) && this.parts.ask === undefined) this.waiting = setTimeout(() => this.#ask(key, this.asked), ASK_AFTER_MS);
    this.show();
  }

  /** Ask for the key that is typed, without waiting for more of it. */
  askNow() {
    const key = this.input.value;
    if (key === "" || this.#problem(key)) return;
    this.asked += 1;
    void this.#ask(key, this.asked);
  }

  /** @param {string} key @returns {string} what is wrong with it, or nothing */
  #problem(key) {
    const bytes = new TextEncoder().encode(key).length;
    return bytes > KEY_BYTES_MAX ? gettext("A key has at most {most} bytes of UTF-8; this has {bytes}. Shorten it.", { most: KEY_BYTES_MAX, bytes }) : "";
  }

  /** @param {string} key @param {number} number */
  async #ask(key, number) {
    try {
      const found = await (this.parts.ask ?? askOwn)(key);
      if (number !== this.asked) return;
      this.answer = found;
      this.askedRing = this.parts.cluster.ring;
      this.failure = "";
    } catch (error) {
      if (number !== this.asked) return;
      this.answer = null;
      this.failure = messageOf(error);
    }
    this.show();
  }

  /** The key, the ring or the held locks have changed. */
  show() {
    const key = this.input.value;
    const { cluster, view } = this.parts;
    // Nobody asks again by itself there, and what another ring's primary said is not what this one's would.
    if (this.parts.ask !== undefined && this.askedRing !== cluster.ring) this.answer = null;
    const problem = this.#problem(key);
    this.look.disabled = key === "" || problem !== "" || cluster.ring.size === 0;
    if (key === "" || problem !== "" || cluster.ring.size === 0) {
      if (view.walk) view.showWalk(null);
      const text = problem || (key === "" ? "" : gettext("There is no ring yet: nobody owns any key."));
      return this.#replace(text, text === "" ? [] : [make("p", { class: "warning", text })]);
    }
    const position = crc32OfText(key);
    const steps = cluster.ring.walk(position);
    if (view.walk?.position !== position || this.ring !== cluster.ring) view.showWalk({ position, steps });
    this.ring = cluster.ring;
    const lines = this.#lines(key, position, steps);
    this.#replace(JSON.stringify(lines.map(([term, parts]) => [term, parts.map((part) => (typeof part === "string" ? part : part.textContent))])),
      [make("dl", {}, lines.map(([term, parts]) => make("div", {}, [make("dt", { text: term }), make("dd", {}, parts)])))]);
  }

  /** @param {string} drawn @param {Node[]} nodes */
  #replace(drawn, nodes) {
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    this.result.replaceChildren(...nodes);
  }

  /**
   * @param {string} key
   * @param {number} position
   * @param {import("./ring.js").Step[]} steps
   * @returns {[string, (string | Node)[]][]}
   */
  #lines(key, position, steps) {
    const { cluster } = this.parts;
    const first = steps.find((step) => step.role === "primary");
    const second = steps.find((step) => step.role === "backup");
    const skipped = steps.filter((step) => step.role === "down").length;
    /** @type {[string, (string | Node)[]][]} */
    const lines = [[gettext("Position"), [`${hex(position)} · ${degrees(position)}`]]];
    lines.push([gettext("Primary"), first ? this.#hit(first.node) : [gettext("nobody is up")]]);
    lines.push([gettext("Backup"), second ? this.#hit(second.node) : [gettext("none: one node only")]]);
    if (skipped > 0) lines.push([gettext("Skipped"), [gettext("{skipped} of nodes that are down", { skipped: ngettext("{count} virtual node", "{count} virtual nodes", skipped) })]]);
    lines.push([gettext("Held"), this.#held(cluster.locks.get(key))]);
    if (this.answer?.primary && this.answer.primary !== first?.node.server) {
      lines.push([gettext("The cluster says"), pieces(gettext("{node} serves it now"), { node: this.#node(this.answer.primary) })]);
    }
    if (this.answer?.askedMs !== undefined) lines.push([gettext("Asked"), [clock(this.answer.askedMs)]]);
    if (this.failure !== "") lines.push([gettext("Not confirmed"), [this.failure]]);
    return lines;
  }

  /** @param {import("./ring.js").VirtualNode} node @returns {(string | Node)[]} */
  #hit(node) {
    return [this.#node(node.server), " ", make("span", { class: "quiet", text: gettext("virtual node {index} at {position}", { index: node.index, position: hex(node.position) }) })];
  }

  /** @param {string} address */
  #node(address) {
    return swatch(this.parts.cluster.labelOf(address), this.parts.colorOf(address), { title: address });
  }

  /** @param {import("./locks.js").HeldLock | undefined} lock @returns {(string | Node)[]} */
  #held(lock) {
    const owner = lock?.owner ?? this.answer?.owner ?? "";
    const generation = lock?.generation ?? this.answer?.generation ?? "";
    if (lock === undefined && !this.answer?.held) return [this.answer ? gettext("by nobody") : this.parts.unasked ?? gettext("by nobody the page knows of")];
    const name = shorten(owner, 80) || gettext("an owner without a name");
    if (generation === "") return [gettext("by {owner}", { owner: name })];
    return pieces(gettext("by {owner}, generation {generation}"), {
      owner: name, generation: make("span", { title: generation, text: shortNumber(generation) }),
    });
  }
}

/** @param {string} key @returns {Promise<Answer>} as our own nodes say */
async function askOwn(key) {
  const found = await get(`/api/find/?key=${encodeURIComponent(key)}`);
  const generation = found.generation ?? "";
  return { held: generation !== "", owner: found.owner ?? "", generation, primary: found.primary ?? null };
}
