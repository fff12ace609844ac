/** The last lines that a program said, read as they come so that it never waits for us. */
export class Tail {
  static readonly LINES = 40;
  /** Resolves when the program has closed the stream. */
  readonly ended: Promise<void>;
  readonly #lines: string[] = [];

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#read(stream);
  }

  /** At most the last `LINES` lines. */
  get text(): string {
    return this.#lines.join("\n");
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let open = "";
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (open + piece).split("\n");
      open = lines.pop() ?? "";
      this.#lines.push(...lines);
      this.#lines.splice(0, this.#lines.length - Tail.LINES);
    }
    if (open !== "") this.#lines.push(open);
  }
}
