import assert from "node:assert/strict";
import { constants } from "node:os";
import { CoreError } from "../ffi/core_error.ts";
import { Status } from "../ffi/header.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import type { Prefix } from "../mesh/machine.ts";
import { Guard, type GuardNews } from "./guard.ts";

const IP4 = { address: Uint8Array.of(100, 64, 0, 7), length: 10 };
const IP6 = { address: Uint8Array.of(0xfd, ...Array(14).fill(0), 7), length: 64 };

/** A kernel that guards, or refuses to. */
class Kernel {
  ifname = "shoal0";
  ifindex = 7;
  refuses: keyof typeof constants.errno | undefined;
  tries = 0;
  guarded: string[] = [];

  info() {
    return { ifname: this.ifname, ifindex: this.ifindex };
  }

  setGuard(addresses: readonly Prefix[]): void {
    this.tries++;
    if (this.refuses) {
      const errno = constants.errno[this.refuses];
      throw new CoreError("link_guard", Status.E_SYSTEM, errno, "nf_tables");
    }
    this.guarded = addresses.map(({ address, length }) => `${formatAddress(address)}/${length}`);
  }
}

function given() {
  const kernel = new Kernel();
  const news: GuardNews[] = [];
  return { kernel, news, guard: new Guard(kernel, (one) => news.push(one)) };
}

Deno.test("what is guarded are the addresses of the mesh, as they are now", () => {
  const { kernel, news, guard } = given();
  guard.set([IP4, IP6]);
  assert.deepEqual(kernel.guarded, ["100.64.0.7/10", "fd00::7/64"]);
  guard.set([IP6]);
  assert.deepEqual(kernel.guarded, ["fd00::7/64"]);
  guard.mend();
  assert.equal(kernel.tries, 2, "what is so is not done again");
  assert.deepEqual([guard.health(), news], [[], []]);
});

Deno.test("an interface that comes back with another number is guarded by that", () => {
  const { kernel, guard } = given();
  guard.set([IP4]);
  kernel.ifindex = 0; // in another namespace
  guard.mend();
  assert.equal(kernel.tries, 1);
  kernel.ifindex = 9;
  guard.mend();
  assert.equal(kernel.tries, 2);
});

Deno.test("a kernel that refuses is told of once, tried again, and status says what to add to the firewall", () => {
  const { kernel, news, guard } = given();
  kernel.refuses = "EOPNOTSUPP";
  guard.set([IP4, IP6]);
  guard.mend();
  assert.deepEqual(news, [{ kind: "unguarded", reason: "EOPNOTSUPP" }]);
  const [line, ...others] = guard.health();
  assert.match(line ?? "", /^not guarded: .* send to 100\.64\.0\.7 and fd00::7 .*\(EOPNOTSUPP;/);
  assert.ok(
    line?.endsWith(
      `nft 'add rule inet filter input iifname != { "lo", "shoal0" } ip saddr 100.64.0.0/10 ip daddr 100.64.0.7 ` +
        `drop; add rule inet filter forward iifname != { "lo", "shoal0" } ip saddr 100.64.0.7 drop; ` +
        `add rule inet filter input iifname != { "lo", "shoal0" } ip6 saddr fd00::/64 ip6 daddr fd00::7 drop; ` +
        `add rule inet filter forward iifname != { "lo", "shoal0" } ip6 saddr fd00::7 drop'`,
    ),
    line,
  );
  assert.deepEqual(others, []);
  kernel.refuses = undefined;
  guard.mend();
  assert.deepEqual([guard.health(), kernel.guarded.length, news.length], [[], 2, 1]);
});
