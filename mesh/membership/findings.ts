/**
 * What the statements about one key say together, kept until one of them, or whose word counts, changes.
 * An admin's key can sign 16,384 statements about one member, and every node asks with each datagram
 * whether it has been put out: what counts must not be looked for among all of them each time.
 */

/** What is found by the time at which it is asked: the latest that is not signed after that. */
interface Timely<T> {
  readonly found: T | undefined;
  /** Unix seconds: it is the same from here on, and no longer from there on. */
  readonly from: number;
  readonly to: number;
}

/** Times that are remembered of one question: now, and whenever. */
const TIMES = 2;

/** The answers to questions about one key. */
export class Findings {
  readonly #answers = new Map<string, unknown>();
  readonly #timely = new Map<string, readonly Timely<unknown>[]>();

  /** @param epoch see {@link Findings.epoch}: who has the right to what when these were found */
  constructor(readonly epoch: number) {}

  /** The answer to a question, looked for if it was not asked before. */
  of<T>(question: string, find: () => T): T {
    if (this.#answers.has(question)) return this.#answers.get(question) as T;
    const answer = find();
    this.#answers.set(question, answer);
    return answer;
  }

  /**
   * The latest of those that were not signed after a time.
   * @param all those that count
   */
  latest<T extends Signed>(
    question: string,
    before: number,
    all: () => Iterable<T>,
  ): T | undefined {
    const known = (this.#timely.get(question) ?? []) as readonly Timely<T>[];
    const fits = known.find(({ from, to }) => from <= before && (before < to || to === Infinity));
    if (fits) return fits.found;
    const answer = latestOf(all(), before);
    this.#timely.set(question, [answer, ...known].slice(0, TIMES));
    return answer.found;
  }
}

interface Signed {
  /** Unix seconds. */
  readonly at: number;
  readonly hash: string;
}

/** The latest of those that were not signed after a time, and for which times that is so. */
export function latestOf<T extends Signed>(all: Iterable<T>, before: number): Timely<T> {
  let found: T | undefined;
  let to = Infinity;
  for (const one of all) {
    if (one.at > before) to = Math.min(to, one.at);
    else if (found === undefined || isLater(one, found)) found = one;
  }
  return { found, from: found?.at ?? -Infinity, to };
}

/** Of two certificates of one key: the one signed last, then the lower hash. */
function isLater(a: Signed, b: Signed): boolean {
  return a.at !== b.at ? a.at > b.at : a.hash < b.hash;
}
