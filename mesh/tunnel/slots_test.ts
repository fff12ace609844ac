/** R40 to R43: the mirror of core's session slots. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Slot, type SlotChange, Slots } from "./slots.ts";

function slot(localIndex: number): Slot {
  return { localIndex, birth: 0, suite: "chacha20-poly1305" };
}

function indices(slots: readonly Slot[]): number[] {
  return slots.map(({ localIndex }) => localIndex);
}

Deno.test("R41: an initiator's session is current at once, the old current is kept to receive", () => {
  const slots = new Slots();
  assert.deepEqual(slots.install("initiator", slot(1)).freed, []);
  assert.deepEqual(slots.install("initiator", slot(2)).freed, []);
  assert.equal(slots.current?.localIndex, 2);
  assert.deepEqual(indices(slots.all), [1, 2]);
  assert.deepEqual(indices(slots.install("initiator", slot(3)).freed), [1]);
});

Deno.test("R41: an unconfirmed next becomes previous, and the old current is freed", () => {
  const slots = new Slots();
  slots.install("initiator", slot(1));
  slots.install("initiator", slot(2));
  slots.install("responder", slot(3));
  assert.deepEqual(indices(slots.install("initiator", slot(4)).freed), [2]);
  assert.deepEqual(indices(slots.all), [3, 4]);
});

Deno.test("R42, ours for members: a responder's session that is not confirmed frees none but an older one", () => {
  const slots = new Slots();
  slots.install("initiator", slot(1), true);
  slots.install("initiator", slot(2), true);
  assert.deepEqual(slots.install("responder", slot(3), true).freed, []);
  assert.deepEqual(indices(slots.install("responder", slot(4), true).freed), [3]);
  assert.deepEqual(indices(slots.all), [1, 2, 4]);
  // Core had it confirmed before: that is put where it belongs, and the last is kept.
  assert.deepEqual(indices(slots.confirm(3)?.added ?? []), [3]);
  assert.deepEqual(indices(slots.all), [2, 3, 4]);
});

Deno.test("R42: a responder's session waits in next, previous and an older next are freed", () => {
  const slots = new Slots();
  slots.install("initiator", slot(1));
  slots.install("initiator", slot(2));
  assert.deepEqual(indices(slots.install("responder", slot(3)).freed), [1]);
  assert.equal(slots.current?.localIndex, 2, "it does not send");
  assert.deepEqual(indices(slots.install("responder", slot(4)).freed), [3]);
  assert.deepEqual(indices(slots.all), [2, 4]);
});

Deno.test("R43: the first packet moves next to current and current to previous", () => {
  const slots = new Slots();
  slots.install("initiator", slot(1));
  slots.install("responder", slot(2));
  assert.deepEqual(slots.confirm(2), { freed: [], added: [] });
  assert.equal(slots.current?.localIndex, 2);
  assert.deepEqual(indices(slots.all), [1, 2]);
  assert.equal(slots.confirm(2), undefined, "only once");
  assert.equal(slots.confirm(9), undefined, "nor one that nobody waits for");
});

Deno.test("R61: clearing frees all three", () => {
  const slots = new Slots();
  slots.install("initiator", slot(1));
  slots.install("initiator", slot(2));
  slots.install("responder", slot(3));
  assert.deepEqual(indices(slots.clear().freed), [2, 3]);
  assert.deepEqual(slots.all, []);
  assert.equal(slots.confirm(3), undefined);
});

Deno.test("R40: with confirmations that come late, the mirror ends where core is", () => {
  // Core confirms when a packet comes; we hear of it some installations later, in order.
  const event = fc.constantFrom("initiator", "responder", "packet", "hear");
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const core = new Slots();
      const mirror = new Slots();
      const live = new Set<number>();
      const unheard: number[] = [];
      let installations = 0;
      const apply = (change: SlotChange | undefined) => {
        for (const { localIndex } of change?.freed ?? []) assert.ok(live.delete(localIndex));
        for (const { localIndex } of change?.added ?? []) live.add(localIndex);
      };
      const hear = () => {
        const index = unheard.shift();
        if (index !== undefined) apply(mirror.confirm(index));
      };
      let next: number | undefined;
      for (const [i, kind] of events.entries()) {
        if (kind === "packet" && next !== undefined) {
          core.confirm(next);
          unheard.push(next);
          next = undefined;
        } else if (kind === "hear") hear();
        else if (kind === "initiator" || kind === "responder") {
          // Eight are remembered; no mail is so late.
          if (unheard.length === 0) installations = 0;
          if (++installations > 8) { while (unheard.length > 0) hear(); }
          if (kind === "responder") {
            core.install("responder", slot(i));
            apply(mirror.install("responder", slot(i)));
            next = i;
          } else {
            core.install("initiator", slot(i));
            apply(mirror.install("initiator", slot(i)));
            next = undefined;
          }
        }
        if (unheard.length === 0) assert.deepEqual(mirror.all, core.all);
        assert.deepEqual([...live].sort(), indices(mirror.all).sort());
      }
    }),
    { numRuns: 2000 },
  );
});
