/**
 * The resolver of a node: it answers at the node's own mesh addresses, port 53, UDP and TCP, to members and to this
 * machine, for the names of the mesh alone. What it costs is bounded: so many questions a second for each source, so
 * many connections, and no answer is larger than what fits one datagram. Whoever asks from another address than one that
 * a member or guest has now gets no answer: a network below the tunnel may use addresses of the mesh, too. Core takes
 * packets of a member only from that member's addresses, and has the kernel drop what comes past the tunnel (guard.ts).
 */
import { createSocket, type Socket } from "node:dgram";
import * as net from "node:net";
import { formatAddress, parseAddress } from "../../mesh/endpoint.ts";
import type { Now } from "../../mesh/machine.ts";
import type { Directory } from "../../mesh/report/directory.ts";
import { codeOf } from "../errno.ts";
import type { NamesStatus } from "../status.ts";
import { converse } from "./conversation.ts";
import { readQuery, writeAnswer, writeFault } from "./message.ts";
import { Sources } from "./sources.ts";
import { Zone } from "./zone.ts";

const PORT = 53;
/** TCP connections at once; of one source so many. A member has two addresses, so four members hold all of them. */
const CONNECTIONS_MAX = 32;
const CONNECTIONS_EACH = 4;
/** Of this machine itself, whose programs and users are one source together. */
const CONNECTIONS_OWN = 16;
/**
 * Milliseconds for each member between two looks at a mesh that changes all the time: a look costs a thirtieth of that.
 * Of ten members a change is seen within a millisecond, of 10,000 within a second.
 */
const FRESH_MS_EACH = 0.1;
/** Milliseconds between two tries to get a port that was taken. */
const AGAIN_MS = 10_000;
/** What a kernel answers for an address that is not there yet, or was taken away: it comes back. */
const PASSES = ["EADDRNOTAVAIL", "ENODEV"];

/** Of a node without a resolver. */
export const NO_NAMES: NamesStatus = { enabled: false, servers: [], answered: 0 };

export type ResolverNews =
  /** From now on; it is told once. */
  | { readonly kind: "namesAnswered"; readonly zone: string; readonly address: string }
  /** A question raised an exception, and has no answer. */
  | { readonly kind: "namesFault"; readonly cause: string };

interface ResolverOptions {
  /** The same object while nothing has changed; undefined: this node is in no mesh. */
  readonly directory: () => Directory | undefined;
  readonly clock: () => Now;
  /** Before that nothing is said of names: whoever still knocks has an IPv6 address already. */
  readonly isMember: () => boolean;
  readonly onNews: (news: ResolverNews) => void;
}

/** The sockets at one address. */
interface Place {
  readonly address: string;
  readonly sockets: (Socket | net.Server)[];
  /** How many of them have the port. */
  open: number;
  /** Why it does not answer there. */
  trouble: string;
  triedAt: number;
}

export class Resolver {
  /** What was not answered, by reason. */
  readonly refused = {
    strangers: 0,
    rate: 0,
    nonsense: 0,
    connections: 0,
    unread: 0,
    faults: 0,
  };
  /** Questions that were answered. */
  answered = 0;
  readonly #places = new Map<string, Place>();
  readonly #connections = new Map<net.Socket, string>();
  readonly #sources = new Sources();
  #zone: { readonly zone: Zone; readonly directory: Directory; readonly at: number } | undefined;
  #isClosed = false;
  #hasTold = false;

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
      const place: Place = { address, sockets: [], open: 0, trouble: "", triedAt: -Infinity };
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
    this.#tell();
  }

  report(): NamesStatus {
    return { enabled: true, servers: this.servers, answered: this.answered };
  }

  /** What was not answered, as the status document calls it. */
  counts(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.refused).map(([why, count]) => [`names_${why}`, count]),
    );
  }

  /** Where questions are answered now, over UDP and TCP; IPv4 first. */
  get servers(): string[] {
    if (this.#others !== undefined) return [];
    const open = [...this.#places.values()].filter((place) => place.open === 2);
    const [ip6, ip4] = [true, false].map((is) =>
      open.map(({ address }) => address).filter((address) => address.includes(":") === is)
    );
    return [...ip4 ?? [], ...ip6 ?? []];
  }

  /** @param ifname the interface that has our addresses */
  health(ifname: string): string[] {
    if (this.#others !== undefined) {
      return [
        `names are not answered: this mesh was founded with a name that makes ${this.#others} its domain, which ` +
        "is others': machines look there by themselves",
      ];
    }
    const troubled = [...this.#places.values()].filter(({ trouble }) =>
      trouble !== "" && !PASSES.includes(trouble)
    );
    return troubled.map(({ address, trouble }) => {
      const what = `names are not answered at ${address}: UDP or TCP port ${this.port} there`;
      return ["EACCES", "EPERM"].includes(trouble)
        ? `${what} needs CAP_NET_BIND_SERVICE, which this process has not (or start with --no-dns)`
        : `${what} is taken (${trouble}) by another program (\`ss -lpn sport = ${this.port}\`): let that ` +
          `one leave it (dnsmasq: bind-dynamic and except-interface=${ifname}), or start with --no-dns`;
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const place of this.#places.values()) closeAll(place);
    for (const connection of this.#connections.keys()) connection.destroy();
  }

  /** The domain of the mesh where it is others'; a place stays open there, and refuses. */
  get #others(): string | undefined {
    const zone = this.#picture(this.options.clock())?.zone;
    return zone?.isOthers ? zone.apex : undefined;
  }

  #open(place: Place): void {
    closeAll(place);
    place.trouble = "";
    place.triedAt = this.options.clock().boot;
    const { address } = place;
    const udp = createSocket(address.includes(":") ? "udp6" : "udp4");
    udp.on("message", (bytes, from) => {
      const answer = this.#answer(bytes, from.address, "udp");
      if (answer) udp.send(answer, from.port, from.address, () => {});
    });
    const tcp = net.createServer((connection) => this.#accept(connection));
    for (const socket of [udp, tcp]) {
      place.sockets.push(socket);
      socket.on("error", (error: unknown) => {
        if (!place.sockets.includes(socket)) return; // It was closed, and another has its place.
        place.trouble = codeOf(error) || "no socket";
        closeAll(place);
        this.#tell();
      });
      socket.on("listening", () => {
        if (place.sockets.includes(socket) && ++place.open === 2) this.#tell();
      });
    }
    udp.bind(this.port, address);
    tcp.listen(this.port, address);
  }

  #tell(): void {
    const [address] = this.servers;
    if (this.#hasTold || address === undefined || !this.options.isMember()) return;
    // A person is told the IPv4 address where there is one, whichever socket comes first.
    const isOpening = ({ open, trouble }: Place) => open < 2 && trouble === "";
    if ([...this.#places.values()].some(isOpening)) return;
    const picture = this.#picture(this.options.clock());
    if (!picture) return;
    this.#hasTold = true;
    this.options.onNews({ kind: "namesAnswered", zone: picture.zone.apex, address });
  }

  #accept(connection: net.Socket): void {
    const source = connection.remoteAddress ?? "";
    const sources = [...this.#connections.values()];
    const most = this.#isOwn(source) ? CONNECTIONS_OWN : CONNECTIONS_EACH;
    const isCrowd = sources.length >= CONNECTIONS_MAX ||
      sources.filter((other) => other === source).length >= most;
    const isStranger = !this.#isMember(source, this.options.clock());
    if (isStranger || isCrowd) {
      this.refused[isStranger ? "strangers" : "connections"]++;
      connection.on("error", () => {});
      connection.destroy();
      return;
    }
    this.#connections.set(connection, source);
    converse(connection, {
      answer: (question) => this.#answer(question, source, "tcp"),
      onUnread: () => this.refused.unread++,
      onEnd: () => this.#connections.delete(connection),
    });
  }

  /** Whatever a question is: an exception here would end the node. */
  #answer(bytes: Uint8Array, source: string, transport: "udp" | "tcp"): Uint8Array | undefined {
    if (this.#isClosed) return undefined;
    try {
      return this.#answerOf(bytes, source, transport);
    } catch (error) {
      this.refused.faults++;
      this.options.onNews({ kind: "namesFault", cause: String(error) });
      return undefined;
    }
  }

  #answerOf(bytes: Uint8Array, source: string, transport: "udp" | "tcp"): Uint8Array | undefined {
    const now = this.options.clock();
    const picture = this.#picture(now);
    if (!picture || !this.#isMember(source, now)) {
      this.refused.strangers++;
      return undefined;
    }
    if (!this.#sources.take(source, now, this.#isOwn(source))) {
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
    const last = this.#zone;
    const isFresh = last &&
      now.boot - last.at < last.directory.entries.length * FRESH_MS_EACH;
    if (isFresh) return last;
    const directory = this.options.directory();
    if (directory && directory === this.#zone?.directory) return this.#zone;
    this.#zone = directory && { directory, zone: new Zone(directory), at: now.boot };
    return this.#zone;
  }

  /** Whether this machine asks, at one of its own mesh addresses. */
  #isOwn(source: string): boolean {
    const bytes = parseAddress(source.split("%")[0] ?? "");
    return bytes !== undefined && this.#places.has(formatAddress(bytes));
  }

  /** Whether a member or guest has this address; this machine is one, too, when it asks at its own. */
  #isMember(source: string, now: Now): boolean {
    const bytes = parseAddress(source.split("%")[0] ?? "");
    return bytes !== undefined &&
      this.#picture(now)?.zone.hasOwner(formatAddress(bytes)) === true;
  }
}

/** Closes what is there; nothing that it still says counts. */
function closeAll(place: Place): void {
  place.open = 0;
  for (const socket of place.sockets.splice(0)) {
    try {
      socket.close();
    } catch {
      // It never was open.
    }
  }
}
