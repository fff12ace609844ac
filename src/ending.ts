/** Why the program ends, and what the shell is told. */
type End =
  | { readonly kind: "asked"; readonly why: string }
  /** `error` may be a Failure, which is shown, or a defect, which keeps its stack. */
  | { readonly kind: "defect"; readonly error: unknown };

/** The one place where the end of a long-lived program is decided; the first reason counts. */
export class Ending {
  readonly #decided = Promise.withResolvers<End>();
  readonly reason: Promise<End> = this.#decided.promise;
  readonly ask = (why: string): void => this.#decide({ kind: "asked", why });
  readonly defect = (error: unknown): void => this.#decide({ kind: "defect", error });
  #isDecided = false;

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => this.ask(signal));
    }
    globalThis.addEventListener("error", (event) => this.#uncaught(event, event.error));
    globalThis.addEventListener("unhandledrejection", (event) => {
      this.#uncaught(event, event.reason);
    });
  }

  #decide(end: End): void {
    this.#isDecided = true;
    this.#decided.resolve(end);
  }

  /** What is thrown after the end was decided goes the run time's way: its message and code 1. */
  #uncaught(event: Event, error: unknown): void {
    if (this.#isDecided) return;
    event.preventDefault();
    this.defect(error);
  }
}
