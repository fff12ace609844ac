/** Serves one WireGuard device until something ends it, and leaves nothing behind. */
import { readdirSync, readFileSync } from "node:fs";
import { loadCore } from "../../ffi/core.ts";
import type { Core } from "../../ffi/core.ts";
import type { DeviceOptions } from "../../ffi/device.ts";
import { descriptorsLeft, duplicate, forbidCoreDumps, hasInput } from "../../ffi/libc.ts";
import type { Io } from "../cli/command.ts";
import type { DataplaneConfig } from "../config.ts";
import { Ending } from "../ending.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";
import { checkDataplane, explainOpen } from "../refusal.ts";
import { configureLog, type LogLevel } from "../log.ts";
import denoJson from "../../deno.json" with { type: "json" };
import { workersText } from "../workers.ts";
import { tellReady } from "./daemon.ts";
import { WgDevice } from "./device.ts";
import { Journal } from "./journal.ts";
import { CLIENTS_MAX, socketPath, UapiServer, type UapiServerOptions } from "./server.ts";

interface Settings {
  readonly ifname: string;
  readonly tunFd: number | undefined;
  readonly uapiFd: number | undefined;
  readonly dataplane: DataplaneConfig;
  readonly logLevel: LogLevel;
}

/** @throws {Failure} when the device or its socket cannot be had */
export async function serve(settings: Settings, io: Io): Promise<ExitCode> {
  configureLog({ level: settings.logLevel });
  forbidCoreDumps();
  const ending = new Ending();
  const { device, journal } = openDevice(settings, ending);
  let server: UapiServer | undefined;
  try {
    server = await openSocket(settings, device, journal, ending);
    const { aead, io: backend, workers, queues, isSteered, steerError } = device.info;
    const threads = workersText({
      workers,
      queues,
      steered: isSteered,
      steer_error: steerError,
      lanes: 1, // WireGuard has none
      steer_refused: 0, // no route is there yet
    });
    journal.started(
      denoJson.version,
      `ChaCha20-Poly1305 by ${aead}; ${backend}, ${threads}`,
    );
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
  checkDataplane("wg", core, dataplane);
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
    throw explainOpen("wg", error, settings);
  }
}

/** Descriptors that are kept for what the device may still open. */
const KEPT_DESCRIPTORS = 8;

/**
 * As many clients as there are descriptors for: who comes when there are none hears nothing until the
 * socket is taken up anew (listener.ts). As many again are with clients that are told EBUSY.
 */
function clientsMax(): number {
  const [, most = "1024"] =
    /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
  const free = Number(most) - readdirSync("/proc/self/fd").length - KEPT_DESCRIPTORS;
  return Math.max(1, Math.min(CLIENTS_MAX, Math.floor(free / 2)));
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
    descriptors: { left: descriptorsLeft, hasInput, duplicate },
    clientsMax: clientsMax(),
    onFault: (fault) => journal.refused(fault),
    onDefect: ending.defect,
    onCrowded: () => journal.crowded(path),
    onRemoved: () => ending.ask(`${path} was removed`),
  };
  return uapiFd === undefined
    ? UapiServer.listen(path, options)
    : UapiServer.adopt(uapiFd, path, options);
}
