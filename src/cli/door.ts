import { Exit } from "../exit.ts";
import { having, isNumber } from "../shape.ts";
import { parseSpan } from "../time.ts";
import { duration } from "../words.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, misuse, parseOptions, programName } from "./command.ts";

const OPEN_FOR = "10m";
const LONGEST = 86_400;

export const door: Command = {
  usage: "door open|close [--for TIME] [--interface IF | --state DIR] [--json]",
  help:
    `Opens the door of this node for machines that ask to join without a token: status lists them,
and approve admits one. While it is closed they get no answer at all, so that a scanner cannot
find out that there is a node. It closes by itself.

  --for TIME       how long it stays open: 90s, 15m, 2h (default ${OPEN_FOR}, at most a day)
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(door, args, io, {
      ...INSTANCE_OPTIONS,
      for: { type: "string" },
    }, one);
    const what = positionals[0];
    if (what !== "open" && what !== "close") {
      throw misuse(io, door, `door: '${what}' is neither open nor close`);
    }
    const open_s = what === "open"
      ? parseSpan("--for", values.for ?? OPEN_FOR, LONGEST)
      : undefined;
    const request = { command: "door", open_s };
    const isAnswer = having({ open_s: isNumber });
    const { document, meant } = await consultNode(values, io, request, { isAnswer });
    io.out(
      values.json
        ? jsonText(document)
        : open_s === undefined
        ? "the door is closed"
        : `the door is open for ${duration(open_s)}: who asks stands in ${
          programName(io, `status${meant.asking}`)
        }`,
    );
    return Exit.done;
  },
};
