/**
 * 64-bit numbers that travel as decimal strings.
 *
 * Invariant: an empty or malformed number counts as zero, the oldest there is, so it never wins a comparison.
 */

/**
 * @param {string | number | null | undefined} text decimal digits
 * @returns {bigint}
 */
export function wide(text) {
  const digits = String(text ?? "");
  return /^\d+$/.test(digits) ? BigInt(digits) : 0n;
}

/**
 * Order two wide numbers.
 * @param {string | null | undefined} a
 * @param {string | null | undefined} b
 * @returns {-1 | 0 | 1} -1 when a is the smaller
 */
export function compareWide(a, b) {
  if (a === b) return 0;
  const left = wide(a);
  const right = wide(b);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
