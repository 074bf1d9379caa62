/**
 * The tables of a plan: the key space, the locks in total, the locks one by one; before it is committed to and after.
 *
 * Elsewhere: sentences (stagemodel.js), when they are filled (stage.js).
 */

import { make, setText, swatch } from "./dom.js";
import { age, count, percent, shortNumber } from "./format.js";
import { FATE_SIGNS, FATE_TEXTS, FATES, tellActual, VERDICT_SIGNS } from "./stagemodel.js";
import { gettext, ngettext } from "./text.js";

const FLOWS_SHOWN = 12;
const LEFT_CLASS = "lease-left";

/**
 * @typedef {import("./stagecontract.js").Totals} Totals
 * @typedef {{labelOf: (address: string | null) => string, colorOf: (address: string) => string,
 *   onKey: (key: string) => void}} Look
 * @typedef {{at: number, left: number}} Lease
 */

/** @param {Look} look @param {string | null} address @returns {Node | string} */
function named(look, address) {
  return address === null ? gettext("nobody") : swatch(look.labelOf(address), look.colorOf(address), { title: address });
}

/** @param {import("./stagecontract.js").Fate} fate @returns {HTMLElement} */
function badge(fate) {
  const tone = { stays: "", promoted: "warn", transferred: "ok", grace: "bad" }[fate];
  return make("span", { class: "badge", "data-tone": tone, title: FATE_TEXTS[fate], text: `${FATE_SIGNS[fate]} ${fate}` });
}

/**
 * @param {string} caption
 * @param {(string | [text: string, kind: string])[]} heads
 * @param {HTMLTableRowElement[]} rows
 * @param {string} [rest] a last line
 * @returns {HTMLElement}
 */
function table(caption, heads, rows, rest = "") {
  const cells = heads.map((head) => (typeof head === "string" ? make("th", { scope: "col", text: head }) : make("th", { scope: "col", text: head[0], class: head[1] })));
  const end = rest === "" ? [] : [make("tr", { class: "empty" }, [make("td", { colspan: String(heads.length), text: rest })])];
  const names = heads.map((head) => (typeof head === "string" ? head : head[0]));
  for (const row of rows) [...row.cells].forEach((cell, i) => cell.setAttribute("data-label", names[i] ?? "")); // on a phone a row is a block
  return make("table", { class: "rows" }, [
    make("caption", { text: caption }), make("thead", {}, [make("tr", {}, cells)]), make("tbody", {}, [...rows, ...end]),
  ]);
}

/** @param {(Node | string)[]} cells @param {number} [numbers] how many of the last are numbers @returns {HTMLTableRowElement} */
function line(cells, numbers = 0) {
  return make("tr", {}, cells.map((cell, i) => make("td", i >= cells.length - numbers ? { class: "num" } : {}, [cell])));
}

/** @param {Totals} plan @param {Look} look @returns {HTMLElement} from whom to whom, with the held locks */
export function flowsTable(plan, look) {
  const locks = new Map(plan.held.flows.map((flow) => [`${flow.source} ${flow.target}`, 0]));
  for (const { source, target, locks: number } of plan.held.flows) locks.set(`${source} ${target}`, (locks.get(`${source} ${target}`) ?? 0) + number);
  const rows = plan.space.flows.slice(0, FLOWS_SHOWN).map((flow) => line([
    named(look, flow.source), named(look, flow.target), percent(flow.share), count(locks.get(`${flow.source} ${flow.target}`) ?? 0),
  ], 2));
  const more = plan.space.flows_total - rows.length;
  const rest = rows.length === 0 ? gettext("No arc changes its primary.") : more > 0 ? ngettext("and {count} smaller move", "and {count} smaller moves", more) : "";
  return table(gettext("What moves, by primary"), [gettext("From"), gettext("To"), [gettext("Key space"), "num"], [gettext("Held locks"), "num"]], rows, rest);
}

/** @param {Totals} plan @returns {HTMLElement} */
export function fatesTable(plan) {
  const rows = FATES.map((fate) => line([badge(fate), FATE_TEXTS[fate], percent(plan.space.fates[fate]), count(plan.held.fates[fate])], 2));
  return table(gettext("What happens to locks"), [gettext("What"), gettext("That is"), [gettext("Key space"), "num"], [gettext("Held locks"), "num"]], rows);
}

/** @param {import("./stagecontract.js").Committed} plan @returns {HTMLElement} predicted beside actual */
export function outcomesTable(plan) {
  const { fates, final } = plan.happened;
  const rows = FATES.filter((fate) => plan.held.fates[fate] > 0).map((fate) => {
    const { same, ended, differs } = fates[fate];
    const row = line([badge(fate), count(plan.held.fates[fate]), `${VERDICT_SIGNS.same} ${count(same)}`, `${VERDICT_SIGNS.ended} ${count(ended)}`, `${VERDICT_SIGNS.differs} ${count(differs)}`], 4);
    row.classList.toggle("differs", final && differs > 0);
    return row;
  });
  const heads = /** @type {[string, string][]} */ ([[gettext("Foreseen"), ""], [gettext("Locks"), "num"], [gettext("As foreseen"), "num"], [gettext("Ended before"), "num"], [final ? gettext("Otherwise") : gettext("Not yet"), "num"]]);
  return table(gettext("Foreseen beside what happened"), heads, rows, rows.length === 0 ? gettext("No lock was held.") : "");
}

/** @param {import("./stagecontract.js").PlannedLock} lock @param {Look} look */
function firstCells(lock, look) {
  const key = make("button", { type: "button", class: "open-key mono clip", text: lock.key, title: gettext("Look inside {key}", { key: lock.key }) });
  key.addEventListener("click", () => look.onKey(lock.key));
  const owner = make("span", { class: "clip", text: lock.owner || "–", title: gettext("{owner}, generation {generation}", { owner: lock.owner, generation: lock.generation }) });
  owner.append(" ", make("span", { class: "quiet num", text: shortNumber(lock.generation) }));
  return [key, owner];
}

/** @param {string | null} from @param {string | null} to @param {Look} look @returns {HTMLElement} */
function way(from, to, look) {
  const cell = make("span", { class: "way" }, [named(look, from)]);
  if (from !== to) cell.append(make("span", { role: "img", text: "→", "aria-label": gettext("to") }), named(look, to));
  return cell;
}

/**
 * @param {import("./stagecontract.js").LeasedLock[]} list
 * @param {Look} look
 * @param {number} nowMs
 * @returns {HTMLElement} with leases that `countDown` runs on
 */
export function locksTable(list, look, nowMs) {
  const rows = list.map((lock) => {
    const left = make("span", { class: LEFT_CLASS, "data-until": lock.remaining_ms === null ? "" : String(nowMs + lock.remaining_ms) });
    return line([...firstCells(lock, look), badge(lock.fate), way(lock.source, lock.target, look), way(lock.backup_from, lock.backup_to, look), left], 1);
  });
  const body = table(gettext("Held locks, by key"), [gettext("Key"), gettext("Holder"), gettext("What happens"), gettext("Primary"), gettext("Backup"), [gettext("Lease left"), "num"]], rows, rows.length === 0 ? gettext("No held lock.") : "");
  countDown(body, nowMs);
  return body;
}

/** @param {HTMLElement} body @param {number} nowMs */
export function countDown(body, nowMs) {
  for (const cell of body.querySelectorAll(`.${LEFT_CLASS}`)) {
    const until = cell instanceof HTMLElement ? cell.dataset["until"] ?? "" : "";
    setText(cell, until === "" ? gettext("unknown") : Number(until) <= nowMs ? gettext("over, or renewed") : age(Number(until) - nowMs));
  }
}

/**
 * @param {import("./stagecontract.js").JudgedLock[]} list
 * @param {Look} look
 * @param {boolean} final
 * @returns {HTMLElement}
 */
export function judgedTable(list, look, final) {
  const rows = list.map((lock) => {
    const verdict = lock.actual?.verdict ?? "ended";
    const told = make("span", { text: `${VERDICT_SIGNS[verdict]} ${tellActual(lock.actual, look.labelOf)}` });
    const row = line([...firstCells(lock, look), badge(lock.fate), way(lock.source, lock.target, look), told]);
    row.classList.toggle("differs", final && verdict === "differs");
    return row;
  });
  return table(gettext("Locks, by key"), [gettext("Key"), gettext("Holder"), gettext("Foreseen"), gettext("Primary"), gettext("What happened")], rows, rows.length === 0 ? gettext("No such lock.") : "");
}
