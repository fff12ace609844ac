/** What `demote`, `revoke`, `leave` and `recover` say before and after: the sentences of the node's plan. */
import type { Request } from "../control.ts";
import { Exit, type ExitCode } from "../exit.ts";
import { having, isFlag, isText, listOf } from "../shape.ts";
import { consultNode, jsonText, type Options } from "./client.ts";
import type { Io } from "./command.ts";
import { inWordsOf } from "./typed.ts";

export const YES_HELP = `  --yes            do it although the command names consequences`;

/** What the node answers: what it would do, or has done. */
const isPlan = having({
  name: isText,
  key: isText,
  lines: listOf(isText),
  warnings: listOf(isText),
  done: isFlag,
});

/** Asks for a plan, or for what it says, and prints it; one that was not carried out exits with 1. */
export async function showPlan(choice: Options, io: Io, request: Request): Promise<ExitCode> {
  const { document, meant } = await consultNode(choice, io, request, { isAnswer: isPlan });
  const isDone = document["done"] === true;
  if (choice.json) {
    io.out(jsonText(document));
    return isDone ? Exit.done : Exit.failed;
  }
  const [lines, warnings] = [document["lines"], document["warnings"]] as string[][];
  const say = (line: string) => io.out(inWordsOf(io, line, meant));
  for (const line of lines ?? []) say(`${isDone ? "" : "would: "}${line}`);
  for (const line of warnings ?? []) say(`${isDone ? "done: " : "but: "}${line}`);
  if (isDone) return Exit.done;
  io.err("nothing was done: say --yes if you want that");
  return Exit.failed;
}
