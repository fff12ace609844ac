/** Watches a state folder from another thread and counts files with content that others may read. */
/// <reference lib="deno.worker" />
import { join } from "node:path";

let running = true;

self.onmessage = async (event: MessageEvent<string>) => {
  if (event.data === "stop") {
    running = false;
    return;
  }
  const dir = event.data;
  let seen = 0;
  let looks = 0;
  self.postMessage("ready");
  while (running) {
    for (let i = 0; i < 200; i++) {
      for (const name of ["members", "members.new"]) {
        try {
          const stat = Deno.lstatSync(join(dir, name));
          looks++;
          if (((stat.mode ?? 0) & 0o077) !== 0 && stat.size > 0) seen++;
        } catch {
          // Not there at this instant.
        }
      }
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
  self.postMessage({ seen, looks });
};
