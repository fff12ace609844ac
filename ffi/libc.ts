/** The few calls of the C library that Deno has no name for. */
import { errnoName } from "./errno.ts";

const CLOCK_BOOTTIME = 7;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const PR_SET_DUMPABLE = 4;
const RLIMIT_CORE = 4;
const RLIMIT_NOFILE = 7;
const POLLIN = 0x1;
const POLLNVAL = 0x20;
/** Bytes of a struct pollfd: descriptor 4, events 2, what there is of them 2. */
const POLLFD_SIZE = 8;
/** Descriptors above this number are not looked at: nobody who may open so many is short of them. */
const LOOKED_AT_MAX = 1024;
/** struct group (grp.h) where a pointer has 8 bytes: name, password, number, list of members. */
const GROUP_SIZE = 32;
const GROUP_ID_AT = 16;
/** Bytes for the texts of a group: the names of some ten thousand members. */
const GROUP_TEXT_MAX = 1024 * 1024;
const ENOENT = 2;
const ESRCH = 3;
const O_RDONLY = 0;
const O_RDWR = 2;
const LINK_MAX = 4096;

const symbols = {
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  getgrnam_r: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
  dup: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

const calls = Deno.dlopen("libc.so.6", symbols).symbols;
const timespec = new BigInt64Array(2);
const timespecBytes = new Uint8Array(timespec.buffer);

/** A call into the C library that failed. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  constructor(readonly call: string, readonly errno: number) {
    super(`${call}: ${errnoName(errno)}`);
  }
}

function lastErrno(): number {
  const location = calls.__errno_location();
  return location === null ? 0 : new Deno.UnsafePointerView(location).getInt32();
}

function ensure(call: string, result: number): void {
  if (result < 0) throw new SystemError(call, lastErrno());
}

/** Milliseconds since the machine started, the time it slept included (R63). */
export function bootTime(): number {
  ensure("clock_gettime", calls.clock_gettime(CLOCK_BOOTTIME, timespecBytes));
  const [seconds = 0n, nanoseconds = 0n] = timespec;
  return Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
}

/** Who is at the other end of a connected Unix socket, by the kernel's word. */
export function peerCredentials(fd: number): { pid: number; uid: number; gid: number } {
  const value = new Uint32Array(3);
  const size = new Uint32Array([12]);
  const status = calls.getsockopt(
    fd,
    SOL_SOCKET,
    SO_PEERCRED,
    new Uint8Array(value.buffer),
    new Uint8Array(size.buffer),
  );
  ensure("getsockopt(SO_PEERCRED)", status);
  const [pid = 0, uid = 0, gid = 0] = value;
  return { pid, uid, gid };
}

/** Memory with keys in it goes into no core dump and to no debugger of the same user (R66, T47). */
export function forbidCoreDumps(): void {
  ensure("prctl(PR_SET_DUMPABLE)", calls.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n));
  const none = new Uint8Array(16);
  ensure("setrlimit(RLIMIT_CORE)", calls.setrlimit(RLIMIT_CORE, none));
}

/**
 * What the kernel has to tell of descriptors, one of the poll(2) flags each.
 * @param patience milliseconds that it waits for something to tell
 */
function poll(fds: readonly number[], patience = 0): number[] {
  const asked = new DataView(new ArrayBuffer(fds.length * POLLFD_SIZE));
  fds.forEach((fd, i) => {
    asked.setInt32(i * POLLFD_SIZE, fd, true);
    asked.setInt16(i * POLLFD_SIZE + 4, POLLIN, true);
  });
  ensure("poll", calls.poll(new Uint8Array(asked.buffer), BigInt(fds.length), patience));
  return fds.map((_, i) => asked.getInt16(i * POLLFD_SIZE + 6, true));
}

/**
 * Whether somebody waits to be accepted at a listening socket, or bytes to be read at another descriptor.
 * @param patience milliseconds for which this thread waits until it is so
 */
export function hasInput(fd: number, patience = 0): boolean {
  const [flags = 0] = poll([fd], patience);
  return (flags & POLLIN) !== 0;
}

/** A second descriptor of the same open file. @throws {SystemError} when none is free */
export function duplicate(fd: number): number {
  const copy = calls.dup(fd);
  ensure("dup", copy);
  return copy;
}

/**
 * How many descriptors this process may still open (`ulimit -n` less those that it has), counted
 * as far as {@link LOOKED_AT_MAX}.
 */
export function descriptorsLeft(): number {
  const limit = new BigUint64Array(2);
  ensure("getrlimit(RLIMIT_NOFILE)", calls.getrlimit(RLIMIT_NOFILE, new Uint8Array(limit.buffer)));
  const most = Math.min(Number(limit[0]), LOOKED_AT_MAX);
  return poll(Array.from({ length: most }, (_, fd) => fd)).filter((flags) => flags & POLLNVAL)
    .length;
}

/** Index of a network interface in our namespace; undefined when there is none of that name. */
export function interfaceIndex(name: string): number | undefined {
  const index = calls.if_nametoindex(new TextEncoder().encode(`${name}\0`));
  return index === 0 ? undefined : index;
}

/**
 * The number of a group, from wherever this machine has its groups (nsswitch.conf(5)); undefined: there is none of that name.
 * @throws {SystemError} when that cannot be asked
 */
export function groupId(name: string): number | undefined {
  const group = new DataView(new ArrayBuffer(GROUP_SIZE));
  const result = new BigUint64Array(1);
  const errno = calls.getgrnam_r(
    new TextEncoder().encode(`${name}\0`),
    new Uint8Array(group.buffer),
    new Uint8Array(GROUP_TEXT_MAX),
    BigInt(GROUP_TEXT_MAX),
    new Uint8Array(result.buffer),
  );
  if (result[0] !== 0n) return group.getUint32(GROUP_ID_AT, true);
  // Some sources say so where there is none of that name (getgrnam(3)).
  if ([0, ENOENT, ESRCH].includes(errno)) return undefined;
  throw new SystemError(`getgrnam_r(${name})`, errno);
}

/**
 * A file that the kernel makes as it is read, below /proc: Deno opens none of them for a program that may not do all.
 * @param max bytes; what is longer is cut off
 * @throws {SystemError} when it cannot be read
 */
export function readKernelFile(path: string, max: number): string {
  const fd = calls.open(new TextEncoder().encode(`${path}\0`), O_RDONLY);
  ensure(`open(${path})`, fd);
  try {
    const bytes = new Uint8Array(max);
    let length = 0;
    for (let count = -1; count !== 0 && length < max; length += count) {
      const rest = bytes.subarray(length);
      count = Number(calls.read(fd, rest, BigInt(rest.length)));
      ensure(`read(${path})`, count);
    }
    return new TextDecoder().decode(bytes.subarray(0, length));
  } finally {
    calls.close(fd);
  }
}

/**
 * Where a link of the kernel's leads, below /proc, as `net:[4026531833]`; cut off after {@link LINK_MAX} bytes.
 * @throws {SystemError} when it cannot be read
 */
export function readKernelLink(path: string): string {
  const bytes = new Uint8Array(LINK_MAX);
  const length = calls.readlink(new TextEncoder().encode(`${path}\0`), bytes, BigInt(LINK_MAX));
  ensure(`readlink(${path})`, Number(length));
  return new TextDecoder().decode(bytes.subarray(0, Number(length)));
}

/** Lets descriptors lead to /dev/null: what is written to them is gone, and no terminal is held. */
export function silence(...fds: readonly number[]): void {
  const nowhere = calls.open(new TextEncoder().encode("/dev/null\0"), O_RDWR);
  ensure("open(/dev/null)", nowhere);
  for (const fd of fds) ensure("dup2", calls.dup2(nowhere, fd));
  calls.close(nowhere);
}
