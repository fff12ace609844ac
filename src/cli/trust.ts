import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, misuse, parseOptions } from "./command.ts";

export const trust: Command = {
  usage: "trust --name NAME [--interface IF | --state DIR] [--json] KEY",
  help: `Believes a node by its public key, on this node alone: it needs no token and no approval
here, and the rest of the mesh does not know it. approve admits a node to the whole mesh.
KEY is the self.key that status --json shows on the other node.

  --name NAME      what the mesh calls it
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parseOptions(trust, args, io, {
      ...INSTANCE_OPTIONS,
      name: { type: "string" },
    }, { min: 1, max: 1 });
    if (values.name === undefined) {
      throw misuse(io, trust, "--name is missing");
    }
    const document = await askNode(values, io, {
      command: "trust",
      key: positionals[0],
      name: values.name,
    }, { isAnswer: isWho });
    io.out(
      values.json ? jsonText(document) : `${document["name"]} (${document["key"]}) is trusted now`,
    );
    return Exit.done;
  },
};
