import assert from "node:assert/strict";
import test from "node:test";

import { crc32, crc32OfText } from "../../static/js/crc32.js";

test("the check value of CRC-32 (IEEE) is met", () => {
  assert.equal(crc32OfText("123456789"), 0xcbf43926);
});

test("known values agree with Python's zlib.crc32", () => {
  assert.equal(crc32OfText(""), 0);
  assert.equal(crc32OfText("a"), 0xe8b7be43);
  assert.equal(crc32OfText("The quick brown fox jumps over the lazy dog"), 0x414fa339);
});

test("a key is hashed by its UTF-8 bytes", () => {
  assert.equal(crc32OfText("ü"), crc32(Uint8Array.of(0xc3, 0xbc)));
});

test("the result is unsigned", () => {
  assert.ok(crc32(Uint8Array.of(0xff)) >= 0);
  assert.equal(crc32(Uint8Array.of(0xff)), 0xff000000);
});
