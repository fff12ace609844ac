/**
 * Which seeds the searches of the fast set play: of each search a third a day, so that three days play all of them. The
 * third is what SHOAL_THIRD=0|1|2 says (`./run test --day` sets it); all are played where nobody says.
 */

/** Whether the seed, or the history of this number, is among those of the third. */
export function isPlayed(number: number, third: string | undefined): boolean {
  return third === undefined || number % 3 === Number(third);
}

/** Those of the seeds 1 to `count` that are played. */
export function seedsUpTo(count: number, third: string | undefined): number[] {
  return Array.from({ length: Math.ceil(count) }, (_, i) => i + 1)
    .filter((seed) => isPlayed(seed, third));
}
