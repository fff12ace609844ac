/** `wg [-f] IFNAME`: a plain userspace WireGuard device, as wireguard-go would serve it. */
import type { ExitCode } from "../exit.ts";
import { checkInterfaceName } from "../instance.ts";
import { type Command, type Io, parseOptions, wholeNumber } from "../cli/command.ts";
import { type DataplaneConfig, dataplaneConfig } from "../config.ts";

const options = {
  foreground: { type: "boolean", short: "f" },
  workers: { type: "string" },
  aead: { type: "string" },
  io: { type: "string" },
  without: { type: "string" },
  "log-level": { type: "string" },
} as const;

export const wg: Command = {
  usage: "wg [-f] [OPTION …] IFNAME",
  help: `Serves a WireGuard interface that wg(8) and wg-quick(8) configure. Without -f it returns as
soon as the interface and its socket answer, and leaves a background process.

  -f, --foreground     stay, and log to standard error
      --workers N      threads that move packets (0: chosen)
      --aead NAME      openssl or libsodium (default: the faster one here)
      --io NAME        poll
      --without NAMES  offloads to leave off: tun-tso,tun-uso,udp-gso,udp-gro
      --log-level L    trace debug info warning error silent (default: info)

Each option is also read from the environment: SHOAL_WORKERS, SHOAL_AEAD, SHOAL_IO, SHOAL_WITHOUT.
As with wireguard-go: LOG_LEVEL, WG_TUN_FD, WG_UAPI_FD, WG_PROCESS_FOREGROUND=1.`,

  async run(args: readonly string[], io: Io): Promise<ExitCode> {
    const { values, positionals } = parseOptions(wg, args, io, options, { min: 1, max: 1 });
    const settings = {
      ifname: checkInterfaceName(positionals[0] ?? ""),
      tunFd: descriptor(io, "WG_TUN_FD"),
      uapiFd: descriptor(io, "WG_UAPI_FD"),
      dataplane: dataplaneConfig(values, io.env),
      logLevel: values["log-level"] ?? (io.env("SHOAL_LOG_LEVEL") || io.env("LOG_LEVEL") || "info"),
    };
    // Loaded when needed: the parent of a background process needs nothing of the device.
    if (values.foreground || io.env("WG_PROCESS_FOREGROUND") === "1") {
      return await (await import("./serve.ts")).serve(settings, io);
    }
    return await (await import("./daemon.ts")).startInBackground(io);
  },
};

export interface Settings {
  readonly ifname: string;
  readonly tunFd: number | undefined;
  readonly uapiFd: number | undefined;
  readonly dataplane: DataplaneConfig;
  readonly logLevel: string;
}

function descriptor(io: Io, name: string): number | undefined {
  const text = io.env(name);
  return text === undefined || text === "" ? undefined : wholeNumber(name, text, 0, 0x7fffffff);
}
