import assert from "node:assert/strict";
import { dnsmasqLines, hostsLines, readSetup, resolvedLines, type Setup } from "./dns_setup.ts";

const STATUS = {
  self: { name: "lyon", interface: "shoal0", ip6: "fd00:1:2::1" },
  mesh: { name: "lab", pool: "10.77.0.0/16" },
  names: { enabled: true, servers: ["10.77.0.1", "fd00:1:2::1"], answered: 0 },
};

function setupOf(status: unknown): Setup {
  const setup = readSetup(status);
  assert.ok(!("fault" in setup), JSON.stringify(setup));
  return setup;
}

Deno.test("systemd-resolved asks the node for the zones of its mesh, and for no others", () => {
  assert.deepEqual(resolvedLines(setupOf(STATUS)), [
    "resolvectl dns shoal0 10.77.0.1 fd00:1:2::1",
    "resolvectl domain shoal0 '~lab.internal' '~77.10.in-addr.arpa' " +
    "'~0.0.0.0.2.0.0.0.1.0.0.0.0.0.d.f.ip6.arpa'",
  ]);
  const usual = setupOf({ ...STATUS, mesh: { name: "lab", pool: "100.64.0.0/10" }, names: {} });
  assert.equal(usual.zones.length, 1 + 64 + 1);
});

Deno.test("an interface is one word of a shell, whatever its name is", async () => {
  const ifname = "a'$(id);`i`\"&";
  const lines = resolvedLines(setupOf({ ...STATUS, self: { ...STATUS.self, interface: ifname } }));
  const script = `resolvectl() { for word; do printf '<%s>' "$word"; done; echo; }\n${
    lines.join("\n")
  }`;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
  const [servers = "", domains = ""] = new TextDecoder().decode(stdout).split("\n");
  assert.equal(servers, `<dns><${ifname}><10.77.0.1><fd00:1:2::1>`);
  assert.ok(domains.startsWith(`<domain><${ifname}><~lab.internal><~77.10.in-addr.arpa>`), domains);
});

Deno.test("dnsmasq forwards the names and the networks, and leaves port 53 of the interface alone", () => {
  assert.deepEqual(dnsmasqLines({ ...setupOf(STATUS), servers: ["10.77.0.1"] }), [
    "bind-dynamic",
    "except-interface=shoal0",
    "server=/lab.internal/10.77.0.1",
    "rev-server=10.77.0.0/16,10.77.0.1",
    "rev-server=fd00:1:2::/64,10.77.0.1",
  ]);
});

Deno.test("lines for a file of hosts name everybody of the mesh, and nobody and no address of elsewhere", () => {
  const status = {
    ...STATUS,
    self: { ...STATUS.self, ip4: "10.77.0.1" },
    peers: [
      { name: "oslo", ip4: "10.77.0.2", ip6: "fd00:1:2::2" },
      { name: "rome", ip4: "", ip6: "fd00:1:2::3" },
      { name: "google.com\n1.2.3.4 bank", ip4: "10.77.0.4", ip6: "fd00:1:2::4" },
      { name: "far", ip4: "8.8.8.8", ip6: "2001:db8::1" },
      5,
    ],
    guests: [{ name: "phone", ip4: "10.77.0.9", ip6: "10.77.0.9 x" }],
  };
  assert.deepEqual(hostsLines(setupOf(status), status), [
    "10.77.0.1 lyon.lab.internal",
    "fd00:1:2::1 lyon.lab.internal",
    "10.77.0.2 oslo.lab.internal",
    "fd00:1:2::2 oslo.lab.internal",
    "fd00:1:2::3 rome.lab.internal",
    "10.77.0.9 phone.lab.internal",
  ]);
  assert.deepEqual(hostsLines(setupOf(STATUS), undefined), []);
  const baits = ["wpad", "isatap", "localhost"].map((name) => ({
    name,
    ip4: "10.77.0.7",
    ip6: "",
  }));
  const self = { name: "oslo", ip4: "10.77.0.2", ip6: "" };
  assert.deepEqual(hostsLines(setupOf(STATUS), { self, peers: baits, guests: baits }), [
    "10.77.0.2 oslo.lab.internal",
  ]);
});

Deno.test("no line for a root shell is made of what no node of a mesh says", () => {
  const { self, mesh, names } = STATUS;
  const servers = (...servers: unknown[]) => ({ ...STATUS, names: { ...names, servers } });
  const faults: [unknown, RegExp][] = [
    [undefined, /^the interface/],
    ["", /^the interface/],
    [{ ...STATUS, self: { ...self, interface: "a b" } }, /^the interface "a b"/],
    [{ ...STATUS, self: { ...self, interface: "-h" } }, /^the interface/],
    [{ ...STATUS, self: { ...self, interface: "a\nb" } }, /^the interface/],
    [{ ...STATUS, self: { ...self, interface: "shoal0\n" } }, /^the interface/],
    [{ ...STATUS, self: { ...self, interface: "a".repeat(16) } }, /^the interface/],
    [{ ...STATUS, self: { ...self, name: "a b" } }, /^the name/],
    [{ ...STATUS, self: { ...self, ip6: "10.77.0.1" } }, /^the address/],
    [{ ...STATUS, mesh: { ...mesh, name: "lab' ; reboot '" } }, /^the mesh/],
    [{ ...STATUS, mesh: { ...mesh, name: "lab.example" } }, /^the mesh/],
    [{ ...STATUS, mesh: { ...mesh, name: "google" } }, /^the mesh "google"/],
    [{ ...STATUS, mesh: { ...mesh, pool: "8.8.0.0/16" } }, /^the pool/],
    [servers("10.77.0.1;id"), /^the servers/],
    [servers("10.78.0.1"), /^the servers/],
    [servers("fd00:1:2:1::1"), /^the servers/],
    [servers(7), /^the servers/],
  ];
  for (const [status, words] of faults) {
    const setup = readSetup(status);
    assert.ok("fault" in setup, JSON.stringify(status));
    assert.match(setup.fault, words);
  }
});
