import assert from "node:assert/strict";
import * as net from "node:net";
import { join } from "node:path";
import { duplicate, hasInput } from "../ffi/libc.ts";
import {
  ask,
  type ControlNews,
  ControlServer,
  type Credentials,
  type Operation,
} from "./control.ts";
import { Exit, Failure } from "./exit.ts";

const ME: Credentials = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };
/** Somebody else, who may open the socket. */
const READER: Credentials = { uid: 54_321, gid: 54_321 };

const OPERATIONS: Record<string, Operation> = {
  status: { changes: false, run: () => ({ self: { name: "lyon" } }) },
  revoke: { changes: true, run: () => ({ revoked: true }) },
  ping: {
    changes: false,
    run: (_request, report) => {
      report({ seq: 1 });
      report({ seq: 2 });
      return { sent: 2 };
    },
  },
  refuse: {
    changes: false,
    run: () => {
      throw new Failure(Exit.notConfigured, "no mesh yet: join one");
    },
  },
  break: {
    changes: false,
    run: () => {
      throw new RangeError("a defect");
    },
  },
  slow: {
    changes: false,
    run: async (_request, report) => {
      for (let i = 0; i < 8; i++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        report({ seq: i });
      }
      return { sent: 8 };
    },
  },
  flood: {
    changes: false,
    run: (_request, report) => {
      for (let i = 0; i < 200; i++) report({ pad: "x".repeat(32 * 1024) });
      return {};
    },
  },
};

/** No name by which commands find the nodes that run here: those of other tests would be clients that are counted. */
const SOCKET = "test.sock";

async function serving(
  body: (path: string, server: ControlServer, defects: unknown[]) => Promise<void>,
  credentials: Credentials | (() => Credentials) = ME,
  left: () => number = () => 1000,
): Promise<void> {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const defects: unknown[] = [];
  const server = await ControlServer.listen({
    path,
    operations: OPERATIONS,
    credentialsOf: () => typeof credentials === "function" ? credentials() : credentials,
    descriptors: { left, hasInput, duplicate },
    onDefect: (error) => defects.push(error),
  });
  try {
    await body(path, server, defects);
  } finally {
    await server.close();
    Deno.removeSync(dir, { recursive: true });
  }
}

async function failsWith(code: number, text: RegExp, call: () => Promise<unknown>) {
  await assert.rejects(call, (error) => {
    assert(error instanceof Failure, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, text);
    return true;
  });
}

/** Writes raw bytes and gives back all that came until the server hung up or was silent. */
function raw(path: string, bytes: string | Uint8Array, quietMs = 300): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.createConnection(path, () => void socket.write(bytes));
    let text = "";
    const done = () => {
      socket.destroy();
      resolve(text);
    };
    let timer = setTimeout(done, quietMs * 10);
    socket.on("data", (chunk) => {
      text += chunk;
      clearTimeout(timer);
      timer = setTimeout(done, quietMs);
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      done();
    });
  });
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A client that is connected and says nothing. */
async function silent(path: string): Promise<net.Socket> {
  const socket = net.createConnection(path);
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  return socket;
}

/** A client that has had its answer and stays. */
async function asker(path: string): Promise<net.Socket> {
  const socket = await silent(path);
  socket.write('{"v":1,"command":"status"}\n');
  await new Promise((resolve) => socket.once("data", resolve));
  return socket;
}

/** All that comes until the server hangs up. */
async function textOf(socket: net.Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => text += chunk);
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

Deno.test("a document comes back with its version, progress before it", () =>
  serving(async (path) => {
    assert.deepEqual(await ask(path, { command: "status" }), { v: 1, self: { name: "lyon" } });
    const events: unknown[] = [];
    const onEvent = (event: unknown) => events.push(event);
    const last = await ask(path, { command: "ping" }, { onEvent });
    assert.deepEqual(events, [{ seq: 1 }, { seq: 2 }]);
    assert.deepEqual(last, { v: 1, sent: 2 });
  }));

Deno.test("T46: the socket is 0660, whoever opens it may read, another user may not change", () =>
  serving(async (path) => {
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o660);
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
    await failsWith(
      Exit.noPermission,
      /user 65534 may look but not change/,
      () => ask(path, { command: "revoke" }),
    );
  }, { uid: 65534, gid: 65534 }));

Deno.test("T46: the owner may change", () =>
  serving(async (path) => {
    assert.deepEqual(await ask(path, { command: "revoke" }), { v: 1, revoked: true });
  }));

Deno.test("a failure keeps its line and its exit code; a defect is told and logged", () =>
  serving(async (path, _server, defects) => {
    await failsWith(
      Exit.notConfigured,
      /^no mesh yet: join one$/,
      () => ask(path, { command: "refuse" }),
    );
    await failsWith(Exit.failed, /a defect/, () => ask(path, { command: "break" }));
    assert.equal(defects.length, 1);
    await failsWith(
      Exit.usage,
      /no command 'constructor'/,
      () => ask(path, { command: "constructor" }),
    );
  }));

Deno.test("T46: nonsense gets one clear line each", () =>
  serving(async (path) => {
    for (
      const [line, text] of [
        ["hello", /not a line of JSON/],
        ["[1]", /a request is/],
        ["null", /a request is/],
        ['{"command":"status"}', /version undefined/],
        ['{"v":2,"command":"status"}', /version 2 is not spoken/],
      ] as const
    ) {
      const reply = await raw(path, line + "\n", 100);
      assert.match(JSON.parse(reply).error, text, line);
    }
  }));

Deno.test("T46: a 10 MiB line is cut off, counted, and the next client is served", () =>
  serving(async (path, server) => {
    const reply = await raw(path, "x".repeat(10 * 1024 * 1024));
    assert(reply === "" || /longer than 65536/.test(reply), reply.slice(0, 80));
    assert.equal(server.refused.line, 1);
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
  }));

Deno.test("T46: a client full of requests keeps nobody waiting, and what a gone one asked is not answered", () =>
  serving(async (path, server) => {
    const client = net.createConnection(path, () => client.write("\n".repeat(1024 * 1024)));
    client.on("error", () => {});
    client.resume();
    await new Promise((resolve) => setTimeout(resolve, 50));
    for (let i = 0; i < 5; i++) {
      const asked = performance.now();
      assert.equal((await ask(path, { command: "status" }))["v"], 1);
      const took = performance.now() - asked;
      assert(took < 1000, `answered after ${took} ms`);
    }
    client.destroy();
    // Nobody reads here: the client is gone with its requests, and closing does not wait for them.
    const silent = net.createConnection(path, () => silent.write("\n".repeat(60 * 1024)));
    silent.on("error", () => {});
    silent.pause();
    for (let i = 0; i < 100 && server.refused.unread === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(server.refused.unread, 1);
    silent.destroy();
  }));

Deno.test({
  name: "a path that the run time keeps to itself is one where no node runs",
  permissions: { read: true, write: true, net: true }, // As `run` gives them: not all.
  fn: async () => {
    for (const path of ["/dev/null/control.sock", "/proc/nowhere/control.sock"]) {
      await failsWith(Exit.notRunning, /no node answers/, () => ask(path, { command: "status" }));
    }
  },
});

Deno.test("T46: of 1,000 clients at once 64 are kept, the rest refused and counted", () =>
  serving(async (path, server) => {
    let turnedAway = 0; // by the kernel, whose backlog was full
    const sockets = Array.from({ length: 1000 }, () => {
      const socket = net.createConnection(path);
      socket.on("error", () => turnedAway++);
      return socket;
    });
    // On a slow machine the first of them make room for the last.
    const refused = () => server.refused.clients + server.refused.silent + turnedAway;
    for (let i = 0; i < 50 && refused() < 936; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(refused(), 936);
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
  }, READER));

Deno.test("T46: a client that does not read is cut off before it costs memory", () =>
  serving(async (path, server) => {
    const socket = net.createConnection(path, () => {
      socket.pause();
      socket.write('{"v":1,"command":"flood"}\n');
    });
    socket.on("error", () => {});
    for (let i = 0; i < 50 && server.refused.unread === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(server.refused.unread, 1);
    socket.destroy();
  }));

Deno.test("a stale socket is replaced, a live one is not, nor a file that is no socket", async () => {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const options = {
    path,
    operations: OPERATIONS,
    credentialsOf: () => ME,
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: () => {},
  };
  await failsWith(Exit.notRunning, /no node answers/, () => ask(path, { command: "status" }));
  const first = await ControlServer.listen(options);
  await failsWith(Exit.failed, /another process answers/, () => ControlServer.listen(options));
  await first.close();

  const listener = Deno.listen({ transport: "unix", path });
  listener.close(); // Deno leaves the file: just what a killed process leaves.
  const second = await ControlServer.listen(options);
  assert.equal((await ask(path, { command: "status" }))["v"], 1);
  await second.close();

  Deno.writeTextFileSync(path, "not a socket");
  await failsWith(Exit.stuck, /is no socket/, () => ControlServer.listen(options));
  Deno.removeSync(dir, { recursive: true });
});

Deno.test("T46: who finds 64 clients there is told so, and of a crowd everybody gets one line", () =>
  serving(async (path, server) => {
    const served = await Promise.all(Array.from({ length: 64 }, () => asker(path)));
    await sleep(300); // Silent since, but they have asked.
    const full = /64 clients are being served, which is all: try again later/;
    await failsWith(Exit.failed, full, () => ask(path, { command: "status" }));
    const crowd = await Promise.allSettled(
      Array.from({ length: 500 }, () => ask(path, { command: "status" })),
    );
    for (const told of crowd) {
      assert(told.status === "rejected");
      assert(told.reason instanceof Failure, String(told.reason));
    }
    assert.equal(server.refused.clients, 501);
    assert(served.every((socket) => !socket.destroyed));
    for (const socket of served) socket.destroy();
  }, READER));

Deno.test("T46: however many look, eight who may change something are served beside them", () => {
  let who = READER;
  return serving(
    async (path) => {
      const readers = await Promise.all(Array.from({ length: 64 }, () => asker(path)));
      await sleep(300);
      who = { uid: 0, gid: 0 };
      const roots = await Promise.all(Array.from({ length: 8 }, () => asker(path)));
      await sleep(300);
      const full = /72 clients are being served/;
      await failsWith(Exit.failed, full, () => ask(path, { command: "status" }));
      for (const socket of [...readers, ...roots]) socket.destroy();
    },
    () => who,
  );
});

Deno.test("T46: of silent clients the one that came first makes room, and is told why", () =>
  serving(async (path, server) => {
    const [first, ...others] = await Promise.all(Array.from({ length: 63 }, () => silent(path)));
    assert(first);
    const asked = await asker(path);
    const told = textOf(first);
    assert.match(
      await raw(path, '{"v":1,"command":"status"}\n', 50),
      /64 clients are being served/,
      "nobody has been silent for long yet",
    );
    await sleep(300);
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
    assert.equal(server.refused.silent, 1);
    assert.match(JSON.parse(await told).error, /this client had asked nothing: ask again$/);
    await sleep(50);
    assert([...others, asked].every((socket) => !socket.destroyed));
    for (const socket of [...others, asked]) socket.destroy();
  }, READER));

Deno.test("T46: where few descriptors are left four clients are served, and one who asks gets an answer", () => {
  let left = 1000;
  return serving(
    async (path, server) => {
      const early = await Promise.all(Array.from({ length: 10 }, () => silent(path)));
      left = 15;
      await sleep(300);
      assert.equal((await ask(path, { command: "status" }))["v"], 1);
      assert.deepEqual([server.refused.silent, server.refused.clients], [1, 0]);
      for (const socket of early) socket.destroy();
      await sleep(50);
      const four = await Promise.all(Array.from({ length: 4 }, () => asker(path)));
      for (left of [15, 7]) {
        await failsWith(
          Exit.failed,
          /4 clients are being served/,
          () => ask(path, { command: "status" }),
        );
      }
      assert.equal(server.refused.clients, 2);
      left = 16;
      assert.equal((await ask(path, { command: "status" }))["v"], 1);
      for (const socket of four) socket.destroy();
    },
    ME,
    () => left,
  );
});

/** Something that accepts and answers in its own way. */
async function answering(welcome: (client: net.Socket) => void, body: (path: string) => unknown) {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const clients: net.Socket[] = [];
  const server = net.createServer((client) => {
    clients.push(client);
    client.on("error", () => {});
    welcome(client);
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  try {
    await body(path);
  } finally {
    for (const client of clients) client.destroy();
    await new Promise((resolve) => server.close(resolve));
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("a node that is silent is told to be stopped; one that reports is waited for", async () => {
  await answering(() => {}, async (path) => {
    const asked = () => ask(path, { command: "status" }, { silenceMs: 50 });
    await failsWith(Exit.failed, /test\.sock does not answer: is it stopped\?$/, asked);
  });
  await serving(async (path) => {
    const last = await ask(path, { command: "slow" }, { silenceMs: 500 });
    assert.deepEqual(last, { v: 1, sent: 8 }); // after 800 ms
  });
});

Deno.test("a node that hangs up, or is none, ends in one line", async () => {
  await answering((client) => client.destroy(), async (path) => {
    const asked = () => ask(path, { command: "status" });
    await failsWith(Exit.failed, /test\.sock hung up before it answered.*: its log/, asked);
  });
  for (const answer of ["220 mail ready\r\n", "7\n"]) {
    await answering((client) => client.write(answer), async (path) => {
      const asked = () => ask(path, { command: "status" });
      await failsWith(Exit.failed, /test\.sock is no node/, asked);
    });
  }
});

Deno.test("who waits for the node's end is told when its socket is gone, or that it does not end", async () => {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const server = await ControlServer.listen({
    path,
    operations: OPERATIONS,
    credentialsOf: () => ME,
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: () => {},
  });
  const late = () => ask(path, { command: "status" }, { goneWithinMs: 50 });
  await failsWith(Exit.failed, /has not ended within 0\.05 s/, late);
  const gone = ask(path, { command: "status" }, { goneWithinMs: 20_000 });
  const sawSocket = gone.then(() => [...Deno.readDirSync(dir)].length > 0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await server.close();
  assert.equal(await sawSocket, false);
  Deno.removeSync(dir, { recursive: true });
});

/** Answers everybody at a socket whose queue has room for one, and stands still before it takes anybody. */
const NARROW = `
  import * as net from "node:net";
  const server = net.createServer((client) => client.on("data", () => client.end('{"v":1,"ok":true}\\n')));
  server.listen({ path: Deno.args[0], backlog: 0 }, () => console.log("listens"));
`;

Deno.test("who finds the queue before a node full waits for its turn, and hears in the end that it is busy", async () => {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const script = join(dir, "narrow.ts");
  Deno.writeTextFileSync(script, NARROW);
  const node = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, path],
    stdout: "piped",
  }).spawn();
  const waiting: net.Socket[] = [];
  try {
    await node.stdout.getReader().read();
    node.kill("SIGSTOP");
    const isFull = () =>
      new Promise<boolean>((resolve) => {
        const socket = net.createConnection(path);
        waiting.push(socket);
        socket.once("connect", () => resolve(false));
        socket.once("error", ({ message }) => resolve(/EAGAIN|os error 11/.test(message)));
      });
    let count = 0;
    while (!await isFull()) assert.ok(++count < 1_000);
    let now = 0;
    const clock = {
      now: () => now,
      sleep: (ms: number) => {
        now += ms;
        return Promise.resolve();
      },
    };
    await failsWith(
      Exit.failed,
      /test\.sock is busy: others wait for it, and for 10 s there was no room .*: try again later/,
      () => ask(path, { command: "status" }, { clock }),
    );
    assert.equal(now, 10_000);
    setTimeout(() => node.kill("SIGCONT"), 300);
    assert.deepEqual(await ask(path, { command: "status" }), { v: 1, ok: true });
  } finally {
    for (const socket of waiting) socket.destroy();
    node.kill("SIGKILL");
    await node.status;
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a socket whose folder was removed is there again; while it cannot be, that is said once", async () => {
  const dir = Deno.makeTempDirSync();
  const folder = join(dir, "run");
  const path = join(folder, "shoal0.sock");
  const news: ControlNews[] = [];
  const until = async (kind: ControlNews["kind"]) => {
    for (let i = 0; i < 100 && news.at(-1)?.kind !== kind; i++) {
      await new Promise((go) => setTimeout(go, 100));
    }
    assert.equal(news.at(-1)?.kind, kind);
  };
  const server = await ControlServer.listen({
    path,
    operations: OPERATIONS,
    credentialsOf: () => ME,
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: (error) => assert.fail(String(error)),
    makesFolder: true,
    onNews: (one) => news.push(one),
  });
  try {
    Deno.removeSync(folder, { recursive: true });
    await until("controlRemoved");
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
    Deno.removeSync(path);
    Deno.writeTextFileSync(path, "in the way");
    await until("controlLost");
    await new Promise((go) => setTimeout(go, 2_500)); // One more look, which says nothing.
    Deno.removeSync(path);
    await until("controlRemoved");
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
    assert.deepEqual(news.map(({ kind }) => kind), [
      "controlRemoved",
      "controlLost",
      "controlRemoved",
    ]);
  } finally {
    await server.close();
    Deno.removeSync(dir, { recursive: true });
  }
});

Deno.test("a socket that somebody removed is there again within seconds, and is said once", async () => {
  const dir = Deno.makeTempDirSync();
  const path = join(dir, SOCKET);
  const news: unknown[] = [];
  const server = await ControlServer.listen({
    path,
    operations: OPERATIONS,
    credentialsOf: () => ME,
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: (error) => assert.fail(String(error)),
    onNews: (one) => news.push(one),
  });
  try {
    Deno.removeSync(path);
    await failsWith(Exit.notRunning, /no node answers/, () => ask(path, { command: "status" }));
    for (let i = 0; i < 100 && news.length === 0; i++) {
      await new Promise((go) => setTimeout(go, 100));
    }
    assert.equal((await ask(path, { command: "status" }))["v"], 1);
    assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o660);
    assert.deepEqual(news, [{ kind: "controlRemoved", path }]);
  } finally {
    await server.close();
    Deno.removeSync(dir, { recursive: true });
  }
  assert.throws(() => Deno.lstatSync(path));
});
