/**
 * The product as the oracle's counterpart: its own statements, judge and roster, with real bytes. Only two things are
 * not as in a node: IPv4 addresses are few, so that they clash; and nobody sends anything.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { DEFAULT_POOL, type Genesis, meshIdOf } from "../membership/genesis.ts";
import { Guests } from "../membership/guests.ts";
import { mirrorOf } from "../membership/identity.ts";
import { Judge, type Refusal } from "../membership/judge.ts";
import type { NodeRecord } from "../membership/record.ts";
import { NO_PROOF } from "../membership/record.ts";
import { Roster } from "../membership/roster.ts";
import { type Draft as Said, signStatement } from "../membership/statement.ts";
import { PAIRS_SHOWN } from "../membership/statements.ts";
import { Writer } from "../codec.ts";
import {
  GUESTS_PER_HOST,
  type OracleGenesis,
  type OracleGuest,
  type Verdict,
  type Why,
} from "./trust_oracle.ts";
import type { Draft, Ip4Of, Shown, Signed, TrustSet, TrustUnderTest } from "./trust_subject.ts";

const utf8 = new TextEncoder();

/** A stranger that has the tunnel key of a node, as far as this cryptography can sign with its key. */
const MIRROR = 301;
const MIRRORED = 1;

function mirrored(crypto: Crypto, { publicKey, seed }: SigningKey): SigningKey | undefined {
  const pair = { publicKey: Uint8Array.fromHex(mirrorOf(publicKey.toHex())), seed };
  const signature = crypto.ed25519Sign(pair, seed);
  return crypto.ed25519Verify(signature, seed, pair.publicKey) ? pair : undefined;
}

/** @param crypto {@link toyCrypto} for many histories, the real one for some */
export function trustProduct(crypto: Crypto): TrustUnderTest {
  const keys = new Map<string, SigningKey>();
  const numbered = new Map<number, string>();
  return {
    key(number) {
      const known = numbered.get(number);
      if (known !== undefined) return known;
      const made = crypto.ed25519FromSeed(crypto.blake2s(utf8.encode(`key ${number}`)));
      const other = number === MIRROR ? keys.get(this.key(MIRRORED)) : undefined;
      const pair = other && mirrored(crypto, other) || made;
      const hex = pair.publicKey.toHex();
      keys.set(hex, pair);
      numbered.set(number, hex);
      return hex;
    },
    sign: (draft, genesis) => sign(crypto, draft, genesis, keys),
    newSet: (genesis, ip4Of) => new Product(crypto, genesis, ip4Of),
  };
}

function genesisOf({ meshKey, recoveryKey }: OracleGenesis): Genesis {
  return {
    meshKey: Uint8Array.fromHex(meshKey),
    recoveryKey: Uint8Array.fromHex(recoveryKey),
    name: "lab",
    pool: DEFAULT_POOL,
  };
}

function sign(
  crypto: Crypto,
  { signer, signedBy, mesh, number, at, says }: Draft,
  genesis: OracleGenesis,
  keys: ReadonlyMap<string, SigningKey>,
): Signed {
  const real = genesisOf(genesis);
  const founded = mesh === genesis.mesh ? real : { ...real, recoveryKey: real.meshKey };
  const hand = keys.get(signedBy);
  const named = keys.get(signer);
  if (hand === undefined || named === undefined) throw new TypeError(`no key pair of ${signer}`);
  // The bytes name one key and are signed by another: what a forger does.
  const forger: Crypto = { ...crypto, ed25519Sign: (_, body) => crypto.ed25519Sign(hand, body) };
  const said: Said = says.kind === "member" ? { ...says, token: says.token } : says;
  const meshId = meshIdOf(crypto, founded);
  return signStatement(forger, meshId, named, said, { number, at });
}

/** The product's own tables of who is there. */
interface People {
  readonly roster: Roster;
  readonly guests: Guests;
}

class Product implements TrustSet {
  readonly #crypto: Crypto;
  readonly #judge: Judge;
  /** Who is there by what is known, and when: members and guests are asked for one after the other. */
  #asked: { readonly now: number; readonly people: People } | undefined;

  constructor(crypto: Crypto, genesis: OracleGenesis, ip4Of: Ip4Of) {
    this.#crypto = {
      ...crypto,
      blake2s: (...parts) => {
        // Of all that is hashed an IPv4 address alone has four parts: see address.ts.
        const [, , key, counter] = parts;
        if (!key || !counter) return crypto.blake2s(...parts);
        const number = ip4Of(key.toHex(), (counter[0] ?? 0) * 256 + (counter[1] ?? 0));
        return new Writer().u48(number).bytes(new Uint8Array(26)).finish();
      },
    };
    this.#judge = new Judge(this.#crypto, genesisOf(genesis));
  }

  add(bytes: Uint8Array): boolean {
    this.#asked = undefined;
    const added = this.#judge.statements.add(bytes, 0);
    return added.kind !== "refused" || added.why !== "unentitled";
  }

  meshKey(): string {
    return this.#judge.statements.meshKey;
  }

  admins(): string[] {
    return [...this.#judge.statements.admins()];
  }

  judge(key: string, now: number): Verdict {
    const judgement = this.#judge.judge(key, now);
    if (judgement.kind === "refused") return { kind: "refused", why: whyOf(judgement.why) };
    const { standing, name, groups, relay, ip4Counter, since, until, token } = judgement.membership;
    if (standing !== "admin" && standing !== "certified") {
      throw new TypeError(`${key} is ${standing} by statements alone`);
    }
    const end = until === Infinity ? undefined : until;
    return {
      kind: "member",
      standing,
      name,
      groups,
      relay,
      ip4Counter,
      since,
      until: end,
      token,
    };
  }

  members(now: number): Map<string, Shown> {
    const { roster } = this.#people(now);
    const shown = new Map<string, Shown>();
    for (const id of [...Array.from(roster.members(), (member) => member.id), ...roster.absent()]) {
      shown.set(id, { name: roster.nameOf(id), hasIp4: roster.ip4(id) !== undefined });
    }
    return shown;
  }

  guests(now: number): OracleGuest[] {
    const { guests } = this.#people(now);
    return Array.from(guests.all(), (guest) => ({
      key: guest.key,
      host: guest.host,
      until: guest.until,
      name: asOracle(guests.nameOf(guest), guest.key),
      hasIp4: guests.ip4(guest) !== undefined,
    }));
  }

  #people(now: number): People {
    if (this.#asked?.now !== now) this.#asked = { now, people: this.#gathered(now) };
    return this.#asked.people;
  }

  /** Guests claim what they claim beside the members. */
  #gathered(now: number): People {
    const { statements } = this.#judge;
    // Of two keys with one tunnel key a node keeps the one that it met first, which is no matter of statements: nobody was met yet.
    const judge = new Judge(this.#crypto, statements.genesis, statements);
    const roster = new Roster(this.#crypto, judge);
    const keys = new Set<string>();
    for (const { statement } of statements.all()) {
      if (statement.kind === "admin" || statement.kind === "member") {
        keys.add(statement.certificate.key);
      }
    }
    const time = { boot: 0, wall: now * 1000 };
    const guests = new Guests(this.#crypto, judge, roster, GUESTS_PER_HOST);
    guests.review(now);
    for (const key of keys) {
      const judgement = this.#judge.judge(key, now);
      // Who has a name must not hang on whom a node has met: half of them have not come, or are forgotten.
      if (this.#hasMet(key) && judgement.kind === "member") roster.accept(recordOf(key), time);
      else roster.reserve(key, judgement);
    }
    return { roster, guests };
  }

  #hasMet(key: string): boolean {
    return Number.parseInt(key.slice(-1), 16) % 2 === 0;
  }

  usesOf(token: string): number | undefined {
    return this.#judge.statements.token(token)?.uses;
  }

  isWithdrawn(token: string): boolean {
    return this.#judge.statements.isWithdrawn(token);
  }

  voidMembers(): string[] {
    const { statements } = this.#judge;
    const keys = new Set<string>();
    for (const statement of statements.void()) {
      if (statement.kind === "removed") continue;
      const { key } = statement.certificate;
      if (!statements.isSettled(key) && !statements.isSurplus(key)) keys.add(key);
    }
    return [...keys];
  }

  voidRemovals(): string[] {
    const { statements } = this.#judge;
    const keys = new Set<string>();
    for (const statement of statements.void()) {
      if (statement.kind !== "removed") continue;
      const { key } = statement;
      const isSettled = statements.isAdmin(key) || statements.isRemoved(key) ||
        statements.hasLeft(key);
      if (!isSettled) keys.add(key);
    }
    return [...keys];
  }

  conflicts(): { shown: string[]; isAll: boolean } {
    const { statements } = this.#judge;
    const shown = Array.from(statements.pairs(), ({ signer, number }) => `${signer} ${number}`);
    return { shown, isAll: shown.length < PAIRS_SHOWN };
  }
}

/** Behind a lost name the oracle has a guest's key, and the product a hash of it, which nobody can choose. */
function asOracle(name: string, key: string): string {
  return name.replace(/-[0-9a-f]{32}$/, `-${key.slice(0, 32)}`);
}

/** Why a key is refused, where statements alone decide. */
function whyOf(why: Refusal): Why {
  switch (why) {
    case "tokenUsedUp":
      return "surplus";
    case "stranger":
    case "notYetValid":
    case "expired":
    case "removed":
    case "left":
    case "mirrored":
      return why;
    default:
      throw new TypeError(`a key is refused as ${why} by statements alone`);
  }
}

/** A record as a member's node makes it; nobody looks at its signature here. */
function recordOf(id: string): NodeRecord {
  return {
    id,
    key: Uint8Array.fromHex(id),
    sequence: 0,
    run: "",
    twin: undefined,
    endpoints: [],
    capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
    routes: [],
    version: "",
    proof: NO_PROOF,
    bytes: new Uint8Array(0),
  };
}
