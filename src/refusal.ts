/** What core or the kernel refused when a device was opened, as a person can mend it. */
import type { Core } from "../ffi/core.ts";
import { CoreError } from "../ffi/core_error.ts";
import type { DataplaneConfig } from "./config.ts";
import { lackOf } from "./errno.ts";
import { Exit, Failure } from "./exit.ts";
import { IOS } from "./receiving.ts";

/** Names are checked before anything is made, so that a typing error costs nothing. */
export function checkDataplane(
  program: string,
  core: Core,
  { aead, io, without }: DataplaneConfig,
): void {
  const refuse = (option: string, value: string, known: readonly string[]) => {
    const all = known.join(", ");
    throw new Failure(
      Exit.usage,
      `${program}: ${option} '${value}' is not known here: choose from ${all}`,
    );
  };
  if (aead !== "" && !core.aeads.includes(aead)) refuse("--aead", aead, core.aeads);
  if (io !== "" && !IOS.includes(io)) refuse("--io", io, IOS);
  const offloads = [...core.offloads.values()];
  for (const name of without) if (!offloads.includes(name)) refuse("--without", name, offloads);
}

/** The interface as it was asked for. */
interface Wanted {
  readonly ifname: string;
  /** An adopted TUN descriptor, from WG_TUN_FD. */
  readonly tunFd?: number | undefined;
}

/** What the kernel refused, the value, and what to do. */
export function explainOpen(
  program: string,
  error: unknown,
  { ifname, tunFd }: Wanted,
): unknown {
  if (!(error instanceof CoreError)) return error;
  const elsewhere = program === "node" ? "another by --interface" : "another name";
  const how = `(${error.what || error.call}: ${error.errnoName || error.status})`;
  const failed = (text: string) =>
    new Failure(Exit.failed, `${program}: ${text}`, { cause: error });
  if (error.status === "E_EXISTS" || error.errnoName === "EBUSY") {
    const who = program === "wg" ? `'wg show ${ifname}' answers where a device runs there; ` : "";
    return failed(
      `the interface '${ifname}' exists already ${how}: ${who}choose ${elsewhere}, or if it is a TUN ` +
        `that nothing needs any more, remove it with 'ip link delete ${ifname}'`,
    );
  }
  const lack = lackOf(error.errnoName);
  if (lack !== undefined) return failed(`cannot serve '${ifname}' ${how}: ${lack}`);
  switch (error.errnoName) {
    case "EPERM":
    case "EACCES":
      return new Failure(
        Exit.noPermission,
        `${program}: no permission to make the interface '${ifname}' ${how}: run as root or with CAP_NET_ADMIN`,
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
          ? `the interface '${ifname}' exists and is no TUN of one queue ${how}: choose ${elsewhere}`
          : `WG_TUN_FD=${tunFd} is no TUN opened with IFF_TUN | IFF_NO_PI ${how}`,
      );
    case "EBADF":
    case "ENOTTY":
      return failed(`WG_TUN_FD=${tunFd} is no open TUN ${how}: pass a TUN, or leave it unset`);
    default:
      return failed(`cannot serve '${ifname}': ${error.message}`);
  }
}
