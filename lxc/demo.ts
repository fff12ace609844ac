/**
 * `./run demo`: a mesh of nodes on this machine, each in a network namespace of its own as if it were a machine of its
 * own: it forms, talks in secret, loses its founder and goes on, and puts out the founder's machine when a thief has it.
 * Every line that begins with "ok" was checked; the exit code is 0 only when all of them were true.
 */

import { setTimeout as delay } from "node:timers/promises";
import { withoutHeading } from "../src/paper.ts";
import type { StatusDocument } from "../src/status.ts";
import { Capture, contains } from "./capture.ts";
import { exchange } from "./exchange.ts";
import { hearNothingOf } from "./fault.ts";
import type { Host } from "./host.ts";
import { NoLab } from "./keeper.ts";
import { Lab } from "./lab.ts";
import type { Bridge } from "./link.ts";
import { MeshNode } from "./node.ts";

const NAMES = ["lyon", "oslo", "rome"] as const;
const PORT = 51820;
const STREAM_BYTES = 8 << 20;
/** Milliseconds: the waits are bounds, not expectations. */
const WAIT = { start: 15_000, join: 15_000, death: 30_000, news: 30_000 };
/** Milliseconds in which what the thief has signed would have reached everybody. */
const GOSSIP = 3_000;

/** Raised when something that is shown is not true. */
class Untrue extends Error {
  override name = "Untrue";
}

/** What the demo says: the changing line of what is awaited on a terminal, plain lines otherwise. */
class Story {
  readonly #begin = performance.now();
  readonly #live = Deno.stdout.isTerminal();

  say(text: string): void {
    this.#clear();
    console.log(text);
  }

  head(text: string): void {
    this.say(`\n${text}`);
  }

  /** Says what was checked, or throws it. */
  check(truth: boolean, text: string): void {
    if (!truth) throw new Untrue(text);
    this.say(`  ok  ${text}`);
  }

  /** Shows on a terminal what is awaited until it is there. */
  async during<T>(text: string, work: Promise<T>): Promise<T> {
    if (!this.#live) return await work;
    const show = () => this.#write(`\r\x1b[K  …   ${text} (${this.seconds} s)`);
    show();
    const timer = setInterval(show, 500);
    try {
      return await work;
    } finally {
      clearInterval(timer);
      this.#clear();
    }
  }

  get seconds(): string {
    return ((performance.now() - this.#begin) / 1000).toFixed(0);
  }

  #clear(): void {
    if (this.#live) this.#write("\r\x1b[K");
  }

  #write(text: string): void {
    Deno.stdout.writeSync(new TextEncoder().encode(text));
  }
}

async function main(story: Story, nodes: MeshNode[]): Promise<void> {
  await using lab = await Lab.open();
  const wire = await lab.bridge("wire");
  const hosts: Host[] = [];
  for (const name of NAMES) hosts.push(await plugIn(lab, wire, name, hosts.length + 1));
  story.head("Three machines on one wire");
  for (const [i, { name }] of hosts.entries()) {
    story.say(`      ${name}  10.0.0.${i + 1}  fd00::${i + 1}`);
  }

  const documents = await form(story, nodes, hosts);
  await talk(story, nodes, documents);
  await hide(story, nodes, documents, wire.host);
  const words = await prepare(story, nodes);
  const lostAt = await lose(story, nodes);
  const bern = await goOn(story, nodes, await plugIn(lab, wire, "bern", hosts.length + 1));
  await putOut(story, nodes, bern, { words, lostAt });
}

async function plugIn(lab: Lab, wire: Bridge, name: string, n: number): Promise<Host> {
  const host = await lab.host(name);
  await wire.attach(host, { addresses: [`10.0.0.${n}/24`, `fd00::${n}/64`] });
  return host;
}

function addresses(nodes: readonly MeshNode[], documents: readonly StatusDocument[]) {
  return nodes.map((node, i) => {
    const self = documents[i]?.self;
    if (self === undefined) throw new Untrue(`${node.host.name} told no status`);
    return { node, ip4: self.ip4, ip6: self.ip6, key: self.key };
  });
}

/** One seed, one invite, and two that join by it. */
async function form(
  story: Story,
  nodes: MeshNode[],
  hosts: readonly Host[],
): Promise<StatusDocument[]> {
  story.head("A mesh from one seed");
  const [first, ...others] = hosts;
  if (first === undefined) throw new TypeError("no hosts");
  const seed = MeshNode.start(first, "--listen", String(PORT));
  nodes.push(seed);
  await story.during(
    "lyon makes a new mesh",
    seed.statusWhen("made a mesh", WAIT.start, () => true),
  );
  const { token } = await seed.invite(others.length);
  story.say(
    `      the next machine types: ./run node --join 10.0.0.1:${PORT} --token ${
      token.slice(0, 12)
    }…`,
  );
  const begin = performance.now();
  for (const host of others) {
    nodes.push(MeshNode.start(host, "--join", `10.0.0.1:${PORT}`, "--token", token));
  }
  const all = (status: StatusDocument) =>
    status.peers.filter((peer) => peer.state === "alive" && peer.path === "direct").length ===
      others.length;
  const documents = await story.during(
    "oslo and rome join",
    Promise.all(
      nodes.map((node) => node.statusWhen("sees the two others, directly", WAIT.join, all)),
    ),
  );
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  for (const { self } of documents) story.say(`      ${self.name}  ${self.ip4}  ${self.ip6}`);
  const names = documents.map(({ self, peers }) =>
    [self.name, ...peers.map(({ name }) => name)].sort().join()
  );
  story.check(
    new Set(names).size === 1 && names[0] === NAMES.join(),
    "all three know each other by name",
  );
  const ips = documents.flatMap(({ self }) => [self.ip4, self.ip6]);
  story.check(
    ips.every((ip) => ip !== "") && new Set(ips).size === 6,
    "each has an address of its own, v4 and v6",
  );
  const agreed = documents.every(({ peers }) =>
    peers.every((peer) =>
      documents.some(({ self }) => self.key === peer.key && self.ip4 === peer.ip4)
    )
  );
  story.check(
    agreed,
    `all agree on keys and addresses, ${seconds} s after the joiners were started`,
  );
  return documents;
}

/** Pings of the mesh and of the kernel between every two. */
async function talk(
  story: Story,
  nodes: readonly MeshNode[],
  documents: readonly StatusDocument[],
): Promise<void> {
  story.head("Pings through the tunnels");
  const all = addresses(nodes, documents);
  for (const from of all) {
    for (const to of all.filter(({ node }) => node !== from.node)) {
      const [a, b] = [from.node.host.name, to.node.host.name];
      const pong = await story.during(
        `${a} pings ${b}`,
        from.node.ping(b),
      );
      const { sent, received, path } = pong;
      await from.node.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", to.ip4]);
      await from.node.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", to.ip6]);
      story.check(
        received === sent && sent === 3 && path === "direct",
        `${a} → ${b}  ${
          pong.rtt_ms.p50.toFixed(2)
        } ms, ${path}; ping answers on ${to.ip4} and ${to.ip6}`,
      );
    }
  }
}

/** A stream crosses the tunnel; on the wire it cannot be read, though the same stream beside the tunnel can. */
async function hide(
  story: Story,
  nodes: readonly MeshNode[],
  documents: readonly StatusDocument[],
  wire: Host,
): Promise<void> {
  story.head("A TCP stream from oslo to rome, and what the wire sees of it");
  const [, from, to] = addresses(nodes, documents);
  if (from === undefined || to === undefined) throw new TypeError("three nodes are needed");
  const marker = `the secret ${crypto.randomUUID()} of oslo and rome\n`;
  const stream = (address: string, bytes: number) =>
    exchange(from.node.host, to.node.host, address, bytes, { marker });
  const counters = async () => {
    const [there, here] = await Promise.all([from.node.status(), to.node.status()]);
    const sent = there.peers.find(({ key }) => key === to.key);
    const got = here.peers.find(({ key }) => key === from.key);
    return { sent: sent?.tx_bytes ?? NaN, got: got?.rx_bytes ?? NaN };
  };

  const before = await counters();
  // port2 of the bridge is where rome is plugged in: all that rome sends or gets passes there.
  const capture = await Capture.open(wire, "port2");
  const ms = await story.during("the stream runs", stream(to.ip4, STREAM_BYTES));
  const seen = await capture.close();
  const after = await counters();
  const mib = STREAM_BYTES >> 20;
  story.check(true, `${mib} MiB each way in ${ms} ms, every byte compared at both ends`);
  story.check(
    after.sent - before.sent >= STREAM_BYTES && after.got - before.got >= STREAM_BYTES,
    `the tunnel counts it: oslo sent rome ${after.sent - before.sent} bytes, rome got ${
      after.got - before.got
    }`,
  );
  story.check(seen.length > 2 * STREAM_BYTES, `the wire carried it: ${seen.length} bytes captured`);
  story.check(!contains(seen, marker), "nowhere among them is the text that was sent");

  const control = await Capture.open(wire, "port2");
  await story.during("the same beside the tunnel", stream("10.0.0.3", 1 << 16));
  story.check(
    contains(await control.close(), marker),
    "sent beside the tunnel, the same capture does show it",
  );
}

/** The three nodes by name; throws when there are fewer. */
function byName(nodes: readonly MeshNode[]): Record<typeof NAMES[number], MeshNode> {
  const [lyon, oslo, rome] = nodes;
  if (!lyon || !oslo || !rome) throw new TypeError("three nodes are needed");
  return { lyon, oslo, rome };
}

/** While all is well: a second admin, and the recovery words on paper. @returns the words */
async function prepare(story: Story, nodes: readonly MeshNode[]): Promise<string> {
  story.head("lyon holds the keys of the mesh: two things to do while all is well");
  const { lyon, oslo, rome } = byName(nodes);
  await lyon.shoal(["promote", "oslo"]);
  const isAdmin = ({ self, peers }: StatusDocument) =>
    [self, ...peers].some(({ name, admin }) => name === "oslo" && admin);
  await story.during(
    "oslo and rome hear of it",
    Promise.all([oslo, rome].map((node) => node.statusWhen("knows", WAIT.news, isAdmin))),
  );
  story.check(true, "shoal promote oslo: oslo is an admin, too");
  const { stdout: words } = await lyon.shoal(["mesh-key", "words"]);
  const [first = "", ...others] = withoutHeading(words).match(/[a-z]+/g) ?? [];
  story.check(others.length === 23, `shoal mesh-key words: 1 ${first} … are written down, all 24`);
  await lyon.shoal(["mesh-key", "words", "--erase", "--yes"]);
  const { code } = await lyon.shoal(["mesh-key", "words"], { check: false });
  story.check(code === 1, "shoal mesh-key words --erase --yes: they are on no machine any more");
  return words;
}

/** The founder's node is killed, and the others notice. @returns when that was */
async function lose(story: Story, nodes: readonly MeshNode[]): Promise<Date> {
  story.head("lyon, the founder, is lost");
  const { lyon, oslo, rome } = byName(nodes);
  // A node remembers in whole seconds when it heard of something, of oslo's office for example.
  await delay(1_100);
  const lostAt = new Date();
  await lyon.kill();
  const begin = performance.now();
  const isDead = (status: StatusDocument) =>
    status.peers.some(({ name, state }) => name === "lyon" && state === "dead");
  const notice = async (node: MeshNode) => {
    await node.statusWhen("says that lyon is dead", WAIT.death, isDead);
    return ((performance.now() - begin) / 1000).toFixed(1);
  };
  const [a, b] = await story.during(
    "oslo and rome find out",
    Promise.all([notice(oslo), notice(rome)]),
  );
  story.check(true, `oslo says so after ${a} s, rome after ${b} s`);
  const { received } = await oslo.ping("rome");
  story.check(received === 3, "oslo and rome still talk");
  return lostAt;
}

/** Another admin lets a machine in. */
async function goOn(story: Story, nodes: MeshNode[], host: Host): Promise<MeshNode> {
  const { oslo, rome } = byName(nodes);
  const { stdout: line } = await oslo.shoal(["invite"]);
  const bern = MeshNode.paste(host, line.trim());
  nodes.push(bern);
  const honest = [oslo, rome, bern];
  const documents = await story.during(
    "bern joins",
    Promise.all(
      honest.map((node) =>
        node.statusWhen(
          "sees the two others",
          WAIT.join,
          // Who has just come in learns a little later which address is its own.
          ({ self, peers }) =>
            self.standing !== "provisional" && self.ip4 !== "" &&
            alive(peers).filter(({ ip4 }) => ip4 !== "").length === 2,
        )
      ),
    ),
  );
  await pings(honest, documents);
  story.check(
    true,
    "oslo invites bern, which joins and talks with both: nobody needed the founder",
  );
  return bern;
}

/** A thief starts the founder's machine, which holds the old mesh key; the words make another. */
async function putOut(
  story: Story,
  nodes: MeshNode[],
  bern: MeshNode,
  { words, lostAt }: { readonly words: string; readonly lostAt: Date },
): Promise<void> {
  story.head("lyon was stolen: the thief switches it on, mesh key and all");
  const { lyon: { host }, oslo, rome } = byName(nodes);
  const thief = MeshNode.start(host);
  nodes.push(thief);
  const honest = [oslo, rome, bern];
  const before = await story.during(
    "it is back",
    Promise.all(
      [...honest, thief].map((node) =>
        node.statusWhen("sees all others", WAIT.news, ({ peers }) => alive(peers).length === 3)
      ),
    ),
  );
  const isBack = before.every(({ self, peers }) =>
    [self, ...peers].some(({ name, admin }) => name === "lyon" && admin)
  );
  story.check(isBack, "it is a member again, and an admin");

  const recover = ["recover", "--without", "lyon", "--since", lostAt.toISOString()];
  story.say(`      on rome, with the words: shoal recover --without lyon --since ${recover[4]}`);
  const plan = await rome.shoal(recover, { stdin: words, check: false });
  for (const one of plan.stdout.trimEnd().split("\n")) story.say(`        ${one}`);
  const isSame = addressesOf(await statuses(honest)) === addressesOf(before.slice(0, 3));
  const hasPlan = ["2 admins signed anew: oslo, rome", "put out for ever: lyon"].every((line) =>
    plan.stdout.includes(`would: ${line}\n`)
  );
  story.check(plan.code === 1 && hasPlan && isSame, "it says what it would do, and does nothing");

  // The thief keeps its machine from the news: what it signs now, it believes to be good.
  await hearNothingOf(host, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::2", "fd00::3", "fd00::4"]);
  await rome.shoal([...recover, "--yes"], { stdin: words });
  const isOut = ({ peers }: StatusDocument) => !peers.some(({ name }) => name === "lyon");
  await story.during(
    "all hear of it",
    Promise.all(honest.map((node) => node.statusWhen("is without lyon", WAIT.news, isOut))),
  );
  story.check(true, "with --yes: lyon is out for oslo, rome and bern");
  const revoked = await thief.shoal(["revoke", "--yes", "bern"]);
  const invited = await thief.shoal(["invite", "--uses", "100"]);
  story.say(`      the thief on lyon: ${revoked.stdout.trim()}`);
  story.say(`      the thief on lyon: ${invited.stdout.slice(0, 32)}…`);
  await hearNothingOf(host, []);
  await story.during("the thief's word spreads", new Promise((wake) => setTimeout(wake, GOSSIP)));
  const after = await statuses(honest);
  await pings(honest, after);
  story.check(
    after.every((status) =>
      alive(status.peers).length === 2 && isOut(status) && status.void.length === 0
    ),
    "nothing comes of it: oslo, rome and bern talk with each other, and lyon with nobody",
  );
  const { stdout: invites } = await bern.shoal(["invite", "--list"]);
  story.check(!invites.includes(" 100 "), "and its invite is unknown to everybody");
  story.check(
    addressesOf(after) === addressesOf(before.slice(0, 3)),
    "the mesh kept its id, and its members their names, keys and addresses",
  );
  const keepers = after.filter(({ self }) => self.mesh_key && self.admin);
  story.check(keepers.length === 1 && keepers[0] === after[1], "the mesh key of now is on rome");
}

function alive(peers: StatusDocument["peers"]): StatusDocument["peers"] {
  return peers.filter(({ state }) => state === "alive");
}

function statuses(nodes: readonly MeshNode[]): Promise<StatusDocument[]> {
  return Promise.all(nodes.map((node) => node.status()));
}

/** The mesh, and what its nodes are called and reached by. */
function addressesOf(documents: readonly StatusDocument[]): string {
  return JSON.stringify(
    documents.map(({ mesh, self: { name, key, ip4, ip6 } }) => [mesh.id, name, key, ip4, ip6]),
  );
}

/** The kernel's ping between every two. */
async function pings(
  nodes: readonly MeshNode[],
  documents: readonly StatusDocument[],
): Promise<void> {
  await Promise.all(
    nodes.flatMap((from) =>
      documents.filter(({ self }) => self.name !== from.host.name).map(({ self }) =>
        from.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", self.ip4])
      )
    ),
  );
}

const story = new Story();
const nodes: MeshNode[] = [];
try {
  await main(story, nodes);
  story.say(`\nEverything shown was true (${story.seconds} s).`);
} catch (error) {
  if (error instanceof NoLab) {
    story.say(`demo: ${error.message}`);
    Deno.exit(4);
  }
  const message = error instanceof Error ? error.message : String(error);
  story.say(`  FAILED  ${error instanceof Untrue ? `not true: ${message}` : message}`);
  for (const node of nodes) {
    if (node.said !== "") story.say(`\n${node.host.name} said last:\n${node.said}`);
  }
  Deno.exit(1);
}
