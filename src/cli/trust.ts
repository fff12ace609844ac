import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const trust: Command = {
  usage: "trust --name NAME [--interface IF | --state DIR] [--json] KEY",
  help: `Believes a node by its public key, on this node alone: it needs no token and no approval
here, and the rest of the mesh does not know it. approve admits a node to the whole mesh.

  --name NAME      what the mesh calls it
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parseOptions(trust, args, io, {
      ...INSTANCE_OPTIONS,
      name: { type: "string" },
    }, { min: 1, max: 1 });
    const document = await askNode(values, io, {
      command: "trust",
      key: positionals[0],
      name: values.name,
    });
    io.out(
      values.json
        ? JSON.stringify(document)
        : `${document["name"]} (${document["key"]}) is trusted now`,
    );
    return Exit.done;
  },
};
