import { Exit } from "../exit.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, misuse, parseOptions, programName } from "./command.ts";
import { isPlan, sayPlan, YES_HELP } from "./plan.ts";

/** A node that gets a new identity says good-bye and stops its workers, which takes no second. */
const GONE_WITHIN_MS = 5_000;

export const identity: Command = {
  usage: "identity renew [--yes] [--interface IF | --state DIR] [--json]",
  help:
    `Gives this machine a new key, and stops its node, which has to run for that. A machine whose disk
is a copy of another's needs that, for a key can be used by one machine only, and so does one whose
key was revoked; one that has left for good begins anew in another state folder. It
remembers its mesh, and is a member again when an admin approves the new key. Where the old key is
a good one, that gives up a membership: then it says what would be lost.

${YES_HELP}
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(identity, args, io, {
      ...INSTANCE_OPTIONS,
      yes: { type: "boolean" },
    }, one);
    if (positionals[0] !== "renew") {
      throw misuse(io, identity, `identity: there is no '${positionals[0]}'`);
    }
    const { document, meant } = await consultNode(values, io, {
      command: "renew_identity",
      yes: values.yes,
    }, { isAnswer: isPlan, goneWithinMs: GONE_WITHIN_MS });
    const isDone = document["done"] === true;
    if (values.json) io.out(jsonText(document));
    else sayPlan(document, io, meant);
    if (!isDone) return Exit.failed;
    if (!values.json) {
      io.out(`this machine has a new key: ${document["key"]}`);
      const { service } = document;
      const start = service === undefined
        ? programName(io, `node${meant.starting}`)
        : `systemctl start shoal@${service}`;
      io.out(`start it again with ${start}, and on an admin's machine run:`);
      io.out(programName(io, `approve --name ${document["name"]} ${document["key"]}`));
    }
    return Exit.done;
  },
};
