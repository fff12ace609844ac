/**
 * The one judge: who is a member for this node, by which proof and until when. It puts together what
 * was signed (statements.ts), whom tokens have let in (provisional.ts), whom a person trusts on this
 * node alone, and the clock.
 */
import type { Crypto } from "../crypto.ts";
import { type Admission, isSound } from "./admission.ts";
import type { Genesis } from "./genesis.ts";
import { type MemberId, mirrorOf } from "./identity.ts";
import { type Overuse, Provisional } from "./provisional.ts";
import { type CertificateStatement, Statements, TOKEN_GRACE } from "./statements.ts";
import type { Statement, TokenUse } from "./statement.ts";

/** Why somebody is not believed. Their numbers stand in answers on the wire. */
export const REFUSALS = [
  "stranger",
  "invalid",
  "notYetValid",
  "expired",
  "removed",
  "left",
  "tokenExpired",
  "tokenUsedUp",
  "full",
  "tokenRevoked",
  "mirrored",
] as const;
export type Refusal = typeof REFUSALS[number];

/** By what somebody is a member. */
export type Standing =
  /** The mesh key gave it an office. */
  | "admin"
  /** An admin, or the mesh key, certified it. */
  | "certified"
  /** A token let it in, and no admin has certified it yet. */
  | "provisional"
  /** A person trusts its key on this node alone. */
  | "individual";

export interface Membership {
  readonly id: MemberId;
  readonly standing: Standing;
  /** What it claims: of two with one name one bears it, see claims.ts. */
  readonly name: string;
  readonly groups: readonly string[];
  readonly relay: boolean;
  readonly ip4Counter: number;
  /** Unix seconds: the earlier keeps a name or an address that two claim. */
  readonly since: number;
  /** Unix seconds; Infinity: it has no end. */
  readonly until: number;
  /** Who signed the certificate; undefined while there is none. */
  readonly by: string | undefined;
  /** The token by which it came, as far as its certificate or admission says. */
  readonly token: TokenUse | undefined;
}

export type Judgement =
  | { readonly kind: "member"; readonly membership: Membership }
  | { readonly kind: "refused"; readonly why: Refusal; readonly detail: string };

/** Seconds by which two members' clocks may differ before a certificate looks wrong (T41). */
export const CLOCK_SKEW = 300;
/** Keys that are trusted on this node alone; at the limit a further one is refused. */
export const TRUSTED_MAX = 4_096;

export class Judge {
  readonly provisional = new Provisional();
  readonly #trusted = new Map<MemberId, string>();
  /**
   * Keys that have signed a record as members of this node's table, and this node's own: as many as that has places. Of two
   * with one tunnel key the one that was met first stays, whatever time a stolen admin signs for the other.
   */
  readonly #met = new Set<MemberId>();

  constructor(
    private readonly crypto: Crypto,
    genesis: Genesis,
    readonly statements = new Statements(crypto, genesis),
  ) {}

  get meshId(): Uint8Array {
    return this.statements.meshId;
  }

  /**
   * @param now unix seconds
   * @param isShown whether its own signature is at hand, as in a record of it: of two keys with one tunnel key nobody takes
   * the place of the one that is there by a certificate alone
   */
  judge(id: MemberId, now: number, isShown = false): Judgement {
    const signed = this.#bySignature(id, now, isShown);
    if (signed) return signed;
    let fault: Refused | undefined;
    for (const admission of this.provisional.of(id)) {
      const its = this.#faultIn(admission, now);
      if (its === undefined) return { kind: "member", membership: this.#admitted(admission) };
      fault ??= its;
    }
    const name = this.#trusted.get(id);
    if (name !== undefined) return { kind: "member", membership: individual(id, name) };
    if (fault) return fault;
    if (this.statements.isSurplus(id)) {
      return refused("tokenUsedUp", `the token of ${id} was used up before`);
    }
    return refused("stranger", `nobody has certified ${id}`);
  }

  /** A key has come into the table of members, by its own signature. */
  meet(id: MemberId): void {
    this.#met.add(id);
  }

  /** It is out of the table. */
  part(id: MemberId): void {
    this.#met.delete(id);
  }

  /**
   * The other key with the same tunnel key, where that comes first for this node. Who is in its table stays there, by a
   * token or a person's word too, until it is out for another reason.
   * @param isShown its own signature is at hand: that is worth as much where it is certified
   */
  mirrorBefore(id: MemberId, isShown = false): MemberId | undefined {
    const { statements } = this;
    const met = [mirrorOf(id), id].find((one) => this.#hasMet(one));
    return statements.mirrorBefore(id, met ?? (isShown && statements.isHeld(id) ? id : undefined));
  }

  /** Whether a key is in the table, and nothing that was signed ends it for good. */
  #hasMet(id: MemberId): boolean {
    return this.#met.has(id) && !this.statements.hasLeft(id) && !this.statements.isRemoved(id);
  }

  /** Whether a key was a member once as far as this node knows, by a certificate or by a token. */
  wasMember(id: MemberId): boolean {
    return this.statements.wasCertified(id) || this.provisional.of(id).length > 0;
  }

  /** Whether somebody may let others in: only a certified member can (invariant 6). */
  isDoor(id: MemberId, now: number): boolean {
    return this.#bySignature(id, now)?.kind === "member";
  }

  /**
   * Takes an endorsed admission in, if everything about it is good and the token has uses left.
   * @param now unix seconds
   */
  admit(admission: Admission, now: number): Judgement {
    const { subject, endorsement } = admission;
    if (!endorsement) return refused("stranger", "no door has let it in");
    const known = this.judge(subject, now);
    // Who was removed, has left or has had its time uses up no place of others.
    if (known.kind === "member" || this.#bySignature(subject, now)) return known;
    const fault = this.#faultOf(admission, now);
    if (fault) return fault;
    if (!isSound(this.crypto, this.meshId, admission)) {
      return refused("invalid", "the signatures of its admission do not fit");
    }
    const uses = this.statements.token(admission.token)?.uses ?? 0;
    const certified = this.statements.certifiedBy(admission.token);
    let taken = this.provisional.take(admission, uses, certified);
    if (taken === "full") {
      // Whoever has lost its office left tokens behind that nobody can use any more.
      this.provisional.expire((token) => this.statements.token(token) === undefined);
      taken = this.provisional.take(admission, uses, certified);
    }
    switch (taken) {
      case "full":
        return refused("full", "no more uses of tokens can be counted");
      case "surplus":
        return refused("tokenUsedUp", `the token's ${uses} uses are used up`);
      default:
        return this.judge(subject, now);
    }
  }

  /**
   * Takes in again what this node took in an earlier run. Be it good now or not, it has used its token;
   * {@link judge} says whether it makes anybody a member.
   */
  recall(admission: Admission): void {
    if (!admission.endorsement || !isSound(this.crypto, this.meshId, admission)) return;
    this.provisional.recall(admission, this.statements.token(admission.token)?.uses ?? 0);
  }

  /**
   * Whether this node may let the holder of a token in at its own door, which it does by its own
   * clock. A person who grants a minute means a minute: there is no tolerance.
   */
  mayAdmit(admission: Admission, door: MemberId, now: number): Judgement | undefined {
    const token = this.statements.token(admission.token);
    if (!token || !token.doors.includes(door) || !this.isDoor(door, now)) {
      return refused("stranger", "its token is not for this door");
    }
    if (this.statements.isWithdrawn(token.key)) {
      return refused("tokenRevoked", "its token was revoked");
    }
    if (now > token.until) {
      return refused("tokenExpired", `the token ended ${rfc3339(token.until)}`);
    }
    const isCounted = this.provisional.has(token.key, admission.subject);
    if (!isCounted && this.used(token.key) >= token.uses) {
      return refused("tokenUsedUp", `the token's ${token.uses} uses are used up`);
    }
    return isSound(this.crypto, this.meshId, admission)
      ? undefined
      : refused("invalid", "the signature of its admission does not fit");
  }

  /** How many identities have used a token, as far as this node knows. */
  used(token: string): number {
    return this.provisional.used(token, this.statements.certifiedBy(token));
  }

  /** Invites that more identities have used than they admit, here or elsewhere. */
  *overused(): Generator<Overuse> {
    const named = new Set<string>();
    for (const one of this.provisional.overused((token) => this.statements.certifiedBy(token))) {
      named.add(one.token);
      // Where the office of its maker has ended, an invite admits nobody, and nobody was beyond.
      if (one.uses > 0) yield one;
    }
    for (const one of this.statements.overcertified()) if (!named.has(one.token)) yield one;
  }

  /** An admission by which a key is a member now, while it has no certificate. */
  admission(id: MemberId, now: number): Admission | undefined {
    return this.provisional.of(id).find((one) => this.#faultIn(one, now) === undefined);
  }

  /** Takes a person's word for a key, on this node alone. @returns false at the table's limit */
  trust(id: MemberId, name: string): boolean {
    if (!this.#trusted.has(id) && this.#trusted.size >= TRUSTED_MAX) return false;
    this.#trusted.set(id, name);
    return true;
  }

  distrust(id: MemberId): boolean {
    return this.#trusted.delete(id);
  }

  *trusted(): Generator<{ key: MemberId; name: string }> {
    for (const [key, name] of this.#trusted) yield { key, name };
  }

  /** A judge by other statements, and by what this node has let in. */
  supposing(statements: Statements): Judge {
    const judge = new Judge(this.crypto, statements.genesis, statements);
    for (const admission of this.provisional.all()) {
      const uses = statements.token(admission.token)?.uses ?? 0;
      judge.provisional.recall(admission, uses);
    }
    for (const id of this.#met) judge.meet(id);
    return judge;
  }

  /**
   * Forgets what has ended.
   * @param now unix seconds
   * @param self whose certificates are kept
   * @returns statements that were forgotten
   */
  expire(now: number, self?: MemberId): Statement[] {
    this.provisional.expire((token) => {
      for (const statement of this.statements.about(token)) {
        if (statement.kind === "token") return statement.until + TOKEN_GRACE < now;
      }
      return true;
    });
    return this.statements.expire(now, self);
  }

  /** What was signed about a key; undefined: no certificate counts, and nothing ends it. */
  #bySignature(id: MemberId, now: number, isShown = false): Judgement | undefined {
    if (this.statements.hasLeft(id)) return refused("left", `${id} has left the mesh`);
    if (this.statements.isRemoved(id)) return refused("removed", `the key ${id} was removed`);
    const other = this.mirrorBefore(id, isShown);
    if (other) {
      const by = this.statements.certificate(id)?.signer;
      const whose = by === undefined ? "" : `: its certificate is signed by ${by}`;
      return refused("mirrored", `${id} has the tunnel key of ${other}, which was first${whose}`);
    }
    const certificate = this.certificate(id, now);
    return certificate && this.#certified(certificate, now);
  }

  /**
   * The certificate that counts for a key by this clock. One that was signed by a clock that was ahead has not begun, and
   * is what there is where no earlier one counts.
   */
  certificate(id: MemberId, now: number): CertificateStatement | undefined {
    return this.statements.certificate(id, now + CLOCK_SKEW) ?? this.statements.certificate(id);
  }

  #certified(certificate: CertificateStatement, now: number): Judgement {
    const { at, kind, signer } = certificate;
    if (at > now + CLOCK_SKEW) {
      return refused(
        "notYetValid",
        `the certificate was signed ${rfc3339(at)} and it is ${
          rfc3339(now)
        } here: compare the clocks`,
      );
    }
    if (kind === "member" && certificate.until < now - CLOCK_SKEW) {
      return refused("expired", `the membership ended ${rfc3339(certificate.until)}`);
    }
    const { key, ...rest } = certificate.certificate;
    return {
      kind: "member",
      membership: {
        ...rest,
        id: key,
        standing: this.statements.isAdmin(key) ? "admin" : "certified",
        until: kind === "member" ? certificate.until : Infinity,
        by: signer,
        token: kind === "member" ? certificate.token : undefined,
      },
    };
  }

  #admitted({ subject, name, token, endorsement }: Admission): Membership {
    const grant = this.statements.token(token);
    return {
      id: subject,
      standing: "provisional",
      name,
      groups: grant?.groups ?? [],
      relay: grant?.relay ?? false,
      ip4Counter: 0,
      since: endorsement?.at ?? Number.MAX_SAFE_INTEGER,
      until: (grant?.until ?? 0) + TOKEN_GRACE,
      by: undefined,
      token: grant && { key: token, uses: grant.uses },
    };
  }

  /** Why an admission that was taken makes nobody a member now. */
  #faultIn(admission: Admission, now: number): Refused | undefined {
    return this.#faultOf(admission, now) ?? this.#excessOf(admission);
  }

  #excessOf({ subject, token }: Admission): Refused | undefined {
    const certified = this.statements.certifiedBy(token);
    const uses = this.statements.token(token)?.uses ?? 0;
    if (this.provisional.isWithin(subject, token, uses, certified)) return undefined;
    return refused("tokenUsedUp", `the uses of the token ${token} were certified for others`);
  }

  /** Why an endorsed admission makes nobody a member now; its signatures are not looked at. */
  #faultOf(admission: Admission, now: number): Refused | undefined {
    const { token: key, endorsement } = admission;
    const token = this.statements.token(key);
    if (!token) return refused("stranger", `nobody made the token ${key}`);
    if (this.statements.isWithdrawn(key)) {
      return refused("tokenRevoked", `the token ${key} was revoked`);
    }
    if (!endorsement) return refused("stranger", "no door has let it in");
    const { door, at } = endorsement;
    if (at > token.until) return refused("tokenExpired", `the token ended ${rfc3339(token.until)}`);
    // Before anything about the door: at a wrong time its certificate does not count either.
    if (at > now + CLOCK_SKEW) {
      return refused("notYetValid", `it was let in ${rfc3339(at)}: compare the clocks`);
    }
    if (!token.doors.includes(door) || !this.isDoor(door, now)) {
      return refused("stranger", `${door} is no door of the token ${key}`);
    }
    if (now > token.until + TOKEN_GRACE + CLOCK_SKEW) {
      return refused("expired", "no admin has certified it within 7 days of the token's end");
    }
    return undefined;
  }
}

type Refused = Extract<Judgement, { kind: "refused" }>;

/** A membership that rests on a person's word on this node alone. */
function individual(id: MemberId, name: string): Membership {
  return {
    id,
    standing: "individual",
    name,
    groups: [],
    relay: false,
    ip4Counter: 0,
    // Nobody vouched for a time: of two with one name such a key comes last.
    since: Number.MAX_SAFE_INTEGER,
    until: Infinity,
    by: undefined,
    token: undefined,
  };
}

/** The precedence of a membership where two claim one thing: see claims.ts. */
export function rankOf({ standing }: Membership): number {
  return RANKS.indexOf(standing);
}

/** The same for a guest, or a membership, of that kind. */
export const RANKS: readonly (Standing | "guest")[] = [
  "admin",
  "certified",
  "guest",
  "provisional",
  "individual",
];

/** Unix seconds as people read them; "" for what has no end. */
export function rfc3339(seconds: number): string {
  if (seconds === Infinity) return "";
  const last = 253_402_300_799; // 9999-12-31T23:59:59Z: what four digits of year can say
  return new Date(Math.min(seconds, last) * 1000).toISOString().replace(".000", "");
}

function refused(why: Refusal, detail: string): Refused {
  return { kind: "refused", why, detail };
}
