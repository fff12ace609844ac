/**
 * A second implementation of the rules of membership, which keeps indices up to date as statements arrive: what the
 * oracle does by loops. It carries the mutants: each is one rule broken in one place, and the property with the number
 * of its invariant must find it. A property that finds no mutant would prove nothing about the product either.
 */
import type { Draft, Ip4Of, Shown, Signed, TrustSet, TrustUnderTest } from "./trust_subject.ts";
import type { OracleCertificate, OracleGenesis, Verdict } from "./trust_oracle.ts";
import { toyCrypto } from "./toy_crypto.ts";

/** Each breaks one rule. */
export type ModelMutant =
  | "a token's key makes admins"
  | "an admin makes admins"
  | "the number that arrived first counts"
  | "a signer is judged when its statement arrives"
  | "the certificate that arrived last counts"
  | "who arrives first has a token's place"
  | "an admin unmakes admins"
  | "a later promotion undoes a demotion"
  | "a removal touches an admin"
  | "a former admin's removals count"
  | "who leaves takes along what it signed"
  | "a demotion is a removal"
  | "a later certificate undoes a farewell"
  | "an older mesh key counts"
  | "the first successor stays"
  | "the mesh key names its successor"
  | "a token certifies without end"
  | "the later certificate has the name"
  | "a member's word about itself counts"
  | "two members may bear one name"
  | "all signers share one room of numbers"
  | "a number used twice is not shown"
  | "the higher hash counts"
  | "a foreign mesh's statement counts"
  | "a signature is not looked at";

const SKEW = 300;
const text = { encoder: new TextEncoder(), decoder: new TextDecoder() };

/** A model with one rule broken, or none. */
export function trustModel(mutant?: ModelMutant): TrustUnderTest {
  return {
    key: (number) => toyCrypto.blake2s(text.encoder.encode(`key ${number}`)).toHex(),
    sign: (draft) => signed(draft),
    newSet: (genesis, ip4Of) => new Model(genesis, ip4Of, mutant),
  };
}

function signed(draft: Draft): Signed {
  const bytes = text.encoder.encode(JSON.stringify(draft));
  return { bytes, hash: toyCrypto.blake2s(bytes).toHex() };
}

type Held = Draft & { readonly hash: string };

/** What is known of one key. */
interface Subject {
  readonly admin: Set<Held>;
  readonly demoted: Set<Held>;
  readonly member: Set<Held>;
  readonly removed: Set<Held>;
  readonly token: Set<Held>;
  readonly left: Set<Held>;
}

interface User {
  readonly key: string;
  since: number;
}

class Model implements TrustSet {
  readonly #seen = new Set<string>();
  /** One statement for each signer and number. */
  readonly #slots = new Map<string, Held>();
  readonly #twice = new Set<string>();
  readonly #subjects = new Map<string, Subject>();
  /** Member statements that name a token, by that token. */
  readonly #admitted = new Map<string, Set<Held>>();
  readonly #successors = new Set<Held>();

  constructor(
    private readonly genesis: OracleGenesis,
    private readonly ip4Of: Ip4Of,
    private readonly mutant: ModelMutant | undefined,
  ) {}

  add(bytes: Uint8Array): boolean {
    const hash = toyCrypto.blake2s(bytes).toHex();
    if (this.#seen.has(hash)) return true;
    const draft: Draft = JSON.parse(text.decoder.decode(bytes));
    const isOurs = draft.mesh === this.genesis.mesh ||
      this.#is("a foreign mesh's statement counts");
    const isGenuine = draft.signer === draft.signedBy || this.#is("a signature is not looked at");
    if (!isOurs || !isGenuine) return true;
    this.#seen.add(hash);
    const held: Held = { ...draft, hash };
    if (this.#is("a signer is judged when its statement arrives")) {
      const isGoverned = held.says.kind === "removed" || held.says.kind === "member";
      if (isGoverned && !this.#mayGovern(held.signer)) return true;
    }
    const room = this.#is("all signers share one room of numbers") && held.number > 0
      ? `${held.number}`
      : `${held.signer} ${held.number}`;
    const other = this.#slots.get(room);
    if (other !== undefined) {
      this.#twice.add(`${held.signer} ${held.number}`);
      if (!this.#beats(held, other)) return true;
      this.#index(other, false);
    }
    this.#slots.set(room, held);
    this.#index(held, true);
    return true;
  }

  /** Which of two statements with one number counts. */
  #beats(held: Held, other: Held): boolean {
    if (this.#is("the number that arrived first counts")) return false;
    return this.#is("the higher hash counts") ? held.hash > other.hash : held.hash < other.hash;
  }

  #is(mutant: ModelMutant): boolean {
    return this.mutant === mutant;
  }

  #subject(key: string): Subject {
    let subject = this.#subjects.get(key);
    if (subject === undefined) {
      subject = {
        admin: new Set(),
        demoted: new Set(),
        member: new Set(),
        removed: new Set(),
        token: new Set(),
        left: new Set(),
      };
      this.#subjects.set(key, subject);
    }
    return subject;
  }

  #index(held: Held, isIn: boolean): void {
    const put = (where: Set<Held>) => isIn ? where.add(held) : where.delete(held);
    const { says, signer } = held;
    switch (says.kind) {
      case "successor":
        put(this.#successors);
        break;
      case "left":
        put(this.#subject(signer).left);
        break;
      case "admin":
        put(this.#subject(says.certificate.key).admin);
        break;
      case "member": {
        put(this.#subject(says.certificate.key).member);
        if (says.token === undefined) break;
        const admitted = this.#admitted.get(says.token) ?? new Set();
        this.#admitted.set(says.token, admitted);
        put(admitted);
        break;
      }
      default:
        put(this.#subject(says.key)[says.kind]);
    }
  }

  meshKey(): string {
    const isFirst = this.#is("the first successor stays");
    let best: Held | undefined;
    for (const held of this.#successors) {
      const isAllowed = held.signer === this.genesis.recoveryKey ||
        this.#is("the mesh key names its successor") && held.signer === this.genesis.meshKey;
      if (!isAllowed) continue;
      if (best === undefined || (isFirst ? held.number < best.number : held.number > best.number)) {
        best = held;
      }
    }
    return best?.says.kind === "successor" ? best.says.key : this.genesis.meshKey;
  }

  /** Whether what this key signs as the mesh key counts. */
  #isMeshKey(key: string): boolean {
    if (key === this.meshKey()) return true;
    return this.#is("an older mesh key counts") && this.#meshKeys().has(key);
  }

  #meshKeys(): Set<string> {
    const keys = new Set([this.genesis.meshKey]);
    for (const { says, signer } of this.#successors) {
      if (says.kind === "successor" && signer === this.genesis.recoveryKey) keys.add(says.key);
    }
    return keys;
  }

  #isAdmin(key: string): boolean {
    const subject = this.#subjects.get(key);
    if (subject === undefined) return false;
    const { admin, demoted, left } = subject;
    const promotions = [...admin].filter((held) => this.#promotes(held));
    const ends = [...demoted].filter(({ signer }) =>
      this.#isMeshKey(signer) ||
      this.#is("an admin unmakes admins") && signer !== key && this.#isPromoted(signer)
    );
    if (this.#is("who leaves takes along what it signed") && left.size > 0) return false;
    if (this.#is("a later promotion undoes a demotion")) {
      const last = (list: Held[]) => Math.max(-1, ...list.map(({ number }) => number));
      return last(promotions) > last(ends);
    }
    return promotions.length > 0 && ends.length === 0;
  }

  #isPromoted(key: string): boolean {
    return [...this.#subjects.get(key)?.admin ?? []].some(({ signer }) => this.#isMeshKey(signer));
  }

  #promotes({ signer, says }: Held): boolean {
    if (this.#isMeshKey(signer)) return true;
    if (this.#is("an admin makes admins")) {
      return says.kind === "admin" && says.certificate.key !== signer && this.#isPromoted(signer);
    }
    return this.#is("a token's key makes admins") &&
      [...this.#subjects.get(signer)?.token ?? []].some((token) =>
        this.#isMeshKey(token.signer) || this.#isPromoted(token.signer)
      );
  }

  #mayGovern(key: string): boolean {
    return this.#isMeshKey(key) || this.#isAdmin(key);
  }

  admins(): string[] {
    return [...this.#subjects.keys()].filter((key) => this.#isAdmin(key));
  }

  #isRemoved(key: string): boolean {
    if (this.#isAdmin(key) && !this.#is("a removal touches an admin")) return false;
    const { removed, demoted } = this.#subject(key);
    if (this.#is("a demotion is a removal")) {
      if ([...demoted].some(({ signer }) => this.#isMeshKey(signer))) return true;
    }
    return [...removed].some(({ signer }) =>
      this.#mayGovern(signer) ||
      this.#is("a former admin's removals count") && this.#isPromoted(signer)
    );
  }

  /** How many keys a token certifies; 0 for one that nobody with an office made. */
  #usesOf(token: string): number {
    const made = [...this.#subject(token).token].filter(({ signer }) => this.#mayGovern(signer));
    const [first] = made.sort((a, b) => a.hash < b.hash ? -1 : 1);
    return first?.says.kind === "token" ? first.says.uses : 0;
  }

  #isWithinUses(token: string, key: string): boolean {
    const uses = this.#usesOf(token);
    if (this.#is("a token certifies without end")) return uses > 0;
    const users = new Map<string, User>();
    for (const { signer, says } of this.#admitted.get(token) ?? []) {
      if (says.kind !== "member" || !this.#mayGovern(signer)) continue;
      const { key, since } = says.certificate;
      const user = users.get(key) ?? { key, since };
      user.since = Math.min(user.since, since);
      users.set(key, user);
    }
    const inOrder = [...users.values()];
    if (!this.#is("who arrives first has a token's place")) inOrder.sort(isEarlier);
    return inOrder.slice(0, uses).some((user) => user.key === key);
  }

  judge(key: string, now: number): Verdict {
    const subject = this.#subject(key);
    const { left, admin, member } = subject;
    if (left.size > 0 && !this.#isReturned(subject)) return { kind: "refused", why: "left" };
    if (this.#isRemoved(key)) return { kind: "refused", why: "removed" };
    const isAdmin = this.#isAdmin(key);
    const given = isAdmin
      ? [...admin].filter((held) => this.#promotes(held))
      : [...member].filter(({ signer }) =>
        this.#mayGovern(signer) || this.#is("a member's word about itself counts") && signer === key
      );
    let isSurplus = false;
    const counting = given.filter(({ says }) => {
      if (says.kind !== "member" || says.token === undefined) return true;
      const isWithin = this.#isWithinUses(says.token, key);
      if (!isWithin && this.#usesOf(says.token) > 0) isSurplus = true;
      return isWithin;
    });
    if (this.#is("the certificate that arrived last counts")) counting.reverse();
    else {
      counting.sort((a, b) =>
        certificateOf(b).signedAt - certificateOf(a).signedAt || (a.hash < b.hash ? -1 : 1)
      );
    }
    const [newest] = counting;
    if (newest === undefined) {
      return { kind: "refused", why: isSurplus ? "surplus" : "stranger" };
    }
    const { name, groups, relay, ip4Counter, since, signedAt } = certificateOf(newest);
    if (signedAt > now + SKEW) return { kind: "refused", why: "notYetValid" };
    const until = newest.says.kind === "member" ? newest.says.until : undefined;
    if (until !== undefined && until < now - SKEW) return { kind: "refused", why: "expired" };
    const standing = isAdmin ? "admin" : "certified";
    return { kind: "member", standing, name, groups, relay, ip4Counter, since, until };
  }

  #isReturned({ member, admin }: Subject): boolean {
    return this.#is("a later certificate undoes a farewell") &&
      [...member, ...admin].some(({ signer }) => this.#mayGovern(signer));
  }

  members(now: number): Map<string, Shown> {
    const named = new Set<string>();
    const taken = new Set<number>();
    const shown = new Map<string, Shown>();
    const list = [...this.#subjects.keys()].flatMap((key) => {
      const verdict = this.judge(key, now);
      return verdict.kind === "member" ? [{ key, ...verdict }] : [];
    }).sort(isEarlier);
    if (this.#is("the later certificate has the name")) list.reverse();
    for (const { key, name, ip4Counter } of list) {
      const isFree = !named.has(name) || this.#is("two members may bear one name");
      const ip4 = this.ip4Of(key, ip4Counter);
      shown.set(key, {
        name: isFree ? name : `${name}-${key.slice(0, 32)}`,
        hasIp4: !taken.has(ip4),
      });
      named.add(name);
      taken.add(ip4);
    }
    return shown;
  }

  voidMembers(now: number): string[] {
    const offices = this.#offices();
    const meshKeys = this.#meshKeys();
    return [...this.#subjects].filter(([key, { admin, member }]) => {
      const verdict = this.judge(key, now);
      return verdict.kind === "refused" && verdict.why === "stranger" &&
        ([...admin].some(({ signer }) => meshKeys.has(signer)) ||
          [...member].some(({ signer }) => offices.has(signer)));
    }).map(([key]) => key);
  }

  voidRemovals(): string[] {
    const offices = this.#offices();
    return [...this.#subjects].filter(([key, { removed, left }]) =>
      left.size === 0 && !this.#isAdmin(key) && !this.#isRemoved(key) &&
      [...removed].some(({ signer }) => offices.has(signer))
    ).map(([key]) => key);
  }

  conflicts(): string[] {
    if (this.#is("a number used twice is not shown")) return [];
    const offices = this.#offices();
    const shown = [...this.#twice].filter((pair) => {
      const [signer = ""] = pair.split(" ");
      return signer === this.genesis.recoveryKey || offices.has(signer);
    });
    return shown;
  }

  /** Every key that holds or held an office. */
  #offices(): Set<string> {
    const meshKeys = this.#meshKeys();
    const offices = new Set(meshKeys);
    for (const [key, { admin }] of this.#subjects) {
      if ([...admin].some(({ signer }) => meshKeys.has(signer))) offices.add(key);
    }
    return offices;
  }
}

function isEarlier(a: User, b: User): number {
  return a.since - b.since || (a.key < b.key ? -1 : 1);
}

function certificateOf({ says }: Held): OracleCertificate {
  if (says.kind === "admin" || says.kind === "member") return says.certificate;
  throw new TypeError(`a statement of kind ${says.kind} holds no certificate`);
}
