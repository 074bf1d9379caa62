/**
 * The page's words: as they are written here, in English, or as the site's catalogue has them in the reader's language.
 *
 * What people read goes through `gettext` or `ngettext`, with names in braces for what is filled in, so that another
 * language can order it differently. `make messages` collects the calls; a call's text is a literal, never put together.
 * Elsewhere: the catalogue, a script of the site's that ran before (dlmsite.languages).
 */

import { count } from "./format.js";

/**
 * @typedef {Record<string, string | number>} Values
 * @typedef {{gettext: (text: string) => string, ngettext: (one: string, many: string, number: number) => string}} Catalogue
 */

/** @type {Catalogue} */
const catalogue = /** @type {any} */ (globalThis)["django"] ?? {
  gettext: (/** @type {string} */ text) => text,
  ngettext: (/** @type {string} */ one, /** @type {string} */ many, /** @type {number} */ number) => (number === 1 ? one : many),
};

/**
 * @param {string} text
 * @param {Values} [values] what stands for the {names} in it
 * @returns {string}
 */
export function gettext(text, values) {
  return fill(catalogue.gettext(text), values);
}

/**
 * @param {string} one for one
 * @param {string} many for any other number
 * @param {number} number {count} in both, written as people read it
 * @param {Values} [values]
 * @returns {string} such as "1 lock", "2 locks"
 */
export function ngettext(one, many, number, values = {}) {
  return fill(catalogue.ngettext(one, many, number), { count: count(number), ...values });
}

/**
 * A sentence with elements in it.
 * @param {string} text translated, with {names}
 * @param {Record<string, string | Node>} parts
 * @returns {(string | Node)[]}
 */
export function pieces(text, parts) {
  return text.split(/\{(\w+)\}/).map((piece, i) => (i % 2 === 1 ? parts[piece] ?? `{${piece}}` : piece)).filter((piece) => piece !== "");
}

/** @param {string} text @param {Values} [values] @returns {string} a name without a value stays, to be seen */
function fill(text, values) {
  return values === undefined ? text : text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
