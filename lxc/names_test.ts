/** Names of members, asked for as a person does it: with dig, at a mesh address (issue 8, names). */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import type { Host } from "./host.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";

const right = await missingRight();

async function dig(from: Host, ...args: string[]): Promise<string> {
  const { stdout } = await from.run(["dig", "+time=2", "+tries=1", ...args], { check: false });
  return stdout;
}

/** Both addresses, which are there a moment after the node is. */
const hasNames = ({ names }: StatusDocument) => names.servers.length === 2;

testUnless(
  { right },
  "dig finds every member by name and by address, at any member, over UDP and TCP",
  async () => {
    await using machines = await Machines.open();
    const lab = "lab".repeat(21); // The longest name.
    const lyon = await machines.found("lyon", "--mesh-name", lab);
    const [oslo] = await machines.join(lyon, "oslo") as [MeshNode];
    await meet([lyon, oslo], 1);
    for (const node of [lyon, oslo]) await node.statusWhen("answers names", 10_000, hasNames);
    const [{ self, names }, { self: other }] = [await lyon.status(), await oslo.status()];
    assert.deepEqual(names.servers, [self.ip4, self.ip6]);
    const zone = `${lab}.internal`;
    const ask = (...args: string[]) => dig(oslo.host, ...args);
    const short = (...args: string[]) => ask("+short", ...args);
    for (const server of [self.ip4, self.ip6, other.ip4]) {
      for (const [family, address] of [["A", other.ip4], ["AAAA", other.ip6]] as const) {
        assert.equal(await short(`@${server}`, family, `OSLO.${zone}`), `${address}\n`);
        assert.equal(await short(`@${server}`, "-x", address), `oslo.${zone}.\n`);
      }
    }
    for (const transport of ["+tcp", "+noedns", "+bufsize=512", "+tcp +keepopen", "+dnssec"]) {
      const answer = await short(...transport.split(" "), `@${self.ip4}`, `lyon.${zone}`);
      assert.equal(answer, `${self.ip4}\n`, transport);
    }
    assert.match(
      await ask(`@${self.ip4}`, `nobody.${zone}`),
      new RegExp(`status: NXDOMAIN[^]*\\n${zone}\\.\\s+5\\s+IN\\s+SOA\\s+lyon\\.${zone}\\.`),
    );
    assert.match(await ask(`@${self.ip4}`, "MX", `oslo.${zone}`), /status: NOERROR[^]*SOA/);
    // A name so long that not even "there is none" fits 512 bytes: dig goes on over TCP.
    const long = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(52)}.${zone}`;
    assert.equal(long.length, 253);
    assert.match(
      await ask("+noedns", `@${self.ip4}`, long),
      /Truncated, retrying in TCP mode[^]*status: NXDOMAIN/,
    );
    for (const [type, name] of [["A", "example.org"], ["PTR", "1.1.1.1.in-addr.arpa"]] as const) {
      assert.match(await ask(`@${self.ip4}`, type, name), /status: REFUSED/);
    }
    assert.match(await ask(`@${self.ip4}`, "AXFR", zone), /Transfer failed/);

    await lyon.shoal(["approve", "oslo", "--name", "bergen"]);
    await oslo.statusWhen("is called bergen", 10_000, ({ self: { name } }) => name === "bergen");
    assert.equal(await short(`@${other.ip4}`, `bergen.${zone}`), `${other.ip4}\n`);
    assert.match(await ask(`@${other.ip4}`, `oslo.${zone}`), /NXDOMAIN/);

    await oslo.shoal(["leave", "--yes"]);
    await lyon.statusWhen("has no peer", 20_000, ({ peers }) => peers.length === 0);
    assert.match(await dig(lyon.host, `@${self.ip4}`, `bergen.${zone}`), /NXDOMAIN/);
    assert.match(await dig(lyon.host, `@${self.ip4}`, "-x", other.ip4), /NXDOMAIN/);

    await lyon.kill("SIGTERM");
    const again = MeshNode.start(lyon.host);
    await again.statusWhen("answers names", 20_000, hasNames);
    assert.equal(await dig(lyon.host, "+short", `@${self.ip4}`, `lyon.${zone}`), `${self.ip4}\n`);
  },
);

testUnless(
  { right },
  "a stranger gets no answer at a mesh address that it has a route to, and nobody at another",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", "--mesh-name", "lab");
    const { self } = await lyon.statusWhen("answers names", 10_000, hasNames);
    const { host } = await machines.add("eve");
    const { stdout } = await lyon.host.run(["ip", "-4", "-o", "addr", "show", "dev", "eth0"]);
    const place = /inet ([0-9.]+)/.exec(stdout)?.[1] ?? "";
    // The kernel takes a packet for any address of the machine at any interface.
    await host.ip(`route add ${self.ip4}/32 via ${place}`);
    await host.run(["ping", "-c", "1", "-W", "2", self.ip4]);
    for (const transport of ["+notcp", "+tcp"]) {
      const answer = await dig(host, transport, `@${self.ip4}`, "lyon.lab.internal");
      assert.doesNotMatch(answer, /status:/, transport);
    }
    const { refused, names } = await lyon.status();
    assert.ok((refused["names_strangers"] ?? 0) >= 2, JSON.stringify(refused));
    assert.equal(names.answered, 0);
    assert.match(await dig(host, `@${place}`, "lyon.lab.internal"), /refused|no servers/);
  },
);

testUnless(
  { right },
  "shoal dns says what makes this machine ask, and whether it does",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon", "--mesh-name", "lab", "--pool", "10.77.0.0/16");
    const { self } = await lyon.statusWhen("answers names", 10_000, hasNames);
    assert.match(lyon.said, /answers the names of members, NAME\.lab\.internal, .*shoal dns/);
    const run = (script: string, ...args: string[]) => {
      const line = `${script}; exec ./run shoal dns "$@" --state ${lyon.state}`;
      return lyon.host.run(["unshare", "--mount", "sh", "-ec", line, "sh", ...args], {
        check: false,
      });
    };
    const forwarded = await run(":");
    assert.ok(forwarded.stdout.split("\n").includes(`  server=/lab.internal/${self.ip4}`));
    assert.ok(forwarded.stdout.split("\n").includes(`  rev-server=10.77.0.0/16,${self.ip6}`));
    const resolved = "mkdir -p /run/systemd/resolve";
    const { stdout: lines } = await run(resolved, "--shell");
    assert.match(
      lines,
      new RegExp(
        `^resolvectl dns shoal0 ${self.ip4} ${self.ip6}\n` +
          "resolvectl domain shoal0 '~lab\\.internal' '~77\\.10\\.in-addr\\.arpa' '~[0-9a-f.]+ip6\\.arpa'\n$",
      ),
    );
    const advice = await run(resolved);
    assert.match(
      advice.stdout,
      /does not ask there yet\. As root[^]*shoal dns --shell --state \S+ \| sudo sh/,
    );
    const { asked } = JSON.parse((await run(resolved, "--json")).stdout);
    assert.equal(asked, false);

    const own = `echo nameserver ${self.ip4} > /run/resolv.conf; ` +
      "mount --bind /run/resolv.conf /etc/resolv.conf";
    const done = await run(own);
    assert.match(done.stdout, /\nthis machine asks there\n$/);
    assert.equal(JSON.parse((await run(own, "--json")).stdout).asked, true);

    const elsewhere =
      "rm -rf /run/systemd/resolve; echo nameserver 192.0.2.1 > /run/resolv.conf; " +
      "mount --bind /run/resolv.conf /etc/resolv.conf";
    assert.match((await run(elsewhere)).stdout, /\nand \/etc\/resolv.conf leads elsewhere: put /);
    const copied =
      `echo ${self.ip4} lyon.lab.internal > /run/hosts; mount --bind /run/hosts /etc/hosts`;
    assert.match(
      (await run(copied)).stdout,
      /\nthis machine does not ask there: it has names in \/etc\/hosts, all of now; /,
    );
    assert.match((await run(`${copied}; ${own}`)).stdout, /\nthis machine asks there\n$/);
  },
);

testUnless(
  { right },
  "a node that may not take port 53 runs, says what it needs, and answers as soon as it may",
  async () => {
    await using machines = await Machines.open();
    const { host } = await machines.add("lyon");
    const line = "setpriv --bounding-set -net_bind_service --inh-caps -net_bind_service " +
      "./run node --mesh-name lab";
    const lyon = MeshNode.paste(host, line);
    const isSaid = ({ health }: StatusDocument) =>
      health.some((one) => /^names are not answered at .* needs CAP_NET_BIND_SERVICE/.test(one));
    const { names, self } = await lyon.statusWhen("says what it needs", 20_000, isSaid);
    assert.deepEqual(names.servers, []);
    const { stderr } = await lyon.host.run(
      ["sh", "-c", `./run shoal dns --state ${lyon.state}`],
      { check: false },
    );
    assert.match(stderr, /CAP_NET_BIND_SERVICE/);
    await host.sysctl({ "net.ipv4.ip_unprivileged_port_start": 53 });
    const after = await lyon.statusWhen("answers names", 20_000, hasNames);
    assert.ok(!isSaid(after), after.health.join("\n"));
    assert.equal(await dig(host, "+short", `@${self.ip4}`, "lyon.lab.internal"), `${self.ip4}\n`);
  },
);

testUnless({ right }, "with --no-dns a node leaves port 53 to others", async () => {
  await using machines = await Machines.open();
  const lyon = await machines.found("lyon", "--no-dns");
  const { self, names } = await lyon.status();
  assert.deepEqual([names.enabled, names.servers], [false, []]);
  const { stdout } = await lyon.host.run(["ss", "-Hlnu", "sport = 53"]);
  assert.equal(stdout, "");
  assert.match(await dig(lyon.host, `@${self.ip4}`, "lyon.lab.internal"), /refused|no servers/);
});
