/** Nodes whose busiest peers have connected sockets: they carry streams while the network lies, moves and restarts. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import { exchange } from "./exchange.ts";
import type { Host } from "./host.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const PORT = 51820;
const BYTES = 8_000_000;
/** Milliseconds: a bound. */
const SOON = 20_000;

/** Answers this many of 100 datagrams of the tunnel as if nobody were there, and loses them. */
async function refuse(host: Host, percent: number): Promise<void> {
  const chance = `numgen random mod 100 < ${percent}`;
  const rule = percent === 0
    ? ""
    : `udp dport ${PORT} ${chance} counter reject with icmp type port-unreachable;`;
  await host.run(["nft", "-f", "-"], {
    stdin: `table ip lab-refuse
delete table ip lab-refuse
table ip lab-refuse {
  chain refuse { type filter hook input priority 0; policy accept; ${rule} }
}
`,
  });
}

const endpointOf = ({ peers }: StatusDocument) => peers[0]?.endpoint;
const hasSockets = ({ dataplane }: StatusDocument) => dataplane.connected > 0;

testUnless(
  { right: await missingRight() },
  "connected sockets: a stream survives ICMP that lies, another address of the peer, and its restart without them",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", "--workers", "2");
    const [oslo] = await machines.join(lyon, "oslo");
    assert.ok(oslo !== undefined);
    const stream = async () => {
      const { self: { ip4 } } = await oslo.status();
      await exchange(lyon.host, oslo.host, ip4, BYTES);
    };
    await stream();
    for (const node of [lyon, oslo]) await node.statusWhen("has a socket", SOON, hasSockets);
    const before = endpointOf(await lyon.status());

    await refuse(oslo.host, 2);
    await stream();
    await refuse(oslo.host, 0);
    const after = await lyon.status();
    assert.equal(endpointOf(after), before);
    assert.equal(after.peers[0]?.state, "alive");

    await oslo.host.ip("address flush dev eth0", "address add 10.0.0.77/24 dev eth0");
    const { self: { ip4 } } = await lyon.status();
    await oslo.host.run(["ping", "-c", "1", "-w", "10", "-W", "1", ip4]);
    const isThere = (status: StatusDocument) =>
      endpointOf(status)?.startsWith("10.0.0.77:") ?? false;
    await lyon.statusWhen("hears it there", SOON, isThere);
    await stream();
    await lyon.statusWhen("has a socket there", SOON, hasSockets);

    await oslo.kill("SIGKILL");
    const again = MeshNode.start(oslo.host, "--without", "connected-sockets");
    await meet([lyon, again], 1);
    await stream();
    const { connected, offloads } = (await again.status()).dataplane;
    assert.deepEqual([connected, offloads["connected-sockets"]], [0, false]);
    await lyon.statusWhen("has a socket again", SOON, hasSockets);
  },
);
