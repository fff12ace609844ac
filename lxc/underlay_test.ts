/** Machines whose own network uses the addresses of the mesh: a provider's NAT, a cloud's inside (issue 8, kind 7). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import { meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const PORT = 51820;
const POOL = "100.64.0.0/10";
/** Milliseconds: bounds, not expectations. */
const START = 20_000;

const right = await missingRight();

/** A provider's router, and machines on wires of their own behind it: each reaches the others by its gateway alone. */
class Provider implements AsyncDisposable {
  readonly #lab: Lab;
  readonly router: Host;

  private constructor(lab: Lab, router: Host) {
    this.#lab = lab;
    this.router = router;
  }

  static async open(): Promise<Provider> {
    const lab = await Lab.open();
    const router = await lab.host("router");
    await router.forward();
    return new Provider(lab, router);
  }

  /** @param net the /24 of its wire: it has .2 there, and its gateway .1 */
  async add(name: string, net: string): Promise<Host> {
    const host = await this.#lab.host(name);
    await this.#lab.link(host, this.router, {
      a: { addresses: [`${net}.2/24`] },
      b: { addresses: [`${net}.1/24`] },
    });
    await host.ip(`route add default via ${net}.1`);
    return host;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab.close();
  }
}

testUnless(
  { right },
  "members and a seed with addresses of the pool, each behind a gateway, are a mesh whose packets cross",
  async () => {
    await using provider = await Provider.open();
    const [lyon, oslo, rome] = await Promise.all([
      provider.add("lyon", "100.72.0"),
      provider.add("oslo", "100.99.0"),
      provider.add("rome", "100.101.7"),
    ]);
    const founder = MeshNode.start(lyon, "--listen", String(PORT), "--pool", POOL);
    await founder.statusWhen("founds a mesh", START, () => true);
    const { token } = await founder.invite(2);
    const nodes = [founder, ...[oslo, rome].map((host) => MeshNode.start(host, "--token", token))];
    const all = await meet(nodes, 2);
    for (const [i, host] of [lyon, oslo, rome].entries()) {
      for (const { self } of all.filter((_, j) => j !== i)) {
        await host.run(["ping", "-c", "1", "-w", "5", "-W", "1", self.ip4]);
      }
    }
    const { dataplane, peers } = await founder.status();
    assert.deepEqual(peers.map(({ endpoint }) => endpoint.split(":")[0]).sort(), [
      "100.101.7.2",
      "100.99.0.2",
    ]);
    assert.equal(dataplane.drops["tx_loop"], 0);
  },
);
