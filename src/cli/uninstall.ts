import { Exit } from "../exit.ts";
import { uninstallServices } from "../service/installer.ts";
import { thisSystem } from "../service/system.ts";
import { type Command, misuse, parseOptions } from "./command.ts";

export const uninstall: Command = {
  usage: "uninstall [--service [NAME | --all]] [--purge]",
  help:
    `Without --service: removes this program from the prefix that it was installed into, with all of its
services; with --purge also what any node of this machine has left in /var/lib/shoal.

With --service: ends a service of this machine: its node says good-bye to the mesh, and it is stopped and removed;
with the last one its user goes. The state, which has the node's key, stays for root alone: a service of that name,
installed again, is the same member of its mesh.

  --service        what is removed is a service (NAME may be left out when there is one)
  --all            every service
  --purge          remove the state and the options, too`,
  async run(args, io) {
    const { values, positionals } = parseOptions(uninstall, args, io, {
      service: { type: "boolean" },
      all: { type: "boolean" },
      purge: { type: "boolean" },
    }, { min: 0, max: 1 });
    const [service] = positionals;
    if (!values.service) {
      // An installed program is removed by its wrapper (src/uninstall.sh), which comes before this one.
      const what = values.all
        ? "uninstall: --all is about services: it goes with --service"
        : "uninstall: a checkout is no installation: ./run uninstall [PREFIX] removes one, --service a service";
      throw misuse(io, uninstall, what);
    }
    if (values.all && service !== undefined) {
      throw misuse(io, uninstall, "uninstall: either a name or --all");
    }
    const lines = await uninstallServices(thisSystem, {
      service,
      isAll: values.all ?? false,
      isPurge: values.purge ?? false,
    });
    for (const line of lines) io.out(line);
    return Exit.done;
  },
};
