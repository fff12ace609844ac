/** Which files can come to run native code of core, by themselves or in a program that they start. */
import type { Module } from "./tree.ts";

/** Loads core. */
const CORE = "ffi/core.ts";
/** Starts a program, which may be a node. */
const STARTS = /\bDeno\.Command\b|\bnode:child_process\b/;

/**
 * Whether a file, or what it imports at run time, loads core or starts a program. False says that every build of core is
 * the same to it.
 */
export function mayRunCore(path: string, modules: readonly Module[]): boolean {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const seen = new Set<string>();
  const queue = [path];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const module = byPath.get(next);
    if (module === undefined || seen.has(next)) continue;
    seen.add(next);
    if (next === CORE || module.code.some((line) => STARTS.test(line))) return true;
    for (const edge of module.imports) {
      if (edge.path !== undefined && !edge.typeOnly) queue.push(edge.path);
    }
  }
  return false;
}
