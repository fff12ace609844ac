/** What a person may do to the mesh from one node: invite, approve, trust, revoke. */
import type { Crypto, SigningKey } from "./crypto.ts";
import type { Decoded } from "./codec.ts";
import { formatEndpoint } from "./endpoint.ts";
import type { Now, Outbox, Random } from "./machine.ts";
import type { NodeEvent, Who } from "./event.ts";
import type { Mesh } from "./mesh.ts";
import { isKey, type Member, whoOf } from "./roster.ts";
import { readSeed } from "./seed.ts";
import {
  appendLink,
  canonicalGroups,
  CHAIN_MAX,
  EMPTY_CHAIN,
  GROUPS_MAX,
  isGroup,
  isName,
  type Membership,
  verifyChain,
} from "./trust/certificate.ts";
import { signRevocation } from "./trust/revocation.ts";
import { formatToken, issueToken, SEEDS_MAX } from "./trust/token.ts";
import { REVOCATIONS_MAX, TRUSTED_MAX } from "./trust/trust.ts";

const DAY = 86_400;
/** What an invitation allows where nothing else is said. */
const INVITE_EXPIRES = DAY;
const MEMBER_DAYS = 365;
const USES_MAX = 65_535;
/** Seconds that anything lasts at most, and every revocation: a key that is out stays out. */
const LONGEST = 100 * 365 * DAY;
/** Bytes that a joiner's own link may add to the chain of a token. */
const JOINER_LINK = 1 + 1 + 6 + 6 + 1 + 32 + 64 + 64;

export interface InviteOptions {
  readonly uses?: number;
  /** Seconds until which it can be redeemed. */
  readonly expiresInS?: number;
  /** Days that a membership lasts. */
  readonly memberDays?: number;
  readonly groups?: readonly string[];
  readonly admin?: boolean;
  readonly relay?: boolean;
  /** `HOST:PORT`; our own addresses where none are given. */
  readonly seeds?: readonly string[];
}

export interface Invitation {
  /** Secret: who reads it can join. */
  readonly token: string;
  readonly seeds: readonly string[];
  /** Unix seconds. */
  readonly expires: number;
  readonly uses: number;
}

/** What is wrong with the limits that a person named. */
function inviteFault(options: InviteOptions): string | undefined {
  const { uses = 1, expiresInS = INVITE_EXPIRES, memberDays = MEMBER_DAYS, groups = [] } = options;
  if (!Number.isInteger(uses) || uses < 1 || uses > USES_MAX) {
    return `${uses} uses: a token has 1 to ${USES_MAX}`;
  }
  if (!(expiresInS >= 1 && expiresInS <= LONGEST)) {
    return `an expiry in ${expiresInS} s: a token lasts from one second to a hundred years`;
  }
  if (!(memberDays > 0 && memberDays * DAY <= LONGEST)) {
    return `${memberDays} days: a membership lasts up to a hundred years`;
  }
  const bad = groups.find((group) => !isGroup(group));
  if (bad !== undefined) return `group "${bad}": use up to 32 of a-z, 0-9, - and _`;
  if (groups.length > GROUPS_MAX) {
    return `${groups.length} groups: a member has up to ${GROUPS_MAX}`;
  }
  const seed = options.seeds?.find((seed) => !readSeed(seed));
  return seed === undefined ? undefined : `"${seed}" is no HOST:PORT`;
}

/** A new invite token, signed with our own admin certificate. */
export function invite(
  crypto: Crypto,
  random: Random,
  mesh: Mesh,
  now: Now,
  options: InviteOptions,
): Decoded<Invitation> {
  const fault = inviteFault(options);
  if (fault !== undefined) return refused(`invite: ${fault}`);
  const admin = adminOf(mesh, "invite");
  if (!admin.ok) return admin;
  const { uses = 1, expiresInS = INVITE_EXPIRES, memberDays = MEMBER_DAYS, groups = [] } = options;
  const own = mesh.self.endpoints.map(formatEndpoint);
  const seeds = (options.seeds ?? own).slice(0, SEEDS_MAX);
  if (seeds.length === 0) {
    return refused(
      "invite: this machine has no address that others could reach: say how it is reached by " +
        "`shoal invite --seed HOST:PORT`, or start the node with --advertise HOST",
    );
  }
  const seconds = Math.floor(now.wall / 1000);
  const limits = {
    uses,
    expires: seconds + Math.ceil(expiresInS),
    memberUntil: seconds + Math.ceil(memberDays * DAY),
    groups: canonicalGroups(groups),
    flags: { relay: options.relay ?? false, admin: options.admin ?? false },
  };
  const { chain, identity } = mesh.self;
  const issuer = { chain, signing: identity.signing };
  const token = issueToken(crypto, mesh.meshKey, issuer, limits, seeds, random(32), seconds);
  const groupBytes = limits.groups.reduce((sum, group) => sum + 1 + group.length, 0);
  if (token.chain.bytes.length + JOINER_LINK + groupBytes > CHAIN_MAX) {
    return refused(
      "invite: the chain of admins up to this node is too long: invite from an earlier admin",
    );
  }
  return {
    ok: true,
    value: { token: formatToken(crypto, token), seeds, expires: limits.expires, uses },
  };
}

/** Makes a certificate for somebody who asked, or a new one for a member. */
export function approve(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  who: string,
  options: { readonly name?: string; readonly groups?: readonly string[] },
  out: Outbox<NodeEvent>,
): Decoded<Who> {
  const admin = adminOf(mesh, "approve");
  if (!admin.ok) return admin;
  const wanted = findCandidate(crypto, mesh, who, options.name);
  if (!wanted.ok) return wanted;
  const { id, name, member } = wanted.value;
  if (!isName(name)) return refused(`approve: "${name}" is no host name: use a-z, 0-9 and -`);
  if (mesh.trust.isRevoked(id)) {
    return refused(`approve: the key ${id} is revoked for good: the machine needs a new identity`);
  }
  const bad = options.groups?.find((group) => !isGroup(group));
  if (bad !== undefined) return refused(`approve: group "${bad}": names of a-z, 0-9, - and _`);
  const seconds = Math.floor(now.wall / 1000);
  const { chain: issuer, identity } = mesh.self;
  const chain = appendLink(crypto, mesh.meshKey, issuer, identity.signing, {
    kind: "certificate",
    subject: Uint8Array.fromHex(id),
    name,
    groups: canonicalGroups(options.groups ?? member?.membership.groups ?? []),
    flags: member?.membership.flags ?? { relay: false, admin: false },
    notBefore: seconds,
    expires: Math.min(admin.value.expires, seconds + MEMBER_DAYS * DAY),
  });
  if (chain.bytes.length > CHAIN_MAX) {
    return refused(
      "approve: the chain of admins up to this node is too long: approve on an earlier admin",
    );
  }
  const verified = verifyChain(crypto, mesh.meshKey, chain);
  if (!verified.ok) return refused(`approve: ${verified.error}`);
  mesh.approve(now, verified.value, chain, out);
  if (member) mesh.send(now, id, "chain", chain.bytes, out);
  return { ok: true, value: { id, name } };
}

/** Believes a key on this node alone. It has no certificate, so others do not know it. */
export function trust(crypto: Crypto, mesh: Mesh, key: string, name: string): Decoded<Who> {
  if (!isKey(key)) {
    return refused(`trust: "${key}" is no key: 64 digits as \`shoal status --json\` shows`);
  }
  // For points of low order anybody can sign.
  if (crypto.ed25519ToX25519Public(Uint8Array.fromHex(key)) === undefined) {
    return refused(
      `trust: ${key} is no public key of anybody: copy it from \`shoal status\` there`,
    );
  }
  if (!isName(name)) return refused(`trust: "${name}" is no host name: use a-z, 0-9 and -`);
  if (mesh.trust.isRevoked(key)) {
    return refused(`trust: the key ${key} is revoked for good in this mesh`);
  }
  if (key === mesh.self.identity.id) return refused(`trust: ${key} is this node's own key`);
  if (!mesh.trust.trust(key, name)) {
    return refused(`trust: ${TRUSTED_MAX} keys are trusted already: revoke one first`);
  }
  return { ok: true, value: { id: key, name } };
}

/**
 * Voids a key for the whole mesh. An individually trusted key is merely no longer trusted here.
 * @param founding the mesh key, where this machine has it: it may revoke admins who revoked us.
 */
export function revoke(
  crypto: Crypto,
  mesh: Mesh,
  founding: SigningKey | undefined,
  now: Now,
  who: string,
  out: Outbox<NodeEvent>,
): Decoded<Who> {
  const named = isKey(who) ? undefined : mesh.find(who);
  if (named && !named.ok) return refused(`revoke: ${named.error}`);
  const id = named?.value.id ?? who;
  const member = mesh.roster.get(id);
  const target = whoOf(member) ?? { id, name: "" };
  if (id === mesh.self.identity.id) {
    return refused(
      "revoke: that is this node's own key: use `shoal down` to leave, or another admin",
    );
  }
  const hasChain = (member?.record.chain.links.length ?? 0) > 0;
  if (mesh.trust.isTrusted(id) && !hasChain) {
    mesh.trust.distrust(id);
    return { ok: true, value: target };
  }
  const admin = founding ? undefined : adminOf(mesh, "revoke");
  if (admin && !admin.ok) return admin;
  mesh.trust.distrust(id);
  const seconds = Math.floor(now.wall / 1000);
  const { chain, identity } = mesh.self;
  const issuer = founding
    ? { chain: EMPTY_CHAIN, signing: founding }
    : { chain, signing: identity.signing };
  // Not just until its certificate ends: another token, or a renewal, could let the key back in.
  const until = seconds + LONGEST;
  const revoked = { key: Uint8Array.fromHex(id), at: seconds, until };
  mesh.revoke(now, signRevocation(crypto, mesh.meshKey, issuer, revoked), out);
  return mesh.trust.isRevoked(id) ? { ok: true, value: target } : refused(
    `revoke: ${REVOCATIONS_MAX} keys are revoked already, which is all that a mesh remembers`,
  );
}

function adminOf(mesh: Mesh, what: string): Decoded<Membership> {
  const { membership } = mesh;
  if (membership?.flags.admin) return { ok: true, value: membership };
  return refused(
    `${what}: this node is no admin: run it on one that is (\`shoal status\` marks them)`,
  );
}

function findCandidate(
  crypto: Crypto,
  mesh: Mesh,
  who: string,
  name: string | undefined,
): Decoded<{ id: string; name: string; member: Member | undefined }> {
  const requests = [...mesh.door.requests()].map((request) => request.who)
    .filter((request) => request.name === who || who.length >= 8 && request.id.startsWith(who));
  const [request, ...others] = requests;
  if (others.length > 0) {
    const keys = requests.map(({ id }) => id.slice(0, 16)).join(", ");
    return refused(`approve: ${requests.length} ask by the name ${who}: say which key: ${keys}`);
  }
  const namesake = [...mesh.roster.members()].find(({ id, membership }) =>
    membership.name === who && id !== request?.id
  );
  if (request?.name === who && (namesake || mesh.membership?.name === who)) {
    const key = namesake?.id ?? mesh.self.identity.id;
    return refused(
      `approve: ${who} is a member (${key}), and another machine asks by that name (${request.id}): ` +
        `say which key`,
    );
  }
  if (request) {
    return { ok: true, value: { ...request, name: name ?? request.name, member: undefined } };
  }
  const member = mesh.find(who);
  if (member.ok) {
    const { value } = member;
    return {
      ok: true,
      value: { id: value.id, name: name ?? value.membership.name, member: value },
    };
  }
  if (isKey(who)) {
    if (crypto.ed25519ToX25519Public(Uint8Array.fromHex(who)) === undefined) {
      return refused(`approve: ${who} is no public key of anybody: copy it again`);
    }
    return {
      ok: true,
      value: { id: who, name: name ?? `node-${who.slice(0, 8)}`, member: undefined },
    };
  }
  return refused(
    `approve: nobody asks by the name or key "${who}": \`shoal status\` lists requests; ` +
      `a whole key can be approved before it asks`,
  );
}

function refused(error: string): { readonly ok: false; readonly error: string } {
  return { ok: false, error };
}
