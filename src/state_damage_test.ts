/**
 * What a disk can do to a state folder: each flipped bit and each cut end of each file is either
 * refused with a sentence, or changes nothing of what the node remembers.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import type { NodeSnapshot } from "../mesh/snapshot.ts";
import { unwrap } from "./envelope.ts";
import { Failure } from "./exit.ts";
import { NodeState } from "./state.ts";

/** Bytes that look like a signed thing, different ones for each `n`. */
function signed(n: number, length: number): string {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 151 + n * 59 + (i >> 3)) & 255);
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** A member of a mesh of four, with something in every table. */
function snapshot(boot: number): NodeSnapshot {
  const key = (n: number) => n.toString(16).repeat(64);
  return {
    v: 3,
    name: "lyon",
    genesis: signed(7, 96),
    admission: signed(0, 200),
    boot,
    incarnation: 3,
    numbers: { own: 5, mesh: 2 },
    statements: [4, 6].map((n) => ({ bytes: signed(n, 150), seen: 1_800_000_000 + n })),
    admissions: [signed(5, 200)],
    members: [1, 2, 3].map((n) => ({
      record: signed(n, 320),
      endpoint: `203.0.113.${n}:51820`,
      ...(n === 3 ? { leftAt: 4 } : {}),
    })),
    trusted: [{ key: key(5), name: "nice" }],
    seeds: [{ seed: "203.0.113.1:51820", key: key(1) }],
  };
}

function open(dir: string, takesPrevious = false): NodeState {
  return NodeState.open({ dir, founds: false, takesPrevious, onNews: () => {} });
}

/** All that a start learns from the folder. */
function meaningOf(state: NodeState): string {
  const { identitySeed, meshSeed, recoverySeed, snapshot, usualPort } = state;
  const keys = [identitySeed, meshSeed, recoverySeed].map((seed) => seed?.toHex());
  return JSON.stringify([...keys, snapshot, usualPort]);
}

/** A founder's folder with two generations of its state, and what it means. */
function makeFolder(dir: string): void {
  const founder = NodeState.open({ dir, founds: true, onNews: () => {} });
  founder.save(() => ({ snapshot: snapshot(6), port: 4500 }));
  founder.save(() => ({ snapshot: snapshot(7), port: 4500 }));
  founder.close();
}

/** What came of the damages of one file. */
interface Tally {
  refused: number;
  harmless: number;
  silent: string[];
}

/** Opens the folder as it is now. */
function judge(
  dir: string,
  meant: string,
  what: string,
  tally: Tally,
  takesPrevious: boolean,
): void {
  let state: NodeState;
  try {
    state = open(dir, takesPrevious);
  } catch (error) {
    assert(error instanceof Failure, `${what}: ${error}`);
    assert.match(error.message, /^state: \/\S+ (is|has|and) .*: \w/, what);
    tally.refused++;
    return;
  }
  if (meaningOf(state) === meant) tally.harmless++;
  else tally.silent.push(what);
  state.close();
}

/**
 * Every `step`-th of all flipped bits, then every `step`-th shorter length; the file is whole again
 * afterwards.
 */
function damage(
  dir: string,
  name: string,
  meant: string,
  { step = 1, takesPrevious = false } = {},
): Tally {
  const tally: Tally = { refused: 0, harmless: 0, silent: [] };
  const path = join(dir, name);
  const whole = Deno.readFileSync(path);
  const file = Deno.openSync(path, { write: true });
  const put = (byte: number, at: number) => {
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(Uint8Array.of(byte));
  };
  for (let i = 0; i < 8 * whole.length; i += step) {
    const [at, bit] = [i >> 3, i & 7];
    const byte = whole[at] ?? 0;
    put(byte ^ (1 << bit), at);
    judge(dir, meant, `${name}: bit ${bit} of byte ${at}`, tally, takesPrevious);
    put(byte, at);
  }
  for (let length = whole.length - 1; length >= 0; length -= step) {
    file.truncateSync(length);
    judge(dir, meant, `${name}: cut to ${length} bytes`, tally, takesPrevious);
  }
  file.close();
  Deno.writeFileSync(path, whole);
  return tally;
}

function meant(dir: string, takesPrevious = false): string {
  const state = open(dir, takesPrevious);
  try {
    return meaningOf(state);
  } finally {
    state.close();
  }
}

// Of the thousands of damages of a long file one in nine, beside all of the short ones: what is found in the bytes is
// the same in memory and on disk, and is said by the same lines.
const SAMPLE = { step: 9 };

/** The damages of an envelope's bytes that are taken for what was written; all of them are tried. */
function taken(whole: Uint8Array): string[] {
  const kind = /^\{"shoal":"([^"]+)"/.exec(new TextDecoder().decode(whole))?.[1] ?? "";
  assert.notEqual(unwrap(kind, whole), undefined);
  const found: string[] = [];
  const bytes = whole.slice();
  for (let i = 0; i < 8 * whole.length; i++) {
    const at = i >> 3;
    bytes[at] = (whole[at] ?? 0) ^ (1 << (i & 7));
    if (unwrap(kind, bytes) !== undefined) found.push(`bit ${i}`);
    bytes[at] = whole[at] ?? 0;
  }
  for (let length = 0; length < whole.length; length++) {
    if (unwrap(kind, whole.subarray(0, length)) !== undefined) found.push(`${length} bytes`);
  }
  return found;
}

Deno.test("every flipped bit and every cut of every file is refused in words: 0 silent", () =>
  inFolder((root) => {
    const dir = join(root, "state");
    makeFolder(dir);
    const files = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
    const read = ["identity", "mesh-key", "port", "recovery-key", "state.json"];
    assert.deepEqual(files, [...read, "state.json.old", "lock"].sort());
    assert.equal(Deno.statSync(join(dir, "lock")).size, 0);
    const whole = meant(dir);
    for (const name of read) {
      assert.deepEqual(taken(Deno.readFileSync(join(dir, name))), [], name);
      const { size } = Deno.statSync(join(dir, name));
      const { refused, harmless, silent } = damage(dir, name, whole, size > 1_000 ? SAMPLE : {});
      const damages = size > 1_000 ? Math.ceil(8 * size / 9) + Math.ceil(size / 9) : 9 * size;
      assert.deepEqual([refused, harmless, silent], [damages, 0, []], name);
    }
  }));

Deno.test("a damaged previous generation is harmless until it is asked for, and then refused: 0 silent", () =>
  inFolder((root) => {
    const dir = join(root, "state");
    makeFolder(dir);
    const unread = damage(dir, "state.json.old", meant(dir), SAMPLE);
    assert.deepEqual([unread.refused, unread.silent], [0, []]);
    assert(unread.harmless > 1000, String(unread.harmless));

    Deno.truncateSync(join(dir, "state.json"), 100);
    const takesPrevious = true;
    const whole = meant(dir, takesPrevious);
    const asked = damage(dir, "state.json.old", whole, { ...SAMPLE, takesPrevious });
    assert.deepEqual([asked.harmless, asked.silent], [0, []]);
    assert.equal(asked.refused, unread.harmless);
  }));
