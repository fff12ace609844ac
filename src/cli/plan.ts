/** What `demote`, `revoke`, `leave` and `recover` say before and after: the sentences of the node's plan. */
import type { Document, Request } from "../control.ts";
import { Exit, type ExitCode } from "../exit.ts";
import { having, isFlag, isText, listOf } from "../shape.ts";
import { consultNode, jsonText, type Options } from "./client.ts";
import type { Io } from "./command.ts";
import { inWordsOf, type Meant } from "./typed.ts";

export const YES_HELP = `  --yes            do it although the command names consequences`;

/** What the node answers: what it would do, or has done. */
export const isPlan = having({
  name: isText,
  key: isText,
  lines: listOf(isText),
  warnings: listOf(isText),
  advice: listOf(isText),
  done: isFlag,
});

type Sentences = Readonly<Record<"lines" | "warnings" | "advice", readonly string[]>>;

/** Asks for a plan, or for what it says, and prints it; one that was not carried out exits with 1. */
export async function showPlan(choice: Options, io: Io, request: Request): Promise<ExitCode> {
  const { document, meant } = await consultNode(choice, io, request, { isAnswer: isPlan });
  if (choice.json) io.out(jsonText(document));
  else sayPlan(document, io, meant);
  return document["done"] === true ? Exit.done : Exit.failed;
}

/** The sentences of a plan; what to do before it is of no use when it is done. */
export function sayPlan(document: Document, io: Io, meant: Meant): void {
  const isDone = document["done"] === true;
  const { lines, warnings, advice } = document as unknown as Sentences;
  const say = (line: string) => io.out(inWordsOf(io, line, meant));
  for (const line of lines) say(`${isDone ? "" : "would: "}${line}`);
  for (const line of warnings) say(`${isDone ? "done: " : "but: "}${line}`);
  if (isDone) return;
  for (const line of advice) say(`hint: ${line}`);
  io.err("nothing was done: say --yes if you want that");
}
