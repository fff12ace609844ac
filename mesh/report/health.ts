/**
 * What is wrong with a node or its mesh, and what to do about it: an ordered list of small checks, each
 * of which says nothing or a few sentences.
 */
import { wayOn } from "../admin/ahead.ts";
import {
  adminNames,
  bearersOf,
  meshKeyKeepers,
  nameOf,
  namesOf,
  thiefAdvice,
} from "../admin/authority.ts";
import { toldApart } from "../admin/doubtful.ts";
import { VERSION } from "../datagram.ts";
import type { Door } from "../door/door.ts";
import { refusalText } from "../door/entry.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import { type Now, secondsOf } from "../machine.ts";
import { formatPool } from "../membership/genesis.ts";
import { type Identity, type MemberId, mirrorOf } from "../membership/identity.ts";
import { GUESTS_PER_HOST } from "../membership/guests.ts";
import { CLOCK_SKEW, type Judgement, type Refusal, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { RESERVE } from "../membership/sight.ts";
import { subjectOf } from "../membership/statement.ts";
import { isOfClock } from "../membership/untimely.ts";
import type { OtherVersion } from "../wire/other_versions.ts";
import type { JoinState } from "../status.ts";
import type { Tunnels } from "../tunnel/tunnels.ts";
import type { FactReader } from "../tunnel/types.ts";

/** Seconds before the end of a membership in which `status` warns. */
const EXPIRY_WARNING = 30 * 86_400;
/** How many a line names, and over-used tokens and twins that have a line each. */
const CULPRITS_NAMED = 5;
const LINES_EACH = 5;
const GUEST_LINES = 10;

export interface ReportSources {
  readonly identity: Identity;
  readonly name: string;
  readonly port: number;
  readonly isOpen: boolean;
  readonly state: JoinState;
  /** What keeps us from talking to anybody of the mesh. */
  readonly complaints: readonly string[];
  /** Members that do not take us for one, by what they say. */
  readonly refusals: ReadonlyMap<Refusal, readonly MemberId[]>;
  readonly mesh: Mesh | undefined;
  readonly door: Door | undefined;
  readonly otherVersions: readonly OtherVersion[];
  readonly tunnels: Tunnels;
  readonly facts: FactReader;
  readonly drops: Readonly<Record<string, number>>;
}

export function health(now: Now, sources: ReportSources): string[] {
  const { mesh } = sources;
  const judgement = mesh?.judge.judge(mesh.id, secondsOf(now));
  const isRevoked = judgement?.kind === "refused" && judgement.why === "removed";
  const isOut = mesh !== undefined && judgement !== undefined && (isRevoked ||
    waitsForAdmin(now, mesh, sources) && isStranger(judgement));
  // Nobody answers who takes us for a stranger, and each refuses a key that was revoked: neither the network nor a port is
  // to blame then.
  const seeds = isOut ? [] : [...sources.complaints, ...joining(sources)];
  const lines = [...laboratory(sources), ...seeds];
  const unasked: readonly MeshCheck[] = isRevoked ? [alone, ...OF_ADMINS] : isOut ? [alone] : [];
  if (mesh) {
    for (const check of CHECKS) {
      if (!unasked.includes(check)) lines.push(...check(now, mesh, sources));
    }
  }
  return [...lines, ...strangers(sources)];
}

/** Whether no certificate of this node counts, and a person has to give it one. */
function waitsForAdmin(now: Now, mesh: Mesh, { state }: ReportSources): boolean {
  const judgement = mesh.judge.judge(mesh.id, secondsOf(now));
  if (judgement.kind === "member" || !NO_CERTIFICATE.includes(judgement.why)) return false;
  // Who has a token in hand, or is trusted by one member alone, waits for something else.
  return state === "member" || mesh.admission === undefined && mesh.roster.size > 0;
}

function isStranger(judgement: Judgement): boolean {
  return judgement.kind === "refused" && judgement.why === "stranger";
}

const NO_CERTIFICATE: readonly Refusal[] = ["stranger", "tokenUsedUp", "tokenRevoked"];

type MeshCheck = (now: Now, mesh: Mesh, sources: ReportSources) => string[];

const CHECKS: readonly MeshCheck[] = [
  requests,
  ownMembership,
  refusals,
  ownClock,
  unsteadyClock,
  ownTwin,
  twins,
  falseFarewells,
  overuse,
  pairs,
  mirrors,
  voids,
  departedAdmins,
  elsewhere,
  meshKey,
  numbers,
  untimely,
  outdated,
  unfinished,
  alone,
  ownName,
  ownAddress,
  addresses6,
  guests,
];

/** What a person has to settle in a mesh of which this node is a member. */
const OF_ADMINS: readonly MeshCheck[] = [requests, overuse, pairs, mirrors, voids, departedAdmins];

function laboratory({ isOpen, mesh }: ReportSources): string[] {
  if (!isOpen) return [];
  const isAdmin = mesh?.statements.isAdmin(mesh.id) ?? false;
  return [
    isAdmin
      ? "OPEN: everybody who asks is admitted: for laboratories only, start without --open"
      : "--open does nothing: this node is no admin, and only admins can admit",
  ];
}

function joining({ state, name, identity }: ReportSources): string[] {
  if (state === "joining") return ["joining: no seed has let this node in yet"];
  if (state !== "pending") return [];
  return [
    "pending: a seed shows our request: an admin admits us with " +
    `\`shoal approve --name ${name} ${identity.id}\``,
  ];
}

/** Who asks is shown by the member that was asked, admin or not; only an admin can let it in. */
function requests(_now: Now, mesh: Mesh, { door }: ReportSources): string[] {
  const count = door?.list().length ?? 0;
  if (count === 0) return [];
  const asks = count === 1 ? "1 machine asks" : `${count} machines ask`;
  if (mesh.statements.isAdmin(mesh.id)) {
    return [`${asks} for admission: \`shoal approve NAME\` admits one that you know`];
  }
  return [
    `${asks} for admission, and this node is no admin: on ` +
    `${namesOf(adminNames(mesh), "an admin")}, \`shoal approve KEY --name NAME\` admits one that ` +
    "you know",
  ];
}

function ownMembership(now: Now, mesh: Mesh, sources: ReportSources): string[] {
  const { id } = mesh;
  const judgement = mesh.judge.judge(id, secondsOf(now));
  if (judgement.kind === "member") {
    const { until, standing } = judgement.membership;
    const left = until - now.wall / 1000;
    if (left > EXPIRY_WARNING) return [];
    const when = rfc3339(until);
    if (standing === "provisional") {
      return [
        `provisional: a token has let this node in, and no admin has certified it yet: that has to ` +
        `happen until ${when}, by an admin's node that is switched on, or \`shoal approve ${id}\``,
      ];
    }
    return [
      `the membership ends ${when}, in ${Math.max(0, Math.ceil(left / 86_400))} days: ` +
      `an admin renews it with \`shoal approve ${id}\``,
    ];
  }
  if (waitsForAdmin(now, mesh, sources)) {
    return [
      "out: no certificate of this node counts: an admin gives it one: " +
      `\`shoal approve --name ${sources.name} ${id}\``,
    ];
  }
  switch (judgement.why) {
    case "removed":
      return [
        "revoked: this node's key was revoked: it can come back only as a new node: " +
        "`shoal identity renew`",
      ];
    case "expired":
      return [
        `expired: ${judgement.detail}: an admin renews it with \`shoal approve ${id}\``,
      ];
    default:
      return [];
  }
}

/** What others say of us while we know nothing of it: their word, which we need not believe. */
function refusals(now: Now, mesh: Mesh, { refusals }: ReportSources): string[] {
  if (mesh.membership(now) === undefined) return []; // We know ourselves that we are none.
  return [...refusals].slice(0, LINES_EACH).map(([why, members]) => {
    const names = namesOf(members.map((id) => mesh.roster.nameOf(id)).sort(), "");
    const refuse = members.length === 1 ? "refuses" : "refuse";
    return `${names} ${refuse} us: ${refusalText(why, mesh.id)}`;
  });
}

function ownClock(now: Now, mesh: Mesh): string[] {
  const own = mesh.statements.certificate(mesh.id);
  if (!own || own.at <= now.wall / 1000 + CLOCK_SKEW) return [];
  const counts = mesh.judge.certificate(mesh.id, secondsOf(now));
  // Signed by the same key under a higher number, the one that counts is the newer word: nobody has to do anything.
  if (counts && counts.signer === own.signer && counts.number > own.number) return [];
  // Where an earlier certificate counts, the clock of who signed may be the wrong one.
  const advice = mesh.membership(now)
    ? "compare the clocks of both machines: until then an earlier certificate counts"
    : `set the clock; if it is right, ${wayOn(mesh, now, own)}`;
  return [
    `clock: it is ${rfc3339(secondsOf(now))} here, and this node's certificate was signed ` +
    `${rfc3339(own.at)}: ${advice}`,
  ];
}

function unsteadyClock(now: Now, _mesh: Mesh, { tunnels }: ReportSources): string[] {
  const times = tunnels.clockLeaps(now);
  if (times === 0) return [];
  return [
    `clock: it was set ${times} times in a row, as where two programs do that by turns, and each ` +
    "time sessions begin anew: let one time service alone set it",
  ];
}

function ownTwin(_now: Now, mesh: Mesh): string[] {
  const { twin } = mesh.own;
  if (!twin) return [];
  const where = twin.endpoint ? ` at ${formatEndpoint(twin.endpoint)}` : "";
  return [
    `key: another machine${where} uses this node's key, too: its disk or this one is a copy: on the ` +
    "copy, `shoal identity renew` makes it a node of its own; `shoal approve` then admits it",
  ];
}

function twins(_now: Now, mesh: Mesh): string[] {
  return [...mesh.copies.twins.alarms()].slice(0, LINES_EACH).map(
    ({ id, firstPlace, otherPlace, mayBeOurs }) => {
      const name = mesh.roster.nameOf(id) || id.slice(0, 16);
      if (mayBeOurs) {
        return `key: somebody at ${placeOf(otherPlace)} speaks for ${name} (${
          placeOf(firstPlace)
        }) ` +
          "with a copy of its key or of this node's: look who can read the disks and backups of both; " +
          "`shoal identity renew` gives a machine a new key";
      }
      return `key: the key of ${name} is used by two machines, ${placeOf(firstPlace)} and ` +
        `${placeOf(otherPlace)}: a disk was copied; tunnels stay with the first: on the copy, ` +
        "`shoal identity renew` makes it a node of its own; `shoal approve` then admits it";
    },
  );
}

/** Whose program goes on after a farewell in its name. */
function falseFarewells(now: Now, mesh: Mesh): string[] {
  return [...mesh.copies.farewells.all(now).take(LINES_EACH)].map(([id, { place }]) => {
    const name = mesh.roster.nameOf(id) || id.slice(0, 16);
    return `key: somebody at ${
      placeOf(place)
    } says that ${name} leaves, and ${name} goes on: that one has a copy of its ` +
      "key or of this node's: look who can read the disks and backups of both; `shoal identity renew` gives a machine a " +
      "new key";
  });
}

function placeOf(place: Endpoint | undefined): string {
  return place ? formatEndpoint(place) : "an unknown place";
}

/** Whose handshakes R37 refuses; this node begins them instead, so that data flows all the same. */
function outdated(now: Now, { roster }: Mesh, { tunnels }: ReportSources): string[] {
  const names = Iterator.from(tunnels.outdated(now)).take(CULPRITS_NAMED + 1).flatMap((peer) => {
    const member = roster.byPeer(peer);
    return member ? [roster.nameOf(member.id) || member.id.slice(0, 16)] : [];
  }).toArray();
  if (names.length === 0) return [];
  if (names.length > CULPRITS_NAMED) names[CULPRITS_NAMED] = "\u2026";
  return [
    `clock: handshakes of ${names.join(", ")} bear an older time than earlier ones, so this node ` +
    "begins them instead: compare the clocks of both machines; if they agree, somebody sends copies",
  ];
}

/** In whose name handshakes are begun by somebody who has no session of it. */
function unfinished(now: Now, { roster }: Mesh, { tunnels }: ReportSources): string[] {
  return Iterator.from(tunnels.unfinished(now)).take(LINES_EACH).flatMap(({ peer, place }) => {
    const member = roster.byPeer(peer);
    if (!member) return [];
    const name = roster.nameOf(member.id) || member.id.slice(0, 16);
    return [
      `key: somebody begins handshakes with a copy of ${name}'s key, or of this node's, from ` +
      `${
        placeOf(place)
      }, and does not finish them: look who can read the disks and backups of both; ` +
      "`shoal identity renew` gives a machine a new key",
    ];
  }).toArray();
}

function overuse(_now: Now, mesh: Mesh): string[] {
  const over = [...mesh.judge.overused()];
  const lines = over.slice(0, LINES_EACH).map(({ token, uses, taken, surplus }) => {
    const all = [...taken, ...surplus];
    const names = all.slice(0, CULPRITS_NAMED)
      .map((id) => id === mesh.id ? mesh.name : mesh.roster.nameOf(id) || id.slice(0, 16));
    if (all.length > CULPRITS_NAMED) names.push("\u2026");
    const id = token.slice(0, 8);
    return `the invite ${id} for ${uses} was used by more (${
      names.join(", ")
    }): those beyond are ` +
      `refused; \`shoal invite --revoke ${id}\` ends it, \`shoal revoke\` those that you do not know`;
  });
  if (over.length <= LINES_EACH) return lines;
  return [...lines, `${over.length - LINES_EACH} more invites were used by more than they allowed`];
}

function pairs(_now: Now, mesh: Mesh): string[] {
  const { statements } = mesh;
  const open = [...statements.pairs()].filter((pair) => statements.isOpen(pair));
  return open.slice(0, LINES_EACH).map(({ signer, number, hashes }) => {
    const isMeshKey = signer === mesh.statements.meshKey;
    if (signer === mesh.genesis.recoveryKey.toHex()) {
      return "the recovery words were used on two machines that had not heard each other, or are in other hands: one of the " +
        "two mesh keys counts everywhere, and what the other signed does not: say again what was meant";
    }
    const who = isMeshKey ? "the mesh key" : mesh.roster.nameOf(signer) || signer.slice(0, 16);
    const missing = hashes.flatMap((hash) => missingIn(mesh, hash));
    const again = missing.length > 0
      ? `${namesOf(missing, "")} does not count: say it again if it was meant`
      : "look at what it signed";
    const cause = isMeshKey
      ? "it was used on two machines that had not heard each other, its disk was copied or restored, or it " +
        `was stolen: ${again}, and \`shoal recover\``
      : `its disk was copied or restored, or its key stolen: ${again}, and demote it`;
    return `${who} has signed two things under one number (${number}): ${cause} if you do not know why`;
  });
}

/**
 * Keys that are certified and refused, as another has their tunnel key. No honest admin's node certifies both, so there is
 * a thief. Which of the two is the copy a node knows only where it had met the one before it heard of the other.
 */
function mirrors(_now: Now, mesh: Mesh): string[] {
  const { statements } = mesh;
  const victims = new Map<string, Set<string>>();
  const lines: string[] = [];
  for (const [first, refused] of mirrorPairs(mesh)) {
    const signer = statements.certificate(refused)?.signer ?? "";
    if (!statements.isHeld(first)) {
      lines.push(uncertified(mesh, first, refused, signer));
    } else if (wasMetBefore(mesh, first, refused)) {
      victims.set(signer, (victims.get(signer) ?? new Set()).add(nameOf(mesh, first)));
    } else {
      lines.push(undecided(mesh, first, refused));
    }
  }
  const accused = [...victims].slice(0, LINES_EACH).map(([signer, names]) =>
    `${nameOf(mesh, signer)} has certified another key with the tunnel key of ${
      namesOf([...names].sort(), "")
    }, which is refused: if nobody meant that, ${thiefAdvice(mesh, signer)}`
  );
  if (lines.length <= LINES_EACH) return [...accused, ...lines];
  const more = `${lines.length - LINES_EACH} more tunnel keys have two certified keys`;
  return [...accused, ...lines.slice(0, LINES_EACH), more];
}

/** Of two keys with one tunnel key that which is a member, and the other, which is certified. */
function* mirrorPairs({ statements, judge, roster, id }: Mesh): Generator<[MemberId, MemberId]> {
  for (const key of statements.mirrored()) {
    const first = statements.isHeld(key) ? judge.mirrorBefore(key) : undefined;
    if (first !== undefined) yield [first, key];
  }
  for (const one of [id, ...Iterator.from(roster.members()).map((member) => member.id)]) {
    const other = mirrorOf(one);
    if (statements.wasCertified(one) || !statements.isHeld(other)) continue;
    if (judge.mirrorBefore(other) === one) yield [one, other];
  }
}

/** Whether a key is here, and was certified, as far as this node knows, before it heard that another was. */
function wasMetBefore({ statements, roster, id }: Mesh, key: MemberId, other: MemberId): boolean {
  const heard = (one: MemberId) => {
    let first = Infinity;
    for (const statement of statements.about(one)) {
      const isCertificate = statement.kind === "member" || statement.kind === "admin";
      if (!isCertificate || !statements.counts(statement)) continue;
      first = Math.min(first, statements.get(statement.hash)?.seen ?? Infinity);
    }
    return first;
  };
  return (key === id || roster.get(key) !== undefined) && heard(key) < heard(other);
}

/**
 * It has no certificate, so it may be the copy as well. An honest admin's node certifies on sight whom an invite let in: of a
 * copy that came by one first it knows no better.
 */
function uncertified(mesh: Mesh, first: MemberId, refused: MemberId, signer: string): string {
  const [who, name] = [nameOf(mesh, signer), nameOf(mesh, first)];
  const certificate = mesh.statements.certificate(refused);
  const isByInvite = certificate?.kind === "member" && certificate.token !== undefined;
  const thief = isByInvite
    ? ""
    : `, and if nobody meant that certificate, ${thiefAdvice(mesh, signer)}`;
  return `${who} has certified another key with the tunnel key of ${name}, which is here and not certified: one of the ` +
    `two machines has a copy of the other's folder: if ${name} is meant, \`shoal revoke ${refused}\`, then \`shoal approve ` +
    `--yes ${first}\`${thief}; if the other is meant, \`shoal revoke ${first}\``;
}

/** Both are certified, and nothing shows which of the two signers is honest. */
function undecided(mesh: Mesh, first: MemberId, refused: MemberId): string {
  const { statements } = mesh;
  const of = (key: MemberId) => {
    const signer = statements.certificate(key)?.signer ?? "";
    const name = statements.certificate(key)?.certificate.name ?? "";
    return {
      by: nameOf(mesh, signer),
      text: `${name} (${key})`,
      advice: thiefAdvice(mesh, signer),
    };
  };
  const [one, other] = [of(first), of(refused)];
  const whose = one.by === other.by ? one.by : `${one.by} or ${other.by}`;
  return `two keys with one tunnel key are certified: ${one.text} by ${one.by}, which is first here, and ${other.text} by ` +
    `${other.by}: one of them is a thief's, who has the key of ${whose}, or a copy of the other's folder and an invite: if the first is meant, \`shoal revoke ` +
    `${refused}\`, and ${other.advice}; if the other is meant, \`shoal revoke ${first}\`, and ${one.advice}`;
}

/** What a statement that lost its number was to do, as people call it, unless another has done it. */
function missingIn(mesh: Mesh, hash: string): string[] {
  const { statements } = mesh;
  const lost = statements.lost(hash);
  if (!lost) return [];
  const key = subjectOf(lost);
  const who = nameOf(mesh, key);
  switch (lost.kind) {
    case "admin":
      return statements.hadOffice(key) ? [] : [`the office of ${who}`];
    case "demoted":
      return statements.isAdmin(key) ? [`the end of the office of ${who}`] : [];
    case "member":
      return statements.certificate(key) || statements.isRemoved(key)
        ? []
        : [`the certificate of ${who}`];
    case "removed":
      return statements.isRemoved(key) || statements.hasLeft(key) ? [] : [`the removal of ${who}`];
    case "token":
      return statements.token(key) ? [] : [`the invite ${key.slice(0, 8)}`];
    case "withdrawn":
      return statements.isWithdrawn(key)
        ? []
        : [`the end of the invite or guest ${key.slice(0, 8)}`];
    case "guest":
      return statements.guest(key) || statements.isWithdrawn(key)
        ? []
        : [`the guest ${lost.certificate.name}`];
    case "successor":
    case "left":
      return [];
  }
}

function voids(_now: Now, mesh: Mesh): string[] {
  const found = new Map<MemberId, string>();
  for (const statement of mesh.statements.void()) {
    if (statement.kind === "removed") continue;
    const { key, name } = statement.certificate;
    if (!mesh.statements.isSettled(key)) found.set(key, name);
  }
  if (found.size === 0) return undone(mesh);
  const { names, which } = settledBy(mesh, found);
  return [
    ...undone(mesh),
    `the certificates of ${names} do not count any more, since the office ` +
    "of their signer, or their own, ended: " +
    `\`shoal approve ${which}\` or \`shoal revoke ${which}\` settles each`,
  ];
}

/** By what a person can name each: by its name, or, where one of these names is another's as well, all by their keys. */
function settledBy(mesh: Mesh, found: ReadonlyMap<MemberId, string>) {
  const all = Array.from(found, ([id, name]) => ({ id, name }))
    .sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1);
  const isClear = toldApart(mesh, all).every((told, i) => told === all[i]?.name);
  const named = all.map(({ id, name }) => isClear ? name : `${name} (${id.slice(0, 16)})`);
  return { names: namesOf(named, ""), which: isClear ? "NAME" : "KEY" };
}

/** Members that somebody had put out whose office ended after that: perhaps a thief's work, perhaps not. */
function undone(mesh: Mesh): string[] {
  const { statements } = mesh;
  const back = new Map<MemberId, string>();
  for (const statement of statements.void()) {
    if (statement.kind !== "removed" || statements.isRemoved(statement.key)) continue;
    const certificate = statements.certificate(statement.key);
    // Who was certified after that was meant to be in.
    if (certificate === undefined || certificate.at > statement.at) continue;
    if (!statements.hasLeft(statement.key)) back.set(statement.key, certificate.certificate.name);
  }
  if (back.size === 0) return [];
  const { names, which } = settledBy(mesh, back);
  return [
    `the removals of ${names} do not count any more, since the office of their signer ended: ` +
    `\`shoal revoke ${which}\` or \`shoal approve ${which}\` settles each`,
  ];
}

/**
 * A farewell ends no office, since what an admin signed is to outlast its membership. Whoever has its disk, or an old copy,
 * goes on signing, until a person ends the office.
 */
function departedAdmins(_now: Now, mesh: Mesh): string[] {
  const { statements, signer } = mesh;
  const gone = [...statements.admins()].filter((id) => id !== mesh.id && statements.hasLeft(id));
  const keepers = meshKeyKeepers(mesh);
  const where = signer.hasMeshKey
    ? ""
    : keepers.length > 0
    ? ` on ${namesOf(keepers, "")}`
    : " where the mesh key is, or `shoal recover`,";
  const lines = gone.slice(0, LINES_EACH).map((id) => {
    const name = nameOf(mesh, id);
    const isClear = [...bearersOf(mesh, name)].every((one) => one === id);
    const [who, meant] = isClear ? [name, name] : [`${name} (${id.slice(0, 16)})`, id.slice(0, 16)];
    return `${who} has left, and its office as an admin goes on: whoever has a copy of its disk can certify and ` +
      `remove members: \`shoal demote ${meant}\`${where} ends that; if its disk was stolen, ` +
      `\`shoal revoke ${meant} --since TIME\``;
  });
  if (gone.length <= LINES_EACH) return lines;
  return [...lines, `${gone.length - LINES_EACH} more admins have left, and their offices go on`];
}

function elsewhere(_now: Now, { signedElsewhere, name, statements, id }: Mesh): string[] {
  // Once its office has ended nothing that is signed with it counts.
  if (signedElsewhere === 0 || !statements.isEntitled(id)) return [];
  const things = signedElsewhere === 1 ? "1 thing was" : `${signedElsewhere} things were`;
  return [
    `${things} signed with this node's key, and not by this machine: unless its disk was restored from a copy, somebody ` +
    `else has that key: \`shoal revoke ${name} --since TIME\`, where the mesh key is, ends it`,
  ];
}

function meshKey(_now: Now, mesh: Mesh): string[] {
  if (!mesh.signer.keepsMeshKey || mesh.signer.hasMeshKey) return [];
  return [
    "the mesh key on this machine was replaced by another and is good for nothing any more: " +
    "`shoal mesh-key seal --yes` removes it; if a `shoal recover` was cut off here, run it again",
  ];
}

/** What an admin's node signs by itself leaves some numbers for people. */
function numbers(_now: Now, mesh: Mesh): string[] {
  const left = mesh.signer.numbersLeft("own");
  if (!mesh.statements.isAdmin(mesh.id) || left > RESERVE) return [];
  return [
    `numbers: this admin can sign ${left} more statements, and certifies nobody by itself any more: ` +
    "`shoal approve` each who comes by an invite, or `shoal promote` another admin",
  ];
}

function untimely(now: Now, mesh: Mesh): string[] {
  const seconds = secondsOf(now);
  const names: string[] = [];
  for (const { id } of mesh.untimely.records()) {
    const judgement = mesh.judge.judge(id, seconds);
    if (judgement.kind === "member" || !isOfClock(judgement.why)) continue;
    names.push(mesh.statements.certificate(id)?.certificate.name ?? id.slice(0, 16));
  }
  const count = names.length;
  if (count === 0) return [];
  const whose = count === 1
    ? "the certificate of a member is"
    : `the certificates of ${count} members are`;
  const here = rfc3339(seconds);
  const isOurs = mesh.statements.isAdmin(mesh.id) || mesh.signer.hasMeshKey;
  const where = isOurs ? "" : `, on ${namesOf(adminNames(mesh), "an admin")}`;
  // Who is out by its own clock learns first how that is put right.
  const advice = mesh.membership(now)
    ? `: if this clock is right, \`shoal approve NAME\`${where} renews each`
    : "";
  return [
    `clock: ${whose} not valid at this machine's time, ${here} (${
      namesOf(names.sort(), "")
    }): compare the clocks${advice}`,
  ];
}

function alone(now: Now, mesh: Mesh): string[] {
  const deafFor = mesh.deafFor(now);
  if (deafFor !== undefined && !mesh.own.twin && !mesh.isRemoved) {
    const seconds = Math.round(deafFor / 1000);
    return [
      `alone: nothing has come from any member for ${seconds} s, and one is asked each second: is the ` +
      `network up, and does every firewall let UDP in to this node?`,
    ];
  }
  const states = new Set(Array.from(mesh.swim.members(), ({ status }) => status));
  if (!states.has("dead") || states.has("alive") || mesh.own.twin) return [];
  if (mesh.isRemoved) return []; // Then nobody answers us, and that is said.
  return ["alone: no member answers: is the network up, and their UDP ports open?"];
}

function ownName(now: Now, mesh: Mesh): string[] {
  const wished = mesh.membership(now)?.name;
  const { name } = mesh;
  if (wished === undefined || wished === name) return [];
  return [
    `another member is called ${wished}: this node is called ${name} until an admin gives it ` +
    `another name: \`shoal approve ${mesh.id} --name NAME\``,
  ];
}

function ownAddress(now: Now, mesh: Mesh): string[] {
  const { roster } = mesh;
  if (roster.isPoolFull) {
    const own = roster.ip4(mesh.id) ? "" : ", and this node is one of them";
    return [
      `all IPv4 addresses of the mesh, ${
        formatPool(mesh.genesis.pool)
      }, are taken: members beyond ` +
      `them have an IPv6 address alone${own}. \`shoal revoke\` whoever is gone for good; ` +
      "the network of a mesh is fixed when it is founded (--pool)",
    ];
  }
  if (mesh.membership(now) === undefined || roster.ip4(mesh.id) !== undefined) return [];
  return [
    "another member has our IPv4 address: an admin's node gives us the next free one when it hears " +
    "of us",
  ];
}

/** Members whose key has another's IPv6 address: by accident once in 2^32 members, else somebody has looked for it. */
function addresses6(_now: Now, mesh: Mesh): string[] {
  const { roster } = mesh;
  const lines = mesh.ownIp6 ? [] : [
    "another member has our IPv6 address, which follows from the key: " +
    "`shoal identity renew` gives this node a new key, with another",
  ];
  const losers = [...roster.members()].filter(({ id }) => roster.hasLostIp6(id));
  if (losers.length === 0) return lines;
  const names = namesOf(losers.map(({ id }) => roster.nameOf(id)), "");
  return [
    ...lines,
    `${names} has no IPv6 address: another member has the one that its key gives. By accident that happens once in ` +
    "2^32 members, else somebody made the key for it: ask whose machine it is, and `shoal revoke NAME` puts it out; " +
    "`shoal identity renew` there gives it another key",
  ];
}

/** Guests that are not served as a person meant it, and those whose time ends. */
function guests(now: Now, mesh: Mesh): string[] {
  const { guests } = mesh.guests;
  const lines: string[] = [];
  for (const [host, count] of guests.surplus) {
    const name = host === mesh.id ? "this node" : mesh.roster.nameOf(host);
    lines.push(
      `guests: ${count} beyond the ${GUESTS_PER_HOST} that ${name} serves are not served: ` +
        "`shoal guest remove NAME` those that nobody needs",
    );
  }
  for (const guest of guests.of(mesh.id)) {
    const name = guests.nameOf(guest);
    if (!guests.ip4(guest)) {
      lines.push(
        `guest ${name}: another has its IPv4 address: \`shoal guest remove ${name}\`, and add it anew ` +
          "with a new key",
      );
    }
    const left = guest.until - now.wall / 1000;
    if (left > EXPIRY_WARNING || left < 0) continue;
    const days = Math.ceil(left / 86_400);
    lines.push(
      `guest ${name}: it is served until ${rfc3339(guest.until)}, ${days} days more: ` +
        `\`shoal guest renew ${name}\` serves it longer`,
    );
  }
  return lines.slice(0, GUEST_LINES);
}

/** Machines that cannot talk to us. */
function strangers({ otherVersions }: ReportSources): string[] {
  return otherVersions.map(({ version, endpoint }) =>
    `a machine at ${formatEndpoint(endpoint)} speaks version ${version} of shoal's protocol, ` +
    `which this node does not: update shoal ${version < VERSION ? "there" : "here"}`
  );
}
