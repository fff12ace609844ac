/**
 * Plays a script: nodes with a set of statements each, people that give commands, thieves that sign what they like, and
 * a network that delivers anything in any order. What a node does is decided by the oracle over the statements that this
 * node has heard, so a history is the same whatever implementation it is put to.
 *
 * Whoever plays the commands follows the procedures of people: an office ends by asking for its holder's list and
 * signing anew what would fall with it; whoever lost statements signs nothing before it has them back.
 */
import {
  type Findings,
  GUESTS_PER_HOST,
  oracle,
  type OracleCertificate,
  type OracleGenesis,
  type OracleStatement,
  type Said,
  type Verdict,
} from "./trust_oracle.ts";
import type { Act, Script, Step } from "./trust_script.ts";
import type { Draft, TrustUnderTest } from "./trust_subject.ts";

/** A procedure done wrongly: each must be found by a property. */
export type Habit =
  | "nothing is signed anew"
  | "the demoted is not asked for its list"
  | "a demoted admin is left without a certificate"
  | "what is signed again keeps no time"
  | "a recovery forgets removals"
  | "guests are not signed anew"
  | "signs before it has heard";

/** A statement of a history. */
export interface Made extends OracleStatement {
  readonly bytes: Uint8Array;
  readonly isHonest: boolean;
}

/** A command, and the statements before and after it: those of its node, or of all that could be reached. */
export interface Done {
  readonly what:
    | "leave"
    | "revoke"
    | "demote"
    | "revokeAdmin"
    | "recover"
    | "withdraw"
    | "endGuest";
  readonly key: string;
  readonly now: number;
  readonly before: readonly number[];
  readonly after: readonly number[];
  /** Nobody was out of reach. */
  readonly isWhole: boolean;
}

/** What came of a script. Numbers of statements are places in `made`. */
export interface History {
  readonly genesis: OracleGenesis;
  readonly made: readonly Made[];
  /** For each node what arrived, in its order, repeats included. */
  readonly heard: readonly (readonly number[])[];
  readonly done: readonly Done[];
  readonly now: number;
  /** All keys of the history. */
  readonly keys: readonly string[];
  readonly tokens: readonly string[];
  /** By mesh key: the keys that it promoted by a person's command, and those that it demoted. */
  readonly promoted: ReadonlyMap<string, ReadonlySet<string>>;
  readonly demoted: ReadonlyMap<string, ReadonlySet<string>>;
  /** Mesh keys of which a thief has a copy. */
  readonly lostMeshKeys: ReadonlySet<string>;
  readonly isHonest: boolean;
  /** Commands that ended an office while the mesh was in parts. */
  readonly demotionsApart: number;
  /** What happened, to read, and what it calls each key. */
  readonly log: readonly string[];
  readonly labels: ReadonlyMap<string, string>;
}

const FOREVER = 2 ** 48 - 1;
const DAY = 86_400;
const SKEW = 300;
const BEGIN = 1_800_000_000;
const NAMES = ["lyon", "oslo", "rome", "bern", "a-name-that-is-as-long-as-names-are-allowed-to-be"];
const WAITS = [1, 60, 400, DAY, 8 * DAY];
const LIVES = [DAY, 5 * DAY, 400 * DAY, FOREVER - BEGIN - 500 * DAY];

/** Few addresses, so that they clash. */
export function ip4Of(key: string, counter: number): number {
  return (parseInt(key.slice(0, 6), 16) + 7 * counter) % 11;
}

interface Admission {
  readonly subject: string;
  readonly token: string;
  readonly time: number;
  readonly name: string;
}

interface Node {
  readonly index: number;
  readonly key: string;
  readonly known: Set<number>;
  readonly heard: number[];
  /** Found its disk set back, and has not heard everybody since. */
  mayLack: boolean;
  /** The mesh key that lies on its disk. */
  meshKey: string | undefined;
  isStolen: boolean;
  side: number;
}

/** Plays it over the keys and bytes of this implementation. */
export function play(script: Script, hands: TrustUnderTest, habit?: Habit): History {
  const player = new Player(script.nodes, hands, habit);
  for (const step of script.steps) player.step(step);
  return player.history();
}

class Player {
  readonly #genesis: OracleGenesis;
  readonly #nodes: Node[];
  readonly #made: Made[] = [];
  readonly #admissions: Admission[] = [];
  readonly #tokens: string[] = [];
  /** The door of each token. */
  readonly #doors = new Map<string, string>();
  readonly #strangers: string[];
  readonly #guestKeys: string[] = [];
  readonly #meshKeys: string[];
  readonly #done: Done[] = [];
  readonly #promoted = new Map<string, Set<string>>();
  readonly #demoted = new Map<string, Set<string>>();
  readonly #lost = new Set<string>();
  readonly #log: string[] = [];
  #now = BEGIN;
  #isHonest = true;
  #demotionsApart = 0;

  constructor(
    begins: readonly number[],
    private readonly hands: TrustUnderTest,
    private readonly habit: Habit | undefined,
  ) {
    const meshKey = hands.key(100);
    this.#meshKeys = [meshKey];
    this.#genesis = { mesh: "this", meshKey, recoveryKey: hands.key(99) };
    this.#strangers = [hands.key(300), hands.key(301)];
    this.#nodes = [0, ...begins].map((_, index) => ({
      index,
      key: hands.key(index),
      known: new Set(),
      heard: [],
      mayLack: false,
      meshKey: index === 0 ? meshKey : undefined,
      isStolen: false,
      side: 0,
    }));
    this.#found(begins);
  }

  history(): History {
    return {
      genesis: this.#genesis,
      made: this.#made,
      heard: this.#nodes.map(({ heard }) => heard),
      done: this.#done,
      now: this.#now,
      keys: this.#keys(),
      tokens: this.#tokens,
      promoted: this.#promoted,
      demoted: this.#demoted,
      lostMeshKeys: this.#lost,
      isHonest: this.#isHonest,
      demotionsApart: this.#demotionsApart,
      log: this.#log,
      labels: new Map(this.#keys().map((key) => [key, this.#name(key)])),
    };
  }

  step(step: Step): void {
    this.#now++;
    const before = this.#made.length;
    this.#act(step);
    // A command's statements reach nobody, one other node, or all of this part of the mesh.
    if (this.#made.length === before) return;
    const doer = this.#doer(step.act, step.by);
    const others = this.#reachable(doer);
    const spread = step.how % 4;
    if (spread === 0) return;
    const to = spread === 1 ? [this.#pick(others, step.to)] : others;
    for (const other of to) if (other !== undefined) this.#tell(doer, other, step.how);
  }

  #act({ act, by, to, how }: Step): void {
    const doer = this.#doer(act, by);
    const target = this.#target(act, doer, to);
    const acts: Record<Act, () => void> = {
      promote: () => this.#promote(doer, target),
      promoteAgain: () => this.#promote(doer, target, true),
      demote: () => this.#endOffice(doer, target, how, false),
      revokeAdmin: () => this.#endOffice(doer, target, how, true),
      revoke: () => this.#revoke(doer, target),
      leave: () => this.#leave(doer),
      invite: () => this.#invite(doer, target, how),
      join: () => this.#join(doer, how),
      lateJoin: () => this.#overuse(doer, how, true),
      overuse: () => this.#overuse(doer, how, false),
      certify: () => this.#certify(doer),
      approve: () => this.#approve(doer, target, how),
      recover: () => this.#recover(doer, how),
      revokeToken: () => this.#revokeToken(doer, to),
      addGuest: () => this.#addGuest(doer, how),
      endGuest: () => this.#endGuest(doer, how),
      rollback: () => this.#rollBack(doer, how),
      split: () => this.#split(to),
      heal: () => this.#heal(),
      meet: () => this.#meet(doer, target, how),
      gossip: () => this.#gossip(how),
      replay: () => this.#replay(doer, target, how),
      wait: () => this.#wait(how),
      steal: () => this.#steal(doer),
      stealMeshKey: () => this.#stealMeshKey(),
      forge: () => this.#forge(doer, by, to, how, { number: undefined }),
      reuseNumber: () => this.#reuseNumber(doer, by, to, how),
      pretend: () => this.#pretend(doer, by, to, how),
      sayElsewhere: () => this.#sayElsewhere(doer, by, to, how),
    };
    acts[act]();
  }

  /** Commands are given where they may be carried out, most of the time. */
  #doer(act: Act, by: number): Node {
    const anybody = this.#pick(this.#nodes, by);
    if (by % 16 === 0) return anybody;
    const holds = (test: (node: Node) => boolean) => {
      const able = this.#nodes.filter(test);
      return able.length === 0 ? anybody : this.#pick(able, by);
    };
    switch (act) {
      case "promote":
      case "promoteAgain":
      case "demote":
      case "revokeAdmin":
        return holds(({ meshKey }) => meshKey === this.#meshKeys.at(-1));
      case "revoke":
      case "invite":
      case "approve":
      case "certify":
      case "revokeToken":
      case "addGuest":
      case "endGuest":
        return holds(({ key }) => this.#isInOffice(key));
      case "join":
        return holds(({ key }) => !this.#isGiven(key));
      default:
        return anybody;
    }
  }

  #target(act: Act, doer: Node, to: number): Node {
    const wanted = this.#nodes.filter((node) =>
      node !== doer && (act !== "demote" && act !== "revokeAdmin" || this.#isInOffice(node.key))
    );
    return this.#pick(wanted.length === 0 ? this.#nodes : wanted, to);
  }

  #isInOffice(key: string): boolean {
    const meshKey = this.#meshKeys.at(-1) ?? "";
    return this.#promoted.get(meshKey)?.has(key) === true &&
      this.#demoted.get(meshKey)?.has(key) !== true;
  }

  /** Whether anybody has ever given this key a membership. */
  #isGiven(key: string): boolean {
    return this.#made.some(({ says }) =>
      (says.kind === "member" || says.kind === "admin") && says.certificate.key === key
    );
  }

  // ---- the mesh as it begins

  #found(begins: readonly number[]): void {
    const [founder] = this.#nodes;
    if (founder === undefined) throw new TypeError("no nodes");
    this.#sayAdmin(founder, founder.key, this.#certificate(founder.key, "lyon", 0));
    for (const [i, begin] of begins.entries()) {
      const node = this.#nodes[i + 1];
      if (node === undefined) continue;
      const name = this.#pick(NAMES, begin + i);
      const certificate = this.#certificate(node.key, name, begin % 3);
      if (begin % 5 > 2) continue; // no member yet
      if (begin % 5 === 2) this.#sayAdmin(founder, node.key, certificate);
      else {
        const signer = begin % 5 === 0 ? founder.key : founder.meshKey ?? "";
        this.#say(founder, signer, { kind: "member", certificate, until: FOREVER });
      }
    }
    for (const node of this.#nodes) {
      if (this.#isGiven(node.key) && node !== founder) this.#tell(founder, node, node.index);
    }
  }

  // ---- commands

  /** Whether this node's person may sign now, and what the node holds true. */
  #ready(node: Node): Findings | undefined {
    if (node.mayLack && this.habit !== "signs before it has heard") {
      if (!this.#isWhole()) return undefined;
      this.#hearAll(node);
    }
    return this.#view(node);
  }

  #readyAsMeshKey(node: Node): { view: Findings; meshKey: string } | undefined {
    const view = this.#ready(node);
    if (view === undefined || node.meshKey !== view.meshKey) return undefined;
    return { view, meshKey: node.meshKey };
  }

  #readyAsAdmin(node: Node): Findings | undefined {
    const view = this.#ready(node);
    return view?.admins.includes(node.key) === true && isMember(view, node.key) ? view : undefined;
  }

  #promote(doer: Node, target: Node, again = false): void {
    const ready = this.#readyAsMeshKey(doer);
    const verdict = ready?.view.verdicts.get(target.key);
    if (ready === undefined || verdict === undefined) return;
    const demoted = this.#demoted.get(ready.meshKey);
    if (again && demoted !== undefined) {
      // A person insists: the key was demoted under this mesh key.
      for (const key of demoted) {
        this.#log.push(`promote again ${this.#name(key)}`);
        this.#say(doer, ready.meshKey, {
          kind: "admin",
          certificate: this.#certificate(key, "again", 0),
        });
      }
      return;
    }
    if (verdict.kind !== "member" || verdict.standing === "admin") return;
    if (demoted?.has(target.key)) return;
    this.#log.push(`${doer.index} promotes ${target.index}`);
    this.#sayAdmin(doer, target.key, this.#again(target.key, verdict));
  }

  #endOffice(doer: Node, target: Node, how: number, isRevoked: boolean): void {
    if (this.#readyAsMeshKey(doer) === undefined) return;
    const isWhole = this.#isWhole();
    if (isWhole) {
      for (const node of this.#nodes) {
        const isAsked = this.habit !== "the demoted is not asked for its list" || node !== target;
        if (isAsked && node !== doer) this.#tell(node, doer, how);
      }
    } else if (target.side === doer.side) this.#tell(target, doer, how);
    const ready = this.#readyAsMeshKey(doer);
    if (ready === undefined || !ready.view.admins.includes(target.key)) return;
    // Nobody ends the last office, or its own, without a reason that this player does not have.
    if (ready.view.admins.length < 2 || target === doer) return;
    const { meshKey } = ready;
    if (!isWhole) this.#demotionsApart++;
    const what = isRevoked ? "revokeAdmin" : "demote";
    this.#log.push(`${doer.index} ${what}s ${target.index}${isWhole ? "" : " in a part"}`);
    // The view to restore: without what thieves have said, which a person does not confirm.
    const wanted = this.#view(doer, true);
    this.#note(what, doer, target.key, () => {
      this.#say(doer, meshKey, { kind: "demoted", key: target.key });
      mapOf(this.#demoted, meshKey).add(target.key);
      if (isRevoked) this.#say(doer, meshKey, { kind: "removed", key: target.key });
      const isOffice = how % 2 === 1 && doer.key !== target.key &&
        ready.view.admins.includes(doer.key);
      this.#signAnew(doer, wanted, isOffice ? doer.key : meshKey, target.key, isRevoked);
    });
  }

  /** Signs anew every membership, with its name, address and time, and every removal that was and is no more. */
  #signAnew(
    doer: Node,
    wanted: Findings,
    signer: string,
    fallen: string | undefined,
    isRevoked: boolean,
  ): void {
    if (this.habit === "nothing is signed anew") return;
    for (let round = 0; round < 3; round++) {
      const view = this.#view(doer);
      let isDone = true;
      for (const key of this.#keys()) {
        const was = wanted.verdicts.get(key);
        const is = view.verdicts.get(key);
        if (was === undefined || is === undefined) continue;
        if (key === fallen) {
          if (isRevoked || this.habit === "a demoted admin is left without a certificate") continue;
        }
        if (was.kind === "member" && !isKept(was, is)) {
          isDone = false;
          const certificate = this.#again(key, was);
          const until = was.until ?? FOREVER;
          const { token } = was;
          const member = { kind: "member", certificate, until } as const;
          this.#say(doer, signer, token === undefined ? member : { ...member, token });
        } else if (fallen === undefined && this.habit === "a recovery forgets removals") continue;
        else if (isRefused(was, "removed") && !isRefused(is, "removed") && !isAdmin(is)) {
          isDone = false;
          // An admin's word is nothing against who had an office.
          const by = view.offices.includes(key) ? view.meshKey : signer;
          this.#say(doer, by, { kind: "removed", key });
        }
      }
      if (isDone) break;
    }
    if (this.habit === "guests are not signed anew") return;
    const view = this.#view(doer);
    for (const guest of wanted.guests) {
      if (view.guests.some(({ key, host }) => key === guest.key && host === guest.host)) continue;
      // A guest ends with its host, and stays ended with whoever said so.
      const isHosted = isMember(view, guest.host);
      const says = isHosted ? this.#guestSaying(doer, guest.key, wanted) : undefined;
      if (says && !view.withdrawn.includes(guest.key)) this.#say(doer, signer, says);
    }
    // What ended one before ends it still.
    for (const key of wanted.withdrawn) {
      if (this.#guestKeys.includes(key) && !view.withdrawn.includes(key)) {
        this.#say(doer, signer, { kind: "withdrawn", key });
      }
    }
  }

  /** What was said last of a guest by whoever counted then. */
  #guestSaying(node: Node, key: string, { admins, meshKey }: Findings): Said | undefined {
    let found: Made | undefined;
    for (const i of node.known) {
      const one = this.#at(i);
      if (one.says.kind !== "guest" || one.says.certificate.key !== key || !one.isHonest) continue;
      if (one.signer !== meshKey && !admins.includes(one.signer)) continue;
      const isLater = found === undefined || one.at > found.at ||
        one.at === found.at && one.hash < found.hash;
      if (isLater) found = one;
    }
    return found?.says;
  }

  /** A device becomes a guest of this node, or moves to it. */
  #addGuest(doer: Node, how: number): void {
    const view = this.#readyAsAdmin(doer);
    if (view === undefined || this.#guestKeys.length > 6) return;
    if (view.guests.filter(({ host }) => host === doer.key).length >= GUESTS_PER_HOST) return;
    const isNew = how % 4 > 0;
    const moved = this.#pick(this.#guestKeys, how);
    const key = isNew || moved === undefined ? this.hands.key(400 + this.#guestKeys.length) : moved;
    if (view.withdrawn.includes(key)) return;
    if (!this.#guestKeys.includes(key)) this.#guestKeys.push(key);
    this.#log.push(`${doer.index} adds ${this.#name(key)}`);
    this.#say(doer, doer.key, {
      kind: "guest",
      certificate: this.#certificate(key, this.#pick(NAMES, how >> 2), how % 3),
      until: this.#now + this.#pick(LIVES, how >> 4),
      host: doer.key,
    });
  }

  #endGuest(doer: Node, which: number): void {
    const view = this.#readyAsAdmin(doer);
    const guest = view && this.#pick(view.guests, which);
    if (guest === undefined) return;
    this.#log.push(`${doer.index} ends ${this.#name(guest.key)}`);
    this.#note("endGuest", doer, guest.key, () => {
      this.#say(doer, doer.key, { kind: "withdrawn", key: guest.key });
    });
  }

  /** The statement about a token that is in force, the one signed last. */
  #tokenIn(node: Node, token: string, { admins, meshKey }: Findings) {
    let found: Made | undefined;
    for (const i of node.known) {
      const one = this.#at(i);
      if (one.says.kind !== "token" || one.says.key !== token) continue;
      if (one.signer !== one.signedBy || one.mesh !== this.#genesis.mesh) continue;
      if (one.signer !== meshKey && !admins.includes(one.signer)) continue;
      const isLater = found === undefined || one.at > found.at ||
        one.at === found.at && one.hash < found.hash;
      if (isLater) found = one;
    }
    return found?.says.kind === "token" ? found.says : undefined;
  }

  #revoke(doer: Node, target: Node): void {
    const view = this.#readyAsAdmin(doer);
    if (view === undefined || target === doer || view.admins.includes(target.key)) return;
    if (!isMember(view, target.key)) return;
    // An admin's word is nothing against who had an office.
    const by = view.offices.includes(target.key) ? view.meshKey : doer.key;
    if (by === view.meshKey && doer.meshKey !== by) return;
    this.#log.push(`${doer.index} revokes ${target.index}`);
    this.#note("revoke", doer, target.key, () => {
      this.#say(doer, by, { kind: "removed", key: target.key });
    });
  }

  #leave(doer: Node): void {
    const view = this.#ready(doer);
    if (view === undefined || !isMember(view, doer.key)) return;
    // Refused for the last admin and for the holder of the mesh key.
    if (doer.meshKey === view.meshKey) return;
    if (view.admins.includes(doer.key) && view.admins.length < 2) return;
    this.#log.push(`${doer.index} leaves`);
    this.#note("leave", doer, doer.key, () => this.#say(doer, doer.key, { kind: "left" }));
  }

  #invite(doer: Node, door: Node, how: number): void {
    const view = this.#readyAsAdmin(doer);
    if (view === undefined || this.#tokens.length > 4) return;
    const key = this.hands.key(200 + this.#tokens.length);
    this.#tokens.push(key);
    this.#doors.set(key, door.key);
    const uses = 1 + how % 3;
    this.#log.push(`${doer.index} invites ${uses} through ${door.index}`);
    this.#say(doer, doer.key, {
      kind: "token",
      key,
      uses,
      groups: ["db"],
      relay: false,
      until: this.#now + this.#pick(LIVES, how >> 2),
      memberUntil: this.#now + this.#pick(LIVES, how >> 4),
      doors: [door.key],
    });
    if (door !== doer && door.side === doer.side) this.#tell(doer, door, how);
  }

  /** A node that is no member yet knocks at a door with a token. */
  #join(doer: Node, how: number): void {
    const token = this.#pick(this.#tokens, how);
    const door = this.#nodes.find(({ key }) => key === this.#doors.get(token));
    if (door === undefined || door === doer || door.side !== doer.side) return;
    const view = this.#view(door);
    const made = this.#tokenIn(door, token, view);
    if (made === undefined || !made.doors.includes(door.key) || !isMember(view, door.key)) return;
    if (this.#now > made.until || view.withdrawn.includes(token)) return;
    if (!isRefused(view.verdicts.get(doer.key), "stranger")) return;
    this.#log.push(`${doer.index} joins through ${door.index}`);
    this.#admissions.push({
      subject: doer.key,
      token,
      time: this.#now,
      name: this.#pick(NAMES, how),
    });
    this.#tell(door, doer, how);
    if (how % 3 > 0) { for (const node of this.#reachable(door)) this.#certify(node); }
  }

  /** An admin's node certifies on sight whom a token admitted. */
  #certify(doer: Node): void {
    const view = this.#readyAsAdmin(doer);
    if (view === undefined || doer.isStolen) return;
    for (const { subject, token, time, name } of this.#admissions) {
      const now = this.#view(doer);
      const made = this.#tokenIn(doer, token, now);
      if (made === undefined || time > made.until || this.#now > made.until + 7 * DAY) continue;
      if (now.withdrawn.includes(token)) continue;
      if (!isRefused(now.verdicts.get(subject), "stranger")) continue;
      if (this.#usersOf(doer, token, now).size >= made.uses) continue;
      const taken = new Set(now.names.values());
      let free = name;
      for (let n = 2; taken.has(free); n++) free = `${name}-${n}`;
      const counter = [0, 1, 2, 3].find((n) =>
        ![...now.verdicts].some(([key, verdict]) =>
          verdict.kind === "member" && ip4Of(key, verdict.ip4Counter) === ip4Of(subject, n)
        )
      );
      const certificate = this.#certificate(subject, free, counter ?? 0, made.groups);
      const use = { key: token, uses: made.uses };
      this.#log.push(`${doer.index} certifies ${this.#name(subject)}`);
      this.#say(doer, doer.key, {
        kind: "member",
        certificate,
        until: made.memberUntil,
        token: use,
      });
    }
  }

  #usersOf(node: Node, token: string, { admins, meshKey }: Findings): Set<string> {
    const users = new Set<string>();
    for (const i of node.known) {
      const { says, signer } = this.#at(i);
      if (says.kind !== "member" || says.token?.key !== token) continue;
      if (signer === meshKey || admins.includes(signer)) users.add(says.certificate.key);
    }
    return users;
  }

  /** Admits or renews, perhaps under another name. */
  #approve(doer: Node, target: Node, how: number): void {
    const view = this.#readyAsAdmin(doer);
    const verdict = view?.verdicts.get(target.key);
    if (view === undefined || verdict === undefined || isAdmin(verdict)) return;
    if (isRefused(verdict, "removed") || isRefused(verdict, "left")) return;
    const name = this.#pick(NAMES, how >> 2);
    const old = verdict.kind === "member" ? verdict : undefined;
    const certificate = old === undefined
      ? this.#certificate(target.key, name, how % 3)
      : { ...this.#again(target.key, old), name };
    this.#log.push(`${doer.index} approves ${target.index} as ${name}`);
    const until = this.#now + this.#pick(LIVES, how >> 4);
    this.#say(doer, doer.key, { kind: "member", certificate, until });
  }

  #revokeToken(doer: Node, which: number): void {
    const view = this.#readyAsAdmin(doer);
    const token = this.#pick(this.#tokens, which);
    if (view === undefined || token === undefined) return;
    this.#log.push(`${doer.index} ends a token`);
    this.#note("withdraw", doer, token, () => {
      this.#say(doer, doer.key, { kind: "withdrawn", key: token });
    });
  }

  /** The words of the recovery key are typed at this node. */
  #recover(doer: Node, how: number): void {
    const view = this.#ready(doer);
    if (view === undefined || !isMember(view, doer.key) || this.#meshKeys.length > 3) return;
    const wanted = this.#view(doer, true);
    const meshKey = this.hands.key(100 + this.#meshKeys.length);
    this.#meshKeys.push(meshKey);
    this.#log.push(`${doer.index} recovers the mesh key`);
    this.#note("recover", doer, meshKey, () => {
      this.#say(doer, this.#genesis.recoveryKey, { kind: "successor", key: meshKey });
      doer.meshKey = meshKey;
      for (const key of wanted.admins) {
        const verdict = wanted.verdicts.get(key);
        const isStolen = this.#nodes.some((node) => node.key === key && node.isStolen);
        if (isStolen || verdict?.kind !== "member") continue;
        this.#sayAdmin(doer, key, this.#again(key, verdict));
      }
      for (const key of wanted.offices) {
        if (wanted.admins.includes(key)) continue;
        this.#say(doer, meshKey, { kind: "demoted", key });
        mapOf(this.#demoted, meshKey).add(key);
      }
      const isOffice = how % 2 === 1 && this.#view(doer).admins.includes(doer.key);
      this.#signAnew(doer, wanted, isOffice ? doer.key : meshKey, undefined, false);
    });
  }

  /** The disk is set back to an earlier state. */
  #rollBack(node: Node, how: number): void {
    if (node.known.size === 0) return;
    const kept = [...node.known].slice(0, 1 + how % node.known.size);
    node.known.clear();
    for (const i of kept) node.known.add(i);
    node.heard.splice(0, node.heard.length, ...kept);
    node.mayLack = true;
    this.#log.push(`${node.index} is set back to ${kept.length} statements`);
  }

  // ---- the network

  #split(mask: number): void {
    for (const node of this.#nodes) node.side = mask >> node.index & 1;
    this.#log.push(`split ${this.#nodes.map(({ side }) => side).join("")}`);
  }

  #heal(): void {
    for (const node of this.#nodes) node.side = 0;
    this.#log.push("heal");
  }

  #meet(from: Node, to: Node, how: number): void {
    if (from.side !== to.side || from === to) return;
    // Some of it gets lost.
    for (const i of shuffled([...from.known], how)) {
      if ((i * 7 + how) % 3 > 0) this.#learn(to, i);
    }
  }

  #gossip(how: number): void {
    for (const from of this.#nodes) {
      for (const to of this.#reachable(from)) this.#tell(from, to, how);
    }
  }

  /** What a node has heard arrives once more, perhaps at one that is out of reach: someone carries it there. */
  #replay(from: Node, to: Node, how: number): void {
    const list = shuffled([...from.known], how).slice(0, 3);
    for (const i of list) {
      this.#learn(to, i);
      to.heard.push(i);
    }
  }

  #wait(how: number): void {
    this.#now += this.#pick(WAITS, how);
  }

  #isWhole(): boolean {
    return this.#nodes.every(({ side }) => side === this.#nodes[0]?.side);
  }

  #reachable(node: Node): Node[] {
    return this.#nodes.filter((other) => other !== node && other.side === node.side);
  }

  #hearAll(node: Node): void {
    for (const other of this.#nodes) if (other !== node) this.#tell(other, node, other.index);
    node.mayLack = false;
  }

  #tell(from: Node, to: Node, how: number): void {
    for (const i of shuffled([...from.known], how)) this.#learn(to, i);
  }

  #learn(node: Node, i: number): void {
    if (node.known.has(i)) return;
    node.known.add(i);
    node.heard.push(i);
  }

  // ---- thieves, who know everything and hand it to whom they like

  #steal(node: Node): void {
    node.isStolen = true;
    this.#isHonest = false;
    this.#log.push(`${node.index} is a thief's`);
  }

  /** Somebody copies the mesh key of now; only a successor helps. */
  #stealMeshKey(): void {
    const meshKey = this.#meshKeys.at(-1) ?? "";
    this.#lost.add(meshKey);
    this.#isHonest = false;
    this.#log.push("the mesh key is a thief's");
  }

  #villains(): string[] {
    const stolen = this.#nodes.filter(({ isStolen }) => isStolen).map(({ key }) => key);
    return [...stolen, ...this.#lost, ...this.#tokens, ...this.#strangers];
  }

  #forge(
    node: Node,
    by: number,
    to: number,
    how: number,
    change: { number: number | undefined; signedBy?: string; mesh?: string; signer?: string },
  ): void {
    this.#isHonest = false;
    if (by % 2 === 0 && !node.isStolen) this.#steal(node);
    const signer = change.signer ?? this.#pick(this.#villains(), by >> 1);
    const says = this.#anySaying(signer, to, how);
    const at = this.#pick([this.#now, this.#now + 1, BEGIN, this.#now + DAY], how >> 5);
    const own = this.#made.filter((one) => one.signer === signer).map(({ number }) => number);
    const number = says.kind === "left" ? 0 : change.number ?? 1 + Math.max(0, ...own);
    const { signedBy = signer, mesh = this.#genesis.mesh } = change;
    this.#log.push(
      `thief: ${this.#name(signer)} #${number} ${says.kind} ${this.#about(says)}` +
        `${signedBy === signer ? "" : ", forged"}${
          mesh === this.#genesis.mesh ? "" : " elsewhere"
        }`,
    );
    this.#make(node, { signer, signedBy, mesh, number, at, says }, false);
  }

  #anySaying(signer: string, to: number, how: number): Said {
    const target = this.#pick(this.#keys(), to);
    const time = this.#pick([0, BEGIN, this.#now, this.#now + 200, this.#now + DAY], how >> 3);
    const certificate: OracleCertificate = {
      key: target,
      // Sometimes a name by which another is shown that lost it.
      name: this.#pick([...NAMES, `lyon-${this.#pick(this.#keys(), to + 1).slice(0, 32)}`], to),
      groups: ["root"],
      relay: true,
      ip4Counter: how % 4,
      since: time,
    };
    const until = FOREVER;
    const token = this.#pick(this.#tokens, to);
    const use = token === undefined
      ? undefined
      : { key: token, uses: this.#pick([1, 2, 60_000], how >> 4) };
    const list: Said[] = [
      { kind: "member", certificate, until },
      { kind: "removed", key: target },
      { kind: "admin", certificate },
      { kind: "demoted", key: target },
      { kind: "left" },
      { kind: "successor", key: this.#pick(this.#strangers, to) },
      {
        kind: "token",
        key: this.#pick([signer, target, ...this.#strangers, ...this.#tokens], to),
        uses: 60_000,
        groups: ["root"],
        relay: true,
        until,
        memberUntil: until,
        doors: [signer],
      },
      use === undefined
        ? { kind: "removed", key: target }
        : { kind: "member", certificate, until, token: use },
      { kind: "withdrawn", key: this.#pick([target, ...this.#tokens], to >> 1) },
      { kind: "guest", certificate: { ...certificate, relay: false }, until, host: target },
      {
        kind: "guest",
        certificate: {
          ...certificate,
          key: this.#pick([...this.#guestKeys, ...this.#strangers, target], to >> 2),
          relay: false,
        },
        until: time + DAY,
        host: this.#pick(this.#nodes, to >> 1).key,
      },
    ];
    return this.#pick(list, how);
  }

  /** A signer that has signed before gives one of its numbers away once more. */
  #reuseNumber(at: Node, by: number, to: number, how: number): void {
    if (by % 2 === 0 && !at.isStolen) this.#steal(at);
    const villains = this.#villains();
    const own = this.#made.filter(({ signer, number }) => number > 0 && villains.includes(signer));
    const one = this.#pick(own, by >> 1);
    if (one === undefined) return;
    this.#forge(at, by, to, how, { number: one.number, signer: one.signer });
  }

  /** A statement in another's name; its signature is the thief's. */
  #pretend(at: Node, by: number, to: number, how: number): void {
    const signedBy = this.#pick(this.#villains(), by >> 1);
    const honest = this.#nodes.filter(({ isStolen }) => !isStolen).map(({ key }) => key);
    const mesh = this.#meshKeys.filter((key) => !this.#lost.has(key));
    const signer = this.#pick([...mesh, this.#genesis.recoveryKey, ...honest], to >> 1);
    if (signer === undefined || signer === signedBy) return;
    this.#forge(at, 1, to, how, { number: undefined, signer, signedBy });
  }

  /** The mesh key, or an admin, is at home in another mesh, too. */
  #sayElsewhere(at: Node, by: number, to: number, how: number): void {
    const signer = this.#pick([...this.#meshKeys, ...this.#nodes.map(({ key }) => key)], by >> 1);
    this.#forge(at, 1, to, how, { number: undefined, signer, mesh: "other" });
  }

  /** A thief's door and a thief's token: admissions beyond what was meant, by back-dated word; a thief's admin certifies them. */
  #overuse(door: Node, how: number, isLate: boolean): void {
    const token = this.#pick(this.#tokens, how);
    if (token === undefined) return;
    this.#isHonest = false;
    const subject = this.#pick(this.#strangers, how >> 3);
    this.#log.push(`thief: ${this.#name(subject)} is admitted once more`);
    const time = isLate ? this.#now + 20 * DAY : BEGIN;
    this.#admissions.push({ subject, token, time, name: "lyon" });
    const made = this.#tokenIn(door, token, this.#view(door));
    if (door.isStolen && made !== undefined) {
      this.#make(door, {
        signer: door.key,
        signedBy: door.key,
        mesh: this.#genesis.mesh,
        number: 1 + this.#made.filter(({ signer }) => signer === door.key).length,
        at: this.#now,
        says: {
          kind: "member",
          certificate: this.#certificate(subject, "lyon", how % 4),
          until: FOREVER,
          token: { key: token, uses: made.uses },
        },
      }, false);
    }
    for (const node of this.#reachable(door)) this.#certify(node);
  }

  // ---- statements

  #sayAdmin(node: Node, key: string, certificate: OracleCertificate): void {
    const meshKey = node.meshKey ?? "";
    mapOf(this.#promoted, meshKey).add(key);
    this.#say(node, meshKey, { kind: "admin", certificate });
  }

  /** An honest node's statement, with the number after those of this signer that the node knows. */
  #say(node: Node, signer: string, says: Said): void {
    const own = [...node.known].map((i) => this.#at(i)).filter((one) =>
      one.signer === signer && one.signedBy === signer && one.mesh === this.#genesis.mesh
    ).map(({ number }) => number);
    const number = says.kind === "left" ? 0 : 1 + Math.max(0, ...own);
    const { mesh } = this.#genesis;
    const at = this.#timeOf(node, says);
    this.#make(node, { signer, signedBy: signer, mesh, number, at, says }, true);
  }

  #make(node: Node, draft: Draft, isHonest: boolean): void {
    this.#made.push({ ...draft, ...this.hands.sign(draft, this.#genesis), isHonest });
    this.#learn(node, this.#made.length - 1);
  }

  #certificate(
    key: string,
    name: string,
    ip4Counter: number,
    groups: readonly string[] = [],
  ): OracleCertificate {
    return { key, name, groups, relay: false, ip4Counter, since: this.#now };
  }

  /** What a key has, signed anew. */
  #again(key: string, had: Verdict & { kind: "member" }): OracleCertificate {
    const { name, groups, relay, ip4Counter } = had;
    const since = this.habit === "what is signed again keeps no time" ? this.#now : had.since;
    return { key, name, groups, relay, ip4Counter, since };
  }

  /** Now; of a certificate later than every other of its key that is not ahead of all clocks. */
  #timeOf(node: Node, said: Said): number {
    if (said.kind !== "member" && said.kind !== "admin" && said.kind !== "guest") {
      return this.#now;
    }
    let time = this.#now;
    for (const i of node.known) {
      const { says, at } = this.#at(i);
      if (says.kind !== "member" && says.kind !== "admin" && says.kind !== "guest") continue;
      if ((says.kind === "guest") !== (said.kind === "guest")) continue;
      if (says.certificate.key !== said.certificate.key || at >= this.#now + SKEW) continue;
      time = Math.max(time, at + 1);
    }
    return time;
  }

  #note(what: Done["what"], node: Node, key: string, does: () => void): void {
    // An office ends in the sight of everybody who can be reached, whether its doer asked them or not.
    const isOffice = what === "demote" || what === "revokeAdmin";
    const asked = isOffice ? [node, ...this.#reachable(node)] : [node];
    const before = [...new Set(asked.flatMap(({ known }) => [...known]))];
    const first = this.#made.length;
    does();
    const after = [...before, ...this.#made.keys().drop(first)];
    this.#done.push({ what, key, now: this.#now, before, after, isWhole: this.#isWhole() });
  }

  /** What a node holds true; without what thieves signed, for a person who confirms each line. */
  #view(node: Node, isConfirmed = false): Findings {
    const known = [...node.known].map((i) => this.#at(i)).filter(({ isHonest }) =>
      !isConfirmed || isHonest
    );
    return oracle(this.#genesis, known, this.#now, this.#keys(), ip4Of);
  }

  #at(i: number): Made {
    const made = this.#made[i];
    if (made === undefined) throw new TypeError(`no statement ${i}`);
    return made;
  }

  #keys(): string[] {
    const nodes = this.#nodes.map(({ key }) => key);
    return [
      ...nodes,
      ...this.#strangers,
      ...this.#tokens,
      ...this.#guestKeys,
      ...this.#meshKeys,
      this.#genesis.recoveryKey,
    ];
  }

  /** Nodes and strangers by number, for the log. */
  #name(key: string): string {
    const node = this.#nodes.findIndex((one) => one.key === key);
    if (node >= 0) return `node ${node}`;
    for (
      const [what, list] of [
        ["mesh key", this.#meshKeys],
        ["token", this.#tokens],
        ["stranger", this.#strangers],
        ["guest", this.#guestKeys],
      ] as const
    ) {
      if (list.includes(key)) return `${what} ${list.indexOf(key)}`;
    }
    return "the recovery key";
  }

  #about(says: Said): string {
    if (says.kind === "left") return "";
    const subject = this.#name("key" in says ? says.key : says.certificate.key);
    const token = says.kind === "member" && says.token ? this.#name(says.token.key) : "";
    return token === "" ? subject : `${subject} by ${token}`;
  }

  #pick<T>(list: readonly T[], number: number): T {
    return list[number % list.length] as T;
  }
}

function isMember(view: Findings, key: string): boolean {
  return view.verdicts.get(key)?.kind === "member";
}

function isAdmin(verdict: Verdict): boolean {
  return verdict.kind === "member" && verdict.standing === "admin";
}

function isRefused(verdict: Verdict | undefined, why: string): boolean {
  return verdict?.kind === "refused" && verdict.why === why;
}

/** Whether a membership is what it was, in all but the office. */
function isKept(was: Verdict & { kind: "member" }, is: Verdict): boolean {
  return is.kind === "member" && is.name === was.name && is.ip4Counter === was.ip4Counter &&
    is.since === was.since && is.groups.join() === was.groups.join() && is.relay === was.relay &&
    (was.standing === "admin" || is.until === was.until);
}

function mapOf(map: Map<string, Set<string>>, key: string): Set<string> {
  const found = map.get(key) ?? new Set();
  map.set(key, found);
  return found;
}

/** Another order of a list, decided by a number. */
function shuffled<T>(list: readonly T[], number: number): T[] {
  const order = list.map((item, i) => ({ item, rank: (i + 1) * (2 * number + 1) % 257 }));
  return order.sort((a, b) => a.rank - b.rank).map(({ item }) => item);
}
