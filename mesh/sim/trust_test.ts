import assert from "node:assert/strict";
import fc from "fast-check";
import { nobleCrypto } from "../noble_crypto.ts";
import { isPlayed } from "./seeds.ts";
import { toyCrypto } from "./toy_crypto.ts";
import { type Habit, play } from "./trust_history.ts";
import { type ModelMutant, trustModel } from "./trust_model.ts";
import { trustProduct } from "./trust_product.ts";
import { checkAll, propertyOf } from "./trust_properties.ts";
import { allScripts, honestScripts, type Script, wildScripts } from "./trust_script.ts";
import type { TrustUnderTest } from "./trust_subject.ts";

/** One seed, so that a failure is the same everywhere; `./run lab sim trust` plays others. */
const SEED = 7;
/** The same for the mutants: one that meets the rarest of them within two hundred histories, not two thousand. */
const MUTANT_SEED = 4;

/** Plays histories until one breaks a property; undefined: none did. */
function broken(
  scripts: fc.Arbitrary<Script>,
  numRuns: number,
  check: (script: Script) => void,
  seed = SEED,
): string | undefined {
  const property = fc.property(scripts, check);
  const { failed, errorInstance } = fc.check(property, { seed, numRuns, endOnFailure: true });
  if (!failed) return undefined;
  return errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
}

/** What shall hold the rules, and how many histories it is put to. */
const SUBJECTS: readonly (readonly [string, TrustUnderTest, number])[] = [
  ["the product", trustProduct(toyCrypto), 2000],
  ["the product with real signatures", trustProduct(nobleCrypto), 10],
  ["the model, which carries the mutants", trustModel(), 200],
];

for (const [name, subject, histories] of SUBJECTS) {
  Deno.test(`trust: after any history all who hold the same statements agree with the oracle: ${name}`, () => {
    let [made, played, apart, honest] = [0, 0, 0, 0];
    const complaint = broken(allScripts, histories, (script) => {
      if (!isPlayed(made++, Deno.env.get("SHOAL_THIRD"))) return;
      played++;
      const history = play(script, subject);
      if (history.demotionsApart > 0) apart++;
      if (history.isHonest) honest++;
      checkAll(history, subject);
    });
    const replay = `replay it: ./run lab sim trust --histories ${histories} --seed ${SEED}`;
    assert.equal(complaint, undefined, `${complaint}\n${replay}`);
    assert.ok(apart >= played / 5, `only ${apart} demote somebody during a partition`);
    assert.ok(honest >= played / 4, `only ${honest} are without thieves`);
  });
}

/** For each invariant the broken rules that its property finds. */
const MUTANTS: Readonly<Record<number, readonly ModelMutant[]>> = {
  1: [
    "a token's key makes admins",
    "an admin makes admins",
    "a foreign mesh's statement counts",
    "a signature is not looked at",
  ],
  2: [
    "the number that arrived first counts",
    "a signer is judged when its statement arrives",
    "the certificate that arrived last counts",
    "who arrives first has a token's place",
    "a certificate of tomorrow hides that of today",
    "a promotion of tomorrow hides the certificate of today",
    "a token's first certificate says how many it admits",
    "a guest is a member",
    "a guest that arrives first has the host's place",
    "a guest that was withdrawn is served",
    "a former admin's guests are served",
    "a token's uses end with the office of its maker",
  ],
  3: [
    "an admin unmakes admins",
    "a later promotion undoes a demotion",
    "a removal touches an admin",
    "an admin's removal waits for the end of an office",
    "a former admin's removals count",
    "the end of a token is the end of a member with its key",
  ],
  4: [
    "who leaves takes along what it signed",
    "a demotion is a removal",
    "a later certificate undoes a farewell",
    "a guest outlives its host",
    "void members are forgotten",
    "void removals are forgotten",
  ],
  5: [
    "an older mesh key counts",
    "the first successor stays",
    "the mesh key names its successor",
  ],
  6: ["a token certifies without end"],
  7: [
    "the later certificate has the name",
    "an admin's name yields to an earlier certificate",
    "a member's word about itself counts",
    "two members may bear one name",
    "a guest has the name of a member",
    "a name may look like one made of a key",
  ],
  13: [
    "all signers share one room of numbers",
    "a number used twice is not shown",
    "the higher hash counts",
    "a number used again undoes an end",
    "what a signer may not say takes a number",
  ],
};

/** The same for what people and their nodes do. */
const HABITS: Readonly<Record<number, readonly Habit[]>> = {
  4: [
    "nothing is signed anew",
    "the demoted is not asked for its list",
    "a demoted admin is left without a certificate",
    "guests are not signed anew",
    "what is signed again keeps no time",
  ],
  5: ["a recovery forgets removals"],
  14: ["signs before it has heard"],
};

/** Enough for every mutant; most are found within a hundred. */
const TRIES = 4000;

for (const [number, mutants] of Object.entries(MUTANTS)) {
  const { check, says } = propertyOf(Number(number));
  for (const mutant of mutants) {
    Deno.test(`trust ${number}, ${says}: finds the mutant "${mutant}"`, () => {
      const model = trustModel(mutant);
      const complaint = broken(
        wildScripts,
        TRIES,
        (script) => check(play(script, model), model),
        MUTANT_SEED,
      );
      assert.notEqual(complaint, undefined, `${TRIES} histories do not find it`);
    });
  }
}

for (const [number, habits] of Object.entries(HABITS)) {
  const { check, says } = propertyOf(Number(number));
  for (const habit of habits) {
    Deno.test(`trust ${number}, ${says}: finds the habit "${habit}"`, () => {
      const model = trustModel();
      const complaint = broken(
        honestScripts,
        TRIES,
        (script) => check(play(script, model, habit), model),
      );
      assert.notEqual(complaint, undefined, `${TRIES} histories do not find it`);
    });
  }
}
