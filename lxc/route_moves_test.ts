/** The machine's network changes under a tunnel: the way out moves, its addresses stay. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Device, makeKeys } from "./device.ts";
import { Lab } from "./lab.ts";
import { shoal } from "./peers.ts";
import { Pinger } from "./pinger.ts";
import { missingRight } from "./right.ts";

const PORT = 51820;
/** Milliseconds: the outcome that is asked for; a handshake that gives up on a source takes fifteen times as long (R54). */
const GAP = 1_000;

testUnless(
  { right: await missingRight() },
  "R54: an uplink loses its carrier, its address stays, and the route moves: traffic goes on within a second",
  async () => {
    await using lab = await Lab.open();
    const [a, b] = [await lab.host("a"), await lab.host("b")];
    const [first] = await lab.link(a, b, {
      a: { addresses: ["10.0.0.1/24"] },
      b: { addresses: ["10.0.0.2/24"] },
    });
    const [second] = await lab.link(a, b, {
      a: { addresses: ["10.1.0.1/24"] },
      b: { addresses: ["10.1.0.2/24"] },
    });
    const keys = [await makeKeys(a), await makeKeys(b)] as const;
    const implementation = await shoal();
    for (const [i, host] of [a, b].entries()) {
      const own = keys[i] ?? assert.fail();
      const other = keys[1 - i] ?? assert.fail();
      const device = await Device.start(host, implementation);
      await device.configure({
        privateKey: own.privateKey,
        port: PORT,
        addresses: [`10.7.0.${i + 1}/32`],
        peers: [{
          publicKey: other.publicKey,
          allowedIps: [`10.7.0.${2 - i}/32`],
          endpoint: `10.0.0.${2 - i}:${PORT}`,
        }],
      });
    }
    const pinger = await Pinger.open(a, "10.7.0.2");
    await a.ip(`route add 10.0.0.2/32 via 10.1.0.2 dev ${second.device}`);
    await a.ip(`link set dev ${first.device} down`);
    const before = pinger.count;
    while (pinger.count < before + 20 && pinger.silence < 20_000) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const gap = await pinger.close();
    assert.ok(gap <= GAP, `${gap} ms without an answer`);
    const { stdout } = await b.run(["wg", "show", "wg0", "endpoints"]);
    assert.match(
      stdout,
      /\t10\.1\.0\.1:51820\n/,
      "the peer hears us from the address of the way out",
    );
  },
);
