import { Exit } from "../exit.ts";
import { isStatus, type StatusDocument, statusText } from "../status.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";
import { inWordsOf } from "./typed.ts";

export const status: Command = {
  usage: "status [--interface IF | --state DIR] [--json]",
  help: `Shows this node, its peers with their paths, what is wrong and what to do about it,
and the data plane.

${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(status, args, io, INSTANCE_OPTIONS);
    const { document, meant } = await consultNode(values, io, { command: "status" }, {
      isAnswer: isStatus,
      asksOnly: true,
    });
    if (values.json) io.out(jsonText(document));
    else {
      const status = document as unknown as StatusDocument;
      const isAdmin = () => status.self.admin;
      io.out(inWordsOf(io, statusText(status, io.color), { ...meant, isAdmin }));
    }
    return Exit.done;
  },
};
