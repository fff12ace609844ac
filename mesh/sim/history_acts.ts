/** What machines, networks, people and an insider do in a random history. What a node refuses is no act. */
import type { Decoded } from "../codec.ts";
import { formatEndpoint } from "../endpoint.ts";
import { GuestDevice } from "./guest_device.ts";
import type { History, Machine } from "./history.ts";
import { type Act, clockError, type Step } from "./history_plan.ts";
import { Insider } from "./insider.ts";
import { Mischief } from "./mischief.ts";
import { CALM, ROUGH } from "./network.ts";
import type { Computer } from "./node_lab.ts";
import { secondsAt } from "./people.ts";

/** Names that several machines want. */
const NAMES = ["web", "db", "founder", "n1", "n2", "phone"];
/** Seconds for which a door answers those who have no token. */
const DOOR_OPEN = 600_000;
const DEVICES_MAX = 4;
/** Lies in one step at most; an admin's count, so it tells fewer. */
const LIES = 40;
const WEATHERS = [CALM, ROUGH, { ...ROUGH, loss: 0.4 }, { ...CALM, loss: 0.05, delay: 150 }];

type Play = (history: History, step: Step) => void;

/** One of a list, by a number. */
function one<T>(list: readonly T[], number: number): T | undefined {
  return list[number % Math.max(1, list.length)];
}

/** An honest machine that runs. */
function runner(history: History, number: number): Computer | undefined {
  return one(history.running(), number)?.computer;
}

/** Two of them, not the same. */
function two(history: History, { who, whom }: Step): [Computer, Computer] | undefined {
  const first = runner(history, who);
  const rest = history.running().filter(({ computer }) => computer !== first);
  const second = one(rest, whom)?.computer;
  return first && second ? [first, second] : undefined;
}

/** Somebody whom a command can be about: any machine, be it on or off. */
function anybody(history: History, number: number, but?: Computer): Computer | undefined {
  const others = history.machines.filter(({ computer, role }) =>
    computer !== but && role !== "clone"
  );
  return one(others, number)?.computer;
}

function note(history: History, answer: Decoded<unknown>): void {
  if (answer.ok) history.done++;
}

/** An admin if there is one that runs, most of the time; else anybody. */
function signer(history: History, { who, how }: Step): Computer | undefined {
  const running = history.running().map(({ computer }) => computer);
  const admins = running.filter((computer) => computer.node.status(computer.now()).self.admin);
  return one(how % 8 === 0 || admins.length === 0 ? running : admins, who);
}

function keeper(history: History, { who, how }: Step): Computer | undefined {
  const running = history.running().map(({ computer }) => computer);
  const keepers = running.filter((computer) => computer.node.status(computer.now()).self.mesh_key);
  return one(how % 8 === 0 || keepers.length === 0 ? running : keepers, who);
}

function nameFor(history: History, how: number): string {
  const isWanted = how % 3 === 0;
  return isWanted ? one(NAMES, how >> 2) ?? "web" : `m${history.machines.length}`;
}

const machineActs = {
  crash: (history, { who }) => runner(history, who)?.crash(),
  start: (history, { who }) => {
    const off = history.machines.filter(({ computer, isGone }) => !computer.host.isUp && !isGone);
    const machine = one(off, who);
    if (machine) history.start(machine);
  },
  restart: (history, { who }) => {
    const machine = one(history.running(), who);
    machine?.computer.crash();
    if (machine) history.start(machine);
  },
  failAtWrite: (history, { who, how }) => {
    const computer = runner(history, who);
    if (computer) computer.failsAtWrite = how % 2 === 0 ? "before" : "after";
  },
  goOff: (history, { who }) => {
    const computer = runner(history, who);
    computer?.step((now, out) => computer.node.leave(now, out));
    computer?.crash();
  },
  freeze: (history, { who, how }) => runner(history, who)?.host.freeze(how % 20_000),
  move: (history, { how }) => {
    // One only: of several that move while nobody hears them none could be found again.
    const { computer, role } = history.machines[2] ?? {};
    if (!computer?.host.isUp || role !== "honest") return;
    history.lab.move(computer, Uint8Array.of(192, 0, 3, 1 + how % 250));
  },
  backUp: (history, { who }) => {
    const machine = one(history.machines, who);
    if (machine) machine.backup = machine.computer.disk;
  },
  restore: (history, { who }) => {
    const machine = one(history.machines.filter(({ backup }) => backup !== undefined), who);
    if (!machine || machine.isGone || machine.role === "insider") return;
    machine.computer.crash();
    machine.computer.disk = machine.backup;
    history.start(machine);
  },
  clone: (history, { who }) => {
    const original = runner(history, who);
    if (!original?.disk || history.machines.some(({ role }) => role === "clone")) return;
    const { wish, identitySeed, disk } = original;
    const clone = history.add({ ...wish, identitySeed }, "clone");
    if (!clone) return;
    clone.computer.disk = disk;
    history.start(clone);
  },
  setClock: (history, { who, how }) => {
    const computer = one(history.machines, who)?.computer;
    if (!computer) return;
    computer.host.skew = clockError(how);
    computer.host.arrange();
  },
  say: (history, step) => {
    const [from, to] = two(history, step) ?? [];
    if (from && to && from.ip4.length === 4 && to.ip4.length === 4) from.say(to);
    for (const { device } of history.devices) if (to && to.ip4.length === 4) device.say(to);
  },
} satisfies Partial<Record<Act, Play>>;

const networkActs = {
  partition: ({ lab, machines }, { how }) => {
    const side = machines.filter((_, i) => (how >> i % 16 & 1) === 1);
    lab.network.partition(side.map(({ computer: { address } }) => address));
  },
  mute: (history, step) => {
    const [from, to] = two(history, step) ?? [];
    if (from && to) history.lab.network.mute(from.address, to.address);
  },
  heal: ({ lab }) => lab.network.heal(),
  weather: ({ lab }, { how }) => {
    lab.network.conditions = one(WEATHERS, how) ?? CALM;
  },
  replay: ({ lab, past, random }, { how }) => {
    for (let i = how % 30; i >= 0; i--) {
      const old = one(past, random.next());
      if (!old) return;
      const { bytes, to } = old.datagram;
      const from = random.chance(0.5) ? old.from : `203.0.113.${1 + random.below(250)}:999`;
      lab.network.send(from, formatEndpoint(to), bytes, bytes.length);
    }
  },
} satisfies Partial<Record<Act, Play>>;

const comingActs = {
  join: (history, step) => {
    const by = signer(history, step);
    const { how } = step;
    if (!by) return;
    const options = {
      uses: 1 + how % 3,
      ...(how % 5 === 0 ? { expiresInS: 60 } : {}),
      ...(how % 7 === 0 ? { groups: ["web"] } : {}),
    };
    const invitation = by.step((now, out) => by.node.invite(now, options, out));
    note(history, invitation);
    if (!invitation.ok) return;
    const { token } = invitation.value;
    history.tokens.push(token);
    enter(history, { name: nameFor(history, how), token }, step);
  },
  joinAgain: (history, step) => {
    const token = one(history.tokens, step.how);
    if (token !== undefined) enter(history, { name: nameFor(history, step.how), token }, step);
  },
  ask: (history, step) => {
    const door = runner(history, step.whom);
    if (!door) return;
    note(history, door.step((now) => door.node.openDoor(now, DOOR_OPEN)));
    // Those who have a new key ask, too.
    if (step.how % 2 === 0) return;
    enter(history, { name: nameFor(history, step.how), seeds: [door.address] }, step);
  },
  renewIdentity: (history, { who }) => {
    const machine = one(history.running(), who);
    if (machine) renewIdentity(history, machine);
  },
} satisfies Partial<Record<Act, Play>>;

/** A machine that is no member comes. */
function enter(
  history: History,
  wish: Parameters<History["add"]>[0],
  { how, who }: Step,
): void {
  const machine = history.add(wish, "honest", who % 4 === 0 ? clockError(how) : 0);
  if (machine) history.start(machine);
}

/** A new key, as `shoal identity renew --yes` gives it to a machine (src/node.ts). */
function renewIdentity(history: History, machine: Machine): void {
  const { computer } = machine;
  const { genesis, ...rest } = computer.node.snapshot();
  const { admission: _, ...kept } = rest;
  const { token: __, ...wish } = computer.wish;
  computer.crash();
  computer.failsAtWrite = undefined;
  computer.identitySeed = history.lab.random(32);
  computer.wish = wish;
  computer.disk = {
    ...kept,
    ...(genesis === undefined ? {} : { genesis }),
    boot: 0,
    incarnation: 0,
    numbers: { own: 0, mesh: rest.numbers.mesh },
  };
  machine.backup = undefined;
  history.done++;
  history.start(machine);
}

const peopleActs = {
  approve: (history, step) => {
    const by = signer(history, step);
    if (!by) return;
    const { requests } = by.node.status(by.now());
    const who = one(requests, step.whom)?.key ?? anybody(history, step.whom, by)?.id;
    if (who === undefined) return;
    note(history, by.step((now, out) => by.node.approve(now, who, out, { yes: true })));
  },
  rename: (history, step) => {
    const by = signer(history, step);
    const whom = anybody(history, step.whom);
    if (!by || !whom) return;
    const options = { name: nameFor(history, step.how), yes: step.how % 2 === 0 };
    note(history, by.step((now, out) => by.node.approve(now, whom.id, out, options)));
  },
  revoke: (history, step) => {
    const by = step.how % 2 === 0 ? signer(history, step) : keeper(history, step);
    const whom = anybody(history, step.whom, by);
    if (!by || !whom) return;
    const isAdmin = by.sees(whom)?.admin ?? false;
    const since = secondsAt(by) - step.how % 300;
    const options = { yes: true, ...(isAdmin ? { since } : {}) };
    ask(history, by, whom, step);
    if (!by.host.isUp) return;
    note(history, by.step((now, out) => by.node.revoke(now, whom.id, options, out)));
  },
  promote: (history, step) => {
    const by = keeper(history, step);
    const whom = anybody(history, step.whom);
    if (!by || !whom) return;
    const options = { yes: step.how % 3 === 0 };
    note(history, by.step((now, out) => by.node.promote(now, whom.id, options, out)));
  },
  demote: (history, step) => {
    const by = keeper(history, step);
    const whom = anybody(history, step.whom);
    if (!by || !whom) return;
    ask(history, by, whom, step);
    if (!by.host.isUp) return;
    note(history, by.step((now, out) => by.node.demote(now, whom.id, { yes: true }, out)));
  },
  leave: (history, { who }) => {
    const machine = one(history.running(), who);
    // Of a mesh that everybody leaves nothing is to be said.
    if (!machine || history.running().length < 4) return;
    const { computer } = machine;
    const left = computer.step((now, out) => computer.node.leaveForGood(now, { yes: true }, out));
    note(history, left);
    if (!left.ok) return;
    computer.crash();
    machine.isGone = true;
  },
  revokeInvite: (history, step) => {
    const by = signer(history, step);
    if (!by) return;
    const all = by.node.invites(by.now());
    const invite = all.ok ? one(all.value, step.whom) : undefined;
    if (!invite) return;
    note(history, by.step((now, out) => by.node.revokeInvite(now, invite.id, {}, out)));
  },
  takeMeshKey: (history, { who }) => {
    const computer = runner(history, who);
    if (computer) history.giveMeshKey(computer);
  },
  giveMeshKeyUp: (history, step) => {
    const computer = keeper(history, step);
    if (!computer) return;
    const given = computer.step((now, out) => computer.node.setMeshKey(now, undefined, out));
    if (!given.ok) return;
    const { meshSeed: _, ...wish } = computer.wish;
    computer.wish = wish;
  },
  recover: (history, { who, whom, how }) => {
    const by = runner(history, who);
    if (!by) return;
    // The program moves the key and the state together (src/recover_crash_test.ts).
    by.failsAtWrite = undefined;
    const meshKey = history.lab.random(32);
    const out_ = how % 3 === 0 ? anybody(history, whom, by)?.id : undefined;
    const options = {
      ...(out_ === undefined ? {} : { without: [out_] }),
      ...(how % 4 === 0 ? { since: secondsAt(by) - how % 300 } : {}),
    };
    const seeds = { recovery: history.recoverySeed, meshKey };
    const ask = (more: { readonly keep: readonly string[]; readonly yes?: boolean }) =>
      by.step((now, out) => by.node.recover(now, seeds, { ...options, ...more }, out));
    // Whom somebody has demoted of late this person believes to be a thief's victim.
    const isInQuestion = (id: string) => {
      const asked = ask({ keep: [id] });
      return asked.ok || asked.error.includes(" that the office of ");
    };
    const ids = history.machines.map(({ computer: { id } }) => id).filter((id) => id !== out_);
    const keep = options.since === undefined ? [] : ids.filter(isInQuestion);
    const planned = ask({ keep, yes: true });
    note(history, planned);
    if (!planned.ok) return;
    history.meshSeed = meshKey;
    by.wish = { ...by.wish, meshSeed: meshKey };
  },
  trust: (history, step) => {
    const [by, whom] = two(history, step) ?? [];
    if (!by || !whom) return;
    note(history, by.step((now, out) => by.node.trust(now, whom.id, `t${step.how % 9}`, out)));
  },
  untrust: (history, step) => {
    const by = runner(history, step.who);
    const [trusted] = by?.node.status(by.now()).trusted ?? [];
    if (by && trusted) note(history, by.step((now, out) => by.node.untrust(now, trusted.key, out)));
  },
} satisfies Partial<Record<Act, Play>>;

/** As the program does before such a command: the admin that it is about is asked for its list. */
function ask(history: History, by: Computer, whom: Computer, { how }: Step): void {
  if (how % 3 === 0) return;
  by.step((now, out) => by.node.askAdmin(now, whom.id, out));
  history.lab.run(how % 1_500);
}

const guestActs = {
  addGuest: (history, step) => {
    const host = signer(history, step);
    if (!host) return;
    const { lab, devices } = history;
    const device = new GuestDevice(lab, 1 + devices.length % 200);
    const isKnown = devices.length > 0 && step.how % 4 === 0;
    const known = one(devices, step.whom)?.device;
    const key = isKnown && known ? known.publicKey : device.publicKey;
    const name = step.how % 3 === 0 ? one(NAMES, step.whom) ?? "g" : `g${step.whom % 20}`;
    const options = {
      key,
      place: host.address,
      ...(step.how % 5 === 0 ? { expiresInS: 60 + step.how % 600 } : {}),
    };
    const way = host.step((now, out) => host.node.addGuest(now, name, options, out));
    note(history, way);
    if (!way.ok || isKnown || devices.length >= DEVICES_MAX) return;
    devices.push({ device, host, place: host.address });
    device.start(way.value);
  },
  renewGuest: (history, step) => {
    const by = signer(history, step);
    const guest = by && one(by.node.status(by.now()).guests, step.whom);
    if (!by || !guest) return;
    const options = step.how % 3 === 0 ? { expiresInS: 30 + step.how % 300 } : {};
    note(history, by.step((now, out) => by.node.renewGuest(now, guest.key, options, out)));
  },
  removeGuest: (history, step) => {
    const by = signer(history, step);
    const guest = by && one(by.node.status(by.now()).guests, step.whom);
    if (!by || !guest) return;
    note(history, by.step((now, out) => by.node.removeGuest(now, guest.key, {}, out)));
  },
} satisfies Partial<Record<Act, Play>>;

const insiderActs = {
  turn: (history, { who, how }) => {
    const token = history.token(how);
    if (history.mischief || !token) return;
    const isKnown = (computer: Computer) =>
      computer.node.isMember &&
      history.running().some((other) => other.computer.sees(computer) !== undefined);
    const members = history.running().filter(({ computer }, i) => i > 0 && isKnown(computer));
    const machine = members.length < 3 ? undefined : one(members, who);
    if (!machine?.computer.disk) return;
    let insider;
    try {
      insider = new Insider(machine.computer);
    } catch {
      return; // Nobody has written its record yet.
    }
    machine.role = "insider";
    const honest = history.machines.filter(({ role }) => role === "honest");
    const victims = honest.map(({ computer }) => computer);
    history.stolenAt = secondsAt(machine.computer) - machine.computer.host.skew / 1000;
    history.mischief = new Mischief(insider, victims, token, history.random);
  },
  lie: ({ mischief }, { how }) => {
    for (let i = how % LIES; mischief && i >= 0; i--) mischief.act();
  },
} satisfies Partial<Record<Act, Play>>;

export const HISTORY_ACTS: Readonly<Record<Act, Play>> = {
  ...machineActs,
  ...networkActs,
  ...comingActs,
  ...peopleActs,
  ...guestActs,
  ...insiderActs,
};
