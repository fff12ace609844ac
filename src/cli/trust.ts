import { Exit } from "../exit.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, misuse, parseOptions, programName } from "./command.ts";

export const trust: Command = {
  usage: "trust --name NAME [--interface IF | --state DIR] [--json] KEY",
  help:
    `This node alone takes the holder of KEY for a member, from the first time that it knocks here:
it needs no token and no approval. The two reach each other at their IPv6 addresses in the mesh; no other
member knows it. approve admits a node to the whole mesh.
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
    const { document, meant } = await consultNode(values, io, {
      command: "trust",
      key: positionals[0],
      name: values.name,
    }, { isAnswer: isWho });
    const { name, key } = document;
    if (values.json) {
      io.out(jsonText(document));
      return Exit.done;
    }
    io.out(
      `this node alone takes the holder of ${key} for a member, ${name}: the two reach each other by IPv6, and no other member knows it`,
    );
    io.err(
      `${programName(io, `untrust${meant.asking} ${name}`)} ends that; ${
        programName(io, `approve${meant.asking} --name ${name} ${key}`)
      } on an admin admits it to the whole mesh`,
    );
    return Exit.done;
  },
};
