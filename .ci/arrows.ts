/**
 * Who may import whom: mesh decides, core moves, ffi translates, src acts. The table is the architecture's; whatever it
 * does not name is refused.
 */
import denoJson from "../deno.json" with { type: "json" };
import { type Finding, type Import, isTest, type Module } from "./tree.ts";

interface Arrows {
  /** Folders that may be imported, itself included. */
  readonly folders: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types?: readonly string[];
  /** Packages; undefined: any of the imports map. */
  readonly packages?: RegExp;
}

const PURE = /^@noble\//;
/** The simulator exists for tests only; its histories are made and shortened by fast-check. */
const SIMULATOR = {
  path: "mesh/sim/",
  arrows: { folders: ["mesh"], packages: /^(?:@noble\/|fast-check$)/ },
};
const ANYTHING = ["", "src", "ffi", "mesh", "lxc", "bench"];

const ARROWS: Readonly<Record<string, Arrows>> = {
  mesh: { folders: ["mesh"], packages: PURE },
  ffi: { folders: ["ffi"], types: ["mesh"] },
  // deno.json holds the version.
  src: { folders: ["src", "ffi", "mesh", "deno.json"] },
  // Files of the root: mod.ts.
  "": { folders: ["src", "ffi", "mesh"] },
  bench: { folders: ANYTHING },
  lxc: { folders: ANYTHING },
  ".ci": { folders: [".ci", "deno.json"] },
};

// A test may ask for more than its subject: the helpers of tests, and in src/ the laboratories.
const TESTS: Readonly<Record<string, Arrows>> = {
  mesh: { folders: ["mesh", ".ci/skip.ts", ".ci/vectors.ts"] },
  // The pure Crypto of mesh is the oracle of the one in ffi.
  ffi: { folders: ["ffi", "mesh", ".ci/skip.ts", ".ci/vectors.ts"] },
  src: {
    folders: [
      "src",
      "ffi",
      "mesh",
      "lxc",
      "deno.json",
      "mod.ts",
      ".ci/failure.ts",
      ".ci/folder.ts",
      ".ci/killed.ts",
      ".ci/skip.ts",
    ],
  },
  bench: { folders: [...ANYTHING, ".ci/skip.ts"] },
  lxc: { folders: [...ANYTHING, ".ci/skip.ts"] },
};

/** The first part of a path: the room that a file is in. */
function folderOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : "";
}

/** Every import that the table does not allow. */
export function wrongArrows(modules: readonly Module[]): Finding[] {
  return modules.flatMap((module) =>
    module.imports.flatMap((edge) => {
      const what = refusal(module.path, edge);
      return what === undefined ? [] : [{ path: module.path, line: edge.line, what }];
    })
  );
}

/** `npm:NAME@VERSION/PATH`. */
const NPM = /^npm:((?:@[^/]+\/)?[^@/]+)(?:@([^/]+))?(\/.*)?$/;

/** A package without its version. */
function nameOf(specifier: string): string {
  const [, name, , path = ""] = NPM.exec(specifier) ?? [];
  return name === undefined ? specifier : `${name}${path}`;
}

/**
 * What a program may embed names its packages with their version, since the imports map of that program is another
 * one; deno.json names the same, for the lock file. Tests go by the map.
 */
function wrongPackage(from: string, specifier: string): string | undefined {
  if (/^(?:[./]|node:)/.test(specifier)) return undefined;
  const [, name, version] = NPM.exec(specifier) ?? [];
  const imports: Readonly<Record<string, string>> = denoJson.imports;
  const wanted =
    imports[name ?? specifier.split("/").slice(0, specifier[0] === "@" ? 2 : 1).join("/")];
  if (name !== undefined && wanted !== `npm:${name}@${version}`) {
    return `imports ${specifier}: deno.json has ${wanted ?? "no such package"}`;
  }
  const isEmbedded = /^(?:src|mesh|ffi)\//.test(from) && !isTest(from) &&
    !from.startsWith("mesh/sim/");
  return isEmbedded && name === undefined
    ? `imports ${specifier}: what a program may embed says which version (${wanted})`
    : undefined;
}

function refusal(from: string, edge: Import): string | undefined {
  const folder = folderOf(from);
  const arrows = (isTest(from) ? TESTS[folder] : undefined) ??
    (from.startsWith(SIMULATOR.path) ? SIMULATOR.arrows : ARROWS[folder]);
  if (arrows === undefined) return `${folder}/ is not a folder of the architecture`;
  if (edge.path !== undefined) return refusedFile(folder, arrows, edge, edge.path);
  if (/^(?:https?|jsr):/.test(edge.specifier)) {
    return `imports ${edge.specifier}: packages come from npm`;
  }
  const wrong = wrongPackage(from, edge.specifier);
  if (wrong !== undefined) return wrong;
  if (edge.specifier.startsWith("node:")) {
    return arrows.packages === undefined ? undefined : `${folder}/ is pure: no ${edge.specifier}`;
  }
  return arrows.packages?.test(nameOf(edge.specifier)) === false
    ? `${folder}/ may not import the package ${edge.specifier}`
    : undefined;
}

function refusedFile(
  folder: string,
  arrows: Arrows,
  edge: Import,
  path: string,
): string | undefined {
  const target = folderOf(path);
  if (isTest(path)) return `imports the test ${path}`;
  if (arrows.folders.includes(target) || arrows.folders.includes(path)) return undefined;
  if (arrows.types?.includes(target)) {
    return edge.typeOnly ? undefined : `${folder}/ may import only types of ${target}/: ${path}`;
  }
  return `${folder}/ may not import ${path}`;
}

// A machine gets time, randomness and input as arguments and gives effects as values (contract 1).
const WORLD =
  /\b(?:Deno\.|Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|setInterval|queueMicrotask|getRandomValues|randomUUID|fetch\(|console\.|async |await )/;

/** Every word in mesh/ that reaches for the world. */
export function impurities(modules: readonly Module[]): Finding[] {
  return modules.filter((module) => folderOf(module.path) === "mesh" && !isTest(module.path))
    .flatMap((module) =>
      module.code.flatMap((text, i) => {
        const word = WORLD.exec(text.replace(/"(?:[^"\\]|\\.)*"/g, '""'));
        return word === null ? [] : [{
          path: module.path,
          line: i + 1,
          what: `mesh/ is pure, its effects are values: '${word[0].trim()}' reaches for the world`,
        }];
      })
    );
}
