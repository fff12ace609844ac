/**
 * Programs are written in ASCII: V8 keeps a source with one other character as two bytes for each, a node has its sources
 * in memory as long as it runs, and Deno gives it each with its source map, three times as long as the file.
 */
import type { Finding } from "./tree.ts";

/** Where each character outside ASCII stands; a text that needs one writes it as an escape. */
export function notAscii(path: string, text: string): Finding[] {
  return text.split("\n").flatMap((content, index) =>
    [...content].filter((character) => character > "\x7f").map((character) => ({
      path,
      line: index + 1,
      what:
        `'${character}' is outside ASCII, which doubles this file in a node's memory: write \\u{${
          character.codePointAt(0)?.toString(16)
        }}, or other words`,
    }))
  );
}
