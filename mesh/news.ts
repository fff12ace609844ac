/**
 * News for the whole mesh, as swim's rumours: records, revocations, redeemed tokens, approvals.
 * Everything in them is signed by whom it concerns or by an admin, so it does not matter who passes
 * it on; and nothing is passed on that was not verified.
 */
import type { Crypto } from "./crypto.ts";
import type { Now } from "./machine.ts";
import { type NodeRecord, openRecord } from "./record.ts";
import type { Rumour } from "./swim/messages.ts";
import { type Chain, decodeChain, type Membership, verifyChain } from "./trust/certificate.ts";
import type { MemberId } from "./trust/identity.ts";
import { openRevocation, type Revocation } from "./trust/revocation.ts";
import type { Trust } from "./trust/trust.ts";

/** Numbers of the kinds, on the wire. */
const KIND = { record: 1, revocation: 2, redemption: 3, approval: 4 } as const;
export type NewsKind = keyof typeof KIND;

/** What a verified rumour says. */
export type News =
  | { readonly kind: "record"; readonly record: NodeRecord }
  | { readonly kind: "revocation"; readonly revocation: Revocation }
  /** Somebody joined with a token and is no member any more: its chain proves it. */
  | { readonly kind: "redemption"; readonly membership: Membership; readonly chain: Chain }
  /** An admin admits a key, or renews a member's certificate. */
  | { readonly kind: "approval"; readonly membership: Membership; readonly chain: Chain };

/** The number by which swim knows a kind. */
export function kindNumber(kind: NewsKind): number {
  return KIND[kind];
}

export function recordRumour(crypto: Crypto, record: NodeRecord): Rumour {
  // A byte of the content stands in the version, so that two records with one sequence meet.
  const [salt = 0] = crypto.blake2s(record.bytes);
  const version = record.sequence * 256 + salt;
  return { kind: KIND.record, key: record.id, version, bytes: record.bytes };
}

export function revocationRumour({ key, until, bytes }: Revocation): Rumour {
  return { kind: KIND.revocation, key, version: until, bytes };
}

export function redemptionRumour(crypto: Crypto, { bytes }: Chain): Rumour {
  return { kind: KIND.redemption, key: crypto.blake2s(bytes).toHex(), version: 1, bytes };
}

export function approvalRumour(id: MemberId, { links, bytes }: Chain): Rumour {
  return { kind: KIND.approval, key: id, version: links.at(-1)?.notBefore ?? 0, bytes };
}

/** What a rumour says, if it is true; undefined otherwise. Changes nothing. */
export function verifyNews(
  crypto: Crypto,
  meshId: Uint8Array,
  trust: Trust,
  now: Now,
  rumour: Rumour,
): News | undefined {
  const { kind, key, bytes } = rumour;
  if (kind === KIND.record) {
    const opened = openRecord(crypto, meshId, bytes);
    if (!opened.ok || opened.value.id !== key) return undefined;
    return { kind: "record", record: opened.value };
  }
  if (trust.meshKey === undefined) return undefined;
  if (kind === KIND.revocation) {
    const opened = openRevocation(crypto, trust.meshKey, bytes);
    if (!opened.ok || opened.value.key !== key) return undefined;
    return { kind: "revocation", revocation: opened.value };
  }
  const decoded = decodeChain(bytes);
  const subject = decoded.ok ? decoded.value.links.at(-1) : undefined;
  if (!decoded.ok || subject?.kind !== "certificate") return undefined;
  const chain = decoded.value;
  const id = subject.subject.toHex();
  if (kind === KIND.redemption) {
    // Counts even if its subject was revoked meanwhile, or just because of that.
    const verified = verifyChain(crypto, trust.meshKey, chain);
    return verified.ok ? { kind: "redemption", membership: verified.value, chain } : undefined;
  }
  const judgement = trust.judgeChain(id, chain, Math.floor(now.wall / 1000));
  if (judgement.kind === "refused") return undefined;
  const { membership } = judgement;
  // A token's holder admits by the token, which is counted; it approves nobody.
  const isApproval = kind === KIND.approval && id === key && membership.isVouched;
  return isApproval ? { kind: "approval", membership, chain } : undefined;
}
