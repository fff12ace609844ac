/**
 * An embedded mesh node inside another Deno program. It is the node of `shoal node`, without
 * terminal and control socket:
 *
 * ```ts
 * import { Node } from "./mod.ts";
 *
 * const token = Deno.env.get("TOKEN");
 * await using node = Node.open({ state: "./state", name: "worker-7", join: ["203.0.113.9:51820"], token });
 * await node.joined;
 * for await (const event of node.events()) console.log(event.kind);
 * ```
 *
 * It needs `--allow-ffi --allow-read --allow-write --allow-net --allow-env --allow-sys`, and for an
 * interface of its own CAP_NET_ADMIN; with `tun: false` it takes part in the mesh without one.
 */
import type { Invitation } from "./mesh/admin/invite.ts";
import type { NodeEvent, Who } from "./mesh/event.ts";
import { nodeConfig } from "./src/config.ts";
import { Exit, Failure } from "./src/exit.ts";
import { FirstJoin } from "./src/first_join.ts";
import { noteNews } from "./src/journal.ts";
import { type InviteWish, MeshNode, type Pong } from "./src/node.ts";
import type { StatusDocument } from "./src/status.ts";
import { printable } from "./src/words.ts";

export type { Invitation, InviteWish, NodeEvent, Pong, StatusDocument, Who };
export { Failure };

export interface NodeOptions {
  /** The folder that remembers who this node is; made when absent, 0700. */
  readonly state: string;
  /** A DNS label; the host name when absent. */
  readonly name?: string;
  /** `HOST:PORT` of members to ask; none and no token: the first start founds a mesh. */
  readonly join?: readonly string[];
  /** An invite, as `shoal invite` prints it. */
  readonly token?: string | undefined;
  /** UDP port; the last one, the usual one or any free one when absent. */
  readonly listen?: number;
  /** Name of the interface to make; shoal0 when absent. */
  readonly interface?: string;
  /** False: no interface, discovery only. */
  readonly tun?: boolean;
  /** Goes on from the state as it was written before the last time: for once, when it is damaged. */
  readonly previousState?: boolean;
}

/** Of the same names as {@link NodeOptions}, which the compiler sees to. */
const KNOWN: Readonly<Record<keyof NodeOptions, true>> = {
  state: true,
  name: true,
  join: true,
  token: true,
  listen: true,
  interface: true,
  tun: true,
  previousState: true,
};

/**
 * A program without types, or one that spreads an object, is not held to them: a slip would leave an option out.
 * @throws {Failure} usage (2)
 */
function refuseUnknown(options: object): void {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(KNOWN, name));
  if (unknown.length === 0) return;
  throw new Failure(
    Exit.usage,
    `Node.open: there is no option ${unknown.map(printable).join(" and ")}: there are ${
      Object.keys(KNOWN).join(", ")
    }`,
  );
}

/** Events that nobody has read yet; the oldest is left out, and counted, beyond this. */
const EVENTS_MAX = 1024;

export class Node implements AsyncDisposable {
  /** Events left out because nobody read them. */
  eventsLost = 0;
  /**
   * Fulfilled as soon as this node is a member of its mesh; at once where it was one before, or founds one.
   * @throws {Failure} where no seed lets a first join in (it goes on trying), or the node is closed before
   */
  readonly joined: Promise<void>;

  readonly #node: MeshNode;
  readonly #unread: NodeEvent[] = [];
  readonly #join = new FirstJoin();
  readonly #whenJoined = Promise.withResolvers<void>();
  #wake = Promise.withResolvers<void>();
  #defect: { readonly error: unknown } | undefined;
  #isClosed = false;

  /** @throws {Failure} with one sentence about what is wrong and what to do; nothing is left behind */
  static open(options: NodeOptions): Node {
    return new Node(options);
  }

  private constructor(options: NodeOptions) {
    refuseUnknown(options);
    const flags = {
      state: options.state,
      ...(options.name === undefined ? {} : { name: options.name }),
      ...(options.interface === undefined ? {} : { interface: options.interface }),
      ...(options.listen === undefined ? {} : { listen: String(options.listen) }),
      join: options.join ?? [],
      "previous-state": options.previousState ?? false,
    };
    const config = nodeConfig(flags, () => undefined);
    this.joined = this.#whenJoined.promise;
    this.joined.catch(() => {}); // Whoever does not wait for it has the events.
    this.#node = MeshNode.open({
      ...config,
      stateDir: config.instance.stateDir,
      interface: config.instance.interface,
      token: options.token,
      tun: options.tun ?? true,
      onEvent: (event) => this.#take(event),
      // For whoever configures LogTape for the category "shoal"; without that nothing is written.
      onNews: noteNews,
      onDefect: (error) => this.#fail(error),
    });
  }

  /**
   * What happens, from the first event that nobody has read on. Ends when the node is closed.
   * @throws what broke the node, if something did
   */
  async *events(): AsyncGenerator<NodeEvent, void, void> {
    while (true) {
      const event = this.#unread.shift();
      if (event !== undefined) yield event;
      else if (this.#defect !== undefined) throw this.#defect.error;
      else if (this.#isClosed) return;
      else await this.#wake.promise;
    }
  }

  status(): StatusDocument {
    return this.#node.status();
  }

  /** @throws {Failure} when this node may not invite */
  invite(options: InviteWish = {}): Invitation {
    return this.#node.invite(options);
  }

  /** @param who name or key of a member @throws {Failure} when nobody is called so */
  // deno-lint-ignore require-await -- what is wrong with the arguments rejects, too
  async ping(who: string, timeoutMs = 2000): Promise<Pong> {
    return this.#node.ping(who, timeoutMs);
  }

  /**
   * Says good-bye to the mesh, of which it stays a member, and gives everything back, which is done when it is
   * fulfilled. A second call does nothing. @throws what went wrong with the good-bye; everything is given back nevertheless
   */
  // deno-lint-ignore require-await -- a good-bye that fails rejects
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    try {
      this.#node.leave();
    } finally {
      this.#whenJoined.reject(new Failure(Exit.failed, "the node was closed before it had joined"));
      this.#ring();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(event: NodeEvent): void {
    this.#join.hear(event);
    if (this.#join.hasJoined) this.#whenJoined.resolve();
    // The first events come while the node is made.
    const failure = event.kind === "joinFailed" && this.#node && this.#join.failure(this.#node);
    if (failure) {
      const reasons = [failure.message, ...failure.below].join("\n");
      this.#whenJoined.reject(new Failure(failure.code, reasons));
    }
    this.#unread.push(event);
    if (this.#unread.length > EVENTS_MAX) {
      this.#unread.shift();
      this.eventsLost++;
    }
    this.#ring();
  }

  /** What broke is told to whoever reads the events; the data plane stops at once. */
  #fail(error: unknown): void {
    this.#defect ??= { error };
    this.#isClosed = true;
    this.#node.close();
    this.#whenJoined.reject(error);
    this.#ring();
  }

  #ring(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
