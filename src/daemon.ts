/** `shoal node`: a mesh node in the foreground, with its control socket and what it prints. */
import { dirname } from "node:path";
import {
  descriptorsLeft,
  duplicate,
  forbidCoreDumps,
  groupId,
  hasInput,
  peerCredentials,
} from "../ffi/libc.ts";
import type { NodeEvent } from "../mesh/event.ts";
import { type Io, joinLine, joinLineAt, programName } from "./cli/command.ts";
import { inWordsOf, type Meant, meantAs } from "./cli/typed.ts";
import type { Instance } from "./instance.ts";
import type { NodeConfig } from "./config.ts";
import { ControlServer, type Document } from "./control.ts";
import { Ending } from "./ending.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { FirstJoin } from "./first_join.ts";
import { noteEvent, noteNews } from "./journal.ts";
import { configureLog } from "./log.ts";
import { MeshNode } from "./node.ts";
import { reachOf } from "./reach.ts";
import { advertised, operations } from "./operations.ts";
import { ServiceManager } from "./service/manager.ts";
import { shortMeshId } from "./status.ts";
import type { SocketGroup } from "./unix_socket.ts";
import { printable } from "./words.ts";

/** What the line that the founder prints is good for; `shoal invite` makes others. */
const FIRST_INVITE = { uses: 1, expiresInS: 86_400 } as const;

/** @throws {Failure} when the node cannot be had, or its first join is refused or unanswered */
export async function runDaemon(
  config: NodeConfig,
  token: string | undefined,
  io: Io,
): Promise<ExitCode> {
  let opened: MeshNode | undefined;
  const meant = meantAs(config.instance, () => opened?.status().self.admin ?? false);
  configureLog({ level: config.logLevel, words: (line) => inWordsOf(io, line, meant) });
  forbidCoreDumps();
  const group = config.controlGroup === undefined ? undefined : groupOf(config.controlGroup);
  const ending = new Ending();
  const manager = ServiceManager.find(io.env);
  const front = new Front(config, io, meant, ending, manager !== undefined);
  const node = opened = MeshNode.open({
    stateDir: config.instance.stateDir,
    // The folder that --state names is beside whatever a person has there.
    statesDir: isOfUsualPlace(config.instance) ? dirname(config.instance.stateDir) : undefined,
    interface: config.instance.interface,
    name: config.name,
    meshName: config.meshName,
    pool: config.pool,
    listen: config.listen,
    join: config.join,
    token,
    tun: config.tun,
    dns: config.dns,
    open: config.open,
    previousState: config.previousState,
    suite: config.suite,
    dataplane: config.dataplane,
    onEvent: (event) => {
      front.hear(event);
      manager?.hear(event);
    },
    onNews: noteNews,
    onDefect: ending.defect,
    heartbeat: manager?.heartbeat,
  });
  let server: ControlServer | undefined;
  const status = (): Document => {
    const document = node.status();
    return { ...document, refused: { ...document.refused, ...controlCounts(server) } };
  };
  try {
    server = await ControlServer.listen({
      path: config.instance.controlSocket,
      group,
      operations: { status: { changes: false, run: status }, ...operations(node, config, ending) },
      credentialsOf: peerCredentials,
      descriptors: { left: descriptorsLeft, hasInput, duplicate },
      onDefect: ending.defect,
      makesFolder: isOfUsualPlace(config.instance),
      onNews: noteNews,
    });
    front.introduce(node);
    manager?.serving();
    const end = await ending.reason;
    if (end.kind === "defect") throw end.error;
    manager?.stopping();
    node.leave();
    return Exit.done;
  } finally {
    node.close();
    await server?.close();
  }
}

/** Whether a node has the state folder of its interface or service, and not one that --state names. */
function isOfUsualPlace({ stateDir, controlSocket }: Instance): boolean {
  return dirname(controlSocket) !== stateDir;
}

/** @throws {Failure} usage (2) when there is no such group */
function groupOf(name: string): SocketGroup {
  const gid = /^\d{1,9}$/.test(name) ? Number(name) : groupId(name);
  if (gid !== undefined) return { name, gid };
  const what =
    `--control-group '${name}': this machine has no group of that name: groupadd makes one`;
  throw new Failure(Exit.usage, what);
}

/** What a person at the terminal is told: who we are, and the one line for the next machine. */
class Front {
  #node: MeshNode | undefined;
  readonly #join = new FirstJoin();

  constructor(
    private readonly config: NodeConfig,
    private readonly io: Io,
    private readonly meant: Meant,
    private readonly ending: Ending,
    /** A service manager waits, and nobody at a terminal: at the start of a machine the network may not be there yet. */
    private readonly isPatient: boolean,
  ) {}

  hear(event: NodeEvent): void {
    // A first join that fails ends the program with the same words, once.
    const isLastWord = event.kind === "joinFailed" && !event.isOfClock && !this.isPatient &&
      this.#node?.isFirstStart !== false &&
      !this.#join.hasJoined;
    if (!isLastWord) noteEvent(event);
    const wasAsked = this.#join.askedAt !== undefined;
    this.#join.hear(event);
    if (event.kind === "joined") this.#greet();
    if (event.kind === "joinPending" && !wasAsked) this.#ask(event.seed);
    if (event.kind === "joinFailed") {
      if (isLastWord) this.#sayWhoIsLeft(event.why);
      this.#giveUp();
    }
  }

  /** One seed has refused or was silent, and another may still let us in: the wait has a reason. */
  #sayWhoIsLeft(why: string): void {
    const left = this.#node ? this.#join.stillAsked(this.#node) : [];
    if (left.length === 0) return;
    const words = printable(inWordsOf(this.io, why, this.meant));
    this.io.err(`${words}; still asking ${left.map(printable).join(", ")}`);
  }

  /** Called once the control socket answers: from then on everything that is printed is true. */
  introduce(node: MeshNode): void {
    this.#node = node;
    if (this.#join.hasJoined) this.#greet();
    else if (this.#join.askedAt !== undefined) this.#ask(this.#join.askedAt);
    else {
      this.#sayWhoApproves();
      this.#sayWhomWeAsk();
      // Who has answered before the control socket was there.
      if (!this.isPatient) { for (const why of this.#join.reasons) this.#sayWhoIsLeft(why); }
      this.#giveUp();
    }
  }

  /** A first join may take ten seconds in which nothing else is to be said. */
  #sayWhomWeAsk(): void {
    const { isFirstStart = false, seeds = [] } = this.#node ?? {};
    if (!isFirstStart || seeds.length === 0) return;
    const whom = `asking ${seeds.map(printable).join(", ")} to let this machine in`;
    if (this.isPatient) this.io.out(whom); // The log takes what is said on standard error for a fault.
    else this.io.err(`${whom}, for ten seconds at most`);
  }

  #giveUp(): void {
    if (this.isPatient) return;
    const failure = this.#node && this.#join.failure(this.#node);
    if (failure) this.ending.defect(failure);
  }

  /** By the key: a name can be anybody's, and only the key is known to admins that were not asked. */
  #ask(seed: string): void {
    const node = this.#node;
    if (node === undefined) return;
    this.io.out(`${printable(seed)} shows our request; on any admin node of the mesh, run:`);
    this.#sayApproval(node);
  }

  /** A machine with a new key knows its mesh, and waits for a person, also where no door is open that would show its request. */
  #sayWhoApproves(): void {
    const node = this.#node;
    if (node === undefined || node.isFirstStart) return;
    const { self, mesh } = node.status();
    if (mesh.id === "" || mesh.state !== "joining" || self.standing !== "none") return;
    this.io.out(`${self.name} waits to be approved; on any admin node of the mesh, run:`);
    this.#sayApproval(node);
  }

  #sayApproval(node: MeshNode): void {
    const { name, key } = node.status().self;
    this.io.out(`${programName(this.io, "approve")} --name ${name} ${key}`);
  }

  /** A command as the person types it who has to ask this node. */
  #typed(command: string): string {
    const typed = `${programName(this.io, command)}${this.meant.asking}`;
    return this.io.isRecorded ? `sudo ${typed}` : typed;
  }

  #greet(): void {
    const node = this.#node;
    if (node === undefined) return;
    const { self, mesh } = node.status();
    const addresses = [self.ip4, self.ip6].filter((ip) => ip !== "").join(", ");
    this.io.out(`${self.name} is ${addresses} in mesh ${shortMeshId(mesh.id)} (${mesh.name})`);
    if (node.isFirstStart && isInPlaceOf(self.name, node.wantedName)) {
      this.io.out(
        `another has the name ${node.wantedName}, so this one is ${self.name}; for any other name, on an admin:  ` +
          `${programName(this.io, "approve")} --name NAME ${self.key}`,
      );
    }
    if (!node.hasMeshKey) return;
    if (!node.isFirstStart) {
      this.io.out(`another machine joins with the line that  ${this.#typed("invite")}  prints`);
      return;
    }
    if (this.io.isRecorded) {
      // A token lets its holder in, and this line is kept where others read it.
      this.io.out(
        `a new mesh; the next machine joins with the line that  ${this.#typed("invite")}  prints`,
      );
      this.io.out(`write down the recovery words of the mesh: ${this.#typed("mesh-key words")}`);
      return;
    }
    try {
      const { token, seeds } = node.invite({
        ...FIRST_INVITE,
        seeds: advertised(this.config, node),
      });
      this.io.out("on the next machine (one machine, within 24 hours), run:");
      this.io.out(joinLine(this.io, token));
      // In brackets, as in IPv6, it would need quotes in some shells.
      const seed = seeds.find((one) => !one.startsWith("["));
      if (seed !== undefined) {
        const line = joinLineAt(this.io, seed, token);
        this.io.out(
          `where that machine needs another address than ${seed}, put it in place of this one:  ${line}`,
        );
      }
      const warning = reachOf(seeds);
      if (warning !== "") this.io.err(warning);
      if (!node.isAtUsualPort) {
        this.io.err(
          `this line names UDP port ${node.info.port}, which this node gives up for its usual one as soon as that is free: ` +
            `print another line then (${this.#typed("invite")}), or choose a port by --listen`,
        );
      }
      this.io.out(
        `write down the recovery words of the mesh: ${this.#typed("mesh-key words")}`,
      );
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.io.err(printable(inWordsOf(this.io, error.message, this.meant)));
    }
  }
}

/** Clients of the control socket that a limit cut off. */
function controlCounts(server: ControlServer | undefined): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(server?.refused ?? {}).map(([limit, count]) => [`control_${limit}`, count]),
  );
}

/** Characters to which a name is cut at most, with 32 digits behind it. */
const SHORTENED = 29;

/** Whether a name is one that is given where somebody else has the wanted one: by the key, or the next that is free. */
function isInPlaceOf(name: string, wanted: string): boolean {
  const [, begin = "", tail] = /^(.*)-([0-9a-f]{32}|[0-9]{1,3})$/.exec(name) ?? [];
  // A long name is cut where something is put behind it.
  return tail !== undefined && wanted.startsWith(begin) &&
    begin.length >= Math.min(wanted.length, SHORTENED);
}
