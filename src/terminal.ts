/**
 * The terminal at which a person types or pastes a secret. What a program leaves unread in it is read by whoever reads
 * next: the shell, which takes each line for a command and keeps it in its history. So a command that asks for a secret
 * throws away, before it ends, what came for it and was not read, whether it asked or refused before that.
 *
 * A paste arrives in pieces, so what the terminal holds at one moment (all that tcflush(3) takes) is not all of it: it
 * is read until nothing has come for a while.
 */
import { hasInput, readKernelFile } from "../ffi/libc.ts";

/** Of standard input. */
const FD = 0;
/** Milliseconds without a byte after which a paste is over: more than the way to a terminal on another continent. */
const QUIET = 300;
/** Milliseconds after which what still comes is no paste. */
const FORGETTING_MAX = 5_000;
/** Bytes that are read at once: all that a terminal keeps (N_TTY_BUF_SIZE in drivers/tty/n_tty.c). */
const CHUNK = 4_096;
/** What was typed, and then an empty line at the end. */
const ENDED = /\S[^\S\n]*\n\s*\n$/;

let isSecretExpected = false;

/** From now on what is typed may be a secret. */
export function expectSecret(): void {
  isSecretExpected = true;
}

/**
 * What a person types, line by line, until it is whole, or longer than `most` bytes, or ends: by the end of input, or
 * by an empty line after which nothing comes, for what is pasted may have empty lines in it.
 */
export async function readTyped(
  most: number,
  isWhole: (text: string) => boolean,
): Promise<Uint8Array> {
  expectSecret();
  const buffer = new Uint8Array(most + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = await Deno.stdin.read(buffer.subarray(length));
    if (count === null) break;
    length += count;
    const text = new TextDecoder().decode(buffer.subarray(0, length));
    if (isWhole(text) || ENDED.test(text) && !hasInput(FD, QUIET)) break;
  }
  return buffer.subarray(0, length);
}

/** Throws away what the terminal still holds, where a secret was expected from it. */
export function forgetTyped(): void {
  if (!isSecretExpected || !Deno.stdin.isTerminal()) return;
  try {
    if (!isInForeground()) return;
    Deno.stdin.setRaw(true); // Else a line that has no end yet would stay.
    const nowhere = new Uint8Array(CHUNK);
    const until = performance.now() + FORGETTING_MAX;
    while (performance.now() < until && hasInput(FD, QUIET)) {
      if (Deno.stdin.readSync(nowhere) === null) break;
    }
    Deno.stdin.setRaw(false);
  } catch {
    // The terminal is gone, and what it held with it.
  }
}

/** The kernel stops a process in the background that reads from its terminal. */
function isInForeground(): boolean {
  // proc_pid_stat(5); behind the name, which is in brackets: state, ppid, pgrp, session, tty_nr, tpgid.
  const stat = readKernelFile("/proc/self/stat", CHUNK);
  const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return group === foreground;
}
