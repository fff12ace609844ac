/** A person's word that somebody is a member: `approve`, `promote`, `trust`, and its undoing. */
import type { Crypto } from "../crypto.ts";
import { type Decoded, refusal } from "../codec.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox, secondsOf } from "../machine.ts";
import { type Membership, TRUSTED_MAX } from "../membership/judge.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import { isKey } from "../membership/roster.ts";
import { certifyOnSight } from "../membership/sight.ts";
import type { SignedBy } from "../membership/signer.ts";
import { isOfClock } from "../membership/untimely.ts";
import { canonicalGroups, groupsFault, isName } from "../membership/statement.ts";
import { notBegun, notBegunFault, signBegun } from "./ahead.ts";
import { authorityOf, type Insistence, meshKeyOf, nameOf, thiefAdvice } from "./authority.ts";
import {
  certificateOf,
  keysOf,
  namesakesFault,
  unmetNamed,
  untilOf,
  voidMembers,
} from "./certificates.ts";

/** Somebody who asks to join without a token. */
export interface Asker {
  readonly who: Who;
}

export interface ApproveOptions extends Insistence {
  readonly name?: string;
  readonly groups?: readonly string[];
}

/** Who was approved, by the name that it has now. */
export interface Approved extends Who {
  /** What it was called where it had a certificate, which is renewed then; undefined: it is a member from now on. */
  readonly before: string | undefined;
  /** The name that it was to have, where another has that. */
  readonly taken: string | undefined;
  /** That other is this node. */
  readonly isTakenHere: boolean;
  /** Unix seconds at which its membership ends; undefined: with its office as an admin. */
  readonly until: number | undefined;
}

/** Certifies somebody who asked, whom a token let in, or whose certificate has an end. */
export function approve(
  crypto: Crypto,
  mesh: Mesh,
  askers: Iterable<Asker>,
  now: Now,
  who: string,
  options: ApproveOptions,
  out: Outbox<NodeEvent>,
): Decoded<Approved> {
  const fault = groupsFault(options.groups ?? []);
  if (fault !== undefined) return refusal(`approve: ${fault}`);
  const wanted = findCandidate(crypto, mesh, now, askers, who);
  if (!wanted.ok) return wanted;
  const { id, membership } = wanted.value;
  const name = options.name ?? wanted.value.name;
  if (!isName(name)) return refusal(`approve: "${name}" is no host name: use a-z, 0-9 and -`);
  if (mesh.statements.isRemoved(id)) {
    return refusal(`approve: the key ${id} was revoked for good: the machine needs a new identity`);
  }
  if (mesh.statements.hasLeft(id)) {
    return refusal(`approve: ${id} has left the mesh for good: the machine needs a new identity`);
  }
  const mirror = mesh.judge.mirrorBefore(id);
  if (mirror !== undefined && !(options.yes && hasEnded(mesh, mirror))) {
    const insist = hasEnded(mesh, mirror) ? "; if this is no copy, insist with --yes" : "";
    return refusal(`approve: ${mirroredBy(mesh, id, mirror)}${insist}`);
  }
  const namesake = unmetNamed(mesh, name).find((one) => one.id !== id);
  if (namesake) {
    return refusal(
      `approve: the name ${name} was given to another key, which is not here (${namesake.id}): choose another by ` +
        `--name, or \`shoal revoke ${namesake.id.slice(0, 16)}\` first`,
    );
  }
  const renaming = options.name === undefined ? undefined : renamingFault(mesh, id, options.name);
  const isInMesh = mesh.statements.certificate(id) !== undefined ||
    membership !== undefined && membership.standing !== "individual";
  if (isInMesh && renaming !== undefined) return renaming;
  const groups = options.groups && canonicalGroups(options.groups);
  const before = mesh.statements.certificate(id) && nameOf(mesh, id);
  const approved = (until: number | undefined): Decoded<Approved> => {
    const now = whoNow(mesh, id);
    const taken = now.name === name ? undefined : name;
    const isTakenHere = taken === mesh.name && id !== mesh.id;
    return { ok: true, value: { ...now, before, taken, isTakenHere, until } };
  };
  // Of itself it signs all that has not begun: whoever was renewed alone would take the others for members of later.
  const isBehind = id === mesh.id && notBegun(mesh, now, id) !== undefined;
  const early = isBehind ? undefined : notBegunFault(mesh, now, "approve");
  if (early) return early;
  const signAll = (): Decoded<unknown> =>
    isBehind ? signBegun(mesh, now, out) : { ok: true, value: undefined };
  if (mesh.statements.isAdmin(id)) {
    const by = meshKeyOf(mesh, "approve: an admin has its certificate from the mesh key", options);
    if (!by.ok) return by;
    if (!membership && !mesh.statements.certificate(id)) {
      return refusal(`approve: ${who} is an admin that is not here now`);
    }
    const all = signAll();
    if (!all.ok) return refusal(`approve: ${all.error}`);
    const certificate = membership
      ? certificateOf(mesh, now, membership, { name, groups })
      : newcomer(mesh, now, id, name, groups ?? groupsOf(mesh, id));
    const said = mesh.say(now, by.value, { kind: "admin", certificate }, out);
    return said.ok ? approved(undefined) : refusal(`approve: ${said.error}`);
  }
  const by = authorityOf(mesh, "approve", options);
  if (!by.ok) return by;
  const all = signAll();
  if (!all.ok) return refusal(`approve: ${all.error}`);
  const certificate = membership
    ? certificateOf(mesh, now, membership, { name, groups })
    : newcomer(mesh, now, id, name, groups ?? groupsOf(mesh, id));
  const until = untilOf(now);
  sayUse(mesh, now, by.value, membership, out);
  const member = { kind: "member", certificate, until, token: undefined } as const;
  const said = mesh.say(now, by.value, member, out);
  return said.ok ? approved(until) : refusal(`approve: ${said.error}`);
}

/** Whoever joins gets the next name that is free; who has a name keeps it, unless the one that a person chose is free. */
function renamingFault(mesh: Mesh, id: MemberId, name: string) {
  if (!mesh.roster.isNameTaken(name, id)) return undefined;
  const stays = `approve: ${nameOf(mesh, id)} keeps its name, for ${name} is`;
  if (name === mesh.name) return refusal(`${stays} the name of this node: choose another`);
  const [other] = mesh.roster.namesakes(name);
  return refusal(
    other === undefined
      ? `${stays} the name of a guest: choose another`
      : `${stays} the name of another member (${other.slice(0, 16)}): choose another`,
  );
}

/** Makes a member an admin. The mesh key signs over that very key (invariant 1). */
export function promote(
  mesh: Mesh,
  now: Now,
  who: string,
  options: Insistence,
  out: Outbox<NodeEvent>,
): Decoded<Who> {
  const by = meshKeyOf(mesh, "promote", options);
  if (!by.ok) return by;
  const early = notBegunFault(mesh, now, "promote");
  if (early) return early;
  const own = mesh.membership(now);
  const fault = namesakesFault(mesh, "promote", who);
  if (fault) return fault;
  const isSelf = mesh.meant(who) === mesh.id || who === mesh.name;
  const found = mesh.find(who, () => "only a member can be an admin");
  if (!isSelf && !found.ok) return refusal(`promote: ${found.error}`);
  const membership = isSelf ? own : found.ok ? found.value.membership : undefined;
  if (!membership) return refusal("promote: this node is no member itself");
  const { id, standing } = membership;
  if (standing === "admin") return refusal(`promote: ${who} is an admin already`);
  if (standing === "individual") {
    return refusal(`promote: ${who} is trusted on this node alone: approve it first`);
  }
  const isDemoted = [...mesh.statements.about(id)].some((one) =>
    one.kind === "demoted" && mesh.statements.counts(one)
  );
  if (isDemoted) {
    return refusal(
      `promote: ${who} was an admin and its office was ended for good: it needs a new identity ` +
        "(`shoal identity renew` there)",
    );
  }
  sayUse(mesh, now, by.value, membership, out);
  const certificate = certificateOf(mesh, now, membership);
  const said = mesh.say(now, by.value, { kind: "admin", certificate }, out);
  return said.ok ? { ok: true, value: whoNow(mesh, id) } : refusal(`promote: ${said.error}`);
}

/**
 * Somebody whom an invite has let in has used it up by one, also where a person's word makes it a member then: an admin's node
 * that never met it as provisional counts certificates alone.
 */
function sayUse(
  mesh: Mesh,
  now: Now,
  by: SignedBy,
  membership: Membership | undefined,
  out: Outbox<NodeEvent>,
): void {
  if (mesh.signer.numbersLeft(by) < 2) return; // The person's word needs one.
  const at = secondsOf(now);
  const draft = membership && certifyOnSight(mesh.judge, mesh.roster, membership, at);
  if (draft) mesh.say(now, by, draft, out, at - 1); // The person's word is the later one.
}

/** Believes a key on this node alone. It has no certificate, so others do not know it. */
export function trust(crypto: Crypto, mesh: Mesh, key: string, name: string): Decoded<Who> {
  if (!isKey(key)) {
    return refusal(`trust: "${key}" is no key: 64 digits, as \`shoal status --json\` there shows`);
  }
  // For points of low order anybody can sign.
  if (crypto.ed25519ToX25519Public(Uint8Array.fromHex(key)) === undefined) {
    return refusal(
      `trust: ${key} is no public key of anybody: copy it from \`shoal status\` there`,
    );
  }
  if (!isName(name)) return refusal(`trust: "${name}" is no host name: use a-z, 0-9 and -`);
  if (mesh.statements.isRemoved(key)) {
    return refusal(`trust: the key ${key} was revoked for good in this mesh`);
  }
  const mirror = mesh.judge.mirrorBefore(key);
  if (mirror !== undefined) return refusal(`trust: ${mirroredBy(mesh, key, mirror)}`);
  if (key === mesh.id) return refusal(`trust: ${key} is this node's own key`);
  const fault = trustFault(mesh, key, name);
  if (fault) return fault;
  if (!mesh.judge.trust(key, name)) {
    return refusal(`trust: ${TRUSTED_MAX} keys are trusted already: \`shoal untrust\` one first`);
  }
  return { ok: true, value: { id: key, name } };
}

/** Whom all know needs no trust of this node alone, and a name means one machine, here as well. */
function trustFault(mesh: Mesh, key: string, name: string) {
  const membership = mesh.roster.get(key)?.membership;
  if (membership !== undefined && membership.standing !== "individual") {
    return refusal(`trust: ${key} is a member already, ${nameOf(mesh, key)}: all members know it`);
  }
  if (mesh.statements.certificate(key)) {
    return refusal(
      `trust: ${key} was approved already, as ${
        nameOf(mesh, key)
      }: it is a member as soon as it comes`,
    );
  }
  const isOthers = name === mesh.name || mesh.roster.isNameTaken(name, key) ||
    [...mesh.roster.members()].some(({ id }) => id !== key && mesh.roster.nameOf(id) === name) ||
    [...mesh.judge.trusted()].some((one) => one.key !== key && one.name === name);
  return isOthers
    ? refusal(`trust: another has the name ${name}: choose one by --name`)
    : undefined;
}

/** Ends the trust of this node alone in a key. */
export function untrust(mesh: Mesh, who: string): Decoded<Who> {
  const meant = mesh.meant(who);
  const trusted = [...mesh.judge.trusted()].filter(({ key, name }) =>
    name === meant || key === meant || meant.length >= 8 && key.startsWith(meant)
  );
  const [one, ...others] = trusted;
  if (one === undefined) {
    return refusal(`untrust: this node trusts no key ${who}: \`shoal status\` lists them`);
  }
  if (others.length > 0) {
    const keys = trusted.map(({ key }) => key.slice(0, 16)).join(", ");
    return refusal(`untrust: ${trusted.length} trusted keys match ${who}: say which: ${keys}`);
  }
  mesh.judge.distrust(one.key);
  return { ok: true, value: { id: one.key, name: one.name } };
}

function whoNow(mesh: Mesh, id: string): Who {
  return { id, name: nameOf(mesh, id) };
}

/** The groups of a certificate that counts, be it out by the clock: what ended with an office is said anew by a person. */
function groupsOf(mesh: Mesh, id: string): readonly string[] {
  return mesh.statements.certificate(id)?.certificate.groups ?? [];
}

/** The certificate of a key that is no member now, by the name and address that it had, where it had some. */
export function newcomer(
  mesh: Mesh,
  now: Now,
  id: string,
  name: string,
  groups: readonly string[],
) {
  // A certificate that does not count any more says what the key was called and had.
  const before = mesh.statements.lastCertificate(id);
  return {
    key: id,
    name: mesh.roster.freeName(name, id),
    groups,
    relay: before?.relay ?? false,
    ip4Counter: mesh.roster.freeCounter(id, before?.ip4Counter),
    since: Math.min(before?.since ?? Infinity, secondsOf(now)),
  };
}

interface Candidate {
  readonly id: string;
  readonly name: string;
  readonly membership: Membership | undefined;
}

function isNamed(id: string, name: string, who: string): boolean {
  return name === who || who.length >= 8 && id.startsWith(who);
}

/** Members whose certificate has ended, or has not begun, by this clock: they are in no table, and a person means them. */
function outByClock(mesh: Mesh, now: Now, who: string): Who[] {
  return Array.from(mesh.untimely.records()).flatMap(({ id }) => {
    const judgement = mesh.judge.judge(id, secondsOf(now));
    if (judgement.kind === "member" || !isOfClock(judgement.why)) return [];
    const name = mesh.statements.certificate(id)?.certificate.name;
    return name !== undefined && isNamed(id, name, who) ? [{ id, name }] : [];
  });
}

function findCandidate(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  askers: Iterable<Asker>,
  who: string,
): Decoded<Candidate> {
  const requests = Array.from(askers, (one) => one.who)
    .filter((one) => one.name === who || who.length >= 8 && one.id.startsWith(who));
  const [request, ...others] = requests;
  if (others.length > 0) {
    const keys = keysOf(requests.map(({ id }) => id));
    return refusal(`approve: ${requests.length} ask by the name ${who}: say which key: ${keys}`);
  }
  const before = voidMembers(mesh, who);
  const open = before.filter(({ isSettled }) => !isSettled);
  const meant = new Set([...(request ? [request] : []), ...open].map(({ id }) => id));
  if (meant.size > 1) {
    return refusal(
      `approve: ${meant.size} machines are called ${who}, and one may be a thief's: say which ` +
        `key: ${keysOf(meant)}`,
    );
  }
  const fault = namesakesFault(mesh, "approve", who);
  if (fault) return fault;
  const namesake = mesh.roster.find(who);
  const [certified] = mesh.roster.namesakes(who);
  const bearer = namesake.ok ? namesake.value.id : mesh.name === who ? mesh.id : certified;
  const named = request ?? open[0];
  if (named?.name === who && bearer !== undefined && bearer !== named.id) {
    return refusal(
      request
        ? `approve: ${who} is a member (${bearer}), and another machine asks by that name ` +
          `(${request.id}): say which key`
        : `approve: ${who} is a member (${bearer}), and a certificate of another machine by that ` +
          `name does not count any more (${named.id}): say which key`,
    );
  }
  if (request) return { ok: true, value: { ...request, membership: undefined } };
  const member = mesh.roster.find(who);
  if (member.ok) {
    const { id, membership } = member.value;
    return { ok: true, value: { id, name: membership.name, membership } };
  }
  if (isNamed(mesh.id, mesh.name, who) || mesh.meant(who) === mesh.id) {
    return { ok: true, value: { id: mesh.id, name: mesh.name, membership: mesh.membership(now) } };
  }
  const [late, ...more] = outByClock(mesh, now, who);
  if (late && more.length > 0) {
    const keys = keysOf([late, ...more].map(({ id }) => id));
    return refusal(
      `approve: ${
        more.length + 1
      } machines of the name ${who} are out by the clock: say which key: ${keys}`,
    );
  }
  if (late) return { ok: true, value: { ...late, membership: undefined } };
  const [one] = before;
  if (one) return { ok: true, value: { id: one.id, name: one.name, membership: undefined } };
  if (isKey(who)) {
    if (crypto.ed25519ToX25519Public(Uint8Array.fromHex(who)) === undefined) {
      return refusal(`approve: ${who} is no public key of anybody: copy it again`);
    }
    // Somebody certified who has not come yet keeps the name.
    const name = mesh.statements.certificate(who)?.certificate.name ?? `node-${who.slice(0, 8)}`;
    return { ok: true, value: { id: who, name, membership: undefined } };
  }
  if (certified !== undefined) {
    return refusal(
      `approve: ${who} is certified, and not here now: to certify it anew, approve its key: ${certified}`,
    );
  }
  return refusal(
    `approve: nobody asks by the name or key "${who}": \`shoal status\` lists requests; ` +
      `a whole key can be approved before it asks`,
  );
}

/** Whether a key was removed or has left: it does not come back. */
function hasEnded({ statements }: Mesh, key: string): boolean {
  return statements.isRemoved(key) || statements.hasLeft(key);
}

/** Why a key yields to the other with its tunnel key, and what a person does where it is the one that is meant. */
function mirroredBy(mesh: Mesh, key: string, first: string): string {
  const { statements } = mesh;
  const name = nameOf(mesh, first, first);
  const copy =
    "a machine has a copy of that one's folder, and needs a new identity (`shoal identity renew` there)";
  if (hasEnded(mesh, first)) {
    const how = statements.isRemoved(first) ? "was revoked" : "has left";
    return `${key} has the tunnel key of ${name}, which ${how}: ${copy}`;
  }
  const isMeant = `but if ${key} is the one that is meant, \`shoal revoke ${first}\` first`;
  const signer = statements.certificate(first)?.signer;
  const isHere = first === mesh.id || mesh.roster.get(first) !== undefined;
  if (signer === undefined || isHere && !statements.isHeld(key)) {
    return `${key} has the tunnel key of ${name}, which was first: ${copy}; ${isMeant}`;
  }
  return `${key} has the tunnel key of ${first} (${name}), which ${
    nameOf(mesh, signer)
  } has certified: ${copy}; ${isMeant}, and if nobody meant the other to be certified, ${
    thiefAdvice(mesh, signer)
  }`;
}
