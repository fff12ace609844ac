/**
 * Somebody with a copy of a member's folder, who runs no node: it seals single datagrams in the member's name, or, to the
 * member, in the names of others, since the seal's key is that of both ends (wire/seal.ts).
 */
import { Reader, Writer } from "../codec.ts";
import { headOf } from "../datagram.ts";
import { type Identity, identityFromSeed } from "../membership/identity.ts";
import { type NodeRecord, openRecord } from "../membership/record.ts";
import type { Computer } from "./node_lab.ts";

const BASE64URL = { alphabet: "base64url" } as const;
/** The numbers of some kinds of payload. */
const KINDS = { gossip: 0, ping: 1, pong: 2, notice: 4 } as const;

/** In the owner's name to each of the others, or to the owner in the name of each of these. */
export type Direction = "asOwner" | "toOwner";

export interface Forged {
  readonly counter: number;
  /** Starts beyond the present one of the owner. */
  readonly later?: number;
  /** First half of the run in the owner's datagrams, hexadecimal; its present one when absent. */
  readonly run?: string;
  readonly payload?: Uint8Array;
  /** Of payload; a notice when absent. */
  readonly kind?: keyof typeof KINDS;
  /** `ADDRESS:PORT` that all of them bear as their source; that of whom they seem to come from when absent. */
  readonly place?: string;
}

export class CopiedKey {
  readonly #meshId: Uint8Array;
  readonly #identity: Identity;
  readonly #own: NodeRecord;

  constructor(private readonly owner: Computer, private readonly others: readonly Computer[]) {
    this.#meshId = Uint8Array.fromHex(owner.node.status(owner.now()).mesh?.id ?? "");
    this.#identity = identityFromSeed(owner.lab.crypto, owner.identitySeed);
    const [witness] = others;
    if (!witness) throw new Error("sim: nobody to write to");
    this.#own = this.#recordOf(witness, owner.id);
  }

  /** Sends one datagram for each of the others. */
  strike(direction: Direction, forged: Forged): void {
    for (const one of this.others) this.strikeOne(direction, one, forged);
  }

  /** Sends one datagram for one of the others. */
  strikeOne(direction: Direction, one: Computer, forged: Forged): void {
    const { lab } = this.owner;
    const bytes = this.#seal(direction, one, forged);
    const [source, goal] = direction === "asOwner" ? [this.owner, one] : [one, this.owner];
    lab.network.send(forged.place ?? source.address, goal.address, bytes, bytes.length);
  }

  /** Counter in a datagram of the owner to one of the others; undefined: it is none. */
  counterIn(one: Computer, bytes: Uint8Array): number | undefined {
    const inner = this.#open("asOwner", one, bytes);
    if (!inner) return undefined;
    inner.u32();
    return inner.u48();
  }

  /** The payload of a ping of one of the others to the owner; undefined: it is none. */
  pingIn(one: Computer, bytes: Uint8Array): Uint8Array | undefined {
    const inner = this.#open("toOwner", one, bytes);
    if (!inner) return undefined;
    inner.bytes(4 + 6 + 4 + 4);
    return inner.u8() === KINDS.ping ? inner.bytes(inner.left) : undefined;
  }

  #open(direction: Direction, one: Computer, bytes: Uint8Array): Reader | undefined {
    const { crypto } = this.owner.lab;
    const { secret } = this.#pair(direction, one);
    const [head, nonce] = [bytes.subarray(0, 12), bytes.subarray(12, 36)];
    const inner = crypto.xchacha20poly1305Open(secret, nonce, head, bytes.subarray(36));
    return inner && new Reader(inner);
  }

  /** What both ends of a seal know of one direction. */
  #pair(direction: Direction, one: Computer) {
    const { crypto } = this.owner.lab;
    const { tunnelSecret, signing: { publicKey } } = this.#identity;
    const record = this.#recordOf(this.owner, one.id);
    const image = crypto.ed25519ToX25519Public(record.key);
    const shared = image && crypto.x25519(tunnelSecret, image);
    if (!shared) throw new Error("sim: no key");
    const isOwner = direction === "asOwner";
    const [from, to] = isOwner ? [publicKey, record.key] : [record.key, publicKey];
    const secret = crypto.hmacBlake2s(shared, label("pair"), this.#meshId, from, to);
    return { record, from, to, secret };
  }

  #seal(
    direction: Direction,
    one: Computer,
    { counter, later = 0, run, payload = new Uint8Array(0), kind = "notice" }: Forged,
  ): Uint8Array {
    const { crypto, random } = this.owner.lab;
    const { record, from, to, secret } = this.#pair(direction, one);
    const boots = [this.owner.disk?.boot, one.disk?.boot] as const;
    if (boots[0] === undefined || boots[1] === undefined) throw new Error("sim: no disk");
    const isOwner = direction === "asOwner";
    const [boot, echo] = isOwner ? [boots[0] + later, boots[1]] : [boots[1], boots[0]];
    const half = isOwner ? run ?? this.#own.run.slice(0, 8) : record.run.slice(0, 8);
    const hint = crypto.blake2sMac(this.#meshId, label("hint"), from, to).subarray(0, 8);
    const head = new Writer().bytes(headOf("sealed")).bytes(hint).finish();
    const inner = new Writer().u32(boot).u48(counter).u32(echo).bytes(Uint8Array.fromHex(half))
      .u8(KINDS[kind]).bytes(payload).finish();
    const nonce = random(24);
    const sealed = crypto.xchacha20poly1305Seal(secret, nonce, head, inner);
    return new Writer().bytes(head).bytes(nonce).bytes(sealed).finish();
  }

  /** What a member has on its disk about another. */
  #recordOf(by: Computer, id: string): NodeRecord {
    for (const { record } of by.disk?.members ?? []) {
      const bytes = Uint8Array.fromBase64(record, BASE64URL);
      const opened = openRecord(this.owner.lab.crypto, this.#meshId, bytes);
      if (opened.ok && opened.value.id === id) return opened.value;
    }
    throw new Error(`sim: ${by.address} holds no record of ${id}`);
  }
}

function label(text: string): Uint8Array {
  return new TextEncoder().encode(`shoal ${text} 3\0`);
}
