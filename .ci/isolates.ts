/**
 * Running test files in isolates that they share. `deno test` gives each file one of its own, in which every module is
 * loaded and compiled anew: for most files that costs more than their tests. A module that imports several files gives
 * them one; a report names the true file and line of each test all the same.
 */
import { type Outcome, run } from "./command.ts";
import { type Case, readJunit } from "./reports.ts";

/**
 * Long files are dealt out to so many groups: enough that the processors have done at the same time, few enough that
 * most is compiled once.
 */
const LONG_GROUPS = 4;
/** Of short ones a group takes no more than these: what tests leave behind stays as long as their isolate. */
const SHORT_FILES = 30;

/** Paths of test files that share an isolate, below the root. */
export type Group = readonly string[];

/** Every file in one group: those that take long dealt out and first, then the short ones beside their neighbours. */
export function groupsOf(files: readonly string[], isLong: (file: string) => boolean): Group[] {
  const long = files.filter(isLong).sort();
  const short = files.filter((file) => !isLong(file)).sort();
  const parts = Math.ceil(short.length / SHORT_FILES);
  const size = Math.ceil(short.length / parts);
  return [
    ...Array.from(
      { length: Math.min(LONG_GROUPS, long.length) },
      (_, i) => long.filter((_, j) => j % LONG_GROUPS === i),
    ),
    ...Array.from({ length: parts }, (_, i) => short.slice(i * size, (i + 1) * size)),
  ];
}

/** What is run, and how. */
export interface Tests {
  /** The absolute path of the folder with deno.json. */
  readonly root: string;
  readonly groups: readonly Group[];
  /** Of `deno test`: rights and a filter. */
  readonly options: readonly string[];
  readonly env: Record<string, string>;
  /** Seconds that all may take. */
  readonly timeout: number;
  readonly yields: boolean;
  /** Where the report goes, an absolute path; one that is there is removed. */
  readonly junit: string;
}

/** How it went; of what Deno printed, `output` is the part about failures when there is one. */
export interface Ran extends Outcome {
  /** All that Deno printed. */
  readonly said: string;
  /** Each test and step that was reported; none after a crash. */
  readonly found: Case[];
}

/**
 * Runs the tests of all groups, several at a time. An error outside a test ends an isolate with all its files, and a
 * crash ends everything: then each file runs once more, by itself, so that the one with the error is named and all
 * others are tested.
 */
export async function runIsolates(tests: Tests): Promise<Ran> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-test-" });
  const { root, groups } = tests;
  try {
    const modules = groups.map((group, i) => {
      if (group.length === 1) return `${root}/${group[0]}`;
      const path = `${folder}/${i + 1}.ts`;
      Deno.writeTextFileSync(path, moduleOf(root, group));
      return path;
    });
    const together = await denoTest(tests, modules);
    const isShared = groups.some((group) => group.length > 1);
    if (!isShared || !isEndedEarly(together, folder)) return together;
    const apart = await denoTest(tests, groups.flat().map((file) => `${root}/${file}`));
    const cpu = together.cpu + apart.cpu;
    if (apart.code !== 0) return { ...apart, cpu };
    const name = "an error outside a test, only where test files share an isolate";
    const found = [...apart.found, { name, result: "failed" as const, why: "" }];
    return { ...together, cpu, found };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A module with the tests of all files of a group. */
function moduleOf(root: string, group: Group): string {
  return group.map((file) => `import ${JSON.stringify(`file://${root}/${file}`)};\n`).join("");
}

/** Whether one of the modules in `folder` ended before its tests did. What hung until the end is not tried again. */
export function isEndedEarly({ code, found, said }: Ran, folder: string): boolean {
  if (code === 0 || code === 124 || code === 137) return false;
  if (found.length === 0) return true;
  // Deno names a module before its tests and each of them, `MODULE => NAME`, and elsewhere only where it ended.
  const name = folder.slice(folder.lastIndexOf("/") + 1);
  return said.split("\n").some((line) =>
    line.includes(`${name}/`) && !line.includes(" => ") && !/^running \d+ tests? from /.test(line)
  );
}

async function denoTest(tests: Tests, modules: readonly string[]): Promise<Ran> {
  const { root, options, env, timeout, yields, junit } = tests;
  await Deno.remove(junit).catch(ignoreAbsent);
  const outcome = await run([
    Deno.execPath(),
    "test",
    `--config=${root}/deno.json`,
    "--quiet",
    "--no-check",
    "--no-prompt",
    "--cached-only",
    ...modules.length > 1 ? ["--parallel"] : [],
    ...options,
    `--junit-path=${junit}`,
    ...modules,
  ], { cwd: root, env, timeout, yields });
  const report = await Deno.readTextFile(junit).catch(ignoreAbsent);
  const about = /^ ERRORS\s*$[^]*?(?=^ FAILURES\s*$)/m.exec(outcome.output)?.[0];
  return {
    ...outcome,
    said: outcome.output,
    output: about ?? outcome.output,
    found: report === undefined ? [] : readJunit(report),
  };
}

function ignoreAbsent(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
