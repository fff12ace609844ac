/** What a node remembers over a restart: writing it down, and believing it again. */
import type { Crypto } from "./crypto.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";
import type { Now, Outbox } from "./machine.ts";
import { fromBase64url, toBase64url } from "./base64url.ts";
import type { NodeEvent } from "./event.ts";
import type { Mesh } from "./mesh.ts";
import { openRecord } from "./record.ts";
import type { NodeSnapshot } from "./snapshot.ts";
import { decodeChain, verifyChain } from "./trust/certificate.ts";
import { openRevocation } from "./trust/revocation.ts";

/** @param mesh undefined while the node asks for admission. */
export function snapshotOf(
  mesh: Mesh | undefined,
  own: { readonly name: string; readonly boot: number; readonly seeds: readonly string[] },
): NodeSnapshot {
  if (!mesh) {
    const nothing = { members: [], trusted: [], revocations: [], redeemed: [] };
    return { v: 1, ...own, ip4Counter: 0, incarnation: 0, ...nothing };
  }
  const untimely = Array.from(mesh.untimely.records(), ({ bytes }) => ({
    record: toBase64url(bytes),
  }));
  const present = Array.from(mesh.roster.members(), ({ id, record, observed }) => {
    const view = mesh.swim.member(id);
    return {
      record: toBase64url(record.bytes),
      ...(observed ? { endpoint: formatEndpoint(observed.endpoint) } : {}),
      // The dead are no news: after a power cut everybody else is dead, and back a minute later.
      ...(view?.status === "left" ? { leftAt: view.incarnation } : {}),
    };
  });
  return {
    v: 1,
    ...own,
    boot: Math.max(own.boot, mesh.boot),
    meshKey: mesh.meshKey.toHex(),
    chain: toBase64url(mesh.self.chain.bytes),
    ip4Counter: mesh.self.ip4Counter,
    incarnation: mesh.swim.incarnation,
    members: [...present, ...untimely],
    trusted: [...mesh.trust.trusted()],
    revocations: Array.from(mesh.trust.revocations(), ({ bytes }) => toBase64url(bytes)),
    redeemed: Array.from(mesh.trust.redemptions(), ({ bytes }) => toBase64url(bytes)),
  };
}

/**
 * Takes a snapshot in. Everything signed is verified again; what no longer holds (expired, revoked,
 * damaged) is left out.
 */
export function restoreMesh(
  now: Now,
  crypto: Crypto,
  mesh: Mesh,
  snapshot: NodeSnapshot,
  out: Outbox<NodeEvent>,
): void {
  for (const { key, name } of snapshot.trusted) mesh.trust.trust(key, name);
  for (const text of snapshot.revocations) {
    const revocation = openRevocation(crypto, mesh.meshKey, bytesOf(text));
    if (revocation.ok) mesh.revoke(now, revocation.value, out);
  }
  mesh.quietly(() => {
    for (const { record, endpoint, leftAt } of snapshot.members) {
      const opened = openRecord(crypto, mesh.roster.meshId, bytesOf(record));
      if (!opened.ok || opened.value.id === mesh.self.identity.id) continue;
      const known = leftAt === undefined
        ? undefined
        : { status: "left", incarnation: leftAt } as const;
      const acceptance = mesh.take(now, opened.value, out, known);
      const place = endpoint === undefined ? undefined : parseEndpoint(endpoint);
      if (acceptance.kind !== "new" || !place) continue;
      acceptance.member.observed = { endpoint: place, source: undefined, at: -Infinity };
      mesh.tunnels.aim(now, acceptance.member, out);
    }
  });
  for (const text of snapshot.redeemed) {
    const chain = decodeChain(bytesOf(text));
    const membership = chain.ok ? verifyChain(crypto, mesh.meshKey, chain.value) : chain;
    if (chain.ok && membership.ok) mesh.redeemed(now, membership.value, chain.value, out);
  }
}

/** Damaged text is no bytes, which no decoder takes for anything. */
function bytesOf(text: string): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array(0);
}
