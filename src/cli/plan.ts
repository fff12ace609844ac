/** What `demote`, `revoke`, `leave` and `recover` say before and after: the sentences of the node's plan. */
import type { Document } from "../control.ts";
import { Exit, type ExitCode } from "../exit.ts";
import { having, isFlag, isText, listOf } from "../shape.ts";
import { jsonText } from "./client.ts";
import type { Io } from "./command.ts";

export const YES_HELP = `  --yes            do it although the command names consequences`;

/** What the node answers: what it would do, or has done. */
export const isPlan = having({
  name: isText,
  key: isText,
  lines: listOf(isText),
  warnings: listOf(isText),
  done: isFlag,
});

/** Prints a plan; one that was not carried out exits with 1. */
export function showPlan(io: Io, document: Document, isJson: boolean): ExitCode {
  const isDone = document["done"] === true;
  if (isJson) {
    io.out(jsonText(document));
    return isDone ? Exit.done : Exit.failed;
  }
  const [lines, warnings] = [document["lines"], document["warnings"]] as string[][];
  for (const line of lines ?? []) io.out(`${isDone ? "" : "would: "}${line}`);
  for (const line of warnings ?? []) io.out(`${isDone ? "done: " : "but: "}${line}`);
  if (isDone) return Exit.done;
  io.err("nothing was done: say --yes if you want that");
  return Exit.failed;
}
