/**
 * The resolver of a node: it answers at the node's own mesh addresses, port 53, UDP and TCP, to members and to this
 * machine, for the names of the mesh alone. What it costs is bounded: so many questions a second for each source, so
 * many connections, and no answer is larger than what fits one datagram.
 */
import { createSocket, type Socket } from "node:dgram";
import * as net from "node:net";
import { Buffer } from "node:buffer";
import { isWithin, parseAddress } from "../../mesh/endpoint.ts";
import type { Now } from "../../mesh/machine.ts";
import type { Directory } from "../../mesh/report/directory.ts";
import { Allowance } from "../../mesh/door/allowance.ts";
import { codeOf } from "../errno.ts";
import { QUESTION_MAX, readQuery, writeAnswer, writeFault } from "./message.ts";
import { Zone } from "./zone.ts";

const PORT = 53;
/** Questions of one source: so many at once, and so many a second. */
const QUESTIONS = { rate: 100, burst: 200 };
/** Sources whose questions are counted; at the limit all of them begin anew. */
const SOURCES_MAX = 1_024;
/** TCP connections at once, and milliseconds after which a silent one ends. */
const CONNECTIONS_MAX = 32;
const SILENT_MS = 5_000;
/** Milliseconds for which a picture of the mesh is good enough. */
const FRESH_MS = 1_000;
/** Milliseconds between two tries to get a port that was taken. */
const AGAIN_MS = 10_000;
/** What a kernel answers for an address that is not there yet, or was taken away: it comes back. */
const PASSES = ["EADDRNOTAVAIL", "ENODEV"];

interface ResolverOptions {
  /** Undefined: this node is in no mesh. */
  readonly directory: () => Directory | undefined;
  readonly clock: () => Now;
}

/** The sockets at one address. */
interface Place {
  readonly address: string;
  readonly sockets: (Socket | net.Server)[];
  /** Why it does not answer there. */
  trouble: string;
  triedAt: number;
}

export class Resolver {
  /** What was not answered, by reason. */
  readonly refused = { strangers: 0, rate: 0, nonsense: 0, connections: 0 };
  /** Questions that were answered. */
  answered = 0;
  readonly #places = new Map<string, Place>();
  readonly #connections = new Set<net.Socket>();
  readonly #sources = new Map<string, Allowance>();
  #zone: { readonly zone: Zone; readonly directory: Directory; readonly at: number } | undefined;
  #isClosed = false;

  constructor(private readonly options: ResolverOptions, private readonly port = PORT) {}

  /** Answers at these addresses from now on, and at no others. */
  serve(addresses: readonly string[]): void {
    for (const [address, place] of this.#places) {
      if (addresses.includes(address)) continue;
      this.#places.delete(address);
      closeAll(place);
    }
    for (const address of addresses) {
      if (this.#places.has(address)) continue;
      const place: Place = { address, sockets: [], trouble: "", triedAt: -Infinity };
      this.#places.set(address, place);
      this.#open(place);
    }
  }

  /** Tries again where the port was taken. */
  mend(): void {
    const now = this.options.clock();
    for (const place of this.#places.values()) {
      const wait = PASSES.includes(place.trouble) ? 0 : AGAIN_MS;
      if (place.trouble !== "" && now.boot - place.triedAt >= wait) this.#open(place);
    }
  }

  health(): string[] {
    const lines = Array.from(this.#places.values(), ({ address, trouble }) => {
      if (trouble === "" || PASSES.includes(trouble)) return [];
      const what = `names are not answered at ${address}: UDP or TCP port ${this.port} there`;
      return trouble === "EACCES" || trouble === "EPERM"
        ? [
          `${what} needs CAP_NET_BIND_SERVICE, which this process has not (or start with --no-dns)`,
        ]
        : [
          `${what} is taken (${trouble}) by another program, which listens on all addresses ` +
          "(`ss -lpn sport = 53`): let it listen on its own, or start with --no-dns",
        ];
    });
    return lines.flat();
  }

  close(): void {
    this.#isClosed = true;
    for (const place of this.#places.values()) closeAll(place);
    for (const connection of this.#connections) connection.destroy();
  }

  #open(place: Place): void {
    closeAll(place);
    place.sockets.length = 0;
    place.trouble = "";
    place.triedAt = this.options.clock().boot;
    const { address } = place;
    const failed = (error: unknown) => {
      place.trouble = codeOf(error) || "no socket";
      closeAll(place);
    };
    const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
    udp.on("error", failed);
    udp.on("message", (bytes, from) => {
      const answer = this.#answer(bytes, from.address, "udp");
      if (answer) udp.send(answer, from.port, from.address, () => {});
    });
    const tcp = net.createServer((connection) => this.#converse(connection));
    tcp.on("error", failed);
    place.sockets.push(udp, tcp);
    udp.bind(this.port, address);
    tcp.listen(this.port, address);
  }

  /** Messages behind their length (RFC 1035, section 4.2.2). */
  #converse(connection: net.Socket): void {
    const source = connection.remoteAddress ?? "";
    if (this.#connections.size >= CONNECTIONS_MAX) {
      this.refused.connections++;
      connection.destroy();
      return;
    }
    this.#connections.add(connection);
    let waiting = Buffer.alloc(0);
    connection.setTimeout(SILENT_MS, () => connection.destroy());
    connection.on("error", () => connection.destroy());
    connection.on("close", () => this.#connections.delete(connection));
    connection.on("data", (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= 2) {
        const length = waiting.readUInt16BE(0);
        if (length > QUESTION_MAX) return void connection.destroy();
        if (waiting.length < 2 + length) return;
        const answer = this.#answer(waiting.subarray(2, 2 + length), source, "tcp");
        waiting = waiting.subarray(2 + length);
        if (!answer) return void connection.destroy();
        const size = Buffer.alloc(2);
        size.writeUInt16BE(answer.length);
        connection.write(Buffer.concat([size, answer]));
      }
    });
  }

  #answer(bytes: Uint8Array, source: string, transport: "udp" | "tcp"): Uint8Array | undefined {
    if (this.#isClosed) return undefined;
    const now = this.options.clock();
    const picture = this.#picture(now);
    if (!picture || !isMember(picture.directory, source)) {
      this.refused.strangers++;
      return undefined;
    }
    if (!this.#allowanceOf(source, now).take(now)) {
      this.refused.rate++;
      return undefined;
    }
    const reading = readQuery(bytes);
    if (!reading || reading.kind === "faulty") this.refused.nonsense++;
    if (!reading) return undefined;
    if (reading.kind === "faulty") return writeFault(reading.id, reading.rcode);
    this.answered++;
    return writeAnswer(reading.query, picture.zone.answer(reading.query), transport);
  }

  #picture(now: Now) {
    if (this.#zone && now.boot - this.#zone.at < FRESH_MS) return this.#zone;
    const directory = this.options.directory();
    this.#zone = directory && { directory, zone: new Zone(directory), at: now.boot };
    return this.#zone;
  }

  #allowanceOf(source: string, now: Now): Allowance {
    const known = this.#sources.get(source);
    if (known) return known;
    if (this.#sources.size >= SOURCES_MAX) this.#sources.clear();
    const allowance = new Allowance(now, QUESTIONS);
    this.#sources.set(source, allowance);
    return allowance;
  }
}

/** Whoever asks does it from an address of the mesh: this machine, too, when it asks at its own. */
function isMember({ networks }: Directory, source: string): boolean {
  const bytes = parseAddress(source.split("%")[0] ?? "");
  return bytes !== undefined &&
    networks.some((network) => network.address.length === bytes.length && isWithin(bytes, network));
}

function closeAll({ sockets }: Place): void {
  for (const socket of sockets.splice(0)) {
    try {
      socket.close();
    } catch {
      // It never was open.
    }
  }
}
