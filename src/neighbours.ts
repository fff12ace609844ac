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
const FLOCK = /^\d+: FLOCK +ADVISORY +WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) /gm;

/** What a machine says of its processes. */
export interface Processes {
  /** The kernel's list of locks. */
  locks(): string;
  /** What names the network namespace of a process; undefined: it cannot be seen. */
  namespaceOf(pid: string): string | undefined;
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
function portIn(folder: string, elsewhere: ReadonlySet<number>): number | undefined {
  try {
    const lock = fs.lstatSync(join(folder, LOCK_FILE), { throwIfNoEntry: false });
    if (lock && elsewhere.has(lock.ino)) return undefined;
    const file = join(folder, PORT_FILE);
    const stat = fs.lstatSync(file);
    if (!stat.isFile() || stat.size > PORT_FILE_MAX) return undefined;
    const port = Number(unwrap(PORT_FILE, fs.readFileSync(file)) ?? NaN);
    return port > 0 && port < 65_536 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Inodes of files that processes of other network namespaces have locked. */
function locksElsewhere({ locks, namespaceOf }: Processes): ReadonlySet<number> {
  const own = namespaceOf("self");
  const inodes = new Set<number>();
  for (const [, pid = "", inode] of locks().matchAll(FLOCK)) {
    const other = namespaceOf(pid);
    if (other !== undefined && other !== own) inodes.add(Number(inode));
  }
  return inodes;
}

const thisMachine: Processes = {
  locks: () => unlessRefused(() => readKernelFile("/proc/locks", LOCKS_MAX)) ?? "",
  namespaceOf: (pid) => unlessRefused(() => readKernelLink(`/proc/${pid}/ns/net`)),
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
