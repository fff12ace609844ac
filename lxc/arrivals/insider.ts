/**
 * What an insider does that keeps to the form, which no mutant of a byte is: it signs statements,
 * records and admissions with keys that it has, of admins, of the mesh, of the recovery, of invites,
 * and lets *ghosts* meet the node under fire as whatever those make of them: somebody with a token, a
 * provisional member, a certified one, a second machine with a member's key, one that was removed.
 *
 * In its calm part an episode stays worth playing: what it signs is about ghosts, under numbers that
 * honest signers do not reach. In the wild part it is about everybody, and offices and mesh keys end.
 */
import type { Crypto, SigningKey } from "../../mesh/crypto.ts";
import { decodeAnswer, encodeIntroduction } from "../../mesh/door/greeting.ts";
import type { Endpoint } from "../../mesh/endpoint.ts";
import type { Now, Prefix } from "../../mesh/machine.ts";
import {
  type Admission,
  encodeAdmission,
  endorse,
  requestAdmission,
} from "../../mesh/membership/admission.ts";
import { ip6Of } from "../../mesh/membership/address.ts";
import { meshIdOf } from "../../mesh/membership/genesis.ts";
import { type Identity, identityFromSeed } from "../../mesh/membership/identity.ts";
import type { Refusal } from "../../mesh/membership/judge.ts";
import { KIND, recordRumour } from "../../mesh/membership/news.ts";
import { type NodeRecord, sequenceOf, signRecord } from "../../mesh/membership/record.ts";
import {
  type Certificate,
  type Draft,
  encodeStatements,
  GROUPS_MAX,
  NUMBER_MAX,
  signStatement,
  type Statement,
} from "../../mesh/membership/statement.ts";
import { encodePing, encodePong } from "../../mesh/pings.ts";
import type { NodeLab } from "../../mesh/sim/node_lab.ts";
import { type Body, BUCKETS, encode, HASH_BYTES, type Rumour } from "../../mesh/swim/messages.ts";
import { openAnswer } from "../../mesh/wire/contact.ts";
import { PAYLOAD_MAX, type PayloadKind, Seal } from "../../mesh/wire/seal.ts";
import { newcomers, wants } from "./crowd.ts";
import { type Deliver, Knocker } from "./knock.ts";
import type { Mutator } from "./mutator.ts";
import { type Loot, PAYLOAD_KINDS } from "./protocol.ts";
import type { Victim } from "./victim.ts";

/** Ghosts at a time: the oldest is replaced. */
const GHOSTS = 12;
/** Invites whose secret is known. */
const TOKENS = 8;
const STATEMENTS = 64;
const SECONDS_MAX = 2 ** 48 - 1;
/** Numbers of the calm part: so few that some meet. */
const NUMBERS = 60;
const NUMBERS_FROM = 2_000;

/** An identity of the insider's, and how it talks. */
interface Ghost {
  readonly identity: Identity;
  /** One for each run: more than one where two machines use its key. */
  readonly seals: readonly Seal[];
  place: Endpoint;
  readonly runs: readonly string[];
  boot: number;
  count: number;
  /** It was let in once. */
  isKnown: boolean;
  proof: Statement[];
  admission: Admission | undefined;
}

interface Invite {
  readonly secret: SigningKey;
  readonly statement: Statement;
}

export interface InsiderOptions {
  readonly crypto: Crypto;
  readonly mutator: Mutator;
  readonly lab: NodeLab;
  readonly victim: Victim;
  readonly loot: Loot;
  readonly now: () => Now;
  readonly deliver: Deliver;
  /** A ghost was turned away, and told why. */
  readonly onRefused: (why: Refusal) => void;
}

export class Insider {
  isWild = false;
  readonly #o: InsiderOptions;
  readonly #knocker: Knocker;
  readonly #ghosts: Ghost[] = [];
  readonly #invites: Invite[] = [];
  readonly #said: Statement[] = [];
  readonly #meshKeys: SigningKey[];
  #successors = 0;

  constructor(options: InsiderOptions) {
    this.#o = options;
    this.#knocker = new Knocker(options.crypto, options.mutator.random);
    this.#meshKeys = [options.loot.mesh];
  }

  /** One thing that an insider may do. */
  act(): void {
    const genesis = this.#o.victim.genesis;
    if (!genesis) return;
    const meshId = meshIdOf(this.#o.crypto, genesis);
    const { random } = this.#o.mutator;
    const ghost = random.chance(0.08) ? this.#conjure(meshId) : this.#someGhost(meshId);
    const dice = random.below(100);
    // What nobody opens is worth little: mostly those talk that the node has met.
    if (!ghost.isKnown && random.chance(0.8)) return this.#join(meshId, ghost);
    if (random.chance(0.02)) return this.#wander(meshId, ghost);
    if (dice < 30) return this.#spread(meshId, ghost);
    if (dice < 40) return this.#join(meshId, ghost);
    if (dice < 60) return this.#describe(meshId, ghost);
    if (dice < 85) return this.#talk(meshId, ghost);
    if (dice < 90) return this.#impersonate(meshId, ghost);
    if (dice < 95) return this.#invite(meshId);
    this.#leave(meshId, ghost);
  }

  /** A member that brings in a crowd at once, and asks for more than it is given. */
  crowd(): void {
    const { crypto, mutator: { random }, lab, victim, loot, deliver } = this.#o;
    const genesis = victim.genesis;
    if (!genesis) return;
    const meshId = meshIdOf(crypto, genesis);
    const ghost = this.#conjure(meshId);
    const certificate = { ...this.#certificate(), key: ghost.identity.id, name: "crowd", since: 1 };
    const until = this.#seconds() + 100_000;
    const draft = { kind: "member", certificate, until, token: undefined } as const;
    const numbered = { number: NUMBER_MAX - 2 - random.below(1_000), at: this.#seconds() };
    ghost.proof = [signStatement(crypto, meshId, loot.mesh, draft, numbered)];
    for (let n = 0; n < 3; n++) this.#join(meshId, ghost);
    const crowd = {
      crypto,
      random: random.bytes,
      meshId,
      officer: loot.mesh,
      door: ghost.identity.signing,
      now: this.#seconds(),
      members: lab.computers.map(({ id }) => id),
    };
    for (const { kind, bytes } of [...newcomers(crowd), ...wants(crowd)]) {
      const sealed = ghost.seals[0]?.seal(victim.id, kind, bytes, victim.boot);
      if (sealed) deliver(sealed, ghost.place);
    }
  }

  // ---- What it does ------------------------------------------------------------------------------

  /** A statement, by any of the ways in which one comes. */
  #spread(meshId: Uint8Array, by: Ghost): void {
    const { random } = this.#o.mutator;
    const some = Array.from({ length: 1 + random.below(3) }, () => this.#say(meshId));
    if (random.chance(0.5)) {
      return this.#send(by, "statements", encodeStatements(some, PAYLOAD_MAX));
    }
    const [one] = some;
    if (one) this.#gossip(by, { kind: "news" }, [this.#rumourOf(one)]);
  }

  /** A member that is everywhere. */
  #wander(meshId: Uint8Array, ghost: Ghost): void {
    for (let n = 0; n < 16; n++) {
      ghost.place = { ...ghost.place, port: 1 + n };
      this.#join(meshId, ghost);
    }
  }

  /** Knocks with a record of its own, and confirms what it is answered. */
  #join(meshId: Uint8Array, ghost: Ghost): void {
    const { crypto, mutator: { random }, victim, deliver } = this.#o;
    const record = this.#record(meshId, ghost);
    const door = this.#knocker.door(meshId, victim.id);
    const sent = door && this.#knocker.hello(door, record.bytes);
    if (!sent) return;
    for (const bytes of deliver(sent.bytes, ghost.place)) {
      const content = openAnswer(crypto, ghost.identity, sent, bytes);
      const answer = content && decodeAnswer(content);
      if (!answer?.ok) continue;
      const { verdict } = answer.value;
      if (verdict.kind === "refused") this.#o.onRefused(verdict.why);
      if (verdict.kind === "refused") continue;
      const cookie = random.chance(0.9) ? answer.value.cookie : random.bytes(16);
      const payload = new Uint8Array(random.chance(0.9) ? PAYLOAD_MAX : 20);
      payload.set(cookie);
      this.#send(ghost, "confirm", payload);
      ghost.isKnown = true;
      if (random.chance(0.3)) this.#send(ghost, "confirm", payload);
    }
  }

  /** A record of somebody's, told by somebody. */
  #describe(meshId: Uint8Array, ghost: Ghost): void {
    const { random } = this.#o.mutator;
    if (ghost.runs.length > 1 && random.chance(0.5)) return this.#takeTurns(meshId, ghost);
    const of = random.chance(0.5) ? ghost : this.#someGhost(meshId);
    const record = this.#record(meshId, of);
    if (random.chance(0.5)) return this.#send(ghost, "record", record.bytes);
    const rumour = recordRumour(record);
    const key = random.chance(0.9) ? rumour.key : this.#key();
    this.#gossip(ghost, { kind: "news" }, [{ ...rumour, key }]);
  }

  /** Two machines with one key: their records take turns. */
  #takeTurns(meshId: Uint8Array, ghost: Ghost): void {
    for (const run of [...ghost.runs, ...ghost.runs]) {
      this.#send(ghost, "record", this.#record(meshId, { ...ghost, runs: [run] }).bytes);
      ghost.count++;
    }
    for (let n = 0; n < 4; n++) this.#talk(meshId, ghost);
  }

  /** Any payload that is well formed. */
  #talk(meshId: Uint8Array, ghost: Ghost): void {
    const { mutator } = this.#o;
    const { random } = mutator;
    const kind = mutator.pick(PAYLOAD_KINDS) ?? "ping";
    switch (kind) {
      case "ping":
        return this.#send(ghost, kind, encodePing(random.next(), random.next(), 32));
      case "pong":
        return this.#send(ghost, kind, encodePong(random.next(), random.next(), mutator.place()));
      case "confirm":
        return this.#send(ghost, kind, random.bytes(random.below(64)));
      case "notice":
        return this.#send(ghost, kind, new Uint8Array(0));
      case "record":
        return this.#send(ghost, kind, this.#record(meshId, ghost).bytes);
      case "statements":
        return this.#send(ghost, kind, encodeStatements(this.#recent(3), PAYLOAD_MAX));
      case "admission": {
        const admission = this.#admission(meshId, this.#subject());
        return admission && this.#send(ghost, kind, encodeAdmission(admission));
      }
      case "gossip": {
        const rumours = this.#recent(2).map((one) => this.#rumourOf(one));
        return this.#gossip(ghost, this.#body(), rumours);
      }
    }
  }

  /** A record of the node itself, or of a member, by whoever has its key. */
  #impersonate(meshId: Uint8Array, by: Ghost): void {
    const { crypto, lab, mutator, victim } = this.#o;
    const { random } = mutator;
    const seeds = lab.computers.map(({ identitySeed }) => identitySeed);
    const seed = random.chance(0.5) ? victim.identitySeed : mutator.pick(seeds);
    if (!seed) return;
    const identity = identityFromSeed(crypto, seed);
    const twin = { ...by, identity, runs: [random.bytes(8).toHex()] };
    twin.boot = 1 + random.below(40);
    this.#send(by, "record", this.#record(meshId, twin).bytes);
  }

  /** An invite of an admin's, whose secret the insider has. */
  #invite(meshId: Uint8Array): void {
    const { crypto, mutator: { random }, victim } = this.#o;
    const secret = crypto.ed25519FromSeed(random.bytes(32));
    const doors = [victim.id, this.#someGhost(meshId).identity.id].slice(0, 1 + random.below(2));
    const statement = this.#sign(meshId, this.#officer(), {
      kind: "token",
      key: secret.publicKey.toHex(),
      uses: 1 + random.below(4),
      groups: this.#groups(),
      relay: random.chance(0.5),
      until: random.chance(0.8) ? this.#seconds() + 1_000 : this.#seconds() - 10,
      memberUntil: this.#seconds() + 1_000,
      doors,
    });
    this.#invites.push({ secret, statement });
    if (this.#invites.length > TOKENS) this.#invites.shift();
    this.#send(this.#someGhost(meshId), "statements", encodeStatements([statement], PAYLOAD_MAX));
  }

  /** Says its own farewell, or is put out; it goes on to talk all the same. */
  #leave(meshId: Uint8Array, ghost: Ghost): void {
    const { random } = this.#o.mutator;
    const end = random.chance(0.5)
      ? this.#sign(meshId, ghost.identity.signing, { kind: "left" })
      : this.#sign(meshId, this.#officer(), { kind: "removed", key: ghost.identity.id });
    this.#send(ghost, "statements", encodeStatements([end], PAYLOAD_MAX));
    if (random.chance(0.5)) this.#gossip(ghost, { kind: "leave" }, []);
  }

  // ---- What it signs -----------------------------------------------------------------------------

  #say(meshId: Uint8Array): Statement {
    const { mutator } = this.#o;
    const drafts: (() => [SigningKey, Draft])[] = [
      () => [this.#officer(), this.#member()],
      () => [this.#officer(), this.#member()],
      () => [this.#officer(), { kind: "removed", key: this.#subject() }],
      () => [this.#officer(), { kind: "withdrawn", key: this.#invited() }],
      () => [this.#meshKey(), { kind: "admin", certificate: this.#certificate() }],
      () => [this.#meshKey(), { kind: "demoted", key: this.#subject() }],
      // What its signer has no right to.
      () => [this.#nobody(meshId), this.#member()],
      () => [this.#nobody(meshId), { kind: "admin", certificate: this.#certificate() }],
      () => [this.#nobody(meshId), { kind: "successor", key: this.#key() }],
    ];
    if (this.isWild) drafts.push(() => [this.#o.loot.recovery, this.#successor()]);
    const [signer, draft] = (mutator.pick(drafts) ?? (() => [this.#meshKey(), this.#member()]))();
    const statement = this.#sign(meshId, signer, draft);
    this.#said.push(statement);
    if (this.#said.length > STATEMENTS) this.#said.shift();
    return statement;
  }

  #sign(meshId: Uint8Array, signer: SigningKey, draft: Draft): Statement {
    const { mutator: { random }, lab } = this.#o;
    const at = random.chance(0.8) ? this.#seconds() : this.#time();
    return signStatement(lab.crypto, meshId, signer, draft, { number: this.#number(draft), at });
  }

  #number({ kind }: Draft): number {
    const { random } = this.#o.mutator;
    if (kind === "left") return 0;
    if (kind === "successor") return Math.min(0xffff, ++this.#successors);
    if (this.isWild && random.chance(0.3)) return 1 + random.below(20);
    if (random.chance(0.05)) return NUMBER_MAX - random.below(2);
    return random.chance(0.3)
      ? NUMBERS_FROM + random.below(NUMBERS)
      : NUMBERS_FROM + NUMBERS + random.below(10_000);
  }

  #successor(): Draft {
    const { crypto, mutator: { random } } = this.#o;
    const next = crypto.ed25519FromSeed(random.bytes(32));
    this.#meshKeys.push(next);
    return { kind: "successor", key: next.publicKey.toHex() };
  }

  #member(): Draft {
    const { random } = this.#o.mutator;
    const uses = 1 + random.below(3);
    return {
      kind: "member",
      certificate: this.#certificate(),
      until: random.chance(0.6) ? this.#seconds() + random.below(1_000_000) : this.#time(),
      token: random.chance(0.4) ? { key: this.#invited(), uses } : undefined,
    };
  }

  #certificate(): Certificate {
    const { mutator, lab } = this.#o;
    const { random } = mutator;
    const names = [
      "victim",
      "a",
      "x".repeat(63),
      "ghost",
      "ghost-2",
      "not a name",
      ...lab.computers.map(({ wish }) => wish.name ?? ""),
    ];
    return {
      key: this.#subject(),
      name: mutator.pick(names) ?? "a",
      groups: this.#groups(),
      relay: random.chance(0.5),
      ip4Counter: mutator.pick([0, 0, 1, 2, 0xffff]) ?? 0,
      since: this.#time(),
    };
  }

  #groups(): string[] {
    const { random } = this.#o.mutator;
    const count = random.chance(0.5) ? 0 : random.below(GROUPS_MAX + 1);
    return Array.from({ length: count }, (_, i) => `group-${i}`);
  }

  #record(meshId: Uint8Array, ghost: Ghost): NodeRecord {
    const { mutator, lab } = this.#o;
    const { random } = mutator;
    const count = random.below(4);
    // One place that nobody can send to, and all of it is refused.
    const isThere = random.chance(0.8);
    const body = {
      key: ghost.identity.signing.publicKey,
      sequence: sequenceOf(ghost.boot, random.chance(0.8) ? ghost.count++ : ghost.count),
      run: mutator.pick(ghost.runs) ?? "00".repeat(8),
      twin: random.chance(0.1)
        ? {
          run: random.bytes(8).toHex(),
          endpoint: isThere ? ghost.place : mutator.place(),
          at: this.#seconds(),
        }
        : undefined,
      endpoints: Array.from(
        { length: count },
        () => isThere ? ghost.place : this.#place(meshId, ghost),
      ),
      capabilities: {
        relay: random.chance(0.5),
        tunnel: random.chance(0.8),
        meshKey: false,
        aesGcm: false,
        lanes: 1,
      },
      routes: random.chance(0.2) ? [this.#prefix()] : [],
      version: random.chance(0.9) ? "0" : "v".repeat(32),
      proof: {
        statements: [...ghost.proof, ...this.#recent(2)].slice(0, random.below(4))
          .map(({ bytes }) => bytes),
        admission: random.chance(0.7)
          ? ghost.admission
          : this.#admission(meshId, ghost.identity.id),
      },
    };
    return signRecord(lab.crypto, meshId, ghost.identity.signing, body);
  }

  /** Mostly where it is, else any place, among them one inside the mesh. */
  #place(meshId: Uint8Array, ghost: Ghost): Endpoint {
    const { mutator, crypto } = this.#o;
    const { random } = mutator;
    if (random.chance(0.2)) return ghost.place;
    if (random.chance(0.8)) return mutator.place();
    const address = ip6Of(crypto, meshId, ghost.identity.signing.publicKey);
    return { address, port: 51820, scope: 0 };
  }

  #prefix(): Prefix {
    const address = Uint8Array.of(10, this.#o.mutator.random.below(256), 0, 0);
    return { address, length: 16 };
  }

  /** Asks for somebody's admission by an invite, with a door's word for it or without. */
  #admission(meshId: Uint8Array, subject: string): Admission | undefined {
    const { mutator, lab } = this.#o;
    const { random } = mutator;
    const invite = mutator.pick(this.#invites);
    if (!invite) return undefined;
    const wish = { subject, name: random.chance(0.9) ? "ghost" : "victim" };
    const asked = requestAdmission(lab.crypto, meshId, invite.secret, wish);
    if (random.chance(0.4)) return asked;
    const at = random.chance(0.8) ? this.#seconds() : this.#time();
    return endorse(lab.crypto, meshId, asked, this.#somebody(meshId), at);
  }

  // ---- Whom it is about --------------------------------------------------------------------------

  /** Somebody new, with a certificate, an admission, or nothing at all. */
  #conjure(meshId: Uint8Array): Ghost {
    const { crypto, mutator, lab, victim } = this.#o;
    const { random } = mutator;
    const identity = identityFromSeed(crypto, random.bytes(32));
    const runs = [random.bytes(8).toHex(), random.bytes(8).toHex()];
    const boot = 1 + random.below(3);
    const used = random.chance(0.7) ? runs.slice(0, 1) : runs;
    const seals = used.map((run) => new Seal(crypto, random.bytes, meshId, identity, boot, run));
    const address = Uint8Array.of(198, 51, random.below(256), 1 + random.below(250));
    const ghost: Ghost = {
      identity,
      seals,
      place: { address, port: 51820, scope: 0 },
      runs: used,
      boot,
      count: 0,
      isKnown: false,
      proof: [],
      admission: undefined,
    };
    const { publicKey } = crypto.ed25519FromSeed(victim.identitySeed);
    for (const seal of seals) seal.know(victim.id, publicKey, 1);
    const invite = mutator.pick(this.#invites);
    if (random.chance(0.5)) {
      const { id } = identity;
      const draft = { kind: "member", certificate: { ...this.#certificate(), key: id } } as const;
      // Some end within the episode.
      const until = this.#seconds() + (random.chance(0.5) ? 100_000 : random.below(100));
      const signer = this.#meshKey();
      ghost.proof = [this.#sign(meshId, signer, { ...draft, until, token: undefined })];
    } else if (invite) {
      const wish = { subject: identity.id, name: "ghost" };
      ghost.admission = requestAdmission(lab.crypto, meshId, invite.secret, wish);
      ghost.proof = [invite.statement];
    }
    this.#ghosts.push(ghost);
    if (this.#ghosts.length > GHOSTS) this.#ghosts.shift();
    return ghost;
  }

  #someGhost(meshId: Uint8Array): Ghost {
    return this.#o.mutator.pick(this.#ghosts) ?? this.#conjure(meshId);
  }

  #subject(): string {
    const { lab, mutator, victim } = this.#o;
    const { random } = mutator;
    const ghost = mutator.pick(this.#ghosts);
    if (!this.isWild || random.chance(0.6)) {
      return random.chance(0.8) && ghost ? ghost.identity.id : this.#key();
    }
    const all = [victim.id, ...lab.computers.map(({ id }) => id), ...this.#meshKeysHex()];
    return mutator.pick(all) ?? victim.id;
  }

  /** A key of nobody: at random, or a point for which anybody can sign. */
  #key(): string {
    const { random } = this.#o.mutator;
    if (random.chance(0.8)) return random.bytes(32).toHex();
    return (random.chance(0.5) ? "00" : "01") + "00".repeat(31);
  }

  #invited(): string {
    const { mutator } = this.#o;
    return mutator.pick(this.#invites)?.secret.publicKey.toHex() ?? this.#key();
  }

  /** Who may sign about members: the mesh key, or an admin among the computers. */
  #officer(): SigningKey {
    const { crypto, lab, mutator: { random } } = this.#o;
    const [founder] = lab.computers;
    if (!founder || random.chance(0.6)) return this.#meshKey();
    return crypto.ed25519FromSeed(founder.identitySeed);
  }

  #meshKey(): SigningKey {
    const last = this.#meshKeys.at(-1) ?? this.#o.loot.mesh;
    return this.#o.mutator.random.chance(0.9) ? last : this.#o.loot.mesh;
  }

  #meshKeysHex(): string[] {
    return this.#meshKeys.map(({ publicKey }) => publicKey.toHex());
  }

  #nobody(meshId: Uint8Array): SigningKey {
    return this.#someGhost(meshId).identity.signing;
  }

  /** A door that lies, or is none. */
  #somebody(meshId: Uint8Array): SigningKey {
    const { crypto, lab, mutator } = this.#o;
    const { random } = mutator;
    const computer = mutator.pick(lab.computers);
    if (!computer || random.chance(0.4)) return this.#nobody(meshId);
    return crypto.ed25519FromSeed(computer.identitySeed);
  }

  #recent(count: number): Statement[] {
    const { mutator } = this.#o;
    return Array.from({ length: count }, () => mutator.pick(this.#said)).filter((one) =>
      one !== undefined
    );
  }

  #seconds(): number {
    return Math.floor(this.#o.now().wall / 1000);
  }

  /** Any time, mostly near now. */
  #time(): number {
    const { mutator } = this.#o;
    const now = this.#seconds();
    const times = [
      0,
      1,
      now - 40 * 86_400,
      now - 301,
      now - 299,
      now,
      now + 299,
      now + 301,
      now + 86_400,
      SECONDS_MAX,
    ];
    return mutator.pick(times) ?? now;
  }

  // ---- How it talks ------------------------------------------------------------------------------

  #rumourOf({ hash, bytes }: Statement): Rumour {
    const { random } = this.#o.mutator;
    const key = random.chance(0.9) ? hash : this.#key();
    const kind = random.chance(0.9) ? KIND.statement : 1 + random.below(255);
    const version = random.chance(0.9) ? 1 : random.below(2 ** 32);
    return { kind, key, version, bytes };
  }

  #gossip(by: Ghost, body: Body, rumours: readonly Rumour[]): void {
    const { random } = this.#o.mutator;
    const claims = Array.from({ length: random.below(4) }, () => ({
      subject: this.#subject().slice(0, 32),
      incarnation: random.chance(0.7) ? random.below(5) : random.next(),
      ...this.#status(),
    }));
    const incarnation = random.chance(0.9) ? 1 + random.below(3) : random.next();
    for (const some of [rumours, []]) {
      const message = { incarnation, view: undefined, body, claims, rumours: some };
      try {
        return this.#send(by, "gossip", encode(message, PAYLOAD_MAX));
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
      }
    }
  }

  #status() {
    const { mutator } = this.#o;
    const status = mutator.pick(["alive", "suspect", "dead", "left"] as const) ?? "alive";
    return status === "suspect"
      ? { status, origin: this.#subject().slice(0, 32) } as const
      : { status } as const;
  }

  #body(): Body {
    const { random } = this.#o.mutator;
    const seq = random.next();
    const tag = () => this.#subject().slice(0, 32);
    const cursor = () => random.chance(0.5) ? undefined : { tag: tag(), kind: random.below(3) };
    const bodies: Body[] = [
      { kind: "ping", seq },
      { kind: "ack", seq },
      { kind: "ask", seq, target: tag(), patience: random.below(5_000) },
      { kind: "forward", seq, target: tag(), incarnation: random.below(9) },
      { kind: "nack", seq },
      { kind: "digest", seq, hashes: random.bytes(BUCKETS * HASH_BYTES) },
      { kind: "differ", seq, mask: random.bytes(BUCKETS / 8) },
      { kind: "pull", seq, mask: random.bytes(BUCKETS / 8), after: cursor() },
      {
        kind: "page",
        seq,
        after: cursor(),
        upto: cursor(),
        items: [{ kind: 1 + random.below(2), tag: tag(), version: random.next() }],
      },
      { kind: "want", rumours: [{ tag: tag(), kind: 1 + random.below(2) }] },
      { kind: "news" },
    ];
    return bodies[random.below(bodies.length)] ?? { kind: "news" };
  }

  #send(by: Ghost, kind: PayloadKind, payload: Uint8Array): void {
    const { mutator, victim, deliver } = this.#o;
    const { random } = mutator;
    const altered = random.chance(0.1) ? mutator.mutate(payload, payload) : payload;
    const echo = random.chance(0.95) ? victim.boot : random.below(10);
    const fitting = altered.subarray(0, PAYLOAD_MAX);
    const bytes = mutator.pick(by.seals)?.seal(victim.id, kind, fitting, echo);
    if (bytes) deliver(bytes, random.chance(0.9) ? by.place : mutator.place());
  }

  /** What somebody says of itself who has no token. */
  introduction(): Uint8Array {
    const { mutator } = this.#o;
    const { random } = mutator;
    const ghost = random.chance(0.2) ? mutator.pick(this.#ghosts) : undefined;
    const key = ghost?.identity.id ?? this.#key();
    const name = `ghost-${random.below(1_000)}`;
    return encodeIntroduction({ key, name, version: "0" });
  }
}
