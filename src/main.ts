/** The command line: one table of commands, each in a file of its own that is loaded when asked for. */
import type { Command, Io } from "./cli/command.ts";
import { programName } from "./cli/command.ts";
import { inWordsOf } from "./cli/typed.ts";
import { TRUST_HELP } from "./cli/trust_help.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { isJournal, isRecorded, STANDARD_ERROR, withPriority } from "./service/journald.ts";
import { expectSecret, forgetTyped } from "./terminal.ts";
import { printable, printableLines } from "./words.ts";

/** Characters of a Failure that are shown: it may quote what somebody else wrote. */
const MESSAGE_MAX = 2_000;

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Entry>> = {
  up: {
    summary: "run a mesh node in the foreground (the same as node)",
    load: async () => (await import("./cli/node.ts")).node,
  },
  node: {
    summary: "run a mesh node in the foreground",
    load: async () => (await import("./cli/node.ts")).node,
  },
  down: {
    summary: "stop a running node, which says good-bye and stays a member",
    load: async () => (await import("./cli/down.ts")).down,
  },
  status: {
    summary: "this node, its peers, their paths and the data plane",
    load: async () => (await import("./cli/status.ts")).status,
  },
  peers: {
    summary: "the peers alone",
    load: async () => (await import("./cli/peers.ts")).peers,
  },
  ping: {
    summary: "ask a peer through the mesh and time the answer",
    load: async () => (await import("./cli/ping.ts")).ping,
  },
  ip: {
    summary: "the mesh addresses of this node or a peer",
    load: async () => (await import("./cli/ip.ts")).ip,
  },
  dns: {
    summary: "how this machine uses the names of the mesh",
    load: async () => (await import("./cli/dns.ts")).dns,
  },
  invite: {
    summary: "print the line that lets a new machine join",
    load: async () => (await import("./cli/invite.ts")).invite,
  },
  guest: {
    summary: "let in a phone, or any other WireGuard device: prints its file and a QR code",
    load: async () => (await import("./cli/guest.ts")).guest,
  },
  approve: {
    summary: "admit a node that asked to join without a token",
    load: async () => (await import("./cli/approve.ts")).approve,
  },
  trust: {
    summary: "believe a node by its public key, on this node alone",
    load: async () => (await import("./cli/trust.ts")).trust,
  },
  untrust: {
    summary: "end that",
    load: async () => (await import("./cli/untrust.ts")).untrust,
  },
  revoke: {
    summary: "expel a node from the mesh by its name or public key",
    load: async () => (await import("./cli/revoke.ts")).revoke,
  },
  leave: {
    summary: "end this node's own membership for ever",
    load: async () => (await import("./cli/leave.ts")).leave,
  },
  door: {
    summary: "open the door for machines that ask to join without a token",
    load: async () => (await import("./cli/door.ts")).door,
  },
  promote: {
    summary: "make a member an admin",
    load: async () => (await import("./cli/promote.ts")).promote,
  },
  demote: {
    summary: "end an admin's office",
    load: async () => (await import("./cli/demote.ts")).demote,
  },
  "mesh-key": {
    summary: "the keys of the mesh: write down, take elsewhere, bring back",
    load: async () => (await import("./cli/mesh_key.ts")).meshKey,
  },
  recover: {
    summary: "replace a mesh key that was stolen or lost, by the recovery words",
    load: async () => (await import("./cli/recover.ts")).recover,
  },
  identity: {
    summary: "give this machine a new key, where its disk is a copy of another's",
    load: async () => (await import("./cli/identity.ts")).identity,
  },
  wg: {
    summary: "run a plain userspace WireGuard device",
    load: async () => (await import("./cli/wg.ts")).wg,
  },
  install: {
    summary: "make a mesh node a service of this machine (systemd)",
    load: async () => (await import("./cli/install.ts")).install,
  },
  uninstall: {
    summary: "end that, or remove this program",
    load: async () => (await import("./cli/uninstall.ts")).uninstall,
  },
  version: {
    summary: "print the version",
    load: async () => (await import("./cli/version.ts")).version,
  },
};

/** Runs one command line and gives back the exit code; every failure is shown on `io.err`. */
export async function main(args: readonly string[], io: Io): Promise<ExitCode> {
  const [name, ...rest] = args;
  if (name === "help" && rest[0] === "trust") {
    for (const line of TRUST_HELP) io.out(inWordsOf(io, line));
    return Exit.done;
  }
  // "help COMMAND" is what a person tries who has seen "help trust".
  if (name === "help" && rest[0] !== undefined) return main([rest[0], "-h"], io);
  if (name === undefined || name === "-h" || name === "--help" || name === "help") {
    const show = name === undefined ? io.err : io.out;
    for (const line of overview(io)) show(line);
    return name === undefined ? Exit.usage : Exit.done;
  }
  if (name === "--version" || name === "-V") return main(["version", ...rest], io);
  try {
    const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (entry === undefined) {
      expectSecret(); // A slip in `recover`, perhaps.
      throw new Failure(
        Exit.usage,
        `there is no command '${name}': ${meant(name)}${programName(io, "-h")} lists them`,
      );
    }
    const command = await entry.load();
    if (rest.includes("-h") || rest.includes("--help")) {
      io.out(`usage: ${programName(io, command.usage)}\n\n${command.help}`);
      return Exit.done;
    }
    return await command.run(rest, io);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    io.err(shown([error.message, ...error.below].map((line) => inWordsOf(io, line))));
    return error.code;
  }
}

/** The command that begins, or ends, as what was typed does. */
function meant(typed: string): string {
  const near = Object.keys(COMMANDS).find((name) =>
    typed.length > 1 && name.startsWith(typed.slice(0, 3)) ||
    typed.length > 3 && name.endsWith(typed.slice(-3))
  );
  return near === undefined ? "" : `did you mean '${near}'? `;
}

/** What a person is shown of a Failure: no control character in it is a value's. */
function shown(said: readonly string[]): string {
  const lines = said.map(printable).join("\n");
  return lines.length <= MESSAGE_MAX ? lines : `${lines.slice(0, MESSAGE_MAX - 1)}\u2026`;
}

function overview(io: Io): string[] {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  return [
    `usage: ${programName(io, "COMMAND ...")}`,
    "",
    ...Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "COMMAND -h shows its options. --interface IF or --state DIR picks the node that is meant.",
    "help trust explains who may do what, and what to do when a machine is lost or stolen.",
  ];
}

if (import.meta.main) {
  const encoder = new TextEncoder();
  const write = (stream: { writeSync(bytes: Uint8Array): number }) => (line: string) => {
    const bytes = encoder.encode(line + "\n");
    try {
      for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
    } catch (error) {
      // The reader has seen enough (`| head -1`); a node goes on without it.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  };
  const env = (name: string) => Deno.env.get(name);
  const isLogOfJournal = isJournal(STANDARD_ERROR, env);
  const err = (line: string) =>
    write(Deno.stderr)(isLogOfJournal ? withPriority("error", line) : line);
  const code = await main(Deno.args, {
    out: write(Deno.stdout),
    err,
    env,
    color: Deno.stdout.isTerminal() && !env("NO_COLOR"),
    isRecorded: isRecorded(env),
  }).catch((error) => {
    // A defect of ours. Not left to the run time: whoever waits for the end has taken its events.
    const what = error instanceof Error ? error.stack ?? error.message : String(error);
    err(printableLines(what));
    return Exit.failed;
  });
  forgetTyped();
  Deno.exit(code);
}
