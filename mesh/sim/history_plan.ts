/**
 * What happens in a random history of whole nodes, as plain data: a seed decides it, and a shorter plan of the same seed
 * can be played as well, which is how a failing history is made small.
 */
import { Seeded } from "./random.ts";

/** How often each act is chosen, beside the others of its history. */
const WEIGHTS = {
  // Machines and networks.
  crash: 4,
  start: 6,
  restart: 4,
  failAtWrite: 5,
  goOff: 2,
  freeze: 2,
  move: 2,
  backUp: 2,
  restore: 1,
  clone: 1,
  partition: 3,
  mute: 2,
  heal: 4,
  weather: 3,
  setClock: 5,
  replay: 3,
  say: 4,
  // People.
  join: 5,
  joinAgain: 2,
  ask: 3,
  approve: 5,
  rename: 4,
  revoke: 3,
  promote: 4,
  demote: 3,
  leave: 1,
  renewIdentity: 2,
  revokeInvite: 2,
  takeMeshKey: 2,
  giveMeshKeyUp: 1,
  recover: 1,
  addGuest: 5,
  renewGuest: 2,
  removeGuest: 3,
  trust: 1,
  untrust: 1,
  // A member without scruple.
  turn: 1,
  lie: 5,
} as const;

export type Act = keyof typeof WEIGHTS;

const ACTS = Object.keys(WEIGHTS) as readonly Act[];

/** One thing that somebody or something does. The numbers choose among what there is then. */
export interface Step {
  /** Virtual ms after the step before. */
  readonly after: number;
  readonly act: Act;
  /** Each 0 .. 2^16-1. */
  readonly who: number;
  readonly whom: number;
  readonly how: number;
}

export interface HistoryPlan {
  readonly seed: number;
  /** Machines that are members before the first step, the founder among them. */
  readonly size: number;
  /** How many of those are admins beside the founder. */
  readonly admins: number;
  /** Whether the second of them has the mesh key, too, as its words were typed in there. */
  readonly hasTwoHolders: boolean;
  /** Errors of the clocks at the beginning, in ms, in the order of the machines. */
  readonly skews: readonly number[];
  readonly steps: readonly Step[];
}

const SIZE = { least: 4, most: 12 };
const STEPS = { least: 15, most: 70 };
/** One act in so many is not there at all in a history, so that the others meet each other more often. */
const LEFT_OUT = 3;
const OUTCOMES = 2 ** 16;

/** The history of a seed. */
export function planOf(seed: number): HistoryPlan {
  const random = new Seeded(seed, 1);
  const size = SIZE.least + random.below(SIZE.most - 4 - SIZE.least);
  const weights = ACTS.map((act) =>
    [act, random.below(LEFT_OUT) === 0 ? 0 : WEIGHTS[act] * random.between(0.3, 3)] as const
  );
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
  const draw = (): Act => {
    let left = random.between(0, total);
    for (const [act, weight] of weights) {
      left -= weight;
      if (left < 0) return act;
    }
    return "start";
  };
  const haste = random.chance(0.4) ? 2_000 : random.chance(0.6) ? 12_000 : 40_000;
  const count = STEPS.least + random.below(STEPS.most - STEPS.least);
  return {
    seed,
    size,
    admins: random.below(Math.min(4, size)),
    hasTwoHolders: random.chance(0.6),
    skews: Array.from({ length: size }, () => random.chance(0.3) ? clockError(random.next()) : 0),
    steps: Array.from({ length: count }, () => ({
      // What people do at once meets on the way.
      after: random.chance(0.3) ? 0 : Math.round(random.between(0, haste)),
      act: draw(),
      who: random.below(OUTCOMES),
      whom: random.below(OUTCOMES),
      how: random.below(OUTCOMES),
    })),
  };
}

/** At most so many machines in one history, those that come later included. */
export const MACHINES_MAX = SIZE.most;

const DAY = 86_400_000;
/** Ms by which clocks are wrong: within the tolerance of 300 s, at its edge, far beyond it, and without a battery. */
const ERRORS = [
  2_000,
  60_000,
  299_000,
  302_000,
  900_000,
  3_600_000,
  2 * DAY,
  40 * DAY,
  400 * DAY,
  20_000 * DAY,
];

/** A clock's error in ms that a number chooses: ahead or behind; one in five is none. */
export function clockError(how: number): number {
  if (how % 5 === 0) return 0;
  const error = ERRORS[Math.floor(how / 10) % ERRORS.length] ?? 0;
  return how % 2 === 0 ? -error : error;
}

/** A step in words. */
export function wordsOf({ after, act, who, whom, how }: Step): string {
  return `+${after} ms ${act} ${who} ${whom} ${how}`;
}
