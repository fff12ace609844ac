/**
 * A storm of handshakes: many initiators in the first host, each a peer that the device in the second one knows, all
 * initiations made beforehand. As a program in a host:
 *
 *     storm.ts ADDRESS PORT PUBLIC-KEY
 *
 * sends them, so many under way at a time, and prints `{"answered":…,"cookies":…,"seconds":…}`.
 */

import { createSocket, type Socket } from "node:dgram";
import { loadSodium } from "../../ffi/sodium.ts";
import { Effects } from "../../mesh/machine.ts";
import { Tunnels } from "../../mesh/tunnel/tunnels.ts";
import type { TunnelEvent } from "../../mesh/tunnel/types.ts";
import { HERE, initiation, ROUND_MS } from "../handshakes.ts";
import type { Tunnel } from "./tunnel.ts";

const INITIATORS = 256;
const ROUNDS = 12;
/** Addresses that they come from: who counts handshakes of each source counts few. */
const SOURCES = Array.from({ length: 192 }, (_, i) => `10.0.0.${10 + i}`);
/** Fewer than what makes wireguard-go ask for cookies. */
const UNDER_WAY = 64;
/** Milliseconds after which one without an answer counts as lost. */
const PATIENCE = 200;
/** Milliseconds after which the storm ends, whatever is left of it. */
const LONGEST = 4_000;
const TYPE = { response: 2, cookie: 3 } as const;

export interface Storm {
  readonly answered: number;
  readonly cookies: number;
  readonly seconds: number;
}

/** Makes the initiators peers of the second host's device, and lets them all begin. */
export async function storm({ hosts: [a, b], device, responder }: Tunnel): Promise<Storm> {
  if (responder === undefined) throw new TypeError("nothing here answers WireGuard's handshakes");
  await a.ip(...SOURCES.map((address) => `address add ${address}/24 dev eth0`));
  const sodium = loadSodium();
  const peers = Array.from(
    { length: INITIATORS },
    (_, i) => `[Peer]\nPublicKey = ${sodium.x25519PublicKey(secretOf(i)).toBase64()}\n`,
  );
  await b.run(["wg", "addconf", device, "/dev/stdin"], { stdin: peers.join("") });
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const how = ["run", "--quiet", "--cached-only", "--no-prompt", "--allow-all", "--config", config];
  const [address, port] = responder.endpoint;
  const what = [import.meta.filename ?? "", address, String(port), responder.publicKey];
  return JSON.parse((await a.run([Deno.execPath(), ...how, ...what])).stdout);
}

/** A key that is the same in both programs. */
function secretOf(i: number): Uint8Array {
  const secret = new Uint8Array(32).fill(9);
  new DataView(secret.buffer).setUint32(8, i);
  return secret;
}

/** Of each round one initiation of each initiator, so that nobody's come close to each other. */
function initiations(publicKey: Uint8Array): Uint8Array[] {
  const crypto = loadSodium();
  const random = (length: number) => globalThis.crypto.getRandomValues(new Uint8Array(length));
  const out = new Effects<TunnelEvent>();
  let now = { boot: 1e6, wall: Date.now() - ROUNDS * ROUND_MS };
  const initiators = Array.from({ length: INITIATORS }, (_, i) => {
    const machine = new Tunnels({ crypto, random });
    machine.setPrivateKey(now, secretOf(i), out);
    const added = machine.addPeer(now, publicKey, out);
    if (added.kind !== "added") throw new Error(`a peer was not added: ${added.kind}`);
    machine.setEndpoint(now, added.peer, HERE, out);
    machine.up(now, out);
    return { machine, responder: added.peer, from: HERE };
  });
  return Array.from({ length: ROUNDS }, () => {
    now = { boot: now.boot + ROUND_MS, wall: now.wall + ROUND_MS };
    return initiators.map((initiator) => initiation(initiator, now));
  }).flat();
}

/** What has been sent and is not answered, so many at a time. */
export class Window {
  readonly #size: number;
  readonly #patience: number;
  /** When each was sent, by its index, oldest first. */
  readonly #sent = new Map<number, number>();

  constructor(size: number, patience: number) {
    this.#size = size;
    this.#patience = patience;
  }

  /** Whether one more may be sent now; what is too old to be answered gives room. */
  hasRoom(now: number): boolean {
    for (const [index, at] of this.#sent) {
      if (now - at < this.#patience) break;
      this.#sent.delete(index);
    }
    return this.#sent.size < this.#size;
  }

  add(index: number, now: number): void {
    this.#sent.set(index, now);
  }

  /** Whether this was awaited: an answer that is too late, or comes twice, counts for nothing. */
  take(index: number): boolean {
    return this.#sent.delete(index);
  }

  get isEmpty(): boolean {
    return this.#sent.size === 0;
  }
}

/** The sender's index stands at 4 in an initiation, and as the receiver's at 8 in a response and at 4 in a cookie reply. */
function indexAt(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function bound(address: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = createSocket("udp4").on("error", reject);
  socket.bind(0, address, () => resolve(socket));
  return promise;
}

async function send(messages: readonly Uint8Array[], port: number, address: string) {
  const sockets = await Promise.all(SOURCES.map(bound));
  const window = new Window(UNDER_WAY, PATIENCE);
  let [answered, cookies, next] = [0, 0, 0];
  const begin = performance.now();
  let last = begin;
  const more = () => {
    const now = performance.now();
    for (; next < messages.length && window.hasRoom(now); next++) {
      const message = messages[next] ?? new Uint8Array();
      window.add(indexAt(message, 4), now);
      sockets[next % INITIATORS % sockets.length]?.send(message, port, address);
    }
  };
  const hear = (bytes: Uint8Array) => {
    const isResponse = bytes[0] === TYPE.response;
    if (!isResponse && bytes[0] !== TYPE.cookie) return;
    if (!window.take(indexAt(bytes, isResponse ? 8 : 4))) return;
    last = performance.now();
    if (isResponse) answered++;
    else cookies++;
    more();
  };
  for (const socket of sockets) socket.on("message", hear);
  while (performance.now() - begin < LONGEST) {
    more();
    await new Promise((wake) => setTimeout(wake, 5));
    window.hasRoom(performance.now());
    if (next === messages.length && window.isEmpty) break;
  }
  for (const socket of sockets) socket.close();
  return { answered, cookies, seconds: (last - begin) / 1000 };
}

if (import.meta.main) {
  const [address = "", port, key = ""] = Deno.args;
  const messages = initiations(Uint8Array.fromBase64(key));
  console.log(JSON.stringify(await send(messages, Number(port), address)));
}
