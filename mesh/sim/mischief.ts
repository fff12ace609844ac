/**
 * What an insider says: well-formed things, sealed and signed with its own good keys, one after the
 * other. A seed decides which.
 */
import type { Token } from "../door/token.ts";
import type { Identity } from "../membership/identity.ts";
import { BOOT_MAX, sequenceOf } from "../membership/record.ts";
import type { Draft, Statement } from "../membership/statement.ts";
import {
  type Body,
  BUCKETS,
  type Claim,
  HASH_BYTES,
  INCARNATION_MAX,
  type Rumour,
} from "../swim/messages.ts";
import { PAYLOAD_MAX } from "../wire/seal.ts";
import type { Insider } from "./insider.ts";
import { secondsAt } from "./people.ts";
import type { Computer } from "./node_lab.ts";
import type { Seeded } from "./random.ts";

/** One well-formed thing after the other. */
export class Mischief {
  count = 0;
  readonly #puppets: Identity[];
  readonly #made: Statement[] = [];

  constructor(
    readonly insider: Insider,
    private readonly honest: readonly Computer[],
    private readonly token: Pick<Token, "statement" | "secret">,
    private readonly random: Seeded,
  ) {
    this.#puppets = Array.from({ length: 8 }, () => insider.newIdentity());
  }

  act(): void {
    this.count++;
    const { insider, random } = this;
    const to = this.#one(this.honest);
    const acts = [
      () => insider.tell(to, this.#statement()),
      () => insider.rumour(to, this.#misfiled()),
      () => insider.spread(to, this.#record()),
      () => insider.spread(to, this.#puppetRecord()),
      () => insider.claim(to, ...Array.from({ length: 1 + random.below(20) }, () => this.#claim())),
      () => insider.gossip(to, this.#body(), { claims: [this.#claim()] }),
      () => insider.send(to, "confirm", random.bytes(random.below(PAYLOAD_MAX))),
      () => insider.send(to, "statements", this.#packed()),
      () => insider.send(to, "record", this.#record().bytes),
      () => insider.send(to, "record", this.#heldRecord()),
      () => insider.send(to, "admission", random.bytes(random.below(400))),
      () => insider.send(to, "ping", random.bytes(random.below(PAYLOAD_MAX))),
      () => insider.send(to, "pong", random.bytes(random.below(64))),
      () => insider.send(to, "notice", new Uint8Array(0)),
      () => insider.send(to, "gossip", random.bytes(random.below(PAYLOAD_MAX))),
      () => {
        insider.incarnation = this.#incarnation();
      },
      () => {
        insider.isPolite = random.chance(0.7);
      },
    ];
    acts[random.below(acts.length)]?.();
  }

  #one<T>(list: readonly T[]): T {
    const one = list[this.random.below(list.length)];
    if (one === undefined) throw new Error("sim: nobody to choose from");
    return one;
  }

  #key(): string {
    const { random } = this;
    const keys = [
      ...this.honest.map(({ id }) => id),
      ...this.#puppets.map(({ id }) => id),
      this.insider.identity.id,
      this.token.statement.key,
      this.insider.genesis.meshKey.toHex(),
    ];
    return random.chance(0.05) ? random.bytes(32).toHex() : this.#one(keys);
  }

  #statement(): Statement {
    const { insider, random } = this;
    if (this.#made.length > 0 && random.chance(0.2)) return this.#one(this.#made);
    const signing = random.chance(0.6)
      ? insider.identity.signing
      : random.chance(0.5)
      ? this.token.secret
      : this.#one(this.#puppets).signing;
    const now = Math.floor(insider.computer.now().wall / 1000);
    const at = random.chance(0.7) ? now : random.below(2 ** 32);
    const made = insider.sign(this.#draft(now), signing, 1 + random.below(16_384), at);
    // Its own farewell would end the game.
    if (made.kind === "left" && made.signer === insider.identity.id) return this.#statement();
    this.#made.push(made);
    return made;
  }

  #draft(now: number): Draft {
    const { random } = this;
    const key = this.#key();
    const certificate = {
      key,
      name: this.#one(["founder", "m0", "m1", "mole", "boss", "x"]),
      groups: random.chance(0.5) ? [] : ["web"],
      relay: random.chance(0.5),
      ip4Counter: random.below(65_536),
      since: random.below(now),
    };
    const token = { key: this.token.statement.key, uses: 1 + random.below(65_535) };
    const until = now + random.below(10_000_000);
    const drafts: Draft[] = [
      { kind: "successor", key },
      { kind: "admin", certificate },
      { kind: "demoted", key },
      { kind: "member", certificate, until, token: random.chance(0.5) ? token : undefined },
      { kind: "removed", key },
      { kind: "withdrawn", key },
      {
        kind: "token",
        key,
        uses: token.uses,
        groups: [],
        relay: true,
        until,
        memberUntil: until,
        doors: [this.insider.identity.id, key],
      },
      { kind: "left" },
    ];
    return this.#one(drafts);
  }

  /** A rumour under a kind, key or version that is not its own. */
  #misfiled(): Rumour {
    const { random } = this;
    const { bytes, hash } = this.#statement();
    const key = random.chance(0.5) ? this.#key() : hash;
    return { kind: 1 + random.below(4), key, version: random.below(2 ** 48), bytes };
  }

  #record(): ReturnType<Insider["describe"]> {
    const { random, insider } = this;
    const statements = Array.from({ length: random.below(3) }, () => this.#statement().bytes);
    const place = () => ({
      address: Uint8Array.of(203, 0, random.below(256), random.below(256)),
      port: 1 + random.below(65_535),
      scope: 0,
    });
    return insider.describe({
      // Always one run: two of them would be a clone's, and nobody would hear it any more.
      twin: random.chance(0.05)
        ? { run: random.bytes(8).toHex(), endpoint: place(), at: secondsAt(insider.computer) }
        : undefined,
      endpoints: Array.from({ length: random.below(4) }, place),
      ...(random.chance(0.5) ? {} : { proof: { statements, admission: undefined } }),
    });
  }

  #puppetRecord(): ReturnType<Insider["describe"]> {
    const { insider, token, random } = this;
    const puppet = this.#one(this.#puppets);
    const admission = insider.admit(puppet, token.secret, this.#one(["founder", "m0", "x"]));
    const proof = {
      statements: random.chance(0.8) ? [token.statement.bytes] : [this.#statement().bytes],
      admission: random.chance(0.9) ? admission : undefined,
    };
    // Its own sequence stays sane: a wild one would make all that it seals look old.
    const sequence = sequenceOf(random.below(BOOT_MAX + 1), random.below(2 ** 20));
    const wild = random.chance(0.3) ? { sequence } : {};
    return insider.describe({ proof, endpoints: [], ...wild }, puppet);
  }

  /** A record as somebody once had it, its subject's own included. */
  #heldRecord(): Uint8Array {
    const held = this.honest.flatMap(({ disk }) => disk?.members ?? []);
    return Uint8Array.fromBase64(this.#one(held).record, { alphabet: "base64url" });
  }

  /** Good and bad statements in one payload. */
  #packed(): Uint8Array {
    const bytes: number[] = [];
    for (let n = this.random.below(3); n >= 0; n--) {
      const statement = this.#statement().bytes;
      bytes.push(statement.length >> 8, statement.length & 255, ...statement);
    }
    return Uint8Array.from(bytes);
  }

  #incarnation(): number {
    const { random } = this;
    return random.chance(0.2) ? INCARNATION_MAX - random.below(2) : random.below(20);
  }

  #claim(): Claim {
    const subject = this.#key().slice(0, 32);
    const incarnation = this.#incarnation();
    const status = this.#one(["alive", "suspect", "dead", "left"] as const);
    if (status !== "suspect") return { subject, status, incarnation };
    return { subject, status, incarnation, origin: this.#key().slice(0, 32) };
  }

  #body(): Body {
    const { random } = this;
    const seq = random.below(2 ** 32);
    const target = this.#key().slice(0, 32);
    const mask = random.bytes(BUCKETS / 8);
    const cursor = { tag: target, kind: random.below(4) };
    const bodies: Body[] = [
      { kind: "ping", seq },
      { kind: "ack", seq },
      { kind: "ask", seq, target, patience: random.below(65_536) },
      { kind: "forward", seq, target, incarnation: this.#incarnation() },
      { kind: "nack", seq },
      { kind: "digest", seq, hashes: random.bytes(BUCKETS * HASH_BYTES) },
      { kind: "differ", seq, mask },
      { kind: "pull", seq, mask, after: random.chance(0.5) ? cursor : undefined },
      {
        kind: "page",
        seq,
        after: undefined,
        upto: random.chance(0.5) ? cursor : undefined,
        items: Array.from({ length: random.below(20) }, () => ({
          kind: 0 as const,
          tag: this.#key().slice(0, 32),
          status: this.#one(["alive", "suspect", "dead", "left"] as const),
          incarnation: this.#incarnation(),
        })),
      },
      {
        kind: "want",
        rumours: Array.from({ length: random.below(40) }, () => ({
          tag: this.#key().slice(0, 32),
          kind: 1 + random.below(3),
        })),
      },
      { kind: "news" },
    ];
    return this.#one(bodies);
  }
}
