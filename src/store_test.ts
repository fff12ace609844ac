import assert from "node:assert/strict";
import { join } from "node:path";
import { failsWith } from "../.ci/failure.ts";
import { inFolder } from "../.ci/folder.ts";
import { testUnless } from "../.ci/skip.ts";
import { Exit } from "./exit.ts";
import { Store } from "./store.ts";

/** A state folder that is not there yet, in a folder of its own. */
const inState = (body: (dir: string) => void | Promise<void>) => () =>
  inFolder((root) => body(join(root, "state")));

const FILE_MAX = 1024 * 1024;

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test(
  "T45: the folder is 0700 and its files 0600 under umask 000",
  inState((dir) => {
    const before = Deno.umask(0);
    try {
      const store = Store.open(dir, FILE_MAX);
      store.create("identity", bytes("secret"));
      store.write("members", bytes("{}"));
      store.close();
    } finally {
      Deno.umask(before);
    }
    assert.equal((Deno.statSync(dir).mode ?? 0) & 0o777, 0o700);
    for (const name of ["identity", "members", "lock"]) {
      assert.equal((Deno.statSync(join(dir, name)).mode ?? 0) & 0o777, 0o600, name);
    }
  }),
);

Deno.test(
  "T45: content is never in a file that others could open, in 1,000 writes watched by a racer",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    const racer = new Worker(new URL("./store_racer.ts", import.meta.url), {
      type: "module",
    });
    const verdict = new Promise<{ seen: number; looks: number }>((resolve) => {
      racer.onmessage = (event) => {
        if (event.data === "ready") {
          for (let i = 0; i < 1000; i++) store.write("members", bytes(`content ${i}`));
          racer.postMessage("stop");
        } else resolve(event.data);
      };
    });
    const before = Deno.umask(0);
    racer.postMessage(dir);
    return verdict.then(({ seen, looks }) => {
      assert.equal(seen, 0, `${seen} of ${looks} looks found a readable window`);
      assert(looks > 0, "the racer never looked");
    }).finally(() => {
      Deno.umask(before);
      racer.terminate();
      store.close();
    });
  }),
);

const ROOT = { right: Deno.uid() === 0 ? undefined : "only root can do this" };

testUnless(
  ROOT,
  "T45: a folder that belongs to someone else is refused",
  inState((dir) => {
    Deno.mkdirSync(dir, { mode: 0o700 });
    Deno.chownSync(dir, 65534, 65534);
    failsWith(Exit.noPermission, /belongs to user 65534/, () => Store.open(dir, FILE_MAX));
  }),
);

Deno.test(
  "a folder with other people's content is refused and keeps its mode",
  inState((dir) => {
    Deno.mkdirSync(dir, { mode: 0o755 });
    Deno.writeTextFileSync(join(dir, "thesis.txt"), "…");
    failsWith(Exit.noPermission, /chmod 700/, () => Store.open(dir, FILE_MAX));
    assert.equal((Deno.statSync(dir).mode ?? 0) & 0o777, 0o755);
  }),
);

Deno.test(
  "two processes never share one state: the second is told who holds it",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    failsWith(Exit.failed, /locked by a running node/, () => Store.open(dir, FILE_MAX));
    store.close();
    Store.open(dir, FILE_MAX).close();
  }),
);

Deno.test(
  "a file is made once, replaced whole, read back, and absent is not an error",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    assert.equal(store.read("members"), undefined);
    store.create("identity", bytes("one"));
    failsWith(Exit.failed, /exists already/, () => store.create("identity", bytes("two")));
    assert.deepEqual(store.read("identity"), bytes("one"));
    store.write("members", bytes("a"));
    store.write("members", bytes("b"));
    assert.deepEqual(store.read("members"), bytes("b"));
    assert.throws(() => store.read("../escape"), TypeError);
    store.close();
  }),
);

testUnless(
  ROOT,
  "a full disk gives one clear line and the old content stands",
  inState((dir) => {
    Deno.mkdirSync(dir, { mode: 0o700 });
    const mount = new Deno.Command("mount", {
      args: ["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", dir],
    });
    assert(mount.outputSync().success);
    try {
      const store = Store.open(dir, FILE_MAX);
      store.write("members", bytes("old"));
      failsWith(
        Exit.failed,
        /disk is full/,
        () => store.write("members", new Uint8Array(128 * 1024)),
      );
      assert.deepEqual(store.read("members"), bytes("old"));
      assert.deepEqual([...Deno.readDirSync(dir)].map((entry) => entry.name).sort(), [
        "lock",
        "members",
      ]);
      store.close();
    } finally {
      new Deno.Command("umount", { args: [dir] }).outputSync();
    }
  }),
);

Deno.test(
  "a file has a limit: what is larger is neither read nor written over what is there",
  inState((dir) => {
    const store = Store.open(dir, 100);
    store.write("members", new Uint8Array(100).fill(7));
    failsWith(
      Exit.failed,
      /members would have 101 bytes, more than the 100/,
      () => store.write("members", new Uint8Array(101)),
    );
    failsWith(
      Exit.failed,
      /identity would have/,
      () => store.create("identity", new Uint8Array(101)),
    );
    assert.deepEqual(store.read("members"), new Uint8Array(100).fill(7));
    assert.equal(store.read("identity"), undefined);
    Deno.writeTextFileSync(join(dir, "foreign"), "x".repeat(101), { mode: 0o600 });
    failsWith(Exit.stuck, /foreign has 101 bytes, more than the 100/, () => store.read("foreign"));
    store.close();
  }),
);
