/** T45: what others may have laid out in a state folder is refused, with all rights and with a node's. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { failsWith } from "../.ci/failure.ts";
import { inFolder } from "../.ci/folder.ts";
import { Exit } from "./exit.ts";
import { Store } from "./store.ts";

const CONFIG = new URL("../deno.json", import.meta.url).pathname;

/** A state folder that is not there yet, in a folder of its own. */
const inState = (body: (dir: string) => void | Promise<void>) => () =>
  inFolder((root) => body(join(root, "state")));

const FILE_MAX = 1024 * 1024;

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test(
  "T45: a symbolic link, a second hard link and a readable file are refused",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    const elsewhere = join(dir, "..", "elsewhere");
    Deno.writeTextFileSync(elsewhere, "bait", { mode: 0o600 });
    Deno.symlinkSync(elsewhere, join(dir, "identity"));
    failsWith(Exit.stuck, /symbolic link/, () => store.read("identity"));
    failsWith(Exit.failed, /exists already/, () => store.create("identity", bytes("x")));
    Deno.removeSync(join(dir, "identity"));
    Deno.linkSync(elsewhere, join(dir, "identity"));
    failsWith(Exit.noPermission, /links: 2/, () => store.read("identity"));
    Deno.removeSync(join(dir, "identity"));
    Deno.writeTextFileSync(join(dir, "identity"), "seen", { mode: 0o644 });
    failsWith(Exit.noPermission, /mode 644/, () => store.read("identity"));
    assert.equal(Deno.readTextFileSync(elsewhere), "bait");
    store.close();
  }),
);

Deno.test(
  "a folder that stands where a file is to be written is named, and so is what to do",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    store.write("state.json", bytes("1"));
    for (const name of ["state.json.new", "state.json.old", "room.new"]) {
      const path = join(dir, name);
      Deno.mkdirSync(join(path, "inside"), { recursive: true });
      const write = () =>
        name === "room.new" ? store.needRoom(1) : store.writeNext("state.json", bytes("2"));
      const said = new RegExp(`^state: ${path} is a folder, .*: move the folder away$`);
      failsWith(Exit.stuck, said, write);
      assert.deepEqual(store.read("state.json"), bytes("1"), "what was there stands");
      Deno.removeSync(path, { recursive: true });
    }
    store.writeNext("state.json", bytes("2"));
    store.close();
  }),
);

Deno.test(
  "T45: a folder that is a symbolic link, or none at all, is refused",
  inState((dir) => {
    const root = join(dir, "..");
    Deno.mkdirSync(join(root, "elsewhere"), { mode: 0o700 });
    for (const target of ["elsewhere", "gone"]) {
      Deno.symlinkSync(join(root, target), dir);
      failsWith(Exit.stuck, /symbolic link/, () => Store.open(dir, FILE_MAX));
      Deno.removeSync(dir);
    }
    assert.deepEqual([...Deno.readDirSync(root)].map(({ name }) => name), ["elsewhere"]);
    assert.deepEqual([...Deno.readDirSync(join(root, "elsewhere"))], []);
    Deno.writeTextFileSync(dir, "");
    makePipe(`${dir}.pipe`);
    for (const other of [dir, `${dir}.pipe`, "/dev/zero"]) {
      failsWith(Exit.stuck, /is no folder: choose another/, () => Store.open(other, FILE_MAX));
    }
  }),
);

Deno.test(
  "T45: a named pipe is refused at once, as is everything that is no regular file",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    makePipe(join(dir, "identity"));
    Deno.mkdirSync(join(dir, "port"));
    for (const name of ["identity", "port"]) {
      failsWith(Exit.noPermission, /is not a regular file/, () => store.read(name));
    }
    store.close();
    Deno.removeSync(join(dir, "lock"));
    makePipe(join(dir, "lock"));
    failsWith(Exit.noPermission, /is not a regular file/, () => Store.open(dir, FILE_MAX));
    Deno.removeSync(join(dir, "lock"));
    Deno.symlinkSync(join(dir, "..", "elsewhere"), join(dir, "lock"));
    failsWith(Exit.stuck, /symbolic link/, () => Store.open(dir, FILE_MAX));
  }),
);

function makePipe(path: string): void {
  assert(new Deno.Command("mkfifo", { args: ["-m", "600", path] }).outputSync().success);
}

Deno.test("T45: all of this holds under the rights that a node runs with, too", async () => {
  // Those of ./run (node_rights), with one more for mkfifo: with all rights Deno opens in another way.
  const rights = ["ffi", "read", "write", "net", "env", "sys", "run"].map((right) =>
    `--allow-${right}`
  );
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["test", "--quiet", "--no-prompt", "--no-check", "--config", CONFIG, ...rights],
      ...["--filter", "/refused|removed/", new URL(import.meta.url).pathname],
    ],
    signal: AbortSignal.timeout(30_000),
  }).output();
  const shown = new TextDecoder().decode(stdout);
  assert(success, shown);
  assert.match(shown, /4 passed/);
});

Deno.test(
  "T45: a replaced link beside the file is removed, never written through",
  inState((dir) => {
    const store = Store.open(dir, FILE_MAX);
    const elsewhere = join(dir, "..", "elsewhere");
    Deno.writeTextFileSync(elsewhere, "bait");
    Deno.symlinkSync(elsewhere, join(dir, "members.new"));
    store.write("members", bytes("mine"));
    assert.equal(Deno.readTextFileSync(elsewhere), "bait");
    assert.deepEqual(store.read("members"), bytes("mine"));
    store.close();
  }),
);
