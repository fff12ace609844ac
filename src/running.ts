/**
 * The nodes that run in this network namespace, found by their control sockets: a node that was started with another
 * `--state` or `--interface` is not at the place that the options of a command name.
 */
import * as fs from "node:fs";
import { basename, dirname } from "node:path";
import { readKernelFile, SystemError } from "../ffi/libc.ts";
import { unixSocketOwner } from "../ffi/unix_diag.ts";
import { codeOf } from "./errno.ts";
import { refuseUnsafePath } from "./safe_path.ts";
import { isOfItsUser, userOfServiceAt } from "./service/place.ts";
import { boundNameOf } from "./unix_socket.ts";

/** The kernel's list of this network namespace's Unix sockets (net/unix/af_unix.c, unix_seq_show). */
const LIST = "/proc/net/unix";
/** Bytes of that list: some tens of thousands of sockets. */
const LIST_MAX = 4 * 1024 * 1024;
/** More nodes than that are not asked. */
const NODES_MAX = 16;
/** `Num RefCount Protocol Flags Type St Inode Path`; __SO_ACCEPTCON, 0x10000: it listens. */
const LINE = /^[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} 00010000 0001 [0-9A-F]{2} +(\d+) (\/.*)$/i;
/** What a control socket is called: below a state folder, or by the interface below a folder for all of them. */
const STATE_SOCKET = "control.sock";
const FOLDER = "shoal";
const ENDING = ".sock";
const OTHERS_WRITE = 0o022;

/** Whose a socket of that list is; undefined: it is gone, or the kernel does not tell. */
type OwnerOf = (inode: number) => number | undefined;

/**
 * Paths of control sockets, in the order of the kernel's list, at most {@link NODES_MAX}. A socket that belongs neither
 * to root nor to the one who asks is left out, unless it is that of a service: anybody can answer in a node's name.
 */
export function runningNodes(
  uid: number | null = Deno.uid(),
  list = readList(),
  ownerOf: OwnerOf = unixSocketOwner,
): string[] {
  return controlSockets(list, (path, inode) => isTrusted(path, uid, () => ownerOf(inode)));
}

/**
 * Paths of control sockets at which a node listens though nothing is there: somebody has removed the socket or its
 * folder. At most {@link NODES_MAX}; only where root or we could have put one, and one of root's, ours or the
 * service's.
 */
export function removedSockets(
  list = readList(),
  ownerOf: OwnerOf = unixSocketOwner,
  uid: number | null = Deno.uid(),
): string[] {
  return controlSockets(
    list,
    (path, inode) => isAbsent(path) && isBelieved(ownerOf(inode), path, uid),
  );
}

function controlSockets(
  list: string,
  isWanted: (path: string, inode: number) => boolean,
): string[] {
  const found = new Set<string>();
  for (const line of list.split("\n")) {
    const [, inode, bound] = LINE.exec(line) ?? [];
    const path = bound === undefined ? undefined : controlSocketBoundAs(bound);
    if (path !== undefined && isWanted(path, Number(inode))) found.add(path);
    if (found.size === NODES_MAX) break;
  }
  return [...found];
}

/** The list keeps the name by which a socket was bound, whatever it was renamed to. */
function controlSocketBoundAs(bound: string): string | undefined {
  const path = `${bound.slice(0, -1)}${ENDING.at(-1)}`;
  if (boundNameOf(path) !== bound) return undefined;
  const name = basename(path);
  const isOurs = name === STATE_SOCKET ||
    name.endsWith(ENDING) && basename(dirname(path)) === FOLDER;
  return isOurs ? path : undefined;
}

function isTrusted(path: string, uid: number | null, owner: () => number | undefined): boolean {
  try {
    const found = fs.lstatSync(path);
    if (!found.isSocket()) return false;
    return (found.uid === 0 || found.uid === uid) && isPlaceOfOurs(path) || isOfItsUser(path);
  } catch (error) {
    // A folder that is closed to this user: what is behind it is not asked, but a node of somebody seems to be there.
    return codeOf(error) === "EACCES" && isPlaceOfOurs(path) && isBelieved(owner(), path, uid);
  }
}

/**
 * Whether a socket that cannot be looked at is believed to be a node's. The list does not say in which file system a
 * name is: in a mount namespace of its own any user can call a socket /run/shoal/shoal0.sock.
 */
function isBelieved(owner: number | undefined, path: string, uid: number | null): boolean {
  if (owner === undefined) return false;
  return owner === 0 || owner === uid || owner === userOfServiceAt(path);
}

/**
 * Whether nobody but root and we can put something at a path, or could: the list has what any user has called a socket,
 * and a link of theirs leads to sockets of others.
 */
function isPlaceOfOurs(path: string): boolean {
  let folder = dirname(path);
  while (!fs.existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    refuseUnsafePath({ path: folder, program: "", elsewhere: "" });
    return (fs.statSync(folder).mode & OTHERS_WRITE) === 0;
  } catch {
    return false;
  }
}

function isAbsent(path: string): boolean {
  try {
    return fs.lstatSync(path, { throwIfNoEntry: false }) === undefined && isPlaceOfOurs(path);
  } catch {
    return false; // It cannot be looked at.
  }
}

function readList(): string {
  try {
    return readKernelFile(LIST, LIST_MAX);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return ""; // No /proc here: only the place that the options name is known.
  }
}
