/**
 * Other nodes of this machine, by their state folders, whether they run or not. A node that is down for a minute, as for an
 * update, is to find its UDP port free, since the firewalls and invites of its mesh name that port. And the address that a
 * machine has in one mesh is no place at which members of another one can reach it.
 */
import * as fs from "node:fs";
import { basename, join } from "node:path";
import { readKernelFile, readKernelLink, SystemError } from "../ffi/libc.ts";
import { unwrap } from "./envelope.ts";

/** In a state folder: the port at which others expect the node. */
export const PORT_FILE = "port";
/** In a state folder: a running node holds an flock(2) on it. */
export const LOCK_FILE = "lock";

/** Bytes of a port file at most. */
const PORT_FILE_MAX = 1024;
/** More folders than that are not looked into. */
const FOLDERS_MAX = 64;
/** Bytes of the kernel's list of locks (fs/locks.c, lock_get_status): some ten thousand of them. */
const LOCKS_MAX = 1024 * 1024;
/** `1: FLOCK  ADVISORY  WRITE 4969 fe:00:5417244 0 EOF` */
const FLOCK = /^\d+: FLOCK +ADVISORY +WRITE +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /gm;
/** Bytes of /proc/PID/status; the users are at its beginning. */
const STATUS_MAX = 16 * 1024;

/** What a machine says of its processes. */
export interface Processes {
  /** The kernel's list of locks. */
  locks(): string;
  /** What names the network namespace of a process; undefined: it cannot be seen. */
  namespaceOf(pid: string): string | undefined;
  /** The real user of a process; undefined: it cannot be seen. */
  userOf(pid: string): number | undefined;
}

/** A lock on a file, as the kernel lists it. */
interface Lock {
  readonly inode: number;
  readonly major: number;
  readonly minor: number;
  readonly user: number;
}

/**
 * The first port from the usual one on that no other node of this machine has, and the state folder of who
 * has the usual one, if any does.
 * A node that runs in another network namespace has ports of its own.
 * @param dir the state folder of the node that asks; those beside it are looked into
 */
export function freePort(
  dir: { readonly parent: string; readonly own: string },
  usual: number,
  processes: Processes = thisMachine,
): { readonly port: number; readonly by: string | undefined } {
  const claims = new Map<number, string>();
  const elsewhere = locksElsewhere(processes);
  for (const folder of foldersIn(dir.parent)) {
    const port = folder === dir.own ? undefined : portIn(folder, elsewhere);
    if (port !== undefined) claims.set(port, folder);
  }
  let port = usual;
  while (claims.has(port)) port++;
  return { port, by: claims.get(usual) };
}

/** Names of the interfaces of nodes that have their state in one folder. */
export function neighbours(parent: string): string[] {
  return foldersIn(parent).map((folder) => basename(folder));
}

function foldersIn(parent: string): string[] {
  try {
    return fs.readdirSync(parent).sort().slice(0, FOLDERS_MAX).map((name) => join(parent, name));
  } catch {
    return []; // The first node of this machine.
  }
}

/** Undefined: no node's folder, one that is closed to us, or that of a node of another network namespace. */
function portIn(folder: string, elsewhere: readonly Lock[]): number | undefined {
  try {
    const lockFile = fs.lstatSync(join(folder, LOCK_FILE), { throwIfNoEntry: false });
    if (lockFile && elsewhere.some((lock) => isOn(lock, lockFile))) return undefined;
    const file = join(folder, PORT_FILE);
    const stat = fs.lstatSync(file);
    if (!stat.isFile() || stat.size > PORT_FILE_MAX) return undefined;
    const port = Number(unwrap(PORT_FILE, fs.readFileSync(file)) ?? NaN);
    return port > 0 && port < 65_536 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Locks that processes of other network namespaces hold. */
function locksElsewhere({ locks, namespaceOf, userOf }: Processes): readonly Lock[] {
  const own = namespaceOf("self");
  const found: Lock[] = [];
  for (const [, pid = "", major = "", minor = "", inode] of locks().matchAll(FLOCK)) {
    const other = namespaceOf(pid);
    if (other === undefined || other === own) continue;
    const user = userOf(pid);
    if (user === undefined) continue;
    const device = { major: parseInt(major, 16), minor: parseInt(minor, 16) };
    found.push({ inode: Number(inode), ...device, user });
  }
  return found;
}

/**
 * Whether a lock is on a file of a state folder, and a node's: held by root or by the owner of the file, for nobody
 * else runs that node. Any user can lock, in a network namespace of its own, a file of the same number on a file system
 * of its own, and the device does not always tell: of btrfs and overlay stat(2) names another than the list of locks
 * does. Where both are devices of disks, they are compared, too.
 */
function isOn({ inode, major, minor, user }: Lock, file: fs.Stats): boolean {
  if (inode !== file.ino || user !== 0 && user !== file.uid) return false;
  const device = deviceOf(file.dev);
  return major === 0 || device.major === 0 ||
    major === device.major && minor === device.minor;
}

/** makedev(3) backwards, as far as Linux numbers devices: 12 bits of major, 20 of minor (linux/kdev_t.h). */
function deviceOf(dev: number): { readonly major: number; readonly minor: number } {
  return { major: (dev >>> 8) & 0xfff, minor: (dev & 0xff) | ((dev >>> 12) & 0xfff00) };
}

const thisMachine: Processes = {
  locks: () => unlessRefused(() => readKernelFile("/proc/locks", LOCKS_MAX)) ?? "",
  namespaceOf: (pid) => unlessRefused(() => readKernelLink(`/proc/${pid}/ns/net`)),
  // Not the owner of /proc/PID: that is root for each process that lets nobody look into it (proc(5)).
  userOf: (pid) => {
    const status = unlessRefused(() => readKernelFile(`/proc/${pid}/status`, STATUS_MAX));
    const [, user] = /^Uid:\t(\d+)\t/m.exec(status ?? "") ?? [];
    return user === undefined ? undefined : Number(user);
  },
};

/** Undefined: the kernel does not tell us, as of another user's processes. */
function unlessRefused(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
