/**
 * Three different acts (invariant 4): `demote` ends an office, `revoke` ends a membership, and an
 * admin's office with it, `leave` is one's own.
 */
import { type Decoded, refusal } from "../codec.ts";
import type { Crypto } from "../crypto.ts";
import type { NodeEvent } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { rfc3339 } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { isKey } from "../membership/roster.ts";
import { signStatement } from "../membership/statement.ts";
import type { Held } from "../membership/statements.ts";
import { authorityOf, counted, type Insistence, meshKeyOf, nameOf, namesOf } from "./authority.ts";
import {
  certificateOf,
  keysOf,
  signedAt,
  unmetNamed,
  untilOf,
  voidMembers,
} from "./certificates.ts";
import {
  carryOut,
  estateLines,
  estateOf,
  estateWarnings,
  type Plan,
  type Planned,
  type Wish,
} from "./plan.ts";

export interface RevokeOptions extends Insistence {
  /** Unix seconds: what an admin signed since then is not signed anew. */
  readonly since?: number;
}

/** The admin that a person names; it may be this node, or one that is not here now. */
function adminNamed(mesh: Mesh, what: string, who: string): Decoded<MemberId> {
  const meant = mesh.meant(who);
  const named = [...mesh.statements.admins()].filter((id) =>
    nameOf(mesh, id) === meant || id === meant || meant.length >= 8 && id.startsWith(meant)
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
  const isLast = [...mesh.statements.admins()].every((id) => id === admin);
  if (isLast) {
    warnings.push(
      "it is the last admin: nobody can invite, approve or revoke until you promote somebody",
    );
  }
  return warnings;
}

/**
 * Its record says that the mesh key lies on a member's disk: whoever has that disk makes and unmakes admins, whatever
 * becomes of the member itself.
 */
function meshKeyLines(mesh: Mesh, id: MemberId, name: string, isExpelled: boolean): string[] {
  if (id === mesh.id || !mesh.roster.get(id)?.record.capabilities.meshKey) return [];
  return [
    `${name} has the mesh key, and this does not end that: whoever has its disk can make admins ` +
    `until \`shoal recover${
      isExpelled ? ` --without ${name}` : ""
    }\`, by the recovery words, names another mesh key`,
  ];
}

/** Ends an admin's office; it stays a member. */
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
  const heir = heirOf(mesh, now, id, () => true);
  const estate = estateOf(mesh, now, id, heir, () => true);
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
  const plan: Plan = {
    who: { id, name },
    lines: [
      `${name} is no admin any more`,
      ...estateLines(mesh, name, estate),
      stays.length > 0 ? `${name} stays a member` : `${name} has left the mesh`,
      "an office ends for good: only with a new identity can it be an admin again",
      ...meshKeyLines(mesh, id, name, false),
    ],
    warnings: officeWarnings(mesh, id),
    wishes: [...estate.wishes, ...stays, { by: by.value, draft: { kind: "demoted", key: id } }],
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
  const admin = adminNamed(mesh, "revoke", who);
  if (admin.ok) return revokeAdmin(mesh, now, admin.value, options, out);
  const found = isKey(who) ? undefined : mesh.find(who);
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
  if (found && !found.ok && void_ === undefined) return refusal(`revoke: ${found.error}`);
  const id = void_ ?? (found?.ok ? found.value.id : who);
  if (options.since !== undefined) {
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
  const by = mesh.statements.hadOffice(id)
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
    warnings: [],
    wishes: [{ by: by.value, draft: { kind: "removed", key: id } }],
  };
  return carryOut(mesh, now, "revoke", plan, options.yes ?? false, out);
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
  const plan: Plan = {
    who: { id, name },
    lines: [
      `${name} is no admin and no member any more; its key cannot come back`,
      ...estateLines(mesh, name, estate),
      `what this node heard of before ${rfc3339(since)} counts as signed before`,
      ...meshKeyLines(mesh, id, name, true),
    ],
    warnings: [...officeWarnings(mesh, id), ...estateWarnings(name, estate)],
    wishes: [
      ...estate.wishes,
      { by: by.value, draft: { kind: "demoted", key: id } },
      { by: by.value, draft: { kind: "removed", key: id } },
    ],
  };
  return carryOut(mesh, now, "revoke", plan, yes, out);
}

/** Admins beside this node, but for those that have left. */
export function otherAdmins({ statements, id }: Mesh): MemberId[] {
  return [...statements.admins()].filter((one) => one !== id && !statements.hasLeft(one));
}

/** Ends our own membership for ever: others forget us, and our key cannot come back. */
export function leaveForGood(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  { yes = false }: Insistence,
  out: Outbox<NodeEvent>,
): Decoded<Planned> {
  const { id, name } = mesh;
  const isAdmin = mesh.statements.isAdmin(id);
  const others = otherAdmins(mesh);
  const warnings = [`${name} cannot come back with this key`];
  const advice = ["`shoal down` stops a node that can come back"];
  if (mesh.roster.size > 0) {
    if (isAdmin && others.length === 0) {
      warnings.push("this node is the last admin: nobody can invite, approve or revoke without it");
      advice.push("`shoal promote NAME` makes another member an admin first");
    }
    if (mesh.signer.hasMeshKey) {
      warnings.push(
        "the mesh key is on this machine: nobody can make or unmake admins until the mesh key is brought to " +
          "another machine, or the recovery words name another",
      );
      advice.push(
        "`shoal mesh-key export` shows it as words, to be taken to another machine first",
      );
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
    lines.push(
      `what it signed stays valid until somebody with the mesh key demotes it ` +
        `(${namesOf(others.map((one) => nameOf(mesh, one)), "")} can go on)`,
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
  mesh.mustPersist = true;
  mesh.sayFarewell(now, farewell, out);
  return { ok: true, value: { ...outcome, isDone: true } };
}
