/** What people do with the computers of the simulation, and what they look at. */
import type { Decoded } from "../codec.ts";
import type { Crypto } from "../crypto.ts";
import type { Invitation } from "../admin/invite.ts";
import type { Planned } from "../admin/plan.ts";
import { fromBase64url } from "../base64url.ts";
import type { NodeEvent } from "../event.ts";
import { subjectIn } from "../membership/record.ts";
import { type Computer, NodeLab, type NodeWish } from "./node_lab.ts";

/** The value of what must have gone well. */
export function done<T>(result: Decoded<T>): T {
  if (!result.ok) throw new Error(result.error);
  return result.value;
}

/** Why something was refused; "" where it was not. */
export function refusalOf(result: Decoded<unknown>): string {
  return result.ok ? "" : result.error;
}

export function promote(by: Computer, who: Computer): void {
  done(by.step((now, out) => by.node.promote(now, who.id, {}, out)));
}

export function demote(by: Computer, who: Computer, yes = true): Planned {
  return done(by.step((now, out) => by.node.demote(now, who.id, { yes }, out)));
}

/** @param since unix seconds; what an admin signed since then is not believed */
export function revoke(by: Computer, who: Computer, since?: number, yes = true): Planned {
  const options = { yes, ...(since === undefined ? {} : { since }) };
  return done(by.step((now, out) => by.node.revoke(now, who.id, options, out)));
}

export function invite(by: Computer, options: Parameters<Computer["token"]>[0] = {}): Invitation {
  return done(by.step((now, out) => by.node.invite(now, options, out)));
}

export function healthOf(computer: Computer): readonly string[] {
  return computer.node.status(computer.now()).health;
}

/** How often a node has told of something. */
export function told(computer: Computer, kind: NodeEvent["kind"]): number {
  return computer.events.filter((event) => event.kind === kind).length;
}

/** Unix seconds by a computer's clock. */
export function secondsAt(computer: Computer): number {
  return Math.floor(computer.now().wall / 1000);
}

/** Whether all are members that see each other, and each knows its own address. */
export function areMutual(all: readonly Computer[]): boolean {
  return all.every((one) =>
    one.node.isMember && one.ip4.length === 4 &&
    all.every((other) => one === other || one.sees(other)?.state === "alive")
  );
}

/** Restarts a computer as one that has heard others and not these for so many seconds. */
export function haveMissed(by: Computer, whom: readonly Computer[], seconds: number): void {
  by.crash();
  const { disk } = by;
  if (!disk) throw new Error("sim: it has no disk");
  const members = disk.members.map((member) => {
    const subject = subjectIn(fromBase64url(member.record) ?? new Uint8Array(0));
    const isMissed = whom.some(({ id }) => id === subject);
    return isMissed ? { ...member, silentFor: seconds } : member;
  });
  by.disk = { ...disk, members };
  by.start();
}

export interface Village {
  readonly lab: NodeLab;
  readonly founder: Computer;
  readonly others: readonly Computer[];
  /** The founder first. */
  readonly all: readonly Computer[];
}

/** A founder and members, named as they are given, that all see each other and are certified. */
export function village(
  crypto: Crypto,
  names: readonly string[],
  seed = 1,
  founderWish: NodeWish = {},
): Village {
  const lab = new NodeLab(crypto, seed);
  const founder = lab.founder(founderWish);
  const token = founder.token({ uses: Math.max(1, names.length) });
  const others = names.map((name) => lab.computer({ name, token }));
  for (const one of others) one.start();
  const all = [founder, ...others];
  const isWhole = () => all.every(isCertified) && areMutual(all);
  for (let waited = 0; !isWhole(); waited += 500) {
    if (waited >= 60_000) throw new Error("sim: the village is not whole");
    lab.run(500);
  }
  lab.run(5_000); // what the joining has spread is spread
  return { lab, founder, others, all };
}

function isCertified(computer: Computer): boolean {
  const { standing } = computer.node.status(computer.now()).self;
  return standing === "admin" || standing === "certified";
}

/** Whether packets cross from each to each other; they have `seconds` to do so. */
export function canTalk(all: readonly Computer[], seconds = 20): boolean {
  const [first] = all;
  if (first === undefined) return true;
  for (const one of all) one.delivered.length = 0;
  const isHeard = (by: Computer, from: Computer) => {
    const source = from.ip4.join(".");
    return by.delivered.some((packet) => packet.subarray(12, 16).join(".") === source);
  };
  const pairs = all.flatMap((one) =>
    all.filter((by) => by !== one).map((by) => [one, by] as const)
  );
  for (let second = 0; second < seconds; second++) {
    for (const [one, by] of pairs) if (!isHeard(by, one)) one.say(by);
    first.lab.run(1_000);
    if (pairs.every(([one, by]) => isHeard(by, one))) return true;
  }
  return false;
}
