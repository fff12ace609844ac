/**
 * A member without scruple, as a program in a host: it has the state folder of a member whose node is stopped, and its
 * port. It tells every other member lies about one of them, 3,000 a second, each sealed with its good key, and answers
 * probes, so that it stays alive in the eyes of the others.
 *
 *     liar.ts STATE_FOLDER OWN_ADDRESS:PORT VICTIM_KEY SECONDS KEY=ADDRESS:PORT …
 *
 * Prints how many lies it has sent.
 */
import { loadSodium } from "../ffi/sodium.ts";
import { fromBase64url } from "../mesh/base64url.ts";
import { parseEndpoint } from "../mesh/endpoint.ts";
import { decodeGenesis, meshIdOf } from "../mesh/membership/genesis.ts";
import { identityFromSeed } from "../mesh/membership/identity.ts";
import {
  bootOf,
  NO_PROOF,
  type NodeRecord,
  openRecord,
  sequenceOf,
  signRecord,
} from "../mesh/membership/record.ts";
import { decodePing, encodePong } from "../mesh/pings.ts";
import { tagOf } from "../mesh/swim/membership.ts";
import {
  type Body,
  type Claim,
  decode,
  encode,
  INCARNATION_MAX,
  type Status,
} from "../mesh/swim/messages.ts";
import { PAYLOAD_MAX, type PayloadKind, Seal } from "../mesh/wire/seal.ts";
import { unwrap } from "../src/envelope.ts";
import { readMemory, STATE_FILE } from "../src/generations.ts";
import { KEY_FILE } from "../src/keys.ts";

/** Lies a second, and how many go out at once. */
const RATE = 3_000;
const BATCH = 30;
const STATES: readonly Status[] = ["dead", "suspect", "left", "alive"];

/** A member that it talks to. */
interface Target {
  readonly key: string;
  readonly to: Deno.NetAddr;
}

class Liar {
  readonly #crypto = loadSodium();
  readonly #socket: Deno.DatagramConn;
  readonly #seal: Seal;
  readonly #incarnation: number;
  readonly #record: NodeRecord;

  constructor(folder: string, readonly own: Deno.NetAddr, targets: readonly Target[]) {
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));
    const seed = unwrap(KEY_FILE.identity, Deno.readFileSync(`${folder}/${KEY_FILE.identity}`));
    const memory = readMemory(Deno.readFileSync(`${folder}/${STATE_FILE}`));
    if (seed === undefined || memory === undefined || memory === "damaged") {
      throw new Error(`${folder} is no member's`);
    }
    const { genesis, boot, incarnation, members } = memory.snapshot;
    const decoded = decodeGenesis(fromBase64url(genesis ?? "") ?? new Uint8Array());
    if (!decoded.ok) throw new Error(decoded.error);
    const meshId = meshIdOf(this.#crypto, decoded.value);
    const self = identityFromSeed(this.#crypto, Uint8Array.fromHex(JSON.parse(seed)));
    const run = random(8).toHex();
    this.#seal = new Seal(this.#crypto, random, meshId, self, boot + 1, run);
    const at = parseEndpoint(`${own.hostname}:${own.port}`);
    this.#record = signRecord(this.#crypto, meshId, self.signing, {
      key: self.signing.publicKey,
      sequence: sequenceOf(boot + 1, 0),
      run,
      twin: undefined,
      endpoints: at ? [at] : [],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "0",
      proof: NO_PROOF,
    });
    for (const { key } of targets) this.#seal.know(key, Uint8Array.fromHex(key), 1);
    for (const { record } of members) {
      const opened = openRecord(
        this.#crypto,
        meshId,
        fromBase64url(record) ?? new Uint8Array(),
      );
      if (!opened.ok) continue;
      const { id, key, sequence } = opened.value;
      this.#seal.know(id, key, bootOf(sequence));
    }
    this.#incarnation = incarnation + 1;
    this.#socket = Deno.listenDatagram({ ...own, transport: "udp" });
  }

  /** Proves this start: of one that no record proves little is listened to. */
  async introduce(target: Target): Promise<void> {
    await this.#send(target, "record", this.#record.bytes);
  }

  /** The n-th lie about a member, in the name of another for a suspicion. */
  async lie(target: Target, victim: string, origin: string, n: number): Promise<void> {
    const status = STATES[n % STATES.length] ?? "dead";
    const claim: Claim = {
      subject: tagOf(victim),
      status,
      incarnation: [INCARNATION_MAX, n % 70][n % 7 % 2] ?? INCARNATION_MAX,
      ...(status === "suspect" ? { origin: tagOf(origin) } : {}),
      ...(n % 5 === 0 ? { proof: new Uint8Array(64) } : {}),
    };
    await this.#send(target, "gossip", this.#gossip({ kind: "news" }, [claim]));
  }

  /** Answers probes, as an honest member does. */
  async answer(): Promise<void> {
    for await (const [bytes, from] of this.#socket) {
      const result = this.#seal.open({ boot: performance.now(), wall: Date.now() }, bytes);
      if (result.kind !== "opened" || from.transport !== "udp") continue;
      const { from: key, kind, payload } = result.value;
      const target = { key, to: from };
      const ping = kind === "ping" ? decodePing(payload) : undefined;
      const place = parseEndpoint(`${this.own.hostname}:${this.own.port}`);
      if (ping?.ok && place) {
        await this.#send(target, "pong", encodePong(ping.value.nonce, ping.value.token, place));
      }
      const message = kind === "gossip" ? decode(payload, PAYLOAD_MAX) : undefined;
      if (!message?.ok || message.value.body.kind !== "ping") continue;
      const { seq } = message.value.body;
      await this.#send(target, "gossip", this.#gossip({ kind: "ack", seq }, []));
    }
  }

  #gossip(body: Body, claims: readonly Claim[]): Uint8Array {
    const incarnation = this.#incarnation;
    return encode({ incarnation, view: undefined, body, claims, rumours: [] }, PAYLOAD_MAX);
  }

  async #send({ key, to }: Target, kind: PayloadKind, payload: Uint8Array): Promise<void> {
    const bytes = this.#seal.seal(key, kind, payload);
    if (!bytes) throw new Error(`the seal knows nobody of the key ${key}`);
    await this.#socket.send(bytes, to);
  }
}

function place(text: string): Deno.NetAddr {
  const [hostname = "", port] = text.split(":");
  return { transport: "udp", hostname, port: Number(port) };
}

async function main([folder, own, victim, seconds, ...others]: string[]): Promise<void> {
  if (!folder || !own || !victim) throw new Error("liar.ts STATE_FOLDER OWN VICTIM_KEY SECONDS …");
  const targets = others.map((text) => {
    const [key = "", to = ""] = text.split("=");
    return { key, to: place(to) };
  });
  const liar = new Liar(folder, place(own), targets);
  void liar.answer();
  for (const target of targets) await liar.introduce(target);
  const begin = performance.now();
  const all = RATE * Number(seconds);
  for (let n = 0; n < all; n++) {
    const target = targets[n % targets.length];
    const origin = targets[(n + 1) % targets.length];
    if (target && origin) await liar.lie(target, victim, origin.key, n);
    const ahead = n / RATE * 1_000 - (performance.now() - begin);
    if (n % BATCH === 0 && ahead > 0) await new Promise((wake) => setTimeout(wake, ahead));
  }
  console.log(all);
  Deno.exit(0);
}

if (import.meta.main) await main(Deno.args);
