/**
 * What must hold after a random history, when all is calm: the honest agree on who is what, and on what the oracle makes
 * of the same statements; packets cross; who was put out gets none through; and nobody is busy.
 */
import { decodeGenesis, meshIdOf } from "../membership/genesis.ts";
import { fromBase64url } from "../base64url.ts";
import type { Crypto } from "../crypto.ts";
import { GUESTS_PER_HOST } from "../membership/guests.ts";
import { decodeStatement, hashOf, isSigned, NUMBER_MAX } from "../membership/statement.ts";
import type { NodeStatus } from "../status.ts";
import type { History, Machine } from "./history.ts";
import type { Computer } from "./node_lab.ts";
import {
  type Findings,
  oracle,
  type OracleGenesis,
  type OracleStatement,
  type Said,
} from "./trust_oracle.ts";

/**
 * Virtual seconds in which a packet has to cross between any two, and between two tries. Two that never met, since they
 * were apart when one of them came, try each other once in ten minutes (door/first_contacts.ts).
 */
const REACHED = 660;
const PACE = 3;
/** Virtual seconds for which it is counted what the calm costs, and of how many times one must be quiet. */
const QUIET = 60;
const QUIET_WITHIN = 6;
/**
 * What a node may do in a virtual second of calm, on average. A calm mesh of twelve was measured to cost a quarter of
 * this: one probe, its answer, those of others, a comparison now and then, and 25 events an hour.
 */
const DATAGRAMS_A_SECOND = 20;
const EVENTS_A_SECOND = 0.5;
const STEPS_A_SECOND = 80;
/** Writes of the state in a minute of calm. */
const WRITES_A_MINUTE = 6;
/** Statements that one act can cost its signer at most, here: an estate of all that there is. */
const NUMBERS_AN_ACT = 120;

/** What is agreed upon, or what is not. */
export interface Settled {
  /** "" where all agree. */
  readonly complaint: string;
  /** The honest machines that are members for good. */
  readonly members: readonly Machine[];
}

/** Whether a node knows itself to be a member by a certificate. */
export function isCertain(computer: Computer): boolean {
  const { standing } = computer.node.status(computer.now()).self;
  return standing === "admin" || standing === "certified";
}

/** The first thing that the honest do not agree about. */
export function whatSettles(history: History): Settled {
  const { judge, members } = community(history);
  const complaint = disagreement(history, judge, members);
  if (complaint === "") return { complaint, members };
  const heard = heardCommunity(history, judge, members);
  return { complaint: disagreement(history, heard.judge, heard.members), members: heard.members };
}

interface Community {
  readonly judge: Union;
  readonly members: readonly Machine[];
}

/** The members, by the statements that they hold themselves: what only those know who are out reaches nobody. */
function community(history: History, among = history.running()): Community {
  let members = among.filter(({ computer }) => computer.node.isMember);
  for (;;) {
    const judge = new Union(history, members);
    const rest = acquainted(members.filter(({ computer }) => judge.isMember(computer.id)));
    if (rest.length === members.length) return { judge, members };
    members = rest;
  }
}

/** Without whoever alone knows what speaks against its own end: the others do not listen to it any more. */
function heardCommunity(history: History, judge: Union, members: readonly Machine[]): Community {
  const isPutOut = (one: Machine) => {
    const others = members.filter((other) => other !== one);
    return others.length > 0 && new Union(history, others).isOut(one.computer.id);
  };
  const first = members.find(isPutOut);
  if (!first) return { judge, members };
  const rest = community(history, members.filter((one) => one !== first));
  return heardCommunity(history, rest.judge, rest.members);
}

/**
 * The most of them that can find each other. Where nobody here knows a place at which somebody there still is, since all
 * of whom they knew have moved, left, were put out or took new keys, a person must tell them of a door.
 */
function acquainted(members: readonly Machine[]): Machine[] {
  let most: readonly Machine[] = [];
  for (let rest = members; rest.length > most.length;) {
    const group = rest.slice(0, 1);
    // It grows while it is walked.
    for (const one of group) {
      group.push(
        ...rest.filter((other) =>
          !group.includes(other) && (knows(one, other) || knows(other, one))
        ),
      );
    }
    if (group.length > most.length) most = group;
    rest = rest.filter((one) => !group.includes(one));
  }
  return members.filter((one) => most.includes(one));
}

/** Whether one knows where the other is, by the key that it has. */
function knows({ computer }: Machine, { computer: other }: Machine): boolean {
  const seen = computer.sees(other);
  if (seen?.state === "alive" || seen?.endpoint === other.address) return true;
  return computer.node.snapshot().seeds.some(({ seed, key = other.id }) =>
    seed === other.address && key === other.id
  );
}

function disagreement(history: History, judge: Union, members: readonly Machine[]): string {
  for (const machine of history.machines) {
    const { computer, role, isGone } = machine;
    const isDown = role === "honest" && !isGone && !computer.host.isUp;
    if (isDown && judge.isMember(computer.id)) return `${nameOf(computer)} does not run`;
  }
  const all = members.map(({ computer }) => ({ computer, status: statusOf(computer) }));
  let first: { readonly name: string; readonly view: readonly string[] } | undefined;
  for (const { computer, status } of all) {
    const complaint = judge.complaintOn(status);
    if (complaint !== undefined) return `${nameOf(computer)}: ${complaint}`;
    for (const other of all) {
      if (other.computer === computer) continue;
      const state = computer.sees(other.computer)?.state ?? "unknown";
      if (state !== "alive") return `${nameOf(computer)} holds ${nameOf(other.computer)} ${state}`;
    }
    const view = viewOf(status, new Set(all.map((one) => one.status.self.key)));
    first ??= { name: nameOf(computer), view };
    const differs = difference(first.view, view);
    if (differs) return `${first.name} and ${nameOf(computer)} differ: ${differs}`;
  }
  return "";
}

/** What a node shows of those members, and of all guests, line by line. */
function viewOf({ self, mesh, peers, guests }: NodeStatus, keys: ReadonlySet<string>): string[] {
  const lines = [self, ...peers].filter(({ key }) => keys.has(key)).map((one) =>
    [one.key.slice(0, 8), one.name, one.ip4, one.ip6, one.standing, one.expires, one.groups]
      .join(" ")
  );
  const served = guests.map(({ key, name, ip4, ip6, host_key, expires }) =>
    [key.slice(0, 8), name, ip4, ip6, host_key.slice(0, 8), expires].join(" ")
  );
  return [`mesh key ${mesh.key.slice(0, 8)}`, ...lines.sort(), ...served.sort()];
}

function difference(a: readonly string[], b: readonly string[]): string | undefined {
  const [inA, inB] = [new Set(a), new Set(b)];
  const lines = [...inA.symmetricDifference(inB)];
  return lines.length === 0 ? undefined : lines.slice(0, 4).join(" | ");
}

/** The statements that were read in a history, by their text: every machine holds the same, and each is asked often. */
const READ = new WeakMap<History, Map<string, OracleStatement>>();

/** All statements that those machines hold, judged by the oracle. */
class Union {
  readonly #genesis: OracleGenesis;
  readonly #now: number;
  readonly #keys: string[];
  readonly #findings: Findings;

  constructor(history: History, members: readonly Machine[]) {
    const { crypto, machines } = history;
    const { meshId, genesis } = foundation(history);
    this.#genesis = genesis;
    const statements = new Map<string, OracleStatement>();
    const known = READ.get(history) ?? new Map<string, OracleStatement>();
    READ.set(history, known);
    for (const { computer } of members) {
      for (const { bytes } of computer.node.snapshot().statements) {
        const one = known.get(bytes) ?? asOracle(crypto, meshId, bytes);
        if (!one) continue;
        known.set(bytes, one);
        statements.set(one.hash, one);
      }
    }
    const all = [...statements.values()];
    const keys = new Set(machines.map(({ computer }) => computer.id));
    for (const { says } of all) if ("certificate" in says) keys.add(says.certificate.key);
    this.#keys = [...keys];
    const [one] = members;
    this.#now = Math.floor((one?.computer.now().wall ?? 0) / 1000);
    // Addresses are many: what shares one is the business of the roster's own tests.
    const ip4Of = (key: string, counter: number) => Number.parseInt(key.slice(0, 12), 16) + counter;
    this.#findings = oracle(this.#genesis, all, this.#now, this.#keys, ip4Of, GUESTS_PER_HOST);
  }

  isMember(key: string): boolean {
    return this.#findings.verdicts.get(key)?.kind === "member";
  }

  isOut(key: string): boolean {
    const verdict = this.#findings.verdicts.get(key);
    return verdict?.kind === "refused" && (verdict.why === "removed" || verdict.why === "left");
  }

  guests(): Findings["guests"] {
    return this.#findings.guests;
  }

  /** What a node believes that the statements do not say, or the other way round. */
  complaintOn({ self, peers, guests, mesh }: NodeStatus): string | undefined {
    const { verdicts, meshKey } = this.#findings;
    if (mesh.key !== meshKey) return `it takes ${mesh.key.slice(0, 8)} for the mesh key`;
    for (const { key, name, standing, admin, groups } of [self, ...peers]) {
      if (standing === "provisional" || standing === "individual") {
        // By a token or a person of this node alone; but never against what was signed.
        if (this.isOut(key)) return `${name} is ${standing}, and was put out`;
        continue;
      }
      const verdict = verdicts.get(key);
      const is = verdict?.kind === "member" ? verdict.standing : verdict?.why ?? "unknown";
      if (is !== standing) return `${name} is ${standing} there, and ${is} by all statements`;
      if (admin !== (is === "admin")) return `${name} is taken for ${admin ? "an" : "no"} admin`;
      const wanted = verdict?.kind === "member" ? verdict.groups.join() : "";
      if (groups.join() !== wanted) return `${name} has the groups ${groups}, not ${wanted}`;
    }
    const served = guests.map(({ key, host_key }) =>
      `${Uint8Array.fromBase64(key).toHex().slice(0, 8)} at ${host_key.slice(0, 8)}`
    );
    const wanted = this.#findings.guests.map(({ key, host }) =>
      `${key.slice(0, 8)} at ${host.slice(0, 8)}`
    );
    const differs = difference(served.sort(), wanted.sort());
    return differs && `guests: ${differs}`;
  }
}

function foundation({ crypto, machines }: History) {
  const text = machines[0]?.computer.disk?.genesis ?? "";
  const decoded = decodeGenesis(fromBase64url(text) ?? new Uint8Array(0));
  if (!decoded.ok) throw new Error(`history: ${decoded.error}`);
  const { meshKey, recoveryKey } = decoded.value;
  const meshId = meshIdOf(crypto, decoded.value);
  const genesis = {
    mesh: meshId.toHex(),
    meshKey: meshKey.toHex(),
    recoveryKey: recoveryKey.toHex(),
  };
  return { meshId, genesis };
}

/** A statement as the oracle reads it; undefined: it is none. */
function asOracle(crypto: Crypto, meshId: Uint8Array, text: string): OracleStatement | undefined {
  const bytes = fromBase64url(text) ?? new Uint8Array(0);
  const decoded = decodeStatement(bytes, hashOf(crypto, bytes));
  if (!decoded.ok) return undefined;
  const { signer, number, at, hash, bytes: _, ...says } = decoded.value;
  const signedBy = isSigned(crypto, meshId, decoded.value) ? signer : "";
  const said = says.kind === "member" && says.token === undefined
    ? { kind: says.kind, certificate: says.certificate, until: says.until }
    : says;
  return { signer, signedBy, mesh: meshId.toHex(), number, at, hash, says: said as Said };
}

/** What does not hold though all agree. */
export function* complaintsOf(history: History, { members }: Settled): Generator<string> {
  const { lab } = history;
  const judge = new Union(history, members);
  const computers = members.map(({ computer }) => computer);
  const talkers = computers.filter(({ ip4 }) => ip4.length === 4);
  yield* unreached(history, talkers);
  yield* unreachedGuests(history, judge, talkers);
  yield* intruders(history, judge, talkers);
  // Somebody may still be let in, since a door is asked once a minute: what ends by itself is no unrest.
  let busy: string[] = [];
  for (let minute = 0; minute < QUIET_WITHIN; minute++) {
    busy = [...unrest(history, computers)];
    if (busy.length === 0) break;
  }
  yield* busy;
  yield* excesses(history, computers);
  let later = "";
  for (let second = 0; second < 3 * QUIET; second += PACE) {
    later = whatSettles(history).complaint;
    if (later === "") return;
    lab.run(PACE * 1_000);
  }
  yield `and later: ${later}`;
}

/** Pairs of members of which one does not get what the other sends. */
function* unreached({ lab }: History, computers: readonly Computer[]): Generator<string> {
  for (const computer of computers) computer.delivered.length = 0;
  const isHeard = (by: Computer, from: Computer) => hasFrom(by, from.ip4.join("."));
  let pairs = computers.flatMap((from) =>
    computers.filter((to) => to !== from).map((to) => ({ from, to }))
  );
  for (let second = 0; second < REACHED && pairs.length > 0; second += PACE) {
    for (const { from, to } of pairs) from.say(to);
    lab.run(PACE * 1_000);
    pairs = pairs.filter(({ from, to }) => !isHeard(to, from));
  }
  for (const { from, to } of pairs) yield `no packet of ${nameOf(from)} reaches ${nameOf(to)}`;
}

function hasFrom({ delivered }: Computer, ip4: string): boolean {
  return delivered.some((packet) => packet.subarray(12, 16).join(".") === ip4);
}

/** Devices that are guests, whose packets reach nobody. */
function* unreachedGuests(
  { devices, lab, machines }: History,
  judge: Union,
  computers: readonly Computer[],
): Generator<string> {
  const served = new Set(judge.guests().map(({ key, host }) => `${key} ${host}`));
  for (const { device, host, place } of devices) {
    const [other] = computers.filter((one) => one !== host);
    const isServed = served.has(`${device.publicKey.toHex()} ${host.id}`);
    // It went over to the copy, as it does to whoever has the key, and waits there until its host has something for it.
    const isCloned = machines.some(({ computer, role }) =>
      role === "clone" && computer.id === host.id
    );
    if (isCloned) continue;
    // Its file names the place of then.
    if (!isServed || !other || !computers.includes(host) || host.address !== place) continue;
    const status = statusOf(host).guests.find(({ key }) => key === device.publicKey.toBase64());
    if (status?.ip4 !== device.ip4.join(".")) continue;
    const from = device.ip4.join(".");
    other.delivered.length = 0;
    let isHeard = false;
    for (let second = 0; second < 40 && !isHeard; second++) {
      device.say(other);
      lab.run(1_000);
      isHeard = hasFrom(other, from);
    }
    if (!isHeard) yield `the guest ${status?.name} of ${nameOf(host)} reaches nobody`;
  }
}

/** Those that were put out and whose packets arrive all the same. */
function* intruders(
  history: History,
  judge: Union,
  members: readonly Computer[],
): Generator<string> {
  const out = history.running().map(({ computer }) => computer)
    .filter((computer) => judge.isOut(computer.id) && computer.ip4.length === 4);
  for (const member of members) member.delivered.length = 0;
  const sources = out.map((computer) => ({ computer, ip4: computer.ip4.join(".") }));
  for (const one of out) for (const member of members) one.say(member);
  history.lab.run(8_000);
  const own = new Set(members.map(({ ip4 }) => ip4.join(".")));
  // Somebody may have come meanwhile who knows that an end does not count any more.
  const later = new Union(history, whatSettles(history).members);
  for (const { computer, ip4 } of sources) {
    if (own.has(ip4) || !later.isOut(computer.id)) continue;
    const at = members.find((member) => hasFrom(member, ip4));
    if (at) yield `${nameOf(computer)} was put out, and ${nameOf(at)} gets its packets`;
  }
}

/** Who is busy though nothing happens. */
function* unrest({ lab }: History, computers: readonly Computer[]): Generator<string> {
  const sent = new Map<Computer, number>();
  const tap = lab.tap;
  lab.tap = (datagram, from) => {
    sent.set(from, (sent.get(from) ?? 0) + 1);
    tap(datagram, from);
  };
  const before = computers.map((computer) => ({ computer, ...countsOf(computer) }));
  const { steps } = lab.world;
  lab.run(QUIET * 1_000);
  lab.tap = tap;
  const taken = (lab.world.steps - steps) / QUIET / Math.max(1, lab.computers.length);
  if (taken > STEPS_A_SECOND) yield `${taken} steps of each machine a second, though it is calm`;
  for (const { computer, events, writes, numbers, incarnation } of before) {
    const now = countsOf(computer);
    const name = nameOf(computer);
    const datagrams = (sent.get(computer) ?? 0) / QUIET;
    if (datagrams > DATAGRAMS_A_SECOND) yield `${name} sends ${datagrams} datagrams a second`;
    const told = (now.events - events) / QUIET;
    if (told > EVENTS_A_SECOND) yield `${name} tells of ${told} events a second`;
    if (now.writes - writes > WRITES_A_MINUTE) yield `${name} writes ${now.writes - writes} times`;
    if (now.numbers > numbers) yield `${name} signs ${now.numbers - numbers} statements`;
    if (now.incarnation > incarnation + 1) yield `${name} denies that it is dead again and again`;
  }
}

function countsOf(computer: Computer) {
  const { events } = computer;
  const { numbers, incarnation } = computer.node.snapshot();
  return {
    events: events.filter(({ kind }) => kind !== "persist").length,
    writes: events.filter(({ kind }) => kind === "persist").length,
    numbers: numbers.own + numbers.mesh,
    incarnation,
  };
}

/** Numbers that ran away, and tables that hold more than was ever said. */
function* excesses(history: History, computers: readonly Computer[]): Generator<string> {
  const { machines, plan, lab } = history;
  const seconds = lab.world.now / 1_000;
  for (const computer of computers) {
    const name = nameOf(computer);
    const { numbers, incarnation, boot, members, trusted, admissions } = computer.node.snapshot();
    const most = Math.max(numbers.own, numbers.mesh);
    // An insider that is an admin may have used its own numbers, and nobody else's.
    if (most > (plan.steps.length + machines.length) * NUMBERS_AN_ACT || most >= NUMBER_MAX) {
      yield `${name} has used ${most} numbers`;
    }
    // One more each time that somebody says it is dead, which it may answer once a second.
    if (incarnation > seconds + boot) yield `${name} is at incarnation ${incarnation}`;
    const lies = history.mischief?.count ?? 0;
    const people = machines.length + plan.steps.length + lies;
    if (members.length > people) yield `${name} remembers ${members.length} members`;
    if (admissions.length > people) yield `${name} remembers ${admissions.length} admissions`;
    if (trusted.length > plan.steps.length) yield `${name} trusts ${trusted.length} keys`;
  }
}

function statusOf(computer: Computer): NodeStatus {
  return computer.node.status(computer.now());
}

function nameOf(computer: Computer): string {
  return `${computer.wish.name} (${computer.id.slice(0, 8)})`;
}
