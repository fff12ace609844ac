/**
 * A new mesh key, by the recovery key that was written down at the founding. Whoever has taken the old
 * mesh key can do nothing with it any more (invariant 5): what it has signed is void, and what a
 * person wants kept of it is signed anew. The mesh keeps its id, its members their addresses.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import { type Certificate, signStatement, SUCCESSOR_MAX } from "../membership/statement.ts";
import { type Insistence, nameOf, namesOf } from "./authority.ts";
import { lastCertificateOf, signedAnew, untilOf } from "./certificates.ts";
import { counted, type Outcome, type Wish } from "./plan.ts";

export interface RecoverOptions extends Insistence {
  /** Admins that are put out: their names or keys. */
  readonly without?: readonly string[];
  /** Unix seconds: what this node heard of since then is not signed anew. */
  readonly since?: number;
}

/** What a recovery signs with the new mesh key. */
interface Recovered {
  readonly wishes: Wish[];
  readonly admins: string[];
  readonly out: string[];
  readonly members: number;
  readonly cutOff: string[];
  readonly removals: number;
}

/**
 * @param keys the recovery key, and the new mesh key, which is on disk already
 */
export function recover(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  keys: { readonly recovery: SigningKey; readonly meshKey: SigningKey },
  options: RecoverOptions,
  out: Outbox<NodeEvent>,
): Decoded<Outcome> {
  const { recoveryKey } = mesh.genesis;
  if (!crypto.equal(keys.recovery.publicKey, recoveryKey)) {
    return refusal("recover: these are not the recovery words of this mesh");
  }
  const number = (mesh.statements.successor?.number ?? 0) + 1;
  if (number > SUCCESSOR_MAX) {
    return refusal(`recover: the mesh key was replaced ${SUCCESSOR_MAX} times, which is all`);
  }
  const without = new Set<MemberId>();
  for (const name of options.without ?? []) {
    const id = keyNamed(mesh, name);
    if (id === undefined) return refusal(`recover: no admin is called ${name}`);
    if (id === mesh.id) return refusal(`recover: ${name} is this node itself`);
    without.add(id);
  }
  const plan = collect(mesh, now, without, options.since ?? Infinity);
  const lines = [
    `a new mesh key is made and kept on this machine; the old one is void`,
    `${counted(plan.admins.length, "admin")} signed anew: ${namesOf(plan.admins, "none")}`,
    `${counted(plan.members, "member")} and ${counted(plan.removals, "removal")} signed anew`,
    ...(plan.out.length > 0 ? [`put out for ever: ${namesOf(plan.out, "")}`] : []),
    ...(plan.cutOff.length > 0
      ? [
        `${counted(plan.cutOff.length, "member")} out until you \`shoal approve\` each: ` +
        namesOf(plan.cutOff, ""),
      ]
      : []),
  ];
  const who = { id: mesh.id, name: mesh.name };
  const warnings = ["every admin and invite that is not named here ends"];
  if (!options.yes) return { ok: true, value: { who, lines, warnings, isDone: false } };
  const at = secondsOf(now);
  const draft = { kind: "successor", key: keys.meshKey.publicKey.toHex() } as const;
  const successor = signStatement(crypto, mesh.judge.meshId, keys.recovery, draft, { number, at });
  mesh.mustPersist = true;
  mesh.signer.setMeshKey(keys.meshKey);
  const added = mesh.learn(now, successor.bytes, out);
  if (added.kind === "refused") return refusal(`recover: the mesh refuses it (${added.why})`);
  for (const wish of plan.wishes) {
    const said = mesh.say(now, wish.by, wish.draft, out);
    if (!said.ok) return refusal(`recover: ${said.error}`);
  }
  return { ok: true, value: { who, lines, warnings, isDone: true } };
}

function keyNamed(mesh: Mesh, name: string): MemberId | undefined {
  for (const { statement } of mesh.statements.all()) {
    if (statement.kind !== "admin") continue;
    const { key } = statement.certificate;
    if (key === name || nameOf(mesh, key) === name) return key;
  }
  return undefined;
}

function collect(mesh: Mesh, now: Now, without: ReadonlySet<MemberId>, since: number): Recovered {
  const { statements } = mesh;
  const isBefore = (hash: string) => (statements.get(hash)?.seen ?? Infinity) < since;
  const wishes: Wish[] = [];
  const say = (draft: Wish["draft"]) => wishes.push({ by: "mesh", draft });
  const kept = keptAdmins(mesh, without, isBefore);
  if (!kept.has(mesh.id)) {
    const own = lastCertificateOf(mesh, mesh.id);
    if (own) kept.set(mesh.id, own);
  }
  for (const certificate of kept.values()) say({ kind: "admin", certificate });
  const old = statements.meshKey;
  let members = 0;
  const cutOff: string[] = [];
  let removals = 0;
  const done = new Set<string>();
  for (const { statement } of statements.all()) {
    const isLost = statement.signer === old || without.has(statement.signer);
    if (!isLost || !statements.counts(statement)) continue;
    if (statement.kind === "member") {
      const { key } = statement.certificate;
      const isOne = statements.certificate(key) === statement && !kept.has(key) &&
        !without.has(key);
      if (!isOne || statements.isRemoved(key) || statements.hasLeft(key)) continue;
      if (isBefore(statement.hash)) {
        say(signedAnew(statement));
        members++;
      } else cutOff.push(nameOf(mesh, key));
    } else if (statement.kind === "removed" && !kept.has(statement.key)) {
      if (!isBefore(statement.hash) || done.has(statement.key)) continue;
      done.add(statement.key);
      say({ kind: "removed", key: statement.key });
      removals++;
    } else if (statement.kind === "withdrawn") {
      if (isBefore(statement.hash)) say({ kind: "withdrawn", key: statement.key });
    } else if (statement.kind === "demoted" && !kept.has(statement.key)) {
      if (isBefore(statement.hash)) say({ kind: "demoted", key: statement.key });
    }
  }
  for (const id of without) {
    say({ kind: "demoted", key: id });
    if (!done.has(id)) say({ kind: "removed", key: id });
  }
  // Offices that are not kept and were not put out: their holders stay members.
  for (const id of statements.admins()) {
    if (kept.has(id) || without.has(id) || statements.hasLeft(id)) continue;
    const certificate = statements.certificate(id)?.certificate;
    if (certificate) say({ kind: "member", certificate, until: untilOf(now), token: undefined });
  }
  return {
    wishes,
    admins: [...kept.keys()].map((id) => nameOf(mesh, id)).sort(),
    out: [...without].map((id) => nameOf(mesh, id)).sort(),
    members,
    cutOff,
    removals,
  };
}

/**
 * The admins by what this node heard before `since`: a thief that has the mesh key can have demoted
 * the others since then, and promoted its own.
 */
function keptAdmins(
  mesh: Mesh,
  without: ReadonlySet<MemberId>,
  isBefore: (hash: string) => boolean,
): Map<MemberId, Certificate> {
  const { statements } = mesh;
  const latest = new Map<MemberId, { at: number; certificate: Certificate }>();
  const demoted = new Set<MemberId>();
  for (const statement of statements.bySigner(statements.meshKey)) {
    if (!isBefore(statement.hash)) continue;
    if (statement.kind === "demoted") demoted.add(statement.key);
    if (statement.kind !== "admin") continue;
    const { certificate, at } = statement;
    const known = latest.get(certificate.key);
    if (!known || at > known.at) latest.set(certificate.key, { at, certificate });
  }
  const kept = new Map<MemberId, Certificate>();
  for (const [id, { certificate }] of latest) {
    if (!demoted.has(id) && !without.has(id) && !statements.hasLeft(id)) kept.set(id, certificate);
  }
  return kept;
}
