/**
 * What a clock that was ahead has signed. It begins by the clocks of the others, and until then nothing that its holder signs
 * counts: where a mesh was founded by such a clock, everything of it waits for that time.
 */
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { CLOCK_SKEW, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { type SignedBy, wayOut } from "../membership/signer.ts";
import type { Draft } from "../membership/statement.ts";
import type { CertificateStatement } from "../membership/statements.ts";
import { adminNames, meshKeyKeepers, nameOf, namesOf } from "./authority.ts";

/** The certificate of a key that is out as that begins later than now by this clock, and no earlier one counts. */
export function notBegun(
  { judge, statements }: Mesh,
  now: Now,
  id: MemberId,
): CertificateStatement | undefined {
  const judgement = judge.judge(id, secondsOf(now));
  if (judgement.kind === "member" || judgement.why !== "notYetValid") return undefined;
  return statements.certificate(id);
}

/**
 * Why a node whose own certificate has not begun signs nothing: nobody could believe it, and whoever it would certify would
 * take all others for members whose time has not come.
 */
export function notBegunFault(mesh: Mesh, now: Now, what: string) {
  const own = notBegun(mesh, now, mesh.id);
  if (!own) return undefined;
  return refusal(
    `${what}: it is ${rfc3339(secondsOf(now))} here, and this node's own certificate was signed ${
      rfc3339(own.at)
    }, so nobody would ` +
      `believe what it signs now: set the clock if it is wrong; if it is right, ${
        wayOn(mesh, now, own)
      }`,
  );
}

/** What a person can do where this clock is right, and that of who signed this node's certificate was ahead. */
export function wayOn(mesh: Mesh, now: Now, own: CertificateStatement): string {
  const isFounding = own.kind === "admin" || own.signer === mesh.statements.meshKey ||
    notBegun(mesh, now, own.signer) !== undefined;
  if (!isFounding) {
    return `that of ${nameOf(mesh, own.signer)} was ahead: on ${
      namesOf(adminNames(mesh), "an admin")
    }, \`shoal approve ${mesh.name}\` signs it anew`;
  }
  const [keeper] = meshKeyKeepers(mesh);
  const ahead = "the mesh was founded by a clock that was ahead: ";
  if (mesh.signer.hasMeshKey) {
    return `${ahead}\`shoal approve ${mesh.name}\`, here, signs this node's certificate anew and those that it gave`;
  }
  return keeper === undefined
    ? `${ahead}where the mesh key is, \`shoal approve\` of that node itself signs all anew`
    : `${ahead}on ${keeper}, \`shoal approve ${keeper}\` signs all anew`;
}

/**
 * Signs anew, by this clock, what this node and the mesh key have signed of others and has not begun. Each lasts as long
 * from now as it was to last, and is signed by the same key, so that the higher number says which one is meant.
 */
export function signBegun(mesh: Mesh, now: Now, out: Outbox<NodeEvent>): Decoded<undefined> {
  const drafts = [...draftsNotBegun(mesh, now)];
  for (const by of ["own", "mesh"] as const) {
    const count = drafts.filter((one) => one.by === by).length;
    if (count < mesh.signer.numbersLeft(by)) continue; // One is for this node's own certificate.
    const key = by === "mesh" ? "the mesh key" : "this admin";
    return refusal(
      `${count} certificates are to be signed anew, and ${key} has fewer numbers left: ${
        wayOut(by)
      }`,
    );
  }
  for (const { by, draft } of drafts) {
    const said = mesh.say(now, by, draft, out);
    if (!said.ok) return said;
  }
  return { ok: true, value: undefined };
}

function* draftsNotBegun(mesh: Mesh, now: Now): Generator<{ by: SignedBy; draft: Draft }> {
  const { statements } = mesh;
  const seconds = secondsOf(now);
  const signedBy = (signer: string): SignedBy | undefined =>
    signer === mesh.id ? "own" : signer === statements.meshKey ? "mesh" : undefined;
  for (const key of statements.certifiedKeys()) {
    const one = key === mesh.id ? undefined : notBegun(mesh, now, key);
    const by = one && signedBy(one.signer);
    if (!one || !by) continue;
    // Signed in the future, it would come after all others where two claim one name.
    const certificate = { ...one.certificate, since: Math.min(one.certificate.since, seconds) };
    const { at } = one;
    yield one.kind === "admin" ? { by, draft: { kind: "admin", certificate } } : {
      by,
      draft: { kind: "member", certificate, until: seconds + one.until - at, token: one.token },
    };
  }
  for (const { statement: one } of statements.all()) {
    if (one.kind !== "guest" || one.at <= seconds + CLOCK_SKEW) continue;
    const { key } = one.certificate;
    const by = signedBy(one.signer);
    const isMeant = statements.guest(key) === one && !statements.isWithdrawn(key) &&
      statements.guest(key, seconds + CLOCK_SKEW) === undefined;
    if (!by || !isMeant) continue;
    const certificate = { ...one.certificate, since: Math.min(one.certificate.since, seconds) };
    yield {
      by,
      draft: { kind: "guest", certificate, until: seconds + one.until - one.at, host: one.host },
    };
  }
}
