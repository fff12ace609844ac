/**
 * Where a node that runs as a service of the system has its files. It is no root, and its places are those of the system
 * all the same: the manager makes both folders for it before it starts, for its own user, below folders of root's.
 *
 * Its socket has a folder of its own: the folder of a node that root runs by hand, /run/shoal, stays root's, so that
 * neither can put anything in place of the other's socket.
 */
import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { Exit, Failure } from "../exit.ts";

/** Below it every node of the system has the folder of its state. */
export const SYSTEM_STATES = "/var/lib/shoal";
/** The same of control sockets. */
export const SYSTEM_SOCKETS = "/run/shoal";
const SOCKET = "control.sock";
const OTHERS_WRITE = 0o022;

/** The template of all services, and the folder of their options. */
export const UNIT = "/etc/systemd/system/shoal@.service";
export const OPTIONS = "/etc/shoal";
const OPTIONS_ENDING = ".conf";

/** Of the environment: the name of the service that this process is. */
export const SERVICE_VARIABLE = "SHOAL_SERVICE";

/**
 * A name of a service, which is also that of its interface unless its options say another: so it has at most 15 bytes,
 * and nothing that a unit, a shell or a path would read in a way of its own.
 * @throws {Failure} usage (2)
 */
export function checkServiceName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(name) && name !== "all" && name !== "default") {
    return name;
  }
  throw new Failure(
    Exit.usage,
    `'${name}' cannot be a service's name: 1 to 15 letters, digits, '.', '_' and '-', and neither 'all' nor 'default'`,
  );
}

export interface ServicePlace {
  readonly stateDir: string;
  readonly controlSocket: string;
}

export function placeOfService(name: string): ServicePlace {
  return { stateDir: join(SYSTEM_STATES, name), controlSocket: join(SYSTEM_SOCKETS, name, SOCKET) };
}

export function optionsFile(name: string): string {
  return `${OPTIONS}/${name}${OPTIONS_ENDING}`;
}

/** Names of services that have options. @param root "" of this machine */
export function servicesWithOptions(root = ""): string[] {
  return namesIn(join(root, OPTIONS)).filter((file) => file.endsWith(OPTIONS_ENDING))
    .map((file) => basename(file, OPTIONS_ENDING)).sort();
}

/** Names of the services that are installed here, as far as anybody can see. @param root "" of this machine */
export function installedServices(root = ""): string[] {
  return fs.existsSync(join(root, UNIT)) ? servicesWithOptions(root) : [];
}

/** None where there is no such folder, or it is closed. */
function namesIn(folder: string): string[] {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

/** The service whose control socket would be at a path; undefined: it is none of a service. */
export function serviceAt(socket: string): string | undefined {
  const name = basename(dirname(socket));
  return placeOfService(name).controlSocket === socket ? name : undefined;
}

/**
 * The user of the service whose control socket would be at a path: the manager has made the folder of its state for it.
 */
export function userOfServiceAt(
  socket: string,
  stat: (path: string) => { readonly uid: number } = fs.statSync,
): number | undefined {
  const service = serviceAt(socket);
  if (service === undefined) return undefined;
  try {
    return stat(placeOfService(service).stateDir).uid;
  } catch {
    return undefined; // It is not there, or in a folder that is closed.
  }
}

/**
 * Whether a service's socket has been put there by its own user: only root can make a folder in {@link SYSTEM_SOCKETS}, and the
 * owner of that folder is whom the manager has made it for.
 */
export function isOfItsUser(socket: string, stat = fs.lstatSync): boolean {
  if (serviceAt(socket) === undefined) return false;
  const folder = stat(dirname(socket));
  const above = [dirname(SYSTEM_SOCKETS), SYSTEM_SOCKETS].map((path) => stat(path));
  const closed = [...above, folder].every((one) =>
    one.isDirectory() && (one.mode & OTHERS_WRITE) === 0
  );
  return closed && above.every(({ uid }) => uid === 0) && stat(socket).uid === folder.uid;
}
