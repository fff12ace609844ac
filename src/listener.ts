/**
 * Somebody listens at a Unix socket for as long as it is open. Deno 2.9 forgets a listening socket for
 * ever, and says nothing, when one accept fails because no descriptor is free: those who connect
 * later wait in the kernel's queue. So the queue is looked at, and where nobody is taken from it, Deno
 * is given the same socket anew, by a second descriptor: who waits there is served then.
 */
import * as fs from "node:fs";
import * as net from "node:net";
import { untilLook } from "./look.ts";
import { descriptorOf, listen, listenAt, type Place } from "./unix_socket.ts";

/** Between two looks at the queue while somebody waits there: a second look without an accept in between tells all. */
const LOOK_AGAIN_MS = 20;

/** What the kernel tells and does that Deno has no name for. */
export interface Descriptors {
  /** How many the process may still open. */
  left(): number;
  /** Whether somebody waits at a listening socket. */
  hasInput(fd: number): boolean;
  /** A second one of the same file. @throws when none is free */
  duplicate(fd: number): number;
}

interface ListenerOptions {
  readonly descriptors: Descriptors;
  readonly onClient: (client: net.Socket) => void;
  /** A client that says all and then listens is not hung up on; false when absent. */
  readonly allowHalfOpen?: boolean;
}

export class Listener {
  /** How often nobody was taken from the queue any more. */
  lost = 0;

  #server: net.Server;
  #accepted = 0;
  /** The count of `#accepted` at a look that found somebody waiting. */
  #waitingSince: number | undefined;
  #isClosed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #inode: number | undefined;

  private constructor(
    private readonly path: string,
    private readonly options: ListenerOptions,
  ) {
    this.#server = this.#create();
  }

  /** @throws {Failure} when another process answers at the place, or it cannot be used */
  static async open(
    { place, ...options }: ListenerOptions & { readonly place: Place },
  ): Promise<Listener> {
    const listener = new Listener(place.path, options);
    await listenAt(listener.#server, place);
    return listener.#begun();
  }

  /**
   * Listens at a socket that somebody else has opened; there may be nothing at the path.
   * @throws when the descriptor is no listening socket
   */
  static async adopt(
    { fd, path, ...options }: ListenerOptions & { readonly fd: number; readonly path: string },
  ): Promise<Listener> {
    const listener = new Listener(path, options);
    await listen(listener.#server, { fd });
    return listener.#begun();
  }

  /** Whether the socket is at its path still, and no other. */
  get isThere(): boolean {
    return this.#inode !== undefined && inodeAt(this.path) === this.#inode;
  }

  /** Takes nobody any more and removes the socket, if it is ours; ends when all clients have gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if (this.isThere) fs.rmSync(this.path, { force: true });
    await closed;
  }

  #begun(): this {
    this.#inode = inodeAt(this.path);
    this.#lookAfter(untilLook(performance.now()));
    return this;
  }

  #create(): net.Server {
    const { allowHalfOpen = false } = this.options;
    return net.createServer({ allowHalfOpen }, (client) => {
      this.#accepted++;
      this.options.onClient(client);
    });
  }

  #lookAfter(ms: number): void {
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#look(), ms);
  }

  async #look(): Promise<void> {
    const isWaiting = this.options.descriptors.hasInput(descriptorOf(this.#server));
    if (isWaiting && this.#waitingSince === this.#accepted) {
      try {
        await this.#beginAnew();
      } catch {
        // No descriptor is free for that either: the next look tries again.
      }
    }
    this.#waitingSince = isWaiting ? this.#accepted : undefined;
    this.#lookAfter(isWaiting ? LOOK_AGAIN_MS : untilLook(performance.now()));
  }

  async #beginAnew(): Promise<void> {
    const next = this.#create();
    await listen(next, { fd: this.options.descriptors.duplicate(descriptorOf(this.#server)) });
    const lost = this.#server;
    this.#server = next;
    this.lost++;
    lost.close();
    if (this.#isClosed) next.close();
  }
}

function inodeAt(path: string): number | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.ino;
}
