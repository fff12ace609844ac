/** The kernel's name for what a call of `node:` threw, such as `ENOENT`; "" where it named nothing. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
