/**
 * A fingerprint of everything that happened in a run, in order: two runs of one seed must agree in
 * it, or something drew time, randomness or order from outside.
 */
export class Trace {
  #low = 0x811c9dc5;
  #high = 0x9e3779b9;
  #length = 0;

  /** Takes one happening into account. */
  note(what: string, ...numbers: readonly number[]): void {
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i));
    for (const number of numbers) {
      // Microseconds: finer than any difference that matters, coarse enough to be exact.
      const whole = Math.round(number * 1000);
      this.#mix(whole | 0);
      this.#mix(Math.floor(whole / 2 ** 32) | 0);
    }
    this.#length++;
  }

  /** How many happenings, and their fingerprint. */
  get hash(): string {
    const digits = (word: number) => (word >>> 0).toString(16).padStart(8, "0");
    return `${this.#length}-${digits(this.#high)}${digits(this.#low)}`;
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul(this.#high ^ this.#low ^ this.#low >>> 15, 0x85ebca6b);
  }
}
