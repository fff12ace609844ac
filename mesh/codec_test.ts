import assert from "node:assert/strict";
import fc from "fast-check";
import { fromHex, Reader, U48_MAX, Writer } from "./codec.ts";

Deno.test("T18: what was written is read back, and nothing is left", () => {
  const bytes = new Writer().u8(255).u16(65535).u32(0xffffffff).u48(U48_MAX)
    .bytes(Uint8Array.of(1, 2)).short(Uint8Array.of(3)).long(new Uint8Array(300)).text("Grüße")
    .finish();
  const reader = new Reader(bytes);
  assert.equal(reader.u8(), 255);
  assert.equal(reader.u16(), 65535);
  assert.equal(reader.u32(), 0xffffffff);
  assert.equal(reader.u48(), U48_MAX);
  assert.deepEqual(reader.bytes(2), Uint8Array.of(1, 2));
  assert.deepEqual(reader.short(), Uint8Array.of(3));
  assert.equal(reader.long(300).length, 300);
  assert.equal(reader.text(), "Grüße");
  assert.deepEqual(reader.finish("all"), { ok: true, value: "all" });
});

Deno.test("T18: bytes after the end are refused", () => {
  const reader = new Reader(Uint8Array.of(1, 2, 3));
  reader.u8();
  assert.deepEqual(reader.finish(0), { ok: false, error: "2 bytes too many" });
});

Deno.test("T18: a declared length is checked before anything is allocated", () => {
  const reader = new Reader(Uint8Array.of(0xff, 0xff, 1));
  assert.equal(reader.long(65535).length, 0);
  assert.match(reader.error ?? "", /1 bytes are left where 65535 are needed/);
  const limited = new Reader(Uint8Array.of(9, ...new Uint8Array(9)));
  assert.equal(limited.short(8).length, 0);
  assert.match(limited.error ?? "", /length of 9 is over the limit of 8/);
});

Deno.test("T18: the first fault sticks and later reads give zeros", () => {
  const reader = new Reader(Uint8Array.of(7));
  assert.equal(reader.u16(), 0);
  assert.equal(reader.u8(), 0);
  assert.deepEqual(reader.bytes(2), new Uint8Array(2));
  assert.equal(reader.left, 0);
  assert.match(reader.error ?? "", /1 bytes are left where 2/);
});

Deno.test("text has one encoding: invalid UTF-8 is refused, a byte order mark survives", () => {
  const broken = new Reader(Uint8Array.of(1, 0xff));
  broken.text();
  assert.equal(broken.error, "text is not UTF-8");
  const marked = Uint8Array.of(4, 0xef, 0xbb, 0xbf, 0x61);
  assert.deepEqual(new Writer().text(new Reader(marked).text()).finish(), marked);
});

Deno.test("numbers outside their width are misuse", () => {
  for (const value of [-1, 256, 1.5, NaN]) {
    assert.throws(() => new Writer().u8(value), RangeError);
  }
  assert.throws(() => new Writer().u48(U48_MAX + 1), RangeError);
  assert.throws(() => new Writer().short(new Uint8Array(256)), RangeError);
});

Deno.test("T18: any sequence of values survives a round trip", () => {
  fc.assert(fc.property(
    fc.array(fc.oneof(fc.nat(U48_MAX), fc.uint8Array({ maxLength: 255 }), fc.string())),
    (values) => {
      const writer = new Writer();
      const short = (text: string) => text.slice(0, 60);
      for (const value of values) {
        if (typeof value === "number") writer.u48(value);
        else if (typeof value === "string") writer.text(short(value));
        else writer.short(value);
      }
      const reader = new Reader(writer.finish());
      for (const value of values) {
        if (typeof value === "number") assert.equal(reader.u48(), value);
        else if (typeof value === "string") {
          assert.equal(
            reader.text(),
            new TextDecoder().decode(new TextEncoder().encode(short(value))),
          );
        } else assert.deepEqual(reader.short(), new Uint8Array(value));
      }
      assert.ok(reader.finish(0).ok);
    },
  ));
});

Deno.test("hexadecimal text is lower case, whole bytes, nothing else", () => {
  assert.deepEqual(fromHex("00ab"), Uint8Array.of(0, 0xab));
  for (const text of ["0", "0G", "AB", " 00"]) assert.equal(fromHex(text), undefined);
});

Deno.test("writers that are used at the same time, or go on after finish, keep apart what they write", () => {
  const [first, second] = [new Writer().u8(1), new Writer().u8(2)];
  first.bytes(Uint8Array.of(3, 4));
  const long = new Writer().bytes(new Uint8Array(10_000).fill(5));
  second.hex("0a0b");
  const early = first.finish();
  first.u16(0x0607);
  const third = new Writer().u8(9);
  assert.deepEqual(early, Uint8Array.of(1, 3, 4));
  assert.deepEqual(first.finish(), Uint8Array.of(1, 3, 4, 6, 7));
  assert.deepEqual(second.finish(), Uint8Array.of(2, 10, 11));
  assert.deepEqual(long.finish(), new Uint8Array(10_000).fill(5));
  assert.deepEqual(third.finish(), Uint8Array.of(9));
  assert.deepEqual(third.u8(8).finish(), Uint8Array.of(9, 8));
});

Deno.test("hexadecimal text that is no text of whole bytes is misuse", () => {
  for (const text of ["0", "0A", "0g", "0x", "\u0141\u0141", "001"]) {
    assert.throws(() => new Writer().hex(text), RangeError);
  }
});
