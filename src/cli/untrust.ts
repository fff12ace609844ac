import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const untrust: Command = {
  usage: "untrust [--interface IF | --state DIR] [--json] NAME|KEY",
  help:
    `Ends what trust began: this node does not take the holder of that key for a member by its own word any
more. A member of the mesh stays one.

${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(untrust, args, io, INSTANCE_OPTIONS, one);
    const request = { command: "untrust", who: positionals[0] };
    const document = await askNode(values, io, request, { isAnswer: isWho });
    io.out(
      values.json
        ? jsonText(document)
        : `this node does not take the holder of ${document["key"]}, ${
          document["name"]
        }, for a member by its own word any more`,
    );
    return Exit.done;
  },
};
