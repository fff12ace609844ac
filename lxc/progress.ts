/** What long work is doing: one line that changes on a terminal, plain lines elsewhere. Goes to stderr. */
export class Progress {
  readonly #total: number;
  readonly #live = Deno.stderr.isTerminal();
  readonly #begin = performance.now();
  #done = 0;

  /** @param total how many steps there will be */
  constructor(total: number) {
    this.#total = total;
  }

  /** The next step begins. */
  step(what: string): void {
    this.#done++;
    const seconds = ((performance.now() - this.#begin) / 1000).toFixed(0);
    const line = `[${this.#done}/${this.#total}] ${seconds} s  ${what}`;
    this.#write(this.#live ? `\r\x1b[K${line}` : `${line}\n`);
  }

  /** The work is over: the changing line goes. */
  end(): void {
    if (this.#live) this.#write("\r\x1b[K");
  }

  #write(text: string): void {
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}
