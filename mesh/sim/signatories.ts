/**
 * The keys of a mesh and of people, who sign whatever a test wants: entitled or not, with any number,
 * at any time.
 */
import type { Crypto } from "../crypto.ts";
import { DEFAULT_POOL, type Genesis, meshIdOf } from "../membership/genesis.ts";
import { type Identity, identityFromSeed } from "../membership/identity.ts";
import {
  type Certificate,
  type Draft,
  type Kind,
  signStatement,
  type StatementOf,
} from "../membership/statement.ts";

/** Unix seconds at which most tests happen. */
export const NOW = 1_800_000_000;
export const DAY = 86_400;

type DraftOf<K extends Kind> = Extract<Draft, { kind: K }>;

export class Signatories {
  readonly genesis: Genesis;
  readonly meshId: Uint8Array;
  readonly mesh: Identity;
  readonly recovery: Identity;
  /** The highest number that each key has used here. */
  readonly #numbers = new Map<string, number>();

  constructor(readonly crypto: Crypto, private readonly seed = 1, pool = DEFAULT_POOL) {
    this.mesh = this.person(1_000_001);
    this.recovery = this.person(1_000_002);
    this.genesis = {
      meshKey: this.mesh.signing.publicKey,
      recoveryKey: this.recovery.signing.publicKey,
      name: "lab",
      pool,
    };
    this.meshId = meshIdOf(crypto, this.genesis);
  }

  /** The same number is the same key. */
  person(number: number): Identity {
    const counted = new Uint32Array([this.seed, number]);
    return identityFromSeed(this.crypto, this.crypto.blake2s(new Uint8Array(counted.buffer)));
  }

  /** Signs, under the key's next number where none is named. */
  sign<K extends Kind>(
    by: Identity,
    draft: DraftOf<K>,
    { number = this.#next(by, draft), at = NOW }: {
      readonly number?: number;
      readonly at?: number;
    } = {},
  ): StatementOf<K> {
    const { crypto, meshId } = this;
    const signed = signStatement(crypto, meshId, by.signing, draft, { number, at });
    return signed as StatementOf<K>;
  }

  #next({ id }: Identity, { kind }: Draft): number {
    if (kind === "left") return 0;
    const number = (this.#numbers.get(id) ?? 0) + 1;
    this.#numbers.set(id, number);
    return number;
  }
}

/** What a test says of a certificate; the rest has defaults. */
export type Wish = Partial<Omit<Certificate, "key">>;

function certificateFor({ id }: Pick<Identity, "id">, wish: Wish = {}): Certificate {
  return {
    key: id,
    name: `n${id.slice(0, 8)}`,
    groups: [],
    relay: false,
    ip4Counter: 0,
    since: NOW,
    ...wish,
  };
}

export function adminDraft(who: Identity, wish: Wish = {}): DraftOf<"admin"> {
  return { kind: "admin", certificate: certificateFor(who, wish) };
}

export function memberDraft(
  who: Identity,
  { until = NOW + 365 * DAY, token, ...wish }:
    & Wish
    & Partial<Pick<DraftOf<"member">, "until" | "token">> = {},
): DraftOf<"member"> {
  return { kind: "member", certificate: certificateFor(who, wish), until, token };
}

/** A device with the key of `who`, served by a host. */
export function guestDraft(
  who: Pick<Identity, "id">,
  host: Identity,
  { until = NOW + 365 * DAY, ...wish }: Wish & { readonly until?: number } = {},
): DraftOf<"guest"> {
  return { kind: "guest", certificate: certificateFor(who, wish), until, host: host.id };
}

export function tokenDraft(
  token: Identity,
  doors: readonly Identity[],
  wish: Partial<Omit<DraftOf<"token">, "kind" | "key" | "doors">> = {},
): DraftOf<"token"> {
  return {
    kind: "token",
    key: token.id,
    uses: 1,
    groups: [],
    relay: false,
    until: NOW + DAY,
    memberUntil: NOW + 365 * DAY,
    doors: doors.map(({ id }) => id),
    ...wish,
  };
}
