/**
 * What is exported and of no use to anybody. Used is what a production file or mod.ts imports: mod.ts is what people
 * import. A test's import does not keep code alive that nothing else runs; it may name what its subject itself uses, such
 * as a limit that the test reaches. What exists for tests only (the simulator, the laboratories, the skip helper) is used
 * when a test uses it, and a type when another declaration of its file names it. A file of types (.d.ts) says what
 * somebody else exports.
 */
import { type Finding, isTest, type Module } from "./tree.ts";

const FOR_TESTS = /^(?:mesh\/sim|lxc|bench|\.ci)\//;

/** Every exported name without a use. */
export function unusedExports(modules: readonly Module[]): Finding[] {
  const used = importedBy(modules.filter(({ path }) => !isTest(path)));
  const tested = importedBy(modules.filter(({ path }) => isTest(path)));
  return modules.filter(({ path }) => path !== "mod.ts" && !path.endsWith(".d.ts")).flatMap((
    module,
  ) =>
    module.exports
      .filter(({ name, isType, namedAgain }) => {
        if (used(module.path, name) || isType && namedAgain) return false;
        return !(tested(module.path, name) && (namedAgain || FOR_TESTS.test(module.path)));
      })
      .map(({ name, line }) => ({
        path: module.path,
        line,
        what:
          `'${name}' is exported and nobody needs it (a test may name only what the file itself uses)`,
      }))
  );
}

/** Whether one of `modules` imports a name of a file. */
function importedBy(modules: readonly Module[]): (path: string, name: string) => boolean {
  const names = new Set<string>();
  for (const { imports } of modules) {
    for (const edge of imports) {
      if (edge.path !== undefined) {
        for (const name of edge.names) names.add(`${edge.path} ${name}`);
      }
    }
  }
  return (path, name) => names.has(`${path} ${name}`) || names.has(`${path} *`);
}
