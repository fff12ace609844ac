import { readWords } from "../config.ts";
import { Exit, Failure } from "../exit.ts";
import { expectSecret } from "../terminal.ts";
import { parseTime } from "../time.ts";
import { INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, namesOf, parseOptions } from "./command.ts";
import { showPlan } from "./plan.ts";

export const recover: Command = {
  usage:
    "recover [--without A,B] [--keep A,B] [--since TIME] [--yes] [--interface IF | --state DIR] [--json]",
  help: `Replaces the mesh key, when it was stolen or lost: reads the 24 recovery words, with
or without their numbers, from the terminal or standard input, makes a new mesh key on this machine,
and signs anew what is to be kept. The mesh keeps its
id, its members their names and addresses. Without --yes it says what it would do.

  --without A,B    admins and members that are put out for ever, such as the machine that was stolen
  --keep A,B       admins whose office ended since then by a thief's word: they go on
  --since TIME     what this node heard of since then is not signed anew: a moment
                   (2026-11-26T10:00Z) or a time ago (90s, 15m, 2h, 3d)
  --yes            do it
${INSTANCE_HELP}`,
  async run(args, io) {
    expectSecret();
    const { values } = parseOptions(recover, args, io, {
      ...INSTANCE_OPTIONS,
      without: { type: "string" },
      keep: { type: "string" },
      since: { type: "string" },
      yes: { type: "boolean" },
    });
    if (values.without?.trim() === "") {
      // An unset variable of a shell, perhaps: the stolen admin would be signed anew.
      throw new Failure(
        Exit.usage,
        "--without '' names nobody: name those that are put out, or leave the option out",
      );
    }
    return await showPlan(values, io, {
      command: "recover",
      words: await readWords("recover"),
      without: values.without === undefined ? undefined : namesOf(values.without),
      keep: values.keep === undefined ? undefined : namesOf(values.keep),
      since: values.since && parseTime("--since", values.since, Date.now()),
      yes: values.yes,
    });
  },
};
