/** What test programs report, read into one form: JUnit from Deno, TAP from cmocka. */

/** How one test went. */
export interface Case {
  readonly name: string;
  readonly result: "passed" | "failed" | "skipped";
  /** Of a skip: why; empty when the test did not say. */
  readonly why: string;
}

const TESTCASE = /<testcase\s+name="([^"]*)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g;
const ENTITIES: Readonly<Record<string, string>> = {
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  amp: "&",
};

/** The cases of a JUnit document as Deno writes it; a skip's reason stands in its name (see skip.ts). */
export function readJunit(xml: string): Case[] {
  return [...xml.matchAll(TESTCASE)].map(([, escaped = "", body = ""]) => {
    const name = escaped.replace(
      /&(lt|gt|quot|apos|amp);/g,
      (_, key: string) => ENTITIES[key] ?? "",
    )
      .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)));
    if (body.includes("<skipped")) {
      return { name, result: "skipped", why: /\(skipped: (.*)\)$/.exec(name)?.[1] ?? "" };
    }
    return { name, result: /<(?:failure|error)\b/.test(body) ? "failed" : "passed", why: "" };
  });
}

/**
 * The cases that a cmocka program printed as TAP. A skipped one is `not ok N # SKIP name`; its reason is the last line
 * `skipped: why` printed before it. Exit code 77 without cases skips the whole program, any other without cases is one
 * case by itself.
 */
export function readTap(program: string, output: string, code: number): Case[] {
  const cases: Case[] = [];
  let why = "";
  for (const line of output.split("\n")) {
    why = /skipped: (.*)/.exec(line)?.[1] ?? why;
    const skipped = /^(?:not )?ok \d+ # SKIP (.*)/.exec(line);
    const ran = /^(not )?ok \d+ - (.*)/.exec(line);
    if (skipped) cases.push({ name: `${program}: ${skipped[1]}`, result: "skipped", why });
    else if (ran) {
      const result = ran[1] === undefined ? "passed" : "failed";
      cases.push({ name: `${program}: ${ran[2]}`, result, why: "" });
    }
    if (skipped || ran) why = "";
  }
  if (cases.length === 0) {
    if (code === 77) {
      return [{ name: program, result: "skipped", why: why || output.split("\n").at(-1) || "" }];
    }
    return [{ name: program, result: code === 0 ? "passed" : "failed", why: "" }];
  }
  // A crash or a sanitizer's report after the last case.
  if (code !== 0 && !cases.some(({ result }) => result === "failed")) {
    cases.push({ name: `${program}: exit code ${code}`, result: "failed", why: "" });
  }
  return cases;
}
