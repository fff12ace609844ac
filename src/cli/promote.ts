import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const promote: Command = {
  usage: "promote [--yes] [--interface IF | --state DIR] [--json] NAME|KEY",
  help:
    `Makes a member an admin, who can invite, approve and revoke. That takes the mesh key, so it is
run on the machine that has it: on another the command says which that is.

  --yes            sign although no member has answered since this node was started
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const options = { ...INSTANCE_OPTIONS, yes: { type: "boolean" } } as const;
    const { values, positionals } = parseOptions(promote, args, io, options, one);
    const request = { command: "promote", who: positionals[0], yes: values.yes };
    const document = await askNode(values, io, request, { isAnswer: isWho });
    io.out(
      values.json ? jsonText(document) : `${document["name"]} (${document["key"]}) is an admin now`,
    );
    return Exit.done;
  },
};
