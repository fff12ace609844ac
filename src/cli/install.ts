import { loadSodium } from "../../ffi/sodium.ts";
import { parseToken } from "../../mesh/door/token.ts";
import { readToken } from "../config.ts";
import { Exit, Failure } from "../exit.ts";
import { DEFAULT_INTERFACE } from "../instance.ts";
import { checkServiceName } from "../service/place.ts";
import { installService } from "../service/installer.ts";
import { thisSystem } from "../service/system.ts";
import { type Command, misuse, parseOptions } from "./command.ts";

export const install: Command = {
  usage: "install --service [NAME] [--token-file FILE [--encrypt]]",
  help: `Makes a mesh node a service of this machine, shoal@NAME: systemd starts it, watches it, and
starts it again when it fails. It runs as a user of its own, with few rights. NAME is also
that of its interface (default ${DEFAULT_INTERFACE}). Its options are variables in /etc/shoal/NAME.conf.

  --service        the node becomes a service
  --token-file FILE  the invite by which its first start joins a mesh (- for standard input); it
                   is kept where only root and the service read it
  --encrypt        keep it encrypted by a key of this machine (systemd-creds)

Members of the group 'shoal' may look at the node (shoal status). uninstall ends all that.`,
  async run(args, io) {
    const { values, positionals } = parseOptions(install, args, io, {
      service: { type: "boolean" },
      "token-file": { type: "string" },
      encrypt: { type: "boolean" },
    }, { min: 0, max: 1 });
    if (!values.service) {
      throw misuse(io, install, "install: --service is missing");
    }
    if (values.encrypt && values["token-file"] === undefined) {
      throw new Failure(
        Exit.usage,
        "install: --encrypt is about an invite: name it by --token-file",
      );
    }
    const service = checkServiceName(positionals[0] ?? DEFAULT_INTERFACE);
    const file = values["token-file"];
    // ./run install asks first, before it puts the program anywhere. Standard input is read once, when it is done.
    const isTrial = io.env("SHOAL_TRIAL") === "1";
    const prefix = io.env("SHOAL_PREFIX");
    if (!prefix && !isTrial) {
      // A service must not depend on a checkout, which may move, change, or be for one user alone.
      const what = "install: this program runs from a checkout: use ./run install --service ...";
      throw new Failure(Exit.usage, what);
    }
    const isLater = isTrial && file === "-";
    const token = isLater ? undefined : await readToken({ "token-file": file }, () => undefined);
    // Better said now than at the first start, which nobody may be looking at.
    const parsed = token === undefined ? undefined : parseToken(loadSodium(), token);
    if (parsed && !parsed.ok) throw new Failure(Exit.usage, parsed.error);
    if (!prefix || isTrial) return Exit.done;
    const lines = await installService(thisSystem, {
      service,
      prefix,
      token,
      isSealed: values.encrypt ?? false,
    });
    for (const line of lines) io.out(line);
    return Exit.done;
  },
};
