import { INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";
import { showPlan } from "./plan.ts";

export const demote: Command = {
  usage: "demote [--yes] [--interface IF | --state DIR] [--json] NAME|KEY",
  help:
    `Ends an admin's office for ever; it stays a member. What it has signed is signed anew by this
node: its members and removals stay as they are, its invites end. That takes the mesh key. Without
--yes it says what it would do.

  --yes            do it
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const options = { ...INSTANCE_OPTIONS, yes: { type: "boolean" } } as const;
    const { values, positionals } = parseOptions(demote, args, io, options, one);
    const request = { command: "demote", who: positionals[0], yes: values.yes };
    return await showPlan(values, io, request);
  },
};
