/**
 * A new mesh key, by the recovery key that was written down at the founding. Whoever has taken the old
 * mesh key can do nothing with it any more (invariant 5): what it has signed is void, and what a
 * person wants kept of it is signed anew. The mesh keeps its id, its members their addresses.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { type Judge, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { isKey } from "../membership/roster.ts";
import { RESERVE } from "../membership/sight.ts";
import {
  type Certificate,
  type Draft,
  NUMBER_MAX,
  signStatement,
  SUCCESSOR_MAX,
} from "../membership/statement.ts";
import { type CertificateStatement, ENDED_KEPT, type Held } from "../membership/statements.ts";
import { counted, type Insistence, LISTED, listOf, nameOf, namesOf } from "./authority.ts";
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
import { Doubt, doubtfulLine, toldApart } from "./doubtful.ts";
import {
  broughtBack,
  broughtBackWarnings,
  endsKept,
  heardAt,
  keptLine,
  laterEndsLines,
} from "./ends.ts";
import { certificateBy, isMemberBy, judgeAfter, type Outlook, outlookOf } from "./outlook.ts";
import { backLines, type Planned, removedLines, settledBy, type Wish } from "./plan.ts";

export interface RecoverOptions extends Insistence {
  /** Who is put out, admins and members: their names or keys. */
  readonly without?: readonly string[];
  /** Admins whose office was ended since then, which is not believed: their names or keys. */
  readonly keep?: readonly string[];
  /** Unix seconds: what this node heard of since then is not signed anew. */
  readonly since?: number;
}

/** What a recovery signs with the new mesh key, and what follows from it. */
interface Recovered {
  /** Only as many as a key may sign. */
  readonly wishes: readonly Wish[];
  readonly admins: string[];
  readonly out: string[];
  readonly members: number;
  /** Names of former admins. */
  readonly stays: string[];
  readonly outlook: Outlook;
  readonly removals: number;
  /** Whom removals had put out that end. */
  readonly broughtBack: ReadonlySet<MemberId>;
  /** Admins whose offices had ended by a word that is not believed. */
  readonly reinstated: readonly MemberId[];
  /** Members that an admin has removed while the mesh key had given them an office that is not kept. */
  readonly removedByOthers: readonly MemberId[];
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
  const hidden = hiddenCertificates(mesh);
  const called = namesIn(mesh, hidden);
  const both = [...keep.value].filter((id) => without.value.has(id));
  if (both.length > 0) {
    return refusal(
      `recover: --without and --keep both name ${listOf(called(both))}: leave it to one of them`,
    );
  }
  if (keep.value.size > 0 && options.since === undefined) {
    return refusal(
      "recover: --keep is about offices that ended since the time of --since: say that time, too",
    );
  }
  const draft = { kind: "successor", key: keys.meshKey.publicKey.toHex() } as const;
  const plan = collect(mesh, now, draft, hidden, without.value, options.since ?? Infinity);
  const unasked = [...keep.value].filter((id) => !plan.reinstated.includes(id));
  if (unasked.length > 0) {
    return refusal(
      `recover: --keep names ${
        listOf(called(unasked))
      }: this node heard of no office there that ended since ${
        rfc3339(options.since ?? 0)
      }: leave it out`,
    );
  }
  const undecided = plan.reinstated.filter((id) => id !== mesh.id && !keep.value.has(id));
  if (undecided.length > 0) {
    const names = called(undecided);
    const each = names.map((name) => `\`shoal demote ${name}\``);
    // As it is typed, where so many fit into a line.
    const all = names.length > LISTED ? "NAME,NAME" : names.join();
    return refusal(
      `recover: this node heard since ${rfc3339(options.since ?? 0)} that the office of ${
        listOf(names)
      } ended: ` +
        `say --keep ${all} if a thief did it; if it was right, --without ${all} to put out for ever, ` +
        `or --keep ${all} and, after the recovery, ${listOf(each)}: a plain member then`,
    );
  }
  const members = plan.outlook;
  const apart = (all: readonly Who[]) => toldApart(mesh, all).sort();
  const [back, waiting] = settledBy(mesh, plan.broughtBack, members.isMember);
  const cutOff = [...members.out, ...waiting];
  const others = members.back.filter(({ id }) => !plan.broughtBack.has(id));
  const again = called(plan.reinstated.filter((id) => id !== mesh.id));
  const lines = [
    `a new mesh key is made and kept on this machine; the old one is void`,
    `${counted(plan.admins.length, "admin")} signed anew: ${namesOf(plan.admins, "none")}`,
    `${counted(plan.members, "member")} and ${counted(plan.removals, "removal")} signed anew`,
    ...(plan.stays.length > 0
      ? [`${namesOf(plan.stays, "")}: no admin any more, a member still`]
      : []),
    ...(plan.guests > 0 ? [`${counted(plan.guests, "guest")} signed anew`] : []),
    ...guestsEndedLines(plan.guestsEnded),
    ...laterEndsLines(mesh, plan.laterEnds, "somebody who is not believed any more"),
    ...(again.length > 0
      ? [
        `${
          listOf(again)
        }: an admin again: what it signed meanwhile counts, too, and this node may not ` +
        "have heard of it",
      ]
      : []),
    ...(mesh.statements.isAdmin(mesh.id) ? [] : [`${mesh.name}, this node, becomes an admin`]),
    ...(plan.out.length > 0 ? [`put out for ever: ${namesOf(plan.out, "")}`] : []),
    ...backLines(mesh, others),
    ...(members.doubtful.length > 0
      ? [doubtfulLine(apart(members.doubtful), "were made since then")]
      : []),
    ...removedLines(mesh, members.removed.filter(({ id }) => !plan.removedByOthers.includes(id))),
    ...(cutOff.length > 0
      ? [
        `${counted(cutOff.length, "member")} out until you \`shoal approve\` each: ` +
        namesOf(apart(cutOff), ""),
      ]
      : []),
    ...(plan.removedByOthers.length > 0
      ? [
        `${
          listOf(plan.removedByOthers.map((id) => nameOf(mesh, id)).sort())
        }: out by the word of an admin that stays, since the office that stood against ` +
        "it is not kept: a later --since keeps the office, and --without that admin ends its word",
      ]
      : []),
    ...(options.since === undefined
      ? []
      : [`of the old mesh key and of lost admins, ${keptLine(options.since)}`]),
  ];
  const who = { id: mesh.id, name: mesh.name };
  const warnings = [
    ...broughtBackWarnings(apart(back), "of the old mesh key and of lost admins"),
    "every admin that is not named here ends, and so do the invites that it made; those of the others " +
    "go on: `shoal invite --list` shows them, `--revoke` ends one",
    ...(without.value.size > 0 && options.since === undefined
      ? [
        "without --since, all that was signed with the mesh key until now counts, a thief's demotions, removals and " +
        "new admins among it: --since 2h, or a moment such as --since 2026-11-26T10:00Z, names the time since when it " +
        "is not to be believed",
      ]
      : []),
  ];
  if (!options.yes) return { ok: true, value: { who, members, lines, warnings, isDone: false } };
  const at = secondsOf(now);
  const successor = signStatement(crypto, mesh.judge.meshId, keys.recovery, draft, { number, at });
  mesh.mustPersist = true;
  mesh.signer.setMeshKey(keys.meshKey);
  const added = mesh.learn(now, successor.bytes, out);
  if (added.kind === "refused") return refusal(`recover: the mesh refuses it (${added.why})`);
  for (const wish of plan.wishes) {
    const said = mesh.say(now, wish.by, wish.draft, out, wish.since);
    if (!said.ok) return refusal(`recover: ${said.error}`);
  }
  return { ok: true, value: { who, members, lines, warnings, isDone: true } };
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

/** Certificates that lost their number, by their keys. A thief can hide thousands, and make as many admins. */
type Hidden = ReadonlyMap<MemberId, readonly Held[]>;

function hiddenCertificates({ statements }: Mesh): Hidden {
  const hidden = new Map<MemberId, Held[]>();
  for (const held of statements.outranked()) {
    const { statement } = held;
    if (statement.kind !== "admin" && statement.kind !== "member") continue;
    const all = hidden.get(statement.certificate.key) ?? [];
    hidden.set(statement.certificate.key, all);
    all.push(held);
  }
  return hidden;
}

/** What keys are called, be it by certificates that lost their number. */
function namesIn(mesh: Mesh, hidden: Hidden): (ids: readonly MemberId[]) => string[] {
  const nameIn = (id: MemberId) => {
    const statement = hidden.get(id)?.[0]?.statement;
    const isOne = statement?.kind === "admin" || statement?.kind === "member";
    return isOne ? nameOf(mesh, id, statement.certificate.name) : nameOf(mesh, id);
  };
  return (ids) => ids.map(nameIn).sort();
}

/** Offices first, then what ends something, then members. */
function rankOf({ draft: { kind } }: Wish): number {
  return kind === "admin" ? 0 : kind === "member" ? 2 : 1;
}

function collect(
  mesh: Mesh,
  now: Now,
  successor: Draft & { readonly kind: "successor" },
  hidden: Hidden,
  without: ReadonlySet<MemberId>,
  since: number,
): Recovered {
  const { statements } = mesh;
  const called = namesIn(mesh, hidden);
  const after = (wishes: readonly Wish[]) =>
    judgeAfter(mesh, now, [
      { signer: mesh.genesis.recoveryKey.toHex(), draft: successor },
      ...wishes.map(({ draft, since }) => ({
        signer: successor.key,
        draft,
        ...(since === undefined ? {} : { since }),
      })),
    ]);
  const wishes: Wish[] = [];
  const say = (draft: Wish["draft"], since?: number) =>
    wishes.push({ by: "mesh", draft, ...(since === undefined ? {} : { since }) });
  const sayAnew = ({ draft, since }: ReturnType<typeof signedAnew>) => say(draft, since);
  const kept = keptAdmins(mesh, without, since);
  if (!kept.has(mesh.id)) {
    // Whoever has the words may have been let in since.
    const own = certificateBefore(mesh, hidden, mesh.id, since)?.certificate ??
      statements.lastCertificate(mesh.id);
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
  const doubt = new Doubt(mesh, said, isKept);
  // Whom the thief has promoted since then had no office.
  const hadOffice = new Set(
    said.flatMap((one) =>
      one.kind === "demoted" ? [one.key] : one.kind === "admin" ? [one.certificate.key] : []
    ),
  );
  const isOut = (key: MemberId) => kept.has(key) || without.has(key) || statements.hasLeft(key);
  const removed = new Set<MemberId>();
  for (const statement of said) {
    if (statement.kind === "demoted" && !kept.has(statement.key)) {
      say({ kind: "demoted", key: statement.key });
    }
    if (statement.kind !== "removed" || kept.has(statement.key)) continue;
    // An admin's word against who had an office was nothing, and stays nothing.
    const isNothing = statement.signer !== statements.meshKey && hadOffice.has(statement.key);
    if (!isNothing) removed.add(statement.key);
  }
  const ends = endsKept(mesh, saidEver, (signer) => lost.has(signer), isKept);
  for (const key of ends.keys) say({ kind: "withdrawn", key });
  for (const key of new Set([...removed, ...without])) say({ kind: "removed", key });
  for (const key of without) if (statements.hadOffice(key)) say({ kind: "demoted", key });
  // Who is a member by the word of the admins that are kept.
  const byOthers = after(wishes);
  const isHeldSince = (key: MemberId, at: number) => {
    const other = certificateBy(byOthers, key, now);
    return other !== undefined && other.at > at && !doubt.isDoubtful(other, byOthers);
  };
  const members = lastCertificates(said);
  for (const [key, statement] of members) {
    const { at, until } = statement;
    // What is hidden is not forgotten when it ends, and nobody takes it in any more.
    const isOver = until + ENDED_KEPT < secondsOf(now);
    if (isOut(key) || byOthers.statements.isRemoved(key) || isOver || isHeldSince(key, at)) {
      members.delete(key);
    } else sayAnew(signedAnew(statement));
  }
  // Offices that are not kept and were not put out: whoever was known before stays a member; whom the thief has promoted
  // out of nothing, under whatever name, does not by that.
  const former = [...statements.admins()].filter((id) => !isOut(id));
  for (const id of former) {
    const last = certificateBefore(mesh, hidden, id, since);
    if (last === undefined || members.has(id) || byOthers.statements.isRemoved(id)) continue;
    if (isHeldSince(id, last.at)) continue;
    const { certificate } = last;
    const draft = { kind: "member", certificate, until: untilOf(now), token: undefined } as const;
    say(draft, sinceOf(certificate));
  }
  // A guest ends with its host, whoever signed for it.
  let withMembers: Judge | undefined; // Where nobody has guests nobody asks, and it costs as much as a plan.
  const isGone = (host: MemberId) => !isMemberBy(withMembers ??= after(wishes), host, now);
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
  // While the thief's office stood against it, an admin's removal was nothing.
  const byAdmins = former.filter((id) => !removed.has(id) && byOthers.statements.isRemoved(id));
  // A key signs so many, and some are for later: whom it cannot certify now is named, and all else is done.
  const signed = wishes.toSorted((a, b) => rankOf(a) - rankOf(b)).slice(0, NUMBER_MAX - RESERVE);
  const outlook = outlookOf(mesh, now, after(signed), doubt, without);
  return {
    wishes: signed,
    admins: called([...kept.keys()]),
    out: called([...without]),
    members:
      signed.filter(({ draft }) => draft.kind === "member" && members.has(draft.certificate.key))
        .length,
    stays: former.filter(outlook.isMember).map((id) => nameOf(mesh, id)).sort(),
    outlook,
    removals: removed.size,
    broughtBack: broughtBack(
      mesh,
      saidEver,
      isKept,
      (key) => isOut(key) || byOthers.statements.isRemoved(key) || statements.isAdmin(key),
    ),
    reinstated: reinstated(saidEver, isKept, kept),
    removedByOthers: byAdmins,
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
function certificateBefore(
  { statements }: Mesh,
  hidden: Hidden,
  key: MemberId,
  since: number,
): CertificateStatement | undefined {
  let last: CertificateStatement | undefined;
  const shown = Array.from(statements.about(key), ({ hash }) => statements.get(hash));
  for (const held of [...shown, ...hidden.get(key) ?? []]) {
    const statement = held && held.seen < since ? held.statement : undefined;
    if (statement?.kind !== "admin" && statement?.kind !== "member") continue;
    if (statement.at >= (last?.at ?? 0)) last = statement;
  }
  return last;
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
