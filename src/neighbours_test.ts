import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { testUnless } from "../.ci/skip.ts";
import { freePort, LOCK_FILE, neighbours, PORT_FILE, type Processes } from "./neighbours.ts";
import { wrap } from "./envelope.ts";

/** A state folder of a node that remembers a port. */
function node(parent: string, name: string, port: string): void {
  Deno.mkdirSync(join(parent, name));
  Deno.writeFileSync(join(parent, name, PORT_FILE), wrap(PORT_FILE, port));
  Deno.writeTextFileSync(join(parent, name, LOCK_FILE), "");
}

function free(parent: string, processes?: Processes) {
  const found = freePort({ parent, own: join(parent, "new") }, 51820, processes);
  return [found.port, found.by];
}

Deno.test("the first node of a machine has the usual port", () =>
  inFolder((dir) => {
    assert.deepEqual(free(join(dir, "none")), [51820, undefined]);
    assert.deepEqual(free(dir), [51820, undefined]);
    node(dir, "other", "4500");
    node(dir, "new", "51820");
    assert.deepEqual(free(dir), [51820, undefined], "its own folder is no other node's");
  }));

Deno.test("a port that another node remembers is left to it, whether it runs or not, and so is the next", () =>
  inFolder((dir) => {
    node(dir, "shoal0", "51820");
    assert.deepEqual(free(dir), [51821, join(dir, "shoal0")]);
    node(dir, "lab", "51821");
    assert.deepEqual(free(dir), [51822, join(dir, "shoal0")]);
  }));

Deno.test("a node that runs in another network namespace has ports of its own", () =>
  inFolder((dir) => {
    node(dir, "shoal0", "51820");
    const { ino, dev, uid } = Deno.statSync(join(dir, "shoal0", LOCK_FILE));
    const device = deviceText(dev);
    const processes = (
      namespace: string | undefined,
      user = uid ?? 0,
      on = `${device}:${ino}`,
    ) => ({
      locks: () =>
        `1: POSIX  ADVISORY  READ 9 ${on} 128 128\n2: FLOCK  ADVISORY  WRITE 42 ${on} 0 EOF\n`,
      namespaceOf: (pid: string) => ({ self: "net:[1]", 42: namespace, 9: "net:[7]" })[pid],
      userOf: () => user,
    });
    assert.deepEqual(free(dir, processes("net:[2]")), [51820, undefined]);
    assert.deepEqual(free(dir, processes("net:[2]", 0)), [51820, undefined], "root runs it");
    assert.deepEqual(free(dir, processes("net:[1]"))[0], 51821);
    assert.deepEqual(free(dir, processes(undefined))[0], 51821, "it cannot be seen");
    // A file of the same number: on a file system that any user can make, and on another disk.
    assert.deepEqual(free(dir, processes("net:[2]", 65_534, `00:2a:${ino}`))[0], 51821);
    assert.deepEqual(free(dir, processes("net:[2]", 65_534))[0], 51821);
    if (!device.startsWith("00:")) {
      assert.deepEqual(free(dir, processes("net:[2]", 0, `ab:cdef:${ino}`))[0], 51821);
    }
    // As btrfs and overlay: what stat names is not what the list names.
    assert.deepEqual(free(dir, processes("net:[2]", 0, `00:2a:${ino}`))[0], 51820);
  }));

/** As the kernel lists a device. */
function deviceText(dev: number): string {
  const [major, minor] = [(dev >>> 8) & 0xfff, (dev & 0xff) | ((dev >>> 12) & 0xfff00)];
  return [major, minor].map((number) => number.toString(16).padStart(2, "0")).join(":");
}

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can be another user" },
  "a lock of a node in another network namespace frees its port, and no other user's lock does",
  () =>
    inFolder(async (dir) => {
      node(dir, "shoal0", "51820");
      await Deno.chmod(dir, 0o755);
      const lock = join(dir, "shoal0", LOCK_FILE);
      await Deno.chmod(lock, 0o666);
      const locked = async (...before: string[]) => {
        const [program = "", ...args] = [...before, "flock", lock, "sh", "-c", "echo; read -r end"];
        const other = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
        const reader = other.stdout.getReader();
        try {
          assert.equal((await reader.read()).done, false, "it is locked");
          return free(dir)[0];
        } finally {
          await other.stdin.close();
          await reader.cancel();
          await other.status;
        }
      };
      assert.equal(await locked("unshare", "-n"), 51820);
      const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
      assert.equal(await locked(...nobody, "unshare", "-Urn"), 51821);
    }),
);

Deno.test("nodes are called by the interfaces that their folders are named after", () =>
  inFolder((dir) => {
    node(dir, "shoal0", "51820");
    node(dir, "lab", "51821");
    assert.deepEqual(neighbours(dir), ["lab", "shoal0"]);
    assert.deepEqual(neighbours(join(dir, "none")), []);
  }));

Deno.test("what is no node's folder, is damaged, or is bait, claims no port and stops nobody", () =>
  inFolder((dir) => {
    Deno.writeTextFileSync(join(dir, "file"), "51820");
    for (const port of ["x", "0", "70000"]) node(dir, `of-${port}`, port);
    node(dir, "cut", "51820");
    Deno.writeTextFileSync(join(dir, "cut", PORT_FILE), '{"shoal":"port"');
    node(dir, "link", "51820");
    Deno.renameSync(join(dir, "link", PORT_FILE), join(dir, "elsewhere"));
    Deno.symlinkSync(join(dir, "elsewhere"), join(dir, "link", PORT_FILE));
    node(dir, "pipe", "51820");
    Deno.removeSync(join(dir, "pipe", PORT_FILE));
    const { success } = new Deno.Command("mkfifo", { args: [join(dir, "pipe", PORT_FILE)] })
      .outputSync();
    assert.ok(success);
    assert.deepEqual(free(dir), [51820, undefined]);
  }));
