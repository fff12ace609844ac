import assert from "node:assert/strict";
import * as net from "node:net";
import {
  bootTime,
  descriptorsLeft,
  groupId,
  hasInput,
  interfaceIndex,
  peerCredentials,
  readKernelFile,
  readKernelLink,
  SystemError,
} from "./libc.ts";

Deno.test("R63: the boot clock goes on as /proc/uptime does", () => {
  const before = bootTime();
  const uptime = 1000 * Number(Deno.readTextFileSync("/proc/uptime").split(" ")[0]);
  const after = bootTime();
  assert.ok(before <= after);
  assert.ok(Math.abs(uptime - before) < 100, `${before} ms, kernel says ${uptime}`);
});

Deno.test("peer credentials are those of the process at the other end", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
  const client = net.createConnection(path);
  const socket = await accepted as net.Socket & { _handle: { fd: number } };
  const { pid, uid, gid } = peerCredentials(socket._handle.fd);
  assert.deepEqual({ pid, uid, gid }, { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() });
  client.destroy();
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a refused call says which one and why", () => {
  assert.throws(
    () => peerCredentials(-1),
    (error) => error instanceof SystemError && error.errno === 9 && /EBADF/.test(error.message),
  );
});

Deno.test("interfaces have an index, names that do not exist have none", () => {
  assert.equal(interfaceIndex("lo"), 1);
  assert.equal(interfaceIndex("no-such-iface"), undefined);
});

Deno.test("descriptors left are those of the limit less those that are open", () => {
  const before = descriptorsLeft();
  const open = Array.from({ length: 10 }, () => Deno.openSync("/dev/null"));
  assert.equal(descriptorsLeft(), before - 10);
  for (const file of open) file.close();
  assert.equal(descriptorsLeft(), before);
  const most = Number(
    /^Max open files +(\d+)/m.exec(Deno.readTextFileSync("/proc/self/limits"))?.[1],
  );
  assert.ok(before > 0 && before < Math.min(most, 1024), `${before} of ${most}`);
});

Deno.test("a socket has input while there are bytes to be read", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  const server = net.createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
  const client = net.createConnection(path);
  const socket = await accepted as net.Socket & { _handle: { fd: number } };
  const { fd } = socket._handle;
  assert.equal(hasInput(fd), false);
  await new Promise<void>((resolve) => client.write("word", () => resolve()));
  assert.equal(hasInput(fd), true);
  const read = new Promise((resolve) => socket.once("data", resolve));
  socket.resume();
  await read;
  assert.equal(hasInput(fd), false);
  client.destroy();
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
  await Deno.remove(folder, { recursive: true });
});

Deno.test("a file of the kernel is read to its end, or as far as it may be", () => {
  const whole = readKernelFile("/proc/self/status", 65_536);
  assert.match(whole, /^Name:.*\n[^]*\nPid:\t\d+\n[^]*ctxt_switches:\t\d+\n$/);
  assert.equal(readKernelFile("/proc/self/status", 5), "Name:");
  assert.throws(
    () => readKernelFile("/proc/nothing", 5),
    (error) => error instanceof SystemError && error.errno === 2 && /nothing/.test(error.message),
  );
});

Deno.test("a group has the number that this machine gives it, and one that is not there has none", () => {
  assert.equal(groupId("root"), 0);
  assert.equal(groupId("no-group-of-this-name"), undefined);
});

Deno.test("a link of the kernel's is read as the kernel writes it, and one that is not there is refused", () => {
  assert.match(readKernelLink("/proc/self/ns/net"), /^net:\[\d+\]$/);
  assert.throws(
    () => readKernelLink("/proc/self/none"),
    (error) => error instanceof SystemError && error.message.includes("ENOENT"),
  );
});
