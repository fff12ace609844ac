/** Serves one WireGuard device until something ends it, and leaves nothing behind. */
import { loadCore } from "../../ffi/core.ts";
import type { Core } from "../../ffi/core.ts";
import { CoreError } from "../../ffi/core_error.ts";
import type { DeviceOptions } from "../../ffi/device.ts";
import { forbidCoreDumps } from "../../ffi/libc.ts";
import type { Io } from "../cli/command.ts";
import type { DataplaneConfig } from "../config.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";
import { configureLog, parseLogLevel } from "../log.ts";
import denoJson from "../../deno.json" with { type: "json" };
import type { Settings } from "./command.ts";
import { tellReady } from "./daemon.ts";
import { WgDevice } from "./device.ts";
import { Journal } from "./journal.ts";
import { socketPath, UapiServer, type UapiServerOptions } from "./server.ts";

/** Why it ended, and what the shell is told. */
type End =
  | { readonly kind: "asked"; readonly why: string }
  | { readonly kind: "defect"; readonly error: unknown };

/** The one place where the end is decided; the first reason counts. */
class Ending {
  readonly #decided = Promise.withResolvers<End>();
  readonly reason: Promise<End> = this.#decided.promise;
  readonly ask = (why: string): void => this.#decided.resolve({ kind: "asked", why });
  readonly defect = (error: unknown): void => this.#decided.resolve({ kind: "defect", error });

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => this.ask(signal));
    }
    globalThis.addEventListener("error", (event) => {
      event.preventDefault();
      this.defect(event.error);
    });
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.defect(event.reason);
    });
  }
}

/** @throws {Failure} when the device or its socket cannot be had */
export async function serve(settings: Settings, io: Io): Promise<ExitCode> {
  configureLog({ level: parseLogLevel(settings.logLevel) });
  forbidCoreDumps();
  const ending = new Ending();
  const { device, journal } = openDevice(settings, ending);
  let server: UapiServer | undefined;
  try {
    server = await openSocket(settings, device, journal, ending);
    const { aead, io: backend, workers } = device.info;
    journal.started(denoJson.version, `${aead}, ${backend}, ${workers} workers`);
    tellReady(io);
    const end = await ending.reason;
    if (end.kind === "defect") throw end.error;
    journal.stopped(end.why);
    return Exit.done;
  } finally {
    device.close();
    await server?.close();
  }
}

function openDevice(
  settings: Settings,
  ending: Ending,
): { readonly device: WgDevice; readonly journal: Journal } {
  const { ifname, tunFd, dataplane } = settings;
  let core: Core;
  try {
    core = loadCore();
  } catch (error) {
    throw new Failure(Exit.failed, `wg: ${error instanceof Error ? error.message : error}`);
  }
  checkDataplane(core, dataplane);
  const tun: DeviceOptions["tun"] = tunFd === undefined
    ? { kind: "create", name: ifname }
    : { kind: "adopt", fd: tunFd };
  let journal = new Journal(ifname);
  try {
    const device = new WgDevice({
      core,
      tun,
      ...dataplane,
      onEvent: (event) => {
        journal.note(event);
        if (event.kind === "core" && event.news.kind === "workerFailed") {
          ending.defect(new Error(`${ifname}: the data plane stands still`));
        }
      },
      onDefect: ending.defect,
      onGone: () => ending.ask("the interface was deleted"),
    });
    journal = new Journal(device.info.ifname);
    return { device, journal };
  } catch (error) {
    throw error instanceof CoreError ? explained(error, settings) : error;
  }
}

function openSocket(
  { uapiFd }: Settings,
  device: WgDevice,
  journal: Journal,
  ending: Ending,
): Promise<UapiServer> {
  const path = socketPath(device.info.ifname);
  const options: UapiServerOptions = {
    device,
    onFault: (fault) => journal.refused(fault),
    onDefect: ending.defect,
    onRemoved: () => ending.ask(`${path} was removed`),
  };
  return uapiFd === undefined
    ? UapiServer.listen(path, options)
    : UapiServer.adopt(uapiFd, path, options);
}

/** Names are checked before anything is made, so that a typing error costs nothing. */
function checkDataplane(core: Core, { aead, io, without }: DataplaneConfig): void {
  const refuse = (option: string, value: string, known: readonly string[]) => {
    const all = known.join(", ");
    throw new Failure(Exit.usage, `wg: ${option} '${value}' is not known here: choose from ${all}`);
  };
  if (aead !== "" && !core.aeads.includes(aead)) refuse("--aead", aead, core.aeads);
  if (io !== "" && io !== "poll") refuse("--io", io, ["poll"]);
  const offloads = [...core.offloads.values()];
  for (const name of without) if (!offloads.includes(name)) refuse("--without", name, offloads);
}

/** What the kernel refused, the value, and what to do. */
function explained(error: CoreError, { ifname, tunFd }: Settings): Failure {
  const how = `(${error.what || error.call}: ${error.errnoName || error.status})`;
  const failed = (text: string) => new Failure(Exit.failed, `wg: ${text}`, { cause: error });
  if (error.status === "E_EXISTS" || error.errnoName === "EBUSY") {
    return failed(
      `the interface '${ifname}' exists and another program holds it ${how}: choose another name, ` +
        `or remove it with 'ip link delete ${ifname}'`,
    );
  }
  switch (error.errnoName) {
    case "EPERM":
    case "EACCES":
      return new Failure(
        Exit.noPermission,
        `wg: no permission to make the interface '${ifname}' ${how}: run as root or with CAP_NET_ADMIN`,
        { cause: error },
      );
    case "ENOENT":
    case "ENODEV":
    case "ENXIO":
      return failed(
        `/dev/net/tun is not there ${how}: 'modprobe tun', or hand it into the container`,
      );
    case "EINVAL":
      return failed(
        tunFd === undefined
          ? `the interface '${ifname}' exists and is no TUN of one queue ${how}: choose another name`
          : `WG_TUN_FD=${tunFd} is no TUN opened with IFF_TUN | IFF_NO_PI ${how}`,
      );
    case "EBADF":
    case "ENOTTY":
      return failed(`WG_TUN_FD=${tunFd} is no open TUN ${how}: pass a TUN, or leave it unset`);
    default:
      return failed(`cannot serve '${ifname}': ${error.message}`);
  }
}
