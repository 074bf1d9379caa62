/**
 * CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320): the hash that places keys and virtual nodes.
 *
 * Bit for bit the one of Go's hash/crc32 and Python's zlib.crc32, so that the page draws the ring the cluster uses.
 */

const POLYNOMIAL = 0xedb88320;
const TABLE = makeTable();
const UTF8 = new TextEncoder();

/** @returns {Uint32Array} the 256 remainders, one per byte */
function makeTable() {
  const table = new Uint32Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let rest = byte;
    for (let bit = 0; bit < 8; bit += 1) rest = rest & 1 ? (rest >>> 1) ^ POLYNOMIAL : rest >>> 1;
    table[byte] = rest >>> 0;
  }
  return table;
}

/**
 * @param {Uint8Array} bytes
 * @returns {number} an unsigned 32-bit integer
 */
export function crc32(bytes) {
  let rest = 0xffffffff;
  for (const byte of bytes) rest = (rest >>> 8) ^ /** @type {number} */ (TABLE[(rest ^ byte) & 0xff]);
  return (rest ^ 0xffffffff) >>> 0;
}

/**
 * The position of a key (or of a virtual node's name) on the ring.
 * @param {string} text
 * @returns {number} an unsigned 32-bit integer, the CRC-32 of the UTF-8 bytes
 */
export function crc32OfText(text) {
  return crc32(UTF8.encode(text));
}
