/**
 * The state folder: the identity, the mesh key and what a node must remember to come back without
 * help. Its rules (T45):
 *
 * - nobody but root and its owner can put another folder in its place (safe_path.ts);
 * - the folder is 0700 and every file 0600, whatever the umask says: the mode is set on the open
 *   descriptor before the first byte of content is written;
 * - nothing is opened through a symbolic link, and a file with a second hard link or another owner
 *   is refused, because someone else may have put it there. Each is looked at before it is opened:
 *   where rights are narrowed, Deno resolves a path before it opens it, and O_NOFOLLOW sees no link;
 * - a file is replaced whole or not at all: written beside, flushed, renamed, the folder flushed;
 *   one that has generations keeps the one before the newest beside it, as NAME.old;
 * - one process at a time: the folder is locked from open to close.
 *
 * Calls are synchronous: state is small, and a machine's step must be on disk before its datagrams
 * leave (a sequence number that was sent and then forgotten could be used twice).
 */
import fs from "node:fs";
import { dirname, join, resolve } from "node:path";
import { codeOf, lackOf } from "./errno.ts";
import { Exit, Failure } from "./exit.ts";
import { refuseUnsafePath } from "./safe_path.ts";
import { LOCK_FILE } from "./neighbours.ts";
import { installedServices, placeOfService, SYSTEM_STATES } from "./service/place.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;

const FILE_NAME = /^[a-z][a-z0-9.-]*$/;

export class Store {
  #unflushed: Error | undefined;

  private constructor(
    readonly dir: string,
    private readonly fileMax: number,
    private readonly lock: Deno.FsFile,
    private readonly device: number,
    /** The folder was not there before. */
    private readonly isNew: boolean,
  ) {}

  /**
   * Opens the folder, making it (and its parents) when absent.
   * @param fileMax bytes of a file at most; a larger one is not ours, and none is written
   * @throws {Failure} when it is not a folder of ours alone, cannot be made, or is in use.
   */
  static open(dir: string, fileMax: number): Store {
    const isThere = isFolder(dir);
    refuseUnsafeParents(dir);
    if (!isThere) {
      guard("make", dir, () => make(dir));
      refuseUnsafeParents(dir);
    }
    const device = closedToOthers(dir);
    // Last: nothing that fails after it leaves the folder locked.
    return new Store(dir, fileMax, takeLock(join(dir, LOCK_FILE)), device, !isThere);
  }

  /** Whether the folder is the one that was opened: the lock in it is the one that this process holds. */
  get isOurs(): boolean {
    const found = statOf(join(this.dir, LOCK_FILE));
    const { ino, dev } = this.lock.statSync();
    return found !== undefined && found.ino === ino && found.dev === dev;
  }

  /**
   * Whether somebody has removed the folder, emptied it or moved it away since it was opened. One whose
   * disk is not mounted any more is not meant: what is written in its place would come to light later.
   */
  get isRemoved(): boolean {
    if (this.isOurs) return false;
    for (let path = resolve(this.dir);; path = dirname(path)) {
      const found = statOf(path);
      if (found) return found.dev === this.device;
      if (path === dirname(path)) return false;
    }
  }

  /** The content of a file, or undefined when there is none. */
  read(name: string): Uint8Array<ArrayBuffer> | undefined {
    const path = this.#path(name);
    if (look("read", path) === undefined) return undefined;
    // Without O_NONBLOCK a named pipe put there since that look would hold us for ever.
    const fd = guard("read", path, () => fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    try {
      const stat = fs.fstatSync(fd);
      refuseUnsafe(path, stat);
      if (stat.size > this.fileMax) {
        throw new Failure(
          Exit.stuck,
          `state: ${path} has ${stat.size} bytes, more than the ${this.fileMax} that a state file may have: ` +
            `move it away and start again`,
        );
      }
      return guard("read", path, () => Uint8Array.from(fs.readFileSync(fd)));
    } finally {
      fs.closeSync(fd);
    }
  }

  /** Writes a file that must not exist yet: a key is made once. */
  create(name: string, content: Uint8Array): void {
    const path = this.#path(name);
    if (guard("create", path, () => fs.lstatSync(path, { throwIfNoEntry: false })) !== undefined) {
      throw new Failure(Exit.failed, `state: cannot create ${path}: ${NEXT_STEP["EEXIST"]}`);
    }
    this.write(name, content); // Written in place it could be cut off by a crash.
  }

  /** Replaces a file whole; on failure (a full disk) the old content stands. */
  write(name: string, content: Uint8Array): void {
    this.#writeBeside(name, content);
    this.#replace(`${name}.new`, name);
  }

  /** The same of a secret: what stood there before is erased, too. */
  writeSecret(name: string, content: Uint8Array): void {
    this.#writeBeside(name, content);
    this.moveSecret(`${name}.new`, name);
  }

  /** The same of a file with generations: what stood there before is kept as NAME.old. */
  writeNext(name: string, content: Uint8Array): void {
    const path = this.#path(name);
    const previous = this.#path(`${name}.old`);
    refuseFolder(previous);
    this.#writeBeside(name, content);
    if (look("read", path) === undefined) return this.#replace(`${name}.new`, name);
    // Two renames, because not every file system has hard links: a crash between them is mended by
    // {@link finishNext}.
    guard("keep", path, () => fs.renameSync(path, previous));
    try {
      this.#replace(`${name}.new`, name);
    } catch (error) {
      if (look("read", path) === undefined) {
        guard("put back", path, () => fs.renameSync(previous, path));
      }
      throw error;
    }
  }

  /** Carries out the second rename of {@link writeNext} where a crash prevented it. */
  finishNext(name: string, isWhole: (content: Uint8Array) => boolean): void {
    if (look("read", this.#path(name)) !== undefined) return;
    if (look("read", this.#path(`${name}.old`)) === undefined) return;
    const next = this.read(`${name}.new`);
    if (next !== undefined && isWhole(next)) this.#replace(`${name}.new`, name);
  }

  /** Puts a secret file in the place of another, whose content is erased as by {@link erase}. */
  moveSecret(from: string, to: string): void {
    this.#erasing(to, () => this.#replace(from, to));
  }

  /**
   * Removes a file of which nothing should be left: its bytes are overwritten. A file system that
   * writes elsewhere than in place (btrfs, ZFS), a flash disk that moves blocks, a snapshot and a
   * backup keep the old bytes nevertheless, and so does a crash at the wrong moment: only a new
   * secret helps there. Absent is no error.
   */
  erase(name: string): void {
    const path = this.#path(name);
    this.#refuseGone(path);
    if (look("erase", path) === undefined) return;
    this.#erasing(name, () => {
      this.#changeFolder(() => guard("remove", path, () => fs.rmSync(path)));
    });
  }

  /**
   * Overwrites what stood at a name before the file there was taken away or replaced. In this order a
   * crash leaves the file whole or gone, and never a damaged one that keeps the node from starting.
   */
  #erasing(name: string, takeAway: () => void): void {
    const path = this.#path(name);
    if (look("erase", path) === undefined) return takeAway();
    const fd = guard("erase", path, () => fs.openSync(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK));
    try {
      takeAway();
      blank(fd);
    } finally {
      letGo(fd);
    }
  }

  /** @throws {Failure} when a file of this many bytes cannot be written now; leaves nothing behind. */
  needRoom(length: number): void {
    const path = this.#path("room.new");
    refuseFolder(path);
    guard("remove", path, () => fs.rmSync(path, { force: true }));
    writeNew(path, new Uint8Array(length));
    guard("remove", path, () => fs.rmSync(path));
  }

  /** Why a power cut may undo the last change; undefined: it will not. */
  get unflushed(): Error | undefined {
    return this.#unflushed;
  }

  close(): void {
    this.lock.close();
  }

  /** The same where nothing was written: a folder that this made is not left behind. */
  closeUnused(): void {
    try {
      const isEmpty = fs.readdirSync(this.dir).every((name) => name === LOCK_FILE);
      if (this.isNew && this.isOurs && isEmpty) {
        fs.rmSync(join(this.dir, LOCK_FILE));
        fs.rmdirSync(this.dir); // Fails where somebody has put something into it meanwhile.
      }
    } catch {
      // An empty folder that stays does no harm.
    } finally {
      this.close();
    }
  }

  #path(name: string): string {
    if (!FILE_NAME.test(name)) throw new TypeError(`not a state file name: ${name}`);
    return join(this.dir, name);
  }

  #writeBeside(name: string, content: Uint8Array): void {
    const beside = this.#path(`${name}.new`);
    this.#refuseReplaced();
    this.#refuseLarge(this.#path(name), content);
    refuseFolder(beside);
    guard("remove", beside, () => fs.rmSync(beside, { force: true }));
    writeNew(beside, content);
  }

  #replace(from: string, to: string): void {
    const path = this.#path(to);
    this.#changeFolder(() => guard("replace", path, () => fs.renameSync(this.#path(from), path)));
  }

  /** What stands at the path of the folder now may be another node's, or the folder below a disk that was mounted. */
  #refuseReplaced(): void {
    if (this.isOurs || statOf(this.dir) === undefined) return; // A folder that is gone takes nothing.
    throw new Failure(
      Exit.failed,
      `state: ${this.dir} was emptied or replaced while this node ran: put back what was there, or ` +
        "stop the node first",
    );
  }

  /** A folder that somebody has moved away still holds what is to be erased, and may be put back. */
  #refuseGone(path: string): void {
    if (this.isOurs) return;
    this.#refuseReplaced();
    throw new Failure(
      Exit.failed,
      `state: cannot erase ${path}: ${this.dir} was removed or moved away while this node ran, and may ` +
        "hold it still: put the folder back, or wait until this node has made it again, and try again",
    );
  }

  /** What could not be read again is not written over what can be. */
  #refuseLarge(path: string, { length }: Uint8Array): void {
    if (length <= this.fileMax) return;
    throw new Failure(
      Exit.failed,
      `state: ${path} would have ${length} bytes, more than the ${this.fileMax} that can be read ` +
        `again: this is a fault of shoal, please report it`,
    );
  }

  /**
   * Changes what the folder holds, and flushes that. Opened first, so that for lack of a descriptor
   * nothing is changed; a flush that fails after the change leaves it standing, and to call that "not
   * done" would make its caller go on with what is not there any more.
   */
  #changeFolder(change: () => void): void {
    this.#refuseReplaced();
    const fd = guard("open", this.dir, () => fs.openSync(this.dir, O_RDONLY | O_DIRECTORY));
    try {
      change();
      this.#unflushed = errorOf(() => fs.fsyncSync(fd));
    } finally {
      letGo(fd);
    }
  }
}

/** Closes what was flushed already, or only read: that it cannot be closed undoes nothing. */
function letGo(fd: number): void {
  errorOf(() => fs.closeSync(fd));
}

/** What a call throws; undefined: nothing. */
function errorOf(call: () => void): Error | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Nobody else may put another folder in the place of this one, or of one above it. */
function refuseUnsafeParents(dir: string): void {
  const wanted = { path: dirname(resolve(dir)), program: "state", elsewhere: "another --state" };
  guard("look at", wanted.path, () => refuseUnsafePath(wanted));
}

/**
 * Overwrites the content of an open file, as far as it can: what called it has done its work by
 * then, and a file system may keep the old bytes anyway.
 */
function blank(fd: number): void {
  try {
    const zeros = new Uint8Array(fs.fstatSync(fd).size);
    for (let at = 0; at < zeros.length;) at += fs.writeSync(fd, zeros, at, zeros.length - at, at);
    fs.fsyncSync(fd);
  } catch {
    // The disk does not take it.
  }
}

/** Makes sure that a folder is ours alone. @returns the number of its device */
function closedToOthers(dir: string): number {
  const fd = guard("open", dir, () => fs.openSync(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  try {
    const { uid, mode, dev } = fs.fstatSync(fd);
    refuseForeign(dir, uid);
    if ((mode & 0o777) !== 0o700) closeToOthers(dir, fd);
    return dev;
  } finally {
    letGo(fd);
  }
}

/** An empty folder becomes ours; one with content may be anything (/tmp, a home), so it is not touched. */
function closeToOthers(dir: string, fd: number): void {
  if (fs.readdirSync(dir).length > 0) {
    throw new Failure(
      Exit.noPermission,
      `state: ${dir} is open to others and not empty: chmod 700 it, or choose another --state`,
    );
  }
  guard("chmod", dir, () => fs.fchmodSync(fd, 0o700));
}

/** O_EXCL never follows a link and never reuses a file that somebody laid out for us. */
function writeNew(path: string, content: Uint8Array): void {
  const fd = guard(
    "create",
    path,
    () => fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
  );
  try {
    fs.fchmodSync(fd, 0o600);
    for (let at = 0; at < content.length;) {
      at += fs.writeSync(fd, content, at, content.length - at);
    }
    fs.fsyncSync(fd);
  } catch (error) {
    fs.closeSync(fd);
    try {
      fs.rmSync(path, { force: true });
    } catch {
      // Of two troubles the first is told; what is left is removed before the next write.
    }
    throw explained("write", path, error);
  }
  fs.closeSync(fd);
}

function takeLock(path: string): Deno.FsFile {
  look("open", path);
  const file = guard(
    "open",
    path,
    () => Deno.openSync(path, { create: true, write: true, mode: 0o600 }),
  );
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new Failure(
    Exit.failed,
    `state: ${path} is locked by a running node: stop it (\`shoal down\`) or choose another --state`,
  );
}

/** What stands at a path; a symbolic link is refused. Undefined: nothing does. */
function lookAt(verb: string, path: string): fs.Stats | undefined {
  const stat = guard(verb, path, () => fs.lstatSync(path, { throwIfNoEntry: false }));
  if (!stat?.isSymbolicLink()) return stat;
  throw new Failure(Exit.stuck, `state: cannot ${verb} ${path} (ELOOP): ${NEXT_STEP["ELOOP"]}`);
}

/** A folder that stands where a file is put: neither a removal nor a rename takes it away. */
function refuseFolder(path: string): void {
  if (!guard("look at", path, () => fs.lstatSync(path, { throwIfNoEntry: false }))?.isDirectory()) {
    return;
  }
  throw new Failure(
    Exit.stuck,
    `state: ${path} is a folder, and this node writes a file there: move the folder away`,
  );
}

/** The same of a file, which is refused where it may not be ours alone. */
function look(verb: string, path: string): fs.Stats | undefined {
  const stat = lookAt(verb, path);
  if (stat !== undefined) refuseUnsafe(path, stat);
  return stat;
}

/**
 * Makes a folder and those above it. The folder of all nodes of the system holds names only, and the user of a service has
 * to get through it, so that one is open to everybody.
 */
function make(dir: string): void {
  const parent = dirname(resolve(dir));
  if (parent === SYSTEM_STATES && !fs.existsSync(parent)) {
    fs.mkdirSync(parent, { recursive: true, mode: 0o755 });
    fs.chmodSync(parent, 0o755); // Whatever the umask says.
  }
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
}

/** Whether a folder is there; anything else that is there is refused. */
function isFolder(dir: string): boolean {
  const stat = lookAt("open", dir);
  if (stat === undefined || stat.isDirectory()) return stat !== undefined;
  throw new Failure(Exit.stuck, `state: ${dir} is no folder: choose another --state`);
}

function refuseUnsafe(path: string, stat: fs.Stats): void {
  refuseForeign(path, stat.uid);
  if (!stat.isFile()) {
    throw new Failure(
      Exit.noPermission,
      `state: ${path} is not a regular file: move it away and start again`,
    );
  }
  if (stat.nlink !== 1) {
    throw new Failure(
      Exit.noPermission,
      `state: ${path} has more than one name (links: ${stat.nlink}): ` +
        `another program may share it; move it away and start again`,
    );
  }
  if ((stat.mode & 0o077) !== 0) {
    throw new Failure(
      Exit.noPermission,
      `state: ${path} has mode ${(stat.mode & 0o777).toString(8)}, so others may have read it: ` +
        `chmod 600 it if you trust them, else remove it`,
    );
  }
}

function refuseForeign(path: string, uid: number): void {
  const me = Deno.uid();
  if (uid === me) return;
  const service = installedServices().find((name) => placeOfService(name).stateDir === path);
  if (service !== undefined) {
    throw new Failure(
      Exit.noPermission,
      `state: ${path} is that of the service shoal@${service}: systemctl start shoal@${service} runs its node, or ` +
        "choose another --interface or --state",
    );
  }
  throw new Failure(
    Exit.noPermission,
    `state: ${path} belongs to user ${uid} and this is user ${me}: chown it or choose another --state`,
  );
}

function guard<T>(verb: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw explained(verb, path, error);
  }
}

const NEXT_STEP: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: make room",
  EDQUOT: "the disk quota is used up: make room",
  EIO: "the disk does not work: see what the kernel says",
  ENOENT: "the folder is gone: put it back, or stop the node and start it again",
  EROFS: "the file system is read-only: choose another --state",
  EACCES: "no permission: run as its owner or choose another --state",
  EPERM: "no permission: run as its owner or choose another --state",
  ELOOP: "a symbolic link stands there: remove it or choose another --state",
  ENOTDIR: "a part of the path is not a folder: choose another --state",
  EEXIST: "it exists already: another process made it; look at it before removing it",
};

/** What somebody has put there stays until somebody takes it away. */
const IN_THE_WAY = ["ELOOP", "ENOTDIR", "EISDIR"];

function explained(verb: string, path: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  const denied = code === "EACCES" || code === "EPERM" || error instanceof Deno.errors.NotCapable;
  const next = NEXT_STEP[code] ?? lackOf(code) ??
    (error instanceof Error ? error.message : String(error));
  return new Failure(
    denied ? Exit.noPermission : IN_THE_WAY.includes(code) ? Exit.stuck : Exit.failed,
    `state: cannot ${verb} ${path}${code === "" ? "" : ` (${code})`}: ${next}`,
    { cause: error },
  );
}

/** Undefined: there is nothing, or it cannot be looked at. */
function statOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
