/** A member that slept for long, or could reach nobody, and is there again. */
import assert from "node:assert/strict";
import { village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;
/** Milliseconds after which all hold all alive. Who wakes asks the others at once. */
const AWAKE = 10 * SECOND;
/** Where a network heals nobody knows that, and to a place that was silent for long something goes once in 15 s. */
const HEALED = 17 * SECOND;
const LOOK = 250;

const CASES: readonly (readonly [members: number, hours: number, seeds: number])[] = [
  [2, 0.3, 4],
  [5, 0.3, 4],
  [9, 0.3, 3],
  [3, 4, 1],
];

for (const [members, hours, seeds] of CASES) {
  for (const isAsleep of [true, false]) {
    const bound = isAsleep ? AWAKE : HEALED;
    const what = isAsleep ? "sleeps" : "reaches nobody";
    Deno.test(`a member of ${members} that ${what} for ${hours} h is held alive by all ${bound / SECOND} s later, and from then on, and holds them so`, () => {
      for (let seed = 1; seed <= seeds; seed++) {
        const names = Array.from({ length: members - 1 }, (_, i) => `n${i + 1}`);
        const { lab, all, others: [sleeper] } = village(toyCrypto, names, seed);
        assert.ok(sleeper);
        lab.run(60 * SECOND);
        const rest = all.filter((one) => one !== sleeper);
        // What comes while a machine sleeps is lost.
        lab.network.partition(rest.map(({ address }) => address), [sleeper.address]);
        if (isAsleep) sleeper.host.freeze(hours * HOUR);
        lab.run(hours * HOUR - 1);
        lab.network.heal();
        const states = new Map<string, string[]>();
        for (let ms = 0; ms < 90 * SECOND; ms += LOOK) {
          lab.run(LOOK);
          for (const one of all) {
            for (const { key, state } of one.node.status(one.now()).peers) {
              const pair = `${one.wish.name} of ${key.slice(0, 8)}`;
              const known = states.get(pair) ?? [];
              states.set(pair, known.at(-1) === state ? known : [...known, state]);
              if (ms >= bound) assert.equal(state, "alive", `seed ${seed}, ${ms} ms: ${pair}`);
            }
          }
        }
        for (const [pair, seen] of states) {
          const sinceAlive = seen.slice(seen.indexOf("alive"));
          assert.ok(!sinceAlive.includes("dead"), `seed ${seed}: ${pair}: ${seen}`);
          const suspicions = sinceAlive.filter((state) => state === "suspect");
          assert.ok(suspicions.length <= 1, `seed ${seed}: ${pair}: ${seen}`);
        }
      }
    });
  }
}
