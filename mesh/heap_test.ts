import assert from "node:assert/strict";
import fc from "fast-check";
import { Heap } from "./heap.ts";

Deno.test("a heap gives what it was given in order, whatever is added and taken in between", () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.nat({ max: 20 }))), (steps) => {
      const heap = new Heap<number>((a, b) => a < b);
      const model: number[] = [];
      for (const step of steps) {
        if (step === null) assert.equal(heap.pop(), model.shift());
        else {
          heap.push(step);
          model.push(step);
          model.sort((a, b) => a - b);
        }
        assert.equal(heap.peek(), model[0]);
        assert.deepEqual([...heap].sort((a, b) => a - b), model);
      }
      heap.clear();
      assert.equal(heap.pop(), undefined);
    }),
  );
});
