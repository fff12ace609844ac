/**
 * The folders above a place of ours. A path is as safe as the folder in it that most people can
 * change: whoever can replace one of its parts by a link of theirs leads this process, and with it
 * root, to wherever they like.
 *
 * So each part from the root folder on must be root's or ours, and nobody else may write to a folder
 * on the way, unless it is sticky (/tmp): in a sticky folder nobody can move away what is not theirs.
 * A symbolic link that is root's or ours is followed, and what it leads to is looked at likewise.
 * It is the rule of sshd's StrictModes, for the same reason.
 *
 * Between this look and the use of the path nobody else can change what was seen: the walk begins at
 * the root folder, and goes on only from folders in which only root and we can replace an entry. What
 * is not there yet is made by us, and looked at again afterwards: in a sticky folder somebody may
 * have been faster.
 */
import * as fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Exit, Failure } from "./exit.ts";

/** Symbolic links in one path at most, as many as the kernel follows (path_resolution(7)). */
const LINKS_MAX = 40;

const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;

export interface Wanted {
  readonly path: string;
  /** Begins what a person is told. */
  readonly program: string;
  /** What a person can choose instead: `another --state`. */
  readonly elsewhere: string;
}

/**
 * Looks at a folder and at every folder above it, as far as they are there.
 * @throws {Failure} when somebody else could lead us elsewhere
 */
export function refuseUnsafePath({ path, program, elsewhere }: Wanted): void {
  const refuse = (what: string, advice: string) => {
    throw new Failure(Exit.noPermission, `${program}: ${what}: ${advice}, or choose ${elsewhere}`);
  };
  // In a user namespace root outside has no number inside: whoever owns the root folder is trusted,
  // because everything below it is theirs to change.
  const trusted = new Set([0, Deno.uid(), fs.lstatSync("/").uid]);
  let parts = partsOf(resolve(path));
  let at = "/";
  let links = 0;
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    if (part === "..") {
      at = dirname(at);
      continue;
    }
    const here = join(at, part);
    const stat = fs.lstatSync(here, { throwIfNoEntry: false });
    if (stat === undefined) return;
    if (!trusted.has(stat.uid)) {
      const what = `${here} belongs to user ${stat.uid}, who could lead what is below it elsewhere`;
      refuse(what, "run as that user");
    }
    if (stat.isSymbolicLink()) {
      if (++links > LINKS_MAX) refuse(`${path} has more than ${LINKS_MAX} links`, "remove some");
      const target = fs.readlinkSync(here);
      if (target.startsWith("/")) at = "/";
      parts = [...partsOf(target), ...parts];
      continue;
    }
    if (!stat.isDirectory()) return; // No folder: whoever opens it says so.
    if ((stat.mode & OTHERS_WRITE) !== 0 && (stat.mode & STICKY) === 0) {
      const mode = (stat.mode & 0o777).toString(8);
      refuse(
        `others may write in ${here} (mode 0${mode}, owner ${stat.uid})`,
        `chmod go-w ${here}`,
      );
    }
    at = here;
  }
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
