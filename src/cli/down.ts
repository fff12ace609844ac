import { Exit } from "../exit.ts";
import { having, isText } from "../shape.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

/** A node that stops says good-bye and stops its workers, which takes no second. */
const GONE_WITHIN_MS = 5_000;

export const down: Command = {
  usage: "down [--interface IF | --state DIR] [--json]",
  help:
    `Stops a running node. It says good-bye to the other members and stays one: started again, it
is back (leave ends a membership). Returns when the node has given back its interface and its
state folder.

${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(down, args, io, INSTANCE_OPTIONS);
    const document = await askNode(values, io, { command: "down" }, {
      isAnswer: having({ name: isText }),
      goneWithinMs: GONE_WITHIN_MS,
    });
    const stays = document["member"] === false
      ? "it is no member of a mesh now"
      : "it is a member still";
    io.out(values.json ? jsonText(document) : `${document["name"]} is stopped; ${stays}`);
    return Exit.done;
  },
};
