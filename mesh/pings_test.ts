import assert from "node:assert/strict";
import { decodePing, decodePong, encodePing, encodePong, Pings, PINGS_MAX } from "./pings.ts";
import { PING_MIN } from "./pings.ts";

const ping = (nonce: number, until = 100) => ({
  who: { id: "a", name: "anna" },
  nonce,
  sentAt: 0,
  until,
  places: new Map(),
  isAsked: true,
});

Deno.test("a ping is answered once, by whom it was sent to", () => {
  const pings = new Pings();
  pings.add(ping(7));
  assert.equal(pings.answered("b", 7), undefined);
  assert.equal(pings.answered("a", 8), undefined);
  assert.equal(pings.answered("a", 7)?.nonce, 7);
  assert.equal(pings.answered("a", 7), undefined);
});

Deno.test("1,024 pings can wait; the next one makes the oldest count as lost", () => {
  const pings = new Pings();
  for (let nonce = 0; nonce < PINGS_MAX; nonce++) assert.equal(pings.add(ping(nonce)), undefined);
  assert.equal(pings.add(ping(PINGS_MAX))?.nonce, 0);
  assert.ok(!pings.has(0));
});

Deno.test("a ping is lost when its time is over, which the deadline says", () => {
  const pings = new Pings();
  pings.add(ping(1, 50));
  pings.add(ping(2, 90));
  assert.equal(pings.deadline()?.at, 50);
  const lost = pings.overdue({ boot: 50, wall: 0 }).map(({ nonce }) => nonce);
  assert.deepEqual(lost, [1]);
  assert.equal(pings.deadline()?.at, 90);
});

Deno.test("T34: an answer is never longer than its ping, and a shorter ping gets none", () => {
  const observed = { address: new Uint8Array(16), port: 65535, scope: 0 };
  const pong = encodePong(1, 2, observed);
  assert.ok(pong.length <= PING_MIN);
  assert.deepEqual(decodePong(pong), { ok: true, value: { nonce: 1, token: 2, observed } });
  assert.deepEqual(decodePing(encodePing(5, 6, PING_MIN)), {
    ok: true,
    value: { nonce: 5, token: 6 },
  });
  assert.ok(!decodePing(encodePing(5, 6, PING_MIN - 1)).ok);
});
