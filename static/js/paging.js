/**
 * Pages of a long list. Pure.
 */

export const PAGE_ROWS = 50;

/**
 * @template T
 * @param {readonly T[]} rows
 * @param {number} page from 0; out of range is brought back into it
 * @param {number} [size]
 * @returns {{rows: T[], page: number, pages: number, first: number, last: number, total: number}} `first`, `last`: from 1
 */
export function pageOf(rows, page, size = PAGE_ROWS) {
  const pages = Math.max(1, Math.ceil(rows.length / size));
  const at = Math.min(Math.max(0, page), pages - 1);
  const shown = rows.slice(at * size, (at + 1) * size);
  return { rows: shown, page: at, pages, first: rows.length === 0 ? 0 : at * size + 1, last: at * size + shown.length, total: rows.length };
}
