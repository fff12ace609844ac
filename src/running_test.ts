import assert from "node:assert/strict";
import { join } from "node:path";
import { duplicate, hasInput } from "../ffi/libc.ts";
import { askNode } from "./cli/client.ts";
import type { Io } from "./cli/command.ts";
import { ControlServer } from "./control.ts";
import { Exit, Failure } from "./exit.ts";
import { runningNodes } from "./running.ts";
import { having, isText } from "./shape.ts";

/** A node that says it has this interface, at a path of a folder of its own. */
async function node(folder: string, ifname: string, uid = 0) {
  const path = join(folder, "control.sock");
  const server = await ControlServer.listen({
    path,
    operations: {
      status: { changes: false, run: () => ({ self: { interface: ifname } }) },
      down: { changes: true, run: () => ({ name: ifname }) },
    },
    credentialsOf: () => ({ uid, gid: 0 }),
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: (error) => {
      throw error;
    },
  });
  return { path, folder, close: () => server.close() };
}

const isAnswer = having({ self: having({ interface: isText }) });

/** Nothing of the person's own environment names a node; the default interface has one that nobody else can have. */
const io: Io = {
  out: () => {},
  err: () => {},
  env: (name) => name === "XDG_STATE_HOME" || name === "HOME" ? "/nonexistent" : undefined,
  color: false,
};

const status = (choice: { readonly interface?: string; readonly state?: string }) =>
  askNode(choice, io, { command: "status" }, { isAnswer, asksOnly: true });

async function failure(promise: Promise<unknown>): Promise<Failure> {
  const [result] = await Promise.allSettled([promise]);
  assert(result?.status === "rejected", "a failure is expected");
  assert(result.reason instanceof Failure, String(result.reason));
  return result.reason;
}

Deno.test("a node that was started with --state is found by its interface", async () => {
  const folder = await Deno.makeTempDir();
  const one = await node(join(folder, "one"), "shoal-one");
  const two = await node(join(folder, "two"), "shoal-two");
  try {
    const all = runningNodes();
    assert(all.includes(one.path) && all.includes(two.path), all.join(" "));
    for (const name of ["shoal-one", "shoal-two"]) {
      assert.deepEqual((await status({ interface: name }))["self"], { interface: name });
    }
    const down = askNode({ interface: "shoal-two" }, io, { command: "down" }, {
      isAnswer: having({ name: isText }),
    });
    assert.equal((await down)["name"], "shoal-two", "a command that changes something, too");
  } finally {
    await one.close();
    await two.close();
  }
  assert.deepEqual(runningNodes().filter((path) => path.startsWith(folder)), []);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("which node is meant is never guessed where something is changed, and those that run are listed", async () => {
  const folder = await Deno.makeTempDir();
  const one = await node(join(folder, "one"), "shoal-one");
  try {
    const down = await failure(askNode({}, io, { command: "down" }, { isAnswer }));
    assert.equal(down.code, Exit.notRunning);
    assert.match(down.message, /^no node answers at .*shoal0\.sock/);
    assert(down.message.includes(`--state ${one.folder}`), down.message);
    const other = await failure(status({ interface: "shoal-nobody" }));
    assert.equal(other.code, Exit.notRunning);
    assert(other.message.includes(`--state ${one.folder}`), other.message);
    const elsewhere = await failure(status({ state: join(folder, "nowhere") }));
    assert.match(elsewhere.message, /^no node answers at .*nowhere\/control\.sock/);
  } finally {
    await one.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a socket of another user is no node: anybody can answer in a node's name", async () => {
  const folder = await Deno.makeTempDir();
  const one = await node(join(folder, "one"), "shoal-one");
  try {
    if (Deno.uid() === 0) {
      assert(runningNodes(1234).includes(one.path), "root's is everybody's node");
      await Deno.chown(one.path, 4321, 4321);
      assert(!runningNodes(0).includes(one.path));
      assert(!runningNodes(1234).includes(one.path));
    }
    assert(runningNodes(4321).includes(one.path) || Deno.uid() !== 0);
  } finally {
    await one.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the kernel's list is read as it is written: listening sockets, by the name of their binding", async () => {
  const folder = await Deno.makeTempDir();
  const one = await node(join(folder, "one"), "shoal-one");
  const bound = one.path.replace(/k$/, "~");
  const line = (flags: string, path: string) =>
    `0000000000000000: 00000002 00000000 ${flags} 0001 01 123456 ${path}`;
  try {
    const of = (...lines: string[]) =>
      runningNodes(Deno.uid(), ["Num RefCount", ...lines].join("\n"));
    assert.deepEqual(of(line("00010000", bound)), [one.path]);
    assert.deepEqual(of(line("00000000", bound)), [], "it does not listen");
    assert.deepEqual(of(line("00010000", one.path)), [], "not bound as ours are");
    assert.deepEqual(of(line("00010000", "@abstract/control.soc~")), []);
    assert.deepEqual(of(line("00010000", `${folder}/one/other.soc~`)), []);
    assert.deepEqual(of(line("00010000", bound), line("00010000", bound)), [one.path]);
    assert.deepEqual(of("", "garbage", "\x00"), []);
  } finally {
    await one.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("of more than 16 nodes the rest is not asked", async () => {
  const folder = await Deno.makeTempDir();
  const nodes = await Promise.all(
    Array.from({ length: 17 }, (_, i) => node(join(folder, `n${i}`), `shoal-n${i}`)),
  );
  try {
    assert.equal(runningNodes().length, 16);
  } finally {
    await Promise.all(nodes.map((one) => one.close()));
    await Deno.remove(folder, { recursive: true });
  }
});
