/** Machines whose own network uses the addresses of the mesh: a provider's NAT, a cloud's inside (issue 8, kind 7). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import { meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { Pinger } from "./pinger.ts";
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
    await this.plug(host, net);
    await host.ip(`route add default via ${net}.1`);
    return host;
  }

  /** Plugs a machine into one more wire. */
  async plug(host: Host, net: string): Promise<void> {
    await this.#lab.link(host, this.router, {
      a: { addresses: [`${net}.2/24`] },
      b: { addresses: [`${net}.1/24`] },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab.close();
  }
}

/** A mesh that the first machine founds and the others join; it is whole when this returns. */
async function meshOf(first: Host, ...others: Host[]) {
  const founder = MeshNode.start(first, "--listen", String(PORT), "--pool", POOL);
  await founder.statusWhen("founds a mesh", START, () => true);
  const { token } = await founder.invite(others.length);
  const joiners = others.map((host) => MeshNode.start(host, "--token", token));
  const all = await meet([founder, ...joiners], others.length);
  return { founder, joiners, all };
}

/** Such a mesh of two, in which the second has this address. */
async function pairOf(lyon: Host, oslo: Host) {
  const { founder, joiners: [joiner], all: [, status] } = await meshOf(lyon, oslo);
  assert.ok(joiner && status);
  return { founder, joiner, ip4: status.self.ip4 };
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
    const { founder, all } = await meshOf(lyon, oslo, rome);
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

testUnless(
  { right },
  "the same in IPv6, whose network is known when the mesh is founded",
  async () => {
    await using provider = await Provider.open();
    const lyon = await provider.add("lyon", "192.0.2"); // The router's eth0 leads there,
    const oslo = await provider.add("oslo", "198.51.100"); // and its eth1 here.
    const founder = MeshNode.start(lyon, "--listen", String(PORT));
    const { self: { ip6 } } = await founder.statusWhen("founds a mesh", START, () => true);
    const network = ip6.split(":").slice(0, 4).join(":");
    for (const [host, wire] of [[lyon, 1], [oslo, 2]] as const) {
      const { router } = provider;
      await host.ip(
        "address flush dev eth0",
        `address add ${network}:f:${wire}:0:2/96 dev eth0 nodad`,
        `route add default via ${network}:f:${wire}:0:1`,
      );
      await router.ip(`address add ${network}:f:${wire}:0:1/96 dev eth${wire - 1} nodad`);
    }
    const { token } = await founder.invite();
    const seed = `[${network}:f:1:0:2]:${PORT}`;
    const joiner = MeshNode.start(oslo, "--join", seed, "--token", token);
    await meet([founder, joiner], 1);
    const { self } = await joiner.status();
    await lyon.run(["ping", "-c", "1", "-w", "5", "-W", "1", self.ip4]);
    await lyon.run(["ping", "-c", "1", "-w", "5", "-W", "1", self.ip6]);
    const { dataplane, peers } = await founder.status();
    assert.equal(peers[0]?.endpoint, `[${network}:f:2:0:2]:${PORT}`);
    assert.equal(dataplane.drops["tx_loop"], 0);
  },
);

testUnless(
  { right },
  "the uplink of such a machine changes while it talks to another, and traffic goes on within a second",
  async () => {
    await using provider = await Provider.open();
    const [lyon, oslo] = await Promise.all([
      provider.add("lyon", "100.72.0"),
      provider.add("oslo", "100.99.0"),
    ]);
    const { founder, joiner, ip4 } = await pairOf(lyon, oslo);
    await provider.plug(lyon, "100.80.0");
    const pinger = await Pinger.open(lyon, ip4);
    await lyon.ip("route replace default via 100.80.0.1");
    await lyon.ip("link set dev eth0 down");
    await pinger.more(50);
    const gap = await pinger.close();
    assert.ok(gap <= 1_000, `${gap} ms without an answer`);
    await joiner.statusWhen(
      "hears it from its new address",
      START,
      ({ peers }) => peers[0]?.endpoint === `100.80.0.2:${PORT}`,
    );
    assert.equal((await founder.status()).dataplane.drops["tx_loop"], 0);
  },
);

testUnless(
  { right },
  "what cannot be kept alive is named with what helps: a strict filter, no way out",
  async () => {
    await using provider = await Provider.open();
    const [lyon, oslo] = await Promise.all([
      provider.add("lyon", "100.72.0"),
      provider.add("oslo", "100.99.0"),
    ]);
    await lyon.sysctl({ "net.ipv4.conf.all.rp_filter": 0 });
    const { founder, joiner, ip4 } = await pairOf(lyon, oslo);
    await lyon.sysctl({ "net.ipv4.conf.eth0.rp_filter": 1 });
    const says = (what: string, pattern: RegExp) =>
      founder.statusWhen(
        what,
        60_000,
        ({ health }) => health.some((line) => pattern.test(line)),
      );
    await says(
      "names the filter",
      /^eth0 drops what comes from 100\.99\.0\.2: .* sysctl -w net\.ipv4\.conf\.eth0\.rp_filter=2$/,
    );
    await lyon.sysctl({ "net.ipv4.conf.eth0.rp_filter": 2 });
    await meet([founder, joiner], 1);
    await lyon.run(["ping", "-c", "1", "-w", "5", "-W", "1", ip4]);
    await lyon.ip("route delete default");
    await says("names the place", /^no interface but shoal0 leads to 100\.99\.0\.2, /);
    await lyon.ip("route add default via 100.72.0.1");
    await meet([founder, joiner], 1);
    assert.equal((await founder.status()).dataplane.drops["tx_loop"], 0);
  },
);
