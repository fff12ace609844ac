import assert from "node:assert/strict";
import * as net from "node:net";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { duplicate, hasInput } from "../ffi/libc.ts";
import { type Descriptors, Listener } from "./listener.ts";

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A listener that greets and hangs up. */
async function listening(
  descriptors: Partial<Descriptors>,
  body: (path: string, listener: Listener) => Promise<void>,
): Promise<void> {
  await inFolder(async (dir) => {
    const path = join(dir, "socket");
    const listener = await Listener.open({
      place: { path, mode: 0o600, program: "test", elsewhere: "nothing" },
      descriptors: { left: () => 1000, hasInput, duplicate, ...descriptors },
      onClient: (client) => client.end("hello"),
    });
    try {
      await body(path, listener);
    } finally {
      await listener.close();
    }
    assert.deepEqual([...Deno.readDirSync(dir)], []);
  });
}

async function greeting(path: string): Promise<string> {
  const socket = net.createConnection(path);
  let text = "";
  socket.on("data", (chunk) => text += chunk);
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

Deno.test("a folder that is made for a socket lets everybody through, whatever the umask says", () =>
  inFolder(async (dir) => {
    const before = Deno.umask(0o077);
    try {
      const listener = await Listener.open({
        place: {
          path: join(dir, "made", "socket"),
          mode: 0o660,
          program: "test",
          elsewhere: "nothing",
        },
        descriptors: { left: () => 1000, hasInput, duplicate },
        onClient: (client) => client.end(),
      });
      assert.equal(((Deno.statSync(join(dir, "made")).mode ?? 0) & 0o777).toString(8), "755");
      await listener.close();
    } finally {
      Deno.umask(before);
    }
  }));

Deno.test("sockets that are opened at one time have each its mode, and leave the umask as it was", () =>
  inFolder(async (dir) => {
    const before = Deno.umask();
    const modes = [0o660, 0o600, 0o640];
    const opening = modes.map((mode, i) =>
      Listener.open({
        place: { path: join(dir, `${i}.sock`), mode, program: "test", elsewhere: "nothing" },
        descriptors: { left: () => 1000, hasInput, duplicate },
        onClient: (client) => client.end(),
      })
    );
    const isUntouched: boolean[] = [];
    const looking = setInterval(() => isUntouched.push(Deno.umask() === before), 0);
    const listeners = await Promise.all(opening);
    clearInterval(looking);
    const found = modes.map((_, i) => (Deno.statSync(join(dir, `${i}.sock`)).mode ?? 0) & 0o777);
    assert.deepEqual(found, modes);
    assert.equal(Deno.umask(), before);
    assert(!isUntouched.includes(false));
    await Promise.all(listeners.map((listener) => listener.close()));
  }));

Deno.test("a socket from which nobody is taken is taken up anew, at the same place", () => {
  let isLost = false;
  return listening({ hasInput: (fd) => isLost || hasInput(fd) }, async (path, listener) => {
    const { ino } = Deno.lstatSync(path);
    await sleep(600);
    assert.equal(listener.lost, 0, "a quiet one is left alone");
    isLost = true;
    for (let i = 0; i < 200 && listener.lost < 3; i++) await sleep(10);
    assert(listener.lost >= 3, `${listener.lost} times`);
    isLost = false;
    for (let i = 0; i < 3; i++) assert.equal(await greeting(path), "hello");
    assert.equal(Deno.lstatSync(path).ino, ino);
  });
});

Deno.test("without a descriptor for that it is tried again, and whoever can be served is", () => {
  let tries = 0;
  const refuse = () => {
    tries++;
    throw new Error("EMFILE");
  };
  return listening({ hasInput: () => true, duplicate: refuse }, async (path, listener) => {
    for (let i = 0; i < 200 && tries < 3; i++) await sleep(10);
    assert(tries >= 3, `${tries} tries`);
    assert.equal(await greeting(path), "hello");
    assert.equal(listener.lost, 0);
  });
});

Deno.test("a socket for a group stands in no folder that the group cannot enter", () =>
  inFolder(async (dir) => {
    const gid = Deno.gid() ?? 0;
    const open = (folder: string) =>
      Listener.open({
        place: {
          path: join(dir, folder, "socket"),
          mode: 0o660,
          group: { name: "readers", gid },
          program: "test",
          elsewhere: "another --interface",
        },
        descriptors: { left: () => 1000, hasInput, duplicate },
        onClient: (client) => client.end(),
      });
    Deno.chmodSync(dir, 0o755);
    const made = await open("made");
    const { mode, gid: found } = Deno.lstatSync(join(dir, "made", "socket"));
    assert.deepEqual([(mode ?? 0) & 0o777, found], [0o660, gid]);
    await made.close();
    Deno.mkdirSync(join(dir, "closed"));
    Deno.chmodSync(join(dir, "closed"), 0o705); // Others may enter; its group, which is this one, may not.
    await assert.rejects(
      open("closed"),
      /members of group readers cannot enter \S+\/closed \(mode 0705\), .* choose another --interface/,
    );
  }));
