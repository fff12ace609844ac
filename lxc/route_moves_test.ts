/** The machine's network changes under a tunnel: the way out moves, its addresses stay. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { routeMovesUnderDevices, routeMovesUnderNodes } from "./gaps/route_moves.ts";
import { missingRight } from "./right.ts";

/** Milliseconds: the outcome that is asked for; a handshake that gives up on a source takes fifteen times as long (R54). */
const GAP = 1_000;

for (
  const [who, measure] of [
    ["devices", routeMovesUnderDevices],
    ["nodes of a mesh", routeMovesUnderNodes],
  ] as const
) {
  testUnless(
    { right: await missingRight() },
    `R54: an uplink loses its carrier, its address stays, and the route moves: traffic of ${who} goes on within a second`,
    async () => {
      const { value, places } = await measure();
      assert.ok(value <= GAP, `${value} ms without an answer`);
      assert.match(
        places,
        /\b10\.1\.0\.1:51820\b/,
        "the peer hears us from the address of the way out",
      );
    },
  );
}
