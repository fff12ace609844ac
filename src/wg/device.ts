/**
 * A plain WireGuard device: core, the tunnel machine and the driver between them, configured through
 * the UAPI. Sockets are open while the interface is up, as in wireguard-go; keys are zeroed when it
 * goes down (R65).
 */
import { CoreError } from "../../ffi/core_error.ts";
import { Device } from "../../ffi/device.ts";
import type { DeviceInfo, DeviceOptions } from "../../ffi/device.ts";
import type { Core } from "../../ffi/core.ts";
import { interfaceIndex } from "../../ffi/libc.ts";
import { loadSodium } from "../../ffi/sodium.ts";
import type { Now, Outbox, PeerId } from "../../mesh/machine.ts";
import { prefixText } from "../../mesh/prefix.ts";
import { MAX_PEERS } from "../../mesh/tunnel/constants.ts";
import { Tunnels } from "../../mesh/tunnel/tunnels.ts";
import type { PeerView, TunnelEvent } from "../../mesh/tunnel/types.ts";
import { type CoreNews, Driver } from "../driver.ts";
import { random } from "../random.ts";
import type { OpenReport } from "./conversation.ts";
import type { Configurable } from "./server.ts";
import { countRoutes, type RouteCount } from "./routes.ts";
import type { Work } from "./turns.ts";
import { ROUTES_MAX } from "./uapi.ts";
import type { DeviceChange, PeerChange, PeerReport, PrefixChange, UapiFault } from "./uapi.ts";
import { type Reading, type Settings, Versions } from "./versions.ts";

/** What a person may want to know beside the machine's own events. */
export type DeviceEvent =
  | { readonly kind: "tunnel"; readonly event: TunnelEvent; readonly publicKey: Uint8Array }
  | { readonly kind: "core"; readonly news: CoreNews }
  /** The interface is up and answers on this port. */
  | { readonly kind: "up"; readonly port: number }
  | { readonly kind: "down" }
  /** The interface is up, and no socket could be opened: nothing flows. */
  | { readonly kind: "bindFailed"; readonly port: number; readonly error: CoreError };

export interface WgDeviceOptions {
  readonly core: Core;
  readonly tun: DeviceOptions["tun"];
  readonly workers?: number;
  readonly aead?: string;
  readonly io?: string;
  readonly without?: readonly string[];
  /** The most peers (R17); 65,536 when absent. */
  readonly peersMax?: number;
  /** The most allowed prefixes, not above core's limit, which it is when absent. */
  readonly routesMax?: number;
  readonly onEvent: (event: DeviceEvent) => void;
  readonly onDefect: (error: unknown) => void;
  /** The interface was deleted. */
  readonly onGone: () => void;
}

type Out = Outbox<TunnelEvent>;

/** What the driver hands to one of its steps. */
interface Step {
  readonly now: Now;
  readonly out: Out;
}

/** Part of a change: it yields after each act, and may be in another step of the driver then. */
type Acts<T> = Generator<void, T, Step>;

/** Acts in one step of the driver. */
const ACTS = 16;
const NONE: ReadonlySet<string> = new Set();
/** Milliseconds between two tries to open a port that was busy when the interface came up. */
const BIND_AGAIN_MS = 1_000;

export class WgDevice implements Configurable {
  readonly #device: Device;
  readonly #tunnels: Tunnels;
  readonly #driver: Driver<TunnelEvent>;
  #bindAgain: ReturnType<typeof setTimeout> | undefined;
  readonly #peersMax: number;
  readonly #routesMax: number;
  readonly #crypto = loadSodium();
  readonly #versions = new Versions();
  /** Not fewer prefixes are held: they are counted anew only when it could come to too many. */
  #routesAtMost = 0;
  /** What a person set, or what the kernel picked; 0: it may pick. */
  #port = 0;
  #fwmark = 0;

  /** @throws {CoreError} when core refuses; nothing is left behind then */
  constructor(private readonly options: WgDeviceOptions) {
    const { core, tun, workers, aead, io, without } = options;
    this.#peersMax = options.peersMax ?? MAX_PEERS;
    this.#routesMax = options.routesMax ?? ROUTES_MAX;
    this.#device = Device.open(core, {
      tun,
      isWireGuardOnly: true,
      seed: random(32),
      ...(workers === undefined ? {} : { workers }),
      ...(aead === undefined ? {} : { aead }),
      ...(io === undefined ? {} : { io }),
      ...(without === undefined ? {} : { without }),
    });
    this.#tunnels = new Tunnels({
      crypto: this.#crypto,
      random,
      maxPeers: this.#peersMax,
      workers: this.#device.info().workers,
    });
    this.#driver = new Driver({
      device: this.#device,
      machine: this.#tunnels,
      onEvent: (event) => this.#tell(event),
      onNews: (news) => this.#hear(news),
      onDefect: options.onDefect,
    });
    if (this.#device.info().isLinkUp) this.#up();
  }

  get info(): DeviceInfo {
    return this.#device.info();
  }

  counters(): Record<string, number> {
    return this.#device.counters();
  }

  scopeOf(name: string): number | undefined {
    return interfaceIndex(name);
  }

  /** Wipes all keys, stops the workers, gives the interface back. */
  close(): void {
    this.#stopTrying();
    this.#driver.step((now, out) => {
      this.#tunnels.down(now, out);
      this.#tunnels.setPrivateKey(now, undefined, out);
    });
    this.#device.close();
    this.#driver.close(); // The doorbell is closed when nobody rings it any more.
  }

  /** A set that begins or goes on meanwhile does not show in it. */
  report(): OpenReport {
    const reading = this.#versions.read(() => this.#settings());
    const { privateKey, listenPort, fwmark } = reading.settings;
    return {
      privateKey,
      listenPort,
      fwmark,
      peers: this.#peers(reading),
      done: () => reading.done(),
    };
  }

  #settings(): Settings {
    return {
      privateKey: this.#tunnels.privateKey,
      listenPort: this.#port,
      fwmark: this.#fwmark,
      peers: this.#tunnels.ids(),
    };
  }

  *#peers({ settings, kept }: Reading): Iterable<PeerReport> {
    for (const id of settings.peers) {
      const report = kept(id) ?? this.#peer(id);
      if (report) yield report;
    }
  }

  #peer(id: PeerId): PeerReport | undefined {
    const view = this.#tunnels.peer(id);
    if (view === undefined) return undefined;
    const facts = this.#driver.facts(id);
    return {
      publicKey: view.publicKey,
      presharedKey: view.presharedKey,
      endpoint: view.endpoint,
      lastHandshake: view.lastHandshakeWall,
      txBytes: (facts?.txBytes ?? 0) + view.handshakeBytes.sent,
      rxBytes: (facts?.rxBytes ?? 0) + view.handshakeBytes.received,
      persistentKeepalive: view.persistentKeepalive,
      prefixes: view.routes,
    };
  }

  /**
   * What may fail comes first, so that a request is applied whole or not at all. A device takes one
   * change at a time: nothing else adds or removes peers while this one is worked at.
   */
  *change(change: DeviceChange): Work<UapiFault | undefined> {
    // Counting is only worth its time when it could come to too many.
    const known = change.replacesPeers ? 0 : this.#tunnels.size;
    const count = known + change.peers.length > this.#peersMax
      ? yield* this.#peersAfter(change)
      : 0;
    if (count > this.#peersMax) {
      return { errno: "ENOSPC", what: `${count} peers: a device holds at most ${this.#peersMax}` };
    }
    const routes = yield* this.#routesWith(change);
    if (routes.peak > this.#routesMax) {
      const what = `${routes.peak} allowed IPs: a device holds at most ${this.#routesMax}`;
      return { errno: "ENOSPC", what };
    }
    this.#versions.begin(this.#settings());
    try {
      const fault = this.#listen(change);
      if (fault !== undefined) return fault;
      this.#routesAtMost = routes.after;
      yield* this.#inSteps(this.#apply(change));
    } finally {
      this.#versions.end();
    }
    return undefined;
  }

  *#inSteps(acts: Acts<void>): Work<void> {
    for (let isDone = false; !isDone;) {
      this.#driver.step((now, out) => {
        for (let i = 0; i < ACTS && !isDone; i++) isDone = acts.next({ now, out }).done ?? false;
      });
      yield;
    }
  }

  *#peersAfter(change: DeviceChange): Work<number> {
    const keys = new Set<string>();
    if (!change.replacesPeers) {
      for (const id of this.#tunnels.ids()) {
        keys.add(this.#tunnels.peer(id)?.publicKey.toHex() ?? "");
        yield;
      }
    }
    for (const peer of change.peers) {
      const key = peer.publicKey.toHex();
      if (peer.isRemoved) keys.delete(key);
      else if (!peer.isUpdateOnly) keys.add(key);
      yield;
    }
    return keys.size;
  }

  *#routesWith(change: DeviceChange): Work<RouteCount> {
    let atMost = change.replacesPeers ? 0 : this.#routesAtMost;
    for (const { isRemoved, prefixes } of change.peers) {
      yield;
      if (isRemoved) continue;
      for (const { kind } of prefixes) if (kind === "add") atMost++;
    }
    return atMost <= this.#routesMax
      ? { peak: atMost, after: atMost }
      : yield* countRoutes(this.#holders(), change);
  }

  *#holders(): Iterable<PeerView> {
    for (const id of this.#tunnels.ids()) {
      const view = this.#tunnels.peer(id);
      if (view) yield view;
    }
  }

  #listen(change: DeviceChange): UapiFault | undefined {
    const fwmark = change.fwmark ?? this.#fwmark;
    const port = change.listenPort ?? this.#port;
    try {
      // One that could not be opened when the interface came up is asked for again.
      const isMissing = change.listenPort !== undefined && !this.#tunnels.isUp && this.#isLinkUp;
      if (port !== this.#port || isMissing) {
        const bound = this.#device.bind(port, fwmark);
        if (this.#tunnels.isUp) this.#port = bound;
        else if (this.#isLinkUp) this.#opened(bound);
        else {
          // While the interface is down the port was only tried: a busy one is better told now.
          this.#device.unbind();
          this.#port = port;
        }
      } else if (fwmark !== this.#fwmark && this.#tunnels.isUp) this.#device.setFwmark(fwmark);
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      const isBusy = error.errnoName === "EADDRINUSE";
      return {
        errno: isBusy ? "EADDRINUSE" : "EIO",
        what: isBusy
          ? `UDP port ${port} is in use: choose another listen-port, or stop the program that has it`
          : `UDP port ${port}, fwmark ${fwmark}: ${error.message}`,
      };
    }
    this.#fwmark = fwmark;
    return undefined;
  }

  /** Peers that go are gone before the key changes: then they need not begin anew with it. */
  *#apply(change: DeviceChange): Acts<void> {
    let step = yield;
    if (change.replacesPeers) {
      for (const id of this.#tunnels.ids()) {
        yield* this.#remove(id);
        step = yield;
      }
    }
    if (change.privateKey !== undefined) yield* this.#setPrivateKey(change.privateKey, step);
    for (const peer of change.peers) {
      step = yield;
      const id = yield* this.#peerFor(peer, step);
      if (id !== undefined) yield* this.#applyPeer(id, peer);
      peer.presharedKey?.fill(0);
    }
  }

  /** The secret is wiped. */
  *#setPrivateKey(secret: Uint8Array, { now, out }: Step): Acts<void> {
    const tunnels = this.#tunnels;
    const isZero = secret.every((byte) => byte === 0);
    const self = isZero ? undefined : tunnels.peerByKey(this.#crypto.x25519PublicKey(secret));
    if (self !== undefined) this.#keep(self);
    const others = tunnels.changePrivateKey(now, isZero ? undefined : secret, out);
    secret.fill(0);
    for (const id of others) {
      const step = yield;
      tunnels.restart(step.now, id, step.out);
    }
  }

  /** @returns undefined when there is nothing to configure: it is gone, unknown, or ourselves */
  *#peerFor(peer: PeerChange, { now, out }: Step): Acts<PeerId | undefined> {
    const existing = this.#tunnels.peerByKey(peer.publicKey);
    if (peer.isRemoved) {
      if (existing !== undefined) yield* this.#remove(existing);
      return undefined;
    }
    if (existing !== undefined) this.#keep(existing);
    if (existing !== undefined || peer.isUpdateOnly) return existing;
    const added = this.#tunnels.addPeer(now, peer.publicKey, out);
    return added.kind === "added" ? added.peer : undefined;
  }

  /** The prefixes first, one by one: there may be a million. */
  *#remove(id: PeerId): Acts<void> {
    this.#keep(id);
    yield* this.#clearRoutes(id);
    const { now, out } = yield;
    this.#tunnels.removePeer(now, id, out);
  }

  /** @param kept texts of those that come back at once: traffic for them must find its way meanwhile */
  *#clearRoutes(id: PeerId, kept: ReadonlySet<string> = NONE): Acts<void> {
    for (const prefix of this.#tunnels.peer(id)?.routes ?? []) {
      const { out } = yield;
      if (!kept.has(prefixText(prefix))) this.#tunnels.removeRoute(id, prefix, out);
    }
  }

  /** What is added between a clearing at this place and the next. */
  *#addedAfter(prefixes: readonly PrefixChange[], at: number): Acts<ReadonlySet<string>> {
    const added = new Set<string>();
    for (let i = at + 1; i < prefixes.length; i++) {
      const change = prefixes[i];
      if (change === undefined || change.kind === "clear") break;
      yield;
      if (change.kind === "add") added.add(prefixText(change.prefix));
    }
    return added;
  }

  /** The keepalive comes last: switching it on starts a handshake, which needs all the rest. */
  *#applyPeer(id: PeerId, peer: PeerChange): Acts<void> {
    const tunnels = this.#tunnels;
    if (peer.presharedKey !== undefined) tunnels.setPresharedKey(id, peer.presharedKey);
    for (const [at, change] of peer.prefixes.entries()) {
      const { out } = yield;
      if (change.kind === "clear") {
        yield* this.#clearRoutes(id, yield* this.#addedAfter(peer.prefixes, at));
      } else if (change.kind === "add") {
        const holder = tunnels.holderOf(change.prefix);
        if (holder !== undefined) this.#keep(holder);
        tunnels.addRoute(id, change.prefix, out);
      } else tunnels.removeRoute(id, change.prefix, out);
    }
    const { now, out } = yield;
    if (peer.endpoint !== undefined) tunnels.setEndpoint(now, id, peer.endpoint, out);
    if (peer.persistentKeepalive !== undefined) {
      tunnels.setPersistentKeepalive(now, id, peer.persistentKeepalive, out);
    }
  }

  /** For reports that show the device as it was before this change. */
  #keep(id: PeerId): void {
    this.#versions.keep(id, () => this.#peer(id));
  }

  /** Opens the port, or goes on trying: the program that has it may end at any time. */
  #up(): void {
    if (this.#tunnels.isUp) return;
    const isFirst = this.#bindAgain === undefined;
    clearTimeout(this.#bindAgain);
    try {
      this.#opened(this.#device.bind(this.#port, this.#fwmark));
    } catch (error) {
      if (!(error instanceof CoreError)) throw error;
      this.#bindAgain = setTimeout(() => this.#up(), BIND_AGAIN_MS);
      if (isFirst) this.options.onEvent({ kind: "bindFailed", port: this.#port, error });
    }
  }

  #opened(port: number): void {
    this.#stopTrying();
    this.#port = port;
    this.#driver.step((now, out) => this.#tunnels.up(now, out));
    this.options.onEvent({ kind: "up", port });
  }

  #stopTrying(): void {
    clearTimeout(this.#bindAgain);
    this.#bindAgain = undefined;
  }

  #down(): void {
    this.#stopTrying();
    if (!this.#tunnels.isUp) return;
    this.#driver.step((now, out) => this.#tunnels.down(now, out));
    this.#device.unbind();
    this.options.onEvent({ kind: "down" });
  }

  get #isLinkUp(): boolean {
    return this.#device.info().isLinkUp;
  }

  #hear(news: CoreNews): void {
    this.options.onEvent({ kind: "core", news });
    if (news.kind === "routes") this.#tunnels.forgetSources();
    if (news.kind !== "link") return;
    if (news.news === "up") this.#up();
    else if (news.news === "down") this.#down();
    else if (news.news === "gone") this.options.onGone();
  }

  #tell(event: TunnelEvent): void {
    const peer = "peer" in event ? this.#tunnels.peer(event.peer) : undefined;
    const publicKey = peer?.publicKey ?? new Uint8Array(0);
    this.options.onEvent({ kind: "tunnel", event, publicKey });
  }
}
