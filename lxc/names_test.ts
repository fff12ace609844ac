/** Names of members, asked for as a person does it: with dig, at a mesh address (issue 8, names). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { Host } from "./host.ts";
import { Machines, meet } from "./machines.ts";
import type { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();

async function dig(from: Host, ...args: string[]): Promise<string> {
  const { stdout } = await from.run(["dig", "+time=2", "+tries=1", ...args], { check: false });
  return stdout;
}

testUnless(
  { right },
  "dig finds every member by name and by address, at any member, and nobody else gets an answer",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
    await meet([lyon, oslo], 1);
    const [{ self, mesh }, { self: other }] = [await lyon.status(), await oslo.status()];
    const zone = `${mesh.name}.internal`;
    const short = (...args: string[]) => dig(oslo.host, "+short", ...args);
    for (const server of [self.ip4, self.ip6, other.ip4]) {
      for (const [family, address] of [["A", other.ip4], ["AAAA", other.ip6]] as const) {
        assert.equal(await short(`@${server}`, family, `OSLO.${zone}`), `${address}\n`);
        assert.equal(await short(`@${server}`, "-x", address), `oslo.${zone}.\n`);
      }
    }
    assert.equal(await short("+tcp", `@${self.ip4}`, `lyon.${zone}`), `${self.ip4}\n`);
    assert.match(
      await dig(oslo.host, `@${self.ip4}`, `nobody.${zone}`),
      new RegExp(`status: NXDOMAIN[^]*\\n${zone}\\.\\s+5\\s+IN\\s+SOA\\s+lyon\\.${zone}\\.`),
    );
    assert.match(
      await dig(oslo.host, `@${self.ip4}`, "MX", `oslo.${zone}`),
      /status: NOERROR[^]*SOA/,
    );
    assert.match(await dig(oslo.host, `@${self.ip4}`, "example.org"), /status: REFUSED/);
    const { stdout } = await oslo.shoal(["dns"]);
    assert.match(stdout, new RegExp(`dig @${other.ip4.replaceAll(".", "\\.")} oslo\\.${zone}`));
    // The underlay's addresses are no place to ask at.
    const [place = ""] = (await oslo.status()).peers[0]?.endpoint.split(":") ?? [];
    assert.match(
      await dig(oslo.host, `@${place}`, `oslo.${zone}`),
      /refused|no servers could be reached/,
    );
    await lyon.shoal(["approve", "oslo", "--name", "bergen"]);
    await oslo.statusWhen("is called bergen", 10_000, ({ self: { name } }) => name === "bergen");
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    assert.equal(await short(`@${other.ip4}`, `bergen.${zone}`), `${other.ip4}\n`);
    assert.match(await dig(oslo.host, `@${other.ip4}`, `oslo.${zone}`), /NXDOMAIN/);
  },
);
