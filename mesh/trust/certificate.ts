/**
 * Certificates: a chain of signed links from the mesh key to a member's key, which anybody who
 * knows the mesh's public key verifies offline.
 *
 * ```
 * mesh key ──signs──▶ certificate (admin) ──▶ grant ──▶ narrowing … ──▶ certificate (member)
 *                     subject: identity       next: one-time key        subject: identity
 * ```
 *
 * Each link is signed by the key that the link before it names. A *certificate* names an identity;
 * only one with the admin flag may be continued. A *grant* hands a one-time key the right to make
 * certificates within its limits: that is an invite token. A *narrowing* hands a further one-time
 * key less of the same right, without asking anybody. Signatures cover the mesh key, so a link
 * means nothing in another mesh.
 *
 * Limits of a grant bind every certificate under it. Its expiry bounds the moment of joining, which
 * the member at whose door the joiner knocks judges by its own clock (see trust.ts); its
 * `memberUntil` bounds the certificate for ever.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { type Decoded, Reader, Writer } from "../codec.ts";
import { type MemberId, signatureLabel } from "./identity.ts";

/** What a member may be beside a member. */
export interface Flags {
  /** May carry ciphertext between members. */
  readonly relay: boolean;
  /** May invite, approve and revoke. */
  readonly admin: boolean;
}

/** Names an identity. Times are unix seconds. */
export interface Certificate {
  readonly kind: "certificate";
  readonly subject: Uint8Array;
  /** A DNS label: how people call the node. Not unique by itself. */
  readonly name: string;
  /** Sorted, without repetition. */
  readonly groups: readonly string[];
  readonly flags: Flags;
  readonly notBefore: number;
  readonly expires: number;
}

/** The right to make certificates, handed to whoever holds the secret of `next`. Unix seconds. */
export interface Grant {
  readonly kind: "grant" | "narrowing";
  readonly next: Uint8Array;
  /** How many identities may join; counted by `next`. */
  readonly uses: number;
  /** Groups and flags that a certificate may have at most. */
  readonly groups: readonly string[];
  readonly flags: Flags;
  /** When the grant was signed. */
  readonly notBefore: number;
  /** Last second for joining. */
  readonly expires: number;
  /** Latest expiry of a certificate made under it. */
  readonly memberUntil: number;
}

export type Link = (Certificate | Grant) & { readonly signature: Uint8Array };

/** A chain as it travels; verified or not. */
export interface Chain {
  readonly links: readonly Link[];
  /** The one encoding of the links. */
  readonly bytes: Uint8Array;
}

/** A grant in a chain, and the identity of the first certificate after it. */
export interface Redemption {
  /** The grant's one-time key, hexadecimal. */
  readonly key: string;
  readonly uses: number;
  /** Unix seconds: last moment for joining. */
  readonly until: number;
  readonly by: MemberId;
}

/** What a verified chain says about its subject. */
export interface Membership {
  readonly id: MemberId;
  readonly name: string;
  readonly groups: readonly string[];
  readonly flags: Flags;
  /** Unix seconds: the latest begin and the earliest end over the chain. */
  readonly notBefore: number;
  readonly expires: number;
  /** Unix seconds that an admin or the mesh key signed last: joiners cannot choose it. */
  readonly issuedAt: number;
  /** An admin or the mesh key signed the certificate itself, and not whoever holds a token. */
  readonly isVouched: boolean;
  /** Every key on which the chain rests; revoking any of them voids it. None: a person's word. */
  readonly keys: readonly string[];
  /** The grants that were redeemed on the way, each with its limits and by whom. */
  readonly grants: readonly Redemption[];
}

/** Bytes of a chain at most: room for an admin who joined by token and invites others by token. */
export const CHAIN_MAX = 760;
const LINKS_MAX = 8;
const NAME_MAX = 63;
/** Groups of one member at most. */
export const GROUPS_MAX = 8;
const GROUP_MAX = 32;

const LABEL = signatureLabel("link");
const KINDS = ["certificate", "grant", "narrowing"] as const;

/** Whether a text can be a member's name: a DNS label in lower case (RFC 1123). */
export function isName(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/** Whether a text can be a group's name. */
export function isGroup(text: string): boolean {
  return text.length <= GROUP_MAX && /^[a-z0-9][a-z0-9_-]*$/.test(text);
}

/** The groups in the one order that is signed. */
export function canonicalGroups(groups: readonly string[]): string[] {
  return [...new Set(groups)].sort();
}

/**
 * Appends a link that `signer` signs. Whether the chain may be continued so is judged by
 * {@link verifyChain}, like everybody else's.
 */
export function appendLink(
  crypto: Crypto,
  meshKey: Uint8Array,
  chain: Chain,
  signer: SigningKey,
  link: Certificate | Grant,
): Chain {
  const body = encodeBody(link);
  const signature = crypto.ed25519Sign(signer, signedPart(meshKey, body));
  return chainOf([...chain.links, { ...link, signature }]);
}

export const EMPTY_CHAIN: Chain = { links: [], bytes: Uint8Array.of(0) };

function chainOf(links: readonly Link[]): Chain {
  const writer = new Writer().u8(links.length);
  for (const link of links) writer.bytes(encodeBody(link)).bytes(link.signature);
  return { links, bytes: writer.finish() };
}

/** Reads a chain: its form only, no signature is looked at. */
export function decodeChain(bytes: Uint8Array): Decoded<Chain> {
  const reader = new Reader(bytes);
  if (bytes.length > CHAIN_MAX) reader.fail(`a chain of ${bytes.length} bytes, over ${CHAIN_MAX}`);
  const count = reader.u8();
  if (count > LINKS_MAX) reader.fail(`a chain of ${count} links, over ${LINKS_MAX}`);
  const links: Link[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) links.push(decodeLink(reader));
  return reader.finish({ links, bytes });
}

function encodeBody(link: Certificate | Grant): Uint8Array {
  const writer = new Writer().u8(KINDS.indexOf(link.kind)).u8(encodeFlags(link.flags))
    .u48(link.notBefore).u48(link.expires).u8(link.groups.length);
  for (const group of link.groups) writer.text(group);
  if (link.kind === "certificate") return writer.bytes(link.subject).text(link.name).finish();
  return writer.bytes(link.next).u16(link.uses).u48(link.memberUntil).finish();
}

function decodeLink(reader: Reader): Link {
  const kind = KINDS[reader.u8()];
  const flags = decodeFlags(reader);
  const notBefore = reader.u48();
  const expires = reader.u48();
  const groups = decodeGroups(reader);
  const key = reader.bytes(KEY_LENGTH);
  const common = { flags, notBefore, expires, groups };
  if (kind === "certificate") {
    const name = reader.text(NAME_MAX);
    if (!isName(name)) reader.fail("a certificate's name is no DNS label");
    return { kind, ...common, subject: key, name, signature: reader.bytes(64) };
  }
  if (kind === undefined) reader.fail("a link of unknown kind");
  const uses = reader.u16();
  const memberUntil = reader.u48();
  return {
    kind: kind ?? "grant",
    ...common,
    next: key,
    uses,
    memberUntil,
    signature: reader.bytes(64),
  };
}

function encodeFlags(flags: Flags): number {
  return (flags.relay ? 1 : 0) | (flags.admin ? 2 : 0);
}

function decodeFlags(reader: Reader): Flags {
  const bits = reader.u8();
  if (bits > 3) reader.fail(`unknown flags ${bits}`);
  return { relay: (bits & 1) !== 0, admin: (bits & 2) !== 0 };
}

function decodeGroups(reader: Reader): string[] {
  const count = reader.u8();
  if (count > GROUPS_MAX) reader.fail(`${count} groups, over ${GROUPS_MAX}`);
  const groups: string[] = [];
  for (let i = 0; i < count && reader.error === undefined; i++) groups.push(reader.text(GROUP_MAX));
  const canonical = canonicalGroups(groups);
  if (canonical.length !== count || groups.some((g, i) => g !== canonical[i] || !isGroup(g))) {
    reader.fail("groups are not sorted names");
  }
  return groups;
}

function signedPart(meshKey: Uint8Array, body: Uint8Array): Uint8Array {
  return new Writer().bytes(LABEL).bytes(meshKey).bytes(body).finish();
}

/** What the holder of a chain's last key may still do. */
type Power =
  /** The mesh key or an admin: everything. */
  | { readonly kind: "all"; readonly key: Uint8Array }
  /** The holder of a token. */
  | { readonly kind: "granted"; readonly key: Uint8Array; readonly grant: Grant }
  /** An ordinary member: nothing. */
  | { readonly kind: "none"; readonly key: Uint8Array };

/**
 * Verifies every signature and limit from the mesh key down.
 * @returns the power of the last key, or what is wrong with which link.
 */
function walk(crypto: Crypto, meshKey: Uint8Array, chain: Chain): Decoded<Power> {
  let power: Power = { kind: "all", key: meshKey };
  for (const link of chain.links) {
    const fault = overreach(power, link);
    if (fault !== undefined) return { ok: false, error: fault };
    if (!crypto.ed25519Verify(link.signature, signedPart(meshKey, encodeBody(link)), power.key)) {
      return { ok: false, error: `the signature of a ${link.kind} does not fit its signer's key` };
    }
    power = powerOf(link);
  }
  return { ok: true, value: power };
}

function powerOf(link: Link): Power {
  if (link.kind !== "certificate") return { kind: "granted", key: link.next, grant: link };
  return { kind: link.flags.admin ? "all" : "none", key: link.subject };
}

/** Why `power` does not suffice for `link`; undefined when it does. */
function overreach(power: Power, link: Link): string | undefined {
  if (power.kind === "none") return `a member that is no admin signed a ${link.kind}`;
  if (power.kind === "all") {
    return link.kind === "narrowing" ? "a narrowing without a grant before it" : undefined;
  }
  const { grant } = power;
  if (link.kind === "grant") return "a grant signed by another grant's key";
  if (link.groups.some((group) => !grant.groups.includes(group))) {
    return `groups ${link.groups.join(",")} where ${grant.groups.join(",") || "none"} are granted`;
  }
  if ((link.flags.admin && !grant.flags.admin) || (link.flags.relay && !grant.flags.relay)) {
    return "a flag that is not granted";
  }
  if (link.notBefore < grant.notBefore) return `a ${link.kind} older than its grant`;
  if (link.kind === "certificate") {
    if (link.notBefore > grant.expires) return "a certificate begun after its grant expired";
    return link.expires > grant.memberUntil ? "a certificate longer than granted" : undefined;
  }
  const isWider = link.uses > grant.uses || link.expires > grant.expires ||
    link.memberUntil > grant.memberUntil;
  return isWider ? "a narrowing that widens its grant" : undefined;
}

/**
 * Verifies a member's chain offline: signatures and limits. Looks at no clock and at no list of
 * revocations; trust.ts does both.
 */
export function verifyChain(
  crypto: Crypto,
  meshKey: Uint8Array,
  chain: Chain,
): Decoded<Membership> {
  const walked = walk(crypto, meshKey, chain);
  if (!walked.ok) return walked;
  const last = chain.links.at(-1);
  if (last?.kind !== "certificate") return { ok: false, error: "the chain ends in no certificate" };
  const certificates = chain.links.filter((link) => link.kind === "certificate");
  const issued = chain.links.filter((_, i) => powerBefore(chain, i) === "all");
  return {
    ok: true,
    value: {
      id: last.subject.toHex(),
      name: last.name,
      groups: last.groups,
      flags: last.flags,
      notBefore: Math.max(...certificates.map((link) => link.notBefore)),
      expires: Math.min(...certificates.map((link) => link.expires)),
      issuedAt: issued.at(-1)?.notBefore ?? 0,
      isVouched: powerBefore(chain, chain.links.length - 1) === "all",
      keys: chain.links.map((link) => powerOf(link).key.toHex()),
      grants: redemptions(chain),
    },
  };
}

function redemptions(chain: Chain): Redemption[] {
  return chain.links.flatMap((link, i) => {
    if (link.kind === "certificate") return [];
    const after = chain.links.slice(i).find((later) => later.kind === "certificate");
    const { next, uses, expires } = link;
    return after ? [{ key: next.toHex(), uses, until: expires, by: after.subject.toHex() }] : [];
  });
}

function powerBefore(chain: Chain, i: number): Power["kind"] {
  const before = chain.links[i - 1];
  return before === undefined ? "all" : powerOf(before).kind;
}

/**
 * Verifies the chain of a token, which ends in a grant.
 * @returns the grant that binds whoever redeems it.
 */
export function verifyGrant(crypto: Crypto, meshKey: Uint8Array, chain: Chain): Decoded<Grant> {
  const walked = walk(crypto, meshKey, chain);
  if (!walked.ok) return walked;
  if (walked.value.kind !== "granted") return { ok: false, error: "the chain ends in no grant" };
  return { ok: true, value: walked.value.grant };
}
