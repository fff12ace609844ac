/**
 * Pure functions of byte strings that take half a millisecond and more: in a laboratory every member checks the same
 * signatures and looks up the same keys.
 */

/** How many answers one function keeps. */
const ANSWERS_MAX = 8192;

/**
 * The same function, which computes only what it was not asked before. What throws is not kept.
 * @param fresh makes a copy of an answer: the caller may change what it gets
 * @param max how many answers are kept; the oldest makes room
 */
export function remembered<A extends readonly Uint8Array[], R>(
  fresh: (answer: R) => R,
  compute: (...args: A) => R,
  max = ANSWERS_MAX,
): (...args: A) => R {
  const answers = new Map<string, { readonly answer: R }>();
  return (...args) => {
    const asked = args.map((bytes) => bytes.toHex()).join();
    let known = answers.get(asked);
    if (known === undefined) {
      known = { answer: compute(...args) };
      const [oldest] = answers.keys();
      if (answers.size === max && oldest !== undefined) answers.delete(oldest);
      answers.set(asked, known);
    }
    return fresh(known.answer);
  };
}
