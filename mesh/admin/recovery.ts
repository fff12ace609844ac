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
import { rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { isKey } from "../membership/roster.ts";
import { RESERVE } from "../membership/sight.ts";
import {
  type Certificate,
  NUMBER_MAX,
  signStatement,
  type Statement,
  SUCCESSOR_MAX,
} from "../membership/statement.ts";
import { ENDED_KEPT, type Held } from "../membership/statements.ts";
import { counted, type Insistence, listOf, nameOf, namesOf } from "./authority.ts";
import {
  guestAnew,
  isGuestOfOthers,
  lastCertificates,
  lastGuests,
  saidBy,
  signedAnew,
  signedAt,
  untilOf,
} from "./certificates.ts";
import { newcomer } from "./approve.ts";
import { doubtfulLine, doubtfulMembers, toldApart } from "./doubtful.ts";
import { broughtBack, broughtBackWarnings, endsKept, heardAt, laterEndsLines } from "./ends.ts";
import { type Planned, type Wish } from "./plan.ts";

export interface RecoverOptions extends Insistence {
  /** Who is put out, admins and members: their names or keys. */
  readonly without?: readonly string[];
  /** Admins whose office was ended since then, which is not believed: their names or keys. */
  readonly keep?: readonly string[];
  /** Unix seconds: what this node heard of since then is not signed anew. */
  readonly since?: number;
}

/** What a recovery signs with the new mesh key. */
interface Recovered {
  readonly wishes: Wish[];
  readonly admins: string[];
  readonly out: string[];
  readonly members: number;
  /** Names of former admins. */
  readonly stays: string[];
  readonly cutOff: string[];
  /** Names of members that came by invites which are not believed. */
  readonly doubtful: readonly string[];
  readonly removals: number;
  /** Names of those whom removals had put out that end. */
  readonly broughtBack: readonly string[];
  /** Admins whose offices had ended by a word that is not believed. */
  readonly reinstated: readonly MemberId[];
  /** Names of members that an admin has removed while the mesh key had given them an office that is not kept. */
  readonly removedByOthers: readonly string[];
  /** Invites and guests that were ended since, and stay ended. */
  readonly laterEnds: ReadonlySet<string>;
  readonly guests: number;
  /** Names of guests that nobody serves any more, or whose certificate is not believed. */
  readonly guestsEnded: readonly string[];
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
): Decoded<Planned> {
  const { recoveryKey } = mesh.genesis;
  if (!crypto.equal(keys.recovery.publicKey, recoveryKey)) {
    return refusal(
      keys.recovery.publicKey.toHex() === mesh.statements.meshKey
        ? "recover: these are the words of the mesh key: the recovery words stand on another paper"
        : `recover: these are not the recovery words of this mesh, ${mesh.genesis.name}`,
    );
  }
  const number = (mesh.statements.successor?.number ?? 0) + 1;
  if (number > SUCCESSOR_MAX) {
    return refusal(`recover: the mesh key was replaced ${SUCCESSOR_MAX} times, which is all`);
  }
  const without = allNamed(mesh, options.without ?? []);
  if (!without.ok) return without;
  if (without.value.has(mesh.id)) {
    return refusal(`recover: ${mesh.name} is this node itself: --without names others`);
  }
  const keep = allNamed(mesh, options.keep ?? []);
  if (!keep.ok) return keep;
  const plan = collect(mesh, now, without.value, options.since ?? Infinity);
  const undecided = plan.reinstated.filter((id) => id !== mesh.id && !keep.value.has(id));
  if (undecided.length > 0) {
    const names = undecided.map((id) => nameIn(mesh, id)).sort();
    return refusal(
      `recover: this node heard since ${rfc3339(options.since ?? 0)} that the office of ${
        listOf(names)
      } ended: ` +
        `say --without ${names.join()} if that was right, --keep ${names.join()} if a thief did it`,
    );
  }
  // A key signs so many, and some are for later: whom it cannot certify now is named, and all else is done.
  const wishes = plan.wishes.toSorted((a, b) => rankOf(a) - rankOf(b));
  const late = wishes.splice(NUMBER_MAX - RESERVE)
    .flatMap(({ draft }) => draft.kind === "member" ? draft.certificate.name : []);
  const cutOff = [...plan.cutOff, ...late];
  const lines = [
    `a new mesh key is made and kept on this machine; the old one is void`,
    `${counted(plan.admins.length, "admin")} signed anew: ${namesOf(plan.admins, "none")}`,
    `${counted(plan.members - late.length, "member")} and ${
      counted(plan.removals, "removal")
    } signed anew`,
    ...(plan.stays.length > 0
      ? [`${namesOf(plan.stays, "")}: no admin any more, a member still`]
      : []),
    ...(plan.guests > 0 ? [`${counted(plan.guests, "guest")} signed anew`] : []),
    ...guestsEndedLines(plan.guestsEnded),
    ...laterEndsLines(mesh, plan.laterEnds, "a lost signer"),
    ...(mesh.statements.isAdmin(mesh.id) ? [] : [`${mesh.name}, this node, becomes an admin`]),
    ...(plan.out.length > 0 ? [`put out for ever: ${namesOf(plan.out, "")}`] : []),
    ...(plan.doubtful.length > 0 ? [doubtfulLine(plan.doubtful, "were made since then")] : []),
    ...(cutOff.length > 0
      ? [
        `${counted(cutOff.length, "member")} out until you \`shoal approve\` each: ` +
        namesOf(cutOff, ""),
      ]
      : []),
    ...(plan.removedByOthers.length > 0
      ? [
        `${
          listOf(plan.removedByOthers)
        }: out by the word of an admin that stays, since the office that stood against ` +
        "it is not kept: a later --since keeps the office, and --without that admin ends its word",
      ]
      : []),
    ...(options.since === undefined
      ? []
      : [`what this node heard of before ${rfc3339(options.since)} counts as signed before`]),
  ];
  const who = { id: mesh.id, name: mesh.name };
  const warnings = [
    ...broughtBackWarnings(plan.broughtBack, "of the old mesh key and of lost admins"),
    "every admin that is not named here ends, and so do the invites that it made; those of the others " +
    "go on: `shoal invite --list` shows them, `--revoke` ends one",
  ];
  if (!options.yes) return { ok: true, value: { who, lines, warnings, isDone: false } };
  const at = secondsOf(now);
  const draft = { kind: "successor", key: keys.meshKey.publicKey.toHex() } as const;
  const successor = signStatement(crypto, mesh.judge.meshId, keys.recovery, draft, { number, at });
  mesh.mustPersist = true;
  mesh.signer.setMeshKey(keys.meshKey);
  const added = mesh.learn(now, successor.bytes, out);
  if (added.kind === "refused") return refusal(`recover: the mesh refuses it (${added.why})`);
  for (const wish of wishes) {
    const said = mesh.say(now, wish.by, wish.draft, out, wish.since);
    if (!said.ok) return refusal(`recover: ${said.error}`);
  }
  return { ok: true, value: { who, lines, warnings, isDone: true } };
}

/** The keys that a person names; a whole key always means itself. */
function allNamed(mesh: Mesh, names: readonly string[]): Decoded<Set<MemberId>> {
  const all = new Set<MemberId>();
  for (const name of names) {
    const [id, ...others] = isKey(name) ? [name] : keysNamed(mesh, name);
    if (id === undefined) return refusal(`recover: no admin or member is called ${name}`);
    if (others.length > 0) {
      const keys = [id, ...others].join(", ");
      return refusal(`recover: ${others.length + 1} keys are called ${name}: say which: ${keys}`);
    }
    all.add(id);
  }
  return { ok: true, value: all };
}

/** A thief can have certified a key of its own by another's name, and hidden by which name another was certified. */
function keysNamed(mesh: Mesh, name: string): ReadonlySet<MemberId> {
  const named = new Set<MemberId>();
  const meant = mesh.meant(name);
  for (const held of [mesh.statements.all(), mesh.statements.outranked()]) {
    for (const { statement } of held) {
      if (statement.kind !== "admin" && statement.kind !== "member") continue;
      const { key } = statement.certificate;
      const isMeant = key === meant || meant.length >= 16 && key.startsWith(meant) ||
        nameOf(mesh, key, statement.certificate.name) === meant;
      if (isMeant) named.add(key);
    }
  }
  return named;
}

/** What a key is called, be it by a certificate that lost its number. */
function nameIn(mesh: Mesh, id: MemberId): string {
  for (const { statement } of mesh.statements.outranked()) {
    const isOf = statement.kind === "admin" || statement.kind === "member";
    if (isOf && statement.certificate.key === id) {
      return nameOf(mesh, id, statement.certificate.name);
    }
  }
  return nameOf(mesh, id);
}

/** Offices first, then what ends something, then members. */
function rankOf({ draft: { kind } }: Wish): number {
  return kind === "admin" ? 0 : kind === "member" ? 2 : 1;
}

function collect(mesh: Mesh, now: Now, without: ReadonlySet<MemberId>, since: number): Recovered {
  const { statements } = mesh;
  const wishes: Wish[] = [];
  const say = (draft: Wish["draft"], since?: number) =>
    wishes.push({ by: "mesh", draft, ...(since === undefined ? {} : { since }) });
  const sayAnew = ({ draft, since }: ReturnType<typeof signedAnew>) => say(draft, since);
  const kept = keptAdmins(mesh, without, since);
  if (!kept.has(mesh.id)) {
    // Whoever has the words may have been let in since.
    const own = certificateBefore(mesh, mesh.id, since) ?? statements.lastCertificate(mesh.id);
    kept.set(mesh.id, own ?? newcomer(mesh, now, mesh.id, mesh.name, []));
  }
  // Where none counts any more, its first one: whoever recovers may do it by a clock that is ahead.
  const sinceOf = ({ key, since }: Certificate) => signedAt(mesh, key, now) ?? since;
  for (const certificate of kept.values()) {
    say({ kind: "admin", certificate }, sinceOf(certificate));
  }
  // Whose office is not kept can vouch for nobody any more: what it signed in time is signed anew, too.
  const ended = [...statements.admins()].filter((id) => !kept.has(id));
  const lost = new Set([statements.meshKey, ...without, ...ended]);
  const isKept = (held: Held) => heardAt(mesh, held) < since;
  const saidEver = [...lost].flatMap((signer) => [...saidBy(mesh, signer)]);
  const said = saidEver.filter(isKept).map(({ statement }) => statement);
  const doubtful = since === Infinity
    ? []
    : doubtfulMembers(mesh, (signer) => lost.has(signer), said, isKept);
  const isOut = (key: MemberId) => kept.has(key) || without.has(key) || statements.hasLeft(key);
  const removed = new Set<MemberId>();
  for (const statement of said) {
    if (statement.kind === "demoted" && !kept.has(statement.key)) {
      say({ kind: "demoted", key: statement.key });
    }
    if (statement.kind !== "removed" || kept.has(statement.key)) continue;
    // An admin's word against who had an office was nothing, and stays nothing.
    const isNothing = statement.signer !== statements.meshKey &&
      statements.hadOffice(statement.key);
    if (!isNothing) removed.add(statement.key);
  }
  const ends = endsKept(mesh, saidEver, (signer) => lost.has(signer), isKept);
  for (const key of ends.keys) say({ kind: "withdrawn", key });
  /** Whether an admin that stays has removed a key; while it had an office that was nothing. */
  const isRemovedByOthers = (key: MemberId) =>
    Array.from(statements.about(key)).some((one) =>
      one.kind === "removed" && !lost.has(one.signer) && statements.counts(one)
    );
  const members = lastCertificates(said);
  for (const [key, statement] of members) {
    const signer = statements.certificate(key)?.signer ?? statement.signer;
    const isRemoved = removed.has(key) || isRemovedByOthers(key);
    if (isOut(key) || isRemoved || !lost.has(signer)) members.delete(key);
    else sayAnew(signedAnew(statement));
  }
  for (const key of new Set([...removed, ...without])) say({ kind: "removed", key });
  for (const key of without) if (statements.hadOffice(key)) say({ kind: "demoted", key });
  // Offices that are not kept and were not put out: whoever was known before stays a member; whom the thief has promoted
  // out of nothing, under whatever name, does not.
  const stays: MemberId[] = [];
  const unknown: MemberId[] = [];
  const removedByOthers: MemberId[] = [];
  for (const id of statements.admins()) {
    if (isOut(id)) continue;
    if (isRemovedByOthers(id)) {
      removedByOthers.push(id);
      continue;
    }
    const certificate = certificateBefore(mesh, id, since);
    if (certificate === undefined) unknown.push(id);
    else if (!members.has(id)) {
      stays.push(id);
      const draft = { kind: "member", certificate, until: untilOf(now), token: undefined } as const;
      say(draft, sinceOf(certificate));
    }
  }
  const back = broughtBack(
    mesh,
    saidEver,
    isKept,
    (key) => removed.has(key) || isOut(key) || isRemovedByOthers(key) || statements.isAdmin(key),
  );
  // Whom nobody's certificate holds then waits for a person.
  const isHeld = (key: MemberId) =>
    members.has(key) ||
    Array.from(statements.about(key)).some((one) =>
      one.kind === "member" && !lost.has(one.signer) && statements.counts(one)
    );
  const unheld = [...back].filter((key) => !isHeld(key));
  for (const key of unheld) back.delete(key);
  const cutOff = [...new Set([...certifiedBy(mesh, lost), ...unknown, ...unheld])].filter((key) =>
    !isOut(key) && !members.has(key) && !stays.includes(key) &&
    (!statements.isRemoved(key) || unheld.includes(key))
  );
  // A guest ends with its host, whoever signed for it.
  const isGone = (host: MemberId) =>
    without.has(host) || removed.has(host) || cutOff.includes(host) || statements.hasLeft(host);
  const guests = lastGuests(said);
  for (const key of ends.later) guests.delete(key);
  for (const [key, statement] of guests) {
    const isEnded = Array.from(statements.about(key)).some((one) =>
      one.kind === "withdrawn" && !lost.has(one.signer)
    ) || statement.until + ENDED_KEPT < secondsOf(now) || isGone(statement.host);
    if (isEnded || isGuestOfOthers(mesh, lost, statement)) {
      guests.delete(key);
    } else sayAnew(guestAnew(statement));
  }
  const guestsEnded = Array.from(mesh.guests.guests.all()).filter(({ key, certificate, host }) =>
    isGone(host) || !guests.has(key) && !isGuestOfOthers(mesh, lost, { certificate, at: 0 })
  );
  return {
    wishes,
    admins: [...kept.keys()].map((id) => nameIn(mesh, id)).sort(),
    out: [...without].map((id) => nameIn(mesh, id)).sort(),
    members: members.size,
    stays: stays.map((id) => nameOf(mesh, id)).sort(),
    cutOff: cutOff.map((key) => nameOf(mesh, key)).sort(),
    doubtful: toldApart(mesh, doubtful).sort(),
    removals: removed.size,
    broughtBack: toldApart(mesh, [...back].map((id) => ({ id, name: nameOf(mesh, id) }))).sort(),
    reinstated: reinstated(saidEver, isKept, kept),
    removedByOthers: removedByOthers.map((id) => nameOf(mesh, id)).sort(),
    laterEnds: ends.later,
    guests: guests.size,
    guestsEnded: guestsEnded.map((guest) => mesh.guests.guests.nameOf(guest)).sort(),
  };
}

/** Whose office was ended by a word that is not believed, and is kept. */
function reinstated(
  said: readonly Held[],
  isKept: (held: Held) => boolean,
  kept: ReadonlyMap<MemberId, Certificate>,
): MemberId[] {
  const keys = said.flatMap((held) => {
    const { statement } = held;
    return statement.kind === "demoted" && !isKept(held) && kept.has(statement.key)
      ? [statement.key]
      : [];
  });
  return [...new Set(keys)];
}

function guestsEndedLines(names: readonly string[]): string[] {
  if (names.length === 0) return [];
  const end = names.length === 1 ? "ends" : "end";
  return [`${counted(names.length, "guest")} ${end}: ${namesOf(names, "")}`];
}

/** What a key was certified as last by what this node heard before `since`. */
function certificateBefore(mesh: Mesh, key: MemberId, since: number): Certificate | undefined {
  const { statements } = mesh;
  let last: Statement | undefined;
  const hidden = statements.outranked();
  const shown = Array.from(statements.about(key), ({ hash }) => statements.get(hash));
  for (const held of [...shown, ...hidden]) {
    const statement = held && held.seen < since ? held.statement : undefined;
    if (statement?.kind !== "admin" && statement?.kind !== "member") continue;
    if (statement.certificate.key !== key) continue;
    if (statement.at >= (last?.at ?? 0)) last = statement;
  }
  if (last?.kind === "admin" || last?.kind === "member") return last.certificate;
  return undefined;
}

/** Keys whose certificate of now is by one of these. */
function* certifiedBy({ statements }: Mesh, signers: ReadonlySet<string>): Generator<MemberId> {
  for (const { statement } of statements.all()) {
    if (statement.kind !== "member" || !signers.has(statement.signer)) continue;
    const { key } = statement.certificate;
    if (statements.certificate(key) === statement) yield key;
  }
}

/**
 * The admins by what this node heard before `since`: a thief that has the mesh key can have demoted
 * the others since then, and promoted its own.
 */
function keptAdmins(
  mesh: Mesh,
  without: ReadonlySet<MemberId>,
  since: number,
): Map<MemberId, Certificate> {
  const { statements } = mesh;
  const latest = new Map<MemberId, { at: number; certificate: Certificate }>();
  const demoted = new Set<MemberId>();
  for (const held of saidBy(mesh, statements.meshKey)) {
    if (heardAt(mesh, held) >= since) continue;
    const { statement } = held;
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
