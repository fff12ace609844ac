/** A member starts anew while another one, that is not the founder, keeps sending to it (issue 8, kind 2). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { restartAfter } from "./gaps/restart.ts";
import { missingRight } from "./right.ts";

/**
 * Milliseconds beyond the restart itself that are waited for; R12 alone would take 15,000. The bound of a second is held
 * in the simulator (mesh/restart_test.ts), and by the median of `./run lab gaps`; here the processors may be anybody's,
 * and what it took is printed.
 */
const GAP = 6_000;

const right = await missingRight();

for (const signal of ["SIGKILL", "SIGTERM"] as const) {
  testUnless(
    { right },
    `R38: a member that starts anew after ${signal} is reached again at once`,
    async () => {
      const { value, note } = await restartAfter(signal);
      console.log(`${signal}: ${Math.round(value)} ms beyond the restart; ${note}`);
      assert.ok(value <= GAP, `${value} ms without an answer beyond the restart; ${note}`);
    },
  );
}
