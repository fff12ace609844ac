/**
 * What core/ offers beyond one file and nobody takes: every function that is not static is called by another file of
 * core/, by a test, or is part of the public header. Tests count here, unlike in TypeScript: they look into structs that
 * are closed to everybody else through functions made for that.
 */

/** One object file's global symbols, as `nm` names them. */
export interface ObjectFile {
  readonly name: string;
  readonly defined: readonly string[];
  readonly needed: readonly string[];
}

/** Reads `nm --extern-only --print-file-name` over object files. */
export function readSymbols(output: string): ObjectFile[] {
  const objects = new Map<string, { defined: string[]; needed: string[] }>();
  for (const line of output.split("\n")) {
    // path/x.o:0000000000000010 T name    or    path/x.o:                 U name
    const [, name, type, symbol] =
      /([^/]+\.o):\s*(?:[0-9a-f]+)?\s+([A-Za-z])\s+(\S+)$/.exec(line) ?? [];
    if (name === undefined || type === undefined || symbol === undefined) continue;
    let object = objects.get(name);
    if (object === undefined) objects.set(name, object = { defined: [], needed: [] });
    (type === "U" || type === "w" ? object.needed : object.defined).push(symbol);
  }
  return [...objects].map(([name, symbols]) => ({ name, ...symbols }));
}

/** `core/x.c: name` of every symbol that no other object needs, no text of a test names and the header does not promise. */
export function unusedSymbols(
  objects: readonly ObjectFile[],
  header: string,
  tests: string,
): string[] {
  const promised = new Set(header.match(/\bshoal_\w+(?=\()/g));
  const tested = new Set(tests.match(/\b\w+\b/g));
  return objects.flatMap((object) => {
    const others = new Set(objects.filter((other) => other !== object).flatMap((o) => o.needed));
    return object.defined
      .filter((symbol) => ![others, promised, tested].some((names) => names.has(symbol)))
      .map((symbol) => {
        const file = `core/${object.name.replace(/\.o$/, ".c")}`;
        return `${file}: '${symbol}' is not static and no other file uses it`;
      });
  });
}
