/** R40 to R43: the mirror of core's session slots. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Slot, type SlotChange, Slots } from "./slots.ts";

function slot(localIndex: number): Slot {
  return { localIndex, birth: 0 };
}

function indices(slots: readonly Slot[]): number[] {
  return slots.map(({ localIndex }) => localIndex);
}

Deno.test("R41: an initiator's session is current at once, the old current is kept to receive", () => {
  const slots = new Slots();
  assert.deepEqual(slots.installInitiator(slot(1)).freed, []);
  assert.deepEqual(slots.installInitiator(slot(2)).freed, []);
  assert.equal(slots.current?.localIndex, 2);
  assert.deepEqual(indices(slots.all), [1, 2]);
  assert.deepEqual(indices(slots.installInitiator(slot(3)).freed), [1]);
});

Deno.test("R41: an unconfirmed next becomes previous, and the old current is freed", () => {
  const slots = new Slots();
  slots.installInitiator(slot(1));
  slots.installInitiator(slot(2));
  slots.installResponder(slot(3));
  assert.deepEqual(indices(slots.installInitiator(slot(4)).freed), [2]);
  assert.deepEqual(indices(slots.all), [3, 4]);
});

Deno.test("R42: a responder's session waits in next, previous and an older next are freed", () => {
  const slots = new Slots();
  slots.installInitiator(slot(1));
  slots.installInitiator(slot(2));
  assert.deepEqual(indices(slots.installResponder(slot(3)).freed), [1]);
  assert.equal(slots.current?.localIndex, 2, "it does not send");
  assert.deepEqual(indices(slots.installResponder(slot(4)).freed), [3]);
  assert.deepEqual(indices(slots.all), [2, 4]);
});

Deno.test("R43: the first packet moves next to current and current to previous", () => {
  const slots = new Slots();
  slots.installInitiator(slot(1));
  slots.installResponder(slot(2));
  assert.deepEqual(slots.confirm(2), { freed: [] });
  assert.equal(slots.current?.localIndex, 2);
  assert.deepEqual(indices(slots.all), [1, 2]);
  assert.equal(slots.confirm(2), undefined, "only once");
  assert.equal(slots.confirm(9), undefined, "nor one that nobody waits for");
});

Deno.test("R61: clearing frees all three", () => {
  const slots = new Slots();
  slots.installInitiator(slot(1));
  slots.installInitiator(slot(2));
  slots.installResponder(slot(3));
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
      const apply = (change: SlotChange | undefined) => {
        for (const { localIndex } of change?.freed ?? []) assert.ok(live.delete(localIndex));
        if (change?.restored) live.add(change.restored.localIndex);
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
          // A mailbox is drained within milliseconds, and installations of a peer are 20 ms apart:
          // at most one confirmation is under way.
          while (unheard.length > 1) hear();
          live.add(i);
          if (kind === "responder") {
            core.installResponder(slot(i));
            apply(mirror.installResponder(slot(i)));
            next = i;
          } else {
            core.installInitiator(slot(i));
            apply(mirror.installInitiator(slot(i)));
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
