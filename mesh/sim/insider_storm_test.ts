import { insiderStorm } from "./insider_storm.ts";
import { seedsUpTo } from "./seeds.ts";
import { toyCrypto } from "./toy_crypto.ts";

/** SHOAL_SEEDS=N plays that many of the storms of swim, and this share here. */
const COUNT = Number(Deno.env.get("SHOAL_SEEDS") ?? 1000) / 80;
const SEEDS = seedsUpTo(COUNT, Deno.env.get("SHOAL_THIRD"));

Deno.test("T38, T41: an insider beside any storm cuts off no honest member, moves no name and no address, and fills no table", () => {
  const healed: number[] = [];
  for (const seed of SEEDS) {
    try {
      healed.push(insiderStorm(toyCrypto, seed).healed);
    } catch (error) {
      throw new Error(`insider storm ${seed}`, { cause: error });
    }
  }
  console.log(
    `${SEEDS.length} storms; all agree after ${(Math.max(...healed) / 1000).toFixed(1)} s at most`,
  );
});
