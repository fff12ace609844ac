import assert from "node:assert/strict";
import { workersText } from "./workers.ts";

Deno.test("several workers are told with the way in which packets come to them", () => {
  const some = {
    workers: 4,
    queues: 4,
    lanes: 1,
    steered: true,
    steer_error: "",
    steer_refused: 0,
  };
  const text = (change: Partial<typeof some>) => workersText({ ...some, ...change });
  assert.equal(text({ workers: 1, queues: 1, steered: false }), "1 worker");
  assert.equal(text({}), "4 workers, each with a queue that the kernel fills for its peers");
  assert.match(text({ lanes: 2 }), /^4 workers, up to 2 lanes a member, each with a queue/);
  assert.match(text({ steer_refused: 1 }), /fills for its peers, but for 1 route that it refused$/);
  assert.match(text({ steer_refused: 2 }), /, but for 2 routes that it refused$/);
  assert.equal(text({ queues: 0, steered: false }), "4 workers");
  assert.match(text({ queues: 1, steered: false }), /first reads the interface for all/);
  assert.match(text({ steered: false, steer_error: "EPERM" }), /\(EPERM, it takes CAP_BPF\)$/);
  assert.match(text({ steered: false, steer_error: "ENOMEM" }), /\(ENOMEM\)$/);
});
