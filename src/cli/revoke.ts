import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const revoke: Command = {
  usage: "revoke [--interface IF | --state DIR] [--json] NAME|KEY",
  help: `Expels a node for ever, by its key: every member drops it as the news reaches them.
It cannot be undone; the machine can come back only with a new identity.

${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(revoke, args, io, INSTANCE_OPTIONS, one);
    const document = await askNode(values, io, { command: "revoke", who: positionals[0] }, {
      isAnswer: isWho,
    });
    io.out(
      values.json
        ? jsonText(document)
        : `${document["name"] || "a key of no member"} (${document["key"]}) is revoked`,
    );
    return Exit.done;
  },
};
