/**
 * Long work in slices. Everything of this program happens in one thread, so that a request with
 * 60,000 peers would keep core's mail, timers and other clients waiting. Work is a generator that
 * yields after each small step; pieces of work go round, and after {@link SLICE_MS} everything else
 * of the program gets its turn.
 */

/** Yields where it may be interrupted: at least once in a few hundred microseconds. */
export type Work<T> = Generator<void, T, void>;

/** Milliseconds after which the rest of the program gets its turn. */
export const SLICE_MS = 8;

interface Task {
  readonly work: Work<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

export class Turns {
  readonly #tasks: Task[] = [];
  #isWaiting = false;
  #isStopped = false;

  /**
   * @param now milliseconds of any clock
   * @param later calls back once the rest of the program has had its turn
   */
  constructor(
    private readonly now: () => number = () => performance.now(),
    private readonly later: (turn: () => void) => void = afterOthers,
  ) {}

  /** Does the work, beside what runs already. The promise stays open when all is stopped first. */
  run<T>(work: Work<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (this.#isStopped) work.return(undefined as T);
    else this.#tasks.push({ work, resolve, reject });
    this.#wait();
    return promise;
  }

  /** Ends all work where it is, `finally` blocks included; nothing is begun afterwards. */
  stop(): void {
    this.#isStopped = true;
    for (const { work } of this.#tasks.splice(0)) work.return(undefined);
  }

  #wait(): void {
    if (this.#isWaiting || this.#isStopped || this.#tasks.length === 0) return;
    this.#isWaiting = true;
    this.later(() => {
      this.#isWaiting = false;
      this.#turn();
      this.#wait();
    });
  }

  #turn(): void {
    const end = this.now() + SLICE_MS;
    do {
      const task = this.#tasks.shift();
      if (task === undefined) return;
      if (!this.#advance(task, end)) this.#tasks.push(task);
    } while (this.now() < end);
  }

  /** @returns whether the work is done, or failed */
  #advance({ work, resolve, reject }: Task, end: number): boolean {
    try {
      do {
        const { done, value } = work.next();
        if (done) {
          resolve(value as never);
          return true;
        }
      } while (this.now() < end);
      return false;
    } catch (error) {
      reject(error);
      return true;
    }
  }
}

/** By a timer: the run time lets sixty immediates pass before it looks at a socket again. */
function afterOthers(turn: () => void): void {
  setTimeout(turn, 0);
}
