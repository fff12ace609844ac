import assert from "node:assert/strict";
import { join } from "node:path";
import { failsWith } from "../.ci/failure.ts";
import { inFolder } from "../.ci/folder.ts";
import { testUnless } from "../.ci/skip.ts";
import { ControlServer } from "./control.ts";
import { Exit } from "./exit.ts";
import { refuseUnsafePath } from "./safe_path.ts";
import { Store } from "./store.ts";

const NOBODY = 65534;
const ROOT = { right: Deno.uid() === 0 ? undefined : "only root can give a file to somebody else" };

/** A folder of this mode; sticky folders keep their bit whatever the umask says. */
function folder(path: string, mode = 0o755): string {
  Deno.mkdirSync(path);
  Deno.chmodSync(path, mode);
  return path;
}

const look = (path: string) => () =>
  refuseUnsafePath({ path, program: "state", elsewhere: "another --state" });

const refused = (path: string, text: RegExp) => failsWith(Exit.noPermission, text, look(path));

Deno.test("T45: a folder above in which others may write is refused, unless it is sticky", () =>
  inFolder((root) => {
    const shared = folder(join(root, "shared"));
    const dir = join(folder(join(shared, "ours")), "state");
    look(dir)();
    for (const mode of [0o777, 0o775]) {
      Deno.chmodSync(shared, mode);
      refused(
        dir,
        new RegExp(
          `^state: others may write in ${shared} \\(mode 0${mode.toString(8)}, owner \\d+\\): ` +
            `chmod go-w ${shared}, or choose another --state$`,
        ),
      );
      failsWith(Exit.noPermission, /others may write in/, () => Store.open(dir, 1024));
      assert.throws(() => Deno.lstatSync(dir), Deno.errors.NotFound, "nothing is made there");
    }
    Deno.chmodSync(shared, 0o1777);
    look(dir)();
    Store.open(dir, 1024).close();
  }));

Deno.test("T45: a link of ours is followed, and what it leads to is looked at, too", () =>
  inFolder((root) => {
    const open = folder(join(root, "open"), 0o777);
    folder(join(open, "below"));
    const sticky = folder(join(root, "sticky"), 0o1777);
    folder(join(root, "sound"));
    Deno.symlinkSync("../sound", join(sticky, "good"));
    look(join(sticky, "good", "state"))();
    Deno.symlinkSync(join(open, "below"), join(sticky, "bad"));
    refused(join(sticky, "bad", "state"), new RegExp(`others may write in ${open} `));
    Deno.symlinkSync("../open/./below", join(root, "sound", "back"));
    refused(join(sticky, "good", "back", "state"), new RegExp(`others may write in ${open} `));
    // A link in a folder that others may write can be theirs a moment later.
    Deno.symlinkSync("../sound", join(open, "link"));
    refused(join(open, "link", "state"), new RegExp(`others may write in ${open} `));
    Deno.symlinkSync("loop", join(root, "loop"));
    refused(join(root, "loop", "state"), /loop\/state has more than 40 links: remove some/);
    look("/var/run/shoal")();
  }));

testUnless(
  ROOT,
  "T45: a folder or a link of another user above the state folder is refused, and nothing made beyond it",
  () =>
    inFolder(async (root) => {
      const theirs = folder(join(root, "theirs"));
      Deno.chownSync(theirs, NOBODY, NOBODY);
      const text = new RegExp(
        `^state: ${theirs} belongs to user ${NOBODY}, who could lead what is below it elsewhere: ` +
          `run as that user, or choose another --state$`,
      );
      failsWith(Exit.noPermission, text, () => Store.open(join(theirs, "a", "state"), 1024));
      assert.deepEqual([...Deno.readDirSync(theirs)], []);

      const ours = folder(join(root, "ours"));
      const sticky = folder(join(root, "sticky"), 0o1777);
      const link = join(sticky, "link");
      Deno.symlinkSync(ours, link);
      Store.open(join(link, "state"), 1024).close();
      Deno.removeSync(join(ours, "state"), { recursive: true });
      assert(
        new Deno.Command("chown", { args: ["-h", `${NOBODY}`, link] }).outputSync().success,
      );
      failsWith(
        Exit.noPermission,
        new RegExp(`${link} belongs to user ${NOBODY}`),
        () => Store.open(join(link, "state"), 1024),
      );
      await assert.rejects(
        ControlServer.listen({
          path: join(link, "run", "control.sock"),
          operations: {},
          credentialsOf: () => ({ uid: 0, gid: 0 }),
          descriptors: { left: () => 1000, hasInput: () => false, duplicate: (fd) => fd },
          onDefect: () => {},
        }),
        /^Failure: node: .*link belongs to user 65534, .*choose another --interface or --state$/,
      );
      assert.deepEqual([...Deno.readDirSync(ours)], []);
    }),
);
