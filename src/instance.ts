/** Which node on this machine is meant: several may run, told apart by interface or state folder. */
import { isAbsolute, join, resolve } from "node:path";
import { Exit, Failure } from "./exit.ts";
import {
  checkServiceName,
  placeOfService,
  SERVICE_VARIABLE,
  SYSTEM_SOCKETS,
  SYSTEM_STATES,
} from "./service/place.ts";

export const DEFAULT_INTERFACE = "shoal0";
/** Bytes of a Unix socket's path: sun_path less the NUL (unix(7)). */
const SOCKET_PATH_MAX = 107;

export interface Instance {
  readonly interface: string;
  readonly stateDir: string;
  readonly controlSocket: string;
  /** The name of the service that it is; undefined: a person has started it. */
  readonly service?: string;
}

/**
 * - `--state DIR`: DIR/control.sock, for rootless use and for several instances in namespaces that
 *   share one file system;
 * - else in a service of the system by the service's name (service/place.ts);
 * - else by interface name, below /var/lib/shoal and /run/shoal for root, below the XDG folders
 *   for everybody else.
 */
export function findInstance(
  choice: Choice,
  env: (name: string) => string | undefined,
  uid: number | null = Deno.uid(),
): Instance {
  const instance = locate(choice, env, uid);
  const length = new TextEncoder().encode(instance.controlSocket).length;
  if (length <= SOCKET_PATH_MAX) return instance;
  throw new Failure(
    Exit.usage,
    `the control socket ${instance.controlSocket} has a path of ${length} bytes, ` +
      `more than the ${SOCKET_PATH_MAX} of a Unix socket: choose a shorter --state`,
  );
}

export interface Choice {
  readonly interface?: string | undefined;
  readonly state?: string | undefined;
}

/** What a person has named, by options or in the environment. */
export function namedBy(choice: Choice, env: (name: string) => string | undefined): Choice {
  return {
    interface: choice.interface ?? (env("SHOAL_INTERFACE") || undefined),
    state: choice.state ?? (env("SHOAL_STATE") || undefined),
  };
}

function locate(
  choice: Choice,
  env: (name: string) => string | undefined,
  uid: number | null,
): Instance {
  const { interface: named, state: chosen } = namedBy(choice, env);
  const name = checkInterfaceName(named ?? DEFAULT_INTERFACE);
  if (chosen !== undefined) {
    if (chosen === "") throw new Failure(Exit.usage, "--state is empty: name a folder");
    const stateDir = resolve(chosen);
    return { interface: name, stateDir, controlSocket: join(stateDir, "control.sock") };
  }
  const service = env(SERVICE_VARIABLE);
  if (service) return { interface: name, service, ...placeOfService(checkServiceName(service)) };
  if (uid === 0) {
    return {
      interface: name,
      stateDir: join(SYSTEM_STATES, name),
      controlSocket: join(SYSTEM_SOCKETS, `${name}.sock`),
    };
  }
  const home = env("HOME");
  const state = absolute(env("XDG_STATE_HOME")) ?? (home && join(home, ".local/state"));
  const runtime = absolute(env("XDG_RUNTIME_DIR")) ?? state;
  if (!state || !runtime) {
    throw new Failure(
      Exit.usage,
      "neither HOME nor XDG_STATE_HOME is set: name a folder by --state",
    );
  }
  return {
    interface: name,
    stateDir: join(state, "shoal", name),
    controlSocket: join(runtime, "shoal", `${name}.sock`),
  };
}

/**
 * IFNAMSIZ less the NUL; the kernel refuses slashes, colons and white space (dev_valid_name), and the
 * names of two folders that stand beside those of the interfaces in /proc/sys/net/ipv4/conf (devinet.c).
 */
export function checkInterfaceName(name: string): string {
  if (name === "all" || name === "default") {
    throw new Failure(
      Exit.usage,
      `'${name}' cannot be an interface name: the kernel keeps it for settings of all interfaces`,
    );
  }
  const size = new TextEncoder().encode(name).length;
  if (size >= 1 && size <= 15 && !/[/:\s\0%]/.test(name) && name !== "." && name !== "..") {
    return name;
  }
  throw new Failure(
    Exit.usage,
    `'${name}' cannot be an interface name: 1 to 15 bytes without slash, colon, percent or space`,
  );
}

/** The XDG rules: a path that is not absolute is ignored. */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
