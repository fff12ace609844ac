/**
 * What an insider does in bulk, to meet the limits of what is done for one: it brings in at once everybody whom an invite
 * with many uses admits, more than an admin's node certifies on sight, and it asks for more than a member is given.
 */
import type { Crypto, SigningKey } from "../../mesh/crypto.ts";
import { endorse, requestAdmission } from "../../mesh/membership/admission.ts";
import { identityFromSeed, type MemberId } from "../../mesh/membership/identity.ts";
import { sequenceOf, signRecord } from "../../mesh/membership/record.ts";
import { encodeStatements, NUMBER_MAX, signStatement } from "../../mesh/membership/statement.ts";
import { encode } from "../../mesh/swim/messages.ts";
import { PAYLOAD_MAX, type PayloadKind } from "../../mesh/wire/seal.ts";

/** More than are certified on sight at once (mesh/membership/sight.ts), and some that do not arrive. */
const NEWCOMERS = 90;
/** With what each of them brings, more than a member gets at once (mesh/swim/answers.ts). */
const WANTS = 300;
/** Rumours that one message asks for (mesh/swim/inventory.ts). */
const WANTED = 24;
const SECONDS = 1_000;

export interface Payload {
  readonly kind: PayloadKind;
  readonly bytes: Uint8Array;
}

export interface Crowd {
  readonly crypto: Crypto;
  readonly random: (length: number) => Uint8Array;
  readonly meshId: Uint8Array;
  /** An admin's, or the mesh key. */
  readonly officer: SigningKey;
  /** A certified member's. */
  readonly door: SigningKey;
  /** Unix seconds. */
  readonly now: number;
  readonly members: readonly MemberId[];
}

/** The invite, and the records of those who were let in by it. */
export function newcomers({ crypto, random, meshId, officer, door, now }: Crowd): Payload[] {
  const secret = crypto.ed25519FromSeed(random(32));
  const invite = signStatement(crypto, meshId, officer, {
    kind: "token",
    key: secret.publicKey.toHex(),
    uses: NEWCOMERS,
    groups: [],
    relay: false,
    until: now + SECONDS,
    memberUntil: now + SECONDS,
    doors: [door.publicKey.toHex()],
  }, { number: NUMBER_MAX - 2_000 - (random(1)[0] ?? 0), at: now });
  const records = Array.from({ length: NEWCOMERS }, (_, n) => {
    const identity = identityFromSeed(crypto, random(32));
    const wish = { subject: identity.id, name: `crowd-${n}` };
    const asked = requestAdmission(crypto, meshId, secret, wish);
    return signRecord(crypto, meshId, identity.signing, {
      key: identity.signing.publicKey,
      sequence: sequenceOf(1, 0),
      run: random(8).toHex(),
      twin: undefined,
      endpoints: [],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "0",
      proof: {
        statements: [invite.bytes],
        admission: endorse(crypto, meshId, asked, door, now),
      },
    });
  });
  return [
    { kind: "statements", bytes: encodeStatements([invite], PAYLOAD_MAX) },
    ...records.map(({ bytes }) => ({ kind: "record", bytes }) as const),
  ];
}

/** Asks about the members, over and over. */
export function wants({ members }: Pick<Crowd, "members">): Payload[] {
  const tags = members.map((id) => id.slice(0, 32));
  return Array.from({ length: WANTS }, (_, n) => {
    const rumours = Array.from({ length: WANTED }, (_, i) => ({
      tag: tags[(n + i) % tags.length] ?? "",
      kind: 0,
    }));
    const body = { kind: "want", rumours } as const;
    const message = { incarnation: 1, view: undefined, body, claims: [], rumours: [] };
    return { kind: "gossip", bytes: encode(message, PAYLOAD_MAX) };
  });
}
