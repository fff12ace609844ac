/**
 * Who has a copy of a member's folder seals single datagrams whose counters are far ahead, in that member's name or, to it,
 * in the names of all others, so that what these say themselves is behind that (item 11).
 */
import assert from "node:assert/strict";
import { Writer } from "./codec.ts";
import { headOf } from "./datagram.ts";
import { identityFromSeed } from "./membership/identity.ts";
import { type NodeRecord, openRecord } from "./membership/record.ts";
import type { Computer } from "./sim/node_lab.ts";
import { healthOf, told, village } from "./sim/people.ts";
import { toyCrypto as crypto } from "./sim/toy_crypto.ts";
import { encodeTop, FIRST_MAX, LEAP } from "./wire/seal.ts";

const SECOND = 1_000;
const BASE64URL = { alphabet: "base64url" } as const;
const NOTICE = 4;
const BOTH = ["asOwner", "toOwner"] as const;
type Direction = typeof BOTH[number];

interface Numbers {
  readonly counter: number;
  /** Starts beyond the owner's present one. */
  readonly later?: number;
  /** Of the receiver's counters, as if its own had been led away. */
  readonly top?: number;
}

function setUp() {
  const { lab, founder, others } = village(crypto, ["victim", "a", "b", "c"], 4);
  const [victim, ...rest] = others;
  assert.ok(victim);
  lab.run(80 * SECOND);
  const honest = [founder, ...rest];
  const meshId = Uint8Array.fromHex(founder.node.status(founder.now()).mesh?.id ?? "");
  const { id, signing: { publicKey }, tunnelSecret } = identityFromSeed(
    crypto,
    victim.identitySeed,
  );
  const disk = victim.disk;
  const own = recordOf(founder, id, meshId);
  assert.ok(disk);
  /** One datagram for each other member, with the addresses of those whom it seems to come from. */
  const strike = (direction: Direction, { counter, later = 0, top }: Numbers) => {
    for (const one of honest) {
      const { key, run } = recordOf(victim, one.id, meshId);
      const shared = crypto.x25519(tunnelSecret, crypto.ed25519ToX25519Public(key) ?? key);
      assert.ok(shared && one.disk);
      const isOwner = direction === "asOwner";
      const [from, to] = isOwner ? [publicKey, key] : [key, publicKey];
      const [boot, echo] = isOwner
        ? [disk.boot + later, one.disk.boot]
        : [one.disk.boot, disk.boot];
      const secret = crypto.hmacBlake2s(shared, label("pair"), meshId, from, to);
      const hint = crypto.blake2sMac(meshId, label("hint"), from, to).subarray(0, 8);
      const head = new Writer().bytes(headOf("sealed")).bytes(hint).finish();
      const half = Uint8Array.fromHex(isOwner ? own.run : run).subarray(0, 4);
      const payload = top === undefined ? new Uint8Array(0) : encodeTop(top);
      const inner = new Writer().u32(boot).u48(counter).u32(echo).bytes(half).u8(NOTICE)
        .bytes(payload).finish();
      const nonce = lab.random(24);
      const sealed = crypto.xchacha20poly1305Seal(secret, nonce, head, inner);
      const bytes = new Writer().bytes(head).bytes(nonce).bytes(sealed).finish();
      const [source, goal] = isOwner ? [victim, one] : [one, victim];
      lab.network.send(source.address, goal.address, bytes, bytes.length);
    }
  };
  return { lab, victim, honest, strike };
}

function label(text: string): Uint8Array {
  return new TextEncoder().encode(`shoal ${text} 3\0`);
}

function recordOf(by: Computer, id: string, meshId: Uint8Array): NodeRecord {
  for (const { record } of by.disk?.members ?? []) {
    const opened = openRecord(crypto, meshId, Uint8Array.fromBase64(record, BASE64URL));
    if (opened.ok && opened.value.id === id) return opened.value;
  }
  throw new Error(`no record of ${id}`);
}

/** Looks at the members each second. @returns in how many of a hundred looks the victim was alive to one */
function aliveness(
  { lab, victim, honest }: ReturnType<typeof setUp>,
  seconds: number,
  each: (second: number) => void = () => {},
): number {
  let alive = 0;
  for (let second = 0; second < seconds; second++) {
    each(second);
    lab.run(SECOND);
    alive += honest.filter((one) => one.sees(victim)?.state === "alive").length;
  }
  return 100 * alive / (seconds * honest.length);
}

function isNamed(by: Computer): boolean {
  return healthOf(by).some((line) =>
    line.includes("the key of victim is used by two machines") ||
    line.includes("another machine uses this node's key")
  );
}

for (const counter of [LEAP, 2 ** 40, 2 ** 48 - 1]) {
  for (const directions of [["asOwner"], ["toOwner"], BOTH] as const) {
    Deno.test(`item 11: one datagram with counter ${counter}, ${directions.join(" and ")}, mutes a member nowhere`, () => {
      const world = setUp();
      for (const direction of directions) world.strike(direction, { counter });
      const percent = aliveness(world, 300);
      assert.ok(percent > 98, `alive in ${percent} % of the looks`);
      assert.ok(!world.honest.some(isNamed), "of what may be a set-back machine nobody is told");
    });
  }
}

for (const top of [LEAP, 2 ** 40, 2 ** 47, 2 ** 48 - 1]) {
  for (const directions of [["asOwner"], ["toOwner"], BOTH] as const) {
    Deno.test(`item 11: one notice that names counter ${top}, ${directions.join(" and ")}, mutes a member nowhere`, () => {
      const world = setUp();
      for (const direction of directions) world.strike(direction, { counter: LEAP / 2, top });
      const percent = aliveness(world, 300);
      assert.ok(percent > 98, `alive in ${percent} % of the looks`);
      const { victim, honest } = world;
      for (const one of honest) assert.equal(victim.sees(one)?.state, "alive", one.address);
    });
  }
}

Deno.test("item 11: one datagram with the number of a member's next start does not mute that start", () => {
  for (const counter of [LEAP, FIRST_MAX, 2 ** 48 - 1]) {
    const world = setUp();
    world.strike("asOwner", { counter, later: 1 });
    world.lab.run(60 * SECOND);
    world.victim.crash();
    world.victim.start();
    world.lab.run(10 * SECOND);
    const percent = aliveness(world, 300);
    assert.ok(percent > 98, `counter ${counter}: alive in ${percent} % of the looks`);
  }
});

Deno.test("item 11: a copy that seals such a datagram every 30 s, in its owner's run, is named by all, its owner too", () => {
  for (const directions of [["asOwner"], BOTH] as const) {
    const world = setUp();
    const percent = aliveness(world, 300, (second) => {
      if (second % 30 !== 0) return;
      const counter = LEAP + second / 30 * LEAP / 2;
      for (const direction of directions) world.strike(direction, { counter });
    });
    assert.ok(percent > 98, `alive in ${percent} % of the looks`);
    for (const one of [world.victim, ...world.honest]) {
      assert.ok(isNamed(one), one.address);
      assert.ok(told(one, "twin") > 0, one.address);
    }
  }
});

Deno.test("item 11: who is told such numbers in others' names only is no copy's owner to them", () => {
  const world = setUp();
  aliveness(world, 300, (second) => {
    if (second % 30 === 0) world.strike("toOwner", { counter: LEAP + second / 30 * LEAP / 2 });
  });
  for (const one of [world.victim, ...world.honest]) assert.ok(!isNamed(one), one.address);
});
