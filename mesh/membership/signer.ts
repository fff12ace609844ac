/**
 * What this node signs about others: with its own key where it is an admin, with the mesh key where
 * that is on this machine. It gives every statement a number of its own, which must be on disk before
 * the statement leaves (invariant 13): two statements with one number are taken for misuse of the key.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import type { Decoded } from "../codec.ts";
import type { Identity } from "./identity.ts";
import { CLOCK_SKEW } from "./judge.ts";
import { claimMeshKey } from "./mesh_key_claims.ts";
import { type Draft, NUMBER_MAX, signStatement, type Statement } from "./statement.ts";
import type { Statements } from "./statements.ts";

/** The highest numbers that were used, as far as this machine remembers. */
export interface Numbers {
  readonly own: number;
  readonly mesh: number;
}

export type SignedBy = "own" | "mesh";

/** What helps where a key has no numbers left. */
export function wayOut(by: SignedBy): string {
  return by === "mesh" ? "`shoal recover` names another mesh key" : "use another admin";
}

export class Signer {
  #numbers: { own: number; mesh: number };
  #meshSigning: SigningKey | undefined;
  /** Numbers of our own key that this start has used; 16,384 at most. */
  readonly #signed = new Set<number>();

  constructor(
    private readonly crypto: Crypto,
    private readonly statements: Statements,
    private readonly identity: Identity,
    meshSigning: SigningKey | undefined,
    numbers: Numbers,
  ) {
    this.#meshSigning = meshSigning;
    this.#numbers = { ...numbers };
  }

  get numbers(): Numbers {
    return this.#numbers;
  }

  /** Whether a mesh key is on this machine, be it the one of now or not. */
  get keepsMeshKey(): boolean {
    return this.#meshSigning !== undefined;
  }

  /** Whether the mesh key of now is on this machine. */
  get hasMeshKey(): boolean {
    return this.#meshSigning?.publicKey.toHex() === this.statements.meshKey;
  }

  /** Whether this start has used this number of our own key. */
  hasSigned(number: number): boolean {
    return this.#signed.has(number);
  }

  /** Whether what this key signs is signed here. */
  signsAs(key: string): boolean {
    return key === this.identity.id || this.hasMeshKey && key === this.statements.meshKey;
  }

  /** Another mesh key, or none, is on this machine from now on. */
  setMeshKey(signing: SigningKey | undefined): void {
    this.#meshSigning = signing;
    this.#numbers.mesh = 0;
  }

  /** What our records of a run say of the mesh key; undefined: that of now is not on this machine. */
  claimMeshKey(run: string): Uint8Array | undefined {
    const { meshId } = this.statements;
    const { publicKey } = this.identity.signing;
    return this.#meshSigning && this.hasMeshKey
      ? claimMeshKey(this.crypto, meshId, this.#meshSigning, publicKey, run)
      : undefined;
  }

  /** How many more statements a key may sign. */
  numbersLeft(by: SignedBy): number {
    return NUMBER_MAX - this.#last(by);
  }

  /**
   * @param now unix seconds; a certificate is signed later than every other of its key, as far as clocks
   * may differ: that of an admin whose clock is ahead would else go on counting instead of it
   * @param since the time of a certificate that is signed anew, unix seconds: it is as old as that was, so
   * that a clock which is ahead cuts off nobody whom it concerns
   */
  sign(by: SignedBy, draft: Draft, now: number, since = now): Decoded<Statement> {
    const signing = this.#signing(by);
    if (signing === undefined) return { ok: false, error: "the mesh key is not on this machine" };
    const number = this.#last(by) + 1;
    if (number > NUMBER_MAX) {
      const who = by === "mesh" ? "the mesh key" : "this admin";
      const error = `${who} has signed ${NUMBER_MAX} statements, which is all that a key may: ` +
        wayOut(by);
      return { ok: false, error };
    }
    this.#numbers[by] = number;
    if (by === "own") this.#signed.add(number);
    const { meshId } = this.statements;
    const at = timeOf(this.statements, draft, now, since);
    return { ok: true, value: signStatement(this.crypto, meshId, signing, draft, { number, at }) };
  }

  #signing(by: SignedBy): SigningKey | undefined {
    return by === "mesh" ? this.#meshSigning : this.identity.signing;
  }

  #last(by: SignedBy): number {
    const key = this.#signing(by)?.publicKey.toHex() ?? "";
    return Math.max(this.#numbers[by], this.statements.topNumber(key));
  }
}

/**
 * The time that a statement says: see {@link Signer.sign}.
 * @param now unix seconds, like `since`
 */
export function timeOf(
  statements: Statements,
  draft: Draft,
  now: number,
  since: number = now,
): number {
  if (draft.kind !== "admin" && draft.kind !== "member" && draft.kind !== "guest") return now;
  let time = Math.min(since, now);
  for (const statement of statements.about(draft.certificate.key)) {
    const isOne = draft.kind === "guest"
      ? statement.kind === "guest"
      : statement.kind === "admin" || statement.kind === "member";
    const isLater = statement.at >= time && statement.at < now + CLOCK_SKEW;
    if (isOne && isLater && statements.counts(statement)) time = statement.at + 1;
  }
  return time;
}
