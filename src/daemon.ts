/** `shoal node`: a mesh node in the foreground, with its control socket and what it prints. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  descriptorsLeft,
  duplicate,
  forbidCoreDumps,
  hasInput,
  peerCredentials,
} from "../ffi/libc.ts";
import type { NodeEvent } from "../mesh/event.ts";
import { inWordsOf, type Io, joinLine, programName } from "./cli/command.ts";
import { formatSeed } from "../mesh/seed.ts";
import type { NodeConfig } from "./config.ts";
import { ControlServer, type Document, type Operation, type Request } from "./control.ts";
import { Ending } from "./ending.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { noteEvent, noteNews } from "./journal.ts";
import { configureLog } from "./log.ts";
import { MeshNode } from "./node.ts";
import { printable } from "./words.ts";

/** What the line that the founder prints is good for; `shoal invite` makes others. */
const FIRST_INVITE = { uses: 1, expiresInS: 86_400 } as const;
/** Between two pings of one command. */
const PING_PACE_MS = 200;

/** @throws {Failure} when the node cannot be had, or its first join is refused or unanswered */
export async function runDaemon(
  config: NodeConfig,
  token: string | undefined,
  io: Io,
): Promise<ExitCode> {
  configureLog({ level: config.logLevel, words: (line) => inWordsOf(io, line) });
  forbidCoreDumps();
  const ending = new Ending();
  const front = new Front(config, io, ending);
  const node = MeshNode.open({
    stateDir: config.instance.stateDir,
    interface: config.instance.interface,
    name: config.name,
    listen: config.listen,
    join: config.join,
    token,
    tun: config.tun,
    open: config.open,
    previousState: config.previousState,
    dataplane: config.dataplane,
    onEvent: (event) => front.hear(event),
    onNews: noteNews,
    onDefect: ending.defect,
  });
  let server: ControlServer | undefined;
  const status = (): Document => {
    const document = node.status();
    return { ...document, refused: { ...document.refused, ...controlCounts(server) } };
  };
  try {
    server = await ControlServer.listen({
      path: config.instance.controlSocket,
      operations: { status: { changes: false, run: status }, ...operations(node, config, ending) },
      credentialsOf: peerCredentials,
      descriptors: { left: descriptorsLeft, hasInput, duplicate },
      onDefect: ending.defect,
    });
    front.introduce(node);
    const end = await ending.reason;
    if (end.kind === "defect") throw end.error;
    node.leave();
    return Exit.done;
  } finally {
    node.close();
    await server?.close();
  }
}

/** What a person at the terminal is told: who we are, and the one line for the next machine. */
class Front {
  #node: MeshNode | undefined;
  #hasJoined = false;
  /** The seed that shows our request, once one does. */
  #askedAt: string | undefined;
  /** Seeds that did not let us in, before the first one did. */
  readonly #failed = new Map<string, string>();

  constructor(
    private readonly config: NodeConfig,
    private readonly io: Io,
    private readonly ending: Ending,
  ) {}

  hear(event: NodeEvent): void {
    // A first join that fails ends the program with the same words, once.
    const isLastWord = event.kind === "joinFailed" && this.#node?.isFirstStart !== false &&
      !this.#hasJoined;
    if (!isLastWord) noteEvent(event);
    switch (event.kind) {
      case "joined":
        this.#hasJoined = true;
        this.#greet();
        break;
      case "joinPending":
        if (this.#askedAt !== undefined) break;
        this.#askedAt = event.seed;
        this.#ask(event.seed);
        break;
      case "joinFailed":
        this.#failed.set(event.seed, event.why);
        this.#giveUp();
    }
  }

  /** Called once the control socket answers: from then on everything that is printed is true. */
  introduce(node: MeshNode): void {
    this.#node = node;
    if (this.#hasJoined) this.#greet();
    else if (this.#askedAt !== undefined) this.#ask(this.#askedAt);
    else this.#giveUp();
  }

  /** A member waits for its mesh for ever; somebody's first join should end with a reason. */
  #giveUp(): void {
    const node = this.#node;
    if (node === undefined || !node.isFirstStart) return;
    if (this.#hasJoined || this.#askedAt !== undefined) return;
    const { seeds } = node;
    const reasons = seeds.map((seed) => this.#failed.get(seed));
    if (seeds.length > 0 && reasons.every((why) => why !== undefined)) {
      this.ending.defect(new Failure(Exit.failed, reasons.join("\n")));
    }
  }

  /** By the key: a name can be anybody's, and only the key is known to admins that were not asked. */
  #ask(seed: string): void {
    const node = this.#node;
    if (node === undefined) return;
    const { name, key } = node.status().self;
    this.io.out(`${printable(seed)} shows our request; on any admin node of the mesh, run:`);
    this.io.out(`${programName(this.io, "approve")} --name ${name} ${key}`);
  }

  #greet(): void {
    const node = this.#node;
    if (node === undefined) return;
    const { self, mesh } = node.status();
    const addresses = [self.ip4, self.ip6].filter((ip) => ip !== "").join(", ");
    this.io.out(`${self.name} is ${addresses} in mesh ${mesh.key.slice(0, 16)}`);
    if (!node.isFounder) return;
    if (!node.isFirstStart) {
      this.io.out(
        `another machine joins with the line that  ${programName(this.io, "invite")}  prints`,
      );
      return;
    }
    try {
      const { token } = node.invite({
        ...FIRST_INVITE,
        seeds: advertised(this.config, node),
      });
      this.io.out("on the next machine (one machine, within 24 hours), run:");
      this.io.out(joinLine(this.io, token));
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.io.err(printable(inWordsOf(this.io, error.message)));
    }
  }
}

/** Clients of the control socket that a limit cut off. */
function controlCounts(server: ControlServer | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(server?.refused ?? {}).map(([limit, count]) => [`control_${limit}`, count]),
  );
}

function operations(
  node: MeshNode,
  config: NodeConfig,
  ending: Ending,
): Readonly<Record<string, Operation>> {
  return {
    ping: { changes: false, run: (request, report, signal) => ping(node, request, report, signal) },
    invite: {
      changes: true,
      run: (request) => {
        const { token, seeds, expires, uses } = node.invite({
          seeds: advertised(config, node),
          ...given(request, "uses", "uses", numberOf),
          ...given(request, "expires_s", "expiresInS", numberOf),
          ...given(request, "member_days", "memberDays", numberOf),
          ...given(request, "groups", "groups", textsOf),
          ...given(request, "flags", "flags", textsOf),
          ...given(request, "seeds", "seeds", textsOf),
        });
        return { token, seeds, expires: new Date(expires * 1000).toISOString(), uses };
      },
    },
    approve: {
      changes: true,
      run: (request) => {
        return who(node.approve(textOf(request, "who"), {
          ...given(request, "name", "name", textOf),
          ...given(request, "groups", "groups", textsOf),
        }));
      },
    },
    trust: {
      changes: true,
      run: (request) => who(node.trust(textOf(request, "key"), textOf(request, "name"))),
    },
    revoke: {
      changes: true,
      run: (request) => who(node.revoke(textOf(request, "who"))),
    },
    down: {
      changes: true,
      run: () => {
        const { name } = node.status().self;
        // After the answer has been written: the end closes this very socket.
        setTimeout(() => ending.ask("down"), 0);
        return { name };
      },
    },
  };
}

/** The document `shoal ping --json`, with a report for each answer. */
async function ping(
  node: MeshNode,
  request: Request,
  report: (event: Document) => void,
  signal: AbortSignal,
): Promise<Document> {
  const peer = textOf(request, "peer");
  const count = numberOf(request, "count");
  const timeout = numberOf(request, "timeout_ms");
  const rtts: number[] = [];
  let sent = 0;
  let key = "";
  let name = peer;
  for (; sent < count && !signal.aborted; sent++) {
    if (sent > 0) await sleep(PING_PACE_MS);
    const { who, answer } = await node.ping(peer, timeout);
    ({ id: key, name } = who);
    if (answer !== undefined) rtts.push(answer.rttMs);
    report({
      peer: name,
      ip4: peerOf(node, key)?.ip4 ?? "",
      path: answer === undefined ? "none" : "direct",
      endpoint: answer?.endpoint ?? null,
      rtt_ms: answer === undefined ? null : toMicroseconds(answer.rttMs),
      timeout_ms: timeout,
    });
  }
  rtts.sort((a, b) => a - b);
  return {
    peer: name,
    sent,
    received: rtts.length,
    rtt_ms: rtts.length === 0 ? null : {
      min: quantile(rtts, 0),
      p50: quantile(rtts, 0.5),
      p99: quantile(rtts, 0.99),
      max: quantile(rtts, 1),
    },
    path: peerOf(node, key)?.path ?? "none",
  };
}

/** By its key: a name can be anybody's. */
function peerOf(node: MeshNode, key: string) {
  return node.status().peers.find((peer) => peer.key === key);
}

/** The nearest rank of sorted values. */
function quantile(sorted: readonly number[], q: number): number {
  const rank = Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1));
  return toMicroseconds(sorted[rank] ?? NaN);
}

/** Milliseconds with the digits that mean something. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

function advertised({ advertise }: NodeConfig, node: MeshNode): readonly string[] {
  return advertise === undefined ? [] : [formatSeed({ host: advertise, port: node.info.port })];
}

function who({ id, name }: { readonly id: string; readonly name: string }): Document {
  return { name, key: id };
}

/** A field under the name that the node has for it, unless it was left out. */
function given<K extends string, T>(
  request: Request,
  field: string,
  name: K,
  read: (request: Request, field: string) => T,
): Partial<Record<K, T>> {
  return request[field] === undefined ? {} : { [name]: read(request, field) } as Record<K, T>;
}

function textOf(request: Request, field: string): string {
  const value = request[field];
  if (typeof value === "string" && value !== "") return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is missing`);
}

function numberOf(request: Request, field: string): number {
  const value = request[field];
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is not a number above 0`);
}

function textsOf(request: Request, field: string): readonly string[] {
  const value = request[field];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is not a list of names`);
}
