/** By what core receives from its sockets, and what a person reads of it. */

/** Names of `--io`. */
export const IOS: readonly string[] = ["poll", "uring"];

export interface Receiving {
  /** By what is received now: one of `IOS`. */
  readonly io: string;
  /** The kernel's name for why io_uring was asked for and is not used; "" where it is, or was not. */
  readonly io_error: string;
}

/** `uring`, or `io: poll, because io_uring was refused (EPERM)`. */
export function receivingText({ io, io_error: error }: Receiving): string {
  return error === "" ? io : refusedText(error);
}

/** @param error  the kernel's name for it */
export function refusedText(error: string): string {
  return `io: poll, because io_uring was refused (${error})`;
}
