/** wg-quick(8) drives an installed Shoal as it drives any userspace implementation. */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { type KeyPair, makeKeys } from "./device.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import { missingRight } from "./right.ts";
import { until } from "./until.ts";

const right = await missingRight();
const RUN = new URL("../run", import.meta.url).pathname;

/** wg-quick asks the kernel first: with the module it never comes to a userspace implementation. */
async function missingThing(): Promise<string | undefined> {
  if (right !== undefined) return undefined;
  await using lab = await Lab.open();
  const host = await lab.host("a");
  const { code } = await host.run(["ip", "link", "add", "wg0", "type", "wireguard"], {
    check: false,
  });
  return code === 0 ? "this kernel has WireGuard, so wg-quick asks nobody else" : undefined;
}

function config(own: KeyPair, other: KeyPair, i: 1 | 2): string {
  const j = i === 1 ? 2 : 1;
  return `[Interface]
PrivateKey = ${own.privateKey}
ListenPort = 51820
Address = 10.7.0.${i}/24, fd07::${i}/64
MTU = 1400

[Peer]
PublicKey = ${other.publicKey}
AllowedIPs = 10.7.0.${j}/32, fd07::${j}/128, 192.168.${j}.0/24
Endpoint = 10.0.0.${j}:51820
PersistentKeepalive = 25
`;
}

testUnless(
  { right, thing: await missingThing() },
  "wg-quick: up and down of an installed Shoal",
  async () => {
    const prefix = await Deno.makeTempDir();
    try {
      const install = await new Deno.Command(RUN, { args: ["install", prefix] }).output();
      assert(install.success, new TextDecoder().decode(install.stderr));
      await using lab = await Lab.open();
      const hosts: [Host, Host] = [await lab.host("a"), await lab.host("b")];
      await lab.link(...hosts, {
        a: { addresses: ["10.0.0.1/24"] },
        b: { addresses: ["10.0.0.2/24"] },
      });
      const keys = [await makeKeys(hosts[0]), await makeKeys(hosts[1])] as const;
      const env = { WG_QUICK_USERSPACE_IMPLEMENTATION: `${prefix}/bin/shoal-wg` };
      const file = "/run/wg0.conf";
      for (const [i, host] of hosts.entries()) {
        const text = i === 0 ? config(keys[0], keys[1], 1) : config(keys[1], keys[0], 2);
        await host.run(["sh", "-c", `umask 077; cat > ${file}`], { stdin: text });
        await host.run(["wg-quick", "up", file], { env });
      }
      const [a, b] = hosts;
      const { stdout: link } = await a.run(["ip", "-d", "link", "show", "wg0"]);
      assert.match(link, /\btun\b/, "a TUN and no kernel device");
      assert.match(link, /mtu 1400/);
      const { stdout: routes } = await a.run(["ip", "route", "show", "dev", "wg0"]);
      assert.match(routes, /192\.168\.2\.0\/24/);
      await a.run(["ping", "-c", "1", "-w", "15", "10.7.0.2"]);
      await b.run(["ping", "-c", "1", "-W", "5", "fd07::1"]);
      const { stdout: shown } = await a.run(["wg", "show", "wg0"]);
      assert.match(shown, /persistent keepalive: every 25 seconds/);
      assert.match(shown, /transfer: \d+ B received, \d+ B sent|transfer: .* KiB/);

      for (const host of hosts) {
        await host.run(["wg-quick", "down", file], { env });
        const { stdout } = await host.run(["ip", "-br", "link"]);
        assert.doesNotMatch(stdout, /wg0/);
        await until("the socket is gone", 2000, async () => {
          return (await host.run(["ls", "/run/wireguard"])).stdout === "";
        });
      }
    } finally {
      await Deno.remove(prefix, { recursive: true });
    }
  },
);
