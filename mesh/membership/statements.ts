/**
 * The statements that a node holds, and what they mean together. What counts is a function of the
 * set alone, never of the order in which it came (invariant 2), so two members that hold the same
 * statements agree:
 *
 * - the mesh key is that of the successor with the highest number, else the one of the founding;
 *   what an older mesh key has signed does not count;
 * - an admin has an `admin` statement and no `demoted` one of the mesh key (invariant 3). So there is
 *   no way back into an office that was ended, and no admin can do anything to another;
 * - `member`, `removed`, `token`, `withdrawn` and `guest` count when the mesh key or an admin has signed them.
 *   What an admin removes is never a key that has or had an office: a removal that waits for the end
 *   of that office would be an admin's hand on another. The mesh key's own counts from that end on;
 * - of several certificates of one key the one signed last counts, of those that are not signed in
 *   the future: an admin's wrong clock takes nobody out. An admin has its name and address by its `admin`
 *   statements, and by `member` ones while all of those are signed in the future;
 * - of two statements with one number the one that ends something counts, then the lower hash, so that
 *   no old number undoes an end; what comes by its hash alone is taken in at a pace;
 * - of two keys with one tunnel key (identity.ts) one can be a member: that with an office, then, of two that are certified,
 *   the one that a node has met (judge.ts), then that which was certified first. What an admin has signed begins no earlier
 *   than that admin's own first certificate. Which is not certified yields to all that was said of the other, be it that
 *   one's removal; which is certified yields to no removal of the other;
 * - certificates that came of one token count for as many keys as it admits, the earliest first
 *   (invariant 6). A certificate says itself how many that is: then the end of the office of whoever
 *   made the token changes nothing for those that others have certified.
 *
 * What has stopped counting, because its signer has lost an office, is kept: it is what a person
 * signs anew or settles. It does not travel any more.
 *
 * Limits (invariant 13): each signer has {@link NUMBER_MAX} numbers, the mesh key has room of its own,
 * all admins together have {@link ADMINS_ROOM}.
 */
import type { Crypto } from "../crypto.ts";
import { sameBytes } from "../endpoint.ts";
import type { Now } from "../machine.ts";
import { Findings, latestOf } from "./findings.ts";
import { type Genesis, meshIdOf } from "./genesis.ts";
import { type MemberId, mirrorOf } from "./identity.ts";
import { NumberPace } from "./number_pace.ts";
import { Ranks } from "./ranks.ts";
import {
  type Certificate,
  decodeStatement,
  hashOf,
  isSigned,
  type Kind,
  NUMBER_MAX,
  numberIn,
  signerOf,
  type Statement,
  type StatementOf,
  subjectOf,
} from "./statement.ts";

/** Statements of all admins together; at the limit those that do not count make room, or none. */
export const ADMINS_ROOM = 65_536;
/** Farewells; at the limit a further one is refused. */
export const FAREWELLS_ROOM = 16_384;
/** Most statements of all kinds: those of admins, the mesh key's, its successor, farewells. */
export const STATEMENTS_ROOM = ADMINS_ROOM + NUMBER_MAX + 1 + FAREWELLS_ROOM;
/** Pairs of statements with one number that are shown. */
export const PAIRS_SHOWN = 16;
/** Statements that lost their number to another and are remembered; at the limit those that were heard of last go. */
export const OUTRANKED_MAX = 65_536;
/** Statements about one key that are looked at each time that something is asked about it. */
const FEW = 16;
/** Seconds after its end for which an ended certificate or token is kept, so that people see it. */
export const ENDED_KEPT = 30 * 86_400;
/** Seconds after the end of a token in which admins certify whom it has admitted. */
export const TOKEN_GRACE = 7 * 86_400;

export type Refused =
  | "malformed"
  /** Not signed by the key that it names. */
  | "forged"
  /** Its signer has no right to it, as far as this node knows now. */
  | "unentitled"
  /** It ended long ago. */
  | "ended"
  /** Another with the same number, or a later successor, counts instead. */
  | "outranked"
  /** Its signer has used numbers again too often of late; it may come again. */
  | "tooFast"
  | "full";

export type Added =
  | {
    readonly kind: "new";
    readonly statement: Statement;
    /** What has the same number and does not count any more. */
    readonly replaced: Statement | undefined;
    /** What counts again, and what has stopped counting, since the right of its signer changed. */
    readonly gained: readonly Statement[];
    readonly lost: readonly Statement[];
  }
  | { readonly kind: "known"; readonly statement: Statement }
  | { readonly kind: "refused"; readonly why: Refused };

/** A statement and when this node heard of it first, in unix seconds by its own clock. */
export interface Held {
  readonly statement: Statement;
  readonly seen: number;
}

/** What was heard in this run is dated anew when the clock is set. */
interface Heard extends Held {
  seen: number;
  /** Boot ms at which it was heard; undefined: in an earlier run. */
  readonly boot: number | undefined;
}

/** How a statement came. */
interface Hearing {
  /** Whether the signer of a farewell is a member here without a certificate. */
  readonly isKnown?: boolean;
  /** When it was heard of first, in an earlier run: then it was good once, and is kept though its signer may have lost its office. */
  readonly seen?: number;
  /** Boot ms of now, where it is heard in this run. */
  readonly boot?: number;
}

/** Two statements of one signer with one number: the key is used twice, or misused. */
export interface Pair {
  readonly signer: string;
  readonly number: number;
  readonly hashes: readonly [string, string];
}

export type CertificateStatement = StatementOf<"admin"> | StatementOf<"member">;

/** An invite of which more was certified than it admits. */
interface OverCertified {
  readonly token: string;
  readonly uses: number;
  readonly taken: readonly MemberId[];
  readonly surplus: readonly MemberId[];
}

/** Where a key begins to be one of a member, as others have signed. */
interface Begin {
  readonly key: MemberId;
  readonly hasOffice: boolean;
  /** Unix seconds; Infinity: no certificate counts. */
  readonly since: number;
}

export class Statements {
  readonly meshId: Uint8Array;
  readonly #recoveryKey: string;
  readonly #firstMeshKey: string;
  readonly #held = new Map<string, Heard>();
  readonly #slots = new Map<string, Map<number, Statement>>();
  readonly #about = new Map<string, Set<Statement>>();
  readonly #byToken = new Map<string, Set<StatementOf<"member">>>();
  /** Keys that a token has certified, in the order in which they count; made when asked for. */
  readonly #ranks = new Map<string, Ranks>();
  readonly #guestKeys = new Set<string>();
  readonly #certifiedKeys = new Set<MemberId>();
  /** Of these the ones whose mirror is among them; made when asked for. */
  #mirrored: readonly MemberId[] | undefined;
  /** What was found about subjects of more than {@link FEW} statements since the last change. */
  readonly #findings = new Map<string, Findings>();
  /** Changes with the rights of signers, and with the order in which keys use up tokens. */
  #epoch = 0;
  readonly #farewells = new Map<MemberId, StatementOf<"left">>();
  readonly #pairs = new Map<string, Pair>();
  /** By hash, and by signer and number. */
  readonly #outranked = new Map<string, Heard>();
  readonly #outrankedBy = new Map<string, Map<number, Heard>>();
  readonly #numberPace = new NumberPace();
  #successor: StatementOf<"successor"> | undefined;
  #officers = new Set<MemberId>();
  #ofAdmins = 0;
  /** Statements that the limits have cost. */
  refused = 0;
  /** Pairs with one number that were met, shown or not. */
  pairCount = 0;

  constructor(
    private readonly crypto: Crypto,
    readonly genesis: Genesis,
    private readonly outrankedMax = OUTRANKED_MAX,
  ) {
    this.meshId = meshIdOf(crypto, genesis);
    this.#recoveryKey = genesis.recoveryKey.toHex();
    this.#firstMeshKey = genesis.meshKey.toHex();
  }

  // ---- What counts ------------------------------------------------------------------------------

  /** The mesh key of now. */
  get meshKey(): string {
    return this.#successor?.key ?? this.#firstMeshKey;
  }

  get successor(): StatementOf<"successor"> | undefined {
    return this.#successor;
  }

  isAdmin(key: string): boolean {
    return this.#officers.has(key);
  }

  admins(): Iterable<MemberId> {
    return this.#officers;
  }

  /** Whether what this key signs about members and tokens counts. */
  isEntitled(key: string): boolean {
    return key === this.meshKey || this.#officers.has(key);
  }

  counts(statement: Statement): boolean {
    switch (statement.kind) {
      case "successor":
        return statement === this.#successor;
      case "admin":
      case "demoted":
        return statement.signer === this.meshKey;
      case "member":
      case "removed":
      case "token":
      case "withdrawn":
      case "guest":
        return this.isEntitled(statement.signer);
      case "left":
        return true;
    }
  }

  /**
   * The statement by which a key has its name and address; undefined: none counts.
   * @param before unix seconds: what was signed later is passed over
   */
  certificate(key: MemberId, before = Infinity): CertificateStatement | undefined {
    const latest = (kind: "admin" | "member") =>
      this.#latest(key, `${kind} certificate`, before, () => this.#certificates(key, kind));
    if (!this.isAdmin(key)) return latest("member");
    // An office by a clock that is ahead takes nobody out: until then what made a member counts.
    return latest("admin") ?? latest("member");
  }

  *#certificates(key: MemberId, kind: "admin" | "member"): Generator<CertificateStatement> {
    for (const statement of this.about(key)) {
      if (statement.kind !== "admin" && statement.kind !== "member") continue;
      if (statement.kind !== kind || !this.counts(statement)) continue;
      if (statement.kind === "admin" || this.#isWithinUses(statement)) yield statement;
    }
  }

  /** What a key was certified as last, be it by somebody whose word counts no more. */
  lastCertificate(key: MemberId): Certificate | undefined {
    let last: CertificateStatement | undefined;
    for (const statement of this.about(key)) {
      const isOne = statement.kind === "admin" || statement.kind === "member";
      if (isOne && statement.at >= (last?.at ?? 0)) last = statement;
    }
    return last?.certificate;
  }

  /** Whether somebody with a right to it at that time has certified a key, be it as a member or an admin. */
  wasCertified(key: MemberId): boolean {
    return this.#certifiedKeys.has(key);
  }

  /** Keys for which somebody with a right to it at that time has signed a certificate, be it good now or not. */
  certifiedKeys(): ReadonlySet<MemberId> {
    return this.#certifiedKeys;
  }

  /** Whether the only certificates of a key are more than their token admits. */
  isSurplus(key: MemberId): boolean {
    if (this.certificate(key)) return false;
    return this.#asked(key, "surplus", (one) => one.kind === "member" && this.counts(one));
  }

  /** Whether a member was removed. An admin cannot be. */
  isRemoved(key: MemberId): boolean {
    return !this.isAdmin(key) && this.removals(key).length > 0;
  }

  /** Removals of a key that count, or will when its office ends. */
  removals(key: MemberId): readonly StatementOf<"removed">[] {
    if (!this.#asked(key, "any removal", isRemoval)) return NO_REMOVALS;
    return this.#find(key, "removals", () => [...this.#removals(key)]);
  }

  *#removals(key: MemberId): Generator<StatementOf<"removed">> {
    const wasAdmin = this.hadOffice(key);
    for (const statement of this.about(key)) {
      if (statement.kind !== "removed" || !this.counts(statement)) continue;
      if (!wasAdmin || statement.signer === this.meshKey) yield statement;
    }
  }

  /** Whether a person has nothing to decide about a key of which a certificate does not count any more. */
  isSettled(key: MemberId): boolean {
    return this.certificate(key) !== undefined || this.isRemoved(key) || this.hasLeft(key) ||
      this.mirrorBefore(key) !== undefined;
  }

  /**
   * The other key with the same tunnel key, where that comes first: this one is none of a member then. Of two that are
   * certified one comes first; a key that is not comes after all that was said of the other, be it a removal. But a removal
   * of the other puts out no key that is certified: any stolen admin could sign it.
   * @param met which of the two this node has met as a member: times in statements are their signer's word
   */
  mirrorBefore(key: MemberId, met?: MemberId): MemberId | undefined {
    const other = mirrorOf(key);
    if (met !== other && !this.#about.has(other)) return undefined; // So it is for nearly all.
    const [isOurs, isTheirs] = [this.isHeld(key), this.isHeld(other)];
    const [ours, theirs] = [isOurs && this.hadOffice(key), isTheirs && this.hadOffice(other)];
    if (met !== undefined && ours === theirs) return met === key ? undefined : other;
    if (!isOurs) return this.#isSpokenOf(other) ? other : undefined;
    return isTheirs && isBefore(this.#begin(other), this.#begin(key)) ? other : undefined;
  }

  /** Whether a certificate of a key counts, and nothing ends it. */
  isHeld(key: MemberId): boolean {
    return !this.hasLeft(key) && !this.isRemoved(key) && this.certificate(key) !== undefined;
  }

  /** Keys that are certified, as is the other key with the same tunnel key. */
  mirrored(): Iterable<MemberId> {
    const isOne = (key: MemberId) => this.#certifiedKeys.has(mirrorOf(key));
    return this.#mirrored ??= [...this.#certifiedKeys].filter(isOne);
  }

  /** Whether a certificate of a key counts, be it within the uses of its token, or a removal. */
  #isSpokenOf(key: MemberId): boolean {
    return this.#begin(key).since < Infinity || this.removals(key).length > 0;
  }

  /** When a key was certified first. */
  #begin(key: MemberId): Begin {
    return this.#find(key, "begin", () => {
      let since = Infinity;
      for (const kind of ["admin", "member"] as const) {
        for (const { certificate, signer } of this.#certificates(key, kind)) {
          since = Math.min(since, Math.max(certificate.since, this.#beginOf(signer)));
        }
      }
      return { key, hasOffice: this.hadOffice(key), since };
    });
  }

  /**
   * Unix seconds before which a signer can have signed nothing, by the word of the mesh key: a stolen admin says any time. The
   * time of the office itself would not do, since a recovery gives it anew.
   */
  #beginOf(signer: string): number {
    if (signer === this.meshKey) return -Infinity;
    return this.#find(signer, "signer", () => {
      let first = Infinity;
      for (const { certificate } of this.#certificates(signer, "admin")) {
        first = Math.min(first, certificate.since);
      }
      return first === Infinity ? -Infinity : first;
    });
  }

  /**
   * Whether this key has or had an office by the word of the mesh key of now. A demotion alone says so,
   * too: a recovery signs those anew, and what had no effect before it has none after it.
   */
  hadOffice(key: MemberId): boolean {
    return this.#asked(
      key,
      "office",
      (one) => (one.kind === "admin" || one.kind === "demoted") && this.counts(one),
    );
  }

  /** Whether an invite, or a guest, was ended. */
  isWithdrawn(key: string): boolean {
    return this.#asked(key, "withdrawn", (one) => one.kind === "withdrawn" && this.counts(one));
  }

  /** Keys of which somebody has said that they are guests, be it believed or not. */
  guestKeys(): ReadonlySet<string> {
    return this.#guestKeys;
  }

  /**
   * The certificate of a guest; undefined: none counts.
   * @param before unix seconds: what was signed later is passed over
   */
  guest(key: string, before = Infinity): StatementOf<"guest"> | undefined {
    return this.#latest(key, "guest", before, () => this.#counting(key, "guest"));
  }

  /** Whether the host of a guest, or the mesh key, has certified it for that host itself. */
  isHostsOwn(key: string, host: MemberId): boolean {
    return this.#asked(
      key,
      `guest of ${host} itself`,
      (one) =>
        one.kind === "guest" && one.host === host && this.counts(one) &&
        (one.signer === host || one.signer === this.meshKey),
    );
  }

  hasLeft(key: MemberId): boolean {
    return this.#farewells.has(key);
  }

  farewell(key: MemberId): StatementOf<"left"> | undefined {
    return this.#farewells.get(key);
  }

  /**
   * Whether the others are to hear of a statement. What does not count does not travel, nor does the
   * farewell of a key without a certificate that counts: whoever has not met that key cannot tell
   * that it ever was a member, and would refuse it each time.
   */
  travels(statement: Statement): boolean {
    if (statement.kind !== "left") return this.counts(statement);
    return this.#asked(
      statement.signer,
      "certified",
      (one) => (one.kind === "admin" || one.kind === "member") && this.counts(one),
    );
  }

  /** The invite with this key, if it counts. */
  token(key: string): StatementOf<"token"> | undefined {
    return this.#latest(key, "token", Infinity, () => this.#counting(key, "token"));
  }

  /** Keys that were certified because of a token, in the order in which they count. */
  certifiedBy(token: string): MemberId[] {
    return [...this.#ranksOf(token).keys()];
  }

  /** Of these keys the ones that one certificate by their token can have put out, or let in. */
  certifiedAtEnd(token: string): Iterable<MemberId> {
    return this.#ranksOf(token).atEnd();
  }

  /**
   * Invites for which admins that did not hear of each other have certified more than they admit, and
   * whose certificate does not count for that, until somebody settles it.
   */
  *overcertified(): Generator<OverCertified> {
    for (const [token, statements] of this.#byToken) {
      const [first] = statements;
      const uses = this.token(token)?.uses ?? first?.token?.uses ?? 0;
      const keys = this.certifiedBy(token);
      const surplus = new Set(
        keys.filter((key) => this.isSurplus(key) && !this.isRemoved(key) && !this.hasLeft(key)),
      );
      if (surplus.size === 0) continue;
      const taken = keys.filter((key) => !surplus.has(key));
      yield { token, uses, taken, surplus: [...surplus] };
    }
  }

  /** What proves a statement to somebody who knows the mesh's first keys alone. */
  proofOf(statement: Statement): Statement[] {
    const { signer } = statement;
    const office = signer === this.meshKey ? undefined : this.#office(signer);
    return [statement, ...(office ? [office] : []), ...(this.#successor ? [this.#successor] : [])];
  }

  // ---- What is held -----------------------------------------------------------------------------

  get size(): number {
    return this.#held.size;
  }

  all(): Iterable<Held> {
    return this.#held.values();
  }

  about(subject: string): Iterable<Statement> {
    return this.#about.get(subject) ?? [];
  }

  *bySigner(signer: string): Generator<Statement> {
    yield* this.#slots.get(signer)?.values() ?? [];
  }

  /** What is held, or remembered though it lost its number. */
  get(hash: string): Held | undefined {
    return this.#held.get(hash) ?? this.#outranked.get(hash);
  }

  /** The highest number that a signer has used, as far as is known; 0: none. */
  topNumber(signer: string): number {
    let top = 0;
    for (const number of this.#slots.get(signer)?.keys() ?? []) top = Math.max(top, number);
    return top;
  }

  pairs(): Iterable<Pair> {
    return this.#pairs.values();
  }

  /** Whether a pair still changes anything: the word of its signer counts, or no later mesh key was named. */
  isOpen({ signer, number }: Pair): boolean {
    if (signer === this.#recoveryKey) return number === this.#successor?.number;
    return this.isEntitled(signer);
  }

  /** Certificates and removals that do not count, since an office ended: their signer's, or the one they gave. */
  *void(): Generator<CertificateStatement | StatementOf<"removed">> {
    for (const { statement } of this.#held.values()) {
      switch (statement.kind) {
        case "admin":
          if (!this.isAdmin(statement.certificate.key)) yield statement;
          break;
        case "member":
        case "removed":
          if (!this.counts(statement)) yield statement;
      }
    }
  }

  /**
   * Takes a statement in, if it is signed by a key that may, and says what changed.
   * @param now unix seconds
   */
  add(bytes: Uint8Array, now: number, { isKnown = false, seen, boot }: Hearing = {}): Added {
    const same = this.#slots.get(signerOf(bytes))?.get(numberIn(bytes));
    // Every record brings its signer's office once more: comparing costs a hundredth of hashing.
    if (same && sameBytes(same.bytes, bytes)) return { kind: "known", statement: same };
    const hash = hashOf(this.crypto, bytes);
    const known = this.#held.get(hash);
    if (known) return { kind: "known", statement: known.statement };
    const decoded = decodeStatement(bytes, hash);
    if (!decoded.ok) return refused("malformed");
    const statement = decoded.value;
    // Whoever has left has said so: a key can sign as many farewells as it likes, and one is news.
    const said = statement.kind === "left" ? this.#farewells.get(statement.signer) : undefined;
    if (said) return { kind: "known", statement: said };
    // What is on our own disk is never over at a start: nobody may have set the clock yet.
    if (seen === undefined && this.#hasEnded(statement, now)) return refused("ended");
    const isRemembered = seen !== undefined && statement.kind !== "successor";
    if (!isRemembered && !this.#mayAdd(statement, isKnown)) return refused("unentitled");
    const rival = this.#rivalOf(statement);
    // A signature costs a hundred times what all this does.
    if (!isSigned(this.crypto, this.meshId, statement)) return refused("forged");
    if (rival) {
      if (statement.kind !== "successor" || rival.number === statement.number) {
        this.#notePair(statement, rival);
      }
      if (!this.#outranks(statement, rival)) {
        this.#keepOutranked({ statement, seen: seen ?? now, boot });
        return refused("outranked");
      }
      const isByHash = statement.kind !== "successor" && this.counts(rival) &&
        strength(statement) === strength(rival);
      if (isByHash && seen === undefined && !this.#numberPace.take(statement.signer, now)) {
        this.refused++;
        return refused("tooFast");
      }
    } else if (!this.#hasRoom(statement)) {
      this.refused++;
      return refused("full");
    }
    const held = { statement, seen: seen ?? now, boot };
    const outranked = rival && this.#held.get(rival.hash);
    if (outranked) this.#keepOutranked(outranked);
    return this.#insert(held, rival);
  }

  /**
   * Dates anew by a clock that was set what was heard in this run: nobody may have set it at the start, and what a thief has
   * signed would count as heard before the theft. @returns whether anything was
   */
  dateAnew({ wall, boot }: Now): boolean {
    let isAny = false;
    for (const all of [this.#held, this.#outranked]) {
      for (const held of all.values()) {
        if (held.boot === undefined) continue;
        held.seen = Math.floor((wall - (boot - held.boot)) / 1_000);
        isAny = true;
      }
    }
    return isAny;
  }

  /**
   * What a signer said under a number under which it said something else that counts instead: a thief
   * can hide what an admin has signed by using its numbers again, and a person wants it signed anew.
   */
  outrankedOf(signer: string): Iterable<Held> {
    return this.#outrankedBy.get(signer)?.values() ?? [];
  }

  outranked(): Iterable<Held> {
    return this.#outranked.values();
  }

  /** The statement with this hash, if it lost its number to another. */
  lost(hash: string): Statement | undefined {
    return this.#outranked.get(hash)?.statement;
  }

  get outrankedCount(): number {
    return this.#outranked.size;
  }

  /**
   * One for each number of a signer, namely the one that was heard of first: what was signed before a
   * theft is older than whatever a thief signs, and so it is in place of that and of nothing else.
   */
  #keepOutranked(held: Heard): void {
    const { kind, signer, number, hash } = held.statement;
    if (kind === "successor" || kind === "left") return; // Their numbers hide nothing.
    const first = this.#outrankedBy.get(signer)?.get(number);
    if (first && first.seen <= held.seen) return;
    if (first) this.#forgetOutranked(first.statement);
    if (this.#outranked.size >= this.outrankedMax) this.#makeOutrankedRoom();
    this.#outranked.set(hash, held);
    const numbers = this.#outrankedBy.get(signer) ?? new Map<number, Heard>();
    this.#outrankedBy.set(signer, numbers.set(number, held));
  }

  /**
   * What was heard of last goes, many at once so that the search for it costs little: a thief can fill all the room, and what
   * it takes the numbers of after that was heard of before all of it.
   */
  #makeOutrankedRoom(): void {
    const oldestFirst = [...this.outranked()].sort((a, b) => a.seen - b.seen);
    const kept = this.outrankedMax - Math.ceil(this.outrankedMax / 16);
    for (const { statement } of oldestFirst.slice(kept)) {
      this.#forgetOutranked(statement);
      this.refused++;
    }
  }

  #forgetOutranked({ signer, number, hash }: Statement): void {
    if (!this.#outranked.delete(hash)) return;
    const numbers = this.#outrankedBy.get(signer);
    numbers?.delete(number);
    if (numbers?.size === 0) this.#outrankedBy.delete(signer);
  }

  /**
   * Forgets what ended long ago.
   * @param now unix seconds
   * @param self whose certificates are kept: it shows them to those that have forgotten it
   * @returns what was forgotten
   */
  expire(now: number, self?: MemberId): Statement[] {
    const gone: Statement[] = [];
    for (const { statement } of this.#held.values()) {
      if (subjectOf(statement) !== self && this.#hasEnded(statement, now)) gone.push(statement);
    }
    for (const statement of gone) this.#drop(statement);
    for (const { statement } of [...this.outranked()]) {
      if (this.#hasEnded(statement, now)) this.#forgetOutranked(statement);
    }
    return gone;
  }

  /**
   * What would count if more were said: for what a person is told beforehand. These statements stay as they are.
   * @param say is given the copy that grows, and what adds a statement to it, whose signature is not looked at
   */
  supposing(
    say: (supposed: Statements, suppose: (statement: Statement) => void) => void,
  ): Statements {
    const supposed = new Statements(this.crypto, this.genesis);
    for (const held of this.#held.values()) supposed.#index(held);
    supposed.#reconsider(new Set());
    say(
      supposed,
      (statement) =>
        supposed.#insert({ statement, seen: 0, boot: undefined }, supposed.#rivalOf(statement)),
    );
    return supposed;
  }

  // ---- Inside -----------------------------------------------------------------------------------

  /** What was found about a key; undefined: so little is said about it that looking costs nothing. */
  #found(key: string): Findings | undefined {
    if ((this.#about.get(key)?.size ?? 0) <= FEW) return undefined;
    const known = this.#findings.get(key);
    if (known?.epoch === this.#epoch) return known;
    const findings = new Findings(this.#epoch);
    this.#findings.set(key, findings);
    return findings;
  }

  #find<T>(key: string, question: string, find: () => T): T {
    const found = this.#found(key);
    return found ? found.of(question, find) : find();
  }

  /** Whether one of the statements about a key is such a one. */
  #asked(key: string, question: string, isOne: (statement: Statement) => boolean): boolean {
    return this.#find(key, question, () => {
      for (const statement of this.about(key)) if (isOne(statement)) return true;
      return false;
    });
  }

  #latest<T extends Statement>(
    key: string,
    question: string,
    before: number,
    all: () => Iterable<T>,
  ): T | undefined {
    const found = this.#found(key);
    return found ? found.latest(question, before, all) : latestOf(all(), before).found;
  }

  *#counting<K extends Kind>(key: string, kind: K): Generator<StatementOf<K>> {
    for (const statement of this.about(key)) {
      if (isOf(statement, kind) && this.counts(statement)) yield statement;
    }
  }

  /**
   * Whether something ended so long ago that nobody needs to see it any more. The certificate of who
   * came by an invite counts a use of it: it is kept as long as the invite could let somebody in.
   */
  #hasEnded(statement: Statement, now: number): boolean {
    if (statement.kind === "token") return statement.until + TOKEN_GRACE + ENDED_KEPT < now;
    if (statement.kind === "guest") return statement.until + ENDED_KEPT < now;
    if (statement.kind !== "member") return false;
    const token = statement.token && this.token(statement.token.key);
    const until = Math.max(statement.until, token ? token.until + TOKEN_GRACE : 0);
    return until + ENDED_KEPT < now;
  }

  #mayAdd(statement: Statement, isKnown: boolean): boolean {
    const { kind, signer } = statement;
    switch (kind) {
      case "successor":
        return signer === this.#recoveryKey;
      case "admin":
      case "demoted":
        return signer === this.meshKey;
      case "member":
      case "removed":
      case "token":
      case "withdrawn":
      case "guest":
        return this.isEntitled(signer);
      case "left":
        return isKnown || this.wasCertified(signer);
    }
  }

  /** What only one of can be held. */
  #rivalOf(statement: Statement): Statement | undefined {
    switch (statement.kind) {
      case "successor":
        return this.#successor;
      case "left":
        return undefined; // A second one is not taken in.
      default:
        return this.#slots.get(statement.signer)?.get(statement.number);
    }
  }

  /** Of two that cannot both be held, the same one everywhere. */
  #outranks(a: Statement, b: Statement): boolean {
    // A key can have been the mesh key and become an admin: what it said then takes no number from what it says now.
    if (a.kind !== "successor" && this.counts(a) !== this.counts(b)) return this.counts(a);
    return outranks(a, b);
  }

  #notePair(statement: Statement, rival: Statement): void {
    const { signer, number } = statement;
    this.pairCount++;
    if (this.#pairs.size >= PAIRS_SHOWN) {
      for (const [text, pair] of this.#pairs) if (!this.isOpen(pair)) this.#pairs.delete(text);
    }
    if (this.#pairs.size >= PAIRS_SHOWN) return;
    this.#pairs.set(`${signer} ${number}`, {
      signer,
      number,
      hashes: [rival.hash, statement.hash],
    });
  }

  #hasRoom(statement: Statement): boolean {
    if (statement.kind === "left") return this.#hasRoomForFarewell(statement);
    if (statement.kind === "successor" || statement.signer === this.meshKey) return true;
    if (this.#ofAdmins < ADMINS_ROOM) return true;
    for (const { statement: other } of this.#held.values()) {
      if (!this.#isOfAdmin(other) || this.counts(other)) continue;
      this.#drop(other);
      return true;
    }
    return false;
  }

  /** How many statements of admins there is room for, without any that does not count making it. */
  get roomOfAdmins(): number {
    return Math.max(0, ADMINS_ROOM - this.#ofAdmins);
  }

  /**
   * At the limit one makes room of whose signer no certificate counts any more: what a thief's keys have
   * said must not keep a member from leaving.
   */
  #hasRoomForFarewell(wanted: Statement): boolean {
    if (this.#farewells.size < FAREWELLS_ROOM) return true;
    if (!this.travels(wanted)) return false;
    for (const farewell of this.#farewells.values()) {
      if (this.travels(farewell)) continue;
      this.#drop(farewell);
      return true;
    }
    return false;
  }

  #isOfAdmin({ kind, signer }: Statement): boolean {
    if (kind === "left" || kind === "successor") return false;
    return kind !== "admin" && kind !== "demoted" && signer !== this.meshKey;
  }

  #insert(held: Heard, rival: Statement | undefined): Added {
    const { statement } = held;
    const isOfAll = statement.kind === "successor" ||
      rival?.kind === "admin" || rival?.kind === "demoted";
    const before = isOfAll ? this.#entitled() : undefined;
    if (rival) this.#drop(rival);
    this.#index(held);
    if (statement.kind === "successor") this.#forgetOlderKeys(rival);
    const { gained, lost } = before ? this.#reconsider(before) : this.#reconsiderOne(statement);
    return { kind: "new", statement, replaced: rival, gained, lost };
  }

  /**
   * The same as {@link #reconsider} where nothing but this statement came: a thief can make 16,384 admins, and each would
   * cost as much as all that are there.
   */
  #reconsiderOne(statement: Statement): Moved {
    if (statement.kind !== "admin" && statement.kind !== "demoted") return NOTHING_MOVED;
    this.#epoch++;
    if (!this.counts(statement)) return NOTHING_MOVED;
    const key = subjectOf(statement);
    const had = this.isAdmin(key);
    const isOver = this.#asked(key, "demoted", (one) => one.kind === "demoted" && this.counts(one));
    if (had === !isOver) return NOTHING_MOVED;
    this.#ranks.clear();
    if (!isOver) this.#officers.add(key);
    else {
      this.#officers.delete(key);
      if (key !== this.meshKey) this.#numberPace.forget(key);
    }
    if (key === this.meshKey) return NOTHING_MOVED; // It has the right to all that anyway.
    const said = [...this.bySigner(key)];
    return isOver ? { gained: [], lost: said } : { gained: said, lost: [] };
  }

  #entitled(): ReadonlySet<string> {
    return new Set([this.meshKey, ...this.#officers]);
  }

  /** Finds out anew who holds an office, and what that changes. */
  #reconsider(before: ReadonlySet<string>): Moved {
    const officers = new Set<MemberId>();
    for (const statement of this.bySigner(this.meshKey)) {
      if (statement.kind === "admin") officers.add(statement.certificate.key);
    }
    for (const statement of this.bySigner(this.meshKey)) {
      if (statement.kind === "demoted") officers.delete(statement.key);
    }
    this.#officers = officers;
    this.#epoch++;
    this.#ranks.clear();
    this.#countAdmins();
    const after = this.#entitled();
    this.#numberPace.keep(after);
    const of = (signers: Iterable<string>) =>
      [...signers].flatMap((signer) => [...this.bySigner(signer)]);
    return { gained: of(after.difference(before)), lost: of(before.difference(after)) };
  }

  #countAdmins(): void {
    this.#ofAdmins = 0;
    for (const { statement } of this.#held.values()) {
      if (this.#isOfAdmin(statement)) this.#ofAdmins++;
    }
  }

  /** Of the mesh keys before the last one nothing is of use to anybody. */
  #forgetOlderKeys(last: Statement | undefined): void {
    const kept = new Set([
      this.meshKey,
      last?.kind === "successor" ? last.key : this.#firstMeshKey,
    ]);
    for (const { statement } of [...this.#held.values()]) {
      const isOffice = statement.kind === "admin" || statement.kind === "demoted";
      if (isOffice && !kept.has(statement.signer)) this.#drop(statement);
    }
    for (const { statement } of [...this.outranked()]) {
      const isOffice = statement.kind === "admin" || statement.kind === "demoted";
      if (isOffice && !kept.has(statement.signer)) this.#forgetOutranked(statement);
    }
  }

  #index(held: Heard): void {
    const { statement } = held;
    const { signer, number } = statement;
    this.#held.set(statement.hash, held);
    this.#forgetOutranked(statement);
    if (statement.kind === "successor") {
      this.#successor = statement;
      return;
    }
    if (statement.kind === "left") {
      this.#farewells.set(signer, statement);
      return;
    }
    const slots = this.#slots.get(signer) ?? new Map<number, Statement>();
    this.#slots.set(signer, slots.set(number, statement));
    const subject = subjectOf(statement);
    const about = this.#about.get(subject) ?? new Set();
    this.#about.set(subject, about.add(statement));
    this.#findings.delete(subject);
    if (this.#isOfAdmin(statement)) this.#ofAdmins++;
    if (statement.kind === "guest") this.#guestKeys.add(subject);
    if (isCertificate(statement)) {
      this.#certifiedKeys.add(subject);
      this.#mirrored = undefined;
    }
    if (statement.kind !== "member" || statement.token === undefined) return;
    const { key } = statement.token;
    const byToken = this.#byToken.get(key) ?? new Set();
    this.#byToken.set(key, byToken.add(statement));
    this.#rank(key, subject);
    this.#epoch++;
  }

  #drop(statement: Statement): void {
    const { signer, number } = statement;
    this.#held.delete(statement.hash);
    if (statement.kind === "successor") {
      if (this.#successor === statement) this.#successor = undefined;
      return;
    }
    if (statement.kind === "left") {
      this.#farewells.delete(signer);
      return;
    }
    this.#slots.get(signer)?.delete(number);
    const subject = subjectOf(statement);
    const about = this.#about.get(subject);
    about?.delete(statement);
    if (about?.size === 0) this.#about.delete(subject);
    this.#findings.delete(subject);
    if (this.#isOfAdmin(statement)) this.#ofAdmins--;
    if (statement.kind === "guest" && !this.#saysGuest(subject)) this.#guestKeys.delete(subject);
    if (isCertificate(statement) && !this.#isCertified(subject)) {
      this.#certifiedKeys.delete(subject);
      this.#mirrored = undefined;
    }
    if (statement.kind !== "member" || statement.token === undefined) return;
    const { key } = statement.token;
    const byToken = this.#byToken.get(key);
    byToken?.delete(statement);
    if (byToken?.size === 0) this.#byToken.delete(key);
    this.#rank(key, subject);
    this.#epoch++;
  }

  #saysGuest(key: string): boolean {
    for (const { kind } of this.about(key)) if (kind === "guest") return true;
    return false;
  }

  #isCertified(key: MemberId): boolean {
    for (const one of this.about(key)) if (isCertificate(one)) return true;
    return false;
  }

  #office(key: MemberId): StatementOf<"admin"> | undefined {
    const certificate = this.isAdmin(key) ? this.certificate(key) : undefined;
    return certificate?.kind === "admin" ? certificate : undefined;
  }

  #isWithinUses({ token, certificate }: StatementOf<"member">): boolean {
    if (token === undefined) return true;
    return this.#ranksOf(token.key).of(certificate.key) < token.uses;
  }

  #ranksOf(token: string): Ranks {
    const known = this.#ranks.get(token);
    if (known) return known;
    const ranks = new Ranks();
    this.#ranks.set(token, ranks);
    const certified = this.#byToken.get(token) ?? [];
    const keys = new Set(Iterator.from(certified).map(({ certificate }) => certificate.key));
    for (const key of keys) this.#rank(token, key);
    return ranks;
  }

  /** The certificates of a key by a token have changed. */
  #rank(token: string, key: MemberId): void {
    const ranks = this.#ranks.get(token);
    if (!ranks) return;
    let since: number | undefined;
    for (const statement of this.about(key)) {
      const isOne = statement.kind === "member" && statement.token?.key === token;
      if (!isOne || !this.counts(statement)) continue;
      since = Math.min(statement.certificate.since, since ?? Infinity);
      if (statement.token) ranks.noteUses(statement.token.uses);
    }
    ranks.set(key, since);
  }
}

/** What counts again, and what has stopped counting. */
interface Moved {
  readonly gained: readonly Statement[];
  readonly lost: readonly Statement[];
}

const NOTHING_MOVED: Moved = { gained: [], lost: [] };

function refused(why: Refused): Added {
  return { kind: "refused", why };
}

/** Of two that cannot both count, the same one everywhere. */
function outranks(a: Statement, b: Statement): boolean {
  if (a.kind === "successor" && a.number !== b.number) return a.number > b.number;
  const [first, second] = [strength(a), strength(b)];
  return first !== second ? first > second : a.hash < b.hash;
}

/** What ends something, the strongest last. */
const ENDS: readonly Kind[] = ["withdrawn", "removed", "demoted"];

function strength({ kind }: Statement): number {
  return ENDS.indexOf(kind);
}

const NO_REMOVALS: readonly StatementOf<"removed">[] = [];

function isRemoval({ kind }: Statement): boolean {
  return kind === "removed";
}

function isCertificate(statement: Statement): statement is CertificateStatement {
  return statement.kind === "admin" || statement.kind === "member";
}

function isOf<K extends Kind>(statement: Statement, kind: K): statement is StatementOf<K> {
  return statement.kind === kind;
}

function isBefore(a: Begin, b: Begin): boolean {
  if (a.hasOffice !== b.hasOffice) return a.hasOffice;
  return a.since !== b.since ? a.since < b.since : a.key < b.key;
}
