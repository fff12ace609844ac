/**
 * A mesh node on this machine: core's device, the mesh machine, the driver between them and the
 * state folder, composed once for the command line and for programs that embed a node.
 *
 * What is on disk and when: a member's state is written before the datagrams leave that depend on
 * it. A node that is not a member of anything yet writes nothing, so that a first start that fails
 * (a token for another mesh, a seed that is silent) leaves the state folder as it was.
 */
import { type Core, loadCore } from "../ffi/core.ts";
import { CoreError } from "../ffi/core_error.ts";
import { Device, type DeviceInfo } from "../ffi/device.ts";
import { loadSodium } from "../ffi/sodium.ts";
import type { Decoded } from "../mesh/codec.ts";
import { formatEndpoint } from "../mesh/endpoint.ts";
import type { NodeEvent, Who } from "../mesh/event.ts";
import type { Now, Outbox } from "../mesh/machine.ts";
import { Node as Machine } from "../mesh/node.ts";
import { formatSeed, readSeed, type Seed } from "../mesh/seed.ts";
import { type NodeSnapshot, readSnapshot } from "../mesh/snapshot.ts";
import { LinkAddresses } from "./addresses.ts";
import { readClock } from "./clock.ts";
import { type DataplaneConfig, DEFAULT_PORT, hostName } from "./config.ts";
import { type CoreNews, Driver } from "./driver.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { addressesOf, ownAddresses, resolveSeed, rivalsOf } from "./outside.ts";
import { random } from "./random.ts";
import { checkDataplane, explainOpen } from "./refusal.ts";
import type { DataplaneStatus, StatusDocument } from "./status.ts";
import { Store } from "./store.ts";
import denoJson from "../deno.json" with { type: "json" };

/** How often this machine's own addresses are read again; a change is news for the other members. */
const ADDRESSES_EVERY_MS = 5_000;

const FILE = {
  identity: "identity",
  meshKey: "mesh-key",
  state: "state.json",
  port: "port",
} as const;

export interface MeshNodeOptions {
  readonly stateDir: string;
  /** "" only without `tun`. */
  readonly interface: string;
  /** A DNS label. Undefined: the name of the last start, else the host name. */
  readonly name: string | undefined;
  /** Undefined: the port of the last start, else the usual one, else any free one. */
  readonly listen: number | undefined;
  readonly join: readonly Seed[];
  readonly token: string | undefined;
  readonly tun: boolean;
  readonly open: boolean;
  readonly dataplane: DataplaneConfig;
  readonly onEvent: (event: NodeEvent) => void;
  readonly onNews: (news: CoreNews) => void;
  /** What the node cannot go on after; whoever is told closes it. */
  readonly onDefect: (error: unknown) => void;
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
  /** This node holds the mesh key. */
  readonly isFounder: boolean;
  /** There was no state before. */
  readonly isFirstStart: boolean;

  readonly #store: Store;
  readonly #device: Device;
  readonly #machine: Machine;
  readonly #driver: Driver<NodeEvent>;
  readonly #secrets: Secrets;
  readonly #addresses: LinkAddresses;
  /** The port that other members and firewalls expect. */
  readonly #usualPort: number;
  readonly #pings = new Map<number, (event: PongEvent) => void>();
  #addressTimer: ReturnType<typeof setInterval> | undefined;
  #isKept: boolean;
  #isClosed = false;

  /**
   * Opens the state, the interface and the port, and starts the machine.
   * @throws {Failure} naming what was refused; nothing is left behind then
   */
  static open(options: MeshNodeOptions): MeshNode {
    const core = openCore();
    checkDataplane("node", core, options.dataplane);
    const store = Store.open(options.stateDir);
    try {
      return new MeshNode(core, store, options);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  private constructor(core: Core, store: Store, private readonly options: MeshNodeOptions) {
    this.#store = store;
    this.#secrets = readSecrets(store, options);
    this.#isKept = this.#secrets.snapshot !== undefined;
    this.#device = openDevice(core, options);
    this.#addresses = new LinkAddresses(this.#device, addressesOf);
    try {
      this.#usualPort = rememberedPort(store);
      const port = bind(this.#device, this.#usualPort, options.listen);
      this.#machine = this.#createMachine(port);
      this.isFounder = this.#secrets.meshSeed !== undefined;
      this.isFirstStart = !this.#isKept;
      // The snapshot counts this start and must be on disk before the first datagram; a joiner of
      // whom nobody has heard yet has nothing to lose.
      if (this.isFounder) this.#isKept = true;
      this.#keep();
      const machine = this.#machine;
      this.#driver = new Driver<NodeEvent>({
        device: this.#device,
        machine: {
          get deadline() {
            return machine.deadline();
          },
          receive: (now, arrival, out) => machine.datagram(now, arrival, this.#keeping(out)),
          edge: (now, edge, out) => machine.edge(now, edge, this.#keeping(out)),
          due: (now, _facts, out) => machine.poll(now, this.#keeping(out)),
        },
        onEvent: (event) => this.#hear(event),
        onNews: (news) => this.#hearNews(news),
        onDefect: options.onDefect,
      });
    } catch (error) {
      this.#device.close();
      throw error;
    }
    try {
      this.#tellAddresses();
      this.#step((now, out) => this.#machine.start(now, out));
    } catch (error) {
      this.#driver.close();
      this.#device.close();
      throw error;
    }
    this.#addressTimer = setInterval(() => this.#tellAddresses(), ADDRESSES_EVERY_MS);
  }

  /** `HOST:PORT` of the members that are knocked at. */
  get seeds(): readonly string[] {
    return this.#machine.snapshot().seeds;
  }

  get info(): DeviceInfo {
    return this.#device.info();
  }

  status(): StatusDocument {
    const status = this.#machine.status(readClock());
    return {
      ...status,
      self: { ...status.self, interface: this.info.ifname },
      health: [...status.health, ...this.#health()],
      dataplane: this.#dataplane(),
    };
  }

  /** @throws {Failure} not an admin, or a value out of range */
  invite(
    options: {
      readonly uses: number;
      readonly expiresInS: number;
      readonly groups: readonly string[];
      readonly flags: readonly string[];
      /** `HOST:PORT`; our own addresses where none are given. */
      readonly seeds: readonly string[];
    },
  ) {
    const { uses, expiresInS, groups, flags, seeds } = options;
    for (const flag of flags) {
      if (flag !== "relay" && flag !== "admin") {
        throw new Failure(Exit.usage, `invite: there is no flag '${flag}': use relay or admin`);
      }
    }
    return this.#told(this.#machine.invite(readClock(), {
      uses,
      expiresInS,
      groups,
      admin: flags.includes("admin"),
      relay: flags.includes("relay"),
      ...(seeds.length === 0 ? {} : { seeds }),
    }));
  }

  /** @throws {Failure} when nobody of that name or key asked, or we may not */
  approve(
    who: string,
    options: { readonly name?: string; readonly groups?: readonly string[] } = {},
  ): Who {
    return this.#step((now, out) => this.#told(this.#machine.approve(now, who, out, options)));
  }

  /** @throws {Failure} when the key or name is none */
  trust(key: string, name: string): Who {
    return this.#step((now, out) => this.#told(this.#machine.trust(now, key, name, out)));
  }

  /** @throws {Failure} when nobody is called so, or we may not */
  revoke(who: string): Who {
    return this.#step((now, out) => this.#told(this.#machine.revoke(now, who, out)));
  }

  /** @throws {Failure} when nobody is called so */
  ping(who: string, timeoutMs: number): Promise<Pong> {
    const sent = this.#step((now, out) =>
      this.#told(this.#machine.ping(now, who, { timeoutMs, size: 0 }, out))
    );
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

  /** Says good-bye to the mesh, then closes. */
  leave(): void {
    if (this.#isClosed) return;
    this.#step((now, out) => this.#machine.leave(now, out));
    this.close();
  }

  /** Stops the workers, wipes the keys, gives the interface and the state folder back. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#addressTimer);
    for (const lost of this.#pings.values()) {
      lost({ kind: "pingLost", who: { id: "", name: "" }, nonce: 0 });
    }
    this.#driver.close();
    this.#device.close();
    this.#store.close();
    this.#secrets.identitySeed.fill(0);
    this.#secrets.meshSeed?.fill(0);
  }

  #createMachine(port: number): Machine {
    const { identitySeed, meshSeed, snapshot } = this.#secrets;
    const { tun, open, join, token } = this.options;
    const name = this.options.name ?? snapshot?.name ?? hostName();
    return value(Machine.create(readClock(), {
      crypto: loadSodium(),
      random,
      identitySeed,
      ...(meshSeed === undefined ? {} : { meshSeed }),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(token === undefined ? {} : { token }),
      name,
      port,
      version: denoJson.version,
      tunnel: tun,
      relay: false,
      open,
      seeds: join.map(formatSeed),
      // The driver is made after the machine, which reads facts only when it is driven.
      facts: (peer) => this.#driver.facts(peer),
    }));
  }

  /** What the machine answers to a person. @throws {Failure} with its sentence when it refuses */
  #told<T>(answer: Decoded<T>): T {
    return value(answer, this.#machine.isMember ? Exit.failed : Exit.notConfigured);
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
        if (event.kind === "joined" || event.kind === "joinPending") this.#isKept = true;
        if (event.kind === "persist" || event.kind === "joined" || event.kind === "joinPending") {
          this.#keep();
        }
        out.event(event);
      },
    };
  }

  #keep(): void {
    if (!this.#isKept) return;
    const store = this.#store;
    const { identitySeed, meshSeed } = this.#secrets;
    if (store.read(FILE.identity) === undefined) store.create(FILE.identity, identitySeed);
    if (meshSeed && store.read(FILE.meshKey) === undefined) store.create(FILE.meshKey, meshSeed);
    store.write(FILE.state, utf8(JSON.stringify(this.#machine.snapshot())));
    const port = String(this.info.port);
    if (text(store.read(FILE.port)) !== port) store.write(FILE.port, utf8(port));
  }

  #hear(event: NodeEvent): void {
    switch (event.kind) {
      case "persist":
        return;
      case "resolve":
        void this.#resolve(event.seed);
        return;
      case "addresses":
        if (this.options.tun) this.#addresses.set(event.ip4, event.ip6);
        return;
      case "pong":
      case "pingLost":
        this.#pings.get(event.nonce)?.(event);
        return;
      default:
        this.options.onEvent(event);
    }
  }

  #hearNews(news: CoreNews): void {
    const { onNews, onDefect } = this.options;
    onNews(news);
    if (news.kind === "workerFailed") onDefect(new Error("the data plane stands still"));
    if (news.kind === "link" && news.news === "gone") {
      const name = this.options.interface;
      const what = `node: the interface ${name} was deleted: start the node again`;
      onDefect(new Failure(Exit.failed, what));
    }
    if (news.kind === "link" && news.news === "up") this.#addresses.mend();
  }

  async #resolve(seed: string): Promise<void> {
    const place = readSeed(seed); // A remembered text may be damaged: then it has no address.
    const endpoints = place ? await resolveSeed(place) : [];
    if (this.#isClosed) return;
    this.#step((now, out) => this.#machine.resolved(now, seed, endpoints, out));
  }

  /** Ours are told to the mesh, and the mesh's kept on the interface. */
  #tellAddresses(): void {
    if (this.options.tun) this.#addresses.mend();
    const { ifname, port } = this.info;
    const endpoints = ownAddresses(ifname).map((address) => ({ address, port, scope: 0 }));
    this.#step((now, out) => this.#machine.interfaces(now, endpoints, out));
  }

  /** What is wrong with this machine. */
  #health(): string[] {
    const lines: string[] = [];
    const { ifname, port } = this.info;
    if (this.options.listen === undefined && port !== this.#usualPort) {
      lines.push(
        `UDP port ${this.#usualPort} was taken: this node listens on ${port}: open that one in ` +
          `firewalls, or choose one by --listen`,
      );
    }
    if (!this.options.tun) return lines;
    for (const { name, address } of rivalsOf(ifname)) {
      lines.push(
        `${name} has ${address}: it and ${ifname} both claim 100.64.0.0/10, and packets for the ` +
          `mesh may leave by ${name}`,
      );
    }
    return [...lines, ...this.#addresses.health()];
  }

  #dataplane(): DataplaneStatus {
    const { aead, io, workers, offloads } = this.info;
    const drops: Record<string, number> = {};
    for (const [name, count] of Object.entries(this.#device.counters())) {
      if (name.startsWith("drop_")) drops[name.slice("drop_".length)] = count;
    }
    return { aead, io, workers, offloads, drops };
  }
}

interface Secrets {
  readonly identitySeed: Uint8Array;
  readonly meshSeed: Uint8Array | undefined;
  readonly snapshot: NodeSnapshot | undefined;
}

/** What an earlier start left, or new secrets; a mesh key only where a new mesh is asked for. */
function readSecrets(store: Store, { join, token }: MeshNodeOptions): Secrets {
  const snapshot = parseSnapshot(store);
  const identitySeed = store.read(FILE.identity);
  const meshSeed = store.read(FILE.meshKey);
  for (const [file, seed] of [[FILE.identity, identitySeed], [FILE.meshKey, meshSeed]] as const) {
    if (seed !== undefined && seed.length !== 32) {
      throw new Failure(
        Exit.failed,
        `state: ${store.dir}/${file} has ${seed.length} bytes instead of 32: restore it from a copy`,
      );
    }
  }
  if (snapshot !== undefined && identitySeed === undefined) {
    throw new Failure(
      Exit.failed,
      `state: ${store.dir}/${FILE.identity} is missing: restore it, or remove the folder to start anew`,
    );
  }
  const founds = snapshot === undefined && join.length === 0 && token === undefined;
  return {
    snapshot,
    identitySeed: identitySeed ?? random(32),
    meshSeed: meshSeed ?? (founds ? random(32) : undefined),
  };
}

function parseSnapshot(store: Store): NodeSnapshot | undefined {
  const bytes = store.read(FILE.state);
  if (bytes === undefined) return undefined;
  try {
    const snapshot = readSnapshot(JSON.parse(text(bytes) ?? ""));
    if (snapshot !== undefined) return snapshot;
  } catch {
    // Said below.
  }
  throw new Failure(
    Exit.failed,
    `state: ${store.dir}/${FILE.state} is damaged or of another version: restore it from a copy, ` +
      `or remove the folder to start anew`,
  );
}

function openCore(): Core {
  try {
    return loadCore();
  } catch (error) {
    throw new Failure(Exit.failed, error instanceof Error ? error.message : String(error));
  }
}

function openDevice(core: Core, options: MeshNodeOptions): Device {
  const { aead, io, workers, without } = options.dataplane;
  try {
    return Device.open(core, {
      tun: options.tun ? { kind: "create", name: options.interface } : { kind: "none" },
      isWireGuardOnly: false,
      seed: random(32),
      workers,
      without,
      ...(aead === "" ? {} : { aead }),
      ...(io === "" ? {} : { io }),
    });
  } catch (error) {
    throw explainOpen("node", error, { ifname: options.interface });
  }
}

/** That of the last start, because other members remember it. */
function rememberedPort(store: Store): number {
  const last = Number(text(store.read(FILE.port)) ?? DEFAULT_PORT);
  return last > 0 && last < 65_536 ? last : DEFAULT_PORT;
}

/** A port that was asked for is taken or refused; otherwise any free one is better than none. */
function bind(device: Device, usual: number, listen: number | undefined): number {
  if (listen !== undefined) return bindTo(device, listen);
  try {
    return bindTo(device, usual);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return bindTo(device, 0);
  }
}

function bindTo(device: Device, port: number): number {
  try {
    return device.bind(port, 0);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const busy = error.errnoName === "EADDRINUSE";
    throw new Failure(
      error.errnoName === "EACCES" ? Exit.noPermission : Exit.failed,
      busy
        ? `node: UDP port ${port} is in use by another program: choose another by --listen`
        : `node: cannot open UDP port ${port} (${error.message}): choose another by --listen`,
      { cause: error },
    );
  }
}

/** A sentence of mesh about what is wrong, as the failure that a person sees. */
function value<T>(decoded: Decoded<T>, refusal: ExitCode = Exit.failed): T {
  if (decoded.ok) return decoded.value;
  throw new Failure(refusal, decoded.error);
}

function utf8(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && new TextDecoder().decode(bytes);
}
