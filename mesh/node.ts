/**
 * A mesh node: the composition of all machines, and itself one (machine.ts). Whoever drives it gives
 * it datagrams, edges, time and what a person asks, carries out the effects, and calls {@link
 * Node.poll} when the deadline is due. The same node runs in the simulator and in production.
 *
 * ```
 * create --> snapshot written --> start --> datagram, edge, poll, ... --> leave
 * ```
 *
 * The snapshot must be on disk before `start`: it counts the start, and that number must never be
 * used twice (wire/seal.ts). Calls give the time first and the outbox last.
 *
 * A node with a mesh has a {@link Mesh}; one that asks for admission without a token has none yet:
 * it only knocks, and answers nobody.
 */
import {
  type Dialect,
  SHOAL_AES,
  SHOAL_AES_LANE,
  SHOAL_LANE,
  WIREGUARD,
} from "./noise/handshake.ts";
import {
  approve,
  type Approved,
  type ApproveOptions,
  promote,
  trust,
  untrust,
} from "./admin/approve.ts";
import type { Insistence } from "./admin/authority.ts";
import {
  addGuest,
  type GuestOptions,
  type GuestTerm,
  type GuestWay,
  removeGuest,
  renewGuest,
  type RenewOptions,
} from "./admin/guest.ts";
import {
  type Invitation,
  invite,
  type InviteOptions,
  invites,
  type InviteStatus,
  revokeInvite,
} from "./admin/invite.ts";
import type { Planned } from "./admin/plan.ts";
import { recover, type RecoverOptions } from "./admin/recovery.ts";
import { renewalOf } from "./admin/renewal.ts";
import { adminToAsk, demote, leaveForGood, revoke, type RevokeOptions } from "./admin/removal.ts";
import type { Crypto } from "./crypto.ts";
import { type Decoded, refusal } from "./codec.ts";
import { type Credentials, findCredentials } from "./door/credentials.ts";
import { Door, type MeshBehind } from "./door/door.ts";
import { Entry, type Outcome } from "./door/entry.ts";
import {
  type Endpoint,
  formatAddress,
  formatEndpoint,
  isReachable,
  sameEndpoint,
} from "./endpoint.ts";
import {
  type Deadline,
  type Now,
  type Outbox,
  type Prefix,
  type Random,
  secondsOf,
} from "./machine.ts";
import { kindOf, otherVersionOf } from "./datagram.ts";
import { nameIn } from "./domain.ts";
import type { NodeEvent, Who } from "./event.ts";
import { isInside } from "./membership/address.ts";
import { type Genesis } from "./membership/genesis.ts";
import {
  Directories,
  type Directory,
  type Named,
  namedGuest,
  namedMember,
} from "./report/directory.ts";
import { type Identity, identityFromSeed } from "./membership/identity.ts";
import { Mesh } from "./membership/mesh.ts";
import { BOOT_MAX, NO_PROOF, RUN_SIZE } from "./membership/record.ts";
import type { Member } from "./membership/roster.ts";
import { restoreMesh, snapshotOf } from "./memory.ts";
import { statusOf } from "./report/report.ts";
import { readSeed } from "./seed.ts";
import type { NodeSnapshot } from "./snapshot.ts";
import type { NodeStatus } from "./status.ts";
import { Talk } from "./talk.ts";
import { INCARNATION_MAX } from "./swim/messages.ts";
import { Tunnels } from "./tunnel/tunnels.ts";
import type { Arrival, Edge, FactReader } from "./tunnel/types.ts";
import { OtherVersions } from "./wire/other_versions.ts";

export interface NodeOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  /** 32 secret bytes, made at the first start. */
  readonly identitySeed: Uint8Array;
  /** The 32 secret bytes of a mesh key, on the machine that keeps it. */
  readonly meshSeed?: Uint8Array;
  /** The public recovery key of a mesh that is founded now; its secret is the program's to keep. */
  readonly recoveryKey?: Uint8Array;
  /** A DNS label. */
  readonly name: string;
  /** The name of a mesh that is founded now, a DNS label; {@link name} when absent. */
  readonly meshName?: string;
  /** The IPv4 network of a mesh that is founded now; 100.64.0.0/10 when absent. */
  readonly pool?: Prefix;
  /** The UDP port that the node listens on as it starts. */
  readonly port: number;
  /** Version of the software, at most 32 bytes. */
  readonly version: string;
  /** Whether there is a network interface. */
  readonly tunnel: boolean;
  /** Whether this node would carry ciphertext of others. */
  readonly relay: boolean;
  /** Whether it speaks AES-256-GCM in tunnels with members that do; not when absent. */
  readonly aesGcm?: boolean;
  /** Worker threads of core; 1 when absent. */
  readonly workers?: number;
  /** How many sessions of one member it takes at once, for as many workers; 1 when absent. */
  readonly lanes?: number;
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
/** Members at whose places we knock after we were put out. */
const DOORS_KEPT = 8;

export class Node {
  readonly #o: NodeOptions;
  readonly #identity: Identity;
  readonly #tunnels: Tunnels;
  readonly #entry: Entry;
  readonly #otherVersions = new OtherVersions();
  readonly #directories = new Directories();
  /** 8 random bytes of this start, hexadecimal. */
  readonly #run: string;
  readonly #boot: number;
  #mesh: Mesh | undefined;
  #talk: Talk | undefined;
  #door: Door | undefined;
  #interfaces: readonly Endpoint[] = [];
  /** What the snapshot remembers was taken in. */
  #isRestored = false;
  #hasStarted = false;
  #hasLeft = false;
  #isOut = false;
  /** We have no membership, as far as we know. */
  #isNone = false;
  #reviewAt = -Infinity;
  #persistedAt = -Infinity;
  #mustPersist = false;
  #addresses = "";
  #port: number;
  /** Datagrams that are of no kind, or of a kind that we do not answer now. */
  readonly #drops = { foreign: 0, twin_handshake: 0 };

  private constructor(
    now: Now,
    options: NodeOptions,
    identity: Identity,
    credentials: Credentials | undefined,
  ) {
    const { crypto, random, snapshot } = options;
    this.#o = options;
    this.#port = options.port;
    this.#identity = identity;
    this.#run = random(RUN_SIZE).toHex();
    this.#boot = Math.min(BOOT_MAX, (snapshot?.boot ?? 0) + 1);
    this.#tunnels = new Tunnels({
      crypto,
      random,
      dialects: dialectsOf(options),
      workers: options.workers ?? 1,
    });
    const places = credentials?.places ?? [];
    this.#entry = new Entry({
      crypto,
      random,
      identity,
      name: options.name,
      version: options.version,
      seeds: [
        // What a person says now has room before what is remembered.
        ...(options.seeds ?? []).map((seed) => ({ seed })),
        ...places,
        ...snapshot?.seeds ?? [],
      ],
      doors: [...new Set(places.map(({ key }) => key))],
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
        return refusal(`join: "${seed}" is no HOST:PORT, for example 203.0.113.9:51820`);
      }
    }
    if ((snapshot?.boot ?? 0) >= BOOT_MAX) {
      return refusal(
        `state: the node has started ${BOOT_MAX} times, which is all that its key may: it needs a ` +
          "new one: `shoal identity renew`",
      );
    }
    const identity = identityFromSeed(crypto, options.identitySeed);
    const meshSigning = meshSeed && crypto.ed25519FromSeed(meshSeed);
    const { name, recoveryKey, meshName, pool } = options;
    const credentials = findCredentials(
      {
        crypto,
        identity,
        name,
        meshSigning,
        recoveryKey,
        snapshot,
        token,
        ...(meshName === undefined ? {} : { meshName }),
        ...(pool === undefined ? {} : { pool }),
      },
      secondsOf(now),
    );
    if (!credentials.ok) return credentials;
    const seeds = (options.seeds?.length ?? 0) + (snapshot?.seeds.length ?? 0);
    const { value } = credentials;
    const knowsNobody = seeds + (value?.places.length ?? 0) + (snapshot?.members.length ?? 0) === 0;
    if (value && !value.isAdmitted && knowsNobody) {
      return refusal(
        "state: it knows no other member and no seed: name one by --join, or restore the mesh key " +
          "if this machine founded the mesh",
      );
    }
    if (value === undefined && seeds === 0) {
      return refusal(
        "join: there is no mesh, no token and no seed: found a mesh or name a seed",
      );
    }
    return { ok: true, value: new Node(now, options, identity, value) };
  }

  // ---- Machine --------------------------------------------------------------------------------

  start(now: Now, out: Outbox<NodeEvent>): void {
    this.#hasStarted = true;
    this.#tunnels.setPrivateKey(now, this.#identity.tunnelSecret, this.#tunnelOut(now, out));
    if (this.#o.tunnel) this.#tunnels.up(now, this.#tunnelOut(now, out));
    const mesh = this.#mesh;
    if (mesh) {
      if (this.#o.snapshot) restoreMesh(now, this.#o.crypto, mesh, this.#o.snapshot, out);
      mesh.noteStart();
      mesh.review(now, out);
      const isThere = ({ id }: Member) => mesh.swim.member(id)?.status === "alive";
      const remembered = Iterator.from(mesh.roster.members()).filter(isThere).take(GREETED);
      for (const member of remembered) this.#talk?.greet(now, member, out);
      if (this.#entry.isAdmitted) out.event({ kind: "joined", seed: undefined });
      // Whoever has a new key knows members, and a founder that has one never had a seed.
      else this.#keepDoors(now, mesh);
    }
    this.#isRestored = true; // of a mesh that lets us in later nothing is remembered
    this.#finish(now, out);
  }

  /** A datagram that is no data: handshakes, control, and whatever strangers send. */
  datagram(now: Now, arrival: Arrival, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const mesh = this.#mesh;
    switch (kindOf(arrival.bytes)) {
      case "sealed":
        if (this.#talk?.sealed(now, arrival, out)) this.#describe();
        break;
      case "hello": {
        if (!mesh || !this.#door) break;
        const { expected, dropped } = this.#door.hello(
          now,
          arrival,
          this.#meshBehind(now, mesh, out),
          out,
        );
        // The numbers of a second machine with a member's key would make the first look old.
        if (expected && mesh.copies.isOfSecond(expected)) mesh.take(now, expected, out);
        else if (expected) mesh.expect(now, expected, out);
        if (dropped) mesh.release(dropped);
        break;
      }
      case "ask":
        if (!mesh || !this.#door) break;
        this.#door.ask(now, arrival, this.#meshBehind(now, mesh, out), out);
        if (this.#o.open) this.#admitAll(now, mesh, this.#door, out);
        break;
      case "answer": {
        const outcome = this.#entry.answered(now, arrival, mesh, out);
        if (outcome) this.#follow(now, outcome, arrival, out);
        else if (this.#talk?.answered(now, arrival, out)) this.#describe();
        break;
      }
      case "handshake": {
        mesh?.contacts.owe(now, arrival.from, arrival.bytes.length);
        // WireGuard cannot tell two machines with one key apart: the place can.
        const peer = this.#tunnels.receive(now, arrival, this.#tunnelOut(now, out), (peer) => {
          const isOfTwin = mesh?.copies.isAtSecond(peer, arrival.from) ?? false;
          if (isOfTwin) this.#drops.twin_handshake++;
          return isOfTwin;
        });
        const member = peer === undefined ? undefined : mesh?.roster.byPeer(peer);
        // No proof: what it answers may have gone to several places.
        if (member) {
          mesh?.contacts.heard(now, arrival.from, member.id);
          this.#talk?.renew(now, member, arrival.from, out);
        } else if (peer !== undefined) {
          mesh?.guests.offered(peer, this.#tunnels.offeredIndex(peer), arrival.from);
        }
        break;
      }
      default: // data is core's
        this.#strange(now, arrival);
    }
    this.#comeIn(now, out);
    this.#finish(now, out);
  }

  /** News of core about a peer. */
  edge(now: Now, edge: Edge, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const roster = this.#mesh?.roster;
    // A lane is where its member is; what else it has to tell is its own.
    const isMove = edge.kind === "endpointMoved";
    const member = roster?.byPeer(isMove ? this.#tunnels.firstOf(edge.peer) : edge.peer);
    if (roster && member && edge.kind === "endpointMoved") {
      // Authenticated data: at least as good a word on where it is as a control datagram (R53).
      const { endpoint, source } = edge;
      roster.heardAt(member, { endpoint, source, at: now.boot }, now);
      this.#talk?.heardElsewhere(now, member, endpoint, source, out);
    }
    if (edge.kind === "sessionConfirmed") {
      const isNews = this.#mesh?.guests.confirmed(now, edge.peer, edge.index) ?? false;
      if (isNews) this.#mesh?.noteChange();
    }
    if (member && edge.kind === "sessionNeeded") {
      this.#mesh?.tunnels.aim(now, member, out);
      this.#talk?.greet(now, member, out);
    }
    this.#tunnels.edge(now, edge, this.#tunnelOut(now, out));
    this.#finish(now, out);
  }

  /**
   * Core got data of a session that it does not have. Where that is a member's place, we have
   * started anew, or lost what we knew, and it does not know that yet.
   */
  stray(now: Now, from: Endpoint, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    const member = this.#mesh?.roster.at(from, now);
    if (member) this.#mesh?.tunnels.missing(now, member, out);
    this.#mesh?.guests.missing(now, from, out);
    this.#finish(now, out);
  }

  deadline(): Deadline | undefined {
    if (this.#hasLeft) return undefined;
    const due = [this.#tunnels.deadline, this.#entry.deadline(), this.#talk?.deadline()];
    const mesh = this.#mesh;
    if (mesh) {
      const reviewAt = Math.min(this.#reviewAt + REVIEW, mesh.reviewDue);
      due.push(mesh.guests.deadline(), mesh.swim.deadline(), {
        at: reviewAt,
        why: "review members",
      });
      due.push({ at: mesh.reviewMoreDue, why: "go on with the first review" });
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
    if (mesh && now.boot >= Math.min(this.#reviewAt + REVIEW, mesh.reviewDue)) {
      this.#reviewAt = now.boot;
      mesh.review(now, out);
      const isMember = (id: string) => mesh.judge.judge(id, secondsOf(now)).kind === "member";
      for (const id of this.#door?.expire(now, isMember) ?? []) mesh.release(id);
    } else if (mesh && now.boot >= mesh.reviewMoreDue) mesh.reviewMore(now, out);
    if (mesh && now.boot >= mesh.swim.deadline().at) {
      mesh.traffic(now, this.#o.facts, out);
      mesh.guests.watch(now, this.#o.facts, out);
      mesh.tick(now, out);
    }
    this.#tunnels.look(now, this.#tunnelOut(now, out));
    if (now.boot >= (this.#tunnels.deadline?.at ?? Infinity)) {
      this.#tunnels.due(now, this.#o.facts, this.#tunnelOut(now, out));
    }
    this.#talk?.poll(now, out);
    this.#finish(now, out);
  }

  // ---- What the program knows -------------------------------------------------------------------

  /** Addresses, routes or links of the machine changed: what was known of our own side of a path may be wrong. */
  routesChanged(): void {
    this.#tunnels.forgetSources();
    this.#mesh?.roster.forgetSources();
  }

  /** The node listens on another UDP port from now on; {@link interfaces} follows. */
  bound(port: number): void {
    this.#port = port;
  }

  /** Our outer addresses, with the port; those that nobody else can reach are left out here. */
  interfaces(now: Now, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    const reachable = endpoints.filter(isReachable);
    const isSame = reachable.length === this.#interfaces.length &&
      reachable.every((endpoint, i) => sameEndpoint(endpoint, this.#interfaces[i] ?? endpoint));
    if (isSame) return;
    const before = this.#interfaces;
    const isKnown = (one: Endpoint) => before.some((known) => sameEndpoint(known, one));
    if (!reachable.every(isKnown)) this.#entry.hurry(now);
    this.#interfaces = reachable;
    this.#talk?.moved();
    this.#mesh?.roster.moved(now);
    this.#describe();
    // Whoever sends to us learns at once where we are now; gossip is not due for those that we hear.
    const live = this.#mesh?.tunnels.live(now).take(GREETED_AT_MOVE) ?? [];
    for (const member of live) this.#talk?.tellMove(now, member, out);
    this.#finish(now, out);
  }

  /** The addresses of a seed that event `resolve` asked for; none: no such host. */
  resolved(
    now: Now,
    seed: string,
    endpoints: readonly Endpoint[],
    out: Outbox<NodeEvent>,
  ): void {
    this.#entry.resolved(now, seed, endpoints, out);
    this.#finish(now, out);
  }

  // ---- What a person asks -----------------------------------------------------------------------

  /** A token for others. Its places are our own addresses where none are named. */
  invite(now: Now, options: InviteOptions, out: Outbox<NodeEvent>): Decoded<Invitation> {
    return this.#asked(
      "invite",
      now,
      out,
      (mesh) => invite(this.#o.crypto, this.#o.random, mesh, now, options, out),
    );
  }

  invites(now: Now): Decoded<InviteStatus[]> {
    const mesh = this.#joined("invite");
    return mesh.ok ? { ok: true, value: invites(mesh.value, now) } : mesh;
  }

  revokeInvite(
    now: Now,
    id: string,
    options: Insistence,
    out: Outbox<NodeEvent>,
  ): Decoded<InviteStatus> {
    return this.#asked("invite", now, out, (mesh) => revokeInvite(mesh, now, id, options, out));
  }

  /** Admits somebody who asked (by name or key), or renews a member's certificate. */
  approve(
    now: Now,
    who: string,
    out: Outbox<NodeEvent>,
    options: ApproveOptions = {},
  ): Decoded<Approved> {
    const askers = this.#door?.list() ?? [];
    const approved = this.#asked(
      "approve",
      now,
      out,
      (mesh) => approve(this.#o.crypto, mesh, askers, now, nameFor(mesh, who), options, out),
    );
    if (approved.ok) this.#door?.requests.forget(approved.value.id);
    return approved;
  }

  /** Answers those who ask without a token, for so many milliseconds; 0 ends it. */
  openDoor(now: Now, ms: number): Decoded<{ readonly until: number | undefined }> {
    const mesh = this.#joined("door");
    if (!mesh.ok) return mesh;
    if (ms > 0) this.#door?.requests.open(now, ms);
    else this.#door?.requests.close();
    return { ok: true, value: { until: this.#door?.requests.openUntil(now) } };
  }

  /** Takes in a stock WireGuard device, which this node serves. */
  addGuest(
    now: Now,
    name: string,
    options: Omit<GuestOptions, "places" | "canServe">,
    out: Outbox<NodeEvent>,
  ): Decoded<GuestWay> {
    const all = { ...options, places: this.#interfaces, canServe: this.#o.tunnel };
    return this.#asked(
      "guest",
      now,
      out,
      (mesh) => addGuest(this.#o.crypto, mesh, now, name, all, out),
    );
  }

  /** Serves one longer. */
  renewGuest(
    now: Now,
    who: string,
    options: RenewOptions,
    out: Outbox<NodeEvent>,
  ): Decoded<GuestTerm> {
    return this.#asked(
      "guest",
      now,
      out,
      (mesh) => renewGuest(mesh, now, nameFor(mesh, who), options, out),
    );
  }

  /** Ends what one is. */
  removeGuest(now: Now, who: string, options: Insistence, out: Outbox<NodeEvent>): Decoded<Who> {
    return this.#asked(
      "guest",
      now,
      out,
      (mesh) => removeGuest(mesh, now, nameFor(mesh, who), options, out),
    );
  }

  /** Believes a key on this node alone. */
  trust(now: Now, key: string, name: string, out: Outbox<NodeEvent>): Decoded<Who> {
    const trusted = this.#asked(
      "trust",
      now,
      out,
      (mesh) => trust(this.#o.crypto, mesh, key, name),
    );
    if (trusted.ok) this.#door?.requests.forget(key);
    return trusted;
  }

  /** Ends that. */
  untrust(now: Now, who: string, out: Outbox<NodeEvent>): Decoded<Who> {
    return this.#asked("untrust", now, out, (mesh) => untrust(mesh, nameFor(mesh, who)));
  }

  /** Makes a member an admin. */
  promote(now: Now, who: string, options: Insistence, out: Outbox<NodeEvent>): Decoded<Who> {
    return this.#asked(
      "promote",
      now,
      out,
      (mesh) => promote(mesh, now, nameFor(mesh, who), options, out),
    );
  }

  /** Ends an admin's office, or says what that would do. */
  demote(now: Now, who: string, options: Insistence, out: Outbox<NodeEvent>): Decoded<Planned> {
    return this.#asked(
      "demote",
      now,
      out,
      (mesh) => demote(mesh, now, nameFor(mesh, who), options, out),
    );
  }

  /** Puts a key out of the mesh for ever, or says what that would do. */
  revoke(now: Now, who: string, options: RevokeOptions, out: Outbox<NodeEvent>): Decoded<Planned> {
    return this.#asked(
      "revoke",
      now,
      out,
      (mesh) => revoke(mesh, now, nameFor(mesh, who), options, out),
    );
  }

  /**
   * Compares statements with the admin that a command is about: what it has signed should be known
   * before its office ends. @returns the admin, if there is one to ask
   */
  askAdmin(now: Now, who: string, out: Outbox<NodeEvent>): Who | undefined {
    const mesh = this.#mesh;
    const id = mesh && adminToAsk(mesh, nameFor(mesh, who));
    if (!mesh || id === undefined || mesh.swim.member(id)?.status !== "alive") return undefined;
    mesh.level(now, id, out);
    this.#finish(now, out);
    return mesh.roster.who(id);
  }

  /** Whether this node may sign without --yes: it has compared its statements, or has no mesh yet. */
  get hasCompared(): boolean {
    return this.#mesh?.hasCompared ?? true;
  }

  /** Names and addresses of all members, the same object while they stay the same; undefined: this node knows no mesh. */
  directory(): Directory | undefined {
    return this.#mesh && this.#directories.of(this.#mesh);
  }

  /** The keys that the mesh was founded with; undefined while there is none. */
  get genesis(): Genesis | undefined {
    return this.#mesh?.genesis;
  }

  /** Ends our own membership for ever, or says what that would do. */
  leaveForGood(now: Now, options: Insistence, out: Outbox<NodeEvent>): Decoded<Planned> {
    return this.#asked(
      "leave",
      now,
      out,
      (mesh) => leaveForGood(this.#o.crypto, mesh, now, options, this.#entry.isPutOut, out),
    );
  }

  /** What a new key for this machine would give up. */
  renewal(now: Now): Pick<Planned, "lines" | "warnings" | "advice"> {
    const mesh = this.#mesh;
    return mesh ? renewalOf(mesh, now, this.#entry.isPutOut) : { lines: [], warnings: [] };
  }

  /** Another mesh key is on this machine from now on, or none. It must be on disk already. */
  setMeshKey(now: Now, seed: Uint8Array | undefined, out: Outbox<NodeEvent>): Decoded<undefined> {
    const mesh = this.#joined("mesh-key");
    if (!mesh.ok) return mesh;
    const signing = seed && this.#o.crypto.ed25519FromSeed(seed);
    const { statements: { meshKey }, genesis } = mesh.value;
    if (signing && signing.publicKey.toHex() !== meshKey) {
      const isRecovery = this.#o.crypto.equal(signing.publicKey, genesis.recoveryKey);
      return refusal(
        isRecovery
          ? "mesh-key: these are the recovery words: the mesh key stands on another paper; where there is none, " +
            "`shoal recover` makes a new one"
          : `mesh-key: it is not the mesh key of this mesh, ${meshKey.slice(0, 16)}\u2026`,
      );
    }
    mesh.value.signer.setMeshKey(signing);
    this.#mustPersist = true;
    this.#finish(now, out);
    return { ok: true, value: undefined };
  }

  /** Replaces the mesh key by the recovery key, or says what that would do. */
  recover(
    now: Now,
    seeds: { readonly recovery: Uint8Array; readonly meshKey: Uint8Array },
    options: RecoverOptions,
    out: Outbox<NodeEvent>,
  ): Decoded<Planned> {
    const { crypto } = this.#o;
    const recovery = crypto.ed25519FromSeed(seeds.recovery);
    const meshKey = crypto.ed25519FromSeed(seeds.meshKey);
    const mesh = this.#mesh;
    if (!mesh) return refusal("recover: this node knows no mesh yet");
    mesh.lookAtClock(now);
    const { without, keep, ...others } = options;
    const meant = {
      ...others,
      ...(without && { without: without.map((who) => nameFor(mesh, who)) }),
      ...(keep && { keep: keep.map((who) => nameFor(mesh, who)) }),
    };
    return this.#finished(now, out, recover(crypto, mesh, now, { recovery, meshKey }, meant, out));
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
    const member = mesh.value.find(
      nameFor(mesh.value, who),
      (_name, address) =>
        `it runs no node that could be asked; its address answers where the device does (ping ${address})`,
    );
    if (!member.ok) return { ok: false, error: `ping: ${member.error}` };
    if (!this.#talk) return { ok: false, error: "ping: not a member of a mesh yet" };
    const nonce = this.#talk.ping(now, member.value, options, out);
    this.#finish(now, out);
    return { ok: true, value: { who: mesh.value.roster.who(member.value.id), nonce } };
  }

  /** Says good-bye. The node does and answers nothing afterwards. */
  leave(now: Now, out: Outbox<NodeEvent>): void {
    if (this.#hasLeft) return;
    this.#mesh?.leave(now, out);
    this.#mustPersist = true;
    this.#finish(now, out);
    this.#tunnels.down(now, this.#tunnelOut(now, out));
    this.#hasLeft = true;
  }

  status(now: Now): NodeStatus {
    const { name, open = false, facts } = this.#o;
    return statusOf(now, {
      identity: this.#identity,
      name,
      port: this.#port,
      isOpen: open,
      state: this.#hasLeft ? "left" : this.#entry.state,
      complaints: this.#entry.complaints(),
      refusals: this.#talk?.refusals.byReason() ?? new Map(),
      mesh: this.#mesh,
      door: this.#door,
      otherVersions: this.#otherVersions.places(now),
      tunnels: this.#tunnels,
      facts,
      drops: { ...this.#drops, ...this.#talk?.drops, other_version: this.#otherVersions.count },
    });
  }

  /** Whether there is a mesh that has us as a member. */
  get isMember(): boolean {
    return this.#mesh !== undefined && this.#entry.isAdmitted;
  }

  snapshot(): NodeSnapshot {
    const seeds = this.#entry.seeds();
    const { name, snapshot: before } = this.#o;
    // Whom no door has let in yet is to ask with its token again, and not to take itself for a member.
    const admission = this.#mesh?.admission;
    const isAsking = !this.#entry.isAdmitted && admission !== undefined && !admission.endorsement;
    const mesh = isAsking ? undefined : this.#mesh;
    const snapshot = snapshotOf(mesh, { name, boot: this.#boot, seeds });
    if (this.#isRestored || before === undefined) return snapshot;
    // Nothing was taken in yet: written so, it must not be less than what is on disk.
    const { members, trusted, statements, admissions, numbers, guests } = before;
    const rest = { members, trusted, statements, admissions, numbers };
    return { ...snapshot, ...rest, ...(guests ? { guests } : {}) };
  }

  // ---- Inside -----------------------------------------------------------------------------------

  #enter(now: Now, { genesis, statements, admission }: Credentials): Mesh {
    const {
      crypto,
      random,
      relay,
      tunnel,
      version,
      snapshot,
      membersMax,
      meshSeed,
      name,
      aesGcm = false,
      lanes = 1,
    } = this.#o;
    const mesh = new Mesh(now, {
      crypto,
      random,
      tunnels: this.#tunnels,
      genesis,
      run: this.#run,
      name,
      meshSigning: meshSeed && crypto.ed25519FromSeed(meshSeed),
      numbers: snapshot?.numbers ?? { own: 0, mesh: 0 },
      boot: this.#boot,
      incarnation: Math.min(INCARNATION_MAX, (snapshot?.incarnation ?? 0) + 1),
      ...(membersMax === undefined ? {} : { membersMax }),
      self: {
        identity: this.#identity,
        proof: NO_PROOF,
        endpoints: this.#interfaces,
        capabilities: { relay, tunnel, meshKey: false, aesGcm, lanes },
        version,
      },
    }, admission);
    mesh.begin(now, statements);
    this.#mesh = mesh;
    this.#door = new Door(now, crypto, random, mesh.judge.meshId, this.#identity);
    this.#talk = new Talk(crypto, random, mesh, this.#door);
    return mesh;
  }

  /** What the door asks about the mesh behind it. */
  #meshBehind(now: Now, mesh: Mesh, out: Outbox<NodeEvent>): MeshBehind {
    return {
      record: mesh.record,
      isKnown: (id) => mesh.isKnown(id),
      wasMember: (id) => mesh.judge.wasMember(id),
      hasRoom: () => mesh.hasRoom(),
      judge: (record) => mesh.judgeAtDoor(now, record, out),
      isAwaiting: mesh.isAwaiting(now),
      isDecided: (id) => mesh.judge.judge(id, secondsOf(now)).kind === "member",
      genesis: mesh.genesis,
    };
  }

  #describe(): void {
    const reflexive = this.#talk?.reflexive ?? [];
    const isNew = (endpoint: Endpoint) =>
      !this.#interfaces.some((own) => sameEndpoint(own, endpoint));
    const endpoints = [...this.#interfaces, ...reflexive.filter(isNew)];
    // Others try the first few. A provider's network may use the addresses of the mesh, and mostly
    // reaches nobody outside, as those of another mesh on this machine.
    const [near, far] = [true, false].map((isNear) =>
      endpoints.filter(({ address }) => this.#isOfMesh(address) === isNear)
    ) as [Endpoint[], Endpoint[]];
    this.#mesh?.describe({ endpoints: [...far, ...near] });
  }

  /**
   * Addresses of the mesh at which members are sought outside of it, whom this node does not hear: where the network
   * below uses the same ones.
   * @param limit at most so many
   */
  soughtInside(limit: number): Uint8Array[] {
    const mesh = this.#mesh;
    const found = new Map<string, Uint8Array>();
    for (const { id, observed, record } of mesh?.roster.members() ?? []) {
      const view = mesh?.swim.member(id);
      const isHeard = view?.status === "alive" && view.heardAt > -Infinity;
      if (isHeard || view?.status === "left") continue;
      for (
        const { address } of observed ? [observed.endpoint, ...record.endpoints] : record.endpoints
      ) {
        if (this.#isOfMesh(address)) found.set(formatAddress(address), address);
        if (found.size === limit) return [...found.values()];
      }
    }
    return [...found.values()];
  }

  /** Members with whom we have a session now, at most so many: what is sent to them is sent now. */
  talksWith(now: Now, limit: number): Named[] {
    const mesh = this.#mesh;
    return mesh
      ? Array.from(mesh.tunnels.live(now).take(limit), (one) => namedMember(mesh, one))
      : [];
  }

  /**
   * So many members, then guests, from the n-th on, by which a caller looks at all of them in turns. What it costs grows
   * with their number by no more than a step over each.
   */
  someOfAll(from: number, limit: number): Named[] {
    const mesh = this.#mesh;
    if (!mesh) return [];
    const members = mesh.roster.members().drop(from).take(limit);
    const found = Array.from(members, (one) => namedMember(mesh, one));
    const guests = mesh.guests.guests.all().drop(Math.max(0, from - mesh.roster.size));
    for (const guest of guests.take(limit - found.length)) found.push(namedGuest(mesh, guest));
    return found;
  }

  #isOfMesh(address: Uint8Array): boolean {
    return this.#mesh !== undefined && isInside(this.#mesh.judge.meshId, address);
  }

  /** What an answer to our knocking has changed. */
  #follow(now: Now, outcome: Outcome, arrival: Arrival, out: Outbox<NodeEvent>): void {
    if (outcome.kind === "granted") {
      const { genesis } = outcome;
      const nothing = { statements: [], admission: undefined, places: [], isAdmitted: false };
      this.#enter(now, { genesis, ...nothing }).noteStart();
      this.#describe();
      this.#mustPersist = true;
      return;
    }
    const mesh = this.#mesh;
    const acceptance = mesh?.take(now, outcome.record, out);
    if (!mesh || !acceptance || acceptance.kind === "refused") return;
    const { member } = acceptance;
    const { from: endpoint, source } = arrival;
    mesh.roster.heardAt(member, { endpoint, source, at: now.boot }, now);
    if (outcome.isThere) mesh.proven(now, arrival.from, member.id, out);
    mesh.tunnels.aim(now, member, out);
    if (!this.#entry.isAdmitted) out.event({ kind: "welcomed" });
    this.#talk?.confirm(now, member.id, outcome.cookie, out);
    if (this.#talk?.observe(member, outcome.observed)) this.#describe();
    // Before the door has our confirmation it hears nothing else from a newcomer.
    if (this.#entry.isAdmitted) mesh.level(now, member.id, out);
  }

  /**
   * A welcome is the door's word before it has seen that we are there: another may use the token up
   * until then. We are in when a member that got our confirmation talks to us, and we hold what shows
   * to others that we are.
   */
  #comeIn(now: Now, out: Outbox<NodeEvent>): void {
    const doorman = this.#talk?.doorman;
    const mesh = this.#mesh;
    if (doorman === undefined || !mesh || this.#entry.isAdmitted) return;
    if (!mesh.isProven(now)) return;
    out.event({ kind: "joined", seed: mesh.roster.who(doorman.id) });
    this.#entry.admitted();
    mesh.level(now, doorman.id, out);
    this.#mustPersist = true;
  }

  #admitAll(now: Now, mesh: Mesh, door: Door, out: Outbox<NodeEvent>): void {
    for (const request of door.list()) {
      const { id } = request.who;
      const approved = approve(this.#o.crypto, mesh, [request], now, id, { yes: true }, out);
      if (approved.ok) door.requests.forget(id);
    }
  }

  /** Everything that follows from whatever just happened. */
  #finish(now: Now, out: Outbox<NodeEvent>): void {
    const mesh = this.#mesh;
    if (mesh) {
      mesh.digest(now, out);
      mesh.settle(now, out);
      mesh.digest(now, out);
      // Whoever is not in yet is known to nobody but its door.
      if (this.#entry.isAdmitted) {
        for (const member of mesh.takeUnheard()) this.#talk?.greet(now, member, out);
      }
      // Before the start nothing is known of what is remembered.
      if (this.#hasStarted) mesh.guests.settle(now, out);
      this.#tellAddresses(mesh, out);
      this.#tellWhetherOut(now, mesh, out);
      mesh.tellOveruse(out);
    }
    this.#entry.pursue(now, mesh, out);
    const isDue = mesh?.isDirty && now.boot >= this.#persistedAt + PERSIST_PACE;
    if (!this.#mustPersist && !isDue && !mesh?.mustPersist) return;
    this.#mustPersist = false;
    this.#persistedAt = now.boot;
    if (mesh) mesh.isDirty = mesh.mustPersist = false;
    out.event({ kind: "persist" });
  }

  #tellAddresses(mesh: Mesh, out: Outbox<NodeEvent>): void {
    const { id } = this.#identity;
    const { ownIp6: ip6 } = mesh;
    // Asked after every step: the other address is the key's, and can only be had or not.
    const text = `${mesh.roster.ip4Text(id) ?? "none"}${ip6 ? "" : " alone"}`;
    if (text === this.#addresses) return;
    this.#addresses = text;
    const ip4 = mesh.roster.ip4(id);
    out.event({ kind: "addresses", ip4, ip6, pool: mesh.genesis.pool });
  }

  #strange(now: Now, { bytes, from }: Arrival): void {
    const version = otherVersionOf(bytes);
    if (version === undefined) this.#drops.foreign++;
    else this.#otherVersions.saw(now, version, from);
  }

  #tellWhetherOut(now: Now, mesh: Mesh, out: Outbox<NodeEvent>): void {
    const isOut = mesh.isRemoved;
    if (isOut && !this.#isOut) out.event({ kind: "revoked" });
    this.#isOut = isOut;
    // Where the word of whoever certified us and others ended, those are forgotten, too, unless it is signed anew soon.
    const isNone = isOut || mesh.membership(now) === undefined;
    if (isNone && !this.#isNone) this.#keepDoors(now, mesh);
    this.#isNone = isNone;
  }

  /**
   * Whoever put us out may put out others, and we forget those: if that is undone, we need a door
   * at which we hear of it.
   */
  #keepDoors(now: Now, mesh: Mesh): void {
    for (const member of Iterator.from(mesh.roster.members()).take(DOORS_KEPT)) {
      const [place] = mesh.roster.places(member, now);
      if (place) this.#entry.remember({ seed: formatEndpoint(place.to), key: member.id });
    }
  }

  #joined(what: string): Decoded<Mesh> {
    if (this.#mesh && this.isMember) return { ok: true, value: this.#mesh };
    return refusal(
      `${what}: this node is not a member of a mesh yet: \`shoal status\` says what it waits for`,
    );
  }

  /** What a person asks of a member, and everything that follows. */
  #asked<T>(
    what: string,
    now: Now,
    out: Outbox<NodeEvent>,
    act: (mesh: Mesh) => Decoded<T>,
  ): Decoded<T> {
    const mesh = this.#joined(what);
    if (!mesh.ok) return mesh;
    mesh.value.lookAtClock(now);
    return this.#finished(now, out, act(mesh.value));
  }

  /** Also after a refusal: part of what was asked may have been done. */
  #finished<T>(now: Now, out: Outbox<NodeEvent>, result: Decoded<T>): Decoded<T> {
    if (result.ok) this.#mustPersist = true;
    this.#mesh?.review(now, out);
    this.#finish(now, out);
    return result;
  }

  #tunnelOut(now: Now, out: Outbox<NodeEvent>): Parameters<Tunnels["up"]>[1] {
    if (this.#mesh) return this.#mesh.tunnels.outbox(now, out);
    const event = (event: Extract<NodeEvent, { kind: "tunnel" }>["event"]) =>
      out.event({ kind: "tunnel", event });
    return { command: out.command, send: out.send, event };
  }
}

/** What a person typed to name somebody, by the name that the mesh has for that. */
function nameFor({ genesis }: Mesh, who: string): string {
  return nameIn(genesis.name, who);
}

/** Those that are most likely asked for first: what arrives is tried with all of them. */
function dialectsOf({ aesGcm, lanes = 1 }: NodeOptions): Dialect[] {
  const aes = aesGcm ? [SHOAL_AES] : [];
  const ofLanes = lanes === 1 ? [] : aesGcm ? [SHOAL_AES_LANE, SHOAL_LANE] : [SHOAL_LANE];
  return [...aes, WIREGUARD, ...ofLanes];
}
