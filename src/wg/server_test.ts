import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as net from "node:net";
import { duplicate, hasInput } from "../../ffi/libc.ts";
import { Exit, Failure } from "../exit.ts";
import type { OpenReport } from "./conversation.ts";
import { type Configurable, UapiServer, type UapiServerOptions } from "./server.ts";
import type { Work } from "./turns.ts";
import type { DeviceChange, UapiFault } from "./uapi.ts";

const KEY = "ab".repeat(32);
const descriptors = { left: () => 1000, hasInput, duplicate };

class FakeDevice implements Configurable {
  readonly changes: DeviceChange[] = [];
  answer: UapiFault | undefined;
  peers = 0;

  report(): OpenReport {
    const peers = Array.from({ length: this.peers }, (_, i) => ({
      publicKey: new Uint8Array(32).fill(i & 0xff),
      presharedKey: new Uint8Array(32),
      endpoint: undefined,
      lastHandshake: 0,
      txBytes: 0,
      rxBytes: 0,
      persistentKeepalive: 0,
      prefixes: [],
    }));
    return { privateKey: undefined, listenPort: 51820, fwmark: 0, peers, done: () => {} };
  }

  *change(change: DeviceChange): Work<UapiFault | undefined> {
    for (const _ of change.peers) yield;
    this.changes.push(change);
    return this.answer;
  }

  scopeOf(): undefined {}
}

interface World {
  readonly path: string;
  readonly device: FakeDevice;
  readonly server: UapiServer;
  readonly faults: UapiFault[];
  readonly defects: unknown[];
  /** How often the server said that it is crowded. */
  readonly crowds: number[];
  readonly removed: Promise<void>;
}

async function withServer(
  body: (world: World) => Promise<void>,
  limits: Partial<Pick<UapiServerOptions, "clientsMax" | "patienceMs" | "descriptors">> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-uapi-" });
  const path = `${folder}/wg0.sock`;
  const device = new FakeDevice();
  const faults: UapiFault[] = [];
  const defects: unknown[] = [];
  const crowds: number[] = [];
  const removed = Promise.withResolvers<void>();
  const server = await UapiServer.listen(path, {
    device,
    descriptors,
    onFault: (fault) => faults.push(fault),
    onDefect: (error) => defects.push(error),
    onCrowded: () => crowds.push(server.evicted + server.turnedAway),
    ...limits,
    onRemoved: removed.resolve,
  });
  try {
    await body({ path, device, server, faults, defects, crowds, removed: removed.promise });
    assert.deepEqual(defects, []);
  } finally {
    await server.close();
    await Deno.remove(folder, { recursive: true });
  }
}

class Client {
  #text = "";
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor(readonly socket: net.Socket) {
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      this.#text += chunk;
      this.#wake();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static open(path: string): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = net.createConnection(path);
      socket.once("connect", () => resolve(new Client(socket)));
      socket.once("error", reject);
    });
  }

  send(text: string | Uint8Array): void {
    this.socket.write(text);
  }

  /** The next answer, up to its empty line; "" when the other side hung up. */
  async answer(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end >= 0) {
        const answer = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return answer;
      }
      if (this.#isClosed) return "";
      await this.#news();
    }
  }

  async closed(): Promise<void> {
    while (!this.#isClosed) await this.#news();
  }

  /** The generous bound only ends a broken run. */
  #news(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no answer within 20 s")), 20_000);
      this.#wake = () => {
        clearTimeout(late);
        resolve();
      };
    });
  }
}

async function ask(path: string, request: string): Promise<string> {
  const client = await Client.open(path);
  client.send(request);
  const answer = await client.answer();
  client.socket.destroy();
  return answer;
}

Deno.test("T45: the socket is 0600 in a folder of its own, whatever the umask says", async () => {
  const before = Deno.umask(0);
  try {
    await withServer(({ path }) => {
      assert.equal(fs.statSync(path).mode & 0o777, 0o600);
      assert.equal(Deno.umask(), 0, "and the umask is what it was");
      return Promise.resolve();
    });
  } finally {
    Deno.umask(before);
  }
});

Deno.test("get and set answer on one connection, in order", async () => {
  await withServer(async ({ path, device }) => {
    const client = await Client.open(path);
    client.send("get=1\n\nset=1\nfwmark=7\n\n");
    assert.equal(await client.answer(), "listen_port=51820\nerrno=0");
    assert.equal(await client.answer(), "errno=0");
    client.send("get=1\n\n");
    assert.equal(await client.answer(), "listen_port=51820\nerrno=0");
    assert.deepEqual(device.changes.map(({ fwmark }) => fwmark), [7]);
    client.socket.destroy();
  });
});

Deno.test("a request in pieces of one byte is one request", async () => {
  await withServer(async ({ path, device }) => {
    const client = await Client.open(path);
    for (const byte of `set=1\npublic_key=${KEY}\n\n`) {
      client.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(await client.answer(), "errno=0");
    assert.equal(device.changes.length, 1);
    client.socket.destroy();
  });
});

Deno.test("a device's refusal goes out with its errno and is told once", async () => {
  await withServer(async ({ path, device, faults }) => {
    device.answer = { errno: "EADDRINUSE", what: "busy" };
    assert.equal(await ask(path, "set=1\nlisten_port=1\n\n"), "errno=-98");
    assert.deepEqual(faults, [device.answer]);
  });
});

Deno.test("nothing of a request that is malformed before its end is applied", async () => {
  await withServer(async ({ path, device, faults }) => {
    const request = `set=1\nlisten_port=1\npublic_key=${KEY}\nallowed_ip=nonsense\n\n`;
    assert.equal(await ask(path, request), "errno=-22");
    assert.deepEqual(device.changes, []);
    assert.equal(faults.length, 1);
  });
});

Deno.test("nothing of a request that is cut off before its empty line is applied", async () => {
  await withServer(async ({ path, device }) => {
    const client = await Client.open(path);
    client.send("set=1\nlisten_port=1\n");
    client.socket.end();
    assert.equal(await client.answer(), "errno=-71");
    const vanished = await Client.open(path);
    vanished.send("set=1\nlisten_port=1\n");
    vanished.socket.destroy();
    assert.equal(await ask(path, "get=1\n\n"), "listen_port=51820\nerrno=0");
    assert.deepEqual(device.changes, []);
  });
});

Deno.test("T46: a line without end is cut off at its limit and the client hung up on", async () => {
  await withServer(async ({ path, device, faults }) => {
    const client = await Client.open(path);
    const piece = "a".repeat(64 * 1024);
    client.send("set=1\n");
    for (let i = 0; i < 160; i++) client.send(piece);
    assert.equal(await client.answer(), "errno=-22");
    await client.closed();
    assert.deepEqual(device.changes, []);
    assert.equal(faults.length, 1);
    assert.equal(await ask(path, "get=1\n\n"), "listen_port=51820\nerrno=0");
  });
});

const ANSWER = "listen_port=51820\nerrno=0";

function openAll(path: string, count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => Client.open(path)));
}

function hangUp(...clients: readonly Client[]): void {
  for (const client of clients) client.socket.destroy();
}

Deno.test("T46: 200 clients at once are all served, and 800 silent ones beside them are let be", async () => {
  await withServer(async ({ path, server, crowds }) => {
    const silent: Client[] = [];
    for (let i = 0; i < 4; i++) silent.push(...await openAll(path, 200));
    const clients = await openAll(path, 200);
    for (const client of clients) client.send("get=1\n\n");
    for (const client of clients) assert.equal(await client.answer(), ANSWER);
    for (const client of silent) client.send("get=1\n\n");
    for (const client of silent) assert.equal(await client.answer(), ANSWER);
    assert.deepEqual([server.evicted, server.turnedAway, crowds], [0, 0, []]);
    hangUp(...silent, ...clients);
  });
});

Deno.test("T46: one client too many is told EBUSY, until one that asks for nothing can make room", async () => {
  await withServer(async ({ path, server, crowds }) => {
    const clients = await openAll(path, 8);
    const [first, ...others] = clients;
    assert.ok(first);
    first.send("set=1\n"); // Silent longest, but in the middle of a request: not one to hang up on.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const answers = () => {
      for (const client of others) client.send("get=1\n\n");
      return Promise.all(others.map((client) => client.answer()));
    };
    assert.deepEqual(await answers(), Array(7).fill(ANSWER));
    for (let i = 1; i <= 3; i++) {
      const late = await Client.open(path);
      late.send("get=1\n\n");
      assert.equal(await late.answer(), "errno=-16");
      await late.closed();
      assert.equal(server.turnedAway, i);
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(await ask(path, "get=1\n\n"), ANSWER);
    assert.deepEqual([server.evicted, crowds], [1, [0]], "told once, at the first");
    assert.equal((await answers()).filter((answer) => answer === ANSWER).length, 6);
    first.send("\n");
    assert.equal(await first.answer(), "errno=0");
    hangUp(...clients);
  }, { clientsMax: 8, patienceMs: 400 });
});

Deno.test("T46: of more half requests than are held at a time some give way, each told why", async () => {
  await withServer(async ({ path, device, faults }) => {
    const slow = await openAll(path, 40);
    for (const client of slow) client.send("set=1\nlisten_port=1\n");
    const trickle = setInterval(() => {
      for (const { socket } of slow) if (socket.writable) socket.write("fwmark=1\n");
    }, 50);
    try {
      assert.equal(await ask(path, "get=1\n\n"), ANSWER);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } finally {
      clearInterval(trickle);
    }
    const lost = faults.filter(({ errno }) => errno === "ETIMEDOUT").length;
    assert.ok(lost >= 9, `${lost} of 40 gave way to 8 and the get`);
    for (const client of slow) if (client.socket.writable) client.socket.write("\n");
    const answers = await Promise.all(slow.map((client) => client.answer()));
    assert.equal(answers.filter((answer) => answer === "errno=-110").length, lost);
    assert.equal(answers.filter((answer) => answer === "errno=0").length, 40 - lost);
    assert.equal(device.changes.length, 40 - lost);
    hangUp(...slow);
  }, { patienceMs: 300 });
});

Deno.test("T46: clients that do not read their answers hold no others, and are cut off for them alone", async () => {
  await withServer(async ({ path, device, faults }) => {
    device.peers = 10_000;
    const deaf = await openAll(path, 40);
    for (const client of deaf) {
      client.socket.pause();
      client.send("get=1\n\n");
    }
    assert.match(await ask(path, "get=1\n\n"), /^listen_port=51820\npublic_key=[^]*errno=0$/);
    const cut = faults.filter(({ errno }) => errno === "ETIMEDOUT").length;
    assert.ok(cut >= 9 && cut <= 40, `${cut}`);
    hangUp(...deaf);
  }, { patienceMs: 300 });
});

Deno.test("a slow client holds no other, and has all the time that nobody else needs", async () => {
  await withServer(async ({ path, device }) => {
    const slow = await Client.open(path);
    for (const byte of "set=1\nfwmark=7\n\n") {
      slow.send(byte);
      assert.equal(await ask(path, "get=1\n\n"), ANSWER);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(await slow.answer(), "errno=0");
    assert.deepEqual(device.changes.map(({ fwmark }) => fwmark), [7]);
    hangUp(slow);
  }, { patienceMs: 300 });
});

Deno.test("sets of several clients are applied one after the other, and a get waits for none", async () => {
  await withServer(async ({ path, device }) => {
    let running = 0;
    let others = 0;
    const gate = Promise.withResolvers<void>();
    let isOpen = false;
    void gate.promise.then(() => isOpen = true);
    device.change = function* (change) {
      others = Math.max(others, running++);
      while (!isOpen) yield;
      running--;
      device.changes.push(change);
      return undefined;
    };
    const clients = await openAll(path, 3);
    for (const [i, client] of clients.entries()) client.send(`set=1\nfwmark=${i}\n\n`);
    assert.equal(await ask(path, "get=1\n\n"), ANSWER);
    assert.deepEqual(device.changes, []);
    gate.resolve();
    for (const client of clients) assert.equal(await client.answer(), "errno=0");
    assert.deepEqual([device.changes.length, others], [3, 0]);
    hangUp(...clients);
  });
});

Deno.test("a set that fails half way is told as EIO and as a defect, and the next one is served", async () => {
  const defects: unknown[] = [];
  await withServer(async ({ path, device, defects: seen }) => {
    device.change = function* () {
      yield;
      throw new RangeError("a defect");
    };
    assert.equal(await ask(path, "set=1\n\n"), "errno=-5");
    defects.push(...seen.splice(0));
    device.change = FakeDevice.prototype.change;
    assert.equal(await ask(path, "set=1\n\n"), "errno=0");
  });
  assert.match(String(defects), /RangeError: a defect/);
});

Deno.test("T46: a client that does not read its answers is not read either", async () => {
  await withServer(async ({ path, device }) => {
    device.peers = 10_000;
    const client = await Client.open(path);
    client.socket.pause();
    for (let i = 0; i < 20; i++) client.send("get=1\n\n");
    client.send("set=1\n\n");
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.deepEqual(device.changes, [], "the set waits behind answers that nobody takes");
    client.socket.resume();
    for (let i = 0; i < 20; i++) assert.match(await client.answer(), /errno=0$/);
    assert.equal(await client.answer(), "errno=0");
    assert.equal(device.changes.length, 1);
    client.socket.destroy();
  });
});

Deno.test("bytes that mean nothing get an error, and the next client is served", async () => {
  await withServer(async ({ path, device }) => {
    for (let i = 0; i < 200; i++) {
      const client = await Client.open(path);
      const noise = crypto.getRandomValues(new Uint8Array(1 + i * 10));
      client.send(i % 2 === 0 ? noise : new TextEncoder().encode(`set=1\n${noise}\n`));
      client.socket.end();
      await client.closed();
    }
    assert.deepEqual(device.changes, []);
    assert.equal(await ask(path, "get=1\n\n"), "listen_port=51820\nerrno=0");
  });
});

Deno.test("a socket that nobody answers is replaced, a live one is refused", async () => {
  await withServer(async ({ path }) => {
    const options = {
      device: new FakeDevice(),
      descriptors,
      onFault: () => {},
      onCrowded: () => {},
      onDefect: () => {},
      onRemoved: () => {},
    };
    await assert.rejects(
      UapiServer.listen(path, options),
      (error) => error instanceof Failure && /another process answers/.test(error.message),
    );
    assert.equal(await ask(path, "get=1\n\n"), "listen_port=51820\nerrno=0");

    const stale = path.replace("wg0", "wg1");
    const script = `require("node:net").createServer().listen(${JSON.stringify(stale)}, () =>
      process.kill(process.pid, "SIGKILL"))`;
    await new Deno.Command(Deno.execPath(), {
      args: ["eval", "--ext=cjs", script],
      stderr: "null",
    }).output();
    assert.ok(fs.lstatSync(stale).isSocket(), "a killed process leaves its socket");
    const server = await UapiServer.listen(stale, options);
    assert.equal(await ask(stale, "get=1\n\n"), "listen_port=51820\nerrno=0");
    await server.close();
    assert.ok(!fs.existsSync(stale), "and a closed server takes its own away");
  });
});

Deno.test("T45: what is no socket, and a folder that others may write, are refused", async () => {
  const folder = await Deno.makeTempDir({ prefix: "shoal-uapi-" });
  const options = {
    device: new FakeDevice(),
    descriptors,
    onFault: () => {},
    onCrowded: () => {},
    onDefect: () => {},
    onRemoved: () => {},
  };
  const refused = (path: string, code: number, text: RegExp) =>
    assert.rejects(
      UapiServer.listen(path, options),
      (error) => error instanceof Failure && error.code === code && text.test(error.message),
    );
  try {
    await Deno.writeTextFile(`${folder}/file.sock`, "precious");
    await refused(`${folder}/file.sock`, Exit.stuck, /is no socket/);
    await Deno.symlink(`${folder}/file.sock`, `${folder}/link.sock`);
    await refused(`${folder}/link.sock`, Exit.stuck, /is no socket/);
    assert.equal(await Deno.readTextFile(`${folder}/file.sock`), "precious");
    await Deno.mkdir(`${folder}/open`);
    await Deno.chmod(`${folder}/open`, 0o777);
    await refused(`${folder}/open/wg0.sock`, Exit.failed, /others may write/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a socket that the run time has lost is taken up anew, half open as before", async () => {
  let isLost = true;
  const looks = { ...descriptors, hasInput: (fd: number) => isLost || hasInput(fd) };
  await withServer(async ({ path }) => {
    const { ino } = fs.lstatSync(path);
    await new Promise((resolve) => setTimeout(resolve, 700));
    isLost = false;
    assert.equal(fs.lstatSync(path).ino, ino);
    const client = net.createConnection({ path, allowHalfOpen: true });
    client.end("get=1\n\n");
    let text = "";
    for await (const chunk of client) text += chunk;
    assert.equal(text, "listen_port=51820\nerrno=0\n\n");
  }, { descriptors: looks });
});

Deno.test("the removal of the socket is noticed, a change beside it is not", async () => {
  await withServer(async ({ path, removed }) => {
    let isRemoved = false;
    void removed.then(() => isRemoved = true);
    await Deno.writeTextFile(path.replace("wg0", "other"), "");
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(isRemoved, false);
    await Deno.remove(path);
    await removed;
  });
});
