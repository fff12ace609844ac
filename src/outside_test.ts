import assert from "node:assert/strict";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import { addressesOf, ownAddresses, resolveSeed, rivalsOf } from "./outside.ts";

Deno.test("a name asks the resolver, an unknown name gives nothing", async () => {
  const texts = async (host: string) =>
    (await resolveSeed({ host, port: 4500 })).map(formatEndpoint);
  assert((await texts("localhost")).includes("127.0.0.1:4500"));
  assert.deepEqual(await texts("no-such-host.invalid"), []);
});

Deno.test("own addresses leave out those of the tunnel itself", () => {
  const texts = (tunnel: string) => ownAddresses(tunnel).map(formatAddress);
  assert(texts("").includes("127.0.0.1"));
  assert(!texts("lo").includes("127.0.0.1"));
});

Deno.test("an interface's addresses are listed by its name", () => {
  assert(addressesOf("lo").has("127.0.0.1"));
  assert.equal(addressesOf("no-such-if").size, 0);
});

Deno.test("who else uses the mesh's IPv4 network on this machine is found, and we are not meant", () => {
  const all = [
    { name: "shoal0", address: "100.64.1.1" },
    { name: "tailscale0", address: "100.127.255.254" },
    { name: "eth0", address: "100.128.0.1" },
    { name: "eth0", address: "192.168.1.1" },
    { name: "eth0", address: "fd00::1" },
  ];
  assert.deepEqual(rivalsOf("shoal0", all), all.slice(1, 2));
});
