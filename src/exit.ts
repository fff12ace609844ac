/** What the process tells the shell that started it; the only table of exit codes. */
export const Exit = {
  done: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  noPermission: 4,
  notConfigured: 6,
} as const;

export type ExitCode = (typeof Exit)[keyof typeof Exit];

/**
 * Something a person can mend: `message` is one line that says what was wrong, with which value,
 * and what to do next. Anything else that is thrown is a defect of ours and keeps its stack.
 */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(readonly code: ExitCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}
