import { INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";
import { showPlan, YES_HELP } from "./plan.ts";

export const leave: Command = {
  usage: "leave [--yes] [--interface IF | --state DIR] [--json]",
  help: `Ends this node's own membership for ever, and stops it: the others forget it, and its key
cannot come back. To stop a node that comes back, use down.

${YES_HELP}
${INSTANCE_HELP}`,
  async run(args, io) {
    const options = { ...INSTANCE_OPTIONS, yes: { type: "boolean" } } as const;
    const { values } = parseOptions(leave, args, io, options);
    const request = { command: "leave", yes: values.yes };
    return await showPlan(values, io, request);
  },
};
