import { readWords } from "../config.ts";
import { Exit, Failure } from "../exit.ts";
import { expectSecret } from "../terminal.ts";
import { parseTime } from "../time.ts";
import { INSTANCE_HELP, INSTANCE_OPTIONS } from "./client.ts";
import { type Command, namesOf, parseOptions } from "./command.ts";
import { showPlan } from "./plan.ts";

export const recover: Command = {
  usage:
    "recover [--without A,B] [--since TIME] [--keep A,B] [--yes] [--interface IF | --state DIR] [--json]",
  help: `Replaces the mesh key, when it was stolen or lost: reads the 24 recovery words, with
or without their numbers, from the terminal or standard input, makes a new mesh key on this machine,
and signs anew what is to be kept. The mesh keeps its
id, its members their names and addresses. Without --yes it says what it would do.

  --without A,B    admins and members that are put out for ever, such as the machine that was stolen
  --since TIME     since when the old mesh key, and those that are put out, are not to be believed: a
                   moment (2026-11-26T10:00Z) or a time ago (90s, 15m, 2h, 3d). What this node heard of
                   before it is signed anew, and what it heard of later is not. Without it all counts
  --keep A,B       with --since: admins whose office ended since that time by a thief's word. They stay
                   admins
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
    if (values.keep?.trim() === "") {
      throw new Failure(
        Exit.usage,
        "--keep '' names nobody: name the admins that stay, or leave the option out",
      );
    }
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
