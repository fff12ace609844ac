/** Commands as a person has to type them: what is printed can be pasted, and is about the node that printed it. */
import { basename, dirname } from "node:path";
import { DEFAULT_INTERFACE, type Instance } from "../instance.ts";
import { serviceAt } from "../service/place.ts";
import { printable } from "../words.ts";
import { type Io, programName } from "./command.ts";

/** The node that a text is of, as far as commands have to name it. Options begin with a space; "": none are needed. */
export interface Meant {
  /** Of commands that ask it. */
  readonly asking: string;
  /** Of the command that starts it. */
  readonly starting: string;
  /** Whether it is an admin: else what admins do is done on another machine. */
  readonly isAdmin: () => boolean;
}

/** A text that is of no node: commands need no options. */
const NOBODY: Meant = { asking: "", starting: "", isAdmin: () => true };

/** What admins do, and what somebody at whom we knock does; on other machines where this one is no admin. */
const OF_ADMINS = /^(?:approve|invite|promote|demote|revoke|door)\b/;
/** Texts name commands as \`shoal COMMAND\`, and one for another machine with these words around it. */
const COMMAND = /(on the copy, )?`shoal (\w[^`]*)`( there\b)?/g;

/** A text that names commands, in the words of this person's shell. */
export function inWordsOf(io: Io, text: string, meant: Meant = NOBODY): string {
  return text.replaceAll(
    COMMAND,
    (_, before: string | undefined, command: string, after?: string) => {
      const isElsewhere = before !== undefined || after !== undefined ||
        OF_ADMINS.test(command) && !meant.isAdmin();
      const options = isElsewhere
        ? ""
        : /^(?:node|up)\b/.test(command)
        ? meant.starting
        : meant.asking;
      return `${before ?? ""}\`${programName(io, command)}${options}\`${after ?? ""}`;
    },
  );
}

/** The node behind a control socket; `isAdmin` is for whoever knows it. */
export function meantBy(socket: string, isAdmin = () => true): Meant {
  const option = optionOf(socket);
  const asking = option === `--interface ${DEFAULT_INTERFACE}` ? "" : ` ${option}`;
  return { asking, starting: asking, isAdmin };
}

/** The node that this program is, or was to be. */
export function meantAs(
  { controlSocket, interface: name }: Instance,
  isAdmin: () => boolean,
): Meant {
  const { asking } = meantBy(controlSocket, isAdmin);
  const isNamed = name === DEFAULT_INTERFACE || asking.startsWith(" --interface");
  return { asking, starting: isNamed ? asking : `${asking} --interface ${quoted(name)}`, isAdmin };
}

/** The option that picks the node behind a socket. */
export function optionOf(socket: string): string {
  const service = serviceAt(socket);
  if (service !== undefined) return `--interface ${service}`;
  return basename(socket) === "control.sock"
    ? `--state ${quoted(dirname(socket))}`
    : `--interface ${quoted(basename(socket, ".sock"))}`;
}

/** One word of a shell, whatever is in it; what moves a cursor or is seen by nobody is written as its bytes. */
export function quoted(text: string): string {
  if (/^[\w.:/-]+$/.test(text)) return text;
  if (printable(text) === text) return `'${text.replaceAll("'", "'\\''")}'`;
  // $'...' of POSIX.1-2024; "\NNN" is read as far as three digits, whatever comes next.
  const signs = Array.from(text, (sign) => {
    if (/['\\]/.test(sign)) return `\\${sign}`;
    return printable(sign) === sign ? sign : octal(sign);
  });
  return `$'${signs.join("")}'`;
}

function octal(sign: string): string {
  const bytes = [...new TextEncoder().encode(sign)];
  return bytes.map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
}
