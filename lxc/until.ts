/**
 * Waits until a question is answered with something other than false or undefined, asking every `interval`
 * milliseconds; throws after `timeout` milliseconds, naming what was waited for.
 */
export async function until<T>(
  what: string,
  timeout: number,
  ask: () => Promise<T | false | undefined>,
  interval = 20,
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer;
    if (performance.now() >= deadline) throw new Error(`not within ${timeout} ms: ${what}`);
    await new Promise((wake) => setTimeout(wake, interval));
  }
}
