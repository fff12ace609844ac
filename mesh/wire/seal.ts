/**
 * The seal between members: everything that they say to each other on the one UDP port.
 *
 * ```
 * sealed  c1 03 00 00 | hint 8 | nonce 24 | XChaCha20-Poly1305( boot 4, counter 6, echo 4, run 4, kind 1, payload )
 * ```
 *
 * The key of each direction comes from X25519 of the two static keys and the mesh id: no handshake,
 * one scalar multiplication a peer, and who can open it knows who sealed it. There is no forward
 * secrecy: control datagrams carry what members may know anyway (records, liveness), never traffic or
 * keys. The *hint* says which key to try: a keyed hash of sender and receiver under the mesh id. An
 * observer can tell that two datagrams belong to the same pair, not to whom; outside the mesh it cannot
 * be computed from public keys.
 *
 * **Replay**: the sender counts its starts (boot, on disk) and its datagrams (counter). The receiver
 * keeps a window of 1,024 counters per peer, in memory. So that a restart of the receiver opens no
 * gap, each datagram echoes the receiver's boot number as the sender knows it, and one that echoes
 * another is not delivered: it is answered, once a second at most, with a notice from which the
 * sender learns the number.
 *
 * **Leaps**: whoever has a member's key, its own or ours, can seal any counter in its name, and all that the member
 * itself says is behind that from then on. So no datagrams lead the counters further, all of them together, than the member
 * can have sent meanwhile ({@link LEAP_RATE}) and {@link LEAP} beside it, or at its first ({@link FIRST_MAX}); and what is behind the window, or leaps, and is
 * authentic, is answered like what echoes another number, with a notice that names the highest counter. The sender goes
 * on beyond that ({@link Seal.goOn}), for this receiver alone, so that a lie of the receiver costs nobody else anything.
 * A notice that is behind itself still leads upwards, since both directions may have been led astray; downwards only one
 * that is delivered or leaps, and never below what was really sealed: who has a key may have said that more was heard.
 *
 * **Two machines with one key** cannot be told apart by their seals, but by the run in them: a random
 * number of each start. While both live, the run that was first is the one that counts (twins.ts), from
 * its own boot number on: the other may have gone on to any.
 */
import type { Crypto } from "../crypto.ts";
import { Reader, Writer } from "../codec.ts";
import { HEAD_SIZE, headOf } from "../datagram.ts";
import type { Now, Random } from "../machine.ts";
import { ReplayWindow, WINDOW } from "./window.ts";
import { BOOT_MAX } from "../membership/record.ts";
import type { Identity, MemberId } from "../membership/identity.ts";

/** IPv6's minimum MTU less 48 bytes of headers: passes everywhere unfragmented. */
export const DATAGRAM_MAX = 1232;

const HINT_SIZE = 8;
const NONCE_SIZE = 24;
const TAG_SIZE = 16;
const RUN_SIZE = 4;
const INNER_SIZE = 4 + 6 + 4 + RUN_SIZE + 1;

/** Bytes of payload in one sealed datagram at most. */
export const PAYLOAD_MAX = DATAGRAM_MAX - HEAD_SIZE - HINT_SIZE - NONCE_SIZE - TAG_SIZE -
  INNER_SIZE;

/** What a sealed datagram carries. */
const PAYLOADS = [
  /** A message of swim. */
  "gossip",
  "ping",
  "pong",
  /** "I know you": ends a join; carries the door's cookie. */
  "confirm",
  /**
   * Nothing but its own numbers: from it the other side learns our boot number. Or the highest of its counters that has
   * come (6 bytes): from it the other side learns that it has to go on beyond that.
   */
  "notice",
  /** A record: its subject's own, when the subject has fallen behind it. */
  "record",
  /** Statements that must not wait for gossip, or prove what the recipient is. */
  "statements",
  /** The endorsed admission of the recipient. */
  "admission",
] as const;
export type PayloadKind = typeof PAYLOADS[number];

export interface Opened {
  readonly from: MemberId;
  readonly kind: PayloadKind;
  readonly payload: Uint8Array;
}

/**
 * What came of a sealed datagram. Everything but `opened` delivers nothing. `isNewStart`: its sender
 * has started anew since the highest boot number of its that was proven before.
 */
export type OpenResult =
  | {
    readonly kind: "opened";
    readonly value: Opened;
    readonly isNewStart: boolean;
    /** First half of the run that sealed it, hexadecimal. */
    readonly run: string;
  }
  /** Authentic, but meant for another run of ours, or older than what we know of the sender. */
  | {
    readonly kind: "stale";
    readonly from: MemberId;
    /** The sender's own boot number in it. */
    readonly boot: number;
    /** The highest boot number of ours that the sender says it knows. */
    readonly echo: number;
    /** The sender is behind a boot number that it has used: it lost its state, or another machine has its key. */
    readonly isBehind: boolean;
    readonly isNewStart: boolean;
    readonly value: Unsure;
  }
  /** Authentic, of a second machine that uses the sender's key. */
  | {
    readonly kind: "twin";
    readonly from: MemberId;
    readonly boot: number;
    readonly value: Unsure;
    /** It is of the run that is known for the second machine's, and no copy of what came from that since. */
    readonly isFresh: boolean;
  }
  /**
   * Authentic, and not delivered: its counter was used, or is too far behind the highest that has come in its sender's
   * name, or too far beyond that, or, where none has come yet, beyond all that there can be.
   */
  | {
    readonly kind: "behind";
    readonly from: MemberId;
    readonly boot: number;
    /** The highest counter that has come; -1: none has. */
    readonly top: number;
    /** It is beyond that, so it was never delivered. */
    readonly isLeap: boolean;
    readonly value: Unsure;
  }
  | { readonly kind: "dropped"; readonly why: "malformed" | "unknown" | "forged" | "replayed" };

/** What a member's key has sealed at some time: it may be a copy of that. */
export type Unsure = Omit<Opened, "kind"> & { readonly kind: PayloadKind | undefined };

/** What is known of a member's datagrams since one of its starts. */
interface Start {
  /** Its number; 0: none is known. */
  readonly boot: number;
  readonly window: ReplayWindow;
  /** Boot ms at which the last of its datagrams was delivered. */
  at: number;
  /** Counters by which the next may be beyond the highest, beside {@link LEAP_RATE} for each ms since then. */
  slack: number;
}

interface Peer {
  readonly id: MemberId;
  readonly key: Uint8Array;
  readonly hint: string;
  keys: { readonly send: Uint8Array; readonly receive: Uint8Array } | undefined;
  /** By its signed record. */
  proven: Start;
  /** What its datagrams say that it has started since, and how many of those are delivered before a record says so, too. */
  unproven: Start | undefined;
  tries: number;
  /** The highest boot number that was ever read in a datagram of its, or in a record. */
  highest: number;
  /** That of the last datagram that was delivered. */
  last: number;
  /** The one run that counts while two machines use the key, as it stands in datagrams; undefined: any. */
  run: string | undefined;
  /** By how much its counters are ahead of what we have sealed: somebody else has led them there. */
  lead: number;
  /** The run of the other machine, and what has come from that. */
  second: { readonly run: string; boot: number; window: ReplayWindow } | undefined;
}

/** Datagrams of starts that no record has proven, between two records that prove one. */
export const TRIES = 64;

/**
 * Counters by which datagrams may go beyond the highest: so many at once, and beside them so many for each ms. What one has
 * used of the first comes back at that rate: were it each datagram's own, a thousand datagrams could lead as far as an honest
 * member gets in weeks. Nobody seals a million a second, so the busiest member needs nothing but the second.
 */
export const LEAP = 2 ** 20;
export const LEAP_RATE = 1_024;
/** The highest counter with which what comes from a member may begin: 34 years of 1,000 datagrams a second. */
export const FIRST_MAX = 2 ** 40;
/** The highest counter that a notice may name: to lead a receiver there takes years. */
export const GO_ON_MAX = 2 ** 47;
/** Counters behind the highest whose second coming is answered by nothing. */
const COPIES = 8;
const TOP_SIZE = 6;

const utf8 = new TextEncoder();
const HINT = utf8.encode("shoal hint 3\0");
const PAIR = utf8.encode("shoal pair 3\0");

/** The seal between one node and the members that it knows. As large as the member table. */
export class Seal {
  readonly #peers = new Map<MemberId, Peer>();
  readonly #byHint = new Map<string, Peer>();
  #counter = 0;

  /**
   * @param boot how often this node has started, on disk before this start; never the same twice.
   * @param run 8 random bytes of this start, hexadecimal; half of them are sent
   */
  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly meshId: Uint8Array,
    private readonly self: Identity,
    private boot: number,
    private run: string,
  ) {}

  /**
   * Counts on from a higher boot number, on disk already: see node records in record.ts.
   * @param run of what is sealed from now on
   */
  restart(boot: number, run = this.run): void {
    if (boot <= this.boot) throw new RangeError(`control: boot ${boot} after ${this.boot}`);
    this.boot = boot;
    this.run = run;
    this.#counter = 0;
    for (const peer of this.#peers.values()) peer.lead = 0;
  }

  /**
   * Knows a member from now on; a boot number from its signed record is proof of that number.
   * @param run of that record, hexadecimal
   * @returns whether a member that was known has started anew
   */
  know(id: MemberId, key: Uint8Array, boot: number, run?: string): boolean {
    const peer = this.#peers.get(id);
    if (peer !== undefined) {
      const isOther = run !== undefined && peer.run !== undefined && inSeal(run) !== peer.run;
      return !isOther && this.#prove(peer, boot);
    }
    const hint = this.#hint(key, this.self.signing.publicKey);
    const fresh: Peer = {
      id,
      key,
      hint,
      keys: undefined,
      proven: startAt(boot),
      unproven: undefined,
      tries: TRIES,
      highest: boot,
      last: boot,
      run: undefined,
      lead: 0,
      second: undefined,
    };
    this.#peers.set(id, fresh);
    this.#byHint.set(hint, fresh);
    return false;
  }

  /**
   * From now on only this run of a member counts: another machine uses its key, too.
   * @param boot where its numbers are, by its record, however far the other machine's have gone
   * @param second the run of the other machine
   */
  pin(id: MemberId, run: string, boot: number, second: string): void {
    const peer = this.#peers.get(id);
    if (!peer) return;
    if (peer.second?.run !== inSeal(second)) {
      peer.second = { run: inSeal(second), boot: 0, window: new ReplayWindow() };
    }
    if (peer.run === inSeal(run)) return;
    peer.run = inSeal(run);
    // Its own window may be gone with the other's numbers. What is replayed from then says nothing new.
    if (boot < peer.proven.boot) this.#rebase(peer, boot);
    peer.unproven = undefined;
  }

  /** Its numbers begin here: another machine's have gone further, and it does not count any more. */
  rebase(id: MemberId, boot: number): void {
    const peer = this.#peers.get(id);
    if (peer) this.#rebase(peer, boot);
  }

  #rebase(peer: Peer, boot: number): void {
    peer.proven = startAt(boot);
    peer.unproven = undefined;
    peer.last = boot;
  }

  unpin(id: MemberId): void {
    const peer = this.#peers.get(id);
    if (peer) peer.run = peer.second = undefined;
  }

  forget(id: MemberId): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    if (peer.keys) this.crypto.wipe(peer.keys.send, peer.keys.receive);
    this.#peers.delete(id);
    this.#byHint.delete(peer.hint);
  }

  /**
   * Seals for a member.
   * @param echo the recipient's boot number where a better one is known than the proven.
   * @returns undefined when the member is not known or its key is no valid point.
   */
  seal(
    to: MemberId,
    kind: PayloadKind,
    payload: Uint8Array,
    echo?: number,
  ): Uint8Array | undefined {
    if (payload.length > PAYLOAD_MAX) {
      throw new RangeError(`control: a ${kind} of ${payload.length} bytes, over ${PAYLOAD_MAX}`);
    }
    const peer = this.#peers.get(to);
    const keys = peer && this.#keys(peer);
    if (!peer || !keys) return undefined;
    const head = new Writer().bytes(headOf("sealed"))
      .bytes(Uint8Array.fromHex(this.#hint(this.self.signing.publicKey, peer.key))).finish();
    const counter = this.#counter + 1 + peer.lead;
    this.#counter++;
    const nonce = this.random(NONCE_SIZE);
    const inner = new Writer().u32(this.boot).u48(counter).u32(echo ?? peer.last)
      .bytes(Uint8Array.fromHex(this.run).subarray(0, RUN_SIZE)).u8(PAYLOADS.indexOf(kind)).bytes(
        payload,
      ).finish();
    const sealed = this.crypto.xchacha20poly1305Seal(keys.send, nonce, head, inner);
    return new Writer().bytes(head).bytes(nonce).bytes(sealed).finish();
  }

  /**
   * A member says which counter of this start is the highest that it has from us: what it gets from us goes on beyond that.
   * @param payload of the notice
   * @param isNew it is no copy of one that was delivered
   * @returns by how much that is beyond all that was sealed for it
   */
  goOn(id: MemberId, payload: Uint8Array, isNew: boolean): number {
    const peer = this.#peers.get(id);
    if (!peer || payload.length !== TOP_SIZE) return 0;
    const top = new Reader(payload).u48();
    if (top > GO_ON_MAX) return 0;
    const beyond = top - (this.#counter + peer.lead);
    if (beyond > 0) peer.lead = top - this.#counter;
    else if (beyond < -LEAP && isNew) peer.lead = Math.max(0, top - this.#counter);
    return Math.max(0, beyond);
  }

  open(now: Now, bytes: Uint8Array): OpenResult {
    const shortest = HEAD_SIZE + HINT_SIZE + NONCE_SIZE + TAG_SIZE + INNER_SIZE;
    if (bytes.length < shortest || bytes.length > DATAGRAM_MAX) return dropped("malformed");
    const head = bytes.subarray(0, HEAD_SIZE + HINT_SIZE);
    const peer = this.#byHint.get(head.subarray(HEAD_SIZE).toHex());
    const keys = peer && this.#keys(peer);
    if (!peer || !keys) return dropped("unknown");
    const nonce = bytes.subarray(head.length, head.length + NONCE_SIZE);
    const sealed = bytes.subarray(head.length + NONCE_SIZE);
    const inner = this.crypto.xchacha20poly1305Open(keys.receive, nonce, head, sealed);
    if (inner === undefined) return dropped("forged");
    return this.#judge(now, peer, new Reader(inner));
  }

  #judge(now: Now, peer: Peer, reader: Reader): OpenResult {
    const boot = reader.u32();
    const counter = reader.u48();
    const echo = reader.u32();
    const run = reader.bytes(RUN_SIZE).toHex();
    const kind = PAYLOADS[reader.u8()];
    const payload = reader.bytes(reader.left);
    const value = { from: peer.id, kind, payload };
    if (peer.run !== undefined && peer.run !== run) {
      return {
        kind: "twin",
        from: peer.id,
        boot,
        value,
        isFresh: isFresh(peer, run, boot, counter),
      };
    }
    if (boot > BOOT_MAX) return dropped("malformed");
    const isNewStart = peer.highest > 0 && boot > peer.highest;
    peer.highest = Math.max(peer.highest, boot);
    const start = echo === this.boot ? this.#startOf(peer, boot) : undefined;
    if (start === undefined) {
      const isBehind = boot < peer.proven.boot;
      return { kind: "stale", from: peer.id, boot, echo, isBehind, isNewStart, value };
    }
    const { window, at } = start;
    const { top } = window;
    const isLeap = counter > top;
    const behind = { kind: "behind", from: peer.id, boot, top, isLeap, value } as const;
    if (top < 0 && counter > FIRST_MAX) return behind;
    // Whoever is honest has not sent so many, or was led there by a lie about what has come here; if so, its time comes.
    const since = top < 0 ? 0 : Math.max(0, now.boot - at);
    const step = top < 0 ? 0 : counter - top;
    // What was sent before it is within the window all the same.
    const left = start.slack + LEAP_RATE * since - (step < WINDOW ? 0 : step);
    if (left < 0) return behind;
    // What went to several places at once comes more than once.
    if (!window.accept(counter)) return top - counter < COPIES ? dropped("replayed") : behind;
    start.at = now.boot;
    start.slack = Math.min(LEAP, left);
    if (kind === undefined) return dropped("malformed");
    peer.last = boot;
    // What it has taken stays known: a record that proves this start later must not let copies of it in.
    if (start === peer.unproven) peer.tries--;
    return { kind: "opened", value: { ...value, kind }, isNewStart, run };
  }

  /**
   * The start that a datagram is of, where that is to be delivered. Of a later start than the record's some are, since a
   * record may come after them; whoever has the key can say any number, so the record's start goes on beside that.
   */
  #startOf(peer: Peer, boot: number): Start | undefined {
    const { proven, unproven } = peer;
    if (boot === proven.boot) return proven;
    if (boot < proven.boot || peer.tries === 0) return undefined;
    if (boot === unproven?.boot) return unproven;
    if (unproven && boot < unproven.boot) return undefined;
    return peer.unproven = startAt(boot);
  }

  /** A signed record says so. */
  #prove(peer: Peer, boot: number): boolean {
    if (boot <= peer.proven.boot) return false;
    const isNewStart = peer.proven.boot > 0 && boot > peer.highest;
    peer.proven = peer.unproven?.boot === boot ? peer.unproven : startAt(boot);
    peer.unproven = undefined;
    peer.tries = TRIES;
    peer.last = boot;
    peer.highest = Math.max(peer.highest, boot);
    return isNewStart;
  }

  #keys(peer: Peer): Peer["keys"] {
    peer.keys ??= pairKeys(this.crypto, PAIR, this.meshId, this.self, peer.key);
    return peer.keys;
  }

  #hint(from: Uint8Array, to: Uint8Array): string {
    return this.crypto.blake2sMac(this.meshId, HINT, from, to).subarray(0, HINT_SIZE).toHex();
  }
}

function isFresh({ second }: Peer, run: string, boot: number, counter: number): boolean {
  if (second?.run !== run || boot < second.boot) return false;
  if (boot > second.boot) {
    second.boot = boot;
    second.window = new ReplayWindow();
  }
  return second.window.accept(counter);
}

function startAt(boot: number): Start {
  return { boot, window: new ReplayWindow(), at: -Infinity, slack: LEAP };
}

/** What a notice says of the highest counter that has come. */
export function encodeTop(top: number): Uint8Array {
  return new Writer().u48(Math.max(0, top)).finish();
}

/** How a run stands in datagrams. */
function inSeal(run: string): string {
  return run.slice(0, 2 * RUN_SIZE);
}

/** Both directions' keys between us and the holder of an Ed25519 key. */
function pairKeys(
  crypto: Crypto,
  label: Uint8Array,
  meshId: Uint8Array,
  self: Identity,
  key: Uint8Array,
): { send: Uint8Array; receive: Uint8Array } | undefined {
  const image = crypto.ed25519ToX25519Public(key);
  const shared = image && crypto.x25519(self.tunnelSecret, image);
  if (!shared) return undefined;
  const ours = self.signing.publicKey;
  const send = crypto.hmacBlake2s(shared, label, meshId, ours, key);
  const receive = crypto.hmacBlake2s(shared, label, meshId, key, ours);
  crypto.wipe(shared);
  return { send, receive };
}

function dropped(why: "malformed" | "unknown" | "forged" | "replayed"): OpenResult {
  return { kind: "dropped", why };
}
