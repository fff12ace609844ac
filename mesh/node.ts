/**
 * A mesh node: the composition of all machines, and itself one (machine.ts). Whoever drives it gives
 * it datagrams, edges, time and what a person asks, carries out the effects, and calls {@link
 * Node.poll} when the deadline is due. The same node runs in the simulator and in production.
 *
 * ```
 * create ──▶ snapshot written ──▶ start ──▶ datagram, edge, poll, … ──▶ leave
 * ```
 *
 * The snapshot must be on disk before `start`: it counts the start, and that number must never be
 * used twice (control.ts). Calls give the time first and the outbox last.
 *
 * A node with a mesh has a {@link Mesh}; one that asks for admission without a token has none yet:
 * it only knocks, and answers nobody.
 */
import type { Crypto, SigningKey } from "./crypto.ts";
import type { Decoded } from "./codec.ts";
import { type Endpoint, isReachable, sameEndpoint } from "./endpoint.ts";
import type { Deadline, Now, Outbox, Random } from "./machine.ts";
import { approve, type Invitation, invite, type InviteOptions, revoke, trust } from "./admin.ts";
import { Admission, type Outcome } from "./admission.ts";
import { type Credentials, findCredentials } from "./credentials.ts";
import { kindOf } from "./datagram.ts";
import type { NodeEvent, Who } from "./event.ts";
import { Mesh } from "./mesh.ts";
import { restoreMesh, snapshotOf } from "./memory.ts";
import { BOOT_MAX } from "./record.ts";
import { statusOf } from "./report.ts";
import { type Member, whoOf } from "./roster.ts";
import { readSeed } from "./seed.ts";
import type { NodeSnapshot } from "./snapshot.ts";
import type { NodeStatus } from "./status.ts";
import { Talk } from "./talk.ts";
import { type Identity, identityFromSeed } from "./trust/identity.ts";
import { Tunnels } from "./tunnel/tunnels.ts";
import type { Arrival, Edge, FactReader } from "./tunnel/types.ts";

export interface NodeOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  /** 32 secret bytes, made at the first start. */
  readonly identitySeed: Uint8Array;
  /** The mesh's 32 secret bytes, on the machine that founded it: made at its first start. */
  readonly meshSeed?: Uint8Array;
  /** A DNS label. */
  readonly name: string;
  /** The UDP port that the node listens on. */
  readonly port: number;
  /** Version of the software, at most 32 bytes. */
  readonly version: string;
  /** Whether there is a network interface. */
  readonly tunnel: boolean;
  /** Whether this node would carry ciphertext of others. */
  readonly relay: boolean;
  /** Admits everybody who asks: for laboratories, and every status says so. */
  readonly open?: boolean;
  readonly snapshot?: NodeSnapshot;
  readonly token?: string;
  /** `HOST:PORT` to knock at, beside those of the token and the snapshot. */
  readonly seeds?: readonly string[];
  readonly facts: FactReader;
  /** Members that are remembered at most, the dead among them; 16,384 when absent. */
  readonly membersMax?: number;
}

/** Milliseconds between two reviews of who is still a member. */
const REVIEW = 30_000;
/** Milliseconds between two snapshots that nothing urgent asks for. */
const PERSIST_PACE = 2_000;
/** Members that are greeted at a start, and those with a tunnel when our addresses change. */
const GREETED = 8;
const GREETED_AT_MOVE = 64;

export class Node {
  readonly #o: NodeOptions;
  readonly #identity: Identity;
  readonly #founding: SigningKey | undefined;
  readonly #tunnels: Tunnels;
  readonly #admission: Admission;
  readonly #boot: number;
  #mesh: Mesh | undefined;
  #talk: Talk | undefined;
  #interfaces: readonly Endpoint[] = [];
  /** What the snapshot remembers was taken in. */
  #isRestored = false;
  #hasLeft = false;
  #reviewAt = -Infinity;
  #persistedAt = -Infinity;
  #persistedBoot: number;
  #mustPersist = false;
  #addresses = "";
  /** Datagrams that are of no kind, or of a kind that we do not answer now. */
  readonly #drops = { foreign: 0 };

  private constructor(
    now: Now,
    options: NodeOptions,
    identity: Identity,
    founding: SigningKey | undefined,
    credentials: Credentials | undefined,
  ) {
    const { crypto, random, snapshot } = options;
    this.#o = options;
    this.#identity = identity;
    this.#founding = founding;
    this.#boot = (snapshot?.boot ?? 0) + 1;
    this.#persistedBoot = this.#boot;
    this.#tunnels = new Tunnels({ crypto, random });
    this.#admission = new Admission({
      crypto,
      random,
      identity,
      name: options.name,
      version: options.version,
      boot: this.#boot,
      seeds: [
        // What a person says now has room before what is remembered.
        ...options.seeds ?? [],
        ...credentials?.seeds ?? [],
        ...snapshot?.seeds ?? [],
      ],
      isAdmitted: credentials?.isAdmitted ?? false,
    });
    if (credentials) this.#enter(now, credentials);
  }

  /**
   * A node that does nothing yet. What is wrong with a token, a name or the state is said in one
   * sentence, and nothing has changed then.
   */
  static create(now: Now, options: NodeOptions): Decoded<Node> {
    const { crypto, snapshot, token, meshSeed } = options;
    for (const seed of options.seeds ?? []) {
      if (!readSeed(seed)) {
        return {
          ok: false,
          error: `join: "${seed}" is no HOST:PORT, for example 203.0.113.9:51820`,
        };
      }
    }
    if ((snapshot?.boot ?? 0) >= BOOT_MAX) {
      const error =
        `state: the node has started ${BOOT_MAX} times, which is all that its key may: ` +
        `it needs a new identity`;
      return { ok: false, error };
    }
    const identity = identityFromSeed(crypto, options.identitySeed);
    const founding = meshSeed && crypto.ed25519FromSeed(meshSeed);
    const { name } = options;
    const credentials = findCredentials(
      { crypto, identity, name, founding, snapshot, token },
      Math.floor(now.wall / 1000),
    );
    if (!credentials.ok) return credentials;
    const seeds = (options.seeds?.length ?? 0) + (snapshot?.seeds.length ?? 0);
    const { value } = credentials;
    if (value && !value.isAdmitted && seeds + value.seeds.length === 0) {
      return {
        ok: false,
        error: "state: it knows no other member and no seed: name one by --join, or restore the " +
          "mesh key if this machine founded the mesh",
      };
    }
    if (value === undefined && seeds === 0) {
      return {
        ok: false,
        error: "join: there is no mesh, no token and no seed: found a mesh or name a seed",
      };
    }
    return { ok: true, value: new Node(now, options, identity, founding, value) };
  }

  // ---- Machine --------------------------------------------------------------------------------

  start(now: Now, out: Outbox<NodeEvent>): void {
    this.#tunnels.setPrivateKey(now, this.#identity.tunnelSecret, this.#tunnelOut(out));
    if (this.#o.tunnel) this.#tunnels.up(now, this.#tunnelOut(out));
    const mesh = this.#mesh;
    if (mesh) {
      if (this.#o.snapshot) restoreMesh(now, this.#o.crypto, mesh, this.#o.snapshot, out);
      this.#isRestored = true;
      const isThere = ({ id }: Member) => mesh.swim.member(id)?.status === "alive";
      const remembered = Iterator.from(mesh.roster.members()).filter(isThere).take(GREETED);
      for (const member of remembered) this.#talk?.greet(now, member, out);
      if (this.#admission.isAdmitted) out.event({ kind: "joined", seed: undefined });
    }
    this.#finish(now, out);
  }

  /** A datagram that is no data: handshakes, control, and whatever strangers send. */
  datagram(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const mesh = this.#mesh;
    switch (kindOf(arrival.bytes)) {
      case "sealed":
        if (this.#talk?.sealed(now, arrival, out)) this.#describe();
        this.#comeIn(out);
        break;
      case "hello": {
        if (!mesh) break;
        const isKnown = (id: string) => mesh.isKnown(id);
        const house = { record: mesh.record, isKnown, hasRoom: () => mesh.hasRoom() };
        const { expected, dropped } = mesh.door.hello(now, arrival, house, out);
        if (expected) mesh.expect(expected);
        if (dropped) mesh.release(dropped);
        break;
      }
      case "ask":
        mesh?.door.ask(now, arrival, out);
        if (mesh && this.#o.open) this.#admitAll(now, mesh, out);
        break;
      case "answer": {
        const outcome = this.#admission.answered(now, arrival.bytes, mesh, out);
        if (outcome) this.#follow(now, outcome, arrival, out);
        else if (this.#talk?.answered(now, arrival, out)) this.#describe();
        break;
      }
      case "handshake":
        this.#tunnels.receive(now, arrival, this.#tunnelOut(out));
        break;
      default: // data is core's
        this.#drops.foreign++;
    }
    this.#finish(now, out);
  }

  /** News of core about a peer. */
  edge(now: Now, edge: Edge, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const member = this.#mesh?.roster.byPeer(edge.peer);
    if (member && edge.kind === "endpointMoved") {
      // Authenticated data: at least as good a word on where it is as a control datagram (R53).
      member.observed = { endpoint: edge.endpoint, source: edge.source, at: now.boot };
    }
    if (member && edge.kind === "sessionNeeded") {
      this.#mesh?.tunnels.aim(now, member, out);
      this.#talk?.greet(now, member, out);
    }
    this.#tunnels.edge(now, edge, this.#tunnelOut(out));
    this.#finish(now, out);
  }

  deadline(): Deadline | undefined {
    if (this.#hasLeft) return undefined;
    const due = [this.#tunnels.deadline, this.#admission.deadline(), this.#talk?.deadline()];
    const mesh = this.#mesh;
    if (mesh) {
      due.push(mesh.swim.deadline(), { at: this.#reviewAt + REVIEW, why: "review members" });
      const at = mesh.recordDue();
      if (at !== undefined) due.push({ at, why: "renew the node record" });
      if (mesh.isDirty) due.push({ at: this.#persistedAt + PERSIST_PACE, why: "persist" });
    }
    return due.reduce((first, next) => next && !(first && first.at <= next.at) ? next : first);
  }

  /** Does what is due. */
  poll(now: Now, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const mesh = this.#mesh;
    if (mesh && now.boot >= this.#reviewAt + REVIEW) {
      this.#reviewAt = now.boot;
      mesh.review(now, out);
    }
    if (mesh && now.boot >= mesh.swim.deadline().at) {
      mesh.traffic(now, this.#o.facts, out);
      mesh.tick(now, out);
    }
    if (now.boot >= (this.#tunnels.deadline?.at ?? Infinity)) {
      this.#tunnels.due(now, this.#o.facts, this.#tunnelOut(out));
    }
    this.#talk?.poll(now, out);
    this.#finish(now, out);
  }

  // ---- What the program knows -------------------------------------------------------------------

  /** Our outer addresses, with the port; those that nobody else can reach are left out here. */
  interfaces(now: Now, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    const reachable = endpoints.filter(isReachable);
    const isSame = reachable.length === this.#interfaces.length &&
      reachable.every((endpoint, i) => sameEndpoint(endpoint, this.#interfaces[i] ?? endpoint));
    if (isSame) return;
    this.#interfaces = reachable;
    this.#talk?.moved();
    this.#mesh?.roster.moved(now);
    this.#describe();
    // Whoever sends to us learns at once where we are now; gossip is not due for those that we hear.
    const live = this.#mesh?.tunnels.live(now).take(GREETED_AT_MOVE) ?? [];
    for (const member of live) this.#talk?.greet(now, member, out);
    this.#finish(now, out);
  }

  /** The addresses of a seed that event `resolve` asked for; none: no such host. */
  resolved(
    now: Now,
    seed: string,
    endpoints: readonly Endpoint[],
    out: Outbox<NodeEvent>,
  ): void {
    this.#admission.resolved(seed, endpoints, out);
    this.#finish(now, out);
  }

  // ---- What a person asks -----------------------------------------------------------------------

  /** A token for others. Its seeds are our own addresses where none are named. */
  invite(now: Now, options: InviteOptions): Decoded<Invitation> {
    const mesh = this.#joined("invite");
    if (!mesh.ok) return mesh;
    return invite(this.#o.crypto, this.#o.random, mesh.value, now, options);
  }

  /** Admits somebody who asked (by name or key), or renews a member's certificate. */
  approve(
    now: Now,
    who: string,
    out: Outbox<NodeEvent>,
    options: { readonly name?: string; readonly groups?: readonly string[] } = {},
  ): Decoded<Who> {
    return this.#asAdmin(
      "approve",
      now,
      out,
      (mesh) => approve(this.#o.crypto, mesh, now, who, options, out),
    );
  }

  /** Believes a key on this node alone. */
  trust(now: Now, key: string, name: string, out: Outbox<NodeEvent>): Decoded<Who> {
    return this.#asAdmin("trust", now, out, (mesh) => trust(this.#o.crypto, mesh, key, name));
  }

  /** Voids a key for the whole mesh, or ends individual trust in it on this node. */
  revoke(now: Now, who: string, out: Outbox<NodeEvent>): Decoded<Who> {
    const founding = this.#founding;
    return this.#asAdmin(
      "revoke",
      now,
      out,
      (mesh) => revoke(this.#o.crypto, mesh, founding, now, who, out),
    );
  }

  /** Asks a member whether it is there: event `pong` or `pingLost` with the nonce follows. */
  ping(
    now: Now,
    who: string,
    options: { readonly timeoutMs: number; readonly size: number },
    out: Outbox<NodeEvent>,
  ): Decoded<{ readonly who: Who; readonly nonce: number }> {
    const mesh = this.#joined("ping");
    if (!mesh.ok) return mesh;
    const member = mesh.value.find(who);
    if (!member.ok) return { ok: false, error: `ping: ${member.error}` };
    if (!this.#talk) return { ok: false, error: "ping: not a member of a mesh yet" };
    const nonce = this.#talk.ping(now, member.value, options, out);
    this.#finish(now, out);
    return { ok: true, value: { who: whoOf(member.value), nonce } };
  }

  /** Says good-bye. The node does and answers nothing afterwards. */
  leave(now: Now, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    this.#mesh?.leave(now, out);
    this.#mustPersist = true;
    this.#finish(now, out);
    this.#tunnels.down(now, this.#tunnelOut(out));
    this.#hasLeft = true;
  }

  status(now: Now): NodeStatus {
    const { name, port, open = false, facts } = this.#o;
    return statusOf(now, {
      identity: this.#identity,
      name,
      port,
      isOpen: open,
      state: this.#hasLeft ? "left" : this.#admission.state,
      complaints: this.#admission.complaints(),
      mesh: this.#mesh,
      tunnels: this.#tunnels,
      facts,
      drops: { ...this.#drops, ...this.#talk?.drops },
    });
  }

  /** Whether there is a mesh that has us as a member. */
  get isMember(): boolean {
    return this.#mesh !== undefined && this.#admission.isAdmitted;
  }

  snapshot(): NodeSnapshot {
    const seeds = this.#admission.seeds();
    const { name, snapshot: before } = this.#o;
    const snapshot = snapshotOf(this.#mesh, { name, boot: this.#boot, seeds });
    if (this.#isRestored || before === undefined) return snapshot;
    // Nothing was taken in yet: written so, it must not be less than what is on disk.
    const { members, trusted, revocations, redeemed } = before;
    return { ...snapshot, members, trusted, revocations, redeemed };
  }

  // ---- Inside -----------------------------------------------------------------------------------

  #enter(now: Now, { meshKey, chain }: Credentials): Mesh {
    const { crypto, random, relay, tunnel, version, snapshot, membersMax } = this.#o;
    this.#mesh = new Mesh(now, {
      crypto,
      random,
      tunnels: this.#tunnels,
      meshKey,
      boot: this.#boot,
      incarnation: (snapshot?.incarnation ?? 0) + 1,
      ...(membersMax === undefined ? {} : { membersMax }),
      self: {
        identity: this.#identity,
        chain,
        endpoints: this.#interfaces,
        capabilities: { relay, tunnel },
        version,
        ip4Counter: snapshot?.ip4Counter ?? 0,
      },
    });
    this.#talk = new Talk(crypto, random, this.#mesh);
    return this.#mesh;
  }

  #describe(): void {
    const reflexive = this.#talk?.reflexive ?? [];
    const isNew = (endpoint: Endpoint) =>
      !this.#interfaces.some((own) => sameEndpoint(own, endpoint));
    this.#mesh?.describe({ endpoints: [...this.#interfaces, ...reflexive.filter(isNew)] });
  }

  /** What an answer to our knocking has changed. */
  #follow(now: Now, outcome: Outcome, arrival: Arrival, out: Outbox<NodeEvent>): void {
    if (outcome.kind === "granted") {
      const { meshKey, chain } = outcome;
      this.#enter(now, { meshKey, chain, seeds: [], isAdmitted: false });
      this.#describe();
      this.#mustPersist = true;
      return;
    }
    const mesh = this.#mesh;
    const acceptance = mesh?.take(now, outcome.record, out);
    if (!mesh || !acceptance || acceptance.kind === "refused") return;
    const { member } = acceptance;
    member.observed = { endpoint: arrival.from, source: arrival.source, at: now.boot };
    mesh.tunnels.aim(now, member, out);
    this.#talk?.confirm(now, member.id, outcome.cookie, out);
    if (this.#talk?.observe(member, outcome.observed)) this.#describe();
    mesh.level(now, member.id, out);
  }

  /**
   * A welcome is the door's word before it has seen that we are there: another may use the token up
   * until then. We are in when a member that got our confirmation talks to us.
   */
  #comeIn(out: Outbox<NodeEvent>): void {
    const doorman = this.#talk?.doorman;
    if (doorman === undefined || this.#admission.isAdmitted) return;
    out.event({ kind: "joined", seed: whoOf(doorman) });
    this.#admission.admitted();
    this.#mustPersist = true;
  }

  #admitAll(now: Now, mesh: Mesh, out: Outbox<NodeEvent>): void {
    for (const { who } of [...mesh.door.requests()]) {
      approve(this.#o.crypto, mesh, now, who.id, {}, out);
    }
  }

  /** Everything that follows from whatever just happened. */
  #finish(now: Now, out: Outbox<NodeEvent>): void {
    const mesh = this.#mesh;
    if (mesh) {
      mesh.digest(now, out);
      mesh.settle(now, out);
      mesh.digest(now, out);
      for (const member of mesh.takeUnheard()) this.#talk?.greet(now, member, out);
      this.#tellAddresses(mesh, out);
    }
    this.#admission.pursue(now, mesh, out);
    const isDue = mesh?.isDirty && now.boot >= this.#persistedAt + PERSIST_PACE;
    const hasJumped = mesh !== undefined && mesh.boot !== this.#persistedBoot;
    if (!this.#mustPersist && !isDue && !hasJumped) return;
    this.#mustPersist = false;
    this.#persistedBoot = mesh?.boot ?? this.#boot;
    this.#persistedAt = now.boot;
    if (mesh) mesh.isDirty = false;
    out.event({ kind: "persist" });
  }

  #tellAddresses(mesh: Mesh, out: Outbox<NodeEvent>): void {
    const { id } = this.#identity;
    const ip4 = mesh.roster.ip4(id);
    const ip6 = mesh.ip6;
    const text = `${ip4?.join(".")} ${ip6.toHex()}`;
    if (text === this.#addresses) return;
    this.#addresses = text;
    out.event({ kind: "addresses", ip4, ip6 });
  }

  #joined(what: string): Decoded<Mesh> {
    if (this.#mesh && this.isMember) return { ok: true, value: this.#mesh };
    return {
      ok: false,
      error:
        `${what}: this node is not a member of a mesh yet: \`shoal status\` says what it waits for`,
    };
  }

  #asAdmin(
    what: string,
    now: Now,
    out: Outbox<NodeEvent>,
    act: (mesh: Mesh) => Decoded<Who>,
  ): Decoded<Who> {
    const mesh = this.#joined(what);
    if (!mesh.ok) return mesh;
    const result = act(mesh.value);
    if (result.ok) {
      this.#mustPersist = true;
      mesh.value.review(now, out);
      this.#finish(now, out);
    }
    return result;
  }

  #tunnelOut(out: Outbox<NodeEvent>): Parameters<Tunnels["up"]>[1] {
    if (this.#mesh) return this.#mesh.tunnels.outbox(out);
    const event = (event: Extract<NodeEvent, { kind: "tunnel" }>["event"]) =>
      out.event({ kind: "tunnel", event });
    return { command: out.command, send: out.send, event };
  }
}
