/**
 * What is exported and imported by nobody. Tests do not count as importers, mod.ts does: it is what people import. What
 * exists for tests only (the simulator, the laboratories, the skip helper) is used when a test uses it. A type is used
 * when another declaration of its file names it: whoever imports that one may have to name the type.
 */
import { type Finding, isTest, type Module } from "./tree.ts";

const FOR_TESTS = /^(?:mesh\/sim|lxc|bench|\.ci)\//;

/** Every exported name without an importer. */
export function unusedExports(modules: readonly Module[]): Finding[] {
  const used = new Set<string>();
  for (const module of modules) {
    for (const edge of module.imports) {
      if (edge.path === undefined) continue;
      if (isTest(module.path) && !FOR_TESTS.test(edge.path)) continue;
      for (const name of edge.names) used.add(`${edge.path} ${name}`);
    }
  }
  return modules.filter((module) => module.path !== "mod.ts").flatMap((module) =>
    module.exports
      .filter(({ name, surface }) =>
        !surface && !used.has(`${module.path} ${name}`) && !used.has(`${module.path} *`)
      )
      .map(({ name, line }) => ({
        path: module.path,
        line,
        what: `'${name}' is exported and no file imports it (tests do not count)`,
      }))
  );
}
