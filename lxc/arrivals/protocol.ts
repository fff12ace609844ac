/**
 * All that the fuzz knows of the protocol between members: the kinds of payload, where payloads are
 * sealed and opened, how a node comes to its mesh, what people do to one, and which of its counters
 * cannot move here. Whoever changes the protocol changes this file.
 */
import { type Opened, PAYLOAD_MAX, type PayloadKind, Seal } from "../../mesh/control.ts";
import { openRecord, signRecord } from "../../mesh/record.ts";
import { type MemberId, meshIdOf } from "../../mesh/trust/identity.ts";
import { type Endpoint, formatEndpoint } from "../../mesh/endpoint.ts";
import { Effects } from "../../mesh/machine.ts";
import { Node, type NodeOptions } from "../../mesh/node.ts";
import type { Computer, NodeLab } from "../../mesh/sim/node_lab.ts";
import type { Seeded } from "../../mesh/sim/random.ts";
import type { Victim } from "./victim.ts";

/** Complete: the compiler sees to it. */
const ALL_KINDS: Readonly<Record<PayloadKind, true>> = {
  gossip: true,
  ping: true,
  pong: true,
  confirm: true,
  notice: true,
  record: true,
  chain: true,
  revocation: true,
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
    Seal.prototype.open = function (this: Seal, bytes) {
      const result = open.call(this, bytes);
      if (result.kind === "opened") onOpened(result.value);
      return result;
    };
  }

  [Symbol.dispose](): void {
    Seal.prototype.seal = this.#seal;
    Seal.prototype.open = this.#open;
  }
}

/** How the node under fire came to its mesh. */
export const ROLES = ["founder", "member", "asker", "open"] as const;
export type Role = typeof ROLES[number];

/** Members beside the node under fire. */
const OTHERS = 4;

/** Starts the node under fire and the members around it. */
export function populate(role: Role, lab: NodeLab, victim: Victim): void {
  const seeds = [formatEndpoint(victim.place)];
  if (role === "founder" || role === "open") {
    victim.start({ meshSeed: lab.random(32), open: role === "open" });
    const token = victim.invite(OTHERS, seeds);
    for (let i = 0; i < OTHERS; i++) {
      // One of them asks without a token.
      lab.computer(i === 0 ? { seeds } : { token, seeds }).start();
    }
    return;
  }
  const founder = lab.founder();
  const token = founder.token({ uses: OTHERS });
  for (let i = 1; i < OTHERS; i++) lab.computer({ token }).start();
  const asks: Partial<NodeOptions> = { seeds: [founder.address] };
  victim.start(role === "asker" ? asks : { token: founder.token() });
}

/** Something that people do to the members around it: what they send then is worth altering. */
export function stir(role: Role, lab: NodeLab, victim: Victim, random: Seeded): void {
  const computers = lab.computers.filter(({ host }) => host.isUp);
  const one = computers[random.below(computers.length)];
  const other = computers[random.below(computers.length)];
  if (!one || !other) return;
  const strokes = [
    () => one.say(other),
    () => victim.isMember && sayToVictim(one, victim),
    () => restart(lab, one, random.chance(0.3)),
    () => {
      const names = [victim.name, other.wish.name ?? ""];
      one.step((now, out) => one.node.approve(now, names[random.below(2)] ?? "", out));
    },
    () => role !== "founder" && random.chance(0.2) && revoke(computers, other),
    () => victim.ping(other.wish.name ?? ""),
    () => victim.approve(other.wish.name ?? ""),
    () => lab.move(one, Uint8Array.of(192, 0, 2, 100 + random.below(100))),
  ];
  strokes[random.below(strokes.length)]?.();
}

function sayToVictim(from: Computer, victim: Victim): void {
  from.say({ ip4: victim.ip4 });
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
  founder.step((now, out) => founder.node.revoke(now, whom.wish.name ?? "", out));
}

/**
 * A newer record of a member than the one that it signed last, with these places in it: what a
 * member tells the whole mesh of where it can be reached.
 */
export function claim(
  lab: NodeLab,
  victim: Victim,
  signed: readonly Uint8Array[],
  endpoints: readonly Endpoint[],
): Uint8Array | undefined {
  const { crypto } = lab;
  const meshId = meshIdOf(crypto, Uint8Array.fromHex(victim.meshKey));
  for (const bytes of signed.toReversed()) {
    const opened = openRecord(crypto, meshId, bytes);
    const signer = opened.ok && lab.computers.find(({ id }) => id === opened.value.id);
    if (!opened.ok || !signer) continue;
    const body = { ...opened.value, sequence: opened.value.sequence + 1, endpoints };
    return signRecord(crypto, meshId, crypto.ed25519FromSeed(signer.identitySeed), body).bytes;
  }
  return undefined;
}

/** What so many nodes say first that were never heard of. */
export function strangers(
  lab: NodeLab,
  to: Endpoint,
  count: number,
): { readonly bytes: Uint8Array; readonly from: Endpoint }[] {
  const now = lab.computers[0]?.now() ?? { boot: 0, wall: 0 };
  return Array.from({ length: count }, (_, i) => {
    const { crypto, random } = lab;
    const created = Node.create(now, {
      crypto,
      random,
      identitySeed: random(32),
      name: `stranger-${i}`,
      port: 1,
      version: "0",
      tunnel: false,
      relay: false,
      seeds: [formatEndpoint(to)],
      facts: () => undefined,
    });
    if (!created.ok) throw new Error(created.error);
    const effects = new Effects<unknown>();
    created.value.start(now, effects);
    created.value.poll(now, effects);
    const from = { address: Uint8Array.of(198, 51, 100, i), port: 51820, scope: 0 };
    return effects.datagrams.map(({ bytes }) => ({ bytes, from }));
  }).flat();
}

const HUGE = "its table holds thousands, which a test of its own fills";
const ROSTER = "the roster is no larger, and asked first";
const KERNEL = "the kernel decides it, and core's own tests fake the kernel";

/** Counters of what is dropped or refused that nothing moves here, and why. */
export const UNREACHABLE: Readonly<Record<string, string>> = {
  "control news": HUGE,
  "control redemptions": HUGE,
  "control revocations": HUGE,
  "control untimely": "no member's certificate ends within an episode",
  "control swim_evictedMembers": ROSTER,
  "control swim_refusedMembers": ROSTER,
  "control swim_strangers": ROSTER,
  "control swim_refusedDoubts": HUGE,
  "control swim_droppedClaims": HUGE,
  "control swim_droppedRumours": HUGE,
  "control swim_droppedStrangers": HUGE,
  "control swim_refusedProbes": HUGE,
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
