import assert from "node:assert/strict";
import { constants } from "node:os";
import { CoreError } from "../ffi/core_error.ts";
import { Status } from "../ffi/header.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import type { Named } from "../mesh/report/directory.ts";
import { Byways, OTHERS, TALKED_WITH } from "./byways.ts";

function member(n: number): Named {
  return { name: `m${n}`, ip4: `100.64.${n >> 8}.${n & 255}`, ip6: `fd00::${n.toString(16)}` };
}

/** A machine with routes for single addresses, and its mesh. */
class Machine {
  ifindex = 7;
  /** Interface, or errno of a route that refuses, by address. */
  readonly routes = new Map<string, string>();
  asked: string[] = [];
  talked: Named[] = [];
  readonly carried = new Set<"IPv4" | "IPv6">(["IPv4", "IPv6"]);
  readonly byways: Byways;

  constructor(public members: Named[]) {
    const source = {
      talksWith: (limit: number) => this.talked.slice(0, limit),
      someOfAll: (from: number, limit: number) => this.members.slice(from, from + limit),
    };
    this.byways = new Byways(this, source);
  }

  info() {
    return { ifname: "shoal0", ifindex: this.ifindex, isLinkUp: true };
  }

  wayTo(address: Uint8Array): string {
    const text = formatAddress(address);
    this.asked.push(text);
    const way = this.routes.get(text) ?? "shoal0";
    if (!way.startsWith("E")) return way;
    const errno = constants.errno[way as keyof typeof constants.errno];
    throw new CoreError("link_way", Status.E_SYSTEM, errno, "RTM_GETROUTE");
  }

  /** @returns what the health says after a turn */
  turn(): string[] {
    this.asked = [];
    this.byways.look((family) => this.carried.has(family));
    return this.byways.health();
  }
}

const all = (count: number) => Array.from({ length: count }, (_, n) => member(n));

Deno.test("a route for one member's address past the tunnel is named in the next turn, in both families, until it is gone", () => {
  const machine = new Machine(all(3));
  assert.deepEqual(machine.turn(), []);
  machine.routes.set("100.64.0.1", "eth0").set("fd00::2", "eth0");
  const [line, ...others] = machine.turn();
  assert.match(
    line ?? "",
    /^this machine sends what is meant for m1 \(100\.64\.0\.1\), m2 \(fd00::2\) by eth0, in the clear, and not through/,
  );
  assert.match(line ?? "", /`ip route get 100\.64\.0\.1` shows .*UseRoutes=no/);
  assert.deepEqual(others, []);
  machine.routes.delete("100.64.0.1");
  assert.match(machine.turn().join("\n"), /for m2 \(fd00::2\) by eth0/);
  machine.routes.clear();
  assert.deepEqual(machine.turn(), []);
});

Deno.test("of 10,000 members a turn looks at so many, at those that we talk with each time, and at all in their order", () => {
  const machine = new Machine(all(10_000));
  machine.talked = [member(9_000)];
  machine.routes.set("100.64.35.40", "eth0").set(member(9_500).ip4 ?? "", "eth1");
  assert.match(machine.turn().join("\n"), /m9000 \(100\.64\.35\.40\) by eth0/);
  const seen = new Set<string>();
  let turns = 1;
  for (; !machine.byways.health().some((line) => /m9500 .* by eth1/.test(line)); turns++) {
    machine.turn();
    assert.ok(machine.asked.length <= 2 * (TALKED_WITH + OTHERS) + 2, `${machine.asked.length}`);
    assert.ok(machine.asked.includes("100.64.35.40"));
    for (const one of machine.asked) seen.add(one);
  }
  assert.equal(turns, 1 + Math.floor(9_500 / OTHERS));
  assert.ok(seen.size > 18_900, `${seen.size} addresses`);
  machine.routes.clear();
  assert.deepEqual(machine.turn(), [], "what was found is looked at each time");
});

Deno.test("a line names three, however many there are, and of a member that has gone nothing is said for long", () => {
  const machine = new Machine(all(200));
  for (const { ip4 } of machine.members) machine.routes.set(ip4 ?? "", "eth0");
  const turns = () => Array.from({ length: 8 }, () => machine.turn()).at(-1) ?? [];
  const [line = "", ...others] = turns();
  assert.match(line, /m0 \(100\.64\.0\.0\), m1 .*, m2 \(100\.64\.0\.2\) and 61 more by eth0/);
  assert.deepEqual(others, []);
  machine.members = all(1);
  turns();
  assert.match(turns().join("\n"), /for m0 \(100\.64\.0\.0\) by eth0/);
});

Deno.test("a route that refuses is named as such; loopback, a network that is told already and an interface that is away are not", () => {
  const machine = new Machine(all(3));
  machine.routes.set("100.64.0.1", "EHOSTUNREACH").set("100.64.0.2", "lo").set("fd00::2", "eth0");
  machine.routes.set("fd00::1", "ENETUNREACH"); // no route at all: told of the interface
  machine.carried.delete("IPv6");
  const [line, ...others] = machine.turn();
  assert.match(
    line ?? "",
    /^a route of this machine refuses what is meant for m1 \(100\.64\.0\.1\), /,
  );
  assert.deepEqual(others, []);
  machine.ifindex = 0;
  assert.deepEqual(machine.turn(), []);
});

Deno.test("of a family of which this node has no address yet nothing is said: the way is the default route, which is nobody's mistake", () => {
  const machine = new Machine(all(3));
  for (const { ip4 } of machine.members) machine.routes.set(ip4 ?? "", "eth0");
  machine.carried.delete("IPv4");
  machine.routes.set("fd00::2", "eth0");
  assert.match(
    machine.turn().join("\n"),
    /^this machine sends what is meant for m2 \(fd00::2\) by/,
  );
  machine.routes.delete("fd00::2");
  assert.deepEqual(machine.turn(), []);
  machine.carried.add("IPv4");
  assert.match(machine.turn().join("\n"), /m0 \(100\.64\.0\.0\), m1 .* by eth0/);
  machine.carried.delete("IPv4");
  assert.deepEqual(machine.turn(), [], "nor what was found before");
});
