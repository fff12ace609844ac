import { Exit } from "../exit.ts";
import { isStatus, type StatusDocument, statusText } from "../status.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, inWordsOf, parseOptions } from "./command.ts";

export const status: Command = {
  usage: "status [--interface IF | --state DIR] [--json]",
  help: `Shows this node, its peers with their paths, what is wrong and what to do about it,
and the data plane.

${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(status, args, io, INSTANCE_OPTIONS);
    const document = await askNode(values, io, { command: "status" }, {
      isAnswer: isStatus,
      asksOnly: true,
    });
    io.out(
      values.json
        ? jsonText(document)
        : inWordsOf(io, statusText(document as unknown as StatusDocument, io.color)),
    );
    return Exit.done;
  },
};
