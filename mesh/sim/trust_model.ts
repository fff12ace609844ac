/**
 * A second implementation of the rules of membership: it sorts statements by what they are about, where the oracle runs
 * through all of them for every question. It carries the mutants: each is one rule broken in one place, and the property
 * with the number of its invariant must find it. A property that finds no mutant would prove nothing about the product
 * either.
 */
import type { Draft, Ip4Of, Shown, Signed, TrustSet, TrustUnderTest } from "./trust_subject.ts";
import {
  GUESTS_PER_HOST,
  type OracleCertificate,
  type OracleGenesis,
  type OracleGuest,
  type OracleUse,
  type Verdict,
} from "./trust_oracle.ts";
import { toyCrypto } from "./toy_crypto.ts";

/** Each breaks one rule. */
export type ModelMutant =
  | "a token's key makes admins"
  | "an admin makes admins"
  | "a foreign mesh's statement counts"
  | "a signature is not looked at"
  | "the number that arrived first counts"
  | "a signer is judged when its statement arrives"
  | "the certificate that arrived last counts"
  | "who arrives first has a token's place"
  | "a certificate of tomorrow hides that of today"
  | "a promotion of tomorrow hides the certificate of today"
  | "an admin unmakes admins"
  | "a later promotion undoes a demotion"
  | "a removal touches an admin"
  | "an admin's removal waits for the end of an office"
  | "a former admin's removals count"
  | "the end of a token is the end of a member with its key"
  | "who leaves takes along what it signed"
  | "a demotion is a removal"
  | "a later certificate undoes a farewell"
  | "a token's uses end with the office of its maker"
  | "void members are forgotten"
  | "void removals are forgotten"
  | "an older mesh key counts"
  | "the first successor stays"
  | "the mesh key names its successor"
  | "a token certifies without end"
  | "a token's first certificate says how many it admits"
  | "the later certificate has the name"
  | "an admin's name yields to an earlier certificate"
  | "a member's word about itself counts"
  | "two members may bear one name"
  | "a name may look like one made of a key"
  | "all signers share one room of numbers"
  | "a number used twice is not shown"
  | "the higher hash counts"
  | "a number used again undoes an end"
  | "what a signer may not say takes a number"
  | "a guest is a member"
  | "a guest outlives its host"
  | "a guest that arrives first has the host's place"
  | "a guest has the name of a member"
  | "a guest that was withdrawn is served"
  | "a former admin's guests are served";

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
  readonly admin: Held[];
  readonly demoted: Held[];
  readonly member: Held[];
  readonly removed: Held[];
  readonly token: Held[];
  readonly withdrawn: Held[];
  readonly guest: Held[];
}

/** What is left when of every number one statement counts. */
interface Sorted {
  readonly subjects: ReadonlyMap<string, Subject>;
  /** Member statements that name a token, by that token. */
  readonly admitted: ReadonlyMap<string, readonly Held[]>;
  readonly twice: ReadonlySet<string>;
}

interface User {
  readonly key: string;
  since: number;
}

interface Served extends User {
  readonly host: string;
  readonly until: number;
  /** Whether its host, or the mesh key, has certified it for that host. */
  readonly isOwn: boolean;
  readonly certificate: OracleCertificate;
}

/** Of two with one number the kind that stands later here counts. */
const ENDS: readonly string[] = ["withdrawn", "removed", "demoted"];

function newSubject(): Subject {
  return { admin: [], demoted: [], member: [], removed: [], token: [], withdrawn: [], guest: [] };
}

class Model implements TrustSet {
  readonly #seen = new Set<string>();
  /** All statements of each signer and number. */
  readonly #slots = new Map<string, Held[]>();
  readonly #successors: Held[] = [];
  readonly #left = new Set<string>();
  #sorted: Sorted | undefined;

  constructor(
    private readonly genesis: OracleGenesis,
    private readonly ip4Of: Ip4Of,
    private readonly mutant: ModelMutant | undefined,
  ) {}

  add(bytes: Uint8Array): boolean {
    const hash = toyCrypto.blake2s(bytes).toHex();
    if (this.#seen.has(hash)) return true;
    const draft: Draft = JSON.parse(text.decoder.decode(bytes));
    if (!this.#isGenuine(draft)) return true;
    const held: Held = { ...draft, hash };
    if (this.#is("a signer is judged when its statement arrives")) {
      const isGoverned = held.says.kind === "removed" || held.says.kind === "member";
      if (isGoverned && !this.#mayGovern(held.signer)) return true;
    }
    this.#seen.add(hash);
    this.#sorted = undefined;
    if (held.says.kind === "left") this.#left.add(held.signer);
    else if (held.says.kind === "successor") this.#successors.push(held);
    else {
      const room = this.#is("all signers share one room of numbers") ? "" : held.signer;
      const slot = `${room} ${held.number}`;
      this.#slots.set(slot, [...this.#slots.get(slot) ?? [], held]);
    }
    return true;
  }

  #isGenuine({ mesh, signer, signedBy, says }: Draft): boolean {
    const isOurs = mesh === this.genesis.mesh || this.#is("a foreign mesh's statement counts");
    const isSigned = signer === signedBy || this.#is("a signature is not looked at");
    const name = "certificate" in says ? says.certificate.name : "";
    const isName = !/-[0-9a-f]{32}$/.test(name) ||
      this.#is("a name may look like one made of a key");
    return isOurs && isSigned && isName;
  }

  #is(mutant: ModelMutant): boolean {
    return this.mutant === mutant;
  }

  /** Whether of two statements with one number this one counts. */
  #beats(held: Held, other: Held): boolean {
    if (this.#is("the number that arrived first counts")) return false;
    const [a = 0, b = 0] = [held, other].map(({ says }) => ENDS.indexOf(says.kind));
    if (a !== b && !this.#is("a number used again undoes an end")) return a > b;
    return this.#is("the higher hash counts") ? held.hash > other.hash : held.hash < other.hash;
  }

  /** Whether a statement is of a kind that its signer has a right to. */
  #maySay({ says, signer }: Held): boolean {
    const isOfMeshKey = says.kind === "admin" || says.kind === "demoted";
    return !isOfMeshKey || this.#isMeshKey(signer) ||
      this.#is("what a signer may not say takes a number") ||
      this.#is("an admin makes admins") || this.#is("an admin unmakes admins") ||
      this.#is("a token's key makes admins");
  }

  #sort(): Sorted {
    if (this.#sorted !== undefined) return this.#sorted;
    const subjects = new Map<string, Subject>();
    const admitted = new Map<string, Held[]>();
    const twice = new Set<string>();
    for (const slot of this.#slots.values()) {
      const rivals = slot.filter((held) => this.#maySay(held));
      const [first, ...others] = rivals;
      if (first === undefined) continue;
      if (others.length > 0) {
        for (const held of rivals) twice.add(`${held.signer} ${held.number}`);
      }
      const best = others.reduce((a, b) => this.#beats(b, a) ? b : a, first);
      const { says } = best;
      if (says.kind === "left" || says.kind === "successor") continue;
      const key = "key" in says ? says.key : says.certificate.key;
      const subject = subjects.get(key) ?? newSubject();
      subjects.set(key, subject);
      subject[says.kind].push(best);
      if (says.kind !== "member" || says.token === undefined) continue;
      admitted.set(says.token.key, [...admitted.get(says.token.key) ?? [], best]);
    }
    this.#sorted = { subjects, admitted, twice };
    return this.#sorted;
  }

  #subject(key: string): Subject {
    return this.#sort().subjects.get(key) ?? newSubject();
  }

  meshKey(): string {
    const isFirst = this.#is("the first successor stays");
    let best: Held | undefined;
    for (const held of this.#successors) {
      const isAllowed = held.signer === this.genesis.recoveryKey ||
        this.#is("the mesh key names its successor") && held.signer === this.genesis.meshKey;
      if (!isAllowed) continue;
      const isLater = best === undefined ||
        (held.number === best.number
          ? held.hash < best.hash
          : held.number > best.number !== isFirst);
      if (isLater) best = held;
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
    const { admin, demoted } = this.#subject(key);
    const promotions = admin.filter((held) => this.#promotes(held));
    const ends = demoted.filter(({ signer }) =>
      this.#isMeshKey(signer) ||
      this.#is("an admin unmakes admins") && signer !== key && this.#isPromoted(signer)
    );
    if (this.#is("who leaves takes along what it signed") && this.#left.has(key)) return false;
    if (this.#is("a later promotion undoes a demotion")) {
      const last = (list: Held[]) => Math.max(-1, ...list.map(({ number }) => number));
      return last(promotions) > last(ends);
    }
    return promotions.length > 0 && ends.length === 0;
  }

  #isPromoted(key: string): boolean {
    return this.#subject(key).admin.some(({ signer }) => this.#isMeshKey(signer));
  }

  #promotes({ signer, says }: Held): boolean {
    if (this.#isMeshKey(signer)) return true;
    if (this.#is("an admin makes admins")) {
      return says.kind === "admin" && says.certificate.key !== signer && this.#isPromoted(signer);
    }
    return this.#is("a token's key makes admins") &&
      this.#subject(signer).token.some((token) =>
        this.#isMeshKey(token.signer) || this.#isPromoted(token.signer)
      );
  }

  #mayGovern(key: string): boolean {
    return this.#isMeshKey(key) || this.#isAdmin(key);
  }

  admins(): string[] {
    return [...this.#sort().subjects.keys()].filter((key) => this.#isAdmin(key));
  }

  #isRemoved(key: string): boolean {
    if (this.#isAdmin(key) && !this.#is("a removal touches an admin")) return false;
    const { removed, withdrawn, demoted } = this.#subject(key);
    if (this.#is("a demotion is a removal")) {
      if (demoted.some(({ signer }) => this.#isMeshKey(signer))) return true;
    }
    if (this.#is("the end of a token is the end of a member with its key")) {
      if (withdrawn.some(({ signer }) => this.#mayGovern(signer))) return true;
    }
    const hadOffice = this.#isPromoted(key) ||
      demoted.some(({ signer }) => this.#isMeshKey(signer));
    const isProtected = hadOffice && !this.#is("a removal touches an admin") &&
      !this.#is("an admin's removal waits for the end of an office");
    return removed.some(({ signer }) =>
      this.#isMeshKey(signer) || !isProtected &&
        (this.#mayGovern(signer) ||
          this.#is("a former admin's removals count") && this.#isPromoted(signer))
    );
  }

  usesOf(token: string): number | undefined {
    const made = this.#subject(token).token.filter(({ signer }) => this.#mayGovern(signer));
    const [last] = made.sort(byTime);
    return last?.says.kind === "token" ? last.says.uses : undefined;
  }

  isWithdrawn(token: string): boolean {
    return this.#subject(token).withdrawn.some(({ signer }) => this.#mayGovern(signer));
  }

  #isWithinUses({ key: token, uses: own }: OracleUse, key: string): boolean {
    if (this.#is("a token certifies without end")) return true;
    const users = new Map<string, User>();
    let first: number | undefined;
    for (const { signer, says } of this.#sort().admitted.get(token) ?? []) {
      if (says.kind !== "member" || !this.#mayGovern(signer)) continue;
      first ??= says.token?.uses;
      const { key, since } = says.certificate;
      const user = users.get(key) ?? { key, since };
      user.since = Math.min(user.since, since);
      users.set(key, user);
    }
    let uses = own;
    if (this.#is("a token's uses end with the office of its maker")) uses = this.usesOf(token) ?? 0;
    if (this.#is("a token's first certificate says how many it admits")) uses = first ?? 0;
    const inOrder = [...users.values()];
    if (!this.#is("who arrives first has a token's place")) inOrder.sort(bySince);
    return inOrder.slice(0, uses).some((user) => user.key === key);
  }

  judge(key: string, now: number): Verdict {
    if (this.#left.has(key) && !this.#isReturned(key)) return { kind: "refused", why: "left" };
    if (this.#isRemoved(key)) return { kind: "refused", why: "removed" };
    const isAdmin = this.#isAdmin(key);
    const isTimely = ({ at }: Held) => at <= now + SKEW;
    const given = this.#givenTo(key, isAdmin);
    if (isAdmin && !given.some(isTimely)) {
      const isHidden = this.#is("a promotion of tomorrow hides the certificate of today");
      if (!isHidden) given.push(...this.#givenTo(key, false).filter(isTimely));
    }
    const counting = given.filter(({ says }) =>
      says.kind !== "member" || says.token === undefined || this.#isWithinUses(says.token, key)
    );
    if (counting.length === 0) {
      return { kind: "refused", why: given.length > 0 ? "surplus" : "stranger" };
    }
    if (this.#is("the certificate that arrived last counts")) counting.reverse();
    else counting.sort(byTime);
    const newest = this.#is("a certificate of tomorrow hides that of today")
      ? counting[0]
      : counting.find(isTimely);
    if (newest === undefined || newest.at > now + SKEW) {
      return { kind: "refused", why: "notYetValid" };
    }
    const { name, groups, relay, ip4Counter, since } = certificateOf(newest);
    const { until, token } = newest.says.kind === "member"
      ? newest.says
      : { until: undefined, token: undefined };
    if (until !== undefined && until < now - SKEW) return { kind: "refused", why: "expired" };
    const standing = isAdmin ? "admin" : "certified";
    return { kind: "member", standing, name, groups, relay, ip4Counter, since, until, token };
  }

  #givenTo(key: string, isAdmin: boolean): Held[] {
    const { admin, member, guest } = this.#subject(key);
    if (!isAdmin && this.#is("a guest is a member")) member.push(...guest.splice(0));
    if (isAdmin) return admin.filter((held) => this.#promotes(held));
    const isOwnWordGood = this.#is("a member's word about itself counts");
    return member.filter(({ signer }) =>
      this.#mayGovern(signer) || isOwnWordGood && signer === key
    );
  }

  #isReturned(key: string): boolean {
    const { member, admin } = this.#subject(key);
    return this.#is("a later certificate undoes a farewell") &&
      [...member, ...admin].some(({ signer }) => this.#mayGovern(signer));
  }

  members(now: number): Map<string, Shown> {
    const named = new Set<string>();
    const taken = new Set<number>();
    const shown = new Map<string, Shown>();
    const list = [...this.#sort().subjects.keys()].flatMap((key) => {
      const verdict = this.judge(key, now);
      return verdict.kind === "member" ? [{ key, ...verdict }] : [];
    });
    const isAdminFirst = !this.#is("an admin's name yields to an earlier certificate");
    list.sort((a, b) =>
      isAdminFirst && a.standing !== b.standing ? a.standing === "admin" ? -1 : 1 : bySince(a, b)
    );
    if (this.#is("the later certificate has the name")) list.reverse();
    for (const { key, name, ip4Counter } of list) {
      const isFree = !named.has(name) || this.#is("two members may bear one name");
      const ip4 = this.ip4Of(key, ip4Counter);
      const made = `${name.slice(0, 30).replace(/-+$/, "")}-${key.slice(0, 32)}`;
      shown.set(key, { name: isFree ? name : made, hasIp4: !taken.has(ip4) });
      named.add(name);
      taken.add(ip4);
    }
    return shown;
  }

  guests(now: number): OracleGuest[] {
    const byHost = new Map<string, Served[]>();
    for (const [key, { guest, withdrawn }] of this.#sort().subjects) {
      const isGoverned = ({ signer }: Held) =>
        this.#mayGovern(signer) ||
        this.#is("a former admin's guests are served") && this.#isPromoted(signer);
      const [last] = guest.filter((held) => isGoverned(held) && held.at <= now + SKEW).sort(byTime);
      if (last?.says.kind !== "guest") continue;
      const { host, until, certificate } = last.says;
      const isEnded = withdrawn.some(({ signer }) => this.#mayGovern(signer)) &&
        !this.#is("a guest that was withdrawn is served");
      const isHosted = this.judge(host, now).kind === "member" ||
        this.#is("a guest outlives its host");
      if (isEnded || until < now - SKEW || !isHosted) continue;
      const { since } = certificate;
      const isOwn = guest.some((held) =>
        held.says.kind === "guest" && held.says.host === host && isGoverned(held) &&
        (held.signer === host || held.signer === this.meshKey())
      );
      byHost.set(host, [...byHost.get(host) ?? [], {
        key,
        host,
        until,
        since,
        isOwn,
        certificate,
      }]);
    }
    const served = [...byHost.values()].flatMap((guests) => {
      const isFirst = this.#is("a guest that arrives first has the host's place");
      const byPlace = (a: Served, b: Served) => Number(b.isOwn) - Number(a.isOwn) || bySince(a, b);
      return (isFirst ? guests : guests.sort(byPlace)).slice(0, GUESTS_PER_HOST);
    });
    const named = new Set<string>();
    const taken = new Set<number>();
    const isMemberFirst = !this.#is("a guest has the name of a member");
    for (const [key, { name }] of isMemberFirst ? this.members(now) : []) {
      const verdict = this.judge(key, now);
      named.add(verdict.kind === "member" ? verdict.name : name);
      if (verdict.kind === "member") taken.add(this.ip4Of(key, verdict.ip4Counter));
    }
    return served.sort(bySince).map(({ key, host, until, certificate: { name, ip4Counter } }) => {
      const ip4 = this.ip4Of(key, ip4Counter);
      const made = `${name.slice(0, 30).replace(/-+$/, "")}-${key.slice(0, 32)}`;
      const shown = { name: named.has(name) ? made : name, hasIp4: !taken.has(ip4) };
      named.add(name);
      taken.add(ip4);
      return { key, host, until, ...shown };
    });
  }

  voidMembers(now: number): string[] {
    if (this.#is("void members are forgotten")) return [];
    const governors = this.#governors();
    const meshKeys = this.#meshKeys();
    const keys = this.#all().flatMap(({ says, signer }) => {
      if (says.kind === "admin" && meshKeys.has(signer)) return [says.certificate.key];
      return says.kind === "member" && governors.has(signer) ? [says.certificate.key] : [];
    });
    return [...new Set(keys)].filter((key) => {
      const verdict = this.judge(key, now);
      return verdict.kind === "refused" && verdict.why === "stranger";
    });
  }

  voidRemovals(): string[] {
    if (this.#is("void removals are forgotten")) return [];
    const governors = this.#governors();
    const keys = this.#all().flatMap(({ says, signer }) =>
      says.kind === "removed" && governors.has(signer) && !this.#mayGovern(signer) ? [says.key] : []
    );
    return [...new Set(keys)].filter((key) =>
      !this.#left.has(key) && !this.#isAdmin(key) && !this.#isRemoved(key)
    );
  }

  conflicts(): { shown: string[]; isAll: boolean } {
    const isShown = !this.#is("a number used twice is not shown");
    return { shown: isShown ? [...this.#sort().twice] : [], isAll: true };
  }

  #all(): Held[] {
    return [...this.#slots.values()].flat();
  }

  /** Every key that holds or held an office. */
  #governors(): Set<string> {
    const meshKeys = this.#meshKeys();
    const promoted = this.#all().flatMap(({ says, signer }) =>
      says.kind === "admin" && meshKeys.has(signer) ? [says.certificate.key] : []
    );
    return new Set([...meshKeys, ...promoted]);
  }
}

/** The one signed last first, then the one with the lower hash. */
function byTime(a: Held, b: Held): number {
  return b.at - a.at || (a.hash < b.hash ? -1 : 1);
}

function bySince(a: User, b: User): number {
  return a.since - b.since || (a.key < b.key ? -1 : 1);
}

function certificateOf({ says }: Held): OracleCertificate {
  if ("certificate" in says) return says.certificate;
  throw new TypeError(`a statement of kind ${says.kind} holds no certificate`);
}
