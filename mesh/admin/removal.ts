/**
 * Three different acts (invariant 4): `demote` ends an office, `revoke` ends a membership, and an
 * admin's office with it, `leave` is one's own.
 */
import { type Decoded, refusal } from "../codec.ts";
import type { Crypto } from "../crypto.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import { type MemberId, mirrorOf } from "../membership/identity.ts";
import { CLOCK_SKEW, rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { isKey } from "../membership/roster.ts";
import { signStatement, type Statement, subjectOf } from "../membership/statement.ts";
import type { Held } from "../membership/statements.ts";
import {
  authorityOf,
  counted,
  type Insistence,
  listOf,
  meshKeyKeepers,
  meshKeyOf,
  nameOf,
  namesOf,
  otherAdmins,
} from "./authority.ts";
import {
  certificateOf,
  keysOf,
  namesakesFault,
  saidBy,
  signedAt,
  unmetNamed,
  untilOf,
  voidMembers,
} from "./certificates.ts";
import { toldApart } from "./doubtful.ts";
import { keptLine } from "./ends.ts";
import {
  carryOut,
  estateLines,
  estateOf,
  estateWarnings,
  outlookAfter,
  type Plan,
  type Planned,
  type Wish,
} from "./plan.ts";

/**
 * Seconds for which what an admin has signed may be on its way when its farewell is heard. What comes later is taken for
 * the word of somebody who has its disk.
 */
const FAREWELL_GRACE = 600;

export interface RevokeOptions extends Insistence {
  /** Unix seconds: what an admin signed since then is not signed anew. */
  readonly since?: number;
}

/** The admin that a person names; it may be this node, or one that is not here now. */
function adminNamed(mesh: Mesh, what: string, who: string): Decoded<MemberId> {
  const meant = mesh.meant(who);
  const { statements } = mesh;
  // Of two certified by one name, one may be a thief's.
  const isCalled = (id: MemberId) =>
    nameOf(mesh, id) === meant || statements.certificate(id)?.certificate.name === meant;
  const named = [...statements.admins()].filter((id) =>
    isCalled(id) || id === meant || meant.length >= 8 && id.startsWith(meant)
  );
  const [one, ...others] = named;
  if (one === undefined) {
    return refusal(`${what}: ${who} is no admin: \`shoal status\` marks those that are`);
  }
  if (others.length === 0) return { ok: true, value: one };
  return refusal(`${what}: ${named.length} admins match ${who}: say which key: ${keysOf(named)}`);
}

/** Which admin's list should be asked for before a command about it is planned. */
export function adminToAsk(mesh: Mesh, who: string): MemberId | undefined {
  const named = adminNamed(mesh, "", who);
  return named.ok && named.value !== mesh.id ? named.value : undefined;
}

/**
 * Who signs anew what an admin has signed: this node as an admin, or the mesh key, which is here. It
 * does also where this admin has not got the numbers, or thieves have filled the room that admins have: their end must
 * not fail by that.
 */
function heirOf(
  mesh: Mesh,
  now: Now,
  admin: MemberId,
  isKept: (held: Held) => boolean,
  isExpelled = false,
): Wish["by"] {
  if (!mesh.statements.isAdmin(mesh.id) || mesh.id === admin) return "mesh";
  const { wishes } = estateOf(mesh, now, admin, "own", isKept, isExpelled);
  // One more, since whoever is demoted is certified as a member.
  const left = Math.min(mesh.signer.numbersLeft("own"), mesh.statements.roomOfAdmins);
  return wishes.length + 1 <= left ? "own" : "mesh";
}

/** When the certificate that a key has now was signed. */
function sinceOf(mesh: Mesh, id: MemberId, now: Now): Pick<Wish, "since"> {
  const at = signedAt(mesh, id, now);
  return at === undefined ? {} : { since: at };
}

/** What a person must agree to when an admin goes. */
function officeWarnings(mesh: Mesh, admin: MemberId): string[] {
  const warnings: string[] = [];
  if (admin === mesh.id) warnings.push("this node itself is no admin any more");
  const others = [...mesh.statements.admins()].filter((id) => !mesh.statements.hasLeft(id));
  if (others.length > 0 && others.every((id) => id === admin)) {
    warnings.push(
      "it is the last admin: nobody can invite, approve or revoke until you promote somebody",
    );
  }
  return warnings;
}

/**
 * Its record proves that the mesh key lies on a member's disk: whoever has that disk makes and unmakes admins, whatever
 * becomes of the member itself.
 */
function meshKeyLines(mesh: Mesh, id: MemberId, name: string, isExpelled: boolean): string[] {
  if (!mesh.meshKeyHolders().has(id)) return [];
  return [
    `${name} has the mesh key, and this does not end that: whoever has its disk can make admins ` +
    `until \`shoal recover${
      isExpelled ? ` --without ${name}` : ""
    }\`, by the recovery words, names another mesh key`,
  ];
}

/** Of an admin that has left, what is taken for its own word, and what of that a thief can have dated back. */
interface LastWord {
  /** Unix seconds by our clock until which it was heard. */
  readonly heardUntil: number;
  /** Unix seconds by the clock of the admin at which it left. */
  readonly saidUntil: number;
  readonly isKept: (held: Held) => boolean;
  /** Heard well after the time at which it left: who was off then heard both at once, and any time can be signed. */
  readonly isDoubtful: (held: Held) => boolean;
}

function lastWordOf({ statements }: Mesh, admin: MemberId): LastWord {
  const farewell = statements.farewell(admin);
  const heard = farewell && statements.get(farewell.hash);
  const heardUntil = heard ? heard.seen + FAREWELL_GRACE : Infinity;
  const saidUntil = farewell?.at ?? Infinity;
  const isLate = ({ seen }: Held) => seen > saidUntil + FAREWELL_GRACE;
  // A certificate is signed later than others of its key, as far as clocks may differ.
  const isOwn = (held: Held) => !isLate(held) || held.statement.at <= saidUntil + CLOCK_SKEW;
  const isKept = (held: Held) => held.seen <= heardUntil && isOwn(held);
  const isDoubtful = (held: Held) => isKept(held) && isLate(held);
  return { heardUntil, saidUntil, isKept, isDoubtful };
}

/** What is signed anew of an admin that has left and was heard of after that alone, for a person to look at. */
function doubtfulWarnings(
  mesh: Mesh,
  admin: MemberId,
  name: string,
  { saidUntil, isKept, isDoubtful }: LastWord,
  wishes: readonly Wish[],
): string[] {
  if (saidUntil === Infinity) return [];
  const sayings = (all: Iterable<Held>) =>
    new Set(Array.from(all, ({ statement }) => `${statement.kind} ${subjectOf(statement)}`));
  const said = [...saidBy(mesh, admin)];
  const doubtful = sayings(said.filter(isDoubtful));
  const sure = sayings(said.filter((held) => isKept(held) && !isDoubtful(held)));
  const named = (kind: "member" | "removed") => {
    const keys = wishes.flatMap(({ draft }) =>
      draft.kind !== kind ? [] : draft.kind === "member" ? [draft.certificate.key] : [draft.key]
    ).filter((key) => doubtful.has(`${kind} ${key}`) && !sure.has(`${kind} ${key}`));
    return toldApart(mesh, [...new Set(keys)].map((id) => ({ id, name: nameOf(mesh, id) }))).sort();
  };
  const guests = wishes.flatMap(({ draft }) => {
    if (draft.kind !== "guest") return [];
    const { key, name } = draft.certificate;
    return doubtful.has(`guest ${key}`) && !sure.has(`guest ${key}`) ? [name] : [];
  });
  const parts = [["member", named("member")], ["removal", named("removed")], [
    "guest",
    guests.sort(),
  ]] as const;
  const all = parts.flatMap(([noun, names]) =>
    names.length === 0 ? [] : [`${counted(names.length, noun)} (${listOf(names)})`]
  );
  if (all.length === 0) return [];
  return [
    `${name} had left at ${
      rfc3339(saidUntil)
    }, and this node heard only afterwards of what is signed ` +
    `anew here: ${all.join(", ")}: whoever has a copy of its disk can have dated that back; ` +
    `\`shoal revoke ${name} --since ${
      rfc3339(saidUntil)
    }\` instead believes nothing that was heard later`,
  ];
}

/** Ends an admin's office; it stays a member, unless it has left. */
export function demote(
  mesh: Mesh,
  now: Now,
  who: string,
  { yes = false }: Insistence,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  const by = meshKeyOf(mesh, "demote", { yes });
  if (!by.ok) return by;
  const admin = adminNamed(mesh, "demote", who);
  if (!admin.ok) return admin;
  const id = admin.value;
  const name = nameOf(mesh, id);
  const lastWord = lastWordOf(mesh, id);
  const { heardUntil, saidUntil, isKept } = lastWord;
  const heir = heirOf(mesh, now, id, isKept);
  const estate = estateOf(mesh, now, id, heir, isKept);
  const judgement = mesh.judge.judge(id, secondsOf(now));
  const stays: Wish[] = [];
  if (judgement.kind === "member") {
    const certificate = certificateOf(mesh, now, judgement.membership);
    stays.push({
      by: heir,
      draft: { kind: "member", certificate, until: untilOf(now), token: undefined },
      ...sinceOf(mesh, id, now),
    });
  }
  const wishes: Wish[] = [
    ...estate.wishes,
    ...stays,
    { by: by.value, draft: { kind: "demoted", key: id } },
  ];
  const members = outlookAfter(mesh, now, estate, wishes);
  const plan: Plan = {
    who: { id, name },
    members,
    lines: [
      `${name} is no admin any more`,
      ...estateLines(mesh, name, estate, members),
      stays.length > 0 ? `${name} stays a member` : `${name} has left the mesh`,
      ...(heardUntil === Infinity ? [] : [
        `what this node heard of after ${rfc3339(heardUntil)}, or later than ${
          rfc3339(saidUntil)
        } with a later time in it, is not signed anew: ${name} had left by then`,
      ]),
      ...meshKeyLines(mesh, id, name, false),
    ],
    warnings: [
      // Nothing undoes this, so nobody does it by a slip.
      "an office ends for good: only with a new identity can it be an admin again",
      ...officeWarnings(mesh, id),
      ...estateWarnings(mesh, name, estate, members),
      ...doubtfulWarnings(mesh, id, name, lastWord, estate.wishes),
    ],
    wishes,
  };
  return carryOut(mesh, now, "demote", plan, yes, out);
}

/** Whom a member serves, and who ends with its membership. */
export function guestLines({ guests: { guests } }: Mesh, host: MemberId, name: string): string[] {
  const names = Array.from(guests.of(host), (guest) => guests.nameOf(guest)).sort();
  if (names.length === 0) return [];
  const end = names.length === 1 ? "ends" : "end";
  return [`${counted(names.length, "guest")} of ${name} ${end}: ${namesOf(names, "")}`];
}

/** Ends a membership for ever, and an admin's office with it. */
export function revoke(
  mesh: Mesh,
  now: Now,
  who: string,
  options: RevokeOptions,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  if (mesh.meant(who) === mesh.id || who === mesh.name) {
    return refusal(
      "revoke: that is this node itself: `shoal leave` ends its membership, and another admin can " +
        "revoke it",
    );
  }
  const fault = namesakesFault(mesh, "revoke", who);
  if (fault) return fault;
  const admin = adminNamed(mesh, "revoke", who);
  if (admin.ok) return revokeAdmin(mesh, now, admin.value, options, out);
  const found = isKey(who)
    ? undefined
    : mesh.find(who, (name) => `\`shoal guest remove ${name}\` ends it`, false);
  const before = found ? voidMembers(mesh, who) : [];
  const open = before.filter(({ isSettled }) => !isSettled);
  const unmet = found && !found.ok ? unmetNamed(mesh, who) : [];
  const meant = new Set(
    [...(found?.ok ? [found.value] : []), ...open, ...unmet].map(({ id }) => id),
  );
  if (meant.size > 1) {
    return refusal(`revoke: ${meant.size} machines match ${who}: say which key: ${keysOf(meant)}`);
  }
  const void_ = found?.ok ? undefined : before[0]?.id ?? unmet[0]?.id;
  if (found && !found.ok && void_ === undefined) {
    return refusal(`revoke: ${formerText(mesh, who) ?? found.error}`);
  }
  const id = void_ ?? (found?.ok ? found.value.id : who);
  const wasAdmin = mesh.statements.hadOffice(id);
  if (options.since !== undefined && !wasAdmin) {
    return refusal(
      `revoke: ${who} is no admin, and has signed nothing for others: leave out --since`,
    );
  }
  const member = mesh.roster.get(id);
  if (member?.membership.standing === "individual") {
    return refusal(
      `revoke: ${who} is trusted on this node alone and no member of the mesh: ` +
        `\`shoal untrust ${who}\` ends that`,
    );
  }
  // An admin's word is nothing against who was an admin once.
  const by = wasAdmin
    ? meshKeyOf(mesh, "revoke: who was an admin is removed by the mesh key", options)
    : authorityOf(mesh, "revoke", options);
  if (!by.ok) return by;
  const name = nameOf(mesh, id);
  if (mesh.statements.isRemoved(id)) return refusal(`revoke: ${name} (${id}) is revoked already`);
  const lines = [
    member
      ? `${name} is no member any more; its key cannot come back`
      : `the key ${id} cannot become a member any more`,
    ...guestLines(mesh, id, name),
    ...meshKeyLines(mesh, id, name, true),
    ...(options.since === undefined ? [] : heirloomLines(mesh, id, name, options.since)),
  ];
  const token = member?.membership.token;
  if (token && mesh.judge.used(token.key) < token.uses && !mesh.statements.isWithdrawn(token.key)) {
    lines.push(
      `the invite ${token.key.slice(0, 8)} by which it came still admits others: ` +
        `\`shoal invite --revoke ${token.key.slice(0, 8)}\` ends it`,
    );
  }
  const plan: Plan = {
    who: { id, name },
    lines,
    warnings: mirrorWarnings(mesh, now, id),
    wishes: [{ by: by.value, draft: { kind: "removed", key: id } }],
  };
  return carryOut(mesh, now, "revoke", plan, options.yes ?? false, out);
}

/** Another certified key has the tunnel key of one that goes, and is refused until then. */
function mirrorWarnings(mesh: Mesh, now: Now, id: MemberId): string[] {
  const { statements, judge } = mesh;
  const other = mirrorOf(id);
  if (!statements.isHeld(other) || judge.mirrorBefore(other) !== id) return [];
  const certificate = statements.certificate(other);
  if (!certificate || certificate.kind === "member" && certificate.until < secondsOf(now)) {
    return [];
  }
  const by = nameOf(mesh, certificate.signer);
  return [
    `another key with its tunnel key, certified by ${by}, is a member from then on: \`shoal revoke ${other}\` first, unless ` +
    "that one is meant",
  ];
}

/** What became of a machine that was called so, where it is none of the mesh any more; undefined: there was none. */
function formerText(mesh: Mesh, who: string): string | undefined {
  const { statements } = mesh;
  for (const { statement } of statements.all()) {
    const id = statement.kind === "left"
      ? statement.signer
      : statement.kind === "removed"
      ? statement.key
      : undefined;
    if (id === undefined || nameOf(mesh, id) !== who) continue;
    const short = id.slice(0, 16);
    if (statements.isRemoved(id)) return `${who} (${short}) is revoked already`;
    if (statements.hasLeft(id)) {
      return `${who} (${short}) has left the mesh for good, and its key cannot come back: nothing is to be revoked`;
    }
  }
  return undefined;
}

/**
 * What a former admin has signed since a time, and others have signed anew as its office ended: that is their word now, so
 * a person looks at each.
 */
function heirloomLines(mesh: Mesh, admin: MemberId, name: string, since: number): string[] {
  const { statements, guests: { guests } } = mesh;
  const members = new Map<MemberId, Who>();
  const removed = new Map<MemberId, Who>();
  const devices = new Set<string>();
  const isOlder = ({ hash, kind, signer }: Statement) =>
    (kind === "member" || kind === "admin" || signer !== admin && kind === "removed") &&
    (statements.get(hash)?.seen ?? Infinity) < since;
  for (const { statement, seen } of saidBy(mesh, admin)) {
    if (seen < since) continue;
    const key = subjectOf(statement);
    const who = { id: key, name: nameOf(mesh, key) };
    const isNew = !Array.from(statements.about(key)).some(isOlder);
    if (statement.kind === "guest") {
      const guest = guests.get(key);
      if (guest) devices.add(guests.nameOf(guest));
    } else if (statement.kind === "removed" && statements.isRemoved(key)) removed.set(key, who);
    else if (statement.kind === "member" && isNew && statements.certificate(key)) {
      if (!statements.isRemoved(key) && !statements.hasLeft(key)) members.set(key, who);
    }
  }
  const lines = [
    `what ${name} signed before its office ended was signed anew then, and this does not undo that`,
  ];
  const say = (what: string, names: readonly string[], rest: string) => {
    if (names.length > 0) lines.push(`${counted(names.length, what)} ${rest}: ${listOf(names)}`);
  };
  const sinceThen = `that ${name} certified since then`;
  say(
    "member",
    toldApart(mesh, [...members.values()]),
    `${sinceThen}: \`shoal revoke\` those that you do not know`,
  );
  say(
    "guest",
    [...devices].sort(),
    `${sinceThen}: \`shoal guest remove\` those that you do not know`,
  );
  say("removal", toldApart(mesh, [...removed.values()]), `that ${name} made since then stay`);
  return lines;
}

function revokeAdmin(
  mesh: Mesh,
  now: Now,
  id: MemberId,
  { since, yes = false }: RevokeOptions,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  const by = meshKeyOf(mesh, "revoke: an admin's office is ended by the mesh key", { yes });
  if (!by.ok) return by;
  const name = nameOf(mesh, id);
  if (since === undefined) {
    return refusal(
      `revoke: ${name} is an admin: say with --since since when what it signed is not to be ` +
        "believed, for example --since 2h: what it signed before is signed anew by you",
    );
  }
  const isKept = ({ seen }: Held) => seen < since;
  const heir = heirOf(mesh, now, id, isKept, true);
  const estate = estateOf(mesh, now, id, heir, isKept, true);
  const wishes: Wish[] = [
    ...estate.wishes,
    { by: by.value, draft: { kind: "demoted", key: id } },
    { by: by.value, draft: { kind: "removed", key: id } },
  ];
  const members = outlookAfter(mesh, now, estate, wishes, new Set([id]));
  const plan: Plan = {
    who: { id, name },
    members,
    lines: [
      `${name} is no admin and no member any more; its key cannot come back`,
      ...estateLines(mesh, name, estate, members),
      `of ${name}, ${keptLine(since)}`,
      ...meshKeyLines(mesh, id, name, true),
    ],
    warnings: [
      ...officeWarnings(mesh, id),
      ...mirrorWarnings(mesh, now, id),
      ...estateWarnings(mesh, name, estate, members),
    ],
    wishes,
  };
  return carryOut(mesh, now, "revoke", plan, yes, out);
}

/**
 * The end of our own office along with our membership, where the mesh key is here. Only where nothing has to be signed
 * anew for it: this node is gone before much more than two statements has reached everybody, and whoever hears of the end
 * of the office without those would be out.
 */
function ownEnd(mesh: Mesh, now: Now): { readonly lines: readonly string[] } | undefined {
  const { signer, id } = mesh;
  const mayKnow = mesh.hasCompared && !mesh.isAlone();
  if (!mayKnow || !signer.hasMeshKey || signer.numbersLeft("mesh") < 1) return undefined;
  const { wishes, invitesEnded } = estateOf(mesh, now, id, "mesh", () => true, true);
  if (wishes.length > 0) return undefined;
  const lines = invitesEnded === 0
    ? []
    : [`${counted(invitesEnded, "invite")} of ${mesh.name} ${invitesEnded === 1 ? "ends" : "end"}`];
  return { lines };
}

/** Whoever was revoked is no member already, and nobody takes its farewell in. */
function nothingToLeave(
  { id, name, isRemoved, statements }: Mesh,
  isPutOut: boolean,
  yes: boolean,
): ReturnType<typeof refusal> | undefined {
  const instead = "`shoal identity renew` gives this machine a new key; or stop the node by " +
    "`shoal down` and remove its state folder";
  if (isRemoved) {
    const since = Math.min(...statements.removals(id).map(({ at }) => at));
    return refusal(
      `leave: ${name} is no member since ${
        rfc3339(since)
      }, when its key was revoked: there is nothing to leave: ` +
        instead,
    );
  }
  // One member alone has said so, without what would show it.
  if (!isPutOut || yes) return undefined;
  return refusal(
    `leave: a member says that ${name} was revoked: then there is nothing to leave: ${instead}; ` +
      "if that is not so, say --yes",
  );
}

/**
 * Ends our own membership for ever: others forget us, and our key cannot come back.
 * @param isPutOut a member has said that we are revoked
 */
export function leaveForGood(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  { yes = false }: Insistence,
  isPutOut: boolean,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  const fault = nothingToLeave(mesh, isPutOut, yes);
  if (fault) return fault;
  const { id, name } = mesh;
  const isAdmin = mesh.statements.isAdmin(id);
  const others = otherAdmins(mesh);
  const keepers = meshKeyKeepers(mesh);
  const end = isAdmin && others.length > 0 && keepers.length > 0 ? ownEnd(mesh, now) : undefined;
  const warnings = [`${name} cannot come back with this key`];
  const advice = ["`shoal down` stops a node that can come back"];
  if (mesh.roster.size > 0) {
    if (isAdmin && others.length === 0) {
      warnings.push("this node is the last admin: nobody can invite, approve or revoke without it");
      advice.push("`shoal promote NAME` makes another member an admin first");
    }
    if (mesh.signer.hasMeshKey && keepers.length === 0) {
      warnings.push(
        "the mesh key is on this machine: nobody can make or unmake admins until the mesh key is brought to " +
          "another machine, or the recovery words name another",
      );
      advice.push(
        "`shoal mesh-key export` shows it as words, to be taken to another machine first",
      );
    } else if (mesh.signer.hasMeshKey) {
      warnings.push(
        "the mesh key is on this machine, too: whoever has a copy of its folder can make admins and unmake them " +
          "until the recovery words name another",
      );
      advice.push("`shoal mesh-key seal --yes` takes the mesh key off this machine first");
    }
    if (isAdmin && !end) {
      warnings.push(
        `the office of ${name} goes on: whoever has a copy of this machine's folder can certify and remove members ` +
          `until the holder of the mesh key demotes ${name}`,
      );
      const where = mesh.signer.hasMeshKey
        ? "here"
        : `on ${namesOf(keepers, "the holder of the mesh key")}`;
      if (others.length > 0) advice.push(`\`shoal demote ${name}\` ${where} ends its office first`);
    }
    if (mesh.isAlone()) {
      warnings.push(
        `no other member answers, and this is said once: the others keep ${name} as a member until ` +
          `an admin says \`shoal revoke ${name}\``,
      );
    }
  }
  const lines = [
    `${name} is no member any more`,
    ...guestLines(mesh, id, name),
  ];
  if (isAdmin && others.length > 0) {
    const heirs = namesOf(others.map((one) => nameOf(mesh, one)), "");
    lines.push(
      end
        ? `its office ends as well, and nothing that it signed has to be signed anew (${heirs} can go on)`
        : `what it signed stays valid until somebody with the mesh key demotes it (${heirs} can go on)`,
      ...end?.lines ?? [],
    );
  }
  const outcome = { who: { id, name }, lines, warnings, advice };
  if (!yes) return { ok: true, value: { ...outcome, isDone: false } };
  const at = secondsOf(now);
  const { signing } = mesh.self.identity;
  const farewell = signStatement(crypto, mesh.judge.meshId, signing, { kind: "left" }, {
    number: 0,
    at,
  });
  if (end) {
    const said = mesh.say(now, "mesh", { kind: "demoted", key: id }, out);
    if (!said.ok) return refusal(`leave: ${said.error}`);
  }
  mesh.mustPersist = true;
  mesh.sayFarewell(now, farewell, out);
  return { ok: true, value: { ...outcome, isDone: true } };
}
