/**
 * Every test of the fast set: core's C tests plain, under sanitizers and under valgrind, its fuzzers with their kept
 * corpus, and every *_test.ts. One line a file; the output of what failed in full; closes with `N passed, N failed` (and
 * `, N skipped`).
 *
 *   ./run test                    everything; of some suites a part, another each day (./run test -h says of which)
 *   ./run test quick              what answers within a minute
 *   ./run test core mesh          these suites, all of them (./run test -h lists them)
 *   ./run test src/wg             the test files below a path
 *   ./run test --filter TEXT      only tests whose name contains TEXT (C: whose program's name does)
 *   ./run test --day 0|…|5|all    of what rotates the part of this day, or all of it
 */
import { parseArgs } from "node:util";
import { plain, shown } from "./shown.ts";
import { announce, endChildrenOnSignals, run } from "./command.ts";
import { groupsOf, runIsolates } from "./isolates.ts";
import { type Case, readTap } from "./reports.ts";
import { mayRunCore } from "./reach.ts";
import { readTree, typescriptFiles } from "./tree.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const BUILD = `${ROOT}/.build/core`;
const RESULTS = `${ROOT}/.build/test`;
// Laboratories run programs and read /proc, which Deno gives only to those who may do all.
const RIGHTS = ["--allow-all"];
/** Seconds; a bound on a hang, not on speed. */
const TIMEOUT = { build: 600, program: 300, file: 900, yielding: 1800 };
/** Seconds that each fuzzer runs (T16). */
const FUZZ = { seconds: Number(Deno.env.get("SHOAL_FUZZ_SECONDS") ?? 10) };
/**
 * Of what takes minutes the battery runs a part each day. What is run once more under something that watches it has six
 * days, since the same tests run without it every day; a search has three.
 */
const DAYS = 6;
const SEARCH_DAYS = 3;
const ROTATING =
  "a sixth of core-asan, core-tsan, core-valgrind, core-uring, ffi-asan, ffi-ubsan and src-ubsan, " +
  "a third of the seeds of searches in mesh and of the fuzzers' searches";
/** As `run` says before it installs anything. */
const LASTS = /^TESTS_LAST='(.*)'/m.exec(Deno.readTextFileSync(`${ROOT}/run`))?.[1] ?? "long";
/** Suites whose files share one process; the others call native code or other programs and get one each. */
const SHARED = new Set(["mesh", ".ci"]);
/**
 * Each message of a simulation is a small buffer outside of V8's heap. Of those glibc keeps the freed ones in lists that
 * it puts together now and then, all at once: without the lists the simulations of swim take a quarter less time.
 */
const SIMULATORS_MALLOC = { GLIBC_TUNABLES: "glibc.malloc.mxfast=0" };

/** Finds uses of what was never written, which no sanitizer of gcc does (T17). Its threads take turns. */
const VALGRIND = [
  "valgrind",
  "--quiet",
  "--error-exitcode=99",
  "--leak-check=full",
  "--errors-for-leak-kinds=definite",
  "--fair-sched=yes",
];
/**
 * One bounds how long a stop takes, one measures how full super-packets are, one reads below its own stack, one calls
 * valgrind itself.
 */
const NOT_IN_VALGRIND = new Set(["storm_test", "tun_test", "wipe_test", "cost_test"]);

/** Of the tests of src/ that start programs those that start none with core: a sanitizer would tell nothing new. */
const PURE = /(?:config|control|log|main|outside|status|store|server|uapi)_test\.ts$/;
/** Those that load core themselves: the address sanitizer is preloaded, and other programs must not get it. */
const IN_PROCESS = /(?:driver|embedding)_test\.ts$/;

/** Of the mesh's tests those that play hours, thousands of members or many seeds. */
const LONG =
  /^mesh\/(?:sim\/|admin\/|.*(?:amplification|clone|door|insider|knocks|stolen|thief)[^/]*_test|.*ask_test)/;

/** The part of the battery that was asked for. */
interface Wanted {
  readonly filter: string | undefined;
  /** Of what takes minutes, the part of which day, below DAYS; undefined: all. */
  readonly day: number | undefined;
}

/** One file or program; it tells about itself as it ends. */
type Job = () => Promise<void>;

interface Suite {
  /** Whether it computes most of the time and keeps no eye on a clock: it yields to those that wait for something. */
  readonly computes: boolean;
  jobs(wanted: Wanted): readonly Job[];
}

const cases: Case[] = [];

/** What a file or program took. */
interface Cost {
  /** The part that it belongs to, a name of suites(). */
  readonly part: string;
  /** When it began (performance.now()). */
  readonly start: number;
  /** Processor seconds. */
  readonly cpu: number;
}

/** What each part took; seconds that its files lasted, added up, though some ran beside others. */
const costs = new Map<string, { tests: number; seconds: number; cpu: number }>();

/** Adds to what a part took. @returns the seconds since it began */
function spend({ part, start, cpu }: Cost, tests: number): number {
  const seconds = (performance.now() - start) / 1000;
  const sum = costs.get(part) ?? { tests: 0, seconds: 0, cpu: 0 };
  costs.set(part, {
    tests: sum.tests + tests,
    seconds: sum.seconds + seconds,
    cpu: sum.cpu + cpu,
  });
  return seconds;
}

/** Counts what a file or program reported and prints its line; its output only when something is wrong. */
function tell(title: string, reported: readonly Case[], cost: Cost, output: string): void {
  // A skip without a reason is no skip.
  const found = reported.map((test) =>
    test.result === "skipped" && test.why === ""
      ? { ...test, result: "failed" as const, name: `${test.name} (skipped without saying why)` }
      : test
  );
  cases.push(...found);
  const failed = found.filter(({ result }) => result === "failed");
  const skipped = found.filter(({ result }) => result === "skipped");
  const passed = found.length - failed.length - skipped.length;
  const counts = [`${passed} passed`];
  if (failed.length > 0) counts.push(`${failed.length} FAILED`);
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  const seconds = spend(cost, found.length);
  const mark = failed.length > 0 ? "FAILED" : "ok    ";
  announce("");
  console.log(
    `${mark} ${rounded(seconds)} s ${rounded(cost.cpu)} cpu  ${title.padEnd(36)} ${
      counts.join(", ")
    }`,
  );
  for (const { name, why } of skipped) {
    console.log(`        skipped: ${name.replace(/ \(skipped: .*\)$/, "")}: ${why}`);
  }
  for (const { name } of failed) console.log(`        failed: ${name}`);
  if (failed.length > 0) console.log(output.replace(/^/gm, "        | "));
}

/** Seconds as a column. */
function rounded(seconds: number): string {
  return seconds.toFixed(1).padStart(6);
}

// ---- core

/** Names of the programs that core/ makes of files like `folder/NAME_suffix.c`. */
function programs(folder: string, suffix: string): string[] {
  try {
    return [...Deno.readDirSync(`${ROOT}/core/${folder}`)].map(({ name }) => name)
      .filter((name) => name.endsWith(`${suffix}.c`)).map((name) => name.slice(0, -2)).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const builds = new Map<string, Promise<boolean>>();

/** Builds `targets` once; false when that failed, which counts as one failed test. */
function make(variant: string, ...targets: string[]): Promise<boolean> {
  const argv = ["make", "-s", "-C", "core", "-j", "2", `VARIANT=${variant}`, ...targets];
  const name = argv.join(" ");
  const known = builds.get(name);
  if (known !== undefined) {
    return known.then((built) => {
      if (!built) console.log(`        not run, this failed before: ${name}`);
      return built;
    });
  }
  announce(`building core ${variant}`);
  const start = performance.now();
  const built = run(argv, { cwd: ROOT, timeout: TIMEOUT.build }).then(({ code, output, cpu }) => {
    const cost = { part: "building core", start, cpu };
    if (code === 0) spend(cost, 0);
    else tell(`core ${variant}`, [{ name, result: "failed", why: "" }], cost, output);
    return code === 0;
  });
  builds.set(name, built);
  return built;
}

/** Whether a C test includes this header of core/tests, itself or by another header that stands there. */
function includes(program: string, header: string): boolean {
  const seen = new Set([`${program}.c`]);
  // It grows while it is walked.
  for (const file of seen) {
    const path = `${ROOT}/core/tests/${file}`;
    if (!exists(path)) continue;
    for (const [, name = ""] of Deno.readTextFileSync(path).matchAll(/^#include "(.*)"/gm)) {
      seen.add(name);
    }
  }
  return seen.has(header);
}

/** How all C tests are run. */
interface CoreRun {
  /** A variant of the build. */
  readonly build: string;
  /** What each program runs under. */
  readonly under?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Programs that mean nothing so, by name. */
  readonly without?: (program: string) => boolean;
  /** Where a part of the programs runs each day: how many days before the others, so that days cost alike. */
  readonly rotates?: number;
}

const CORE_RUNS = {
  release: { build: "release" },
  // Days apart from valgrind and each other: then no day has the dearest of each.
  asan: { build: "asan", rotates: 2 },
  /** Where no thread is started, which no_threads.h holds a program to, there is no race. */
  tsan: {
    build: "tsan",
    without: (program) => includes(program, "no_threads.h"),
    rotates: 4,
  },
  /** Everything is received by io_uring, where the kernel grants it: world.h alone asks for that. */
  uring: {
    build: "release",
    env: { SHOAL_TEST_IO: "uring" },
    without: (program) => !includes(program, "world.h"),
    rotates: 0,
  },
  valgrind: {
    build: "release",
    under: VALGRIND,
    env: { SHOAL_FEW_ROUNDS: "1" },
    without: (program) => NOT_IN_VALGRIND.has(program),
    rotates: 0,
  },
} satisfies Readonly<Record<string, CoreRun>>;

function coreSuite(how: keyof typeof CORE_RUNS): Suite {
  const { build, under = [], env = {}, without, rotates }: CoreRun = CORE_RUNS[how];
  const part = how === "release" ? "core" : `core-${how}`;
  const computes = under.length > 0;
  return {
    computes,
    jobs({ filter, day }) {
      const wanted = programs("tests", "_test").filter((name) =>
        name.includes(filter ?? "") && without?.(name) !== true
      ).filter((_, i) =>
        rotates === undefined || day === undefined || (i + rotates) % DAYS === day
      );
      return wanted.map((name) => async () => {
        if (!await make(build, "tests")) return;
        announce(`core ${how} ${name}`);
        const start = performance.now();
        const program = `${BUILD}/${build}/tests/${name}`;
        const { code, output, cpu } = await run([...under, program], {
          cwd: ROOT,
          env: { CMOCKA_MESSAGE_OUTPUT: "TAP", TSAN_OPTIONS: "halt_on_error=1", ...env },
          timeout: TIMEOUT.program,
          yields: computes,
        });
        tell(`core ${how} ${name}`, readTap(name, output, code), { part, start, cpu }, output);
      });
    },
  };
}

/** Each parser's fuzzer for a bounded time, beginning with its kept corpus; what it finds goes to .build only (T16). */
const fuzzSuite: Suite = {
  // An input that takes a second of anybody's time counts as an endless loop.
  computes: false,
  jobs({ filter, day }) {
    const wanted = programs("tests/fuzz", "_fuzz").filter((name) => name.includes(filter ?? ""));
    return wanted.map((name, i) => async () => {
      const searches = day === undefined || i % SEARCH_DAYS === day % SEARCH_DAYS;
      const seconds = searches ? FUZZ.seconds : 0;
      if (await make("fuzz", "fuzz-build")) await fuzz(name, seconds);
    });
  },
};

/** With no seconds only what is kept is read. */
async function fuzz(name: string, seconds: number): Promise<void> {
  const start = performance.now();
  const noun = name.replace(/_fuzz$/, "");
  announce(`core fuzz ${noun}, ${seconds} s`);
  const found = `${BUILD}/fuzz/found/${noun}`;
  const kept = `${ROOT}/core/tests/fuzz/corpus/${noun}`;
  Deno.mkdirSync(found, { recursive: true });
  const { code, output, cpu } = await run([
    `${BUILD}/fuzz/tests/fuzz/${name}`,
    seconds > 0 ? `-max_total_time=${seconds}` : "-runs=0",
    "-timeout=1",
    "-verbosity=1",
    "-print_final_stats=1",
    `-artifact_prefix=${BUILD}/fuzz/crash-${noun}-`,
    found,
    ...exists(kept) ? [kept] : [],
  ], { cwd: ROOT, timeout: seconds + 120 });
  const inputs = /stat::number_of_executed_units:\s*(\d+)/.exec(output)?.[1] ?? "0";
  const what = `${noun} reads ${code === 0 ? inputs : "some"} inputs without a fault`;
  const result = code === 0 && Number(inputs) > 0 ? "passed" : "failed";
  tell(`core fuzz ${noun}, ${inputs} inputs`, [{ name: what, result, why: "" }], {
    part: "fuzz",
    start,
    cpu,
  }, output);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

// ---- TypeScript

/** Environment of Deno tests against the library of a sanitizer's build (T17). */
async function sanitizerEnv(variant: string): Promise<Record<string, string>> {
  const library = { SHOAL_CORE: `${BUILD}/${variant}/libshoal.so` };
  if (variant !== "asan") return { ...library, UBSAN_OPTIONS: "print_stacktrace=1" };
  const { output } = await run(["gcc", "-print-file-name=libasan.so"], { cwd: ROOT, timeout: 10 });
  // Deno and V8 keep what they allocate; the leak check is the C tests'.
  return { ...library, LD_PRELOAD: output, ASAN_OPTIONS: "detect_leaks=0" };
}

/** Test files below a folder; with a variant, against the library of that build; where it rotates, a sixth of the files. */
function denoSuite(files: readonly string[], variant?: string, rotates = false): Suite {
  return {
    computes: files.some((file) => roomOf(file) === "mesh"),
    jobs({ filter, day }) {
      // The long ones first, so that at the end no processor waits for another.
      const shared = files.filter((file) => SHARED.has(roomOf(file)))
        .sort((a, b) => Number(LONG.test(b)) - Number(LONG.test(a)));
      const apart = files.filter((file) => !shared.includes(file))
        .filter((_, i) => !rotates || day === undefined || i % DAYS === day);
      const title = variant === undefined ? "" : ` (${variant})`;
      const partOf = (room: string) => variant === undefined ? room : `${room}-${variant}`;
      const rooms = [...new Set(shared.map(roomOf))].join(", ");
      const env = {
        ...SIMULATORS_MALLOC,
        ...day !== undefined && { SHOAL_THIRD: `${day % SEARCH_DAYS}` },
      };
      const together = () => denoTest(partOf(rooms), shared, `${rooms}${title}`, filter, env);
      return [
        ...shared.length > 0 ? [together] : [],
        ...apart.map((file) => async () => {
          if (!await make(variant ?? "release", "lib")) return;
          const env = variant === undefined ? {} : await sanitizerEnv(variant);
          await denoTest(partOf(roomOf(file)), [file], `${file}${title}`, filter, env);
        }),
      ];
    },
  };
}

/** The folder of the architecture that a file is in. */
function roomOf(file: string): string {
  return file.slice(0, file.indexOf("/"));
}

async function denoTest(
  part: string,
  files: readonly string[],
  title: string,
  filter: string | undefined,
  env: Record<string, string>,
): Promise<void> {
  announce(title);
  const start = performance.now();
  Deno.mkdirSync(RESULTS, { recursive: true });
  const yields = part.includes("mesh");
  const timeout = yields ? TIMEOUT.yielding : TIMEOUT.file;
  const { code, output, cpu, found: reported } = await runIsolates({
    root: ROOT,
    groups: groupsOf(files, (file) => LONG.test(file)),
    options: filter === undefined ? RIGHTS : [...RIGHTS, `--filter=${filter}`],
    env,
    timeout,
    yields,
    junit: `${RESULTS}/${title.replace(/[^\w.]+/g, "-")}.xml`,
  });
  // Deno reports what the filter left out as skipped; a skip of ours has its reason.
  const found = filter === undefined
    ? reported
    : reported.filter(({ result, why }) => result !== "skipped" || why !== "");
  // A crash leaves no report, an error outside a test no failed case.
  if (filter !== undefined && found.length === 0 && code === 0) return;
  const name = code === 124 || code === 137
    ? `${title}: not done after ${timeout} s`
    : `${title}: exit code ${code}${found.length === 0 ? ", no test ran" : " outside a test"}`;
  const silent = found.length === 0 ||
    (code !== 0 && !found.some(({ result }) => result === "failed"));
  tell(title, silent ? [...found, { name, result: "failed", why: "" }] : found, {
    part,
    start,
    cpu,
  }, output);
}

// ---- the battery

/** Every suite by its name, in the order in which they run: quick answers first. */
function suites(files: readonly string[]): Map<string, Suite> {
  const below = (folder: string) => files.filter((file) => file.startsWith(`${folder}/`));
  const modules = readTree(ROOT);
  const native = below("src").filter((file) => !PURE.test(file) && mayRunCore(file, modules));
  return new Map<string, Suite>([
    [".ci", denoSuite(below(".ci"))],
    ["core", coreSuite("release")],
    ["core-asan", coreSuite("asan")],
    ["core-tsan", coreSuite("tsan")],
    ["mesh", denoSuite(below("mesh"))],
    ["core-valgrind", coreSuite("valgrind")],
    ["core-uring", coreSuite("uring")],
    ["ffi", denoSuite(below("ffi"))],
    ["ffi-ubsan", denoSuite(below("ffi"), "ubsan", true)],
    ["ffi-asan", denoSuite(below("ffi"), "asan", true)],
    ["lxc", denoSuite(below("lxc"))],
    ["src", denoSuite(below("src"))],
    ["src-ubsan", denoSuite(native, "ubsan", true)],
    ["src-asan", denoSuite(below("src").filter((file) => IN_PROCESS.test(file)), "asan")],
    ["bench", denoSuite(below("bench"))],
    ["fuzz", fuzzSuite],
  ]);
}

/** What answers within a minute, and finds most of what is broken. */
function quickSuites(files: readonly string[]): Suite[] {
  const quick = files.filter((file) =>
    /^(?:(?:mesh|ffi|\.ci)\/|src\/(?:config|log|loop|outside|running|status|words)_)/.test(file) &&
    !LONG.test(file)
  );
  return [coreSuite("release"), denoSuite(quick)];
}

/** The suites that the arguments name: by name, by the beginning of a name (`core`), or by a path. */
function choose(args: readonly string[], files: readonly string[]): Suite[] | string {
  const all = suites(files);
  if (args.length === 0) return [...all.values()];
  const chosen: Suite[] = [];
  for (const arg of args) {
    if (arg === "quick") {
      chosen.push(...quickSuites(files));
      continue;
    }
    const path = arg.replace(/^\.\//, "").replace(/\/$/, "");
    const named = [...all].filter(([name]) => name === path || name.startsWith(`${path}-`));
    const below = files.filter((file) => file === path || file.startsWith(`${path}/`));
    if (named.length > 0) chosen.push(...named.map(([, suite]) => suite));
    else if (below.length > 0) chosen.push(denoSuite(below));
    else {
      return `${shown(arg)} is neither a suite (${
        [...all.keys()].join(" ")
      }) nor a path with tests`;
    }
  }
  return chosen;
}

async function main(args: string[]): Promise<number> {
  const files = typescriptFiles(ROOT).filter((file) => file.endsWith("_test.ts"));
  const options = {
    filter: { type: "string" },
    day: { type: "string" },
    help: { type: "boolean", short: "h" },
  } as const;
  let parsed;
  try {
    parsed = parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    console.error(`test: ${plain(error instanceof Error ? error.message : String(error))}`);
    return 2;
  }
  if (parsed.values.help === true) {
    console.log("usage: ./run test [SUITE|PATH …] [--filter TEXT] [--day 0|1|2|3|4|5|all]\n");
    console.log(`suites: quick, ${[...suites(files).keys()].join(" ")}\n`);
    console.log(
      `Without a name all of them run, but ${ROTATING},\n` +
        `others each day (--day chooses one day's, or all). On two processors that takes ${LASTS}, quick one minute.`,
    );
    return 0;
  }
  const chosen = choose(parsed.positionals, files);
  if (typeof chosen === "string") {
    console.error(`test: ${chosen}`);
    return 2;
  }
  const { filter } = parsed.values;
  const isAll = parsed.positionals.length === 0 && filter === undefined;
  const day = dayOf(parsed.values.day ?? (isAll ? undefined : "all"));
  if (day === "unknown") {
    console.error(`test: --day takes 0 to 5 or all, not ${shown(parsed.values.day ?? "")}`);
    return 2;
  }
  endChildrenOnSignals();
  if (day !== undefined) {
    console.log(`${ROTATING}: --day ${day} runs these again, --day all the whole`);
  }
  const start = performance.now();
  const jobsOf = (computes: boolean) =>
    chosen.filter((suite) => suite.computes === computes)
      .flatMap((suite) => suite.jobs({ filter, day }));
  await runAll(jobsOf(false), jobsOf(true));
  tellCosts(start);
  return close();
}

/** Which day is meant, today when nobody says; undefined: all of what rotates. */
function dayOf(argument: string | undefined): number | undefined | "unknown" {
  if (argument === "all") return undefined;
  if (argument === undefined) return Math.floor(Date.now() / 86_400_000) % DAYS;
  return /^[0-5]$/.test(argument) ? Number(argument) : "unknown";
}

/**
 * Runs jobs in their order: of those that wait two more than the machine has processors, since they use a third of one,
 * and beside them one that computes. Whoever has nothing of its own left takes of the others.
 */
async function runAll(waiting: Job[], computing: Job[]): Promise<void> {
  const work = async (first: Job[], then: Job[]) => {
    for (;;) {
      const job = first.shift() ?? then.shift();
      if (job === undefined) return;
      await job();
    }
  };
  const workers = Array.from(
    { length: navigator.hardwareConcurrency + 2 },
    () => work(waiting, computing),
  );
  await Promise.all([...workers, work(computing, waiting)]);
}

/** What each part took, so that a person sees what to mend when the tests have become slow. */
function tellCosts(start: number): void {
  const row = (cells: readonly string[]) =>
    console.log(cells.map((cell, i) => i === 0 ? cell.padEnd(16) : cell.padStart(9)).join(""));
  row(["part", "tests", "seconds", "CPU s"]);
  let [tests, cpu] = [0, 0];
  for (const [name, cost] of costs) {
    row([name, `${cost.tests}`, cost.seconds.toFixed(1), cost.cpu.toFixed(1)]);
    tests += cost.tests;
    cpu += cost.cpu;
  }
  // Parts run beside each other, so that this is less than the sum.
  row(["all", `${tests}`, ((performance.now() - start) / 1000).toFixed(1), cpu.toFixed(1)]);
}

/** The last line, and the exit code: 0 only when something ran and everything passed. */
function close(): number {
  const count = (result: Case["result"]) => cases.filter((test) => test.result === result).length;
  const [passed, failed, skipped] = [count("passed"), count("failed"), count("skipped")];
  if (passed + failed === 0) console.log("no test ran");
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));
