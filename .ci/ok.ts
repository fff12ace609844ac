/**
 * The gate: everything that can be said about the code without running it. One line a check; a failure says what and
 * where. `./run ok NAME…` runs only these checks.
 */
import { impurities, wrongArrows } from "./arrows.ts";
import { notAscii } from "./ascii.ts";
import { shown } from "./shown.ts";
import { announce, endChildrenOnSignals, run } from "./command.ts";
import { unusedExports } from "./exports.ts";
import { readSymbols, unusedSymbols } from "./symbols.ts";
import { type Finding, isTest, readTree, typescriptFiles } from "./tree.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const TIMEOUT = 600; // seconds a check

/** What a check has to complain about; empty: nothing. */
type Check = () => Promise<string> | string;

function command(...argv: string[]): Promise<string> {
  return run(argv, { cwd: ROOT, timeout: TIMEOUT }).then(({ code, output }) =>
    code === 0 ? "" : `${output}\n(exit code ${code}: ${argv.slice(0, 6).join(" ")} …)`
  );
}

function deno(...args: string[]): Promise<string> {
  return command(Deno.execPath(), ...args);
}

function listed(findings: readonly Finding[]): string {
  return findings.map(({ path, line, what }) => `${path}:${line}: ${what}`).join("\n");
}

/** Files below `folder` whose names match, for tools that want a list. */
function files(folder: string, name: RegExp): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) return files(path, name);
    return name.test(entry.name) ? [path] : [];
  }).sort();
}

const make = (...args: string[]) => command("make", "-s", "-C", "core", ...args);
const shells = () => ["run", ".ci/run", ".ci/install.sh", ...files("lxc", /\.sh$/)];

const text = (file: string) => Deno.readTextFileSync(`${ROOT}/${file}`);

/** What a running node has in memory. */
const programs = () =>
  ["ffi", "mesh", "src"].flatMap((folder) => files(folder, /\.ts$/)).filter((file) =>
    !isTest(file) && !file.startsWith("mesh/sim/")
  );

const CHECKS: Readonly<Record<string, Check>> = {
  "format": () => deno("fmt", "--check", ".", ...typescriptFiles(ROOT)),
  "lint": () => deno("lint", "--quiet", ".", ...typescriptFiles(ROOT)),
  "types": () => deno("check", "--quiet", ...typescriptFiles(ROOT)),
  "arrows": () => listed(wrongArrows(readTree(ROOT))),
  "purity": () => listed(impurities(readTree(ROOT))),
  "ascii": () => listed(programs().flatMap((file) => notAscii(file, text(file)))),
  "exports": () => listed(unusedExports(readTree(ROOT))),
  "shell": () => command("shellcheck", "--external-sources", ...shells()),
  "c-format": () => command("clang-format", "--dry-run", "-Werror", ...files("core", /\.[ch]$/)),
  "c-gcc": () => make("-j", "2", "VARIANT=release", "lib", "tests", "bench"),
  "c-exports": unusedInCore,
  "c-clang": () => make("clang"),
  "c-analysis": () => make("analyze"),
};

async function unusedInCore(): Promise<string> {
  const isOfTests = (file: string) => file.startsWith("core/tests/");
  const all = files("core", /\.c$/);
  const objects = all.filter((file) => !isOfTests(file))
    .map((file) => file.replace(/^core\/(.*)\.c$/, ".build/core/release/$1.o"));
  const argv = ["nm", "--extern-only", "--print-file-name", ...objects];
  const { code, output } = await run(argv, { cwd: ROOT, timeout: TIMEOUT });
  if (code !== 0) return output;
  const tests = all.filter(isOfTests).map(text).join("\n");
  return unusedSymbols(readSymbols(output), text("core/shoal.h"), tests).join("\n");
}

async function main(wanted: readonly string[]): Promise<number> {
  for (const name of wanted) {
    if (CHECKS[name] !== undefined) continue;
    console.error(
      `ok: no check is called ${shown(name)}; there are: ${Object.keys(CHECKS).join(" ")}`,
    );
    return 2;
  }
  endChildrenOnSignals();
  let failed = 0;
  let done = 0;
  for (const [name, check] of Object.entries(CHECKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    announce(name);
    const start = performance.now();
    const complaint = await check();
    announce("");
    const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(5);
    console.log(`${complaint === "" ? "ok    " : "FAILED"}  ${name.padEnd(12)} ${seconds} s`);
    if (complaint !== "") console.log(complaint.replace(/^/gm, "        "));
    done++;
    if (complaint !== "") failed++;
  }
  console.log(
    failed === 0 ? `ok: ${done} checks passed` : `ok: ${failed} of ${done} checks FAILED`,
  );
  return failed === 0 ? 0 : 1;
}

Deno.exit(await main(Deno.args));
