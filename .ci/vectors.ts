/**
 * Tests from public vectors, which do not stand in this repository: JSON files in `SHOAL_VECTORS`
 * or in `../shared/vectors` beside the checkout. Where neither exists the test says that it is
 * skipped; with `CI=true` it fails instead.
 */
import { fileURLToPath } from "node:url";
import { testUnless } from "./skip.ts";

const FOLDER = Deno.env.get("SHOAL_VECTORS") ??
  fileURLToPath(new URL("../../shared/vectors", import.meta.url));

/** Registers a test over the parsed content of a vector file; `T` is what the caller expects in it. */
export function testVectors<T>(file: string, name: string, fn: (vectors: T) => void): void {
  const path = `${FOLDER}/${file}`;
  let text: string | undefined;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const thing = text === undefined ? `no vectors at ${path}: set SHOAL_VECTORS` : undefined;
  testUnless({ thing }, name, () => fn(JSON.parse(text ?? "") as T));
}
