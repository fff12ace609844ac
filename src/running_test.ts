import assert from "node:assert/strict";
import { join } from "node:path";
import { duplicate, hasInput } from "../ffi/libc.ts";
import { testUnless } from "../.ci/skip.ts";
import { askNode } from "./cli/client.ts";
import type { Io } from "./cli/command.ts";
import { ControlServer } from "./control.ts";
import { Exit, Failure } from "./exit.ts";
import { removedSockets, runningNodes } from "./running.ts";
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

Deno.test("a node whose socket was removed is not told as none: who starts another would have two", async () => {
  const folder = await Deno.makeTempDir();
  const one = await node(join(folder, "one"), "shoal-one");
  try {
    assert(!removedSockets().includes(one.path));
    await Deno.remove(one.path);
    assert(removedSockets().includes(one.path));
    assert(!runningNodes().includes(one.path));
    const gone = new RegExp(
      `^a node listens at ${one.path}, and nothing is there: .*again within 15 s`,
    );
    const { code, message } = await failure(status({ state: one.folder }));
    assert.match(message, gone);
    assert.equal(code, Exit.failed, "not that of a node that is not running");
    const other = await failure(status({ state: join(folder, "other") }));
    assert.equal(other.code, Exit.notRunning);
  } finally {
    await one.close();
    await Deno.remove(folder, { recursive: true });
  }
});

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can make a network namespace" },
  "where no node is named, the only one that runs is told, though its socket was removed",
  async () => {
    const folder = await Deno.makeTempDir();
    const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    // Nobody else's node runs in a network namespace of its own.
    const script = `
import { removedSockets } from ${here("./running.ts")};
import { askNode } from ${here("./cli/client.ts")};
import { createServer } from "node:net";
import { listenAt } from ${here("./unix_socket.ts")};
const path = ${JSON.stringify(`${folder}/one/control.sock`)};
await listenAt(createServer(), { path, mode: 0o660, program: "test", elsewhere: "" });
await Deno.remove(path);
const io = { out() {}, err() {}, env: () => undefined, color: false };
for (const choice of [{}, { interface: "shoal-nobody" }]) {
  await askNode(choice, io, { command: "status" }, { isAnswer: () => true, asksOnly: true })
    .catch(({ code, message }) => console.log(code, message));
}
Deno.exit(removedSockets().length);`;
    const config = new URL("../deno.json", import.meta.url).pathname;
    const args = ["--net", Deno.execPath(), "run", "--quiet", "-A", "--no-check", "--cached-only"];
    const file = join(folder, "main.ts");
    await Deno.writeTextFile(file, script);
    try {
      const { code, stdout, stderr } = await new Deno.Command("unshare", {
        args: [...args, "--config", config, file],
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.equal(code, 1, text(stderr));
      const [unnamed = "", named = ""] = text(stdout).split("\n");
      assert(unnamed.startsWith(`1 a node listens at ${folder}/one/control.sock, and`), unnamed);
      assert(named.startsWith("3 no node answers at "), named);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

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

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can make folders of others" },
  "what another user calls a socket is no node, neither one that was removed nor one that is closed to us",
  async () => {
    const root = await Deno.makeTempDir();
    const [theirs, open, ours] = ["theirs", "open", "ours"].map((name) => join(root, name));
    assert(theirs && open && ours);
    for (const folder of [theirs, open, ours]) await Deno.mkdir(folder, { mode: 0o755 });
    await Deno.chown(theirs, 4321, 4321);
    await Deno.chmod(open, 0o1777); // As /tmp: what was there may have been anybody's.
    const one = await node(join(ours, "one"), "shoal-one");
    await Deno.symlink(join(ours, "one"), join(theirs, "link"));
    const bound = (path: string) =>
      `0000000000000000: 00000002 00000000 00010000 0001 01 1 ${path.replace(/k$/, "~")}`;
    const list = [
      join(theirs, "link", "control.sock"),
      join(theirs, "none", "control.sock"),
      join(open, "none", "control.sock"),
      one.path,
      join(ours, "none", "control.sock"),
    ].map(bound).join("\n");
    try {
      assert.deepEqual(runningNodes(0, list), [one.path]);
      const removed = (owner?: number, uid = 0) => removedSockets(list, () => owner, uid);
      assert.deepEqual(removed(0), [join(ours, "none", "control.sock")]);
      // In a mount namespace of its own anybody can call a socket so.
      assert.deepEqual(removed(4321), []);
      assert.deepEqual(removed(undefined), []);
      assert.deepEqual(removed(4321, 4321), removed(0));
      // Whoever cannot enter a folder is told of a node there only if it is in a folder of root's.
      const closed = [theirs, ours].map((folder) => join(folder, "closed"));
      for (const folder of closed) await Deno.mkdir(folder, { mode: 0o700 });
      await Deno.chown(join(theirs, "closed"), 4321, 4321);
      await Deno.chmod(root, 0o755);
      const paths = closed.map((folder) => join(folder, "control.sock"));
      const script = `
import { runningNodes } from ${JSON.stringify(new URL("./running.ts", import.meta.url).href)};
const list = ${JSON.stringify(paths.map(bound).join("\n"))};
console.log(JSON.stringify([0, 65533, 4321].map((owner) => runningNodes(65533, list, () => owner))));`;
      const file = join(root, "main.ts");
      await Deno.writeTextFile(file, script);
      const config = new URL("../deno.json", import.meta.url).pathname;
      const { stdout, stderr } = await new Deno.Command("setpriv", {
        args: ["--reuid=65533", "--regid=65533", "--clear-groups", Deno.execPath(), "run"]
          .concat(["--quiet", "-A", "--no-check", "--cached-only", "--config", config, file]),
        env: { HOME: "/nonexistent" },
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.deepEqual(JSON.parse(text(stdout) || text(stderr)), [[paths[1]], [paths[1]], []]);
    } finally {
      await one.close();
      await Deno.remove(root, { recursive: true });
    }
  },
);

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can be another user" },
  "a socket that another user has bound in a mount namespace of its own is no node whose socket was removed",
  async () => {
    const name = `fake${Deno.pid}`;
    const path = `/run/shoal/${name}.sock`;
    const listen =
      `const all = Deno.listen({ transport: "unix", path: "/run/shoal/${name}.soc~" }); console.log(1); await all.accept();`;
    const quoted = [Deno.execPath(), "eval", listen].map((word) => `'${word}'`).join(" ");
    const script = `mount -t tmpfs t /run && mkdir /run/shoal && exec ${quoted}`;
    const other = new Deno.Command("setpriv", {
      args: [
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "unshare",
        "-Urm",
        "sh",
        "-c",
        script,
      ],
      env: { HOME: "/nonexistent", DENO_DIR: "/run/deno" },
      stdout: "piped",
    }).spawn();
    const reader = other.stdout.getReader();
    try {
      assert.equal((await reader.read()).done, false, "it listens");
      assert.match(Deno.readTextFileSync("/proc/net/unix"), new RegExp(`/run/shoal/${name}`));
      assert(!removedSockets().includes(path));
      const { code, message } = await failure(status({ interface: name }));
      assert.match(message, /^no node answers at/);
      assert.equal(code, Exit.notRunning);
    } finally {
      other.kill("SIGKILL");
      await other.status;
      await reader.cancel();
    }
  },
);

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
