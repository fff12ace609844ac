/** What the process tells the shell that started it; the only table of exit codes. */
export const Exit = {
  done: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  noPermission: 4,
  /** A start that fails in the same way until a person has mended something: a service is not started again. */
  stuck: 5,
  notConfigured: 6,
} as const;

export type ExitCode = (typeof Exit)[keyof typeof Exit];

interface FailureOptions extends ErrorOptions {
  readonly below?: readonly string[];
}

/**
 * Something a person can mend: `message` is one line that says what was wrong, with which value,
 * and what to do next. Anything else that is thrown is a defect of ours and keeps its stack.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  /** Lines below the message, none of them quoted from a value: how a command is used, further reasons. */
  readonly below: readonly string[];

  constructor(readonly code: ExitCode, message: string, options: FailureOptions = {}) {
    super(message, options);
    this.below = options.below ?? [];
  }
}
