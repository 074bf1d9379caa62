/**
 * The form of the filter: fields into a filter and back. What it means is decided by the server, which also explains
 * what it cannot mean.
 */

import { COLUMNS, DEFAULT_COLUMNS, localTime, MORE_FIELDS, universalTime } from "./auditmodel.js";
import { byId, make, setText } from "./dom.js";
import { listenPageKeys } from "./keys.js";
import { gettext } from "./text.js";

const PLAIN = ["owner", "node", "text", "session", "operator", "view", "version", "generation"];

export class AuditForm {
  /** @param {{onFilter: (filter: Map<string, string>) => void, onColumns: (columns: string[]) => void}} parts */
  constructor(parts) {
    this.form = byId("filter", HTMLFormElement);
    this.match = byId("f-match", HTMLSelectElement);
    this.key = byId("f-key", HTMLInputElement);
    this.from = byId("f-from", HTMLInputElement);
    this.to = byId("f-to", HTMLInputElement);
    this.fields = new Map(PLAIN.map((name) => [name, byId(`f-${name}`, HTMLInputElement)]));
    this.kinds = [...this.form.querySelectorAll("input[name=kind]")].filter((box) => box instanceof HTMLInputElement);
    this.kindsText = byId("kinds-text", HTMLElement);
    this.more = byId("more", HTMLDetailsElement);
    this.columnsList = byId("columns-list", HTMLElement);
    this.nodes = byId("nodes", HTMLDataListElement);
    this.offered = "";
    /** @type {Map<string, string>} times as they were said, more exact than the form shows */
    this.exact = new Map();
    this.columns = COLUMNS.map(([name, title]) => {
      const box = make("input", { type: "checkbox", value: name });
      this.columnsList.append(make("label", {}, [box, title]));
      return box;
    });
    setText(byId("zone", HTMLElement), gettext("Times are in {timeZone}.", { timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone || gettext("your zone") }));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      closePickers();
      parts.onFilter(this.filter());
    });
    this.form.addEventListener("change", () => this.#tellKinds());
    this.columnsList.addEventListener("change", () => {
      const chosen = this.columns.filter((box) => box.checked).map((box) => box.value);
      parts.onColumns(chosen.length === 0 ? DEFAULT_COLUMNS : chosen);
      if (chosen.length === 0) this.#check(DEFAULT_COLUMNS);
    });
    byId("clear", HTMLButtonElement).addEventListener("click", () => parts.onFilter(new Map()));
    document.addEventListener("click", (event) => closePickers(event.target));
    listenPageKeys([
      { keys: ["Escape"], does: gettext("close a list of choices"), act: () => closePickers() },
      { keys: ["/"], does: gettext("ask for a lock"), act: () => this.key.focus() },
    ]);
  }

  /** @returns {Map<string, string>} */
  filter() {
    const said = new Map([[this.match.value, this.key.value]]);
    for (const [name, field] of this.fields) said.set(name, field.value.trim());
    said.set("kind", this.kinds.filter((box) => box.checked).map((box) => box.value).join());
    for (const [name, field] of /** @type {[string, HTMLInputElement][]} */ ([["from", this.from], ["to", this.to]])) {
      const exact = this.exact.get(name) ?? "";
      said.set(name, exact !== "" && localTime(exact) === localTime(universalTime(field.value)) ? exact : universalTime(field.value));
    }
    return new Map([...said].filter(([, value]) => value !== ""));
  }

  /** @param {import("./auditmodel.js").State} state */
  show({ filter, columns }) {
    this.match.value = filter.has("prefix") ? "prefix" : "key";
    this.key.value = filter.get("prefix") ?? filter.get("key") ?? "";
    for (const [name, field] of this.fields) field.value = filter.get(name) ?? "";
    const kinds = new Set((filter.get("kind") ?? "").split(","));
    for (const box of this.kinds) box.checked = kinds.has(box.value);
    for (const [name, field] of /** @type {[string, HTMLInputElement][]} */ ([["from", this.from], ["to", this.to]])) {
      this.exact.set(name, filter.get(name) ?? "");
      field.value = localTime(filter.get(name) ?? "");
    }
    if (MORE_FIELDS.some((name) => filter.has(name))) this.more.open = true;
    this.#tellKinds();
    this.#check(columns);
  }

  /** @param {string[]} labels of the nodes there are */
  offerNodes(labels) {
    if (labels.join() === this.offered) return;
    this.offered = labels.join();
    this.nodes.replaceChildren(...[...labels, "master", "site"].map((value) => make("option", { value })));
  }

  /** @param {string[]} columns */
  #check(columns) {
    for (const box of this.columns) box.checked = columns.includes(box.value);
  }

  #tellKinds() {
    const chosen = this.kinds.filter((box) => box.checked).map((box) => box.value);
    setText(this.kindsText, chosen.length === 0 ? gettext("all") : chosen.join(", "));
  }
}

/** @param {EventTarget | null} [but] inside of the one that stays open @returns {boolean} whether any was open */
function closePickers(but = null) {
  let closed = false;
  for (const picker of document.querySelectorAll("details.picker[open]")) {
    if (picker instanceof HTMLDetailsElement && !(but instanceof Node && picker.contains(but))) {
      picker.open = false;
      closed = true;
    }
  }
  return closed;
}
