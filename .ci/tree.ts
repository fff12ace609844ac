/**
 * The repository's TypeScript as a graph of modules: what each file imports and exports. `deno fmt` puts every import
 * and export statement at the beginning of a line, so lines are enough to find them; no parser is needed.
 */

/** One edge out of a file. */
export interface Import {
  /** As written. */
  readonly specifier: string;
  /** The imported file, relative to the root, when it is one of the repository's. */
  readonly path?: string;
  /** Names taken from it; `*` stands for all of them. */
  readonly names: readonly string[];
  /** Types only: nothing of it remains at run time. */
  readonly typeOnly: boolean;
  /** 1 for the first line. */
  readonly line: number;
}

/** One name that a file offers to others. */
interface Export {
  readonly name: string;
  readonly line: number;
  /** An interface or a type alias. */
  readonly isType: boolean;
  /** The file's own code names it, too. */
  readonly namedAgain: boolean;
}

/** One TypeScript file. */
export interface Module {
  readonly path: string;
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  /** The lines without comments, for checks that look at words. */
  readonly code: readonly string[];
}

/** What a check found wrong, and where. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly what: string;
}

const STATEMENT = /^(?:import|export)\s+(type\s+)?(?:([^"';=(]*?)\s+from\s+)?"([^"]+)"/gm;
// Strings are alternatives of their own, so that what stands inside one is stepped over.
const DYNAMIC =
  /\bimport(?:\.meta\.resolve)?\(\s*"([^"]+)"|new URL\(\s*"(\.[^"]+\.ts)",\s*import\.meta|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`/g;
const DECLARATION =
  /^export\s+(?:declare\s+)?(?:abstract\s+class|async\s+function|function|class|const|let|var|interface|type|enum|namespace)\b\*?\s*([\w$]+)/gm;
const DESTRUCTURED = /^export\s+(?:const|let|var)\s*[{[]([^=]*)[}\]]\s*=/gm;
const LIST = /^export\s+(?:type\s+)?\{([^}]*)\}(\s+from\s+")?/gm;
const DEFAULT = /^export\s+default\b/gm;

/** Reads one file's edges out of its text. */
export function parse(path: string, text: string): Module {
  const code = withoutComments(text);
  const lineAt = (index: number) => code.slice(0, index).split("\n").length;
  const imports: Import[] = [];
  for (const match of code.matchAll(STATEMENT)) {
    const [, type, clause, specifier = ""] = match;
    imports.push(edge(path, specifier, {
      names: namesOf(clause ?? "", code),
      typeOnly: type !== undefined || onlyTypes(clause ?? ""),
      line: lineAt(match.index),
    }));
  }
  for (const match of code.matchAll(DYNAMIC)) {
    const specifier = match[1] ?? match[2];
    if (specifier === undefined) continue;
    imports.push(
      edge(path, specifier, { names: ["*"], typeOnly: false, line: lineAt(match.index) }),
    );
  }
  const exports: Export[] = [];
  const offer = (name: string, index: number, isType = false) =>
    exports.push({ name, line: lineAt(index), isType, namedAgain: occurrences(code, name) > 1 });
  for (const match of code.matchAll(DECLARATION)) {
    const [statement, name = ""] = match;
    offer(name, match.index, /\b(?:interface|type)\s/.test(statement));
  }
  for (const match of code.matchAll(DEFAULT)) offer("default", match.index);
  for (const match of code.matchAll(DESTRUCTURED)) {
    for (const name of listed(match[1] ?? "")) offer(name.outer, match.index);
  }
  for (const match of code.matchAll(LIST)) {
    for (const name of listed(match[1] ?? "")) offer(name.outer, match.index);
  }
  return { path, imports, exports, code: code.split("\n") };
}

function occurrences(code: string, name: string): number {
  return code.split(new RegExp(`\\b${name.replaceAll("$", "\\$")}\\b`)).length - 1;
}

/** Blanks comments and keeps every line where it was. Strings are stepped over, so that "//" in one stays. */
function withoutComments(text: string): string {
  const token =
    /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`|\/\/[^\n]*|\/\*[^]*?\*\//g;
  return text.replace(
    token,
    (found) =>
      found.startsWith("//") || found.startsWith("/*") ? found.replace(/[^\n]/g, " ") : found,
  );
}

function edge(from: string, specifier: string, rest: Omit<Import, "specifier" | "path">): Import {
  if (!specifier.startsWith(".")) return { specifier, ...rest };
  const path = decodeURIComponent(new URL(specifier, `file:///${from}`).pathname).slice(1);
  return { specifier, path, ...rest };
}

// `a, { b as c, type d }`, `* as e`, or nothing for an import for its effects.
function namesOf(clause: string, code: string): string[] {
  const whole = /^\*(?:\s+as\s+([\w$]+))?/.exec(clause);
  if (whole) return whole[1] === undefined ? ["*"] : membersOf(whole[1], code);
  const [before = "", inside = ""] = clause.split("{");
  const names = listed(inside.replace("}", "")).map((name) => name.inner);
  return /[\w$]/.test(before) ? ["default", ...names] : names;
}

// Of a namespace import, the members that the code names; all of them when it passes the namespace on.
function membersOf(namespace: string, code: string): string[] {
  const uses = [...code.matchAll(new RegExp(`\\b${namespace}\\b(?:\\.([\\w$]+))?`, "g"))];
  const members = uses.map((use) => use[1]);
  // One use is the import statement itself.
  const bare = members.filter((member) => member === undefined).length;
  return bare > 1 ? ["*"] : members.filter((member) => member !== undefined);
}

function listed(inside: string): { inner: string; outer: string }[] {
  return inside.split(",").map((item) => item.trim().replace(/^type\s+/, "")).filter(Boolean).map(
    (item) => {
      const [inner = "", outer = inner] = item.split(/\s+as\s+|\s*:\s*/);
      return { inner, outer };
    },
  );
}

function onlyTypes(clause: string): boolean {
  const inside = /^\{([^}]*)\}$/.exec(clause.trim())?.[1];
  if (inside === undefined) return false;
  return inside.split(",").map((item) => item.trim()).filter(Boolean)
    .every((item) => item.startsWith("type "));
}

/** True for files that exist for tests only: they may use what production must not offer. */
export function isTest(path: string): boolean {
  return path.endsWith("_test.ts");
}

/** Every TypeScript file below `root`, sorted, as paths relative to it. */
export function typescriptFiles(root: string): string[] {
  const found: string[] = [];
  const walk = (folder: string) => {
    for (const entry of Deno.readDirSync(`${root}/${folder}`)) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory) {
        if (!/^\.(?!ci$)/.test(entry.name) && entry.name !== "node_modules") walk(path);
      } else if (path.endsWith(".ts")) found.push(path);
    }
  };
  walk("");
  return found.sort();
}

/** Parses every TypeScript file below `root`. */
export function readTree(root: string): Module[] {
  return typescriptFiles(root).map((path) => parse(path, Deno.readTextFileSync(`${root}/${path}`)));
}
