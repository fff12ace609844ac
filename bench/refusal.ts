/** Something that was asked of a benchmark cannot be done; the message says what to do instead. */
export class Refusal extends Error {
  override name = "Refusal";
}
