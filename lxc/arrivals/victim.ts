/**
 * The node under fire: the machine of mesh, the driver of production and the real core behind it.
 *
 * Two things are not as in production. Time is the laboratory's. And nothing leaves this computer:
 * between ffi and core, every place that core may be told to send to becomes one of the loopback,
 * after that which core itself looks at (the family, a port that is 0, a mapped address), so core's
 * refusals are its own. What the machine sends goes to the laboratory's wire as well.
 *
 * Now and then core is made to refuse what it would not: a machine must live with any refusal.
 */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { type Core, loadCore } from "../../ffi/core.ts";
import { Device } from "../../ffi/device.ts";
import { AddressStruct, EndpointStruct, Status } from "../../ffi/header.ts";
import type { Mail } from "../../ffi/mail.ts";
import { memory, readRemote } from "../../ffi/structs.ts";
import type { Crypto } from "../../mesh/crypto.ts";
import type { Endpoint } from "../../mesh/endpoint.ts";
import type { NodeEvent } from "../../mesh/event.ts";
import type { InviteOptions } from "../../mesh/admin/invite.ts";
import type { Genesis } from "../../mesh/membership/genesis.ts";
import type { Now, Outbox, Random } from "../../mesh/machine.ts";
import { Node, type NodeOptions } from "../../mesh/node.ts";
import type { NodeSnapshot } from "../../mesh/snapshot.ts";
import type { Seeded } from "../../mesh/sim/random.ts";
import { type CoreNews, Driver } from "../../src/driver.ts";
import type { Fault } from "../../src/fault.ts";

/** How often a call that may be refused is, whatever core thinks of it. */
const REFUSALS = 0.002;

export interface VictimOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  /** Which call is refused is drawn from here. */
  readonly dice: Seeded;
  readonly place: Endpoint;
  readonly clock: () => Now;
  readonly membersMax: number;
  /** What the machine sent, as core took it. */
  readonly onSent: (to: Endpoint, bytes: Uint8Array) => void;
}

export class Victim {
  readonly name = "victim";
  readonly place: Endpoint;
  readonly id: string;
  readonly faults: Fault[] = [];
  readonly defects: unknown[] = [];
  /** Commands and datagrams that core was made to refuse since the start. */
  forcedRefusals = { commands: 0, datagrams: 0 };
  readonly identitySeed: Uint8Array;
  /** Where core believes that everybody is. */
  readonly #sink: Socket = createSocket("udp4");
  readonly #sink6: Socket = createSocket("udp6");
  /** Sends to the node's port at once, from any address of the loopback. */
  readonly #gun: Device;
  #device: Device | undefined;
  #driver: Driver<NodeEvent> | undefined;
  #node: Node | undefined;
  #options: Partial<NodeOptions> = {};
  #disk: NodeSnapshot | undefined;
  #port = 0;
  #ports = { ip4: 0, ip6: 0 };

  private constructor(private readonly options: VictimOptions) {
    this.place = options.place;
    this.identitySeed = options.random(32);
    this.#gun = Device.open(loadCore(), {
      tun: { kind: "none" },
      isWireGuardOnly: false,
      seed: options.random(32),
    });
    this.#gun.bind(0, 0);
    this.id = options.crypto.ed25519FromSeed(this.identitySeed).publicKey.toHex();
  }

  /** A node that is not started yet. @param onData a data message that core sent to anybody */
  static async open(
    options: VictimOptions,
    onData: (bytes: Uint8Array) => void,
  ): Promise<Victim> {
    const victim = new Victim(options);
    victim.#sink.bind(0, "127.0.0.1");
    victim.#sink6.bind(0, "::1");
    await Promise.all([once(victim.#sink, "listening"), once(victim.#sink6, "listening")]);
    for (const sink of [victim.#sink, victim.#sink6]) sink.on("message", onData);
    victim.#ports = { ip4: victim.#sink.address().port, ip6: victim.#sink6.address().port };
    return victim;
  }

  start(options: Partial<NodeOptions>): void {
    const why = this.#start(options);
    if (why !== undefined) throw new Error(why);
  }

  /** @returns why it could not */
  #start(options: Partial<NodeOptions>): string | undefined {
    this.#options = options;
    this.forcedRefusals = { commands: 0, datagrams: 0 };
    const { crypto, random, clock } = this.options;
    const core = loadCore();
    this.#device = Device.open(this.#fenced(core), {
      tun: { kind: "none" },
      isWireGuardOnly: false,
      seed: random(32),
    });
    this.#port = this.#device.bind(0, 0);
    const created = Node.create(clock(), {
      name: this.name,
      port: this.place.port,
      version: "0",
      tunnel: true,
      relay: false,
      membersMax: this.options.membersMax,
      ...options,
      crypto,
      random,
      identitySeed: this.identitySeed,
      ...(this.#disk ? { snapshot: this.#disk } : {}),
      facts: (peer) => this.#driver?.facts(peer),
    });
    if (!created.ok) return created.error;
    const node = created.value;
    this.#node = node;
    this.#keep();
    this.#driver = new Driver<NodeEvent>({
      device: this.#device,
      machine: {
        get deadline() {
          return node.deadline();
        },
        receive: (now, arrival, out) => node.datagram(now, arrival, out),
        edge: (now, edge, out) => node.edge(now, edge, out),
        due: (now, _facts, out) => node.poll(now, out),
      },
      onEvent: (event) => event.kind === "persist" && this.#keep(),
      onNews: (news) => this.#hear(news),
      onDefect: (error) => this.defects.push(error),
      clock,
    });
    this.#step((now, out) => node.interfaces(now, [this.place], out));
    this.#step((now, out) => node.start(now, out));
    return undefined;
  }

  /** Starts again from what it had persisted. @returns why it could not */
  restart(): string | undefined {
    this.stop();
    return this.#start(this.#options);
  }

  stop(): void {
    this.#driver?.close();
    this.#device?.close();
    this.#driver = this.#device = undefined;
  }

  close(): void {
    this.stop();
    this.#gun.close();
    this.#sink.close();
    this.#sink6.close();
  }

  deliver(mail: Mail): void {
    this.#driver?.deliver(mail);
  }

  due(): void {
    this.#driver?.due();
  }

  /** Sends to its real port, from 127.0.0.`host`: past the driver's door, through core's. */
  knock(bytes: Uint8Array, host = 1, tos = 0): void {
    const to = { address: Uint8Array.of(127, 0, 0, 1), port: this.#port, scope: 0 };
    const from = { address: Uint8Array.of(127, 0, 0, host), ifindex: 0 };
    // What core sends to nobody, it may receive.
    if (this.#gun.send({ bytes, to, from, tos }) === "refused") {
      this.#sink.send(bytes, this.#port, "127.0.0.1");
    }
  }

  get isMember(): boolean {
    return this.#node?.isMember ?? false;
  }

  /** The keys of its mesh; undefined while it knows none. */
  get genesis(): Genesis | undefined {
    return this.#node?.genesis;
  }

  /** By what it is a member itself. */
  get standing(): string {
    return this.#status().self.standing;
  }

  /** By what those are members that it knows. */
  standings(): string[] {
    return this.#status().peers.map(({ standing }) => standing);
  }

  /** How often it has started, as those who seal for it have to know. */
  get boot(): number {
    return this.#disk?.boot ?? 1;
  }

  get ip4(): number[] {
    return this.#status().self.ip4.split(".").map(Number);
  }

  /** A token of a founder. */
  invite(options: InviteOptions): string {
    const made = this.#ask((now, out, node) => node.invite(now, options, out));
    if (!made?.ok) throw new Error(`the founder makes no token: ${made?.error}`);
    return made.value.token;
  }

  tryInvite(uses: number): void {
    this.#ask((now, out, node) => node.invite(now, { uses, seeds: ["192.0.2.250:51820"] }, out));
  }

  revokeInvites(): void {
    this.#ask((now, out, node) => {
      const listed = node.invites(now);
      const [one] = listed.ok ? listed.value : [];
      if (one) node.revokeInvite(now, one.id, { yes: true }, out);
    });
  }

  openDoor(ms: number): void {
    this.#ask((now, _, node) => node.openDoor(now, ms));
  }

  ping(who: string): void {
    const options = { timeoutMs: 1_000, size: 0 };
    this.#ask((now, out, node) => node.ping(now, who, options, out));
  }

  approve(who: string): void {
    this.#ask((now, out, node) => node.approve(now, who, out, { yes: true }));
  }

  promote(who: string): void {
    this.#ask((now, out, node) => node.promote(now, who, { yes: true }, out));
  }

  /** Says what that would do, and does not do it. */
  demote(who: string): void {
    this.#ask((now, out, node) => node.demote(now, who, { yes: true }, out));
    this.#ask((now, out, node) => node.revoke(now, who, { since: 0 }, out));
  }

  /** A new mesh key, as far as the recovery key is that of its mesh. */
  recover(seeds: { readonly recovery: Uint8Array; readonly meshKey: Uint8Array }): void {
    this.#ask((now, out, node) => node.recover(now, seeds, { yes: true }, out));
  }

  askAdmin(who: string): void {
    this.#ask((now, out, node) => node.askAdmin(now, who, out));
  }

  trust(key: string, name: string): void {
    this.#ask((now, out, node) => node.trust(now, key, name, out));
  }

  untrust(who: string): void {
    this.#ask((now, out, node) => node.untrust(now, who, out));
  }

  /** Every counter of something that was dropped or refused, by core, the driver or the machine. */
  counters(): Record<string, number> {
    const counters: Record<string, number> = {};
    for (const [name, count] of Object.entries(this.#status().control)) {
      counters[`control ${name}`] = count;
    }
    for (const [name, count] of Object.entries(this.#device?.counters() ?? {})) {
      // What does not leave is nothing that arrives.
      if (/^drop_(rx|handshake)_/.test(name)) counters[`core ${name}`] = count;
    }
    counters["driver unanswerable"] = this.#driver?.unanswerable ?? 0;
    counters["driver unsent"] = this.#driver?.unsent ?? 0;
    counters["driver refusedCommands"] = this.#driver?.refusedCommands ?? 0;
    counters["driver refusedDatagrams"] = this.#driver?.refusedDatagrams ?? 0;
    return counters;
  }

  /** Core refuses this often of itself: never, if no place that cannot be sent to is believed. */
  ownRefusals(): number {
    const { refusedCommands = 0, refusedDatagrams = 0 } = this.#driver ?? {};
    return refusedCommands + refusedDatagrams -
      this.forcedRefusals.commands - this.forcedRefusals.datagrams;
  }

  #status() {
    if (!this.#node) throw new Error("the node under fire is not started");
    return this.#node.status(this.options.clock());
  }

  #step(ask: (now: Now, out: Outbox<NodeEvent>) => unknown): void {
    this.#driver?.step(ask);
  }

  #ask<T>(act: (now: Now, out: Outbox<NodeEvent>, node: Node) => T): T | undefined {
    const node = this.#node;
    return node && this.#driver?.step((now, out) => act(now, out, node));
  }

  /** What JSON keeps of it, as on disk. */
  #keep(): void {
    this.#disk = JSON.parse(JSON.stringify(this.#node?.snapshot()));
  }

  #hear(news: CoreNews): void {
    if (news.kind === "faultCaught") this.faults.push(news.fault);
  }

  #fenced(core: Core): Core {
    const { dice, onSent } = this.options;
    const { calls } = core;
    const refuses = (which: keyof Victim["forcedRefusals"]) => {
      if (!dice.chance(REFUSALS)) return false;
      this.forcedRefusals[which]++;
      return true;
    };
    return {
      ...core,
      calls: {
        ...calls,
        shoal_peer_add: (device, tag, peer) =>
          refuses("commands") ? Status.E_FULL : calls.shoal_peer_add(device, tag, peer),
        shoal_peer_set_endpoint: (device, peer, endpoint, size) =>
          refuses("commands")
            ? Status.E_INVALID
            : calls.shoal_peer_set_endpoint(device, peer, this.#atHome(endpoint), size),
        shoal_session_install: (device, peer, session, size) =>
          refuses("commands")
            ? Status.E_MEMORY
            : calls.shoal_session_install(device, peer, session, size),
        shoal_route_add: (device, peer, prefix, size) =>
          refuses("commands") ? Status.E_FULL : calls.shoal_route_add(device, peer, prefix, size),
        shoal_datagram_send: (device, endpoint, size, tos, bytes, length) => {
          if (dice.chance(REFUSALS)) return unsent[dice.below(unsent.length)] ?? Status.E_SYSTEM;
          if (refuses("datagrams")) return Status.E_INVALID;
          const to = remoteOf(endpoint);
          const status = calls
            .shoal_datagram_send(device, this.#atHome(endpoint), size, tos, bytes, length);
          if (status === Status.OK) onSent(to, (bytes as Uint8Array).slice());
          return status;
        },
      },
    };
  }

  /** The same endpoint on the loopback, as far as core would send to it at all. */
  #atHome(endpoint: AllowSharedBufferSource | null): Uint8Array<ArrayBuffer> {
    const { offset, size } = EndpointStruct;
    const copy = memory(size);
    copy.bytes.set(endpoint as Uint8Array);
    const { address, port } = readRemote(copy, 0);
    const isMapped = address.length === 16 && address.subarray(0, 12).join() === MAPPED;
    if (port === 0 || isMapped) return copy.bytes;
    const isIp4 = address.length === 4;
    const { ip4, ip6 } = this.#ports;
    const at = (field: keyof typeof AddressStruct.offset) =>
      offset.remote + AddressStruct.offset[field];
    copy.view.setUint16(at("port"), isIp4 ? ip4 : ip6, true);
    copy.view.setUint32(at("scope"), 0, true);
    copy.bytes.set(isIp4 ? [127, 0, 0, 1] : [...new Uint8Array(15), 1], at("ip"));
    // Addresses of the laboratory are not this computer's: what fits the family is left to the kernel.
    const family = (start: number) =>
      copy.view.getUint16(start + AddressStruct.offset.family, true);
    if (family(offset.local) !== family(offset.remote)) return copy.bytes;
    copy.bytes.fill(0, offset.local, offset.local + AddressStruct.size);
    copy.view.setUint32(offset.ifindex, 0, true);
    return copy.bytes;
  }
}

/** What the kernel may say of a datagram. */
const unsent = [Status.E_SYSTEM, Status.E_NO_ROUTE, Status.E_STATE];

const MAPPED = "0,0,0,0,0,0,0,0,0,0,255,255";

function remoteOf(endpoint: AllowSharedBufferSource | null): Endpoint {
  const copy = memory(EndpointStruct.size);
  copy.bytes.set(endpoint as Uint8Array);
  return readRemote(copy, 0);
}
