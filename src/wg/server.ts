/**
 * The socket that `wg` talks to: /var/run/wireguard/IFNAME.sock, 0600 in a folder of mode 0755. It
 * hands whole requests to a device and writes the answers.
 *
 * Bounds: a line of {@link LINE_MAX} bytes, one request and one answer at a time for each client, and
 * {@link CLIENTS_MAX} clients, of whom the one that has been silent longest makes room for the next.
 */
import * as fs from "node:fs";
import * as net from "node:net";
import { dirname } from "node:path";
import { codeOf } from "../errno.ts";
import { Exit, Failure } from "../exit.ts";
import { listen, listenAt } from "../unix_socket.ts";
import {
  type DeviceChange,
  type DeviceReport,
  LINE_MAX,
  type UapiFault,
  UapiReader,
  type UapiRequest,
  writeReport,
  writeStatus,
} from "./uapi.ts";

const CLIENTS_MAX = 32;
/** How often the socket is looked for where the kernel does not tell. */
const LOOK_MS = 1000;

/** What stands behind the socket. */
export interface Configurable {
  report(): DeviceReport;
  /** @returns why nothing was applied, or undefined when all was */
  change(change: DeviceChange): UapiFault | undefined;
  /** Resolves the interface of a link-local endpoint. */
  scopeOf(name: string): number | undefined;
}

export interface UapiServerOptions {
  readonly device: Configurable;
  /** A request that was not carried out; never holds a secret. */
  readonly onFault: (fault: UapiFault) => void;
  /** An error of ours. */
  readonly onDefect: (error: unknown) => void;
  /** The socket file was taken away: the sign to stop. */
  readonly onRemoved: () => void;
  /** For the first time a client had to make room for another; `evicted` counts on. */
  readonly onCrowded: () => void;
}

export function socketPath(ifname: string): string {
  return `/var/run/wireguard/${ifname}.sock`;
}

export class UapiServer {
  /** Clients that had to make room. */
  evicted = 0;

  /** Oldest activity first. */
  readonly #clients = new Set<net.Socket>();
  readonly #server: net.Server;
  #stopWatching: (() => void) | undefined;
  #path: string | undefined;
  #inode: number | bigint | undefined;

  private constructor(private readonly options: UapiServerOptions) {
    // Half open: a client that says all and then listens gets its answer.
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => this.#welcome(client));
  }

  /**
   * Listens on a path of our own.
   * @throws {Failure} when another process answers there, or the place cannot be used
   */
  static async listen(path: string, options: UapiServerOptions): Promise<UapiServer> {
    const server = new UapiServer(options);
    await listenAt(server.#server, {
      path,
      mode: 0o600,
      program: "wg",
      elsewhere: "another interface name",
    });
    server.#watch(path);
    return server;
  }

  /** Listens on a socket that whoever started us has opened (WG_UAPI_FD), at this path. */
  static async adopt(fd: number, path: string, options: UapiServerOptions): Promise<UapiServer> {
    const server = new UapiServer(options);
    try {
      await listen(server.#server, { fd });
    } catch (error) {
      throw new Failure(
        Exit.failed,
        `wg: WG_UAPI_FD=${fd} is no listening socket (${codeOf(error) || error}): ` +
          "pass a bound and listening Unix socket, or leave it unset",
      );
    }
    if (fs.existsSync(path)) server.#watch(path);
    return server;
  }

  /** Hangs up on everybody and removes the socket, if it is still ours. */
  async close(): Promise<void> {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const client of this.#clients) client.destroy();
    await closed;
    if (this.#path !== undefined && this.#isOurs(this.#path)) {
      fs.rmSync(this.#path, { force: true });
    }
  }

  #isOurs(path: string): boolean {
    return fs.lstatSync(path, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  #watch(path: string): void {
    this.#path = path;
    this.#inode = fs.lstatSync(path).ino;
    const look = () => {
      if (this.#isOurs(path) || this.#stopWatching === undefined) return;
      this.#stopWatching();
      this.options.onRemoved();
    };
    this.#stopWatching = watchFolder(dirname(path), look, this.options.onDefect);
  }

  #welcome(client: net.Socket): void {
    if (this.#clients.size >= CLIENTS_MAX) {
      const [longestSilent] = this.#clients;
      longestSilent?.destroy();
      if (longestSilent !== undefined) this.#clients.delete(longestSilent);
      if (this.evicted++ === 0) this.options.onCrowded();
    }
    this.#clients.add(client);
    const conversation = new Conversation(this.options, client);
    client.on("close", () => this.#clients.delete(client));
    client.on("error", () => client.destroy());
    client.on("data", (chunk: Uint8Array) => {
      this.#clients.delete(client);
      this.#clients.add(client);
      conversation.take(chunk);
    });
    client.on("drain", () => conversation.goOn());
    client.on("end", () => conversation.end());
  }
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

/** One client: what it has sent and what it is still to be told. */
class Conversation {
  readonly #reader: UapiReader;
  #text = "";
  #isOver = false;

  constructor(private readonly options: UapiServerOptions, private readonly client: net.Socket) {
    this.#reader = new UapiReader((name) => options.device.scopeOf(name));
  }

  take(chunk: Uint8Array): void {
    this.#text += latin1(chunk);
    this.goOn();
  }

  /** Reads lines until there are none, or until an answer has to be read first. */
  goOn(): void {
    let start = 0;
    while (!this.#isOver && !this.client.writableNeedDrain) {
      const end = this.#text.indexOf("\n", start);
      const length = (end < 0 ? this.#text.length : end) - start;
      if (length > LINE_MAX) {
        this.#hangUp({ errno: "EINVAL", what: `a line is longer than ${LINE_MAX} bytes` });
        return;
      }
      if (end < 0) break;
      const line = this.#text.slice(start, end);
      start = end + 1;
      const request = this.#reader.line(line);
      if (request !== undefined) this.#answer(request);
    }
    this.#text = this.#text.slice(start);
    if (this.client.writableNeedDrain) this.client.pause();
    else this.client.resume();
  }

  end(): void {
    if (this.#isOver) return;
    const request = this.#reader.cut("the client hung up before the end of its request");
    if (request !== undefined) this.#answer(request);
    this.#isOver = true;
    this.client.end();
  }

  #answer(request: UapiRequest): void {
    try {
      switch (request.kind) {
        case "get": {
          const lines = [...writeReport(this.options.device.report())];
          this.client.write(lines.join("") + writeStatus(undefined));
          return;
        }
        case "set": {
          const fault = this.options.device.change(request.change);
          if (fault !== undefined) this.options.onFault(fault);
          this.client.write(writeStatus(fault?.errno));
          return;
        }
        case "fault":
          if (request.isLost) this.#hangUp(request.fault);
          else {
            this.options.onFault(request.fault);
            this.client.write(writeStatus(request.fault.errno));
          }
          return;
      }
    } catch (error) {
      // Told, and then left to onDefect: a device that threw half way is not to be trusted.
      this.client.write(writeStatus("EIO"));
      this.options.onDefect(error);
    }
  }

  #hangUp(fault: UapiFault): void {
    this.#isOver = true;
    this.#text = "";
    this.options.onFault(fault);
    this.client.removeAllListeners("data");
    // What still comes is thrown away, and no longer counts as a sign of life.
    this.client.end(writeStatus(fault.errno));
    this.client.resume();
  }
}

function latin1(chunk: Uint8Array): string {
  return new TextDecoder("latin1").decode(chunk);
}
