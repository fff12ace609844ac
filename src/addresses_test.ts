import assert from "node:assert/strict";
import { constants } from "node:os";
import { CoreError } from "../ffi/core_error.ts";
import { Status } from "../ffi/header.ts";
import { formatAddress, parseAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { LinkAddresses } from "./addresses.ts";
import { Failure } from "./exit.ts";

const IP4 = parseAddress("100.64.0.7");
const IP6 = parseAddress("fd00::7");

const NOW = { boot: 1_000, wall: 0 };

/** An interface as the kernel shows it. */
class Interface {
  readonly addresses = new Set<string>();
  /** Those of the addresses whose route is there. */
  readonly routes = new Set<string>();
  isLinkUp = true;
  ifname = "shoal0";
  ifindex = 7;
  mtu = 1420;
  /** By which interface another program has the kernel send, or how it refuses. */
  way: string | undefined;
  /** What was asked for last. */
  asked: Uint8Array | undefined;
  /** Errno for addresses of these lengths. */
  readonly refused = new Map<number, keyof typeof constants.errno>();

  info() {
    const { ifname, ifindex, isLinkUp, mtu } = this;
    return { ifname, ifindex, isLinkUp, mtu };
  }

  setLink({ isUp }: { readonly isUp: boolean }) {
    this.isLinkUp = isUp;
  }

  setLinkAddress({ address }: Prefix, isAdded: boolean) {
    const errno = this.refused.get(address.length);
    if (errno !== undefined) this.#refuse(errno);
    const name = formatAddress(address);
    if (isAdded) {
      // The kernel makes the route with an address that is new.
      if (!this.addresses.has(name)) this.routes.add(name);
      this.addresses.add(name);
      return;
    }
    this.routes.delete(name);
    if (!this.addresses.delete(name)) this.#refuse("EADDRNOTAVAIL");
  }

  restoreLinkRoute({ address }: Prefix): boolean {
    const name = formatAddress(address);
    if (!this.addresses.has(name)) this.#refuse("EINVAL"); // as a source that is not there
    const isMissing = !this.routes.has(name);
    this.routes.add(name);
    return isMissing;
  }

  wayTo(address: Uint8Array): string {
    this.asked = address;
    const way = this.way ?? this.ifname;
    if (way.startsWith("E")) this.#refuse(way as keyof typeof constants.errno);
    return way;
  }

  #refuse(errno: keyof typeof constants.errno): never {
    throw new CoreError("link_address", Status.E_SYSTEM, constants.errno[errno], "RTM_NEWADDR");
  }
}

function given() {
  const link = new Interface();
  return { link, own: new LinkAddresses(link, () => link.addresses) };
}

Deno.test("an MTU too small for IPv6 is told as such, and no new start is asked for", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.addresses.delete(formatAddress(IP6 ?? new Uint8Array())); // The kernel does that.
  link.mtu = 1279;
  link.refused.set(16, "EINVAL");
  own.mend(NOW);
  const [line, ...others] = own.health(NOW);
  assert.match(line ?? "", /^shoal0 has no IPv6 address .* MTU of 1279 is below the 1280 of IPv6/);
  assert.deepEqual(others, []);
  link.mtu = 1280;
  assert.match(own.health(NOW).join(), /start the node again/);
  link.refused.clear();
  own.mend(NOW);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("the interface follows what the mesh says", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::7"]);
  own.set(parseAddress("100.64.0.8"), IP6, 10);
  assert.deepEqual([...link.addresses].sort(), ["100.64.0.8", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("what something took away is put back once the link is up", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.isLinkUp = false;
  link.addresses.delete("fd00::7"); // as the kernel does
  own.mend(NOW);
  assert.deepEqual([...link.addresses], ["100.64.0.7"]);
  assert.match(own.health(NOW).join(), /shoal0 is down .*ip link set shoal0 up/);
  link.isLinkUp = true;
  own.mend(NOW);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::7"]);
  link.addresses.clear();
  own.mend(NOW);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("a machine without IPv6 carries IPv4, says so, and takes IPv6 when it comes", () => {
  const { link, own } = given();
  link.refused.set(16, "EACCES");
  own.set(IP4, IP6, 10);
  assert.deepEqual([...link.addresses], ["100.64.0.7"]);
  assert.match(own.health(NOW).join(), /no IPv6 address \(EACCES\): IPv6 is off there/);
  own.mend(NOW);
  assert.equal(own.health(NOW).length, 1);
  own.set(IP4, parseAddress("fd00::8"), 10); // nothing to take away of what never was there
  assert.equal(own.health(NOW).length, 1);
  link.refused.clear();
  own.mend(NOW);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::8"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("an address that something took away before us is no error", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.addresses.delete("100.64.0.7");
  own.set(parseAddress("100.64.0.8"), IP6, 10);
  assert.deepEqual([...link.addresses].sort(), ["100.64.0.8", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("a node that had an address lives on when the kernel refuses another, and tries again", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.refused.set(4, "EPERM");
  own.set(parseAddress("100.64.0.8"), IP6, 10);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::7"]);
  assert.deepEqual(own.health(NOW), [
    "100.64.0.8 is not on shoal0 and cannot be put there (EPERM): start the node again",
    "100.64.0.7 is another's now and cannot be taken off shoal0 (EPERM): " +
    "ip address delete 100.64.0.7/10 dev shoal0",
  ]);
  own.set(IP4, IP6, 10); // what is ours again is not to be taken away
  assert.deepEqual(own.health(NOW), []);
  own.set(parseAddress("100.64.0.8"), IP6, 10);
  link.refused.clear();
  own.mend(NOW);
  assert.deepEqual([...link.addresses].sort(), ["100.64.0.8", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("any other refusal is a failure at first, and a line in the health later", () => {
  const { link, own } = given();
  link.refused.set(4, "EPERM");
  assert.throws(() => own.set(IP4, IP6, 10), (error) => {
    assert(error instanceof Failure);
    assert.match(error.message, /cannot put 100\.64\.0\.7 and fd00::7 on shoal0/);
    return true;
  });
  link.refused.clear();
  own.set(IP4, IP6, 10);
  link.addresses.clear();
  link.refused.set(4, "ENODEV").set(16, "ENODEV"); // moved to another namespace
  own.mend(NOW);
  assert.match(own.health(NOW)[0] ?? "", /100\.64\.0\.7 is not on shoal0 .*\(ENODEV\)/);
  assert.equal(own.health(NOW).length, 2);
});

Deno.test("a route that another program took away is put back", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.routes.delete("100.64.0.7");
  own.mend(NOW);
  assert.deepEqual([...link.routes].sort(), ["100.64.0.7", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

for (const what of ["addresses", "routes"] as const) {
  Deno.test(`a program that takes ${what} away for ever is told of, and answered once in a minute`, () => {
    const { link, own } = given();
    own.set(IP4, IP6, 10);
    let putBack = 0;
    for (let second = 0; second < 600; second++) {
      const now = { boot: 1_000 * second, wall: 0 };
      link[what].delete("100.64.0.7");
      link[what].delete("fd00::7");
      own.mend(now);
      const isThere = ["100.64.0.7", "fd00::7"].map((name) => link[what].has(name));
      assert.equal(isThere[0], isThere[1], "both families, or none");
      if (isThere[0]) putBack++;
    }
    assert(putBack >= 18 && putBack <= 20, `${putBack} of 600`);
    const then = { boot: 600_000, wall: 0 };
    assert.match(own.health(then).join(), /another program takes .* off shoal0 again and again/);
    own.mend({ boot: 700_000, wall: 0 });
    assert(link[what].has("100.64.0.7"), "the last word is ours");
    assert.deepEqual(own.health({ boot: 1_000_000, wall: 0 }), []);
  });
}

Deno.test("a route of another program that leads past the tunnel is named, until it is gone", () => {
  const { link, own } = given();
  own.set(IP4, undefined, 10);
  link.way = "eth1";
  own.mend(NOW);
  assert.equal(link.asked && formatAddress(link.asked), "100.127.255.254");
  assert.match(
    own.health(NOW).join(),
    /by eth1 and not through the tunnel: .*ip route delete 100\.64\.0\.0\/10 dev eth1/,
  );
  link.way = "EINVAL"; // a black hole
  own.mend(NOW);
  assert.match(own.health(NOW).join(), /refuses 100\.64\.0\.0\/10/);
  for (const way of ["ENETUNREACH", undefined]) {
    link.way = way;
    own.mend(NOW);
    assert.deepEqual(own.health(NOW), []);
  }
  own.set(parseAddress("100.127.255.254"), IP6, 10);
  own.mend(NOW);
  assert.equal(link.asked && formatAddress(link.asked), "fd00::ffff:ffff:ffff:fffe");
});

Deno.test("a family is carried once an address of ours is there and its network goes by the interface", () => {
  const { link, own } = given();
  const carried = () => (["IPv4", "IPv6"] as const).filter((family) => own.isCarried(family));
  assert.deepEqual(carried(), [], "no address yet");
  own.set(undefined, IP6, 10);
  own.mend(NOW);
  assert.deepEqual(carried(), ["IPv6"], "what is for members goes by the default route in IPv4");
  link.refused.set(4, "EPERM");
  own.set(IP4, IP6, 10);
  own.mend(NOW);
  assert.deepEqual(carried(), ["IPv6"], "the kernel has not taken it");
  link.refused.clear();
  own.mend(NOW);
  assert.deepEqual(carried(), ["IPv4", "IPv6"]);
  link.way = "eth1";
  own.mend(NOW);
  assert.deepEqual(carried(), []);
});

Deno.test("where the network's last address is our own, the one before is asked for", () => {
  const { link, own } = given();
  own.set(parseAddress("10.77.3.254"), undefined, 24);
  own.mend(NOW);
  assert.equal(link.asked && formatAddress(link.asked), "10.77.3.253");
});

Deno.test("in another namespace nothing is put anywhere, the health says so, and it all comes back", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.addresses.clear(); // as the kernel does when an interface moves
  link.ifindex = 0;
  own.mend(NOW);
  assert.deepEqual([...link.addresses], []);
  assert.match(
    own.health(NOW).join(),
    /shoal0 is in another network namespace.*move the interface back/,
  );
  link.ifindex = 9;
  own.mend(NOW);
  assert.deepEqual([...link.addresses], ["100.64.0.7", "fd00::7"]);
  assert.deepEqual(own.health(NOW), []);
});

Deno.test("an interface that was renamed is called by its new name", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  link.ifname = "mesh0";
  own.mend(NOW);
  assert.deepEqual(own.health(NOW), []);
  link.isLinkUp = false;
  assert.match(own.health(NOW).join(), /ip link set mesh0 up/);
});

Deno.test("what the kernel takes when a link goes down costs no allowance, up to a limit", () => {
  const { link, own } = given();
  own.set(IP4, IP6, 10);
  let now = NOW;
  const flap = () => {
    link.addresses.delete("fd00::7");
    link.routes.clear();
    own.linkCameUp(now);
    now = { ...now, boot: now.boot + 100 };
  };
  for (let i = 0; i < 20; i++) flap();
  assert.ok(link.addresses.has("fd00::7"));
  now = { ...now, boot: now.boot + 2_000 };
  own.mend(now);
  assert.deepEqual(own.health(now), []);
  for (let i = 0; i < 10; i++) {
    link.addresses.clear(); // Another program has its whole allowance still.
    own.mend(now);
    assert.equal(link.addresses.size, 2);
  }
  assert.deepEqual(own.health(now), []);
  for (let i = 0; i < 10; i++) flap();
  assert.match(
    own.health(now).join(),
    /again and again/,
    "a link that flaps for ever meets a limit",
  );
});
