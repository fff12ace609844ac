/** Which suite the tunnels of real nodes speak, as their status says it (core/README.md). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();

testUnless(
  { right },
  "members with AES speak AES-256-GCM, and what one of them wants else, both speak else",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
    const { token } = await lyon.invite();
    const { host } = await machines.add("rome");
    const rome = MeshNode.start(host, "--token", token, "--suite", "chacha20-poly1305");
    await meet([lyon, oslo, rome], 2);
    const { dataplane } = await lyon.status();
    assert.equal((await rome.status()).dataplane.aead_gcm, "");
    for (
      const [from, to, suite] of [
        [lyon, oslo, dataplane.aead_gcm === "" ? "chacha20-poly1305" : "aes-256-gcm"],
        [lyon, rome, "chacha20-poly1305"],
        [rome, oslo, "chacha20-poly1305"],
      ] as const
    ) {
      const { self: { ip4, key } } = await to.status();
      await from.host.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", ip4]);
      for (const [at, other] of [[from, key], [to, (await from.status()).self.key]] as const) {
        const { peers } = await at.status();
        assert.equal(peers.find((peer) => peer.key === other)?.suite, suite, at.host.name);
      }
    }
  },
);
