/** Invites: making the line that lets a machine join, listing what was made, and ending it. */
import type { Crypto } from "../crypto.ts";
import { type Decoded, refusal } from "../codec.ts";
import { formatToken, SEEDS_MAX } from "../door/token.ts";
import { type Endpoint, formatEndpoint } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import { type Now, type Outbox, type Random, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import { BURST } from "../membership/sight.ts";
import {
  canonicalGroups,
  DOORS_MAX,
  groupsFault,
  type StatementOf,
  USES_MAX,
} from "../membership/statement.ts";
import { readSeed } from "../seed.ts";
import { notBegunFault } from "./ahead.ts";
import { authorityOf, type Insistence, nameOf } from "./authority.ts";
import { provisionalDrafts } from "./certificates.ts";
import { DAY, LONGEST, MEMBER_DAYS } from "./periods.ts";

/** What an invitation allows where nothing else is said. */
const INVITE_EXPIRES = DAY;
/** Digits of a token's key that name it. */
const ID_DIGITS = 8;
/** Places of another member's door that a token names. */
const OTHER_PLACES = 2;

export interface InviteOptions extends Insistence {
  readonly uses?: number;
  /** Seconds for which it lets somebody in. */
  readonly expiresInS?: number;
  /** Days that a membership lasts. */
  readonly memberDays?: number;
  readonly groups?: readonly string[];
  readonly relay?: boolean;
  /** `HOST:PORT` of this machine, there and nowhere else; our own addresses and other doors where none are given. */
  readonly seeds?: readonly string[];
  /** `HOST:PORT` of this machine that is named beside those, and before them. */
  readonly firstSeeds?: readonly string[];
}

export interface Invitation {
  /** Secret: who reads it can join. */
  readonly token: string;
  readonly seeds: readonly string[];
  /** Unix seconds. */
  readonly expires: number;
  readonly uses: number;
  /** By which `invite --list` and `--revoke` name it. */
  readonly id: string;
}

/** An invite as people see it in a list. */
export interface InviteStatus {
  readonly id: string;
  /** Who made it. */
  readonly by: string;
  readonly uses: number;
  readonly used: number;
  readonly groups: readonly string[];
  /** RFC 3339 is the printer's: unix seconds here. */
  readonly expires: number;
  readonly state: "open" | "used up" | "ended" | "revoked";
}

/** What is wrong with the limits that a person named. */
function inviteFault(options: InviteOptions): string | undefined {
  const { uses = 1, expiresInS = INVITE_EXPIRES, memberDays = MEMBER_DAYS, groups = [] } = options;
  if (!Number.isInteger(uses) || uses < 1 || uses > USES_MAX) {
    return `${uses} uses: a token has 1 to ${USES_MAX}`;
  }
  if (!(expiresInS >= 1 && expiresInS <= LONGEST)) {
    return `an expiry in ${expiresInS} s: a token lasts from one second to a hundred years`;
  }
  if (!(memberDays > 0 && memberDays * DAY <= LONGEST)) {
    return `${memberDays} days: a membership lasts up to a hundred years`;
  }
  const fault = groupsFault(groups);
  if (fault !== undefined) return fault;
  const named = [...options.firstSeeds ?? [], ...options.seeds ?? []];
  const seed = named.find((seed) => !readSeed(seed));
  return seed === undefined ? undefined : `"${seed}" is no HOST:PORT`;
}

/** A new invite. Unless a person says where to knock, it names members that are there now, too. */
export function invite(
  crypto: Crypto,
  random: Random,
  mesh: Mesh,
  now: Now,
  options: InviteOptions,
  out: Outbox<NodeEvent>,
): Decoded<Invitation> {
  const fault = inviteFault(options);
  if (fault !== undefined) return refusal(`invite: ${fault}`);
  const by = authorityOf(mesh, "invite", options);
  if (!by.ok) return by;
  const early = notBegunFault(mesh, now, "invite");
  if (early) return early;
  const { uses = 1, expiresInS = INVITE_EXPIRES, memberDays = MEMBER_DAYS, groups = [] } = options;
  const usual = options.seeds ?? mesh.self.endpoints.map(formatEndpoint);
  const own = [...new Set([...options.firstSeeds ?? [], ...usual])];
  if (own.length === 0) {
    return refusal(
      "invite: this machine has no address that others could reach: say how it is reached by " +
        "`shoal invite --seed HOST:PORT`, or start the node with --advertise HOST",
    );
  }
  const doors = [{ key: mesh.id, seeds: own.slice(0, SEEDS_MAX) }];
  // Whoever says where to knock means there and nowhere else.
  for (const door of options.seeds ? [] : otherDoors(mesh, now)) {
    const used = doors.reduce((sum, { seeds }) => sum + seeds.length, 0);
    if (used + door.seeds.length <= SEEDS_MAX) doors.push(door);
  }
  const seconds = secondsOf(now);
  const secret = crypto.ed25519FromSeed(random(32));
  const said = mesh.say(now, by.value, {
    kind: "token",
    key: secret.publicKey.toHex(),
    uses,
    relay: options.relay ?? false,
    groups: canonicalGroups(groups),
    until: seconds + Math.ceil(expiresInS),
    memberUntil: seconds + Math.ceil(memberDays * DAY),
    doors: doors.map(({ key }) => key),
  }, out);
  if (!said.ok) return refusal(`invite: ${said.error}`);
  const statement = said.value as StatementOf<"token">;
  const seeds = doors.map((door) => door.seeds);
  const token = formatToken(crypto, { genesis: mesh.genesis, statement, secret, seeds });
  const { until: expires, key } = statement;
  return {
    ok: true,
    value: { token, seeds: seeds.flat(), expires, uses, id: key.slice(0, ID_DIGITS) },
  };
}

/** Members that can let somebody in, too: certified, there, and heard at a place. */
function otherDoors(mesh: Mesh, now: Now): { key: MemberId; seeds: string[] }[] {
  const doors: { key: MemberId; seeds: string[] }[] = [];
  for (const member of mesh.roster.members()) {
    if (doors.length >= DOORS_MAX - 1) break;
    const isThere = mesh.swim.member(member.id)?.status === "alive";
    if (!isThere || !mesh.judge.isDoor(member.id, secondsOf(now))) continue;
    const heardAt = mesh.roster.places(member, now).map(({ to }) => to);
    const told = member.record.endpoints.filter((one) => one.scope === 0);
    // A record can name anybody's place, and a joiner would knock there: only where it has answered us.
    const isThereProven = (place: Endpoint) => mesh.contacts.isRemembered(place, member.id);
    const seeds = [...new Set([...told, ...heardAt].filter(isThereProven).map(formatEndpoint))]
      .slice(0, OTHER_PLACES);
    if (seeds.length > 0) doors.push({ key: member.id, seeds });
  }
  return doors;
}

/** Every invite that the mesh knows of, the newest first. */
export function invites(mesh: Mesh, now: Now): InviteStatus[] {
  const seconds = secondsOf(now);
  const tokens: StatementOf<"token">[] = [];
  for (const { statement } of mesh.statements.all()) {
    if (statement.kind === "token" && mesh.statements.counts(statement)) tokens.push(statement);
  }
  tokens.sort((a, b) => b.at - a.at || (a.key < b.key ? -1 : 1));
  return tokens.map(({ key, signer, uses, groups, until }) => {
    const used = mesh.judge.used(key);
    const state = mesh.statements.isWithdrawn(key)
      ? "revoked"
      : until < seconds
      ? "ended"
      : used >= uses
      ? "used up"
      : "open";
    const by = nameOf(mesh, signer);
    return { id: key.slice(0, ID_DIGITS), by, uses, used, groups, expires: until, state };
  });
}

/** Ends an invite: it lets nobody in any more. Whom it has let in stays. */
export function revokeInvite(
  mesh: Mesh,
  now: Now,
  id: string,
  options: Insistence,
  out: Outbox<NodeEvent>,
): Decoded<InviteStatus> {
  if (!/^[0-9a-f]{4,64}$/.test(id)) {
    return refusal(`invite: "${id}" names no invite: \`shoal invite --list\` shows their names`);
  }
  const by = authorityOf(mesh, "invite", options);
  if (!by.ok) return by;
  const all = [...mesh.statements.all()].flatMap(({ statement }) =>
    statement.kind === "token" && statement.key.startsWith(id) ? [statement] : []
  );
  // Whoever has lost its office, or is out, can have made one whose name begins like another's.
  const valid = all.filter((one) => mesh.statements.counts(one));
  const keys = new Set((valid.length > 0 ? valid : all).map(({ key }) => key));
  const [key, ...others] = keys;
  if (key === undefined) {
    return refusal(`invite: there is no invite ${id}: \`shoal invite --list\` shows them`);
  }
  if (others.length > 0) {
    return refusal(`invite: ${keys.size} invites begin with ${id}: name more of its digits`);
  }
  // Whom it has let in and nobody has certified yet would be out with it. More than a node certifies at once on sight are
  // the machines of nobody that anybody knows: they would cost the numbers by which their maker is put out.
  let certified = 0;
  for (const draft of provisionalDrafts(mesh, now, (token) => token === key)) {
    if (certified++ >= BURST) break;
    mesh.say(now, by.value, draft, out);
  }
  if (!mesh.statements.isWithdrawn(key)) {
    const said = mesh.say(now, by.value, { kind: "withdrawn", key }, out);
    if (!said.ok) return refusal(`invite: ${said.error}`);
  }
  const listed = invites(mesh, now).find((one) => key.startsWith(one.id));
  return listed ? { ok: true, value: listed } : refusal(`invite: ${id} does not count any more`);
}
