import assert from "node:assert/strict";
import { constants } from "node:os";
import { CoreError } from "../ffi/core_error.ts";
import { Status } from "../ffi/header.ts";
import { parseAddress } from "../mesh/endpoint.ts";
import { serversIn, Underlay } from "./underlay.ts";

const NETWORKS = [
  { address: bytes("100.96.0.1"), length: 10 },
  { address: bytes("fd09::1"), length: 64 },
];
const NOBODY = new Set<string>();

function bytes(text: string): Uint8Array {
  const address = parseAddress(text);
  assert.ok(address, text);
  return address;
}

interface Wish {
  /** What core names for our own datagrams: an interface, nothing, or why it does not. */
  readonly around?: "eth0" | "" | "ENETUNREACH" | "ENODEV";
  /** By which interface the kernel sends; undefined: by none. */
  readonly way?: string | undefined;
  readonly isDeaf?: boolean;
  readonly servers?: readonly string[];
}

/** A machine whose own network is on eth0. */
function underlay({ around = "eth0", isDeaf = false, servers = [], ...wish }: Wish): Underlay {
  const way = "way" in wish ? wish.way : "shoal0";
  const refused = (errno: "ENETUNREACH" | "ENODEV") =>
    new CoreError("link_around", Status.E_SYSTEM, constants.errno[errno], "RTM_GETROUTE");
  return new Underlay({
    info: () => ({ ifname: "shoal0" }),
    wayTo() {
      if (way === undefined) throw refused("ENETUNREACH");
      return way;
    },
    wayAround() {
      if (around === "ENETUNREACH" || around === "ENODEV") throw refused(around);
      return { ifname: around, isDeaf };
    },
  }, () => servers);
}

Deno.test("a kernel that drops what members of the network below send is named, with the line that helps", () => {
  const sought = ["100.99.0.2", "100.99.0.3", "100.99.0.4", "100.99.0.5"].map(bytes);
  const [line, ...others] = underlay({ isDeaf: true }).health(NETWORKS, sought, NOBODY);
  assert.match(
    line ?? "",
    /^eth0 drops what comes from 100\.99\.0\.2, 100\.99\.0\.3, 100\.99\.0\.4 and 1 more: .* leads to shoal0, .*: sysctl -w net\.ipv4\.conf\.eth0\.rp_filter=2$/,
  );
  assert.deepEqual(others, []);
  assert.deepEqual(underlay({}).health(NETWORKS, sought, NOBODY), []);
  assert.deepEqual(underlay({ isDeaf: true }).health(NETWORKS, [], NOBODY), []);
});

Deno.test("places to which nothing but the tunnel leads are named", () => {
  const sought = [bytes("100.99.0.2"), bytes("fd09::c8")];
  const lines = underlay({ around: "ENETUNREACH" }).health(NETWORKS, sought, NOBODY);
  assert.match(
    lines.join("\n"),
    /^no interface but shoal0 leads to 100\.99\.0\.2, fd09::c8, and nothing is sent there: .*add a route to their gateway/,
  );
  assert.equal(lines.length, 1);
  // An interface that has gone, or is elsewhere, is told of by others.
  assert.deepEqual(underlay({ around: "ENODEV" }).health(NETWORKS, sought, NOBODY), []);
});

Deno.test("a name server that the mesh's route hides is named, with the route that helps", () => {
  const servers = ["192.0.2.53", "100.100.2.136", "100.100.2.136", "127.0.0.53"];
  const lines = underlay({ servers }).health(NETWORKS, [], NOBODY);
  assert.match(
    lines.join("\n"),
    /^the name server 100\.100\.2\.136 .* 100\.64\.0\.0\/10, .*: give it a route of its own \(ip route add 100\.100\.2\.136 via GATEWAY dev eth0; /,
  );
  assert.equal(lines.length, 1);
  const none = (wish: Wish, members = NOBODY) =>
    assert.deepEqual(underlay({ servers, ...wish }).health(NETWORKS, [], members), []);
  none({}, new Set(["100.100.2.136"])); // A member, whom somebody made a name server.
  none({ way: "eth0" }); // It has a route of its own.
  none({ way: "lo" }); // It is this machine.
  none({ way: undefined });
  none({ around: "ENETUNREACH" }); // It is nowhere else, either.
  const many = Array.from({ length: 9 }, (_, i) => `100.100.2.${i}`);
  assert.equal(underlay({ servers: many }).health(NETWORKS, [], NOBODY).length, 3);
});

Deno.test("name servers are read as resolv.conf(5) has them", () => {
  const text =
    "# nameserver 1.1.1.1\nsearch lab\nnameserver 100.100.2.136\nnameserver\tfe80::1%eth0\n" +
    "nameserver \nnameservers 2.2.2.2\nnameserver 9.9.9.9 # a note";
  assert.deepEqual(serversIn(text), ["100.100.2.136", "fe80::1", "9.9.9.9"]);
});
