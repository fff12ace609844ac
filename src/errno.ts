/** The kernel's name for what a call of `node:` threw, such as `ENOENT`; "" where it named nothing. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** What a person can do where a call failed for want of something; undefined: it is another trouble. */
export function lackOf(code: string): string | undefined {
  return LACKS[code];
}

const LACKS: Readonly<Record<string, string>> = {
  EMFILE: "no descriptor is free: raise the limit (ulimit -n)",
  ENFILE: "no descriptor of this machine is free: raise the limit (sysctl fs.file-max)",
  ENOMEM: "no memory is free: end something, or give this machine more",
  ENOBUFS: "no memory of the kernel is free: end something, or give this machine more",
};
