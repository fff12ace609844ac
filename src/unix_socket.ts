/**
 * A Unix socket of ours in the file system. Its path is taken from a dead process, never from one
 * that answers nor from a file that is something else, and only in a folder where nobody else can
 * swap the socket for one of theirs (T45). Its mode holds from its first moment.
 */
import * as fs from "node:fs";
import * as net from "node:net";
import { dirname } from "node:path";
import { codeOf } from "./errno.ts";
import { Exit, Failure } from "./exit.ts";
import { refuseUnsafePath, type Wanted } from "./safe_path.ts";

export interface Place extends Wanted {
  /** Whatever the umask says. */
  readonly mode: number;
  /** The group of the socket; undefined: that of the process. Its members can get there, or the place is refused. */
  readonly group?: SocketGroup | undefined;
}

export interface SocketGroup {
  /** As a person wrote it. */
  readonly name: string;
  readonly gid: number;
}

const GROUP_RIGHTS = 0o070;
const OTHERS_ENTER = 0o001;
const GROUP_ENTERS = 0o010;

/** @throws {Failure} when another process answers there, or the place cannot be used */
export async function listenAt(server: net.Server, place: Place): Promise<void> {
  await clear(place);
  const { group, mode } = place;
  if (group) refuseClosed(place, group);
  // No other group than the one that is meant can open it at any moment.
  const umask = 0o777 & ~(group ? mode & ~GROUP_RIGHTS : mode);
  // It listens before it has its name: `wg` removes a socket that refuses it, and between bind and
  // listen ours would. As long as the path, which has a limit, and with no ending that wg looks for.
  const unnamed = boundNameOf(place.path);
  try {
    fs.rmSync(unnamed, { force: true });
    await underUmask(umask, () => listen(server, unnamed));
    if (group) hand(unnamed, group, mode);
    fs.renameSync(unnamed, place.path);
  } catch (error) {
    throw error instanceof Failure ? error : unusable(place, error);
  }
}

/**
 * The umask is the whole process's, and another call may come in between: it is set for as long as the call itself takes,
 * in which the run time has bound the socket, and not until what the call promises.
 */
function underUmask<T>(umask: number, call: () => T): T {
  const before = Deno.umask(umask);
  try {
    return call();
  } finally {
    Deno.umask(before);
  }
}

/** Gives a socket to a group. */
function hand(path: string, { name, gid }: SocketGroup, mode: number): void {
  try {
    Deno.chownSync(path, null, gid);
    fs.chmodSync(path, mode);
  } catch (error) {
    fs.rmSync(path, { force: true });
    const what =
      `the control socket cannot be given to group ${name} (${codeOf(error) || error}): ` +
      "run the node as root, or as a member of that group";
    throw new Failure(Exit.noPermission, what);
  }
}

/** A socket in a folder that its group cannot enter would be of no use to it. */
function refuseClosed({ path, elsewhere }: Place, { name, gid }: SocketGroup): void {
  for (let folder = dirname(path);; folder = dirname(folder)) {
    const stat = fs.statSync(folder);
    // The rights of the group decide for its members, those of others only for everybody else (path_resolution(7)).
    const enters = stat.gid === gid ? GROUP_ENTERS : OTHERS_ENTER;
    if ((stat.mode & enters) === 0) {
      throw new Failure(
        Exit.usage,
        `members of group ${name} cannot enter ${folder} (mode 0${
          (stat.mode & 0o777).toString(8)
        }), ` +
          `where the control socket is: open that folder to them, or choose ${elsewhere}`,
      );
    }
    if (folder === dirname(folder)) return;
  }
}

/** The name by which the kernel knows a socket of ours, which is renamed to its path. */
export function boundNameOf(path: string): string {
  return `${path.slice(0, -1)}~`;
}

/** Listens on a path, or on a socket that is bound already. */
export function listen(server: net.Server, where: string | { readonly fd: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      // A failed accept concerns that client alone.
      server.on("error", () => {});
      resolve();
    });
  });
}

async function clear(place: Place): Promise<void> {
  const { path, program, elsewhere } = place;
  try {
    const folder = { ...place, path: dirname(path) };
    refuseUnsafePath({ ...place, path: dirname(folder.path) });
    const isMade = fs.mkdirSync(folder.path, { recursive: true, mode: 0o755 }) !== undefined;
    if (isMade) fs.chmodSync(folder.path, 0o755); // Whatever the umask says.
    refuseOpenFolder(place);
    refuseUnsafePath(folder);
    if (fs.lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  } catch (error) {
    throw error instanceof Failure ? error : unusable(place, error);
  }
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket()) {
    const what = `${program}: ${path} is no socket: move it away and start again`;
    throw new Failure(Exit.stuck, what);
  }
  if (await isAnswered(path)) {
    throw new Failure(
      Exit.failed,
      `${program}: another process answers at ${path}: stop it first, or choose ${elsewhere}`,
    );
  }
  try {
    fs.rmSync(path, { force: true });
  } catch (error) {
    throw unusable(place, error);
  }
}

function refuseOpenFolder({ path, program }: Place): void {
  const folder = dirname(path);
  const { mode, uid } = fs.statSync(folder);
  const isSafe = (mode & 0o022) === 0 && (uid === 0 || uid === Deno.uid());
  if (isSafe) return;
  throw new Failure(
    Exit.failed,
    `${program}: others may write in ${folder} (mode 0${
      (mode & 0o777).toString(8)
    }, owner ${uid}): ` +
      `as root, chown root ${folder} and chmod 755 ${folder}`,
  );
}

/** A refused connection is a dead process. Anything else may be a living one that is busy. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error) => resolve(!["ECONNREFUSED", "ENOENT"].includes(codeOf(error))));
  });
}

function unusable({ path, program, elsewhere }: Place, error: unknown): Failure {
  const code = codeOf(error);
  const isDenied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return new Failure(
    isDenied ? Exit.noPermission : Exit.failed,
    `${program}: cannot open the socket ${path} (${code || error}): ` +
      (isDenied ? `be root, or choose ${elsewhere}` : `see what is wrong with ${dirname(path)}`),
    { cause: error },
  );
}

/** node:net keeps the descriptor to itself; the handle has carried it under this name for years. */
export function descriptorOf(socket: net.Socket | net.Server): number {
  const handle = (socket as { _handle?: { fd?: unknown } })._handle;
  if (typeof handle?.fd !== "number" || handle.fd < 0) {
    throw new Error("a socket has no descriptor");
  }
  return handle.fd;
}
