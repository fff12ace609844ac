import assert from "node:assert/strict";
import { formatAddress, formatEndpoint } from "../mesh/endpoint.ts";
import { ownAddresses, resolveSeed } from "./outside.ts";

Deno.test("a numeric seed needs no resolver, a name asks it, an unknown name gives nothing", async () => {
  const texts = async (host: string) =>
    (await resolveSeed({ host, port: 4500 })).map(formatEndpoint);
  assert.deepEqual(await texts("203.0.113.9"), ["203.0.113.9:4500"]);
  assert.deepEqual(await texts("2001:db8::1"), ["[2001:db8::1]:4500"]);
  assert.deepEqual(await texts("fe80::1%3"), ["[fe80::1%3]:4500"]);
  assert((await texts("localhost")).includes("127.0.0.1:4500"));
  assert.deepEqual(await texts("no-such-host.invalid"), []);
});

Deno.test("own addresses leave out loopback, link-local and the tunnel itself", () => {
  for (const address of ownAddresses("").map(formatAddress)) {
    assert.doesNotMatch(address, /^(127\.|169\.254\.|fe80:|::1$)/);
  }
  const interfaces = Deno.networkInterfaces();
  const outer = interfaces.find(({ address, family }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  if (outer === undefined) return;
  assert(ownAddresses("").map(formatAddress).includes(outer.address));
  const left = ownAddresses(outer.name).map(formatAddress);
  assert(
    !left.includes(outer.address) ||
      interfaces.filter((i) => i.address === outer.address).length > 1,
  );
});
