/**
 * Tests that cannot run everywhere. A skip says why in the test's name, `NAME (skipped: WHY)`, where the runner and a
 * person read it; the runner counts a skip without a reason as a failure. With `CI=true` nothing that could be there may
 * be missing: a skip for a missing thing fails, and so does one for a missing right on a machine that has the right.
 *
 * C tests say the same with `print_message("skipped: why\n"); skip();`.
 */

/** What keeps a test from running here; both undefined: nothing. */
export interface Lack {
  /** A right that this process does not have, such as making network namespaces. */
  readonly right?: string | undefined;
  /** A tool, peer or file that is not at hand. */
  readonly thing?: string | undefined;
}

/** What becomes of a test with this lack. */
export type Verdict =
  | { readonly kind: "run" }
  | { readonly kind: "skip"; readonly why: string }
  | { readonly kind: "fail"; readonly why: string };

/** Decides about a test; `ci` and `rights` are facts of the machine. */
export function judge(lack: Lack, ci: boolean, rights: boolean): Verdict {
  const why = lack.right ?? lack.thing;
  if (why === undefined) return { kind: "run" };
  const excused = lack.right !== undefined && !rights;
  return ci && !excused ? { kind: "fail", why } : { kind: "skip", why };
}

// capabilities(7): what making networks takes.
const CAP_NET_ADMIN = 12n;
const CAP_SYS_ADMIN = 21n;

/** True when the kernel says that this process may make networks, whatever a probe found. */
function hasRights(): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(Deno.readTextFileSync("/proc/self/status"));
  const caps = BigInt(`0x${effective?.[1] ?? "0"}`);
  return [CAP_NET_ADMIN, CAP_SYS_ADMIN].every((cap) => (caps >> cap & 1n) === 1n);
}

/** Registers a test that runs unless something is lacking. */
export function testUnless(
  lack: Lack,
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
  options: Omit<Deno.TestDefinition, "name" | "fn" | "ignore"> = {},
): void {
  const verdict = judge(lack, Deno.env.get("CI") === "true", hasRights());
  switch (verdict.kind) {
    case "run":
      return Deno.test({ ...options, name, fn });
    case "skip":
      return Deno.test({
        ...options,
        name: `${name} (skipped: ${verdict.why})`,
        ignore: true,
        fn,
      });
    case "fail":
      return Deno.test(name, () => {
        throw new Error(`with CI=true this may not be skipped: ${verdict.why}`);
      });
  }
}
