/** `wg [-f] IFNAME`: a plain userspace WireGuard device, as wireguard-go would serve it. */
import type { ExitCode } from "../exit.ts";
import { checkInterfaceName } from "../instance.ts";
import { type Command, type Io, parseOptions, wholeNumber } from "../cli/command.ts";
import { DATAPLANE_HELP, DATAPLANE_OPTIONS } from "../cli/dataplane.ts";
import { dataplaneConfig, logLevel } from "../config.ts";

const options = {
  foreground: { type: "boolean", short: "f" },
  "log-level": { type: "string" },
  ...DATAPLANE_OPTIONS,
} as const;

export const wg: Command = {
  usage: "wg [-f] [OPTION ...] IFNAME",
  help: `Serves a WireGuard interface that wg(8) and wg-quick(8) configure. Without -f it returns as
soon as the interface and its socket answer, and leaves a background process.

  -f, --foreground   stay, and log to standard error
  --log-level L      trace debug info warning error silent (default info)

${DATAPLANE_HELP}

Every option but -f can stand in the environment: --log-level as SHOAL_LOG_LEVEL and so on.
As with wireguard-go: LOG_LEVEL, WG_TUN_FD, WG_UAPI_FD, WG_PROCESS_FOREGROUND=1.`,

  async run(args: readonly string[], io: Io): Promise<ExitCode> {
    const { values, positionals } = parseOptions(wg, args, io, options, { min: 1, max: 1 });
    const settings = {
      ifname: checkInterfaceName(positionals[0] ?? ""),
      tunFd: descriptor(io, "WG_TUN_FD"),
      uapiFd: descriptor(io, "WG_UAPI_FD"),
      dataplane: dataplaneConfig(values, io.env),
      logLevel: logLevel(values, io.env),
    };
    // Loaded when needed: the parent of a background process needs nothing of the device.
    if (values.foreground || io.env("WG_PROCESS_FOREGROUND") === "1") {
      return await (await import("./serve.ts")).serve(settings, io);
    }
    const isAsked = [values["log-level"], io.env("SHOAL_LOG_LEVEL"), io.env("LOG_LEVEL")]
      .some((level) => level !== undefined && level !== "");
    const wantsLog = isAsked && settings.logLevel !== null;
    return await (await import("./daemon.ts")).startInBackground(io, wantsLog);
  },
};

function descriptor(io: Io, name: string): number | undefined {
  const text = io.env(name);
  return text === undefined || text === "" ? undefined : wholeNumber(name, text, 0, 0x7fffffff);
}
