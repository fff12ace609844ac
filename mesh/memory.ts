/** What a node remembers over a restart: writing it down, and believing it again. */
import { fromBase64url, toBase64url } from "./base64url.ts";
import type { Crypto } from "./crypto.ts";
import type { Place } from "./door/token.ts";
import { formatEndpoint, parseEndpoint } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import type { Now, Outbox } from "./machine.ts";
import { decodeAdmission, encodeAdmission } from "./membership/admission.ts";
import { encodeGenesis } from "./membership/genesis.ts";
import type { Mesh } from "./membership/mesh.ts";
import type { Member } from "./membership/roster.ts";
import { openRecord } from "./membership/record.ts";
import { type Kind, kindIn, type Statement } from "./membership/statement.ts";
import type { NodeSnapshot } from "./snapshot.ts";

/** What the node remembers beside its mesh. */
export interface OwnMemory {
  readonly name: string;
  readonly boot: number;
  readonly seeds: readonly (Partial<Place> & { readonly seed: string })[];
}

/** Statements never change, and all of them are written each time that one is added. */
const texts = new WeakMap<Statement, string>();

function textOf(statement: Statement): string {
  const known = texts.get(statement);
  if (known !== undefined) return known;
  const text = toBase64url(statement.bytes);
  texts.set(statement, text);
  return text;
}

/** @param mesh undefined while the node asks for admission. */
export function snapshotOf(mesh: Mesh | undefined, own: OwnMemory): NodeSnapshot {
  if (!mesh) {
    const nothing = { statements: [], admissions: [], members: [], trusted: [] };
    return { v: 3, ...own, incarnation: 0, numbers: { own: 0, mesh: 0 }, ...nothing };
  }
  const untimely = Array.from(mesh.untimely.records(), ({ bytes }) => ({
    record: toBase64url(bytes),
  }));
  const present = Array.from(mesh.roster.members(), (member) => {
    const { id, record, observed, aliveAt, silentMs } = member;
    const view = mesh.swim.member(id);
    return {
      record: toBase64url(record.bytes),
      // Recalled, it counts as proven: what only seems to be its place is found out anew.
      ...(observed && mesh.contacts.isRemembered(observed.endpoint, id)
        ? { endpoint: formatEndpoint(observed.endpoint) }
        : {}),
      // The dead are no news: after a power cut everybody else is dead, and back a minute later.
      ...(view?.status === "left" ? { leftAt: view.incarnation } : {}),
      aliveAt,
      ...(silentMs > 0 ? { silentFor: Math.floor(silentMs / 1_000) } : {}),
    };
  });
  return {
    v: 3,
    ...own,
    boot: Math.max(own.boot, mesh.boot),
    genesis: toBase64url(encodeGenesis(mesh.genesis)),
    ...(mesh.admission ? { admission: toBase64url(encodeAdmission(mesh.admission)) } : {}),
    incarnation: mesh.swim.incarnation,
    numbers: { ...mesh.signer.numbers },
    // What lost its number comes last, and loses it again when it is read.
    statements: Array.from(
      [...mesh.statements.all(), ...mesh.statements.outranked()],
      ({ statement, seen }) => ({ bytes: textOf(statement), seen }),
    ),
    admissions: Array.from(
      mesh.judge.provisional.all(),
      (admission) => toBase64url(encodeAdmission(admission)),
    ),
    members: [...present, ...untimely],
    guests: Array.from(
      mesh.guests.places(),
      ({ key, place }) => ({ key, endpoint: formatEndpoint(place) }),
    ),
    trusted: [...mesh.judge.trusted()],
  };
}

/**
 * Takes a snapshot in. Everything signed is verified again; what no longer holds (ended, removed,
 * damaged) is left out.
 */
export function restoreMesh(
  now: Now,
  crypto: Crypto,
  mesh: Mesh,
  snapshot: NodeSnapshot,
  out: Outbox<NodeEvent>,
): void {
  for (const { key, name } of snapshot.trusted) mesh.judge.trust(key, name);
  for (const { key, endpoint } of snapshot.guests ?? []) {
    const place = parseEndpoint(endpoint);
    if (place) mesh.guests.recall(key, place);
  }
  mesh.quietly(() => {
    restoreStatements(now, mesh, snapshot, out);
    for (const text of snapshot.admissions) {
      const admission = decodeAdmission(bytesOf(text));
      if (admission.ok) mesh.judge.recall(admission.value);
    }
    const lastSeen = Math.max(...snapshot.members.map(({ aliveAt = 0 }) => aliveAt));
    for (const { record, endpoint, leftAt, aliveAt, silentFor } of snapshot.members) {
      const opened = openRecord(crypto, mesh.judge.meshId, bytesOf(record));
      if (!opened.ok || opened.value.id === mesh.id) continue;
      const known = leftAt === undefined
        ? undefined
        : { status: "left", incarnation: leftAt } as const;
      const acceptance = mesh.take(now, opened.value, out, known);
      if (acceptance.kind !== "new") continue;
      acceptance.member.silentMs = 1_000 * (silentFor ?? 0);
      if (aliveAt !== undefined) {
        acceptance.member.aliveAt = aliveAt;
        // People heard of that in an earlier run: it is news only when it comes back.
        if (aliveAt < lastSeen - GONE_BEFORE) tellNothingOfItsAbsence(now, acceptance.member);
      }
      const place = endpoint === undefined ? undefined : parseEndpoint(endpoint);
      if (!place) continue;
      const heard = { endpoint: place, source: undefined, at: -Infinity };
      mesh.roster.heardAt(acceptance.member, heard, now);
      mesh.contacts.recall(now, place, acceptance.member.id);
      mesh.tunnels.aim(now, acceptance.member, out);
    }
  });
}

/** Seconds behind the member that was seen last after which one was gone before the node stopped. */
const GONE_BEFORE = 120;

function tellNothingOfItsAbsence(now: Now, member: Member): void {
  member.isToldGone = true;
  member.suspicionToldAt = now.boot;
}

/** Those about offices first: the others count by them. */
const OFFICES: readonly (Kind | undefined)[] = ["successor", "admin", "demoted"];

function restoreStatements(
  now: Now,
  mesh: Mesh,
  { statements }: NodeSnapshot,
  out: Outbox<NodeEvent>,
): void {
  const all = statements.map(({ bytes, seen }) => ({ bytes: bytesOf(bytes), seen }));
  const rankOf = (bytes: Uint8Array) => {
    const rank = OFFICES.indexOf(kindIn(bytes));
    return rank < 0 ? OFFICES.length : rank;
  };
  all.sort((a, b) => rankOf(a.bytes) - rankOf(b.bytes));
  for (const { bytes, seen } of all) mesh.learn(now, bytes, out, seen);
}

/** Damaged text is no bytes, which no decoder takes for anything. */
function bytesOf(text: string): Uint8Array {
  return fromBase64url(text) ?? new Uint8Array(0);
}
