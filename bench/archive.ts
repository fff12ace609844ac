/** The folder that keeps a result: `data.json`, `plot.svg` and a page in `README.md`. */
import { plot } from "./plot.ts";
import { page, type Result } from "./result.ts";

/** Writes a result into a folder, which is made when it is missing. */
export async function keep(result: Result, folder: string): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeTextFile(`${folder}/data.json`, JSON.stringify(result, null, 1) + "\n");
  await plot(result, `${folder}/plot.svg`);
  await Deno.writeTextFile(`${folder}/README.md`, page(result));
}
