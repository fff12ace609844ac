/**
 * Places for requests. A request is held in memory from its first byte until its answer is taken; so
 * many may be at once, others wait for a place in the order in which they came. A client that leaves
 * its own request unfinished, or its answer untaken, loses the place to one that waits.
 */

/** How often holders are looked at while somebody waits. */
const LOOK_MS = 250;

/** One request's place. */
export class Place {
  #spentMs = 0;
  #since: number | undefined;

  constructor(private readonly now: () => number, readonly onLost: () => void) {}

  /** Waits for something that the client has to do: send the rest, or take the answer. */
  async awaitClient<T>(done: Promise<T>): Promise<T> {
    const since = this.now();
    this.#since = since;
    try {
      return await done;
    } finally {
      this.#spentMs += this.now() - since;
      this.#since = undefined;
    }
  }

  /** Milliseconds that the client was waited for in all; undefined: it is not its turn. */
  get awaitedMs(): number | undefined {
    return this.#since === undefined ? undefined : this.#spentMs + this.now() - this.#since;
  }
}

interface PlacesOptions {
  readonly count: number;
  /** Milliseconds that a client may let others wait in all, in one request. */
  readonly patienceMs: number;
  /** Milliseconds of any clock. */
  readonly now: () => number;
}

export class Places {
  readonly #held = new Set<Place>();
  readonly #waiting: { readonly place: Place; readonly resolve: (place: Place) => void }[] = [];
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: PlacesOptions) {}

  /** @param onLost called when others wait and the patience with this client is at its end */
  take(onLost: () => void): Promise<Place> {
    const place = new Place(this.options.now, onLost);
    if (this.#held.size < this.options.count) {
      this.#held.add(place);
      return Promise.resolve(place);
    }
    const { promise, resolve } = Promise.withResolvers<Place>();
    this.#waiting.push({ place, resolve });
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS);
    return promise;
  }

  free(place: Place): void {
    this.#held.delete(place);
    const next = this.#waiting.shift();
    if (next !== undefined) {
      this.#held.add(next.place);
      next.resolve(next.place);
    }
    if (this.#waiting.length === 0) this.stop();
  }

  /** Nobody loses a place any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** No more lose their place than wait for one. */
  #look(): void {
    const late = [...this.#held].filter(({ awaitedMs = 0 }) =>
      awaitedMs >= this.options.patienceMs
    );
    for (const place of late.slice(0, this.#waiting.length)) place.onLost();
  }
}
