/** Why the program ends, and what the shell is told. */
type End =
  | { readonly kind: "asked"; readonly why: string }
  /** `error` may be a Failure, which is shown, or a defect, which keeps its stack. */
  | { readonly kind: "defect"; readonly error: unknown };

/** The one place where the end of a long-lived program is decided; the first reason counts. */
export class Ending {
  readonly #decided = Promise.withResolvers<End>();
  readonly reason: Promise<End> = this.#decided.promise;
  readonly ask = (why: string): void => this.#decided.resolve({ kind: "asked", why });
  readonly defect = (error: unknown): void => this.#decided.resolve({ kind: "defect", error });

  constructor() {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => this.ask(signal));
    }
    globalThis.addEventListener("error", (event) => {
      event.preventDefault();
      this.defect(event.error);
    });
    globalThis.addEventListener("unhandledrejection", (event) => {
      event.preventDefault();
      this.defect(event.reason);
    });
  }
}
