/**
 * A member with all its rights and no scruple: it has joined as everybody does, and from then on its
 * computer sends whatever this class is asked to, well-formed, sealed and signed with its own keys.
 * It answers probes, so that it stays alive in the eyes of the others.
 */
import { type Admission, endorse, requestAdmission } from "../membership/admission.ts";
import type { SigningKey } from "../crypto.ts";
import { fromBase64url } from "../base64url.ts";
import { decodeGenesis, type Genesis, meshIdOf } from "../membership/genesis.ts";
import { type Identity, identityFromSeed } from "../membership/identity.ts";
import { recordRumour, statementRumour } from "../membership/news.ts";
import {
  bootOf,
  type NodeRecord,
  openRecord,
  type RecordBody,
  sequenceOf,
  signRecord,
} from "../membership/record.ts";
import { type Draft, signStatement, type Statement } from "../membership/statement.ts";
import { decodePing, encodePong } from "../pings.ts";
import { type Body, type Claim, decode, encode, type Rumour } from "../swim/messages.ts";
import { PAYLOAD_MAX, type PayloadKind, Seal } from "../wire/seal.ts";
import type { Computer } from "./node_lab.ts";

/** Something that the insider has received and opened. */
export interface Overheard {
  readonly from: string;
  readonly kind: PayloadKind;
  readonly payload: Uint8Array;
  /** Bytes of the whole datagram. */
  readonly length: number;
}

export class Insider {
  readonly identity: Identity;
  readonly meshId: Uint8Array;
  readonly genesis: Genesis;
  readonly overheard: Overheard[] = [];
  /** What the insider's own record says, as others hold it. */
  readonly record: NodeRecord;
  /** Whether it answers probes. */
  isPolite = true;
  incarnation: number;
  readonly #seal: Seal;
  readonly #run: string;
  readonly #boot: number;
  #records = 0;
  readonly #introduced = new Set<string>();
  #number: number;

  /** Takes a member's computer over: its node stops. */
  constructor(readonly computer: Computer) {
    const { crypto, random } = computer.lab;
    const { disk } = computer;
    if (!disk?.genesis) throw new Error("sim: an insider must have joined");
    const genesis = decodeGenesis(fromBase64url(disk.genesis) ?? new Uint8Array());
    if (!genesis.ok) throw new Error(genesis.error);
    this.genesis = genesis.value;
    this.meshId = meshIdOf(crypto, this.genesis);
    this.identity = identityFromSeed(crypto, computer.identitySeed);
    this.record = ownRecord(computer, this.meshId);
    this.#boot = disk.boot + 1;
    this.#number = disk.numbers.own;
    this.incarnation = disk.incarnation + 1;
    this.#run = random(8).toHex();
    this.#seal = new Seal(crypto, random, this.meshId, this.identity, this.#boot, this.#run);
    for (const { record } of disk.members) {
      const bytes = Uint8Array.fromBase64(record, { alphabet: "base64url" });
      const opened = openRecord(crypto, this.meshId, bytes);
      if (opened.ok) {
        this.#seal.know(opened.value.id, opened.value.key, bootOf(opened.value.sequence));
      }
    }
    computer.crash();
    computer.host.start({
      deadline: () => ({ at: Infinity, why: "nothing" }),
      tick: () => {},
      receive: (_, from, bytes) => this.#receive(from, bytes),
    });
  }

  /** Knows somebody that joined later. */
  know(other: Computer): void {
    const key = this.computer.lab.crypto.ed25519FromSeed(other.identitySeed).publicKey;
    this.#seal.know(other.id, key, other.disk?.boot ?? 1);
  }

  send(to: Computer, kind: PayloadKind, payload: Uint8Array): void {
    this.know(to);
    if (!this.#introduced.has(to.id)) {
      // Of a start that no record has proven little is listened to. It is older than all that is described.
      this.#introduced.add(to.id);
      const first = this.describe({ sequence: sequenceOf(this.#boot, 0) });
      this.#send(to.id, to.address, "record", first.bytes);
    }
    this.#send(to.id, to.address, kind, payload);
  }

  /** A datagram that it sends now, to be replayed by whoever likes. */
  sealed(to: Computer, kind: PayloadKind, payload: Uint8Array): Uint8Array {
    this.know(to);
    const bytes = this.#seal.seal(to.id, kind, payload);
    if (!bytes) throw new Error("sim: the seal knows nobody of this key");
    return bytes;
  }

  sealedGossip(to: Computer, body: Body, riding: Partial<Riding> = {}): Uint8Array {
    return this.sealed(to, "gossip", this.#message(body, riding));
  }

  gossip(to: Computer, body: Body, riding: Partial<Riding> = {}): void {
    this.send(to, "gossip", this.#message(body, riding));
  }

  rumour(to: Computer, rumour: Rumour): void {
    this.gossip(to, { kind: "news" }, { rumours: [rumour] });
  }

  claim(to: Computer, ...claims: Claim[]): void {
    this.gossip(to, { kind: "news" }, { claims });
  }

  /** Spreads a statement, whoever signed it. */
  tell(to: Computer, statement: Statement): void {
    this.rumour(to, statementRumour(statement));
  }

  spread(to: Computer, record: NodeRecord): void {
    this.rumour(to, recordRumour(record));
  }

  /** Signs a statement, with its own key where no other is given. */
  sign(draft: Draft, signing?: SigningKey, number?: number, at?: number): Statement {
    const { crypto } = this.computer.lab;
    const numbered = {
      number: draft.kind === "left" ? 0 : number ?? ++this.#number,
      at: at ?? Math.floor(this.computer.now().wall / 1000),
    };
    return signStatement(crypto, this.meshId, signing ?? this.identity.signing, draft, numbered);
  }

  /** A newer record of its own, or of another key that it has. */
  describe(change: Partial<RecordBody>, identity = this.identity): NodeRecord {
    const { crypto } = this.computer.lab;
    const { id: _, bytes: __, ...body } = this.record;
    const sequence = sequenceOf(this.#boot, ++this.#records);
    return signRecord(crypto, this.meshId, identity.signing, {
      ...body,
      key: identity.signing.publicKey,
      sequence,
      run: this.#run,
      ...change,
    });
  }

  /** An admission of a key by a token's secret, which it endorses itself as the door. */
  admit(identity: Identity, token: SigningKey, name: string, at?: number): Admission {
    const { crypto } = this.computer.lab;
    const asked = requestAdmission(crypto, this.meshId, token, { subject: identity.id, name });
    at ??= Math.floor(this.computer.now().wall / 1000);
    return endorse(crypto, this.meshId, asked, this.identity.signing, at);
  }

  /** One of the keys that it can make as many of as it likes. */
  newIdentity(): Identity {
    const { crypto, random } = this.computer.lab;
    return identityFromSeed(crypto, random(32));
  }

  #message(body: Body, { claims = [], rumours = [] }: Partial<Riding>): Uint8Array {
    const message = { incarnation: this.incarnation, view: undefined, body, claims, rumours };
    return encode(message, PAYLOAD_MAX);
  }

  #send(id: string, address: string, kind: PayloadKind, payload: Uint8Array): void {
    const bytes = this.#seal.seal(id, kind, payload);
    if (bytes) this.computer.lab.network.send(this.computer.address, address, bytes, bytes.length);
  }

  #receive(address: string, bytes: Uint8Array): void {
    const result = this.#seal.open(this.computer.now(), bytes);
    if (result.kind !== "opened") return;
    const { from, kind, payload } = result.value;
    this.overheard.push({ from, kind, payload, length: bytes.length });
    if (!this.isPolite) return;
    if (kind === "ping") {
      const ping = decodePing(payload);
      const pong = ping.ok &&
        encodePong(ping.value.nonce, ping.value.token, this.computer.endpoint);
      if (pong) this.#send(from, address, "pong", pong);
    }
    const message = kind === "gossip" ? decode(payload, PAYLOAD_MAX) : undefined;
    if (!message?.ok || message.value.body.kind !== "ping") return;
    const { seq } = message.value.body;
    this.#send(from, address, "gossip", this.#message({ kind: "ack", seq }, {}));
  }
}

/** What rides along on a message of swim. */
export interface Riding {
  readonly claims: readonly Claim[];
  readonly rumours: readonly Rumour[];
}

/** The record of a computer's node as some other member holds it. */
function ownRecord(computer: Computer, meshId: Uint8Array): NodeRecord {
  const { crypto, computers } = computer.lab;
  for (const { disk } of computers) {
    for (const { record } of disk?.members ?? []) {
      const bytes = Uint8Array.fromBase64(record, { alphabet: "base64url" });
      const opened = openRecord(crypto, meshId, bytes);
      if (opened.ok && opened.value.id === computer.id) return opened.value;
    }
  }
  throw new Error("sim: no member holds the insider's record");
}
