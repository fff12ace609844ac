/**
 * Invite tokens: one line of text that lets whoever pastes it join a mesh, with no admin and no
 * server at hand. A token is a chain that ends in a grant, the secret of that grant's one-time key,
 * and where to knock. Its holder makes a certificate of its own under the grant; the secret itself
 * never goes over the network.
 *
 * A token is a secret: who reads it can join as long as it has uses left. It is not stored by the
 * node that printed it and does not stand in any log.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { fromBase64url, toBase64url } from "../base64url.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import {
  appendLink,
  canonicalGroups,
  type Chain,
  CHAIN_MAX,
  decodeChain,
  type Flags,
  type Grant,
  verifyGrant,
} from "./certificate.ts";
import { signatureLabel } from "./identity.ts";

export interface Token {
  readonly meshKey: Uint8Array;
  readonly chain: Chain;
  /** The last link of the chain, verified. */
  readonly grant: Grant;
  /** Signs the joiner's certificate. Secret. */
  readonly signing: SigningKey;
  /** `HOST:PORT` of members that a joiner can knock at. */
  readonly seeds: readonly string[];
}

/** Limits of a new token. Unix seconds. */
export interface GrantLimits {
  readonly uses: number;
  readonly expires: number;
  readonly memberUntil: number;
  readonly groups: readonly string[];
  readonly flags: Flags;
}

/** How every token begins. */
export const TOKEN_PREFIX = "shoal1";
export const SEEDS_MAX = 8;
const SEED_MAX = 255;
const LABEL = signatureLabel("token");
/** Base64url of the longest token, with some air: longer text is not even decoded. */
const TEXT_MAX = 4096;

/**
 * A new token, signed by an admin (`issuer` ends in the admin's certificate) or by the mesh key
 * (an empty chain).
 * @param seed 32 random bytes: the one-time key.
 * @param now unix seconds.
 */
export function issueToken(
  crypto: Crypto,
  meshKey: Uint8Array,
  issuer: { readonly chain: Chain; readonly signing: SigningKey },
  limits: GrantLimits,
  seeds: readonly string[],
  seed: Uint8Array,
  now: number,
): Token {
  const signing = crypto.ed25519FromSeed(seed);
  const grant: Grant = {
    kind: "grant",
    next: signing.publicKey,
    notBefore: now,
    ...limits,
    groups: canonicalGroups(limits.groups),
  };
  const chain = appendLink(crypto, meshKey, issuer.chain, issuer.signing, grant);
  return { meshKey, chain, grant, signing, seeds };
}

/** The one line that a person pastes. */
export function formatToken(crypto: Crypto, token: Token): string {
  const writer = new Writer().bytes(token.meshKey).bytes(token.signing.seed)
    .long(token.chain.bytes).u8(token.seeds.length);
  for (const seed of token.seeds) writer.text(seed);
  const body = writer.finish();
  const signature = crypto.ed25519Sign(token.signing, labelled(body));
  return TOKEN_PREFIX + toBase64url(new Writer().bytes(body).bytes(signature).finish());
}

/**
 * Reads a token and verifies all of it. White space from a terminal's line break is ignored.
 * Whether it has expired or belongs to this node's mesh is the caller's question.
 */
export function parseToken(crypto: Crypto, text: string): Decoded<Token> {
  const line = text.replace(/\s+/g, "");
  if (!line.startsWith(TOKEN_PREFIX)) {
    const start = line.slice(0, TOKEN_PREFIX.length);
    return refused(`it starts with "${start}" instead of "${TOKEN_PREFIX}": paste the whole token`);
  }
  const damaged = (why: string) =>
    refused(`${line.length} characters were altered or cut short (${why}): copy the token again`);
  if (line.length > TEXT_MAX) return damaged(`a token has at most ${TEXT_MAX}`);
  const bytes = fromBase64url(line.slice(TOKEN_PREFIX.length));
  if (bytes === undefined) return damaged("not base64url");
  if (bytes.length <= 64) return damaged("too short");
  const body = bytes.subarray(0, -64);
  const reader = new Reader(body);
  const meshKey = reader.bytes(KEY_LENGTH);
  const seed = reader.bytes(KEY_LENGTH);
  const chainBytes = reader.long(CHAIN_MAX);
  const seeds = readSeeds(reader);
  const read = reader.finish(undefined);
  if (!read.ok) return damaged(read.error);
  const signing = crypto.ed25519FromSeed(seed);
  if (!crypto.ed25519Verify(bytes.subarray(-64), labelled(body), signing.publicKey)) {
    return damaged("its signature does not fit");
  }
  const chain = decodeChain(chainBytes);
  if (!chain.ok) return damaged(chain.error);
  const grant = verifyGrant(crypto, meshKey, chain.value);
  if (!grant.ok) return damaged(grant.error);
  if (!crypto.equal(grant.value.next, signing.publicKey)) return damaged("its key is another's");
  return { ok: true, value: { meshKey, chain: chain.value, grant: grant.value, signing, seeds } };
}

/**
 * The joiner's own certificate under a token. It begins with the grant, so that the joiner's clock
 * is not asked (T41).
 * @param expires unix seconds; cut to what the token allows.
 */
export function redeemToken(
  crypto: Crypto,
  token: Token,
  subject: { readonly key: Uint8Array; readonly name: string; readonly expires: number },
): Chain {
  const { grant } = token;
  return appendLink(crypto, token.meshKey, token.chain, token.signing, {
    kind: "certificate",
    subject: subject.key,
    name: subject.name,
    groups: grant.groups,
    flags: grant.flags,
    notBefore: grant.notBefore,
    expires: Math.min(subject.expires, grant.memberUntil),
  });
}

function readSeeds(reader: Reader): string[] {
  const count = reader.u8();
  if (count > SEEDS_MAX) reader.fail(`${count} seeds, over ${SEEDS_MAX}`);
  const seeds: string[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) seeds.push(reader.text(SEED_MAX));
  return seeds;
}

function refused(why: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error: `token: ${why}` };
}

function labelled(body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(body).finish();
}
