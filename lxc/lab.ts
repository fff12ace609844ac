/**
 * A laboratory: hosts and the wires between them, out of network namespaces of this machine. Works as root and as
 * an ordinary user, changes nothing outside itself and is gone when its program ends, however that ends (see
 * `keeper.ts`).
 *
 * ```ts
 * await using lab = await Lab.open();
 * const [a, b] = [await lab.host("a"), await lab.host("b")];
 * await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
 * await a.run(["ping", "-c", "1", "10.0.0.2"]);
 * ```
 *
 * All hosts share the file system but for `/run`; programs that keep state elsewhere must be given separate folders.
 */

import { Containers } from "./container.ts";
import { Host } from "./host.ts";
import { Keeper } from "./keeper.ts";
import { Bridge, type End, type EndOptions, link } from "./link.ts";

// A namespace costs the kernel about a megabyte; a laboratory that asks for more than this has a loop gone wrong.
const MAX_HOSTS = 256;

export class Lab implements AsyncDisposable {
  readonly #keeper: Keeper;
  readonly #hosts = new Map<string, Host>();
  readonly #containers: Containers;

  private constructor(keeper: Keeper) {
    this.#keeper = keeper;
    this.#containers = new Containers(keeper);
  }

  /** Makes an empty laboratory. Throws `NoLab` when this machine or this user cannot have one. */
  static async open(): Promise<Lab> {
    return new Lab(await Keeper.open());
  }

  /** Makes a host, with nothing but its loopback. Throws when the name is taken or there are too many. */
  host(name: string): Promise<Host> {
    return this.#add(name, () => Host.make(this.#keeper, name));
  }

  /** The same as an LXC container. Throws `NoLab`, too, where there is no LXC. */
  container(name: string): Promise<Host> {
    return this.#add(name, () => this.#containers.make(name));
  }

  async #add(name: string, make: () => Promise<Host>): Promise<Host> {
    if (this.#hosts.has(name)) throw new TypeError(`host name '${name}': taken in this laboratory`);
    if (this.#hosts.size >= MAX_HOSTS) throw new RangeError(`more than ${MAX_HOSTS} hosts`);
    const host = await make();
    this.#hosts.set(name, host);
    return host;
  }

  /** Makes a wire between two hosts, up and addressed. */
  link(
    a: Host,
    b: Host,
    options: { readonly a?: EndOptions; readonly b?: EndOptions } = {},
  ): Promise<[End, End]> {
    return link(this.#keeper, a, b, options);
  }

  /** Makes a wire for many hosts; the name is that of the host it is made of. */
  async bridge(name: string): Promise<Bridge> {
    return Bridge.make(this.#keeper, await this.host(name));
  }

  /** Ends every program inside and removes everything; returns when it is gone. */
  async close(): Promise<void> {
    await this.#keeper.close();
    await Promise.all([...this.#hosts.values()].map((host) => host.ended()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
