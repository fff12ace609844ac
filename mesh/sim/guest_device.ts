/** A stock WireGuard device of the laboratory: the tunnels alone, as a phone has them that read its file. */
import { type Endpoint, formatEndpoint, parseEndpoint } from "../endpoint.ts";
import { Effects, type Now, type Outbox, type Prefix } from "../machine.ts";
import { Tunnels } from "../tunnel/tunnels.ts";
import type { TunnelEvent } from "../tunnel/types.ts";
import { DataPlane } from "./dataplane.ts";
import { Host } from "./host.ts";
import { type NodeLab, packetOf } from "./node_lab.ts";

/** What its file says. */
export interface GuestFile {
  readonly hostKey: Uint8Array;
  readonly endpoint: string;
  readonly networks: readonly Prefix[];
  readonly ip4: Uint8Array;
}

const KEEPALIVE_SECONDS = 25;

export class GuestDevice {
  readonly publicKey: Uint8Array;
  /** Inner packets that came out of its tunnel. */
  readonly delivered: Uint8Array[] = [];
  endpoint: Endpoint;
  readonly #secretKey: Uint8Array;
  readonly #host: Host<Uint8Array>;
  #tunnels: Tunnels | undefined;
  #plane: DataPlane | undefined;
  #ip4: Uint8Array = new Uint8Array(4);

  /** A device at 198.51.100.N:5555, switched off. */
  constructor(private readonly lab: NodeLab, n: number) {
    this.endpoint = { address: Uint8Array.of(198, 51, 100, n), port: 5555, scope: 0 };
    this.#secretKey = lab.random(32);
    this.publicKey = lab.crypto.x25519PublicKey(this.#secretKey);
    this.#host = new Host(lab.world, formatEndpoint(this.endpoint));
    this.#listen();
  }

  get ip4(): number[] {
    return [...this.#ip4];
  }

  /** Another network: its old place is nobody's. */
  move(n: number): void {
    this.lab.attach(this.endpoint, () => {});
    this.endpoint = { ...this.endpoint, address: Uint8Array.of(198, 51, 100, n) };
    this.#listen();
  }

  /** Reads its file and begins, as wg-quick does. */
  start(file: GuestFile): void {
    const { crypto, random } = this.lab;
    const tunnels = new Tunnels({ crypto, random });
    const plane = new DataPlane(crypto, random, {
      datagram: ({ bytes, to }) =>
        this.lab.network.send(
          formatEndpoint(this.endpoint),
          formatEndpoint(to),
          bytes,
          bytes.length,
        ),
      mail: (arrival) => this.#step((now, out) => tunnels.receive(now, arrival, out)),
      edge: (edge) =>
        this.lab.world.after(0, () => this.#step((now, out) => tunnels.edge(now, edge, out))),
      deliver: (_, packet) => void this.delivered.push(packet),
    });
    this.#tunnels = tunnels;
    this.#plane = plane;
    this.#ip4 = file.ip4;
    this.#step((now, out) => {
      tunnels.setPrivateKey(now, this.#secretKey, out);
      tunnels.up(now, out);
      const added = tunnels.addPeer(now, file.hostKey, out);
      const place = parseEndpoint(file.endpoint);
      if (added.kind !== "added" || !place) throw new Error(`guest: ${added.kind}`);
      for (const network of file.networks) tunnels.addRoute(added.peer, network, out);
      tunnels.setEndpoint(now, added.peer, place, out);
      tunnels.setPersistentKeepalive(now, added.peer, KEEPALIVE_SECONDS, out);
    });
    this.#host.start({
      deadline: () => tunnels.deadline ?? { at: Infinity, why: "nothing" },
      tick: () => this.#step((now, out) => tunnels.due(now, plane.facts, out)),
      receive: (now, from, bytes) => {
        const origin = parseEndpoint(from);
        if (origin) plane.receive(now.boot, bytes, origin);
      },
    });
  }

  stop(): void {
    this.#host.crash();
    this.#tunnels = this.#plane = undefined;
  }

  /** Sends an inner packet to an address, from its own or another one. */
  say(other: { readonly ip4: readonly number[] }, from: readonly number[] = this.ip4): void {
    this.#plane?.sendPacket(this.#host.now().boot, packetOf(from, other.ip4));
    this.#host.arrange();
  }

  #listen(): void {
    this.lab.attach(
      this.endpoint,
      (bytes, from) => this.#host.deliver(formatEndpoint(from), bytes),
    );
  }

  #step(ask: (now: Now, out: Outbox<TunnelEvent>) => void): void {
    if (!this.#tunnels) return;
    const effects = new Effects<TunnelEvent>();
    ask(this.#host.now(), effects);
    for (const command of effects.commands) {
      this.#plane?.execute(this.#host.now().boot, command);
    }
    for (const datagram of effects.datagrams) this.#plane?.send(datagram);
    this.#host.arrange();
  }
}
