/** What a mesh node needs of core as it starts: the library, a device, and a UDP port. */
import { type Core, loadCore } from "../ffi/core.ts";
import { CoreError } from "../ffi/core_error.ts";
import { Device } from "../ffi/device.ts";
import type { DataplaneConfig } from "./config.ts";
import { lackOf } from "./errno.ts";
import { Exit, Failure } from "./exit.ts";
import { random } from "./random.ts";
import { explainOpen } from "./refusal.ts";

interface DeviceWish {
  /** "" only without `tun`. */
  readonly interface: string;
  readonly tun: boolean;
  readonly dataplane: DataplaneConfig;
}

/** @throws {Failure} when the library is not there, or of another version */
export function openCore(): Core {
  try {
    return loadCore();
  } catch (error) {
    throw new Failure(Exit.failed, error instanceof Error ? error.message : String(error));
  }
}

/** @throws {Failure} naming what was refused */
export function openDevice(core: Core, options: DeviceWish): Device {
  const { aead, io, workers, without } = options.dataplane;
  try {
    return Device.open(core, {
      tun: options.tun ? { kind: "create", name: options.interface } : { kind: "none" },
      isWireGuardOnly: false,
      seed: random(32),
      workers,
      without,
      ...(aead === "" ? {} : { aead }),
      ...(io === "" ? {} : { io }),
    });
  } catch (error) {
    throw explainOpen("node", error, { ifname: options.interface });
  }
}

/**
 * Listens on the port that was asked for, or on the usual one, or on any free one, which is better than none.
 * @returns the port
 * @throws {Failure} when the one that was asked for is taken or refused
 */
export function bind(device: Device, usual: number, listen: number | undefined): number {
  if (listen !== undefined) return bindTo(device, listen);
  try {
    return bindTo(device, usual);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return bindTo(device, 0);
  }
}

function bindTo(device: Device, port: number): number {
  try {
    return device.bind(port, 0);
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const lack = lackOf(error.errnoName);
    if (lack !== undefined) {
      const what = `node: cannot open UDP port ${port} (${error.message}): ${lack}`;
      throw new Failure(Exit.failed, what, { cause: error });
    }
    const busy = error.errnoName === "EADDRINUSE";
    throw new Failure(
      error.errnoName === "EACCES" ? Exit.noPermission : Exit.failed,
      busy
        ? `node: UDP port ${port} is in use by another program: choose another by --listen`
        : `node: cannot open UDP port ${port} (${error.message}): choose another by --listen`,
      { cause: error },
    );
  }
}
