/**
 * All that the fuzz knows of the protocol between members: the kinds of payload, where payloads are
 * sealed and opened, how a node comes to its mesh, what people do to one, and which of its counters
 * cannot move here. What insiders sign is in insider.ts, how strangers knock in knock.ts. Whoever
 * changes the protocol changes these files.
 */
import type { SigningKey } from "../../mesh/crypto.ts";
import { formatEndpoint } from "../../mesh/endpoint.ts";
import type { MemberId } from "../../mesh/membership/identity.ts";
import { REFUSALS } from "../../mesh/membership/judge.ts";
import type { Computer, NodeLab } from "../../mesh/sim/node_lab.ts";
import type { Seeded } from "../../mesh/sim/random.ts";
import { type Opened, PAYLOAD_MAX, type PayloadKind, Seal } from "../../mesh/wire/seal.ts";
import type { Victim } from "./victim.ts";

/** Complete: the compiler sees to it. */
const ALL_KINDS: Readonly<Record<PayloadKind, true>> = {
  gossip: true,
  ping: true,
  pong: true,
  confirm: true,
  notice: true,
  record: true,
  statements: true,
  admission: true,
};
export const PAYLOAD_KINDS = Object.keys(ALL_KINDS) as readonly PayloadKind[];

/** A payload as a member of the laboratory sealed it for the victim, and how to seal another. */
export interface Payload {
  readonly kind: PayloadKind;
  readonly bytes: Uint8Array;
  /** Seals in its stead, with numbers of its own, so that it is no replay. */
  readonly seal: (kind: PayloadKind, bytes: Uint8Array) => Uint8Array | undefined;
}

/** Hears of every payload that is sealed for one member, and of every one that is opened. */
export class SealWatch {
  onSealed: (payload: Payload) => void = () => {};
  onOpened: (opened: Opened) => void = () => {};
  readonly #seal = Seal.prototype.seal;
  readonly #open = Seal.prototype.open;
  #isQuiet = false;

  constructor(isWatched: (to: MemberId) => boolean) {
    const { onOpened, onSealed } = {
      onOpened: (opened: Opened) => this.onOpened(opened),
      onSealed: (payload: Payload) => this.onSealed(payload),
    };
    const [seal, open] = [this.#seal, this.#open];
    const quietly = <T>(work: () => T): T => {
      this.#isQuiet = true;
      try {
        return work();
      } finally {
        this.#isQuiet = false;
      }
    };
    const isQuiet = () => this.#isQuiet;
    Seal.prototype.seal = function (this: Seal, to, kind, payload, echo) {
      if (!isQuiet() && isWatched(to)) {
        const again = (otherKind: PayloadKind, bytes: Uint8Array) =>
          quietly(() => seal.call(this, to, otherKind, bytes.subarray(0, PAYLOAD_MAX), echo));
        onSealed({ kind, bytes: payload.slice(), seal: again });
      }
      return seal.call(this, to, kind, payload, echo);
    };
    Seal.prototype.open = function (this: Seal, now, bytes) {
      const result = open.call(this, now, bytes);
      if (result.kind === "opened") onOpened(result.value);
      return result;
    };
  }

  [Symbol.dispose](): void {
    Seal.prototype.seal = this.#seal;
    Seal.prototype.open = this.#open;
  }
}

/** How the node under fire came to its mesh, and what it is there. */
export const ROLES = ["founder", "member", "provisional", "admin", "asker", "open"] as const;
export type Role = typeof ROLES[number];

/** What the node under fire has to be, whom it has to meet, and whom it has to turn away. */
export const ROLES_MET = [
  ...["admin", "certified", "provisional", "none"].map((standing) => `self: ${standing}`),
  ...["admin", "certified", "provisional", "individual"].map((standing) => `peer: ${standing}`),
  // Strangers and those with a wrong signature hear nothing. No machine here signs with the negative of another's key.
  ...REFUSALS.filter((why) => why !== "stranger" && why !== "invalid" && why !== "mirrored")
    .map((why) => `refused: ${why}`),
];

/** Members beside the node under fire. */
const OTHERS = 4;
/** Milliseconds for which a person opens a door. */
const OPEN_TIME = 600_000;
/** Milliseconds in which members come in, before the node under fire does. */
const SETTLING = 8_000;

/** Keys that a thief has taken. */
export interface Loot {
  readonly mesh: SigningKey;
  readonly recovery: SigningKey;
}

/** Starts the node under fire and the members around it. */
export function populate(role: Role, lab: NodeLab, victim: Victim): Loot {
  const { crypto } = lab;
  const meshSeed = lab.random(32);
  const loot = {
    mesh: crypto.ed25519FromSeed(meshSeed),
    recovery: crypto.ed25519FromSeed(lab.random(32)),
  };
  const recoveryKey = loot.recovery.publicKey;
  const seeds = [formatEndpoint(victim.place)];
  if (role === "founder" || role === "open") {
    victim.start({ meshSeed, recoveryKey, open: role === "open" });
    const token = victim.invite({ uses: OTHERS, seeds });
    victim.openDoor(OPEN_TIME);
    for (let i = 0; i < OTHERS; i++) {
      // One of them asks without a token.
      lab.computer(i === 0 ? { seeds } : { token, seeds }).start();
    }
    return loot;
  }
  const founder = lab.founder({ meshSeed, recoveryKey });
  const token = founder.token({ uses: OTHERS });
  for (let i = 1; i < OTHERS; i++) lab.computer({ token }).start();
  lab.run(SETTLING);
  if (role === "asker") {
    founder.step((now) => founder.node.openDoor(now, OPEN_TIME));
    victim.start({ seeds: [founder.address] });
    return loot;
  }
  const own = founder.token(); // Names other members' doors as well.
  if (role === "provisional") founder.crash();
  victim.start({ token: own });
  return loot;
}

/** What an episode does beyond its beginning, half way through. */
export function turn(role: Role, lab: NodeLab): void {
  const [founder] = lab.computers;
  if (role === "provisional" && founder && !founder.host.isUp) founder.start();
}

/** Something that people do to the members around it: what they send then is worth altering. */
export function stir(role: Role, lab: NodeLab, victim: Victim, random: Seeded): void {
  const computers = lab.computers.filter(({ host }) => host.isUp);
  const one = computers[random.below(computers.length)];
  const other = computers[random.below(computers.length)];
  if (!one || !other) return;
  const name = other.wish.name ?? "";
  const ask = (act: (computer: Computer) => void) => act(one);
  const strokes = [
    () => one.say(other),
    () => victim.isMember && one.say({ ip4: victim.ip4 }),
    () => restart(lab, one, random.chance(0.3)),
    () => {
      const who = random.chance(0.5) ? victim.name : name;
      one.step((now, out) => one.node.approve(now, who, out, { yes: true }));
    },
    () => role !== "founder" && random.chance(0.2) && revoke(computers, other),
    () => promote(role, computers, random.chance(0.7) ? victim.name : name),
    () => lab.move(one, Uint8Array.of(192, 0, 2, 100 + random.below(100))),
    () => ask((it) => it.step((now) => it.node.openDoor(now, OPEN_TIME))),
    () => one.step((now, out) => one.node.invite(now, { uses: 1 + random.below(3) }, out)),
    () => random.chance(0.3) && copyDisk(lab, one),
    () => random.chance(0.1) && other !== computers[0] && farewell(other),
    () => command(victim, other, random),
    () => command(victim, other, random),
    () => command(victim, other, random),
  ];
  strokes[random.below(strokes.length)]?.();
}

/** What a person asks of the node under fire, be it refused or done. */
function command(victim: Victim, { id, wish }: Computer, random: Seeded): void {
  const name = wish.name ?? "";
  const commands = [
    () => victim.ping(name),
    () => victim.approve(name),
    () => victim.openDoor(OPEN_TIME),
    () => victim.trust(random.chance(0.5) ? id : random.bytes(32).toHex(), "pal"),
    () => victim.untrust("pal"),
    () => victim.isMember && victim.demote(name),
    () => victim.promote(name),
    () => victim.askAdmin(name),
    () => victim.revokeInvites(),
    () => victim.tryInvite(1 + random.below(3)),
  ];
  commands[random.below(commands.length)]?.();
}

/** At once, or after so long that it is dead to the others. */
function restart(lab: NodeLab, computer: Computer, isLong: boolean): void {
  computer.crash();
  if (!isLong) return void computer.start();
  lab.world.after(20_000, () => {
    if (!computer.host.isUp) computer.start();
  });
}

function revoke(computers: readonly Computer[], whom: Computer): void {
  const [founder] = computers;
  if (!founder || founder === whom) return;
  const name = whom.wish.name ?? "";
  founder.step((now, out) => founder.node.revoke(now, name, { yes: true }, out));
}

/** An admin under fire is made by its founder, who may have to try again. */
function promote(role: Role, computers: readonly Computer[], who: string): void {
  const [founder] = computers;
  if (!founder || role === "member" || role === "provisional") return;
  founder.step((now, out) => founder.node.promote(now, who, { yes: true }, out));
}

function farewell(computer: Computer): void {
  computer.step((now, out) => computer.node.leaveForGood(now, { yes: true }, out));
}

/** A second machine with the disk of a member, for some seconds. */
function copyDisk(lab: NodeLab, { disk, identitySeed, wish }: Computer): void {
  const copy = lab.computer({ ...wish, identitySeed });
  copy.disk = disk;
  copy.start();
  lab.world.after(30_000, () => copy.crash());
}

const HUGE = "its table holds thousands, which a test of its own fills";
const ROSTER = "the roster is no larger, and asked first";
const KERNEL = "the kernel decides it, and core's own tests fake the kernel";

/** Counters of what is dropped or refused that nothing moves here, and why. */
export const UNREACHABLE: Readonly<Record<string, string>> = {
  "control admissions": HUGE,
  "control statements": HUGE,
  "control contact_full": HUGE,
  "control swim_evictedMembers": ROSTER,
  "control swim_refusedMembers": ROSTER,
  "control swim_strangers": ROSTER,
  "control swim_refusedDoubts": HUGE,
  "control swim_droppedClaims": HUGE,
  "control swim_droppedRumours": HUGE,
  "control swim_droppedStrangers": HUGE,
  "control swim_refusedRumours": HUGE,
  "core drop_handshake_full": HUGE,
  "core drop_handshake_rate": "only who holds a cookie comes so far, and none is asked for here",
  "core drop_handshake_type": "the receive path hands the gate nothing but types 1 to 3",
  "core drop_rx_expired": "core's clock is the computer's, and 180 s of it do not pass",
  "core drop_rx_link_down": "there is no interface",
  "core drop_rx_tun": "there is no interface",
  "core drop_rx_queue": KERNEL,
  "core drop_rx_truncated": KERNEL,
  "core drop_rx_unanswerable": "only a raw socket sends so: src/unanswerable_test.ts",
  "core drop_rx_unknown_type": "a mesh node takes every type; the plain WireGuard mode does not",
};
