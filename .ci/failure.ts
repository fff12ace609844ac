/** What a person is told when something is refused, as a test expects it. */
import assert from "node:assert/strict";

/** Calls, and expects a Failure with this exit code and a text like this. */
export function failsWith(code: number, text: RegExp, call: () => unknown): void {
  assert.throws(
    call,
    (error: { readonly name: string; readonly code: number; message: string }) => {
      assert.equal(error.name, "Failure", error.message);
      assert.equal(error.code, code, error.message);
      assert.match(error.message, text);
      return true;
    },
  );
}
