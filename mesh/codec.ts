/**
 * Bytes of everything that mesh signs, seals and gossips. One value has exactly one encoding: fixed
 * order, big-endian integers, explicit lengths, no optional padding, nothing after the end. So a
 * signature covers a meaning, and decoding followed by encoding gives the same bytes back.
 *
 * Reading never throws and never allocates more than it was given (T18): a declared length is
 * checked against what is there and against the caller's limit before anything is copied. The first
 * fault sticks; every later read gives zeros, so a decoder reads straight through and asks once at
 * the end.
 */

/** What came of decoding bytes from outside. */
export type Decoded<T> =
  | { readonly ok: true; readonly value: T }
  /** What is wrong with the bytes, for a log line or a person. */
  | { readonly ok: false; readonly error: string };

/** What is wrong, in one sentence. */
export function refusal(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}

const utf8 = new TextEncoder();
// A byte order mark is kept as a character: stripping it would give two encodings to one text.
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** 2^48 - 1: the largest integer of {@link Writer.u48}, exact in a JavaScript number. */
export const U48_MAX = 0xffff_ffff_ffff;

const NO_DIGIT = 0x80;
/** By character code: the value of a hexadecimal digit. */
const DIGITS = Uint8Array.from(
  { length: 128 },
  (_, code) => {
    const value = "0123456789abcdef".indexOf(String.fromCharCode(code));
    return value < 0 ? NO_DIGIT : value;
  },
);

/** The bytes of hexadecimal text; undefined for anything else than pairs of lower-case digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  return Uint8Array.fromHex(text);
}

/** What writers begin in: a new buffer for each of them costs more than what most of them write. */
const scratch = new Uint8Array(4096);
/** Who writes there; another one that begins sends it into a buffer of its own. */
let scratchOf: Writer | undefined;

/** Appends values to a buffer. Values out of range are misuse and throw a RangeError. */
export class Writer {
  #buffer = scratch;
  #length = 0;

  constructor() {
    if (scratchOf !== undefined) scratchOf.#leaveScratch();
    scratchOf = this;
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    return this.#integer(value, 1);
  }

  u16(value: number): this {
    return this.#integer(value, 2);
  }

  u32(value: number): this {
    return this.#integer(value, 4);
  }

  u48(value: number): this {
    return this.#integer(value, 6);
  }

  /** The bytes alone: their number is known to whoever reads. */
  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** The bytes alone, of text as {@link fromHex} takes it. */
  hex(text: string): this {
    const size = text.length / 2;
    this.#reserve(Math.ceil(size));
    let wrong = 0;
    for (let i = 0; i < size; i++) { // a digit alone at the end is half of a byte, and wrong
      const high = DIGITS[text.charCodeAt(2 * i)] ?? NO_DIGIT;
      const low = DIGITS[text.charCodeAt(2 * i + 1)] ?? NO_DIGIT;
      wrong |= (high | low) & NO_DIGIT;
      this.#buffer[this.#length + i] = high << 4 | low;
    }
    if (wrong) throw new RangeError(`codec: ${text} is no text of hexadecimal digits`);
    this.#length += size;
    return this;
  }

  /** At most 255 bytes, with their number in front. */
  short(bytes: Uint8Array): this {
    return this.u8(bytes.length).bytes(bytes);
  }

  /** At most 65,535 bytes, with their number in front. */
  long(bytes: Uint8Array): this {
    return this.u16(bytes.length).bytes(bytes);
  }

  /** Text of at most 255 bytes of UTF-8, with their number in front. */
  text(text: string): this {
    return this.short(utf8.encode(text));
  }

  /** A copy of what was written so far. */
  finish(): Uint8Array {
    const written = this.#buffer.slice(0, this.#length);
    if (scratchOf === this) {
      scratchOf = undefined;
      this.#buffer = written; // it is full: whatever is written next begins with another copy
    }
    return written;
  }

  #integer(value: number, size: number): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
      throw new RangeError(`codec: ${value} is no unsigned integer of ${8 * size} bits`);
    }
    this.#reserve(size);
    for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) {
      this.#buffer[this.#length + i] = rest % 256;
    }
    this.#length += size;
    return this;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    if (scratchOf === this) scratchOf = undefined;
    this.#grow(Math.max(2 * this.#buffer.length, this.#length + more));
  }

  #leaveScratch(): void {
    this.#grow(Math.max(256, 2 * this.#length));
  }

  #grow(capacity: number): void {
    const grown = new Uint8Array(capacity);
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** Takes values off a buffer that someone else made. See the file's head for what a fault does. */
export class Reader {
  #at = 0;
  #error: string | undefined;

  constructor(private readonly input: Uint8Array) {}

  /** The first fault; undefined while all is well. */
  get error(): string | undefined {
    return this.#error;
  }

  /** How many bytes are left. */
  get left(): number {
    return this.#error === undefined ? this.input.length - this.#at : 0;
  }

  /** Bytes consumed so far: where a signed part ends. */
  get position(): number {
    return this.#at;
  }

  u8(): number {
    return this.#integer(1);
  }

  u16(): number {
    return this.#integer(2);
  }

  u32(): number {
    return this.#integer(4);
  }

  u48(): number {
    return this.#integer(6);
  }

  /** A copy of the next `length` bytes; zeros of that length after a fault. */
  bytes(length: number): Uint8Array {
    if (!this.#has(length)) return new Uint8Array(length);
    this.#at += length;
    return this.input.slice(this.#at - length, this.#at);
  }

  /** Bytes with a one-byte length, refused above `limit`. */
  short(limit = 255): Uint8Array {
    return this.#counted(this.u8(), limit);
  }

  /** Bytes with a two-byte length, refused above `limit`. */
  long(limit: number): Uint8Array {
    return this.#counted(this.u16(), limit);
  }

  /** Text with a one-byte length of at most `limit` bytes; it must be valid UTF-8. */
  text(limit = 255): string {
    const bytes = this.short(limit);
    try {
      return strictUtf8.decode(bytes);
    } catch {
      this.fail("text is not UTF-8");
      return "";
    }
  }

  /** Records a fault that the caller found; the first one stands. */
  fail(error: string): void {
    this.#error ??= error;
  }

  /** The value if all was well and nothing is left over. */
  finish<T>(value: T): Decoded<T> {
    if (this.#error === undefined && this.#at < this.input.length) {
      this.fail(`${this.input.length - this.#at} bytes too many`);
    }
    return this.#error === undefined ? { ok: true, value } : { ok: false, error: this.#error };
  }

  #counted(length: number, limit: number): Uint8Array {
    if (length > limit) {
      this.fail(`a length of ${length} is over the limit of ${limit}`);
      return new Uint8Array(0);
    }
    // Not bytes(length): after a fault a claimed length must not become an allocation.
    return this.#has(length) ? this.bytes(length) : new Uint8Array(0);
  }

  #integer(size: number): number {
    if (!this.#has(size)) return 0;
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + (this.input[this.#at + i] ?? 0);
    this.#at += size;
    return value;
  }

  #has(length: number): boolean {
    if (this.#error !== undefined) return false;
    if (this.input.length - this.#at >= length) return true;
    this.fail(`${this.input.length - this.#at} bytes are left where ${length} are needed`);
    return false;
  }
}
