import assert from "node:assert/strict";
import fc from "fast-check";
import { type Habit, play } from "./trust_history.ts";
import { type ModelMutant, trustModel } from "./trust_model.ts";
import { checkAll, propertyOf } from "./trust_properties.ts";
import { allScripts, honestScripts, type Script, wildScripts } from "./trust_script.ts";

/** One seed, so that a failure is the same everywhere; `./run lab sim trust` plays others. */
const SEED = 7;
const HISTORIES = 2000;

/** Plays histories until one breaks a property; undefined: none did. */
function broken(
  scripts: fc.Arbitrary<Script>,
  numRuns: number,
  check: (script: Script) => void,
): string | undefined {
  const property = fc.property(scripts, check);
  const { failed, errorInstance } = fc.check(property, { seed: SEED, numRuns, endOnFailure: true });
  if (!failed) return undefined;
  return errorInstance instanceof Error ? errorInstance.message : String(errorInstance);
}

Deno.test("trust: after any history all who hold the same statements agree with the oracle", () => {
  const model = trustModel();
  let apart = 0;
  let honest = 0;
  const complaint = broken(allScripts, HISTORIES, (script) => {
    const history = play(script, model);
    if (history.demotionsApart > 0) apart++;
    if (history.isHonest) honest++;
    checkAll(history, model);
  });
  const replay = `replay it: ./run lab sim trust --histories ${HISTORIES} --seed ${SEED}`;
  assert.equal(complaint, undefined, `${complaint}\n${replay}`);
  assert.ok(apart >= HISTORIES / 5, `only ${apart} demote somebody during a partition`);
  assert.ok(honest >= HISTORIES / 4, `only ${honest} are without thieves`);
});

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
  ],
  3: [
    "an admin unmakes admins",
    "a later promotion undoes a demotion",
    "a removal touches an admin",
    "a former admin's removals count",
  ],
  4: [
    "who leaves takes along what it signed",
    "a demotion is a removal",
    "a later certificate undoes a farewell",
  ],
  5: [
    "an older mesh key counts",
    "the first successor stays",
    "the mesh key names its successor",
  ],
  6: ["a token certifies without end"],
  7: [
    "the later certificate has the name",
    "a member's word about itself counts",
    "two members may bear one name",
  ],
  13: [
    "all signers share one room of numbers",
    "a number used twice is not shown",
    "the higher hash counts",
  ],
};

/** The same for what people and their nodes do. */
const HABITS: Readonly<Record<number, readonly Habit[]>> = {
  4: [
    "nothing is signed anew",
    "only members of the demoted are signed anew",
    "the demoted is not asked for its list",
    "a demoted admin is left without a certificate",
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
      const complaint = broken(wildScripts, TRIES, (script) => check(play(script, model), model));
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
