/** Other programs change the interface of a running node, or what is around it (issue 8, kind 3). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Machines, meet } from "./machines.ts";
import type { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

/** Milliseconds in which something is put back or named; the outcome asks for 2,000. */
const PATIENCE = 5_000;

const right = await missingRight();

function health(node: MeshNode, what: string, isSo: (lines: string) => boolean): Promise<unknown> {
  return node.statusWhen(what, PATIENCE, ({ health }) => isSo(health.join("\n")));
}

testUnless(
  { right },
  "another program's route for the whole mesh is named for as long as it is there, and clear text is not sent unnoticed",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    await machines.join(lyon, "oslo");
    const { host } = lyon;
    await host.ip("link add spare0 type veth peer name spare1");
    await host.ip("link set spare1 up");
    await host.ip("link set spare0 up");
    await host.ip("route prepend 100.64.0.0/10 dev spare0 scope link");
    await health(
      lyon,
      "names the route",
      (lines) => /by spare0 and not through the tunnel/.test(lines),
    );
    await host.ip("route delete 100.64.0.0/10 dev spare0");
    await health(lyon, "says no more of it", (lines) => !lines.includes("spare0"));
  },
);

testUnless(
  { right },
  "an interface that is renamed, flaps, goes to another namespace and comes back carries the mesh again",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
    await meet([lyon, oslo], 1);
    const { host } = lyon;
    const { self: { ip4 } } = await oslo.status();
    const reach = () => host.run(["ping", "-c", "1", "-w", "5", "-W", "1", ip4]);
    await host.ip("link set shoal0 name mesh0");
    await reach();
    for (let i = 0; i < 12; i++) {
      await host.ip("link set mesh0 down");
      await host.ip("link set mesh0 up");
    }
    await reach();
    const { self, health: lines } = await lyon.status();
    assert.equal(self.interface, "mesh0");
    assert.doesNotMatch(lines.join("\n"), /another program|is down|namespace|mesh0/);
    host.spawn(["unshare", "-n", "sleep", "997"]);
    const elsewhere = "$(pgrep -nx sleep)";
    const shell = (script: string) => host.run(["sh", "-c", script]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await shell(`ip link set mesh0 netns ${elsewhere}`);
    await health(
      lyon,
      "says where it is",
      (text) => /mesh0 is in another network namespace/.test(text),
    );
    await shell(`nsenter -t ${elsewhere} -n ip link set mesh0 netns $$`);
    await host.ip("link set mesh0 up");
    await health(lyon, "has its addresses again", (text) => !text.includes("mesh0"));
    await reach();
  },
);
