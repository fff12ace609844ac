/**
 * What makes a node a member when it starts: the chain that it remembers, the mesh key on the
 * machine that founded the mesh, or a token. Or nothing, and then it has to ask.
 */
import type { Crypto, SigningKey } from "./crypto.ts";
import { fromBase64url } from "./base64url.ts";
import { type Decoded, fromHex } from "./codec.ts";
import type { NodeSnapshot } from "./snapshot.ts";
import {
  appendLink,
  type Chain,
  CHAIN_MAX,
  decodeChain,
  EMPTY_CHAIN,
  isName,
  type Membership,
  verifyChain,
} from "./trust/certificate.ts";
import type { Identity } from "./trust/identity.ts";
import { openRevocation } from "./trust/revocation.ts";
import { parseToken, redeemToken } from "./trust/token.ts";
import { CLOCK_SKEW, rfc3339 } from "./trust/trust.ts";

/** Seconds that the founder's own certificate lasts; it is renewed from the mesh key at starts. */
const FOUNDER_LIFETIME = 10 * 365 * 86_400;
/** Seconds before an expiry in which `status` warns and the founder renews. */
export const EXPIRY_WARNING = 30 * 86_400;

/** What no decoder takes for anything. */
const NO_BYTES = new Uint8Array(0);

export interface Credentials {
  readonly meshKey: Uint8Array;
  readonly chain: Chain;
  /** Seeds of the token. */
  readonly seeds: readonly string[];
  /** The mesh has seen this membership before, or nobody has to: no door needs to open. */
  readonly isAdmitted: boolean;
}

export interface CredentialSources {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly name: string;
  readonly founding: SigningKey | undefined;
  readonly snapshot: NodeSnapshot | undefined;
  readonly token: string | undefined;
}

/**
 * @param now unix seconds.
 * @returns undefined as value when there is nothing yet, or one sentence about what is wrong.
 */
export function findCredentials(
  sources: CredentialSources,
  now: number,
): Decoded<Credentials | undefined> {
  const { crypto, founding, name } = sources;
  if (!isName(name)) {
    return refused(
      `name: "${name}" is no host name: use up to 63 of a-z, 0-9 and -, for example "lyon"`,
    );
  }
  const remembered = recall(sources);
  if (!remembered.ok) return remembered;
  const known = founding?.publicKey ?? remembered.value?.meshKey;
  if (known && remembered.value && !crypto.equal(known, remembered.value.meshKey)) {
    return refused("state: the mesh key is not that of the mesh in the state: restore both files");
  }
  const { token } = sources;
  const redeemed = token === undefined
    ? remembered
    : redeem(sources, token, known, remembered.value, now);
  if (!founding || !redeemed.ok) return redeemed;
  return { ok: true, value: found(sources, founding, remembered.value, now) };
}

function found(
  { crypto, identity, name }: CredentialSources,
  founding: SigningKey,
  remembered: Credentials | undefined,
  now: number,
): Credentials {
  const meshKey = founding.publicKey;
  const old = remembered && membershipOf(crypto, meshKey, remembered.chain);
  const isGood = old?.id === identity.id && old.name === name && old.flags.admin &&
    old.expires > now + EXPIRY_WARNING;
  const chain = isGood && remembered ? remembered.chain : appendLink(
    crypto,
    meshKey,
    EMPTY_CHAIN,
    founding,
    {
      kind: "certificate",
      subject: identity.signing.publicKey,
      name,
      groups: old?.groups ?? [],
      flags: { relay: true, admin: true },
      // The founder was first: its time decides clashes of addresses for ever.
      notBefore: Math.min(now, old?.notBefore ?? now),
      expires: now + FOUNDER_LIFETIME,
    },
  );
  return { meshKey, chain, seeds: [], isAdmitted: true };
}

function recall(
  { crypto, identity, founding, snapshot }: CredentialSources,
): Decoded<Credentials | undefined> {
  if (snapshot?.meshKey === undefined) return { ok: true, value: undefined };
  const meshKey = fromHex(snapshot.meshKey);
  const chain = decodeChain(fromBase64url(snapshot.chain ?? "AA") ?? NO_BYTES);
  if (meshKey?.length !== 32 || !chain.ok) {
    return refused(
      "state: the mesh key or certificate in it is damaged: restore or remove the state",
    );
  }
  const membership = membershipOf(crypto, meshKey, chain.value);
  if (membership && membership.id !== identity.id) {
    return refused(
      `state: its certificate is for the key ${membership.id} and this node has ${identity.id}: ` +
        `restore the identity that belongs to it`,
    );
  }
  if (!founding && revokedKeys(crypto, meshKey, snapshot).has(identity.id)) {
    return refused(
      `state: the key of this node was revoked in the mesh ${
        snapshot.meshKey.slice(0, 16)
      }: it can ` +
        `come back only as a new node, with another state folder and a new token`,
    );
  }
  const isAdmitted = snapshot.members.length > 0;
  return { ok: true, value: { meshKey, chain: chain.value, seeds: [], isAdmitted } };
}

function redeem(
  { crypto, identity, name, snapshot }: CredentialSources,
  text: string,
  known: Uint8Array | undefined,
  remembered: Credentials | undefined,
  now: number,
): Decoded<Credentials> {
  const parsed = parseToken(crypto, text);
  if (!parsed.ok) return parsed;
  const token = parsed.value;
  if (known && !crypto.equal(known, token.meshKey)) {
    return refused(
      `token: it is for the mesh ${token.meshKey.toHex().slice(0, 16)} and this node belongs to ` +
        `${
          known.toHex().slice(0, 16)
        }: use another state folder, or remove this one to change over`,
    );
  }
  const old = remembered && membershipOf(crypto, token.meshKey, remembered.chain);
  const revoked = revokedKeys(crypto, token.meshKey, snapshot);
  // One that rests on a revoked admin lets nobody in: then the token does.
  const isGood = old && old.expires > now && !old.keys.some((key) => revoked.has(key));
  if (remembered && isGood) {
    return { ok: true, value: { ...remembered, seeds: token.seeds } };
  }
  if (now > token.grant.expires + CLOCK_SKEW) {
    return refused(
      `token: it expired ${rfc3339(token.grant.expires)} and it is ${rfc3339(now)} here: ` +
        `ask an admin for a new one (\`shoal invite\`)`,
    );
  }
  const subject = { key: identity.signing.publicKey, name, expires: token.grant.memberUntil };
  const chain = redeemToken(crypto, token, subject);
  if (chain.bytes.length > CHAIN_MAX) {
    return refused(
      `token: the certificate under it would have ${chain.bytes.length} bytes, over ${CHAIN_MAX}: ` +
        `use a shorter name or a token with fewer groups and narrowings`,
    );
  }
  return {
    ok: true,
    value: { meshKey: token.meshKey, chain, seeds: token.seeds, isAdmitted: false },
  };
}

function revokedKeys(
  crypto: Crypto,
  meshKey: Uint8Array,
  snapshot: NodeSnapshot | undefined,
): ReadonlySet<string> {
  const opened = snapshot?.revocations.map((text) =>
    openRevocation(crypto, meshKey, fromBase64url(text) ?? NO_BYTES)
  );
  return new Set(opened?.flatMap((revocation) => revocation.ok ? revocation.value.key : []));
}

function membershipOf(
  crypto: Crypto,
  meshKey: Uint8Array,
  chain: Chain,
): Membership | undefined {
  const verified = verifyChain(crypto, meshKey, chain);
  return verified.ok ? verified.value : undefined;
}

function refused(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
