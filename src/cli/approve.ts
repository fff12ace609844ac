import { Exit } from "../exit.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, isWho, jsonText } from "./client.ts";
import { type Command, groupsOf, parseOptions } from "./command.ts";

export const approve: Command = {
  usage:
    "approve [--name N] [--groups A,B] [--yes] [--interface IF | --state DIR] [--json] NAME|KEY",
  help: `Admits a node that asked to join without a token; status lists those that wait. It has to
be run on an admin node: by NAME on the one that was asked, by the whole KEY on any. For a
member it renews the certificate.

  --name N         what the mesh calls it (default: the name that it asked for)
  --groups A,B     the groups that it will be in
  --yes            sign although no member has answered since this node was started
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(approve, args, io, {
      ...INSTANCE_OPTIONS,
      name: { type: "string" },
      groups: { type: "string" },
      yes: { type: "boolean" },
    }, one);
    const document = await askNode(values, io, {
      command: "approve",
      who: positionals[0],
      name: values.name,
      groups: values.groups === undefined ? undefined : groupsOf("--groups", values.groups),
      yes: values.yes,
    }, { isAnswer: isWho });
    io.out(
      values.json ? jsonText(document) : `${document["name"]} (${document["key"]}) is a member now`,
    );
    return Exit.done;
  },
};
