/** A WireGuard device in a host: an implementation that serves an interface, and the interface's configuration. */

import type { Host } from "./host.ts";
import type { Implementation } from "./peers.ts";
import type { Process } from "./process.ts";
import { until } from "./until.ts";

export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** One peer of a device, in the words of wg(8). */
export interface PeerOptions {
  readonly publicKey: string;
  readonly allowedIps: readonly string[];
  readonly presharedKey?: string | undefined;
  /** HOST:PORT; a device that has none for a peer waits for it to begin. */
  readonly endpoint?: string | undefined;
}

export interface DeviceOptions {
  readonly privateKey: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly mtu?: number;
  readonly peers: readonly PeerOptions[];
}

/** Bytes as `wg show IF transfer` prints them. */
export interface Transfer {
  readonly rx: number;
  readonly tx: number;
}

/** Fresh keys, base64. */
export async function makeKeys(host: Host): Promise<KeyPair> {
  const privateKey = (await host.run(["wg", "genkey"])).stdout.trim();
  const publicKey = (await host.run(["wg", "pubkey"], { stdin: privateKey })).stdout.trim();
  return { privateKey, publicKey };
}

/** Owner: whoever started it; ends with the laboratory at the latest. */
export class Device {
  /** Where the program runs: its UDP sockets and its userspace API socket are here. */
  readonly host: Host;
  readonly name: string;
  /** Milliseconds from the start of the program until its socket answered a `get`. */
  readonly startMs: number;
  /** Undefined: the kernel serves it. */
  readonly #process: Process | undefined;
  #at: Host;

  private constructor(host: Host, name: string, process: Process | undefined, startMs: number) {
    this.host = host;
    this.name = name;
    this.#process = process;
    this.#at = host;
    this.startMs = startMs;
  }

  /** Starts an implementation and returns when its socket answers; throws after 10 s or when it ends before. */
  static async start(host: Host, implementation: Implementation, name = "wg0"): Promise<Device> {
    const begin = performance.now();
    const process = host.spawn(implementation.command(name), {
      env: implementation.env,
      stderr: "piped",
    });
    const said = new Response(process.stderr).text();
    const socket = host.outside(`/run/wireguard/${name}.sock`);
    await until(`${implementation.name} serves ${name}`, 10_000, async () => {
      if (process.ended) {
        throw new Error(
          `${implementation.name} ended before it served ${name}: ${(await said).trim()}`,
        );
      }
      return await answers(socket);
    }, 1);
    return new Device(host, name, process, performance.now() - begin);
  }

  /** An interface of the kernel's own module. Throws `CommandFailed` where there is none. */
  static async ofKernel(host: Host, name = "wg0"): Promise<Device> {
    const begin = performance.now();
    await host.ip(`link add dev ${name} type wireguard`);
    return new Device(host, name, undefined, performance.now() - begin);
  }

  /** Configures everything and brings the interface up; a peer's allowed IPs become routes. */
  async configure(options: DeviceOptions): Promise<void> {
    await this.host.run(["wg", "setconf", this.name, "/dev/stdin"], { stdin: text(options) });
    await this.#at.ip(
      `link set dev ${this.name} mtu ${options.mtu ?? 1420} up`,
      ...options.addresses.map((address) =>
        `address add ${address} dev ${this.name}${address.includes(":") ? " nodad" : ""}`
      ),
      ...options.peers.flatMap((peer) => peer.allowedIps).map((to) =>
        `route replace ${to} dev ${this.name}`
      ),
    );
  }

  /** Moves the interface to another host; the program and its sockets stay where they are. */
  async moveTo(host: Host): Promise<void> {
    await this.#at.moveDevice(this.name, host);
    this.#at = host;
  }

  /** Sets the interface's MTU, bytes. */
  async setMtu(mtu: number): Promise<void> {
    await this.#at.ip(`link set dev ${this.name} mtu ${mtu}`);
  }

  /** Runs `wg set` on this device. */
  async set(args: readonly string[], stdin = ""): Promise<void> {
    await this.host.run(["wg", "set", this.name, ...args], { stdin });
  }

  /** What this device counted for a peer. */
  async transfer(publicKey: string): Promise<Transfer> {
    const { stdout } = await this.host.run(["wg", "show", this.name, "transfer"]);
    const row = stdout.split("\n").map((line) => line.split("\t")).find(([key]) =>
      key === publicKey
    );
    if (row === undefined) {
      throw new Error(`${this.name} of ${this.host.name} has no peer ${publicKey}`);
    }
    return { rx: Number(row[1]), tx: Number(row[2]) };
  }

  /** Seconds of unix time of a peer's last handshake, 0 when there was none. */
  async lastHandshake(publicKey: string): Promise<number> {
    const { stdout } = await this.host.run(["wg", "show", this.name, "latest-handshakes"]);
    const row = stdout.split("\n").map((line) => line.split("\t")).find(([key]) =>
      key === publicKey
    );
    return Number(row?.[1] ?? 0);
  }

  /** Asks the program to end and returns when it has. */
  async stop(): Promise<void> {
    if (this.#process === undefined) await this.#at.ip(`link delete dev ${this.name}`);
    else await this.#process.stop();
  }

  /** pid of the serving program as seen from outside, undefined when there is none or it has ended. */
  async pid(): Promise<number | undefined> {
    return await this.#process?.pid();
  }
}

/** The file that wg(8) reads. */
export function text(options: DeviceOptions): string {
  const lines = [
    "[Interface]",
    `PrivateKey = ${options.privateKey}`,
    `ListenPort = ${options.port}`,
  ];
  for (const peer of options.peers) {
    lines.push(
      "[Peer]",
      `PublicKey = ${peer.publicKey}`,
      `AllowedIPs = ${peer.allowedIps.join(", ")}`,
    );
    if (peer.presharedKey !== undefined) lines.push(`PresharedKey = ${peer.presharedKey}`);
    if (peer.endpoint !== undefined) lines.push(`Endpoint = ${peer.endpoint}`);
  }
  return lines.join("\n") + "\n";
}

/** Whether a userspace API socket answers `get=1` with its closing `errno=0`. */
async function answers(path: string): Promise<boolean> {
  let connection;
  try {
    connection = await Deno.connect({ transport: "unix", path });
  } catch {
    return false; // not there yet, or there and not yet listening
  }
  try {
    await connection.write(new TextEncoder().encode("get=1\n\n"));
    let heard = "";
    const buffer = new Uint8Array(4096);
    for (let n = await connection.read(buffer); n !== null; n = await connection.read(buffer)) {
      heard += new TextDecoder().decode(buffer.subarray(0, n));
      if (heard.includes("errno=0\n\n")) return true;
    }
    return false;
  } catch {
    return false;
  } finally {
    connection.close();
  }
}
