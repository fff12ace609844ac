/**
 * A mesh node on this machine: core's device, the mesh machine, the driver between them and the
 * state folder, composed once for the command line and for programs that embed a node.
 */
import type { Core } from "../ffi/core.ts";
import { CoreError } from "../ffi/core_error.ts";
import { Device, type DeviceInfo } from "../ffi/device.ts";
import { loadSodium } from "../ffi/sodium.ts";
import type { Approved, ApproveOptions } from "../mesh/admin/approve.ts";
import type { Insistence } from "../mesh/admin/authority.ts";
import type { GuestTerm, GuestWay, RenewOptions } from "../mesh/admin/guest.ts";
import type { Invitation, InviteOptions, InviteStatus } from "../mesh/admin/invite.ts";
import type { Planned } from "../mesh/admin/plan.ts";
import type { RecoverOptions } from "../mesh/admin/recovery.ts";
import type { RevokeOptions } from "../mesh/admin/removal.ts";
import type { Decoded } from "../mesh/codec.ts";
import { domainOf, isOthersDomain } from "../mesh/domain.ts";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import type { NodeEvent, Who } from "../mesh/event.ts";
import { LANES_MAX, type Now, type Outbox, type Prefix } from "../mesh/machine.ts";
import { Node as Machine } from "../mesh/node.ts";
import type { NodeStatus } from "../mesh/status.ts";
import { formatSeed, readSeed, type Seed } from "../mesh/seed.ts";
import { SEEDS_MAX } from "../mesh/door/token.ts";
import { identityFromSeed } from "../mesh/membership/identity.ts";
import { IP6_ON_LINK, LinkAddresses } from "./addresses.ts";
import { Byways } from "./byways.ts";
import { readClock } from "./clock.ts";
import { freePort, neighbours } from "./neighbours.ts";
import { type DataplaneConfig, DEFAULT_PORT, hostName, type SuiteChoice } from "./config.ts";
import type { ControlNews } from "./control.ts";
import { NO_NAMES, Resolver, type ResolverNews } from "./dns/server.ts";
import { mayBeFound } from "./dns/zone.ts";
import { type CoreNews, Driver, type Heartbeat } from "./driver.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { Guard, type GuardNews } from "./guard.ts";
import { KEY_LENGTH } from "./keys.ts";
import { untilLook } from "./look.ts";
import { Forwarded } from "./forwarded.ts";
import { Loop } from "./loop.ts";
import { MeshKey } from "./mesh_key.ts";
import { bind, openCore, openDevice } from "./opening.ts";
import { Outside } from "./outside.ts";
import { random } from "./random.ts";
import { checkDataplane } from "./refusal.ts";
import { type Memory, NodeState, type StateNews } from "./state.ts";
import type { DataplaneStatus, StatusDocument } from "./status.ts";
import { Underlay } from "./underlay.ts";
import { counted } from "./words.ts";
import denoJson from "../deno.json" with { type: "json" };
import { DEFAULT_POOL, formatPool, readPool } from "../mesh/membership/genesis.ts";

/**
 * How many moments pass between two looks at this machine's own addresses, at what something took off the interface and at
 * the usual port. The kernel's news of links, addresses, routes and rules cause one at once: this is for what has none,
 * and for news that got lost. At the state folder, of which there is no news, each moment looks.
 */
const LOOKS_APART = 3;

/** Networks to name to a founder whose machine is inside the one that its mesh would have. */
const OTHER_POOLS = ["10.77.0.0/16", "172.27.0.0/16", "192.168.177.0/24", "10.123.0.0/16"];

/** Places of members that are asked about for one status. */
const SOUGHT_MAX = 64;

/** Milliseconds that a command waits for a member that compares what it knows with ours. */
const COMPARED_MS = 3_000;

/** What this machine says that concerns the node and not the mesh. */
export type NodeNews =
  | CoreNews
  | ControlNews
  | GuardNews
  | ResolverNews
  | StateNews
  /** The usual UDP port, which was taken as the node started, is free and ours. */
  | { readonly kind: "portRegained"; readonly port: number }
  /** The usual UDP port was another program's as the node started. */
  | { readonly kind: "portTaken"; readonly usual: number; readonly port: number }
  /** The default UDP port is that of another node of this machine, by its state folder: this one keeps to the next. */
  | {
    readonly kind: "portOfAnother";
    readonly usual: number;
    readonly port: number;
    readonly by: string;
  }
  /** This node has the mesh key of a mesh of which it knows no other member: it asks no other mesh to let it in. */
  | { readonly kind: "joinIgnored"; readonly mesh: string }
  /** A person has founded a mesh with a pool that this machine is inside. */
  | { readonly kind: "poolInside"; readonly why: string }
  /** A new node has a name by which DNS gives nobody an answer. */
  | { readonly kind: "nameNotFound"; readonly name: string }
  /** This node has another name than the one that it was started with. */
  | { readonly kind: "nameIgnored"; readonly wanted: string; readonly name: string }
  /** The mesh was founded with another name or pool than this start asks for. */
  | {
    readonly kind: "foundingIgnored";
    readonly option: "--mesh-name" | "--pool";
    readonly wanted: string;
    readonly founded: string;
  };

export interface MeshNodeOptions {
  readonly stateDir: string;
  /** Where other nodes of this machine have their state folders, whose ports a new node leaves to them; none when absent. */
  readonly statesDir?: string | undefined;
  /** "" only without `tun`. */
  readonly interface: string;
  /** A DNS label. Undefined: the name of the last start, else the host name. */
  readonly name: string | undefined;
  /** Of a mesh that is founded now. */
  readonly meshName?: string | undefined;
  readonly pool?: Prefix | undefined;
  /** Whether the names of members are answered at our addresses, port 53; false when absent. */
  readonly dns?: boolean;
  /** Undefined: the port of the last start, else the usual one, else any free one. */
  readonly listen: number | undefined;
  readonly join: readonly Seed[];
  readonly token: string | undefined;
  readonly tun: boolean;
  readonly open: boolean;
  /** Goes on from the generation of the state before the newest, which is damaged or lost. */
  readonly previousState?: boolean;
  /** "auto" when absent: AES-256-GCM too, where the processor has AES. */
  readonly suite?: SuiteChoice;
  readonly dataplane: DataplaneConfig;
  readonly onEvent: (event: NodeEvent) => void;
  readonly onNews: (news: NodeNews) => void;
  /** What the node cannot go on after; whoever is told closes it. */
  readonly onDefect: (error: unknown) => void;
  readonly heartbeat?: Heartbeat | undefined;
}

/** What is not named has mesh's default. */
export interface InviteWish extends Omit<InviteOptions, "relay"> {
  /** `relay` */
  readonly flags?: readonly string[];
}

/** A device that is to be a guest of this node. What is not named has mesh's default. */
export interface GuestWish extends RenewOptions {
  /** Its X25519 public key. */
  readonly key: Uint8Array;
  readonly groups?: readonly string[];
  /** `HOST:PORT` at which it reaches this node. */
  readonly place?: string;
}

/** What one ping told. */
export interface Pong {
  readonly who: Who;
  /** `ADDRESS:PORT` and milliseconds; undefined: nobody answered in time. */
  readonly answer: { readonly endpoint: string; readonly rttMs: number } | undefined;
}

type Out = Outbox<NodeEvent>;
type PongEvent = Extract<NodeEvent, { kind: "pong" | "pingLost" }>;

export class MeshNode {
  /** This node holds the mesh key: it founded the mesh, or an admin has recovered with it. */
  readonly hasMeshKey: boolean;
  /** What it asked to be called; another may have that name. */
  readonly wantedName: string;
  /** There was no state before, or none of a mesh. */
  readonly isFirstStart: boolean;

  readonly #state: NodeState;
  readonly #device: Device;
  readonly #machine: Machine;
  readonly #driver: Driver<NodeEvent>;
  readonly #meshKey: MeshKey;
  readonly #guard: Guard;
  readonly #byways: Byways;
  readonly #addresses: LinkAddresses;
  readonly #resolver: Resolver | undefined;
  readonly #outside = new Outside();
  readonly #comparisons = new Set<(who: Who) => void>();
  readonly #pings = new Map<number, (event: PongEvent) => void>();
  /** Of the interface as it was made. */
  readonly #mtu: number;
  readonly #loop = new Loop();
  readonly #forwarded = new Forwarded();
  readonly #underlay: Underlay;
  /** Our addresses, with the length of the mesh's network; none before this node has some. */
  #own: readonly Prefix[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /**
   * Opens the state, the interface and the port, and starts the machine.
   * @throws {Failure} naming what was refused; nothing is left behind then
   */
  static open(options: MeshNodeOptions): MeshNode {
    const core = openCore();
    checkDataplane("node", core, options.dataplane);
    const { stateDir, join, token, previousState: takesPrevious = false, onNews } = options;
    const founds = join.length === 0 && token === undefined;
    const firstPort = () => firstPortOf(options);
    const state = NodeState.open({ dir: stateDir, founds, takesPrevious, firstPort, onNews });
    try {
      return new MeshNode(core, state, options);
    } catch (error) {
      state.closeUnused();
      throw error;
    }
  }

  private constructor(core: Core, state: NodeState, private readonly options: MeshNodeOptions) {
    this.#state = state;
    this.#meshKey = new MeshKey(
      state,
      (ask) => this.#ask((now, out) => ask(this.#machine, now, out)),
    );
    this.hasMeshKey = state.meshSeed !== undefined;
    // One that was stopped before its token was good for anything begins its first join anew.
    const isAsking = options.token !== undefined && state.snapshot?.genesis === undefined;
    this.isFirstStart = state.snapshot === undefined || isAsking;
    this.wantedName = options.name ?? state.snapshot?.name ?? hostName();
    if (this.isFirstStart && options.join.length === 0 && options.token === undefined) {
      this.#refuseOthersDomain();
      this.#refuseRivalPool();
    }
    this.#device = openDevice(core, options);
    this.#mtu = this.#device.info().mtu;
    this.#underlay = new Underlay(this.#device);
    this.#resolver = options.tun && options.dns
      ? new Resolver({
        isMember: () => this.#machine.isMember,
        directory: () => this.#machine.directory(),
        clock: readClock,
        onNews: options.onNews,
      })
      : undefined;
    this.#byways = new Byways(this.#device, {
      talksWith: (limit) => this.#machine.talksWith(readClock(), limit),
      someOfAll: (from, limit) => this.#machine.someOfAll(from, limit),
    });
    this.#guard = new Guard(this.#device, options.onNews);
    this.#addresses = new LinkAddresses(
      this.#device,
      (ifname) => this.#outside.addressesOf(ifname),
    );
    try {
      const port = bind(this.#device, state.usualPort, options.listen);
      this.#machine = this.#createMachine(port);
      // The snapshot counts this start and must be on disk before the first datagram.
      state.save(this.#memory);
      const machine = this.#machine;
      this.#driver = new Driver<NodeEvent>({
        device: this.#device,
        machine: {
          get deadline() {
            return machine.deadline();
          },
          receive: (now, arrival, out) => machine.datagram(now, arrival, this.#keeping(out)),
          edge: (now, edge, out) => machine.edge(now, edge, this.#keeping(out)),
          stray: (now, from, out) => machine.stray(now, from, this.#keeping(out)),
          due: (now, _facts, out) => machine.poll(now, this.#keeping(out)),
        },
        onEvent: (event) => this.#hear(event),
        onNews: (news) => this.#hearNews(news),
        onDefect: options.onDefect,
        ...(options.heartbeat && { heartbeat: options.heartbeat }),
      });
    } catch (error) {
      this.#device.close();
      throw error;
    }
    try {
      this.#tellAddresses();
      this.#step((now, out) => this.#machine.start(now, out));
      this.#meshKey.finish();
      if (this.isFirstStart && !mayBeFound(this.wantedName)) {
        options.onNews({ kind: "nameNotFound", name: this.wantedName });
      }
      this.#checkName();
      this.#checkFounding();
      this.#checkPort();
    } catch (error) {
      this.#driver.close();
      this.#device.close();
      throw error;
    }
    this.#lookLater();
  }

  /** `HOST:PORT` of the members that are knocked at. */
  get seeds(): readonly string[] {
    return this.#machine.snapshot().seeds.map(({ seed }) => seed);
  }

  get info(): DeviceInfo {
    return this.#device.info();
  }

  status(): StatusDocument {
    const status = this.#machine.status(readClock());
    return {
      ...status,
      self: { ...status.self, interface: this.info.ifname },
      health: [...status.health, ...this.#health(), ...this.#underlayLines(status)],
      dataplane: this.#dataplane(),
      names: this.#resolver?.report() ?? NO_NAMES,
      // A place that cannot be reached from here, as IPv6 without IPv6, is no fault: not in `refused`.
      control: {
        ...status.control,
        unsent: this.#driver.unsent,
        unanswerable: this.#driver.unanswerable,
      },
      refused: {
        core_commands: this.#driver.refusedCommands,
        core_datagrams: this.#driver.refusedDatagrams,
        caught_exceptions: this.#driver.faults,
        state_writes: this.#state.writesFailed,
        own_addresses: this.#outside.refused.interfaces,
        seed_names: this.#outside.refused.names,
        ...this.#resolver?.counts(),
      },
    };
  }

  /** @throws {Failure} not an admin, or a value out of range */
  invite({ flags, seeds, firstSeeds, ...limits }: InviteWish = {}): Invitation {
    for (const flag of flags ?? []) {
      if (flag === "admin") {
        throw new Failure(
          Exit.usage,
          "invite: an invite makes nobody an admin: let the machine join, then `shoal promote` it",
        );
      }
      if (flag !== "relay") {
        throw new Failure(Exit.usage, `invite: there is no flag '${flag}': use relay`);
      }
    }
    for (const { length } of [seeds ?? [], firstSeeds ?? []]) {
      if (length <= SEEDS_MAX) continue;
      const what = `invite: ${length} seeds: an invite names at most ${SEEDS_MAX}`;
      throw new Failure(Exit.usage, what);
    }
    const options = {
      ...limits,
      ...(flags && { relay: flags.includes("relay") }),
      ...(seeds?.length ? { seeds } : {}),
      ...(firstSeeds ? { firstSeeds } : {}),
    };
    if (this.#state.unsaved !== undefined) this.#state.save(this.#memory);
    this.#refuseUnsaved("invite");
    const invitation = this.#ask((now, out) => this.#machine.invite(now, options, out));
    this.#refuseUnsaved("invite");
    return invitation;
  }

  /**
   * What a person takes elsewhere by hand no member need have heard of: after a crash nobody could say that its number was
   * used, and another statement would get the same one.
   */
  #refuseUnsaved(what: string): void {
    const { unsaved } = this.#state;
    if (unsaved === undefined) return;
    throw new Failure(
      Exit.failed,
      `${what}: nothing is handed out, as this machine could not remember it: ${unsaved}`,
    );
  }

  /** Every invite that the mesh knows of. @throws {Failure} when this node is no member */
  invites(): InviteStatus[] {
    return this.#told(this.#machine.invites(readClock()));
  }

  /** @throws {Failure} when there is no such invite, or we may not */
  revokeInvite(id: string, options: Insistence = {}): InviteStatus {
    return this.#ask((now, out) => this.#machine.revokeInvite(now, id, options, out));
  }

  /** @throws {Failure} when nobody of that name or key asked, or we may not */
  approve(who: string, options: ApproveOptions = {}): Approved {
    return this.#ask((now, out) => this.#machine.approve(now, who, out, options));
  }

  /** Answers those who ask without a token, for so many milliseconds; 0 ends it. */
  openDoor(ms: number): void {
    this.#ask((now) => this.#machine.openDoor(now, ms));
  }

  /** @throws {Failure} when this node cannot serve it, or the key or name is none */
  addGuest(name: string, wish: GuestWish): GuestWay {
    if (this.#state.unsaved !== undefined) this.#state.save(this.#memory);
    this.#refuseUnsaved("guest");
    const way = this.#ask((now, out) => this.#machine.addGuest(now, name, wish, out));
    this.#refuseUnsaved("guest");
    return way;
  }

  /** @throws {Failure} when no guest is called so, or we may not */
  renewGuest(who: string, options: RenewOptions = {}): GuestTerm {
    return this.#ask((now, out) => this.#machine.renewGuest(now, who, options, out));
  }

  /** @throws {Failure} when no guest is called so, or we may not */
  removeGuest(who: string, options: Insistence = {}): Who {
    return this.#ask((now, out) => this.#machine.removeGuest(now, who, options, out));
  }

  /** @throws {Failure} when the key or name is none */
  trust(key: string, name: string): Who {
    return this.#ask((now, out) => this.#machine.trust(now, key, name, out));
  }

  /** @throws {Failure} when no such key is trusted here */
  untrust(who: string): Who {
    return this.#ask((now, out) => this.#machine.untrust(now, who, out));
  }

  /** @throws {Failure} when nobody is called so, or the mesh key is elsewhere */
  promote(who: string, options: Insistence = {}): Who {
    return this.#ask((now, out) => this.#machine.promote(now, who, options, out));
  }

  /** @throws {Failure} when no admin is called so, or the mesh key is elsewhere */
  demote(who: string, options: Insistence = {}): Planned {
    return this.#ask((now, out) => this.#machine.demote(now, who, options, out));
  }

  /** @throws {Failure} when nobody is called so, or we may not */
  revoke(who: string, options: RevokeOptions = {}): Planned {
    return this.#ask((now, out) => this.#machine.revoke(now, who, options, out));
  }

  /** Ends this node's own membership for ever; when it is done, nothing but {@link leave} is left. */
  leaveForGood(options: Insistence = {}): Planned {
    return this.#ask((now, out) => this.#machine.leaveForGood(now, options, out));
  }

  /**
   * Waits until this node may sign: until what it knows was compared with a member, with the admin that
   * a command is about if there is one, or until that takes too long.
   */
  async compared(about?: string): Promise<void> {
    const admin = about === undefined
      ? undefined
      : this.#step((now, out) => this.#machine.askAdmin(now, about, out));
    if (admin === undefined && this.#machine.hasCompared) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = (who: Who) => {
      if (admin === undefined || who.id === admin.id) resolve();
    };
    this.#comparisons.add(waiter);
    const timer = setTimeout(resolve, COMPARED_MS);
    await promise;
    clearTimeout(timer);
    this.#comparisons.delete(waiter);
  }

  /** Why what a person has said since is in memory alone; undefined: it is on the disk. */
  get unsaved(): string | undefined {
    return this.#state.unsaved;
  }

  /** 32 secret bytes; undefined: this machine did not found the mesh, or has erased it. */
  get recoverySeed(): Uint8Array | undefined {
    return this.#state.recoverySeed;
  }

  /** 32 secret bytes; undefined: the mesh key is not on this machine. */
  get meshSeed(): Uint8Array | undefined {
    return this.#state.meshSeed;
  }

  /** Takes the recovery key off the disk. @throws {Failure} when it cannot be */
  eraseRecovery(): void {
    this.#state.eraseRecovery();
  }

  /** Keeps the mesh key on this machine from now on. @throws {Failure} when it is another's */
  keepMeshKey(seed: Uint8Array): void {
    this.#meshKey.keep(seed);
  }

  /** Takes the mesh key off this machine. @throws {Failure} when it cannot be */
  giveUpMeshKey(): void {
    this.#meshKey.giveUp();
  }

  /** Replaces the mesh key by the recovery key. @throws {Failure} when that is not this mesh's */
  recover(recovery: Uint8Array, options: RecoverOptions): Planned {
    return this.#meshKey.recover(recovery, options);
  }

  /**
   * Gives this machine a new key, as one whose disk was copied needs, or says what that would give up. It remembers its
   * mesh, and is no member of it until an admin approves the new key. The node has to be started again.
   * @returns with the new key, where it is done
   */
  renewIdentity({ yes = false }: Insistence = {}): Planned {
    const plan = this.#machine.renewal(readClock());
    const { key: before, name } = this.status().self;
    if (plan.warnings.length > 0 && !yes) {
      return { ...plan, who: { id: before, name }, isDone: false };
    }
    const { genesis, ...rest } = this.#machine.snapshot();
    const seed = random(KEY_LENGTH);
    const { id } = identityFromSeed(loadSodium(), seed);
    const { admission: _, ...kept } = rest;
    const numbers = { own: 0, mesh: rest.numbers.mesh };
    const snapshot = { ...kept, ...(genesis && { genesis }), boot: 0, incarnation: 0, numbers };
    this.#state.renewIdentity(seed, snapshot);
    return { ...plan, who: { id, name }, isDone: true };
  }

  /** @throws {Failure} when nobody is called so */
  ping(who: string, timeoutMs: number): Promise<Pong> {
    const sent = this.#ask((now, out) => this.#machine.ping(now, who, { timeoutMs, size: 0 }, out));
    const { promise, resolve } = Promise.withResolvers<Pong>();
    this.#pings.set(sent.nonce, (event) => {
      this.#pings.delete(sent.nonce);
      const answer = event.kind === "pong"
        ? { endpoint: formatEndpoint(event.endpoint), rttMs: event.rttMs }
        : undefined;
      resolve({ who: event.who, answer });
    });
    return promise;
  }

  /** Says good-bye to the mesh, then closes, whatever comes of the good-bye. */
  leave(): void {
    if (this.#isClosed) return;
    try {
      this.#step((now, out) => this.#machine.leave(now, out));
    } finally {
      this.close();
    }
  }

  /** Stops the workers, wipes the keys, gives the interface and the state folder back. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const lost of this.#pings.values()) {
      lost({ kind: "pingLost", who: { id: "", name: "" }, nonce: 0 });
    }
    this.#resolver?.close();
    this.#driver.close();
    this.#device.close();
    this.#state.close();
  }

  #createMachine(port: number): Machine {
    const { identitySeed, meshSeed, recoverySeed, snapshot } = this.#state;
    const crypto = loadSodium();
    const recoveryKey = recoverySeed && crypto.ed25519FromSeed(recoverySeed).publicKey;
    const { tun, open, join, token, meshName, pool } = this.options;
    const name = this.wantedName;
    const made = Machine.create(readClock(), {
      crypto,
      random,
      identitySeed,
      ...(recoveryKey === undefined ? {} : { recoveryKey }),
      ...(meshSeed === undefined ? {} : { meshSeed }),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(token === undefined ? {} : { token }),
      ...(meshName === undefined ? {} : { meshName }),
      ...(pool === undefined ? {} : { pool }),
      name,
      port,
      version: denoJson.version,
      tunnel: tun,
      relay: false,
      aesGcm: this.#speaksAes(),
      workers: this.info.workers,
      lanes: this.#lanes(),
      open,
      seeds: join.map(formatSeed),
      // The driver is made after the machine, which reads facts only when it is driven.
      facts: (peer) => this.#driver.facts(peer),
    });
    if (made.ok || !/\bstate folder\b/.test(made.error)) return value(made, Exit.stuck);
    throw new Failure(Exit.stuck, `${made.error} (this one is ${this.options.stateDir})`);
  }

  /** What the machine answers to a person. @throws {Failure} with its sentence when it refuses */
  #told<T>(answer: Decoded<T>): T {
    return value(answer, this.#machine.isMember ? Exit.failed : Exit.notConfigured);
  }

  /** What a person asks the machine. @throws {Failure} with its sentence when it refuses */
  #ask<T>(ask: (now: Now, out: Out) => Decoded<T>): T {
    return this.#told(this.#step(ask));
  }

  #step<T>(ask: (now: Now, out: Out) => T): T {
    return this.#driver.step((now, out) => ask(now, this.#keeping(out)));
  }

  /** Writes the state within the step that changed it: before its datagrams leave. */
  #keeping(out: Out): Out {
    return {
      command: out.command,
      send: out.send,
      event: (event) => {
        const isAdmitted = event.kind === "joined" || event.kind === "joinPending" ||
          event.kind === "welcomed";
        if (isAdmitted) this.#state.keep();
        if (isAdmitted || event.kind === "persist") this.#state.save(this.#memory);
        out.event(event);
      },
    };
  }

  readonly #memory = (): Memory => {
    const { port } = this.info;
    // One that was only taken because the usual one was busy is not to become the usual one.
    return { snapshot: this.#machine.snapshot(), port: this.isAtUsualPort ? port : undefined };
  };

  #hear(event: NodeEvent): void {
    switch (event.kind) {
      case "persist":
      case "welcomed":
        return;
      case "resolve":
        this.#resolve(event.seed).catch(this.options.onDefect);
        return;
      case "addresses":
        this.#own = [
          ...(event.ip4 ? [{ address: event.ip4, length: event.pool.length }] : []),
          ...(event.ip6 ? [{ address: event.ip6, length: IP6_ON_LINK }] : []),
        ];
        if (this.options.tun) {
          this.#guard.set(this.#own); // before they can be reached
          this.#addresses.set(event.ip4, event.ip6, event.pool.length);
          this.#tellInner(event.ip4, event.pool.length);
          this.#tellInner(event.ip6, IP6_ON_LINK);
        }
        this.#resolver?.serve(
          [event.ip4, event.ip6].flatMap((ip) => ip ? [formatAddress(ip)] : []),
        );
        this.options.onEvent(event);
        return;
      case "compared":
        for (const waiter of this.#comparisons) waiter(event.who);
        return;
      case "pong":
      case "pingLost":
        this.#pings.get(event.nonce)?.(event);
        return;
      default:
        this.options.onEvent(event);
    }
  }

  /** Core answers guests from there. */
  #tellInner(address: Uint8Array | undefined, length: number): void {
    if (address) this.#device.setInner({ address, length });
  }

  #hearNews(news: CoreNews): void {
    const { onNews, onDefect } = this.options;
    if (news.kind === "loop" && !this.#loop.begin(readClock(), news.to, this.#own)) return;
    onNews(news);
    if (news.kind === "workerFailed") onDefect(new Error("the data plane stands still"));
    if (news.kind === "link" && news.news === "gone") {
      const name = this.info.ifname;
      const what = `node: the interface ${name} was deleted: start the node again`;
      onDefect(new Failure(Exit.failed, what));
    }
    if (news.kind === "link" && news.news === "up") this.#addresses.linkCameUp(readClock());
    if (news.kind === "routes") {
      this.#machine.routesChanged();
      this.#lookAround();
    }
  }

  async #resolve(seed: string): Promise<void> {
    const place = readSeed(seed); // A remembered text may be damaged: then it has no address.
    const endpoints = place ? await this.#outside.resolveSeed(place) : [];
    if (this.#isClosed) return;
    this.#driver.tell(
      `the addresses of ${seed}`,
      (now, out) => this.#machine.resolved(now, seed, endpoints, this.#keeping(out)),
    );
  }

  #lookLater(moment = 1): void {
    this.#timer = setTimeout(() => {
      if (moment % LOOKS_APART === 0) this.#lookAround();
      else this.#lookAtState();
      if (!this.#isClosed) this.#lookLater(moment + 1);
    }, untilLook(performance.now()));
  }

  #lookAtState(): void {
    try {
      this.#state.mend(readClock(), this.#memory);
    } catch (error) {
      this.options.onDefect(error);
    }
  }

  /** What nobody tells us of is looked after. */
  #lookAround(): void {
    try {
      if (this.options.tun) {
        this.#guard.mend();
        this.#addresses.mend(readClock());
        this.#byways.look((family) => this.#addresses.isCarried(family));
      }
      this.#regainPort();
      this.#resolver?.mend();
      this.#state.mend(readClock(), this.#memory);
      this.#tellAddresses();
    } catch (error) {
      this.options.onDefect(error);
    }
  }

  /** A certificate fixes the name: what a person wishes after that has no effect. */
  #checkName(): void {
    const { name: wanted } = this.options;
    const { self: { name, standing } } = this.#machine.status(readClock());
    if (wanted === undefined || wanted === name || standing === "none") return;
    this.options.onNews({ kind: "nameIgnored", wanted, name });
  }

  /** Nor does what a mesh was founded with change. */
  #checkFounding(): void {
    const { meshName, pool, join, onNews } = this.options;
    const genesis = this.#machine.genesis;
    if (!genesis) return;
    const tell = (option: "--mesh-name" | "--pool", wanted: string, founded: string) => {
      if (wanted !== founded) onNews({ kind: "foundingIgnored", option, wanted, founded });
    };
    if (meshName !== undefined) tell("--mesh-name", meshName, genesis.name);
    if (pool !== undefined) tell("--pool", formatPool(pool), formatPool(genesis.pool));
    const isAlone = this.#machine.status(readClock()).peers.length === 0;
    if (join.length > 0 && !this.isFirstStart && isAlone && this.#state.meshSeed !== undefined) {
      onNews({ kind: "joinIgnored", mesh: genesis.name });
    }
  }

  /** False: it listens on another until the usual one is free. */
  get isAtUsualPort(): boolean {
    return this.options.listen !== undefined || this.info.port === this.#state.usualPort;
  }

  /** Firewalls and invites name the usual port. */
  #checkPort(): void {
    if (this.isAtUsualPort) return;
    const { usualPort: usual } = this.#state;
    this.options.onNews({ kind: "portTaken", usual, port: this.info.port });
  }

  /** Mesh founds none with such a name. Who chose no name is told where it is from. */
  #refuseOthersDomain(): void {
    const { name, meshName } = this.options;
    const wanted = meshName ?? this.wantedName;
    if (!isOthersDomain(wanted)) return;
    const from = meshName === undefined
      ? ` (a mesh is called after its founder${
        name === undefined ? ", and that by its host name" : ""
      })`
      : "";
    throw new Failure(
      (meshName ?? name) === undefined ? Exit.stuck : Exit.usage,
      `node: a mesh cannot be called '${wanted}'${from}: ${
        domainOf(wanted)
      } is a domain of others, in which machines ` +
        "look for names by themselves: name the mesh by --mesh-name (SHOAL_MESH_NAME= of a service)",
    );
  }

  /**
   * A machine inside the usual pool may lose its own network by founding a mesh with it, and no mesh changes its pool. Whoever
   * names such a pool means it: what is below the tunnel goes around it (underlay.ts), and the warning comes at once.
   */
  #refuseRivalPool(): void {
    const { tun, pool, interface: ifname, onNews } = this.options;
    const rival = tun ? rivalPool(this.#outside, ifname, pool) : undefined;
    if (rival === undefined) return;
    if (pool === undefined) throw new Failure(Exit.stuck, `node: ${rival}`);
    onNews({ kind: "poolInside", why: rival });
  }

  /** The usual port was taken as the node started: firewalls and invites name it, so it is taken as soon as it is free. */
  #regainPort(): void {
    if (this.isAtUsualPort) return;
    const { usualPort: port } = this.#state;
    try {
      this.#device.bind(port, 0);
    } catch (error) {
      if (error instanceof CoreError) return; // Health says that it is taken.
      throw error;
    }
    this.#machine.bound(port);
    this.options.onNews({ kind: "portRegained", port });
  }

  #tellAddresses(): void {
    const { ifname, port } = this.info;
    const { statesDir } = this.options;
    const tunnels = new Set([ifname, ...(statesDir === undefined ? [] : neighbours(statesDir))]);
    const endpoints = this.#outside.ownAddresses(tunnels).map((address) => ({
      address,
      port,
      scope: 0,
    }));
    this.#driver.tell(
      "the addresses of this machine",
      (now, out) => this.#machine.interfaces(now, endpoints, this.#keeping(out)),
    );
  }

  /** What is wrong with this machine. */
  #health(): string[] {
    const lines = this.#state.health();
    if (this.#state.recoverySeed) {
      lines.push(
        "recovery: the recovery key is still on this disk: `shoal mesh-key words` shows it as words to " +
          "write down, and `shoal mesh-key words --erase --yes` removes it here then",
      );
    }
    const { faults, lastFault } = this.#driver;
    if (lastFault !== undefined) {
      lines.push(
        `a fault of shoal: please report: ${counted(faults, "input")} dropped, the last: ` +
          `${lastFault.cause}, SHA-256 ${lastFault.hash}: the log has the line that helps`,
      );
    }
    const { ifname, port } = this.info;
    const { usualPort } = this.#state;
    if (!this.isAtUsualPort) {
      lines.push(
        `UDP port ${usualPort} was taken: this node listens on ${port} until that one is free, which it tries every ` +
          "half a minute: invites and firewalls that name it lead nowhere until then; --listen chooses another",
      );
    }
    if (!this.options.tun) return lines;
    const { mtu } = this.info;
    if (mtu !== this.#mtu) {
      lines.push(
        `${ifname} has an MTU of ${mtu}, which another program has set: ${this.#mtu} is what fits ` +
          `(ip link set ${ifname} mtu ${this.#mtu})`,
      );
    }
    const pool = this.#machine.genesis?.pool;
    if (pool) lines.push(...this.#rivalLines(ifname, pool));
    const now = readClock();
    const loops = this.#device.counters()["drop_tx_loop"] ?? 0;
    const names = this.#resolver?.health(ifname) ?? [];
    const forwarded = this.#forwarded.health(
      now,
      ifname,
      this.#device.counters()["drop_tx_source"] ?? 0,
    );
    return [
      ...lines,
      ...this.#loop.health(now, loops),
      ...forwarded,
      ...this.#addresses.health(now),
      ...this.#byways.health(),
      ...this.#guard.health(),
      ...names,
    ];
  }

  #underlayLines({ self, peers, guests }: NodeStatus): string[] {
    if (!this.options.tun || this.#own.length === 0) return [];
    const members = [self, ...peers, ...guests].flatMap(({ ip4, ip6 }) => [ip4, ip6]);
    const sought = this.#machine.soughtInside(SOUGHT_MAX);
    return this.#underlay.health(this.#own, sought, new Set(members));
  }

  #rivalLines(ifname: string, pool: Prefix): string[] {
    return this.#outside.rivalsOf(ifname, pool).map(({ name, address }) =>
      `${name} has ${address}: it and ${ifname} both claim ${
        formatPool(pool)
      }, the pool of this mesh, ` +
      `and packets for the mesh may leave by ${name}: only a mesh that is founded anew can have ` +
      "another (--pool)"
    );
  }

  /** Only with instructions for it is AES-256-GCM faster than the other suite, and safe. */
  #speaksAes(): boolean {
    return this.options.suite !== "chacha20-poly1305" && this.info.aeadGcm !== "";
  }

  /** One for each worker that reads a queue of the interface: where the first reads for all, they would bring nothing. */
  #lanes(): number {
    const { offloads, queues } = this.info;
    return offloads["lanes"] ? Math.max(1, Math.min(queues, LANES_MAX)) : 1;
  }

  #dataplane(): DataplaneStatus {
    const { aead, aeadGcm, io, ioError, workers, queues, isSteered, steerError, offloads } =
      this.info;
    const { connected, connectedMax, connectedError } = this.info;
    const drops: Record<string, number> = {};
    const counters = this.#device.counters();
    for (const [name, count] of Object.entries(counters)) {
      if (name.startsWith("drop_")) drops[name.slice("drop_".length)] = count;
    }
    const aead_gcm = this.#speaksAes() ? aeadGcm : "";
    const steering = {
      workers,
      queues,
      lanes: this.#lanes(),
      steered: isSteered,
      steer_error: steerError,
      steer_refused: counters["steering_refused"] ?? 0,
    };
    const sockets = {
      connected,
      connected_max: connectedMax,
      connected_error: connectedError,
    };
    return { aead, aead_gcm, io, io_error: ioError, ...steering, offloads, ...sockets, drops };
  }
}

/** What is to be said of a founder that has an address inside the pool of its mesh. */
export function rivalPool(
  outside: Outside,
  ifname: string,
  pool: Prefix | undefined,
): string | undefined {
  const [rival] = outside.rivalsOf(ifname, pool ?? DEFAULT_POOL);
  if (rival === undefined) return undefined;
  const free = OTHER_POOLS.find((text) => {
    const other = readPool(text);
    return other.ok && outside.rivalsOf(ifname, other.value).length === 0;
  });
  const which = pool === undefined
    ? "a mesh takes its addresses"
    : "this mesh takes its addresses, for good";
  return `${rival.name} of this machine has ${rival.address}, inside ${
    formatPool(pool ?? DEFAULT_POOL)
  }, from which ` +
    `${which}: found it with another network` +
    (free === undefined
      ? " (--pool)"
      : `, for example --pool ${free} (of a service: SHOAL_POOL=${free} in /etc/shoal/NAME.conf)`) +
    (pool === undefined ? "" : ", or it cannot reach what else has addresses there");
}

/** A sentence of mesh about what is wrong, as the failure that a person sees. */
function value<T>(decoded: Decoded<T>, refusal: ExitCode = Exit.failed): T {
  if (decoded.ok) return decoded.value;
  throw new Failure(refusal, decoded.error);
}

/** The default port, or the next that no other node of this machine has. */
function firstPortOf({ stateDir, statesDir, listen, onNews }: MeshNodeOptions): number {
  if (statesDir === undefined || listen !== undefined) return DEFAULT_PORT;
  const { port, by } = freePort({ parent: statesDir, own: stateDir }, DEFAULT_PORT);
  if (by !== undefined) onNews({ kind: "portOfAnother", usual: DEFAULT_PORT, port, by });
  return port;
}
