/**
 * Leaves the device running in the background, as wireguard-go does: the same command line once
 * more, in a session of its own and without a terminal. The parent stays until the child says that
 * device and socket answer, and hands out the child's error and exit code otherwise.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { silence } from "../../ffi/libc.ts";
import type { Io } from "../cli/command.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";

/** Set for the child: somebody waits for the word on standard output; "log" or "quiet" afterwards. */
const WAITED_FOR = "SHOAL_WG_WAITED_FOR";
const READY = "ready\n";
/** A device is there within a second; this is for machines in distress. */
const PATIENCE_MS = 15_000;

/**
 * @param log somebody asked for a log level: the child keeps standard error, as in wireguard-go
 * @returns the child's exit code if it ended, 0 when it answers
 */
export function startInBackground(io: Io, log: boolean): Promise<ExitCode> {
  // Deno does not tell with which flags it was started; the kernel does.
  const [, ...args] = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
  const child = spawn(Deno.execPath(), args, {
    detached: true,
    stdio: ["ignore", "pipe", log ? "inherit" : "pipe"],
    env: {
      ...Deno.env.toObject(),
      WG_PROCESS_FOREGROUND: "1",
      [WAITED_FOR]: log ? "log" : "quiet",
    },
  });
  let said = "";
  let complaint = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(
        new Failure(
          Exit.failed,
          `wg: the background process did not answer within ${PATIENCE_MS / 1000} s: ` +
            "try -f and LOG_LEVEL=debug to see why",
        ),
      );
    }, PATIENCE_MS);
    child.stdout?.on("data", (chunk: Uint8Array) => {
      said += new TextDecoder().decode(chunk);
      if (said !== READY) return;
      clearTimeout(timer);
      resolve(Exit.done);
    });
    child.stderr?.on("data", (chunk: Uint8Array) => complaint += new TextDecoder().decode(chunk));
    child.on("error", (error) => {
      clearTimeout(timer);
      reject(new Failure(Exit.failed, `wg: cannot start the background process: ${error.message}`));
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (complaint !== "") io.err(complaint.trimEnd());
      if (signal !== null) io.err(`wg: the background process was ended by ${signal}`);
      resolve((code ?? Exit.failed) as ExitCode);
    });
  });
}

/**
 * Tells the parent, if there is one, that device and socket answer, and lets go of its terminal.
 * @throws when the parent is gone: nobody knows of this process, so it must not stay
 */
export function tellReady(io: Io): void {
  const asked = io.env(WAITED_FOR);
  if (asked === undefined) return;
  Deno.stdout.writeSync(new TextEncoder().encode(READY));
  silence(1, ...(asked === "log" ? [] : [2]));
  Deno.chdir("/"); // Holds no file system that somebody may want to unmount.
}
