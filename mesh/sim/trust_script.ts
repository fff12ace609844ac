/**
 * What befalls a mesh, as plain numbers that fast-check makes and shortens. trust_history.ts gives each number its
 * meaning in the situation that it meets, so every script can be played.
 */
import fc from "fast-check";

/** How common each act is: the rare ones end or hinder most of what could follow. */
const HONEST = {
  promote: 3,
  demote: 3,
  revoke: 2,
  revokeAdmin: 2,
  leave: 1,
  invite: 3,
  join: 5,
  certify: 2,
  approve: 4,
  recover: 1,
  revokeToken: 1,
  rollback: 1,
  addGuest: 3,
  endGuest: 1,
} as const;

const NETWORK = { split: 1, heal: 2, meet: 3, gossip: 3, replay: 1, wait: 2 } as const;

const MALICE = {
  steal: 2,
  stealMeshKey: 1,
  forge: 12,
  reuseNumber: 6,
  pretend: 3,
  sayElsewhere: 2,
  overuse: 3,
  lateJoin: 2,
  promoteAgain: 2,
} as const;

export type Act = keyof typeof HONEST | keyof typeof NETWORK | keyof typeof MALICE;

export interface Step {
  readonly act: Act;
  /** Who does it, to whom, and how: each taken modulo the choices that there are. */
  readonly by: number;
  readonly to: number;
  readonly how: number;
}

export interface Script {
  /** How each node but the founder begins. */
  readonly nodes: readonly number[];
  readonly steps: readonly Step[];
}

type Weights = Readonly<Partial<Record<Act, number>>>;

function stepOf(act: fc.Arbitrary<Act>): fc.Arbitrary<Step> {
  const number = fc.noBias(fc.nat(255));
  return fc.record({ act, by: number, to: number, how: number });
}

function steps(weights: Weights, maxLength: number): fc.Arbitrary<Step[]> {
  const acts = Object.entries(weights).flatMap(([act, weight]) => Array(weight).fill(act));
  return fc.array(stepOf(fc.constantFrom<Act>(...acts)), { maxLength, size: "max" });
}

/** One step of this kind. */
function one(act: Act): fc.Arbitrary<Step[]> {
  return stepOf(fc.constant(act)).map((step) => [step]);
}

function scripts(acts: Weights): fc.Arbitrary<Script> {
  const some = steps(acts, 14);
  const plain = steps(acts, 40);
  // Somebody is demoted while the mesh is in two parts.
  const apart = fc.tuple(
    steps(acts, 6),
    one("promote"),
    one("gossip"),
    one("split"),
    some,
    one("demote"),
    some,
    one("heal"),
    some,
  ).map((parts) => parts.flat());
  return fc.record({
    nodes: fc.array(fc.nat(15), { minLength: 1, maxLength: 7, size: "max" }),
    steps: fc.oneof({ weight: 1, arbitrary: plain }, { weight: 1, arbitrary: apart }),
  });
}

/** Nobody does what the rules do not intend. */
export const honestScripts: fc.Arbitrary<Script> = scripts({ ...HONEST, ...NETWORK });

/** Any key but a mesh key that is in force may be in a thief's hands. */
export const wildScripts: fc.Arbitrary<Script> = scripts({ ...HONEST, ...NETWORK, ...MALICE });

export const allScripts: fc.Arbitrary<Script> = fc.oneof(honestScripts, wildScripts);
