/**
 * Layouts of C structs by the rules of the System V ABI: a field stands at the next multiple of its
 * alignment, a struct is padded to a multiple of its widest field. Nothing here knows which structs
 * there are; `header.ts` says that, and its test compares the outcome with the compiler's.
 */

/** What a field is made of: bytes of it, and the multiple of bytes it must start at. */
export interface Type {
  readonly size: number;
  readonly align: number;
}

export const u16: Type = { size: 2, align: 2 };
export const u32: Type = { size: 4, align: 4 };
export const i32: Type = { size: 4, align: 4 };
export const u64: Type = { size: 8, align: 8 };

/** `uint8_t name[length]` or `char name[length]`. */
export function bytes(length: number): Type {
  return { size: length, align: 1 };
}

export interface Struct<Field extends string = string> extends Type {
  /** Bytes from the start of the struct to each field, in the order of declaration. */
  readonly offset: Readonly<Record<Field, number>>;
  readonly fields: Readonly<Record<Field, Type>>;
}

/** Lays fields out in their order. */
export function struct<Field extends string>(fields: Record<Field, Type>): Struct<Field> {
  const offset = {} as Record<Field, number>;
  let size = 0;
  let align = 1;
  for (const name of Object.keys(fields) as Field[]) {
    const field: Type = fields[name];
    size = roundUp(size, field.align);
    offset[name] = size;
    size += field.size;
    align = Math.max(align, field.align);
  }
  return { size: roundUp(size, align), align, offset, fields };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
