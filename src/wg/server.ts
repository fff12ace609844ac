/**
 * The socket that `wg` talks to: /var/run/wireguard/IFNAME.sock, 0600 in a folder of mode 0755. It
 * hands whole requests to a device and writes the answers.
 *
 * Bounds: a line of `LINE_MAX` bytes; {@link REQUESTS_MAX} requests at a time, while others wait for
 * their turn; {@link CLIENTS_MAX} clients. One that comes when there are so many takes the place of
 * the client that has asked for nothing longest, or hears EBUSY. Long requests are worked at in
 * slices; sets are applied one after the other, and a get that runs beside one shows the device as it
 * was before.
 */
import type * as net from "node:net";
import { dirname } from "node:path";
import { codeOf } from "../errno.ts";
import { Exit, Failure } from "../exit.ts";
import { type Descriptors, Listener } from "../listener.ts";
import { Conversation, type OpenReport, sayGoodBye } from "./conversation.ts";
import { Places } from "./places.ts";
import { Turns, type Work } from "./turns.ts";
import type { DeviceChange, UapiFault } from "./uapi.ts";

/** Requests that are held in memory at a time. */
const REQUESTS_MAX = 32;
/** Clients at a time: so many descriptors. */
export const CLIENTS_MAX = 1024;
/** How long a client may let others wait: in the middle of its request, or idle among too many. */
const PATIENCE_MS = 5_000;
/** How often the socket is looked for where the kernel does not tell. */
const LOOK_MS = 1000;

/** What stands behind the socket. */
export interface Configurable {
  report(): OpenReport;
  /** One at a time. @returns why nothing was applied, or undefined when all was */
  change(change: DeviceChange): Work<UapiFault | undefined>;
  /** Resolves the interface of a link-local endpoint. */
  scopeOf(name: string): number | undefined;
}

export interface UapiServerOptions {
  readonly device: Configurable;
  readonly descriptors: Descriptors;
  /** A request that was not carried out; never holds a secret. */
  readonly onFault: (fault: UapiFault) => void;
  /** An error of ours. */
  readonly onDefect: (error: unknown) => void;
  /** The socket file was taken away: the sign to stop. */
  readonly onRemoved: () => void;
  /** For the first time a client had to make room, or got none; the counters go on. */
  readonly onCrowded: () => void;
  /** {@link CLIENTS_MAX} when absent. */
  readonly clientsMax?: number;
  /** {@link PATIENCE_MS} when absent. */
  readonly patienceMs?: number;
}

export function socketPath(ifname: string): string {
  return `/var/run/wireguard/${ifname}.sock`;
}

export class UapiServer {
  /** Clients that made room for another, as they asked for nothing. */
  evicted = 0;
  /** Clients that were told EBUSY: there were too many. */
  turnedAway = 0;

  readonly #clients = new Map<net.Socket, Conversation>();
  /** Those that are being told so; the oldest of too many has been told for longest. */
  readonly #turnedAway = new Set<net.Socket>();
  readonly #clientsMax: number;
  readonly #patienceMs: number;
  readonly #turns = new Turns();
  readonly #places: Places;
  #listener: Listener | undefined;
  /** The set that came last; it never fails. */
  #lastSet: Promise<unknown> = Promise.resolve();
  #stopWatching: (() => void) | undefined;

  private constructor(private readonly options: UapiServerOptions) {
    this.#clientsMax = options.clientsMax ?? CLIENTS_MAX;
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#places = new Places({ count: REQUESTS_MAX, patienceMs: this.#patienceMs, now });
  }

  /**
   * Listens on a path of our own.
   * @throws {Failure} when another process answers there, or the place cannot be used
   */
  static async listen(path: string, options: UapiServerOptions): Promise<UapiServer> {
    const server = new UapiServer(options);
    const place = { path, mode: 0o600, program: "wg", elsewhere: "another interface name" };
    server.#watch(await Listener.open({ ...server.#listening(), place }), path);
    return server;
  }

  /** Listens on a socket that whoever started us has opened (WG_UAPI_FD), at this path. */
  static async adopt(fd: number, path: string, options: UapiServerOptions): Promise<UapiServer> {
    const server = new UapiServer(options);
    let listener: Listener;
    try {
      listener = await Listener.adopt({ ...server.#listening(), fd, path });
    } catch (error) {
      throw new Failure(
        Exit.failed,
        `wg: WG_UAPI_FD=${fd} is no listening socket (${codeOf(error) || error}): ` +
          "pass a bound and listening Unix socket, or leave it unset",
      );
    }
    server.#watch(listener, path);
    return server;
  }

  /** Hangs up on everybody and removes the socket, if it is still ours. */
  async close(): Promise<void> {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    this.#turns.stop();
    this.#places.stop();
    const closed = this.#listener?.close();
    for (const client of [...this.#clients.keys(), ...this.#turnedAway]) client.destroy();
    await closed;
  }

  #listening() {
    return {
      descriptors: this.options.descriptors,
      onClient: (client: net.Socket) => this.#welcome(client),
      // A client that says all and then listens gets its answer.
      allowHalfOpen: true,
    };
  }

  #watch(listener: Listener, path: string): void {
    this.#listener = listener;
    if (!listener.isThere) return;
    const look = () => {
      if (listener.isThere || this.#stopWatching === undefined) return;
      this.#stopWatching();
      this.options.onRemoved();
    };
    this.#stopWatching = watchFolder(dirname(path), look, this.options.onDefect);
  }

  #welcome(client: net.Socket): void {
    client.on("error", () => client.destroy());
    if (this.#clients.size >= this.#clientsMax && !this.#evict()) return this.#turnAway(client);
    const conversation = new Conversation({
      places: this.#places,
      turns: this.#turns,
      now,
      report: () => this.options.device.report(),
      change: (change) => this.#change(change),
      scopeOf: (name) => this.options.device.scopeOf(name),
      onFault: this.options.onFault,
      onDefect: this.options.onDefect,
    }, client);
    this.#clients.set(client, conversation);
    client.on("close", () => this.#clients.delete(client));
    conversation.talk().catch(this.options.onDefect);
  }

  /** Waits for the sets before it, so that each meets a device that no other is changing. */
  #change(change: DeviceChange): Promise<UapiFault | undefined> {
    const done = this.#lastSet.then(() => this.#turns.run(this.options.device.change(change)));
    this.#lastSet = done.catch(() => {});
    return done;
  }

  /** Hangs up on the client that has asked for nothing longest. @returns false: none may go */
  #evict(): boolean {
    let longest: net.Socket | undefined;
    let since = now() - this.#patienceMs;
    for (const [client, { idleSince }] of this.#clients) {
      if (idleSince !== undefined && idleSince <= since) [longest, since] = [client, idleSince];
    }
    if (longest === undefined) return false;
    this.#clients.delete(longest);
    longest.destroy();
    this.#tellCrowded();
    this.evicted++;
    return true;
  }

  #turnAway(client: net.Socket): void {
    this.#tellCrowded();
    this.turnedAway++;
    const [oldest] = this.#turnedAway;
    if (oldest !== undefined && this.#turnedAway.size >= this.#clientsMax) oldest.destroy();
    this.#turnedAway.add(client);
    client.on("close", () => this.#turnedAway.delete(client));
    sayGoodBye(client, "EBUSY");
  }

  #tellCrowded(): void {
    if (this.evicted + this.turnedAway === 0) this.options.onCrowded();
  }
}

function now(): number {
  return performance.now();
}

/**
 * Calls back after every change in a folder. A container may have no inotify left to give (128 for a
 * user, by default): then it looks every {@link LOOK_MS}.
 * @returns ends it
 */
function watchFolder(
  folder: string,
  onChange: () => void,
  onDefect: (error: unknown) => void,
): () => void {
  let watcher: Deno.FsWatcher;
  try {
    watcher = Deno.watchFs(folder, { recursive: false });
  } catch {
    const timer = setInterval(onChange, LOOK_MS);
    return () => clearInterval(timer);
  }
  let isEnded = false;
  void (async () => {
    for await (const _ of watcher) onChange();
  })().catch(onDefect);
  return () => {
    if (!isEnded) watcher.close();
    isEnded = true;
  };
}
