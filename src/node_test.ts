/** A mesh node over the real core, in trouble that its machine is in, and not its mesh. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { fromBase64url } from "../mesh/base64url.ts";
import type { NodeEvent } from "../mesh/event.ts";
import { kindIn } from "../mesh/membership/statement.ts";
import { Node as Machine } from "../mesh/node.ts";
import { readPool } from "../mesh/membership/genesis.ts";
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { readSeed } from "../mesh/seed.ts";
import { testUnless } from "../.ci/skip.ts";
import { freePort, PORT_FILE } from "./neighbours.ts";
import { wrap } from "./envelope.ts";
import { Exit, Failure } from "./exit.ts";
import { MeshNode, type MeshNodeOptions, type NodeNews, rivalPool } from "./node.ts";
import { Outside } from "./outside.ts";

interface Told {
  readonly node: MeshNode;
  readonly events: NodeEvent[];
  readonly defects: unknown[];
}

function open(dir: string, name: string, more: Partial<MeshNodeOptions> = {}): Told {
  const events: NodeEvent[] = [];
  const defects: unknown[] = [];
  const node = MeshNode.open({
    stateDir: join(dir, name),
    interface: "",
    name,
    listen: 0,
    join: [],
    token: undefined,
    tun: false,
    open: false,
    dataplane: { workers: 0, aead: "", io: "", without: [] },
    onEvent: (event) => events.push(event),
    onNews: () => {},
    onDefect: (error) => defects.push(error),
    ...more,
  });
  return { node, events, defects };
}

function joiner(dir: string, name: string, founder: MeshNode): Told {
  const place = `127.0.0.1:${founder.info.port}`;
  const { token } = founder.invite({
    uses: 1,
    expiresInS: 60,
    groups: [],
    flags: [],
    seeds: [place],
  });
  const seed = readSeed(place);
  assert(seed);
  return open(dir, name, { join: [seed], token });
}

/** The generous bound only ends a broken run. */
async function until(told: Told, isThere: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 1000 && !isThere(); i++) await new Promise((go) => setTimeout(go, 10));
  assert(isThere(), `${what}; events: ${told.events.map(({ kind }) => kind)}`);
}

const heard = (told: Told, kind: NodeEvent["kind"]) =>
  until(told, () => told.events.some((event) => event.kind === kind), `no event ${kind}`);

Deno.test("a new key for a member is said before it is made, and a lone founder gets one unasked", () =>
  inFolder(async (dir) => {
    const founder = open(dir, "founder");
    const member = joiner(dir, "member", founder.node);
    await heard(member, "joined");
    await heard(founder, "memberJoined");
    const { key } = member.node.status().self;
    const asked = member.node.renewIdentity();
    assert.deepEqual([asked.isDone, asked.who.id, asked.warnings.length], [false, key, 1]);
    member.node.close();
    const again = open(dir, "member");
    assert.equal(again.node.status().self.key, key, "nothing has changed");
    const renewed = again.node.renewIdentity({ yes: true });
    assert.ok(renewed.isDone && renewed.who.id !== key);
    again.node.close();
    const other = open(dir, "member");
    assert.equal(other.node.status().self.key, renewed.who.id);
    other.node.close();
    founder.node.close();

    const alone = open(dir, "alone");
    assert.ok(alone.node.renewIdentity().isDone);
    alone.node.close();
  }));

Deno.test("whoever starts a node that left for good is told of which mesh, and which folder is in the way", () =>
  inFolder(async (dir) => {
    const founder = open(dir, "founder");
    const member = joiner(dir, "member", founder.node);
    await heard(member, "joined");
    const { id, name } = member.node.status().mesh;
    assert.ok(member.node.leaveForGood({ yes: true }).isDone);
    member.node.leave();
    founder.node.close();
    const label = `${id.slice(0, 16)} (${name})`;
    assert.throws(
      () => open(dir, "member"),
      (error) =>
        error instanceof Failure && error.code === Exit.stuck &&
        error.message.startsWith(`state: this node left the mesh ${label} for good`) &&
        error.message.endsWith(`(this one is ${join(dir, "member")})`),
    );
  }));

Deno.test("a disk that takes no more writes costs no step: what was decided is done, and health says so", () =>
  inFolder(async (dir) => {
    const founder = open(dir, "founder");
    const folder = join(dir, "founder");
    const member = joiner(dir, "member", founder.node);
    await heard(member, "joined");
    await heard(founder, "memberJoined");
    const place = `127.0.0.1:${founder.node.info.port}`;
    const { token } = founder.node.invite({ uses: 1, expiresInS: 60, seeds: [place] });
    Deno.renameSync(folder, `${folder}-away`);

    // By a person: the machine has changed, and so has core, and the member is told.
    founder.node.revoke("member");
    await heard(member, "revoked");
    assert.deepEqual(founder.node.status().peers, []);
    // By the driver: somebody joins.
    const late = open(dir, "late", { token });
    await heard(founder, "memberJoined");
    await heard(late, "joined");
    const unsaved = () => founder.node.status().health.filter((line) => line.includes(folder));
    assert.match(unsaved().join(), /cannot be written.*ENOENT.*put it back/);
    assert.equal(unsaved().length, 1);

    Deno.renameSync(`${folder}-away`, folder);
    await until(founder, () => unsaved().length === 0, "it is not tried again");
    const saved = JSON.parse(Deno.readTextFileSync(join(folder, "state.json")));
    const kinds = saved.content.snapshot.statements.map(({ bytes }: { bytes: string }) =>
      kindIn(fromBase64url(bytes) ?? new Uint8Array(0))
    );
    assert.equal(kinds.filter((kind: unknown) => kind === "removed").length, 1);
    for (const { node, defects } of [late, member, founder]) {
      node.leave();
      assert.deepEqual(defects, []);
    }
  }));

Deno.test("an invite or a guest that cannot be remembered is not handed out, and after a crash its number is another's alone", () =>
  inFolder(async (dir) => {
    let founder = open(dir, "founder");
    const folder = join(dir, "founder");
    const inTheWay = join(folder, "state.json.new");
    const port = founder.node.info.port;
    const seeds = [`127.0.0.1:${port}`];
    const invite = () => founder.node.invite({ uses: 1, expiresInS: 60, seeds });
    const fails = (what: string, call: () => unknown) =>
      assert.throws(call, (error) => {
        assert(error instanceof Failure, String(error));
        assert.equal(error.code, Exit.failed);
        assert.match(
          error.message,
          new RegExp(`^${what}: nothing is handed out, .*: state: .*\\.new is a folder`),
        );
        return true;
      });
    invite();
    const before = Deno.readTextFileSync(join(folder, "state.json"));
    Deno.mkdirSync(inTheWay);
    fails("invite", invite);
    fails("invite", invite);
    assert.equal(founder.node.invites().length, 2, "from the second on nothing is signed");
    founder.node.close();
    assert.equal(Deno.readTextFileSync(join(folder, "state.json")), before);

    Deno.removeSync(inTheWay);
    founder = open(dir, "founder", { listen: port });
    const { token } = invite();
    const member = open(dir, "member", { token });
    await heard(member, "joined");
    await heard(founder, "memberJoined");
    for (const { node, defects } of [member, founder]) {
      assert(!node.status().health.some((line) => /two statements|copied or restored/.test(line)));
      node.leave();
      assert.deepEqual(defects, []);
    }
  }));

Deno.test("a joiner that is killed as soon as a door has counted it asks with the same key again, and is let in", () =>
  inFolder(async (dir) => {
    const runs: Told[] = [];
    let killed = false;
    const kill = () => {
      killed = true;
      for (const { node, events } of runs) {
        assert(!events.some(({ kind }) => kind === "joined"), "too late for this test");
        node.close();
      }
      Deno.mkdirSync(join(dir, "copy"), { mode: 0o700 });
      for (const { name } of Deno.readDirSync(join(dir, "joiner"))) {
        if (name === "lock") continue;
        Deno.copyFileSync(join(dir, "joiner", name), join(dir, "copy", name));
      }
    };
    // The door tells of it before the joiner can hear anything: what is on its disk now is what a kill leaves.
    const founder = open(dir, "founder", {
      onEvent: ({ kind }) => {
        if (kind === "memberJoined" && !killed) kill();
      },
    });
    const seeds = [`127.0.0.1:${founder.node.info.port}`];
    const { token } = founder.node.invite({ uses: 1, expiresInS: 60, seeds });
    const first = open(dir, "joiner", { token });
    runs.push(first);
    const { key } = first.node.status().self;
    await until(founder, () => killed, "nobody was counted");

    const again = open(dir, "copy", { token, name: "joiner" });
    assert(again.node.isFirstStart, "a join that goes on ends with a reason, too");
    await heard(again, "joined");
    assert.equal(again.node.status().self.key, key);
    await until(
      founder,
      () => founder.node.status().peers.every(({ state }) => state === "alive"),
      "the first run stays as a ghost",
    );
    const { peers, health } = founder.node.status();
    assert.deepEqual(peers.map(({ name, key }) => [name, key]), [["joiner", key]]);
    assert(!health.some((line) => line.startsWith("key:")), health.join("\n"));
    for (const { node, defects } of [again, founder]) {
      node.leave();
      assert.deepEqual(defects, []);
    }
  }));

Deno.test("a fault in the machine costs the datagram, and status asks for its report", () =>
  inFolder(async (dir) => {
    const told = open(dir, "node");
    const { node, defects } = told;
    assert.equal(node.status().refused["caught_exceptions"], 0);
    assert(!node.status().health.some((line) => line.startsWith("a fault")));
    const { datagram } = Machine.prototype;
    let calls = 0;
    Machine.prototype.datagram = () => {
      calls++;
      throw new Error("a defect");
    };
    const socket = createSocket("udp4");
    try {
      socket.send("hello", node.info.port, "127.0.0.1");
      await until(told, () => calls === 1, "the datagram does not come");
    } finally {
      Machine.prototype.datagram = datagram;
      socket.close();
    }
    const { refused, health } = node.status();
    assert.equal(refused["caught_exceptions"], 1);
    // printf hello | sha256sum
    const hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    const line = new RegExp(
      `^a fault of shoal: please report: 1 input dropped, the last: a datagram of 5 bytes from ` +
        `127\\.0\\.0\\.1:\\d+, SHA-256 ${hash}: `,
    );
    assert(health.some((said) => line.test(said)), health.join("\n"));
    node.leave();
    assert.deepEqual(defects, []);
  }));

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can mount" },
  "a joiner whose disk is full says so before its token is used, and leaves nothing behind",
  () =>
    inFolder(async (dir) => {
      const founder = open(dir, "founder");
      const place = `127.0.0.1:${founder.node.info.port}`;
      const { token } = founder.node.invite({ uses: 1, expiresInS: 60, seeds: [place] });
      const folder = join(dir, "joiner");
      Deno.mkdirSync(folder, { mode: 0o700 });
      const program = (name: string, ...args: string[]) =>
        new Deno.Command(name, { args }).outputSync().success;
      assert(program("mount", "-t", "tmpfs", "-o", "size=32k,mode=700", "tmpfs", folder));
      try {
        assert.throws(() => open(dir, "joiner", { token }), (error) => {
          assert(error instanceof Failure, String(error));
          assert.equal(error.code, Exit.failed);
          assert.match(error.message, /^state: cannot write .* \(ENOSPC\): the disk is full/);
          return true;
        });
        assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["lock"]);
        assert(program("mount", "-o", "remount,size=4m", folder));
        const member = open(dir, "joiner", { token });
        await heard(member, "joined");
        member.node.leave();
        founder.node.leave();
      } finally {
        program("umount", "-l", folder);
      }
    }),
);

/** Sets how many descriptors this process may have; the kernel lets it have as many again later. */
function limitDescriptors(soft: number): void {
  const args = ["--pid", String(Deno.pid), `--nofile=${soft}:`];
  assert(new Deno.Command("prlimit", { args }).outputSync().success);
}

Deno.test("a node that finds no descriptor free loses nothing but time, and says so", () =>
  inFolder(async (dir) => {
    const { node, defects } = open(dir, "founder");
    const before = Number(
      /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1],
    );
    const key = nobleCrypto.ed25519FromSeed(new Uint8Array(32)).publicKey.toHex();
    const taken: Deno.FsFile[] = [];
    const unsaved = () => node.status().health.filter((line) => line.includes("cannot be written"));
    limitDescriptors(256);
    try {
      assert.throws(() => {
        while (true) taken.push(Deno.openSync("/dev/null"));
      }, /EMFILE|Too many open files/);
      node.trust(key, "nice");
      assert.match(
        unsaved().join(),
        /\(EMFILE\): no descriptor is free: raise the limit \(ulimit -n\)/,
      );
      const refused = (what: string) => node.status().refused[what] ?? 0;
      const hasLooked = () => refused("own_addresses") > 0 && refused("state_writes") > 1;
      await until({ node, events: [], defects }, hasLooked, "it never looked around");
      assert.deepEqual(defects, []);
    } finally {
      for (const file of taken) file.close();
      limitDescriptors(before);
    }
    for (let i = 0; i < 500 && unsaved().length > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(unsaved(), []);
    const saved = Deno.readTextFileSync(join(dir, "founder", "state.json"));
    assert(saved.includes(key));
    node.leave();
    assert.deepEqual(defects, []);
  }));

Deno.test("a port that was taken as the node started is taken as soon as it is free", () =>
  inFolder(async (dir) => {
    const first = open(dir, "founder");
    const { port } = first.node.info;
    first.node.leave();
    first.node.close();
    const other = createSocket("udp4");
    await new Promise<void>((resolve) => other.bind(port, resolve));
    const news: NodeNews[] = [];
    const { node } = open(dir, "founder", {
      listen: undefined,
      onNews: (one) => news.push(one),
    });
    assert.notEqual(node.info.port, port);
    const [taken] = news.filter((one) => one.kind === "portTaken");
    assert.deepEqual(taken, { kind: "portTaken", usual: port, port: node.info.port });
    assert.match(node.status().health.join("\n"), new RegExp(`UDP port ${port} was taken`));
    await new Promise<void>((resolve) => other.close(() => resolve()));
    await until({ node, events: [], defects: [] }, () => node.info.port === port, "never regained");
    assert.equal(node.status().self.port, port);
    assert.doesNotMatch(node.status().health.join("\n"), /was taken/);
    assert.ok(news.some((one) => one.kind === "portRegained" && one.port === port));
    node.close();
  }));

Deno.test("a new node leaves the port of another node of the machine to it, and remembers another as its own", () =>
  inFolder((dir) => {
    Deno.mkdirSync(join(dir, "first"));
    Deno.writeFileSync(join(dir, "first", PORT_FILE), wrap(PORT_FILE, "51820"));
    const news: NodeNews[] = [];
    const wish = {
      listen: undefined,
      statesDir: dir,
      // Whether those ports are free on the machine that runs this test is another matter.
      onNews: (one: NodeNews) => void (one.kind === "portTaken" || news.push(one)),
    };
    for (let start = 1; start <= 2; start++) open(dir, "second", wish).node.close();
    const by = join(dir, "first");
    assert.deepEqual(news, [{ kind: "portOfAnother", usual: 51820, port: 51821, by }], "once");
    const third = freePort({ parent: dir, own: join(dir, "third") }, 51820);
    assert.deepEqual(third, { port: 51822, by });
  }));

Deno.test("a founder that nobody has joined yet is told that it asks no other mesh", () =>
  inFolder((dir) => {
    const told = (join: MeshNodeOptions["join"]) => {
      const news: NodeNews[] = [];
      const { node } = open(dir, "founder", { join, onNews: (one) => news.push(one) });
      node.close();
      return news.filter(({ kind }) => kind === "joinIgnored").length;
    };
    open(dir, "founder").node.close();
    assert.equal(told([]), 0);
    assert.equal(told([{ host: "127.0.0.1", port: 9 }]), 1);
  }));

Deno.test("a name that a member is started with, and does not get, is no silent wish", () =>
  inFolder((dir) => {
    const first = open(dir, "founder");
    first.node.leave();
    first.node.close();
    for (
      const [name, isIgnored] of [["other", true], ["founder", false], [undefined, false]] as const
    ) {
      const news: NodeNews[] = [];
      const { node } = open(dir, "founder", { name, onNews: (one) => news.push(one) });
      const [ignored] = news.filter((one) => one.kind === "nameIgnored");
      assert.deepEqual(
        ignored,
        isIgnored ? { kind: "nameIgnored", wanted: name, name: "founder" } : undefined,
      );
      assert.equal(node.status().self.name, "founder");
      node.close();
    }
  }));

Deno.test("a founder with an address inside the pool is refused, whether that was asked for or not, and told of a free one", () => {
  const outside = new Outside(() => [
    { name: "tailscale0", address: "100.64.0.9" },
    { name: "lab0", address: "10.66.0.1" },
    { name: "lab1", address: "10.77.3.1" },
  ]);
  const poolOf = (text: string) => {
    const pool = readPool(text);
    assert(pool.ok);
    return pool.value;
  };
  const usual = rivalPool(outside, "shoal0", undefined);
  assert.match(
    usual ?? "",
    /^tailscale0 of this machine has 100\.64\.0\.9, inside 100\.64\.0\.0\/10, .*--pool 172\.27\.0\.0\/16 .*SHOAL_POOL=/,
  );
  const chosen = rivalPool(outside, "shoal0", poolOf("10.66.0.0/16"));
  assert.match(chosen ?? "", /lab0 of this machine has 10\.66\.0\.1, inside 10\.66\.0\.0\/16/);
  assert.equal(rivalPool(outside, "shoal0", poolOf("10.78.0.0/16")), undefined);
});

Deno.test("a founding that is refused says by which name, and leaves no folder that it made", () =>
  inFolder((dir) => {
    const refusedAs = (wish: Partial<MeshNodeOptions>) => {
      let refusal: unknown;
      assert.throws(() => open(dir, "state", wish), (error) => {
        refusal = error;
        return true;
      });
      assert(refusal instanceof Failure, String(refusal));
      assert.throws(() => Deno.statSync(join(dir, "state")), Deno.errors.NotFound);
      return refusal;
    };
    const asked = refusedAs({ name: "host", meshName: "docker" });
    assert.equal(asked.code, Exit.usage);
    assert.match(asked.message, /cannot be called 'docker': docker\.internal is .*--mesh-name/);
    const founder = refusedAs({ name: "docker" });
    assert.equal(founder.code, Exit.usage);
    assert.match(founder.message, /'docker' \(a mesh is called after its founder\): /);
  }));

Deno.test("a node whose name nobody is found by says so at its first start", () =>
  inFolder((dir) => {
    const heard: NodeNews[] = [];
    const onNews = (news: NodeNews) => heard.push(news);
    const told = () => heard.splice(0).filter(({ kind }) => kind === "nameNotFound");
    for (const name of ["localhost", "lyon"]) {
      open(dir, name, { onNews }).node.leave();
      assert.deepEqual(told(), name === "lyon" ? [] : [{ kind: "nameNotFound", name }]);
    }
  }));
