import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { OtherVersions, PLACES_MAX, SHOWN_TIME } from "./other_versions.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const place = (n: number, port = 1): Endpoint => ({
  address: Uint8Array.of(192, 0, 2, n),
  port,
  scope: 0,
});

Deno.test("a place that knocks with another version is shown with its version and its last port", () => {
  const others = new OtherVersions();
  others.saw(at(0), 1, place(1));
  others.saw(at(10), 1, place(1, 2));
  others.saw(at(20), 3, place(2));
  assert.deepEqual(others.places(at(30)), [
    { version: 3, endpoint: place(2), at: 20 },
    { version: 1, endpoint: place(1, 2), at: 10 },
  ]);
});

Deno.test("4 places are remembered; the one heard longest ago makes room, and all are counted", () => {
  const others = new OtherVersions();
  for (let n = 0; n < PLACES_MAX; n++) others.saw(at(n), 1, place(n));
  others.saw(at(10), 1, place(2));
  others.saw(at(11), 1, place(PLACES_MAX));
  const hosts = others.places(at(12)).map(({ endpoint }) => endpoint.address[3]);
  assert.deepEqual(hosts, [PLACES_MAX, 2, 3, 1]);
  for (let n = 0; n < 1000; n++) others.saw(at(20), 1, place(n % 256, n));
  assert.equal(others.places(at(20)).length, PLACES_MAX);
  assert.equal(others.count, PLACES_MAX + 2 + 1000);
});

Deno.test("a place that is silent for ten minutes is shown no longer", () => {
  const others = new OtherVersions();
  others.saw(at(0), 1, place(1));
  assert.equal(others.places(at(SHOWN_TIME)).length, 1);
  assert.equal(others.places(at(SHOWN_TIME + 1)).length, 0);
});
