/**
 * `./run lab sim trust`: histories of a mesh's statements, with thieves and partitions, in which the product is compared
 * with the oracle and the properties of trust. fast-check makes them from a seed and shortens the one that fails.
 */
import fc from "fast-check";
import { parseArgs } from "node:util";
import { play } from "../mesh/sim/trust_history.ts";
import { trustProduct } from "../mesh/sim/trust_product.ts";
import { checkAll } from "../mesh/sim/trust_properties.ts";
import { allScripts } from "../mesh/sim/trust_script.ts";
import { toyCrypto } from "../mesh/sim/toy_crypto.ts";
import { Progress } from "./progress.ts";

const USAGE = `usage: ./run lab sim trust [--histories COUNT] [--seed N] [--path PATH]

Plays --histories (default 2,000) that --seed (default 1) decides, and checks of the product each invariant that is
about statements; its signatures are those of the simulator, which cost nothing.
A failure is shortened and printed; --path plays only the failing history of that seed.`;

/** Histories between two lines of progress. */
const STRIDE = 1000;

/** @returns the exit code */
export function simulateTrust(args: string[]): number {
  const options = read(args);
  if (typeof options === "string") {
    console.log(options === "" ? USAGE : `sim trust: ${options}\n\n${USAGE}`);
    return options === "" ? 0 : 2;
  }
  const { seed, histories, path } = options;
  const product = trustProduct(toyCrypto);
  const progress = new Progress(Math.ceil(histories / STRIDE));
  const count = { histories: 0, apart: 0, thieves: 0 };
  const property = fc.property(allScripts, (script) => {
    if (count.histories++ % STRIDE === 0) progress.step(`history ${count.histories}`);
    const history = play(script, product);
    if (history.demotionsApart > 0) count.apart++;
    if (!history.isHonest) count.thieves++;
    checkAll(history, product);
  });
  const result = fc.check(property, {
    seed,
    numRuns: histories,
    ...path === undefined ? {} : { path },
  });
  progress.end();
  if (!result.failed) {
    console.log(JSON.stringify({ seed, ...count }));
    return 0;
  }
  const [script] = result.counterexample ?? [];
  if (script !== undefined) console.error(play(script, product).log.join("\n"));
  const { errorInstance } = result;
  console.error(errorInstance instanceof Error ? errorInstance.message : errorInstance);
  const place = result.counterexamplePath === null ? "" : ` --path ${result.counterexamplePath}`;
  console.error(
    `replay it: ./run lab sim trust --seed ${seed} --histories ${histories}${place}`,
  );
  return 1;
}

interface Options {
  readonly seed: number;
  readonly histories: number;
  readonly path: string | undefined;
}

/** What to play; a text says what is wrong, an empty one asks for help. */
function read(args: string[]): Options | string {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        seed: { type: "string", default: "1" },
        histories: { type: "string", default: "2000" },
        path: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (values.help) return "";
  const [seed, histories] = [Number(values.seed), Number(values.histories)];
  if (!Number.isSafeInteger(seed) || seed < 0 || seed >= 2 ** 31) {
    return `--seed ${values.seed} is no whole number from 0 to ${2 ** 31 - 1}`;
  }
  if (!Number.isSafeInteger(histories) || histories < 1) {
    return `--histories ${values.histories} is no whole number from 1 on`;
  }
  if (values.path !== undefined && !/^\d+(?::\d+)*$/.test(values.path)) {
    return `--path ${values.path} is not what a failure printed: numbers with ':' between them`;
  }
  return { seed, histories, path: values.path };
}
