import config from "../../deno.json" with { type: "json" };
import { Exit } from "../exit.ts";
import { type Command, parseOptions } from "./command.ts";

export const version: Command = {
  usage: "version [--json]",
  help: "Prints the version of Shoal.\n\n  --json           print the versioned JSON document",
  run(args, io) {
    const { values } = parseOptions(version, args, io, { json: { type: "boolean" } });
    io.out(
      values.json
        ? JSON.stringify({ v: 1, version: config.version, deno: Deno.version.deno })
        : `shoal ${config.version}`,
    );
    return Promise.resolve(Exit.done);
  },
};
