/**
 * Invite tokens: one line of text that lets whoever pastes it join a mesh. A token holds what the mesh
 * has signed about it (a `token` statement), the secret of the key that the statement names, the keys
 * that the mesh was founded with, and where the doors are at which it is good.
 *
 * A token is a secret: who reads it can join as long as it has uses left. It admits, and nothing else:
 * it makes nobody an admin (invariant 1). It is not stored by the node that printed it and does not
 * stand in any log.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { fromBase64url, toBase64url } from "../base64url.ts";
import { type Decoded, Reader, refusal, Writer } from "../codec.ts";
import { encodeGenesis, type Genesis, meshIdOf, readGenesis } from "../membership/genesis.ts";
import { type MemberId, signatureLabel } from "../membership/identity.ts";
import {
  decodeStatement,
  hashOf,
  isSigned,
  STATEMENT_MAX,
  type StatementOf,
} from "../membership/statement.ts";
import { formatSeed, readSeed } from "../seed.ts";

export interface Token {
  readonly genesis: Genesis;
  readonly statement: StatementOf<"token">;
  /** Signs the joiner's request for admission. Secret. */
  readonly secret: SigningKey;
  /** For each door of the statement: `HOST:PORT` at which it can be reached. */
  readonly seeds: readonly (readonly string[])[];
}

/** A member at which somebody knocks, and where it may be. */
export interface Place {
  readonly key: MemberId;
  /** `HOST:PORT` */
  readonly seed: string;
}

/** What every token begins with: the format has the number of the protocol. */
export const TOKEN_PREFIX = "shoal3";
/** Places in one token at most. */
export const SEEDS_MAX = 8;
const SEED_MAX = 255;
const CHECK_SIZE = 8;
const CHECK = signatureLabel("token");
/** Base64url of the longest token, with some air: longer text is not even decoded. */
const TEXT_MAX = 4096;

/** The one line that a person pastes. */
export function formatToken(crypto: Crypto, token: Token): string {
  const { genesis, secret, statement, seeds } = token;
  const writer = new Writer().bytes(encodeGenesis(genesis)).bytes(secret.seed)
    .long(statement.bytes);
  for (const places of seeds) {
    writer.u8(places.length);
    for (const seed of places) writer.text(seed);
  }
  const body = writer.finish();
  return TOKEN_PREFIX +
    toBase64url(new Writer().bytes(body).bytes(checkOf(crypto, body)).finish());
}

/**
 * Reads a token. White space from a terminal's line break is ignored. Whether it has ended or belongs
 * to this node's mesh is the caller's question; whether an admin signed it, the door's.
 */
export function parseToken(crypto: Crypto, text: string): Decoded<Token> {
  const line = text.replace(/\s+/g, "");
  if (!line.startsWith(TOKEN_PREFIX)) {
    const start = line.slice(0, TOKEN_PREFIX.length);
    const why = start === "shoal1" || start === "shoal2"
      ? "it was made by an older version: update shoal there and make a new one"
      : `it starts with "${start}" instead of "${TOKEN_PREFIX}": paste the whole token, and nothing before it`;
    return refusal(`token: ${why}`);
  }
  const damaged = (why: string) =>
    refusal(
      `token: what was given, ${line.length} characters, was altered or cut short (${why}): copy the token again`,
    );
  if (line.length > TEXT_MAX) return damaged(`a token has at most ${TEXT_MAX}`);
  const bytes = fromBase64url(line.slice(TOKEN_PREFIX.length));
  if (bytes === undefined) return damaged("not base64url");
  if (bytes.length <= CHECK_SIZE) return damaged("too short");
  const body = bytes.subarray(0, -CHECK_SIZE);
  if (!crypto.equal(bytes.subarray(-CHECK_SIZE), checkOf(crypto, body))) {
    return damaged("its check sum does not fit");
  }
  const reader = new Reader(body);
  const genesis = readGenesis(reader);
  const seed = reader.bytes(KEY_LENGTH);
  const signed = reader.long(STATEMENT_MAX);
  const statement = decodeStatement(signed, hashOf(crypto, signed));
  if (!statement.ok || statement.value.kind !== "token") return damaged("it holds no invite");
  const seeds = statement.value.doors.map(() => readPlaces(reader));
  const read = reader.finish(undefined);
  if (!read.ok) return damaged(read.error);
  const secret = crypto.ed25519FromSeed(seed);
  if (secret.publicKey.toHex() !== statement.value.key) return damaged("its key is another's");
  if (!isSigned(crypto, meshIdOf(crypto, genesis), statement.value)) {
    return damaged("its signature does not fit");
  }
  return { ok: true, value: { genesis, statement: statement.value, secret, seeds } };
}

/** Every door of a token with a place, the first place of each first. */
export function placesOf({ statement, seeds }: Pick<Token, "statement" | "seeds">): Place[] {
  const places: Place[] = [];
  for (let i = 0; i < SEEDS_MAX; i++) {
    for (const [door, key] of statement.doors.entries()) {
      const seed = seeds[door]?.[i];
      if (seed !== undefined) places.push({ key, seed });
    }
  }
  return places;
}

/** A token may be anybody's making: what is no HOST:PORT in one form is not taken out of it. */
function readPlaces(reader: Reader): string[] {
  const count = reader.u8();
  if (count > SEEDS_MAX) reader.fail(`${count} places, over ${SEEDS_MAX}`);
  const places: string[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) {
    const text = reader.text(SEED_MAX);
    const seed = readSeed(text);
    if (seed === undefined || formatSeed(seed) !== text) {
      reader.fail("a place that is no HOST:PORT");
    }
    places.push(text);
  }
  return places;
}

function checkOf(crypto: Crypto, body: Uint8Array): Uint8Array {
  return crypto.blake2s(CHECK, body).subarray(0, CHECK_SIZE);
}
