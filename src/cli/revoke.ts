import { parseTime } from "../time.ts";
import { INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";
import { showPlan, YES_HELP } from "./plan.ts";

export const revoke: Command = {
  usage: "revoke [--since TIME] [--yes] [--interface IF | --state DIR] [--json] NAME|KEY",
  help: `Expels a node for ever, by its key: every member drops it as the news reaches them.
It cannot be undone; the machine can come back only with a new identity. Of an admin it ends the
office, too, which takes the mesh key; what it signed before TIME is signed anew by this node, what
it signed since then does not count any more.

  --since TIME     of an admin: since when it is not to be believed, as a moment
                   (2026-11-26T10:00Z) or as a time ago (90s, 15m, 2h, 3d)
${YES_HELP}
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(revoke, args, io, {
      ...INSTANCE_OPTIONS,
      since: { type: "string" },
      yes: { type: "boolean" },
    }, one);
    return await showPlan(values, io, {
      command: "revoke",
      who: positionals[0],
      since: values.since && parseTime("--since", values.since, Date.now()),
      yes: values.yes,
    });
  },
};
