/**
 * Whether what is written goes to the system's journal, which keeps it, and shows it to everybody in the groups `adm`
 * and `systemd-journal`: no secret may go there.
 */
import * as fs from "node:fs";
import type { LogLevel } from "../log.ts";

const STANDARD_OUTPUT = 1;
export const STANDARD_ERROR = 2;

type Env = (name: string) => string | undefined;

/**
 * Whether a descriptor is the one that systemd has connected with the journal: JOURNAL_STREAM has its device and inode
 * in decimal (systemd.exec(5)). A program further down, whose output was led elsewhere, has inherited the variable alone.
 */
export function isJournal(fd: number, env: Env, stat = statOf): boolean {
  const stream = env("JOURNAL_STREAM");
  return stream !== undefined && stream !== "" && stream === stat(fd);
}

/** Whether what a person is told is kept by the system. */
export function isRecorded(env: Env, stat = statOf): boolean {
  // A unit may lead its output to a file or to syslog, which keep it likewise.
  const isService = (env("SHOAL_SERVICE") ?? "") !== "";
  return isService || [STANDARD_OUTPUT, STANDARD_ERROR].some((fd) => isJournal(fd, env, stat));
}

function statOf(fd: number): string | undefined {
  try {
    const { dev, ino } = fs.fstatSync(fd, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined; // It is closed.
  }
}

/** The kernel's numbers of priorities (syslog(3)). */
const PRIORITY: Readonly<Record<NonNullable<LogLevel>, number>> = {
  fatal: 2,
  error: 3,
  warning: 4,
  info: 6,
  debug: 7,
  trace: 7,
};

/** The lines of a text as the journal takes them, each with its priority (sd-daemon(3)). */
export function withPriority(level: NonNullable<LogLevel>, text: string): string {
  return text.replaceAll(/^(?=.)/gm, `<${PRIORITY[level]}>`);
}
