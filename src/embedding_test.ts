import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { Node as Machine } from "../mesh/node.ts";
import { Failure, Node, type NodeEvent } from "../mod.ts";
import denoJson from "../deno.json" with { type: "json" };
import { NodeState } from "./state.ts";

/** Waits for the first event of a kind; the generous bound only ends a broken run. */
async function until(node: Node, kind: NodeEvent["kind"]): Promise<NodeEvent> {
  const patience = AbortSignal.timeout(20_000);
  const late = new Promise<never>((_, reject) => {
    patience.onabort = () => reject(new Error(`no event ${kind}`));
  });
  const events = node.events();
  while (true) {
    const next = await Promise.race([events.next(), late]);
    assert(!next.done, `the node closed before event ${kind}`);
    if (next.value.kind === kind) return next.value;
  }
}

/** Node of a test: no interface, so no right is needed; any free port of loopback. */
function open(
  dir: string,
  name: string,
  more: { join?: string[]; token?: string; listen?: number } = {},
): Node {
  return Node.open({ state: join(dir, name), name, listen: 0, tun: false, ...more });
}

/** Lines of health, but for the one that every founder has until the words are written down. */
function faults(node: Node): string[] {
  return node.status().health.filter((line) => !line.startsWith("recovery: "));
}

function failure(text: RegExp) {
  return (error: unknown) => {
    assert(error instanceof Failure, String(error));
    assert.match(error.message, text);
    return true;
  };
}

Deno.test("two embedded nodes form a mesh by invite, ping, and one sees the other leave", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    await until(seed, "joined");
    const place = `127.0.0.1:${seed.status().self.port}`;
    const many = Array.from({ length: 9 }, (_, i) => `127.0.0.1:${i + 1}`);
    assert.throws(() => void seed.invite({ seeds: many }), failure(/9 seeds: .* at most 8/));
    const { token } = seed.invite({ seeds: [place] });
    {
      await using second = open(dir, "second", { join: [place], token });
      await until(second, "joined");
      await until(seed, "memberJoined");
      const pong = await second.ping("seed");
      assert.equal(pong.who.name, "seed");
      assert.equal(pong.answer?.endpoint, place);
      assert.deepEqual(second.status().peers.map(({ name, state }) => [name, state]), [
        ["seed", "alive"],
      ]);
      assert.throws(() => void second.invite(), failure(/admin/));
    }
    await until(seed, "memberLeft");
    assert.equal(seed.status().peers[0]?.state, "left");
  }));

Deno.test("a node restarts from its state without token or seed and is back in its mesh", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    const place = `127.0.0.1:${seed.status().self.port}`;
    const { token } = seed.invite({ seeds: [place] });
    const first = open(dir, "second", { join: [place], token });
    await until(first, "joined");
    const before = first.status().self;
    await until(seed, "memberJoined");
    first.close();
    await using again = open(dir, "second");
    await until(again, "joined");
    const after = again.status().self;
    assert.deepEqual([after.key, after.ip4, after.ip6], [before.key, before.ip4, before.ip6]);
    assert.equal((await again.ping("seed")).answer?.endpoint, place);
  }));

Deno.test("an option that does not exist is refused by one sentence, and nothing is made", () =>
  inFolder((dir) => {
    const state = join(dir, "lyon");
    const slip = { state, nmae: "lyon", prot: 4500, tun: false };
    assert.throws(
      () => Node.open(slip),
      failure(/^Node\.open: there is no option nmae and prot: there are state, name, join, /),
    );
    assert.throws(() => Deno.statSync(state), Deno.errors.NotFound);
  }));

Deno.test("a token that is altered, cut off or foreign is refused, and no state folder is left", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    const { token } = seed.invite({ seeds: ["127.0.0.1:9"] });
    const middle = Math.floor(token.length / 2);
    const altered = token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") +
      token.slice(middle + 1);
    for (const bad of [altered, token.slice(0, -5), "shoal1", "no token at all"]) {
      assert.throws(() => open(dir, "joiner", { token: bad }), failure(/token/), bad);
      assert.throws(() => Deno.statSync(join(dir, "joiner")), Deno.errors.NotFound);
    }
    await using other = open(dir, "other");
    await until(other, "joined");
    other.close();
    assert.throws(() => open(dir, "other", { token }), failure(/mesh/));
  }));

Deno.test("a seed is given as on the command line: a host alone means the usual port", () =>
  inFolder(async (dir) => {
    await using joiner = open(dir, "joiner", { join: ["no-such-host.invalid"] });
    const failed = await until(joiner, "joinFailed");
    assert(failed.kind === "joinFailed");
    assert.equal(failed.seed, "no-such-host.invalid:51820");
    assert.throws(
      () => open(dir, "other", { join: ["a b:1"] }),
      failure(/'a b:1' is not HOST:PORT/),
    );
  }));

Deno.test("damaged or foreign state is named with its path and left as it is", () =>
  inFolder(async (dir) => {
    const founder = open(dir, "seed");
    founder.close();
    const path = join(dir, "seed", "state.json");
    const whole = await Deno.readTextFile(path);
    for (
      const damaged of ["{", whole.slice(0, -1), whole.replace('"members":[', '"members":[7,')]
    ) {
      await Deno.writeTextFile(path, damaged, { mode: 0o600 });
      assert.throws(() => open(dir, "seed"), failure(/state\.json is damaged/));
      assert.equal(await Deno.readTextFile(path), damaged);
    }
    await Deno.remove(join(dir, "seed", "identity"));
    await Deno.writeTextFile(path, whole, { mode: 0o600 });
    assert.throws(() => open(dir, "seed"), failure(/identity is missing/));
  }));

Deno.test("a busy UDP port is named when it was asked for", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    const { port } = seed.status().self;
    assert.throws(
      () => Node.open({ state: join(dir, "second"), name: "second", listen: port, tun: false }),
      failure(new RegExp(`UDP port ${port} is in use`)),
    );
  }));

Deno.test("a remembered UDP port that is taken is a matter of health: others and firewalls expect it", () =>
  inFolder(async (dir) => {
    const first = open(dir, "first");
    const { port } = first.status().self;
    await until(first, "joined");
    assert.deepEqual(faults(first), []);
    first.close();
    const thief = open(dir, "thief", { listen: port });
    for (const start of ["second", "third"]) {
      await using again = Node.open({ state: join(dir, "first"), tun: false });
      await until(again, "joined");
      const { self } = again.status();
      assert.notEqual(self.port, port);
      const line =
        `UDP port ${port} was taken: this node listens on ${self.port} until that one is ` +
        "free, which it tries every half a minute: invites and firewalls that name it lead nowhere " +
        "until then; --listen chooses another";
      assert.deepEqual(faults(again), [line], `at the ${start} start`);
    }
    thief.close();
    await using last = Node.open({ state: join(dir, "first"), tun: false });
    assert.equal(last.status().self.port, port, "free again, it is taken again");
    assert.deepEqual(faults(last), []);
  }));

/** Replaces a method while the body runs. */
async function replacing<O, K extends keyof O>(
  object: O,
  name: K,
  value: O[K],
  body: () => Promise<void>,
): Promise<void> {
  const before = object[name];
  object[name] = value;
  try {
    await body();
  } finally {
    object[name] = before;
  }
}

function broken(): never {
  throw new RangeError("a defect");
}

/** What reading the events ends with. */
async function endOf(node: Node): Promise<unknown> {
  try {
    for await (const _ of node.events());
    return undefined;
  } catch (error) {
    return error;
  }
}

Deno.test("a defect in the background is told to whoever reads the events, and ends no other program", () =>
  inFolder(async (dir) => {
    const node = open(dir, "timer");
    // Its timer looks at the state within three seconds.
    await replacing(NodeState.prototype, "mend", broken, async () => {
      assert.match(String(await endOf(node)), /RangeError: a defect/);
    });
  }));

Deno.test("a machine that falls over the addresses of a name goes on, and status says so", () =>
  inFolder((dir) =>
    replacing(Machine.prototype, "resolved", broken, async () => {
      const node = open(dir, "resolver", { join: ["no-such-host.invalid"] });
      const end = endOf(node);
      const caught = () => node.status().refused["caught_exceptions"] ?? 0;
      for (let i = 0; i < 1000 && caught() === 0; i++) {
        await new Promise((go) => setTimeout(go, 10));
      }
      assert.equal(caught(), 1);
      const told = node.status().health.join("\n");
      assert.match(told, /a fault of shoal.*the addresses of no-such-host\.invalid:/);
      await node.close();
      assert.equal(await end, undefined);
    })
  ));

Deno.test("a good-bye that fails is told, and everything is given back nevertheless", () =>
  inFolder(async (dir) => {
    const node = open(dir, "seed");
    await until(node, "joined");
    const end = endOf(node);
    await replacing(Machine.prototype, "leave", broken, () => {
      return assert.rejects(() => node.close(), /a defect/);
    });
    assert.equal(await end, undefined);
    await open(dir, "seed").close();
  }));

Deno.test("joined is fulfilled for a founder, a joiner and whoever was a member, and rejected where nobody lets it in", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    await seed.joined;
    const place = `127.0.0.1:${seed.status().self.port}`;
    const { token } = seed.invite({ seeds: [place] });
    const second = open(dir, "second", { join: [place], token });
    await second.joined;
    assert.equal(second.status().mesh.id, seed.status().mesh.id);
    await second.close();
    await using again = open(dir, "second");
    await again.joined;
    const nowhere = "no-such-host.invalid:9";
    await using refused = open(dir, "third", { join: [place, nowhere], token });
    const reasons = failure(
      /^seed .*token is used up.*\nseed no-such-host\.invalid:9 has no address/,
    );
    await assert.rejects(() => refused.joined, reasons);
    const late = open(dir, "fourth", { join: ["127.0.0.1:9"] });
    await late.close();
    await assert.rejects(() => late.joined, failure(/closed before it had joined/));
  }));

Deno.test("ping rejects where nobody is called so, and throws at nobody", () =>
  inFolder(async (dir) => {
    await using seed = open(dir, "seed");
    const pong = seed.ping("nobody");
    await assert.rejects(() => pong, failure(/nobody/));
  }));

Deno.test("a program with its own deno.json and its own packages embeds a node by the path of mod.ts alone", () =>
  inFolder(async (dir) => {
    const mod = new URL("../mod.ts", import.meta.url).href;
    // None of the names that this repository has for packages. The packages themselves are named, so that their lock file
    // stays whole and no registry is asked.
    const theirs = Object.entries(denoJson.imports).map((
      [name, place],
    ) => [`their-${name}`, place]);
    const config = {
      imports: Object.fromEntries([...theirs, ["check", denoJson.imports["fast-check"]]]),
    };
    Deno.writeTextFileSync(join(dir, "deno.json"), JSON.stringify(config));
    Deno.copyFileSync(new URL("../deno.lock", import.meta.url), join(dir, "deno.lock"));
    Deno.writeTextFileSync(
      join(dir, "main.ts"),
      `import fc from "check";
import { Node } from ${JSON.stringify(mod)};
await using node = Node.open({ state: Deno.args[0], name: "lyon", listen: 0, tun: false });
await node.joined;
console.log(node.status().self.name, typeof fc.assert);
`,
    );
    const args = [
      "run",
      "--quiet",
      "-A",
      "--no-check",
      "--cached-only",
      "main.ts",
      join(dir, "state"),
    ];
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: dir })
      .output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    assert.equal(text(stdout), "lyon function\n", text(stderr));
    assert.equal(code, 0);
  }));
