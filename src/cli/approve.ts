import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const approve: Command = {
  usage: "approve [--interface IF | --state DIR] [--json] NAME|KEY",
  help: `Admits a node that asked to join without a token; status lists those that wait. It has to
be run on an admin node: by NAME on the one that was asked, by the whole KEY on any. For a
member it renews the certificate.

${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(approve, args, io, INSTANCE_OPTIONS, one);
    const document = await askNode(values, io, { command: "approve", who: positionals[0] });
    io.out(
      values.json
        ? JSON.stringify(document)
        : `${document["name"]} (${document["key"]}) is a member now`,
    );
    return Exit.done;
  },
};
