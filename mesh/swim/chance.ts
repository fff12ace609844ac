/** Draws from a source of random bytes. */
import type { Random } from "../machine.ts";

/** A whole number from 0 to `n` - 1, each as likely, for 1 <= n <= 2^32. */
export function below(random: Random, n: number): number {
  const fair = 2 ** 32 - 2 ** 32 % n;
  for (;;) {
    const [a = 0, b = 0, c = 0, d = 0] = random(4);
    const draw = a * 2 ** 24 + (b << 16 | c << 8 | d);
    if (draw < fair) return draw % n;
  }
}

/** A number from 0 up to `n`, excluded. */
export function within(random: Random, n: number): number {
  return below(random, 2 ** 32) / 2 ** 32 * n;
}
