/**
 * One node under fire for some time: members around it that are real nodes of the simulator, and,
 * between what they send by themselves, thousands of inputs that no honest member would send. They
 * are made of what the members sealed: a payload or a box is altered and sealed again by the same
 * member's key, so most of them pass the seal and are judged for what is in them.
 */
import type { Crypto } from "../../mesh/crypto.ts";
import { type ControlType, headOf } from "../../mesh/datagram.ts";
import type { Endpoint } from "../../mesh/endpoint.ts";
import type { Now } from "../../mesh/machine.ts";
import { CookieJar } from "../../mesh/noise/cookie.ts";
import { NodeLab } from "../../mesh/sim/node_lab.ts";
import { Seeded } from "../../mesh/sim/random.ts";
import { meshIdOf } from "../../mesh/membership/genesis.ts";
import { identityFromSeed } from "../../mesh/membership/identity.ts";
import type { Edge } from "../../mesh/tunnel/types.ts";
import { concat } from "../../mesh/wire/box.ts";
import { sealAsk } from "../../mesh/wire/ask.ts";
import { readClock } from "../../src/clock.ts";
import { type Box, Boxes, contentOf, rebuild } from "./boxes.ts";
import { Insider } from "./insider.ts";
import { contentOfKnock, Knocker, RogueDoor } from "./knock.ts";
import { methodsOf } from "./methods.ts";
import { joined, Mutator } from "./mutator.ts";
import {
  type Payload,
  PAYLOAD_KINDS,
  populate,
  type Role,
  ROLES,
  SealWatch,
  stir,
  turn,
} from "./protocol.ts";
import { SAMPLES, Samples } from "./samples.ts";
import { Signatures } from "./signatures.ts";
import type { Tally } from "./tally.ts";
import { Victim } from "./victim.ts";

/** The share of an episode after which insiders end what they can. */
const WILD = 0.7;
/** Inputs between two turns of the event loop, in which core's own mail comes. */
const TURN = 64;
/** Milliseconds after which nobody who asked at a door is remembered. */
const LONG_PAUSE = 700_000;
/** What the node under fire has sent since a datagram came: more than that answers nothing. */
const SENT_KEPT = 64;
const PLACE: Endpoint = { address: Uint8Array.of(192, 0, 2, 250), port: 51820, scope: 0 };

interface Sample {
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
}

/** A message of WireGuard's type 4, and the key that it was sealed with. */
interface DataMessage {
  readonly bytes: Uint8Array;
  readonly key: Uint8Array;
  readonly packet: Uint8Array;
}

/** Plays one; what the node did is in the tally afterwards. */
export async function playEpisode(
  crypto: Crypto,
  seed: number,
  inputs: number,
  tally: Tally,
): Promise<void> {
  const episode = new Episode(crypto, seed, tally);
  using _watch = episode.watch;
  try {
    await episode.play(inputs);
  } finally {
    episode.close();
  }
}

class Episode {
  readonly watch: SealWatch;
  readonly #mutator: Mutator;
  readonly #random: Seeded;
  readonly #lab: NodeLab;
  readonly #role: Role;
  readonly #boxes = new Boxes();
  readonly #signatures = new Signatures();
  /** What members signed, by itself, as it stood in something that was sealed. */
  readonly #pieces: Uint8Array[] = [];
  readonly #payloads = new Samples<Payload & { readonly from: () => Endpoint }>();
  /** What was sealed at first contact, and who said it. */
  readonly #knocks = new Samples<Sample & { readonly kind: "hello" | "request" }>();
  readonly #knocker: Knocker;
  readonly #rogue: RogueDoor;
  readonly #datagrams = new Samples<Sample>();
  readonly #handshakes = new Samples<Sample>();
  readonly #data: DataMessage[] = [];
  /** The last data that a member sealed, until its datagram is seen. */
  #lastData: (Omit<DataMessage, "bytes"> & { readonly sealed: Uint8Array }) | undefined;
  /** Boot time of the core's clock when the laboratory's began. */
  readonly #epoch = readClock().boot;
  #victim: Victim | undefined;
  #insider: Insider | undefined;
  #sent: Uint8Array[] = [];
  #tunnelKey = new Uint8Array(32);
  /** Whether the input of now was opened by a key. */
  #hasOpened = false;

  constructor(
    private readonly crypto: Crypto,
    private readonly seed: number,
    private tally: Tally,
  ) {
    this.#random = new Seeded(seed, 1);
    this.#mutator = new Mutator(this.#random);
    this.#role = ROLES[seed % ROLES.length] ?? "founder";
    this.#lab = new NodeLab(this.#watched(), seed);
    this.#knocker = new Knocker(crypto, this.#random);
    this.#rogue = RogueDoor.make(crypto, this.#random);
    this.watch = new SealWatch((to) => to === this.#victim?.id);
  }

  async play(inputs: number): Promise<void> {
    const victim = await this.#open();
    const loot = populate(this.#role, this.#lab, victim);
    const insider = this.#insider = new Insider({
      crypto: this.crypto,
      mutator: this.#mutator,
      lab: this.#lab,
      victim,
      loot,
      now: () => this.#now(),
      deliver: (bytes, from) => this.#ask(bytes, from),
      onRefused: (why) => this.tally.meet(`refused: ${why}`),
    });
    this.#pass(3_000);
    const before = this.tally.total;
    // A node that waits to be approved is told little that could be altered.
    for (let i = 0; this.tally.total - before < inputs && i < 2 * inputs; i++) {
      this.#shoot(victim);
      const pause = this.#pause();
      if (pause > 1_000) this.#sleep(pause);
      else this.#pass(pause);
      if (i % 200 === 199) stir(this.#role, this.#lab, victim, this.#random);
      if (i === inputs >> 1) {
        this.#pass(40_000); // until members are dead, and back
        turn(this.#role, this.#lab);
      }
      if (i % 5_000 === 1_000) await this.#flood(victim);
      if (i % 5_000 === 500) insider.crowd();
      if (i % 10_000 === 6_000) this.#sleep(LONG_PAUSE);
      if (i === Math.floor(0.85 * inputs) && !this.#again(victim)) return;
      if (i === Math.floor(0.95 * inputs)) {
        victim.recover({ recovery: loot.recovery.seed, meshKey: this.#random.bytes(32) });
      }
      insider.isWild = this.tally.total - before > WILD * inputs;
      if (i % TURN === 0) await new Promise((go) => setTimeout(go, 0));
      if (i % 500 === 499) this.#count(victim);
    }
    if (!this.#again(victim)) return;
    this.#pass(5_000);
    this.#count(victim);
  }

  /**
   * The node starts again from what it remembers of all that. @returns whether it could: of one that
   * nobody has certified any more, and that knows nobody, nothing is left
   */
  #again(victim: Victim): boolean {
    this.#count(victim);
    this.tally.end(victim, `seed ${this.seed}, as ${this.#role}`);
    const why = victim.restart();
    if (why !== undefined) this.tally.meet(`not started: ${why.split(":")[0]}`);
    return why === undefined;
  }

  #count(victim: Victim): void {
    this.tally.count(victim.counters());
    for (const standing of victim.standings()) this.tally.meet(`peer: ${standing}`);
    this.tally.meet(`self: ${victim.standing}`);
  }

  close(): void {
    const victim = this.#victim;
    if (!victim) return;
    this.tally.end(victim, `seed ${this.seed}, as ${this.#role}`);
    victim.close();
  }

  async #open(): Promise<Victim> {
    const lab = this.#lab;
    lab.tap = ({ bytes, to }, { endpoint }) => this.#overhear(bytes, to, endpoint);
    lab.attach(PLACE, (bytes, from) => this.#arrive(bytes, from));
    this.watch.onOpened = ({ kind }) => {
      if (this.#hasOpened) this.tally.reached(kind);
    };
    this.watch.onSealed = (payload) => {
      const sender = lab.current;
      if (sender) this.#payloads.add(payload.kind, { ...payload, from: () => sender.endpoint });
    };
    this.#victim = await Victim.open(
      {
        crypto: this.#opening(),
        random: lab.random,
        dice: new Seeded(this.seed, 2),
        place: PLACE,
        clock: () => this.#now(),
        // Every other one has a table of members that is full soon.
        membersMax: Math.floor(this.seed / ROLES.length) % 2 === 0 ? 160 : 3,
        onSent: (to, bytes) => this.#carry(to, bytes),
      },
      (bytes) => this.#inject(bytes),
    );
    const { identitySeed } = this.#victim;
    this.#tunnelKey = identityFromSeed(this.crypto, identitySeed).tunnelPublic.slice();
    return this.#victim;
  }

  // ---- What the members do by themselves ---------------------------------------------------------

  /** Lets the laboratory's time pass. */
  #pass(ms: number): void {
    const { world } = this.#lab;
    const end = world.now + ms;
    while (world.now < end) {
      world.run(Math.min(50, end - world.now));
      this.#victim?.due();
    }
  }

  /** Now and then the node stands still meanwhile, as a computer does that sleeps. */
  #sleep(ms: number): void {
    this.#lab.world.run(ms);
    this.#victim?.due();
  }

  #pause(): number {
    const random = this.#random;
    if (random.chance(0.8)) return random.between(0, 4);
    return random.chance(0.95) ? random.between(4, 40) : random.between(40, 2_000);
  }

  /** A member's own datagram comes: as data through core's door, as everything else by mail. */
  #arrive(bytes: Uint8Array, from: Endpoint): void {
    if (bytes[0] === 4) return this.#keepData(bytes);
    this.#deliver(bytes, from, true);
  }

  #keepData(bytes: Uint8Array): void {
    const last = this.#lastData;
    if (last && bytes.subarray(16).join() === last.sealed.join()) {
      this.#data.push({ bytes, key: last.key, packet: last.packet });
      if (this.#data.length > SAMPLES) this.#data.shift();
    }
    this.#victim?.knock(bytes);
  }

  /** What a member sends, on its way to the node under fire. */
  #overhear(bytes: Uint8Array, to: Endpoint, from: Endpoint): void {
    if (to.address.join() !== PLACE.address.join()) return;
    const kind = String(bytes[0]);
    this.#datagrams.add(kind, { bytes: bytes.slice(), from });
    if (bytes[0] === 1 || bytes[0] === 2 || bytes[0] === 3) {
      this.#handshakes.add(kind, { bytes: bytes.slice(), from });
    }
    const box = isOf("answer", bytes) ? this.#boxes.open(bytes) : undefined;
    // An answer counts once: what comes before the true one is judged as it.
    if (box && this.#random.chance(0.5)) this.#shootBox(box, from);
  }

  #carry(to: Endpoint, bytes: Uint8Array): void {
    if (this.#sent.length < SENT_KEPT) this.#sent.push(bytes);
    const posed = this.#random.chance(0.3) ? this.#rogue.answer(bytes, PLACE) : undefined;
    // Not before the step is over that sent it.
    if (posed) this.#lab.world.after(0, () => this.#deliver(posed, to));
    const { network } = this.#lab;
    const from = `${PLACE.address.join(".")}:${PLACE.port}`;
    network.send(from, `${to.address.join(".")}:${to.port}`, bytes, bytes.length);
  }

  /** A data message of core's: whoever has its session opens it. */
  #inject(bytes: Uint8Array): void {
    for (const computer of this.#lab.computers) {
      if (computer.host.isUp) computer.inject(bytes, PLACE);
    }
  }

  // ---- What nobody expects ---------------------------------------------------------------------

  #shoot(victim: Victim): void {
    const random = this.#random;
    const dice = random.below(100);
    if (dice < 45) return this.#shootPayload();
    if (dice < 52) return this.#shootKnock(victim);
    if (dice < 76) return this.#insider?.act();
    if (dice < 82) return this.#shootHandshake();
    if (dice < 86) return this.#shootAgain();
    if (dice < 90) return this.#shootJunk();
    if (dice < 96) return this.#ring(victim);
    this.#knock(victim);
  }

  /** A payload of a member, altered, of its own kind or another. */
  #shootPayload(): void {
    const mutator = this.#mutator;
    const sample = this.#payloads.pick(mutator);
    const other = this.#payloads.pick(mutator);
    if (!sample || !other) return;
    const dice = this.#random.below(10);
    const kind = dice < 7 ? sample.kind : this.#mutator.pick(PAYLOAD_KINDS) ?? sample.kind;
    // Of another kind: mostly a signed piece alone, which several kinds are nothing but.
    const piece = dice < 7 ? undefined : this.#mutator.pick(this.#pieces);
    const forged = piece && this.#random.chance(0.6)
      ? this.#signatures.forge(this.crypto, piece, mutator)
      : undefined;
    const altered = forged ?? this.#altered(piece ?? sample.bytes, other.bytes);
    const bytes = sample.seal(kind, altered);
    if (bytes) this.#deliver(bytes, this.#near(sample.from()));
  }

  /** What somebody said when it knocked, altered; or a knock that does not open. */
  #shootKnock(victim: Victim): void {
    const { genesis } = victim;
    const sample = this.#knocks.pick(this.#mutator);
    if (!sample || !genesis) return;
    const from = this.#near(sample.from);
    const donor = this.#payloads.pick(this.#mutator)?.bytes ?? new Uint8Array(0);
    const content = this.#altered(sample.bytes, donor);
    if (sample.kind === "request") {
      return this.#knocker.ask(content, from, (bytes, at) => this.#ask(bytes, at));
    }
    const door = this.#knocker.door(meshIdOf(this.crypto, genesis), victim.id);
    const isBroken = this.#random.chance(0.1);
    const bytes = door &&
      (isBroken
        ? this.#knocker.brokenHello(door, content)
        : this.#knocker.hello(door, content)?.bytes);
    if (bytes) this.#deliver(bytes, from);
  }

  #shootBox(box: Box, from: Endpoint): void {
    const donor = this.#payloads.pick(this.#mutator)?.bytes ?? new Uint8Array(0);
    const content = this.#altered(contentOf(box), donor);
    // Boxes of full size say nothing by their size: one that has another is not opened.
    const isOfSize = content.length === contentOf(box).length || this.#random.chance(0.5);
    const sized = isOfSize ? content : resized(content, contentOf(box).length);
    const bytes = rebuild(this.crypto, this.#random.bytes, box, sized);
    this.#deliver(bytes, this.#near(from));
  }

  /** As it was now and then; mostly altered, and what is signed in it perhaps signed again. */
  #altered(bytes: Uint8Array, donor: Uint8Array): Uint8Array {
    const dice = this.#random.below(10);
    if (dice < 2) return bytes;
    const forged = dice < 5 ? this.#signatures.forge(this.crypto, bytes, this.#mutator) : undefined;
    return forged ?? this.#mutator.mutate(bytes, donor);
  }

  #shootHandshake(): void {
    const sample = this.#handshakes.pick(this.#mutator);
    if (!sample) return;
    const bytes = this.#random.chance(0.3)
      ? sample.bytes
      : this.#mutator.mutateInPlace(sample.bytes);
    this.#deliver(bytes, this.#near(sample.from));
  }

  /** A datagram as it was, or with changes that no key has seen. */
  #shootAgain(): void {
    const sample = this.#datagrams.pick(this.#mutator);
    if (!sample) return;
    const bytes = this.#random.chance(0.5)
      ? sample.bytes
      : this.#mutator.mutate(sample.bytes, sample.bytes);
    this.#deliver(bytes, this.#near(sample.from));
  }

  #shootJunk(): void {
    const bytes = this.#random.bytes(this.#random.below(1_500));
    const kinds = (["sealed", "hello", "ask", "answer"] as const).map(headOf);
    const others = [0, 1, 2, 3, 4, 5, 0x80].map((type) => Uint8Array.of(type, 0, 0, 0));
    const old = kinds.map(([type = 0]) => Uint8Array.of(type, 1, 0, 0));
    const head = this.#mutator.pick([...kinds, ...others, ...old]);
    if (head && bytes.length >= head.length) bytes.set(head);
    this.#deliver(bytes, this.#mutator.place());
  }

  /** News of core about a peer that there is, or was, or never was. */
  #ring(victim: Victim): void {
    const random = this.#random;
    const peer = random.below(12);
    const at = this.#now().boot + random.between(-1e5, 1e5);
    const endpoint = this.#mutator.place();
    const source = this.#mutator.source(endpoint);
    const index = random.below(2 ** 32);
    const why = this.#mutator.pick(["age", "receive", "messages"] as const) ?? "age";
    const edges: Edge[] = [
      { kind: "sessionNeeded", peer },
      { kind: "unansweredData", peer, at },
      { kind: "unsentReply", peer, at },
      { kind: "sessionConfirmed", peer, index },
      { kind: "rekeyDue", peer, index, why },
      { kind: "endpointMoved", peer, endpoint, ...(source && { source }) },
    ];
    const edge = this.#mutator.pick(edges);
    this.tally.input("edge");
    if (edge) victim.deliver({ kind: "edge", edge });
  }

  /** Through core's own door: data, handshakes, and what is too short, too long or of no type. */
  #knock(victim: Victim): void {
    const random = this.#random;
    const data = this.#mutator.pick(this.#data);
    const tos = random.below(4);
    const shake = this.#handshakes.pick(this.#mutator)?.bytes;
    const choices = [
      data && this.#mutator.mutateInPlace(data.bytes),
      data?.bytes,
      data && this.#resealed(data),
      data && this.#resealed(data),
      shake && this.#stamped(this.#mutator.mutateInPlace(shake)),
      shake && this.#mutator.mutateInPlace(shake),
      shake?.subarray(0, random.below(shake.length)),
      random.bytes(random.below(2_500)),
      Uint8Array.of(4, 0, 0, 0, ...random.bytes(random.below(40))),
    ];
    const bytes = this.#mutator.pick(choices);
    if (!bytes) return;
    this.tally.input("core");
    victim.knock(bytes, 1 + random.below(3), tos);
  }

  /** The same session's key over any packet, with any counter. */
  #resealed({ bytes, key, packet }: DataMessage): Uint8Array {
    const random = this.#random;
    const plain = random.chance(0.5) ? packet : this.#mutator.mutateInPlace(packet);
    const counter = random.chance(0.1)
      ? 2n ** 64n - BigInt(1 + random.below(10_000))
      : BigInt(random.below(100_000));
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setBigUint64(4, counter, true);
    const head = bytes.slice(0, 16);
    new DataView(head.buffer).setBigUint64(8, counter, true);
    const nothing = new Uint8Array(0);
    return joined(head, this.crypto.chacha20poly1305Seal(key, nonce, nothing, plain));
  }

  /**
   * More than is taken, before a turn of the event loop: greetings and asks of members and of strangers
   * that were never heard of, datagrams that fill their lane of the mailbox, initiations that make core
   * ask for cookies.
   */
  async #flood(victim: Victim): Promise<void> {
    for (let n = 0; n < 150; n++) this.#shootKnock(victim);
    victim.openDoor(LONG_PAUSE);
    for (let n = 0; n < 150; n++) {
      const from = { address: Uint8Array.of(20 + n, 1, 1, 1 + n % 2), port: 51820, scope: 0 };
      this.#knocker.ask(
        this.#insider?.introduction() ?? new Uint8Array(0),
        from,
        (bytes, at) => this.#ask(bytes, at),
      );
    }
    const crowd = { address: Uint8Array.of(20, 1, 1, 1), port: 51820, scope: 0 };
    for (let n = 0; n < 8; n++) {
      this.#knocker.ask(
        this.#insider?.introduction() ?? new Uint8Array(0),
        crowd,
        (bytes, at) => this.#ask(bytes, at),
      );
    }
    const ask = sealAsk(this.crypto, this.#random.bytes).bytes;
    for (let n = 0; n < 1_100; n++) {
      victim.deliver({ kind: "datagram", arrival: { bytes: ask, from: crowd } });
      this.tally.input("flood");
    }
    const junk = concat(headOf("sealed"), this.#random.bytes(60));
    // First the share of one sender, then the lane, by ten.
    for (let n = 0; n < 3_000; n++) {
      victim.knock(junk, n < 300 ? 100 : 10 + n % 10);
      this.tally.input("flood");
    }
    const initiation = this.#handshakes.pick(this.#mutator)?.bytes.slice();
    for (let n = 0; initiation && n < 700; n++) {
      victim.knock(this.#stamped(initiation));
      this.tally.input("flood");
    }
    for (let n = 0; n < 20; n++) await new Promise((go) => setTimeout(go, 1));
  }

  /** With a MAC1 that fits, which is no secret: core's gate lets it pass (R28). */
  #stamped(bytes: Uint8Array): Uint8Array {
    if (bytes.length >= 64) new CookieJar(this.crypto, this.#tunnelKey).stamp(0, bytes);
    return bytes;
  }

  /** Mostly from where the sender is, else from anywhere. */
  #near(from: Endpoint): Endpoint {
    return this.#random.chance(0.75) ? from : this.#mutator.place();
  }

  #deliver(bytes: Uint8Array, from: Endpoint, isNatural = false): void {
    const source = this.#mutator.source(from);
    this.#hasOpened = false;
    this.#victim?.deliver({
      kind: "datagram",
      arrival: { bytes, from, ...(source && { source }) },
    });
    this.tally.input(isNatural ? "natural" : "datagram", this.#hasOpened);
    this.#hasOpened = false;
  }

  /** The same for somebody who waits for what the node under fire says to it at once. */
  #ask(bytes: Uint8Array, from: Endpoint): readonly Uint8Array[] {
    this.#sent = [];
    this.#deliver(bytes, from);
    return this.#sent;
  }

  #now(): Now {
    const { now } = this.#lab.world;
    return { boot: this.#epoch + now, wall: Date.UTC(2026, 0, 1) + now };
  }

  // ---- Crypto that is listened to ---------------------------------------------------------------

  /** The members': what they seal and sign is remembered. */
  #watched(): Crypto {
    const { crypto } = this;
    return {
      ...methodsOf(crypto),
      ed25519Sign: (key, message) => {
        const signature = crypto.ed25519Sign(key, message);
        this.#signatures.remember(key, message, signature);
        return signature;
      },
      chacha20poly1305Seal: (key, nonce, associated, plaintext) => {
        const sealed = crypto.chacha20poly1305Seal(key, nonce, associated, plaintext);
        this.#lastData = { key: key.slice(), packet: plaintext.slice(), sealed };
        return sealed;
      },
      xchacha20poly1305Seal: (key, nonce, associated, plaintext) => {
        const sealed = crypto.xchacha20poly1305Seal(key, nonce, associated, plaintext);
        const knock = contentOfKnock(associated, plaintext);
        const from = this.#lab.current?.endpoint ?? PLACE;
        if (knock) this.#knocks.add(knock.kind, { kind: knock.kind, bytes: knock.content, from });
        this.#boxes.remember(key, nonce, associated, plaintext, sealed);
        const piece = this.#signatures.extract(plaintext, this.#mutator);
        if (piece && this.#pieces.push(piece) > SAMPLES) this.#pieces.shift();
        return sealed;
      },
    };
  }

  /** The node's under fire: whether an input was opened by a key is noticed. */
  #opening(): Crypto {
    const { crypto } = this;
    const noticed = (plaintext: Uint8Array | undefined) => {
      if (plaintext) this.#hasOpened = true;
      return plaintext;
    };
    return {
      ...methodsOf(crypto),
      xchacha20poly1305Open: (...sealed) => noticed(crypto.xchacha20poly1305Open(...sealed)),
      chacha20poly1305Open: (...sealed) => noticed(crypto.chacha20poly1305Open(...sealed)),
    };
  }
}

function isOf(type: ControlType, bytes: Uint8Array): boolean {
  return bytes[0] === headOf(type)[0];
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const sized = new Uint8Array(length);
  sized.set(bytes.subarray(0, length));
  return sized;
}
