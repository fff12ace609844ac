/**
 * The control socket: newline-delimited JSON over a Unix socket, version 1.
 *
 * A client writes one request line `{"v":1,"command":"status",...}` and reads reply lines. A line with
 * an `event` field reports progress; the first line without one ends the answer: either the document
 * itself or `{"v":1,"error":"...","exit":N}`. A connection may carry several requests, one at a time.
 *
 * Who may ask is the kernel's word, not the client's: the socket is 0660, so strangers cannot open
 * it; whoever can open it may read; only the owner of the process and root may change anything.
 */
import * as fs from "node:fs";
import * as net from "node:net";
import { dirname } from "node:path";
import { codeOf } from "./errno.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { type Descriptors, Listener } from "./listener.ts";
import { untilLook } from "./look.ts";
import { type Check, isObject } from "./shape.ts";
import { descriptorOf, type SocketGroup } from "./unix_socket.ts";
import { printable } from "./words.ts";

const CONTROL_VERSION = 1;

/** Beyond these a client is cut off and counted; a person's commands come nowhere near them. */
const CLIENTS_MAX = 64;
/** Beside those for who may change something. */
const CLIENTS_KEPT = 8;
/**
 * Descriptors that clients leave to the rest of the node: writing its state, asking for names and
 * addresses. Fewer left means that there is no room for another client, but for so few that a
 * person still gets an answer.
 */
const DESCRIPTORS_KEPT = 16;
const CLIENTS_MIN = 4;
/** Who comes asks at once: after this long without a request a client makes room for the next. */
const SILENT_MS = 250;
const LINE_MAX = 64 * 1024;
const UNREAD_MAX = 1024 * 1024;
const IDLE_MS = 30_000;
/** Milliseconds of answers, of all clients together, before the rest of the program has its turn. */
const TURN_MS = 4;
/** How long one that is turned away may take to read why; as many as are served may do so at once. */
const TURNED_AWAY_MS = 1_000;

/** Milliseconds before a client asks again of whom so many wait that the kernel's queue is full. */
const CONNECT_AGAIN_MS = 50;

/** Silence after which a client takes the node for stopped: every answer begins far earlier. */
export const SILENCE_MS = 10_000;

export interface Request {
  readonly command: string;
  readonly [argument: string]: unknown;
}

export type Document = Readonly<Record<string, unknown>>;

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
}

/** One command that the socket answers. */
export interface Operation {
  /** False: whoever can open the socket may ask. True: the owner and root only. */
  readonly changes: boolean;
  /**
   * Answers with the document. A `Failure` becomes an error line with its exit code.
   * @param signal aborted when the client hangs up or the server closes
   */
  run(
    request: Request,
    report: (event: Document) => void,
    signal: AbortSignal,
  ): Promise<Document> | Document;
}

interface ControlOptions {
  readonly path: string;
  /** Who else may read; undefined: the group of the process. */
  readonly group?: SocketGroup | undefined;
  readonly operations: Readonly<Record<string, Operation>>;
  /** SO_PEERCRED of a connected socket. */
  readonly credentialsOf: (fd: number) => Credentials;
  readonly descriptors: Descriptors;
  /** Told of an error that is no Failure, which the client was told, too. */
  readonly onDefect: (error: unknown) => void;
  /**
   * Whether the folder of the socket is made again, too, where somebody removed it. False for a state
   * folder, which its owner makes again with all that it held.
   */
  readonly makesFolder?: boolean;
  readonly onNews?: (news: ControlNews) => void;
}

/** What became of a socket that somebody removed. */
export type ControlNews =
  /** It is there again. */
  | { readonly kind: "controlRemoved"; readonly path: string }
  /** It cannot be made again; told once, and tried until it can. */
  | { readonly kind: "controlLost"; readonly path: string; readonly reason: string };

/** One that is served. */
interface Guest {
  /** A whole request line has come. */
  hasAsked: boolean;
  /** When something came last, in ms of performance.now(). */
  heardAt: number;
}

export class ControlServer {
  readonly #cutOffs = { clients: 0, line: 0, unread: 0, idle: 0, silent: 0 };

  readonly #clients = new Map<net.Socket, Guest>();
  readonly #turnedAway = new Set<net.Socket>();
  #listener: Listener | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;
  /** The socket is gone, cannot be made again, and that was told. */
  #isLost = false;
  /** Until when requests are answered one after the other, in ms of performance.now(). */
  #turnEnds = -Infinity;

  private constructor(private readonly options: ControlOptions) {}

  /**
   * Clients cut off because a limit above was reached, by reason; `socket` counts how often the
   * run time lost the socket itself (listener.ts).
   */
  get refused(): Readonly<
    Record<"clients" | "line" | "unread" | "idle" | "silent" | "socket", number>
  > {
    return { ...this.#cutOffs, socket: this.#listener?.lost ?? 0 };
  }

  /** @throws {Failure} when another process answers on the path, or the path cannot be used. */
  static async listen(options: ControlOptions): Promise<ControlServer> {
    const server = new ControlServer(options);
    server.#listener = await server.#listen();
    server.#lookLater();
    return server;
  }

  #listen(): Promise<Listener> {
    const { path, group, descriptors } = this.options;
    const elsewhere = "another --interface or --state";
    return Listener.open({
      place: { path, mode: 0o660, group, program: "node", elsewhere },
      descriptors,
      onClient: (client) => this.#welcome(client),
    });
  }

  #lookLater(): void {
    this.#timer = setTimeout(() => void this.#look(), untilLook(performance.now()));
  }

  /** Without its socket no command reaches a node: where somebody has removed it, it is made again. */
  async #look(): Promise<void> {
    const { path, makesFolder = false, onNews } = this.options;
    const lost = this.#listener;
    if (lost && !lost.isThere && (makesFolder || fs.existsSync(dirname(path)))) {
      try {
        const listener = await this.#listen();
        this.#listener = listener;
        void lost.close(); // It ends when the last of its clients has gone.
        if (this.#isClosed) return void await listener.close();
        this.#isLost = false;
        onNews?.({ kind: "controlRemoved", path });
      } catch (error) {
        if (!(error instanceof Failure)) this.options.onDefect(error);
        else if (!this.#isLost) onNews?.({ kind: "controlLost", path, reason: error.message });
        this.#isLost = true;
      }
    }
    if (!this.#isClosed) this.#lookLater();
  }

  /** Removes the socket, then hangs up on everybody: who waited for that can start the next node. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const closed = this.#listener?.close();
    for (const client of [...this.#clients.keys(), ...this.#turnedAway]) client.destroy();
    await closed;
  }

  #welcome(client: net.Socket): void {
    let peer: Credentials;
    try {
      peer = this.options.credentialsOf(descriptorOf(client));
    } catch {
      client.destroy(); // Gone before it could be asked who it was.
      return;
    }
    const left = this.options.descriptors.left();
    // Who may only look must not keep those who may change from it.
    const most = mayChange(peer) ? CLIENTS_MAX + CLIENTS_KEPT : CLIENTS_MAX;
    const hasRoom = this.#clients.size < most &&
      (left >= DESCRIPTORS_KEPT || this.#clients.size < CLIENTS_MIN);
    if (!hasRoom && !this.#makeRoom()) {
      this.#cutOffs.clients++;
      this.#turnAway(client, left);
      return;
    }
    const guest: Guest = { hasAsked: false, heardAt: performance.now() };
    this.#clients.set(client, guest);
    const gone = new AbortController();
    let text = "";
    let isAnswering = false;
    const answerAll = async () => {
      if (isAnswering) return;
      isAnswering = true;
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        if (line.length > LINE_MAX) return this.#cutOff(client);
        guest.hasAsked = true;
        client.pause(); // One request at a time: the next is read when this one is answered.
        await this.#answer(line, peer, client, gone.signal);
        // A client full of requests must not keep the node from its mesh, nor one that has gone.
        await this.#giveWay();
        if (client.destroyed) return;
      }
      isAnswering = false;
      if (text.length > LINE_MAX) return this.#cutOff(client);
      client.resume();
    };
    client.setEncoding("utf8");
    client.setTimeout(IDLE_MS, () => {
      this.#cutOffs.idle++;
      client.destroy();
    });
    client.on("error", () => client.destroy());
    client.on("close", () => {
      this.#clients.delete(client);
      gone.abort();
    });
    client.on("data", (chunk: string) => {
      guest.heardAt = performance.now();
      text += chunk;
      void answerAll();
    });
  }

  /** The rest of the program has its turn where it is due; by a timer: see driver.ts. */
  async #giveWay(): Promise<void> {
    if (performance.now() < this.#turnEnds) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    const now = performance.now();
    if (now >= this.#turnEnds) this.#turnEnds = now + TURN_MS;
  }

  /** Hangs up on the client that has been silent longest of those that never asked, if there is one. */
  #makeRoom(): boolean {
    let longest: { readonly client: net.Socket; readonly heardAt: number } | undefined;
    for (const [client, { hasAsked, heardAt }] of this.#clients) {
      if (!hasAsked && heardAt < (longest?.heardAt ?? performance.now() - SILENT_MS)) {
        longest = { client, heardAt };
      }
    }
    if (longest === undefined) return false;
    const { client } = longest;
    this.#cutOffs.silent++;
    this.#clients.delete(client);
    this.#write(client, {
      error: "control: others came, and this client had asked nothing: ask again",
      exit: Exit.failed,
    });
    client.destroySoon();
    return true;
  }

  /**
   * What it asks is read and thrown away: a socket closed on unread bytes loses the answer, too. In a
   * crowd, and where few descriptors are left, nobody waits for that.
   */
  #turnAway(client: net.Socket, descriptorsLeft: number): void {
    client.on("error", () => client.destroy());
    this.#write(client, {
      error: `control: ${this.#clients.size} clients are being served, which is all: ` +
        `try again later`,
      exit: Exit.failed,
    });
    if (this.#turnedAway.size >= CLIENTS_MAX || descriptorsLeft < DESCRIPTORS_KEPT / 2) {
      client.destroySoon();
      return;
    }
    this.#turnedAway.add(client);
    const patience = setTimeout(() => client.destroy(), TURNED_AWAY_MS);
    client.on("close", () => {
      clearTimeout(patience);
      this.#turnedAway.delete(client);
    });
    client.resume();
    client.end();
  }

  #cutOff(client: net.Socket): void {
    this.#cutOffs.line++;
    this.#write(client, {
      error: `control: a request line is longer than ${LINE_MAX} bytes`,
      exit: Exit.usage,
    });
    client.removeAllListeners("data");
    client.destroySoon();
  }

  async #answer(
    line: string,
    peer: Credentials,
    client: net.Socket,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const request = parse(line);
      const operation = Object.hasOwn(this.options.operations, request.command)
        ? this.options.operations[request.command]
        : undefined;
      if (operation === undefined) {
        throw new Failure(Exit.usage, `control: there is no command '${request.command}'`);
      }
      if (operation.changes && !mayChange(peer)) {
        throw new Failure(
          Exit.noPermission,
          `user ${peer.uid} may look but not change: ask root (sudo)` +
            (Deno.uid() === 0 ? "" : `, or user ${Deno.uid()}, who runs the node`),
        );
      }
      client.setTimeout(0);
      const report = (event: Document) => this.#write(client, { event });
      this.#write(client, await operation.run(request, report, signal));
    } catch (error) {
      const failure = error instanceof Failure ? error : this.#defect(error);
      this.#write(client, { error: failure.message, exit: failure.code });
    } finally {
      client.setTimeout(IDLE_MS);
    }
  }

  /** Told, and then left to onDefect: a machine that threw half way is not to be trusted. */
  #defect(error: unknown): Failure {
    this.options.onDefect(error);
    return new Failure(Exit.failed, `the node failed at this: ${error}; its log says more`);
  }

  #write(client: net.Socket, document: Document): void {
    if (client.destroyed) return;
    if (client.writableLength > UNREAD_MAX) {
      this.#cutOffs.unread++;
      client.destroy();
      return;
    }
    client.write(JSON.stringify({ v: CONTROL_VERSION, ...document }) + "\n");
  }
}

/** What a client takes for an answer, and how patient it is. */
export interface Asking {
  /** Whether the document has what will be read of it; absent: all that the protocol allows. */
  readonly isAnswer?: Check;
  /** The same of every event. */
  readonly isEvent?: Check;
  readonly onEvent?: (event: Document) => void;
  /** Milliseconds without a byte after which the node counts as stopped; 10 s when absent. */
  readonly silenceMs?: number;
  /** Milliseconds to wait for the node to hang up by itself, after its answer, unless that says that nothing was done. */
  readonly goneWithinMs?: number;
  /** By which the tries to connect are paced and end. */
  readonly clock?: Clock;
}

/** What a client knows of time. */
export interface Clock {
  /** Milliseconds of a clock that is never set. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

const REAL_CLOCK: Clock = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/**
 * Asks the node behind a control socket one thing.
 * @throws {Failure} not running (3), no permission (4), what the node answered, or that it did not
 */
export async function ask(path: string, request: Request, asking: Asking = {}): Promise<Document> {
  const { onEvent = () => {}, silenceMs = SILENCE_MS, goneWithinMs } = asking;
  const { isAnswer = isObject, isEvent = isObject, clock = REAL_CLOCK } = asking;
  const socket = await connectWithin(silenceMs, path, clock);
  const { promise, resolve, reject } = Promise.withResolvers<Document>();
  const gone = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  let text = "";
  let trouble = "";
  const take = (line: string) => {
    const reply = readReply(path, line);
    const { event, error, exit } = reply;
    const need = (check: Check, value: unknown) => {
      if (!check(value)) throw strange(path);
    };
    need(isVersion, reply["v"]);
    if (event !== undefined) {
      need(isEvent, event);
      onEvent(event as Document);
    } else if (error !== undefined) {
      need(isSentence, error);
      throw new Failure(isFailureCode(exit) ? exit : Exit.failed, printable(error as string));
    } else {
      need(isAnswer, reply);
      resolve(reply);
    }
  };
  socket.setEncoding("utf8");
  socket.setTimeout(silenceMs, () => reject(stopped(path)));
  socket.on("data", (chunk: string) => {
    text += chunk;
    try {
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        take(line);
      }
    } catch (error) {
      reject(error);
    }
  });
  socket.on("error", (error) => trouble = ` (${codeOf(error) || error.message})`);
  socket.on("close", () => {
    const what =
      `the node behind ${path} hung up before it answered${trouble}: its log may say why`;
    reject(new Failure(Exit.failed, what));
  });
  socket.write(JSON.stringify({ v: CONTROL_VERSION, ...request }) + "\n");
  try {
    const document = await promise;
    const mayEnd = document["done"] !== false;
    if (goneWithinMs !== undefined && mayEnd) await within(goneWithinMs, gone, path);
    return document;
  } finally {
    socket.destroy();
  }
}

async function within(ms: number, gone: Promise<void>, path: string): Promise<void> {
  const { promise, reject } = Promise.withResolvers<void>();
  const what = `the node behind ${path} has not ended within ${ms / 1000} s: its log may say why`;
  const timer = setTimeout(() => reject(new Failure(Exit.failed, what)), ms);
  try {
    await Promise.race([gone, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function readReply(path: string, line: string): Document {
  try {
    const reply = JSON.parse(line);
    if (typeof reply === "object" && reply !== null) return reply;
  } catch {
    // Said below.
  }
  throw new Failure(Exit.failed, `what answers at ${path} is no node: name one by --state`);
}

const isVersion: Check = (v) => v === CONTROL_VERSION;
const isSentence: Check = (error) => typeof error === "string" && error !== "";

function isFailureCode(exit: unknown): exit is ExitCode {
  return exit !== Exit.done && Object.values<unknown>(Exit).includes(exit);
}

function strange(path: string): Failure {
  const what = `the node behind ${path} answered something else: is it another version?`;
  return new Failure(Exit.failed, what);
}

function stopped(path: string): Failure {
  return new Failure(Exit.failed, `the node behind ${path} does not answer: is it stopped?`);
}

/** The kernel's queue of those who wait to be served is full for a moment when many ask at once. */
async function connectWithin(ms: number, path: string, clock: Clock): Promise<net.Socket> {
  const end = clock.now() + ms;
  for (;;) {
    try {
      return await connect(path);
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") throw unreachable(path, error);
      if (clock.now() >= end) throw busy(path, ms);
      await clock.sleep(CONNECT_AGAIN_MS);
    }
  }
}

/** Those who wait in front of us are served too slowly, or by nobody: from here both look alike. */
function busy(path: string, ms: number): Failure {
  const what =
    `the node behind ${path} is busy: others wait for it, and for ${ms / 1000} s there was no ` +
    "room to wait behind them: try again later; if it goes on, the node is stopped";
  return new Failure(Exit.failed, what);
}

/** @throws what the kernel, or the run time, answers */
function connect(path: string): Promise<net.Socket> {
  return new Promise((resolve, refuse) => {
    try {
      const socket = net.createConnection(path);
      socket.once("connect", () => resolve(socket));
      socket.once("error", refuse);
    } catch (error) { // A path below /dev or /proc, which the run time keeps to itself.
      refuse(error);
    }
  });
}

/** What somebody can do who may not open the socket of a node. */
export function howToRead(socket: string): string {
  const gid = groupOf(socket);
  if (gid === undefined || gid === 0) {
    return "be root, or in the group of the socket, which --control-group of the node sets";
  }
  const name = nameOfGroup(gid);
  return `be root, or in the group of the socket, '${name}' (usermod -aG ${name} USER, then log in anew)`;
}

/** The group that gets to a socket; undefined: none does, or it cannot be told. */
function groupOf(socket: string): number | undefined {
  for (const [path, opens] of [[socket, 0o060], [dirname(socket), 0o010]] as const) {
    try {
      const { gid, mode } = fs.statSync(path);
      return (mode & opens) === opens ? gid : undefined;
    } catch {
      // The folder is closed to this user, and says itself to whom it is not.
    }
  }
  return undefined;
}

function nameOfGroup(gid: number): string {
  try {
    for (const line of fs.readFileSync("/etc/group", "utf8").split("\n")) {
      const [name = "", , number] = line.split(":");
      if (number === String(gid)) return name;
    }
  } catch {
    // Then its number has to do.
  }
  return String(gid);
}

/** Nobody listens at a control socket. */
export class Unreachable extends Failure {
  constructor(path: string) {
    const what = `no node answers at ${path}: start one, or name it by --interface or --state`;
    super(Exit.notRunning, what);
  }
}

function unreachable(path: string, error: unknown): Failure {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM") {
    return new Failure(
      Exit.noPermission,
      `no permission to open ${path}: ${howToRead(path)}`,
    );
  }
  return new Unreachable(path);
}

function parse(line: string): Request {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Failure(Exit.usage, `control: not a line of JSON: ${line.slice(0, 40)}`);
  }
  const request = value as { v?: unknown; command?: unknown } | null;
  if (typeof request !== "object" || request === null || typeof request.command !== "string") {
    throw new Failure(Exit.usage, `control: a request is {"v":1,"command":"..."}`);
  }
  if (request.v !== CONTROL_VERSION) {
    throw new Failure(
      Exit.usage,
      `control: version ${JSON.stringify(request.v)} is not spoken here, ${CONTROL_VERSION} is`,
    );
  }
  return request as Request;
}

/** Root and the node's own user may; whoever else can open the socket may look. */
function mayChange({ uid }: Credentials): boolean {
  return uid === 0 || uid === Deno.uid();
}
