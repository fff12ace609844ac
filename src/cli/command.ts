import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { GROUPS_MAX, isGroup } from "../../mesh/membership/statement.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";

/** What a command may touch of the world; a test hands in its own. */
export interface Io {
  readonly out: (line: string) => void;
  readonly err: (line: string) => void;
  readonly env: (name: string) => string | undefined;
  /** Standard output is a terminal and nobody asked for plain text (NO_COLOR). */
  readonly color: boolean;
  /** What is written is kept by the system, where others read it: no secret is written unasked. False when absent. */
  readonly isRecorded?: boolean;
}

/** One command of the command line. Its options are those that `util.parseArgs` understands. */
export interface Command {
  /** The line behind the program's name: `ping [-c N] NAME`. */
  readonly usage: string;
  /** What it does, then its options; shown by -h under the usage line. */
  readonly help: string;
  /** @throws {Failure} with the exit code and the one line to show */
  run(args: readonly string[], io: Io): Promise<ExitCode>;
}

/** How a person starts us here: from a checkout, or installed (the wrappers say so). */
export function programName(io: Io, command: string): string {
  const installed = io.env("SHOAL_PROGRAM");
  if (installed !== undefined && installed !== "") return `${installed} ${command}`;
  return /^(node|up|wg|install)\b/.test(command) ? `./run ${command}` : `./run shoal ${command}`;
}

/** A command that was used wrongly, with the line that says how it is used. */
export function misuse(io: Io, command: Command, what: string): Failure {
  return new Failure(Exit.usage, what, { below: [`usage: ${programName(io, command.usage)}`] });
}

/**
 * Parses strictly: an option that is not known, one without its value or with two values, and an empty argument are
 * refused.
 * @throws {Failure} usage (2), with the command's usage line
 */
export function parseOptions<const O extends ParseArgsOptionsConfig>(
  command: Command,
  args: readonly string[],
  io: Io,
  options: O,
  positionals: { readonly min: number; readonly max: number } = { min: 0, max: 0 },
) {
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options,
      allowPositionals: true,
      strict: true,
      tokens: true,
    });
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw misuse(io, command, firstSentence(error.message));
  }
  const count = parsed.positionals.length;
  if (count > positionals.max) {
    throw misuse(io, command, `unexpected argument '${parsed.positionals[positionals.max]}'`);
  }
  if (count < positionals.min) throw misuse(io, command, missing(command, count, "missing"));
  const empty = parsed.positionals.indexOf("");
  if (empty >= 0) throw misuse(io, command, missing(command, empty, "empty"));
  const fault = contradiction(parsed.tokens, options);
  if (fault !== undefined) throw misuse(io, command, fault);
  return parsed;
}

/** What parseArgs says of one argument; the fields are those of an option. */
interface Token {
  readonly kind: string;
  readonly name?: string;
  /** As it was typed: `-c` for `--count`. */
  readonly rawName?: string;
  readonly value?: unknown;
}

/** An option of one value that has two: the person meant one of them, and which one only the person knows. */
function contradiction(
  tokens: readonly Token[],
  options: ParseArgsOptionsConfig,
): string | undefined {
  const values = new Map<string, unknown>();
  for (const { kind, name = "", rawName, value } of tokens) {
    if (kind !== "option" || value === undefined || options[name]?.multiple) continue;
    const before = values.get(name);
    if (before !== undefined && before !== value) {
      return `${rawName} is given twice, '${before}' and '${value}': leave the one that is meant`;
    }
    values.set(name, value);
  }
  return undefined;
}

/** Which argument is missing or empty, by the usage line: `ping: PEER is missing`. */
function missing({ usage }: Command, at: number, how: "missing" | "empty"): string {
  const [name, ...words] = usage.replaceAll(/\[[^\]]*\](?:\.\.\.)?|--\S+ \S+/g, " ").split(/\s+/);
  const wanted = words.filter((word) => /^[A-Za-z|]/.test(word));
  const what = wanted.includes("|") ? (at === 0 ? "what it is to do" : "a name") : wanted[at];
  return `${name}: ${what ?? "an argument"} is ${how}`;
}

/** parseArgs goes on to explain `--`, which helps nobody here, and asks back where an option stands for a value. */
function firstSentence(message: string): string {
  const [first = message] = message.split(/\.\s(?=[A-Z])/);
  return first.replace(/ argument is ambiguous$/, " has no value: what follows it is an option")
    .replace(/\.$/, "");
}

/**
 * A whole number option.
 * @throws {Failure} usage (2) outside min..max
 */
export function wholeNumber(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new Failure(Exit.usage, `${name} '${text}' is not a whole number from ${min} to ${max}`);
}

/** What a person pastes on the next machine: nothing in it needs quotes, in whatever shell. The token names the seeds. */
export function joinLine(io: Io, token: string): string {
  return `${programName(io, "node")} --token ${token}`;
}

/** The same for a machine that reaches the seed at another place than the token says, which is put in by hand. */
export function joinLineAt(io: Io, seed: string, token: string): string {
  return `${programName(io, "node")} --join ${seed} --token ${token}`;
}

/** `A,B` of an option as a list; nothing between two commas is left to whoever reads the names. */
export function namesOf(text: string): string[] {
  return text === "" ? [] : text.split(",").map((item) => item.trim());
}

/**
 * The groups of an option.
 * @throws {Failure} usage (2) for a name that is none, or too many
 */
export function groupsOf(option: string, text: string): string[] {
  const groups = namesOf(text);
  const bad = groups.find((group) => !isGroup(group));
  if (bad !== undefined) {
    const what =
      `${option}: '${bad}' is no group: up to 32 of a-z, 0-9, - and _, with commas between`;
    throw new Failure(Exit.usage, what);
  }
  if (groups.length <= GROUPS_MAX) return groups;
  const what = `${option}: ${groups.length} groups: a member has at most ${GROUPS_MAX}`;
  throw new Failure(Exit.usage, what);
}
