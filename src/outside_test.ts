import assert from "node:assert/strict";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import { Outside } from "./outside.ts";
import { DEFAULT_POOL } from "../mesh/membership/genesis.ts";

Deno.test("a name asks the resolver, an unknown name gives nothing and is counted", async () => {
  const outside = new Outside();
  const texts = async (host: string) =>
    (await outside.resolveSeed({ host, port: 4500 })).map(formatEndpoint);
  assert((await texts("localhost")).includes("127.0.0.1:4500"));
  assert.equal(outside.refused.names, 0);
  assert.deepEqual(await texts("no-such-host.invalid"), []);
  assert.equal(outside.refused.names, 1);
});

Deno.test("own addresses leave out those of the tunnel itself", () => {
  const texts = (tunnel: string) =>
    new Outside().ownAddresses(new Set([tunnel])).map(formatAddress);
  assert(texts("").includes("127.0.0.1"));
  assert(!texts("lo").includes("127.0.0.1"));
});

Deno.test("own addresses leave out those of other nodes and of bridges for guests of this machine, and not a bridge to the network", () => {
  const names = [
    "shoal0",
    "lab",
    "docker0",
    "br-0123456789ab",
    "virbr0",
    "lxcbr0",
    "podman0",
    "br0",
    "eth0",
  ];
  const all = names.map((name, i) => ({ name, address: `192.0.2.${i}` }));
  const texts = new Outside(() => all).ownAddresses(new Set(["shoal0", "lab"])).map(formatAddress);
  assert.deepEqual(texts, ["192.0.2.7", "192.0.2.8"]);
});

Deno.test("an interface's addresses are listed by its name", () => {
  assert(new Outside().addressesOf("lo").has("127.0.0.1"));
  assert.equal(new Outside().addressesOf("no-such-if").size, 0);
});

Deno.test("who else uses the mesh's IPv4 network on this machine is found, and we are not meant", () => {
  const all = [
    { name: "shoal0", address: "100.64.1.1" },
    { name: "tailscale0", address: "100.127.255.254" },
    { name: "eth0", address: "100.128.0.1" },
    { name: "eth0", address: "192.168.1.1" },
    { name: "eth0", address: "fd00::1" },
  ];
  assert.deepEqual(new Outside(() => all).rivalsOf("shoal0", DEFAULT_POOL), all.slice(1, 2));
});

Deno.test("without a free descriptor the last answer stands and is counted; another fault is thrown", () => {
  let answer = (): { name: string; address: string }[] => [{ name: "eth0", address: "192.0.2.1" }];
  const outside = new Outside(() => answer());
  const texts = () => outside.ownAddresses(new Set()).map(formatAddress);
  assert.deepEqual(texts(), ["192.0.2.1"]);
  answer = () => {
    throw Object.assign(new Error("Too many open files"), { code: "EMFILE" });
  };
  assert.deepEqual(texts(), ["192.0.2.1"]);
  assert.equal(outside.refused.interfaces, 1);
  answer = () => {
    throw new RangeError("a defect");
  };
  assert.throws(texts, RangeError);
});
