/**
 * How many handshakes one process answers on one core: a `Tunnels` machine with its production cryptography consumes
 * initiations of many peers and makes the responses and the sessions, as the driver has it do for every initiation
 * that core's gate lets through.
 */

import process from "node:process";
import { loadSodium } from "../ffi/sodium.ts";
import { Progress } from "../lxc/progress.ts";
import { Effects, type Now } from "../mesh/machine.ts";
import { Tunnels } from "../mesh/tunnel/tunnels.ts";
import type { TunnelEvent } from "../mesh/tunnel/types.ts";
import { undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const PEERS = 128;
const ROUNDS = 40;
// An initiator waits at least so long between two initiations (R38); the responder takes 50 a second of each (R39).
export const ROUND_MS = 6000;

const FIGURES: readonly Figure[] = [
  {
    key: "rate",
    title: "handshakes consumed and answered",
    unit: "a second",
    better: "higher",
    goal: { of: "value", bound: 1500 },
  },
  { key: "cpu", title: "CPU of the process", unit: "µs a handshake", better: "lower" },
];

const METHOD = [
  `${PEERS} initiators, each with a key of its own, make ${ROUNDS} initiations each before the clock starts. Then one ` +
  "responder takes them all, round after round, in one thread: it reads the initiation (R22–R37), makes the response " +
  "and both session keys, and hands the response and the session to its outbox. Its virtual clock moves by " +
  `${
    ROUND_MS / 1000
  } s a round, so that no rule but those of the handshake is at work. Every response of the last ` +
  "round is given to its initiator, which must end with the same keys. A round before the clock starts warms the " +
  "compiler. *CPU* is user and system time of the whole process, its collector's threads included.",
];

export interface Initiator {
  readonly machine: Tunnels;
  readonly responder: number;
  readonly from: { readonly address: Uint8Array; readonly port: number; readonly scope: number };
}

export const HERE = { address: new Uint8Array([10, 0, 0, 1]), port: 51820, scope: 0 };
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

export async function benchHandshakes(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const raw = [];
  const progress = new Progress(options.repetitions);
  for (let repetition = 1; repetition <= options.repetitions; repetition++) {
    progress.step(`repetition ${repetition}`);
    raw.push(await undisturbed(() => Promise.resolve(measure())));
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "handshakes",
    title: "Handshakes that one core answers",
    method: [...unrest(raw), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions, peers: PEERS, rounds: ROUNDS },
    figures: FIGURES,
    series: [{
      contender: "shoal",
      version: machine.commit,
      values: {
        rate: raw.map(({ handshakes, wall_ms }) => handshakes / wall_ms * 1000),
        cpu: raw.map(({ handshakes, cpu_ms }) => cpu_ms / handshakes * 1000),
      },
    }],
    raw,
  };
}

function measure(): { handshakes: number; wall_ms: number; cpu_ms: number } {
  const sodium = loadSodium();
  let now: Now = { boot: 1e6, wall: Date.now() };
  const secret = random(32);
  const responder = new Tunnels({ crypto: sodium, random });
  const setUp = new Effects<TunnelEvent>();
  responder.setPrivateKey(now, secret, setUp);
  responder.up(now, setUp);
  const ours = sodium.x25519PublicKey(secret);

  const initiators = Array.from({ length: PEERS }, (_, i): Initiator => {
    const machine = new Tunnels({ crypto: sodium, random });
    const key = random(32);
    machine.setPrivateKey(now, key, setUp);
    const added = machine.addPeer(now, ours, setUp);
    if (added.kind !== "added") throw new Error(`a peer was not added: ${added.kind}`);
    machine.setEndpoint(now, added.peer, HERE, setUp);
    machine.up(now, setUp);
    responder.addPeer(now, sodium.x25519PublicKey(key), setUp);
    const from = { address: new Uint8Array([10, 0, 1, i]), port: 51820, scope: 0 };
    return { machine, responder: added.peer, from };
  });

  const rounds: { now: Now; messages: Uint8Array[] }[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    now = { boot: now.boot + ROUND_MS, wall: now.wall + ROUND_MS };
    rounds.push({ now, messages: initiators.map((initiator) => initiation(initiator, now)) });
  }

  const take = (round: { now: Now; messages: Uint8Array[] }) => {
    const out = new Effects<TunnelEvent>();
    for (const [i, bytes] of round.messages.entries()) {
      const from = initiators[i]?.from ?? HERE;
      responder.receive(round.now, { bytes, from }, out);
    }
    return out;
  };
  const [warm, ...timed] = rounds;
  if (warm !== undefined) take(warm);
  let last = new Effects<TunnelEvent>();
  const cpu = cpuTime();
  const begin = performance.now();
  for (const round of timed) last = take(round);
  const wall_ms = performance.now() - begin;
  const cpu_ms = cpuTime() - cpu;
  check(initiators, now, last);
  const handshakes = responder.counters.responsesSent - PEERS;
  if (handshakes !== PEERS * ROUNDS) throw new Error(`${handshakes} answered of ${PEERS * ROUNDS}`);
  return { handshakes, wall_ms, cpu_ms };
}

/** The next initiation of an initiator; the clock has to have moved on by `ROUND_MS` since its last one. */
export function initiation({ machine, responder }: Initiator, now: Now): Uint8Array {
  const out = new Effects<TunnelEvent>();
  machine.startHandshake(now, responder, out);
  // A handshake under way is retried by its timer and not by asking; one that was given up begins by asking again.
  if (out.datagrams.length === 0) machine.due(now, () => undefined, out);
  if (out.datagrams.length === 0) machine.startHandshake(now, responder, out);
  const [datagram] = out.datagrams;
  if (datagram === undefined) throw new Error("an initiator made no initiation");
  return datagram.bytes;
}

/** The last round's responses fit their initiators, and both sides hold the same keys. */
function check(
  initiators: readonly Initiator[],
  now: Now,
  { datagrams, commands }: Effects<TunnelEvent>,
): void {
  const theirs = commands.flatMap((command) =>
    command.kind === "installSession" ? [command.session] : []
  );
  for (const [i, { machine }] of initiators.entries()) {
    const out = new Effects<TunnelEvent>();
    const bytes = datagrams[i]?.bytes;
    if (bytes !== undefined) machine.receive(now, { bytes, from: HERE }, out);
    const installed = out.commands.find((command) => command.kind === "installSession");
    const same = installed?.kind === "installSession" &&
      installed.session.sendKey.every((byte, at) => byte === theirs[i]?.receiveKey[at]) &&
      installed.session.receiveKey.every((byte, at) => byte === theirs[i]?.sendKey[at]);
    if (!same) throw new Error(`initiator ${i} and the responder do not hold the same keys`);
  }
}

/** User and system time of this process, milliseconds. */
function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
