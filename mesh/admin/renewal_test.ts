/** A new key for a machine: whoever has something to lose by it is asked, nobody else. */
import assert from "node:assert/strict";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { GuestDevice } from "../sim/guest_device.ts";
import type { Computer } from "../sim/node_lab.ts";
import { done, healthOf, promote, revoke, village } from "../sim/people.ts";

function renewal(computer: Computer) {
  return computer.node.renewal(computer.now());
}

Deno.test("a member in good standing is told what a new key gives up: membership, office, guests", () => {
  const { lab, founder, others: [plain, admin] } = village(crypto, ["plain", "admin"]);
  assert.ok(plain && admin);
  assert.match(
    renewal(plain).warnings.join("\n"),
    /^plain gives up its membership, and[^\n]*; the old key stays listed and keeps the name until an admin says `shoal revoke plain`$/,
  );
  assert.match(renewal(plain).advice?.join("") ?? "", /no copy of another's needs no new key/);
  assert.match(
    renewal(founder).warnings.join("\n"),
    /^founder gives up.*\nits office .*: the mesh key, which is on this machine, can approve/,
  );
  promote(founder, admin);
  lab.run(3_000);
  assert.match(renewal(founder).warnings.join("\n"), /\nits office .* \(admin can go on\)$/);
  assert.match(renewal(admin).warnings.join("\n"), /\nits office .* \(founder can go on\)$/);
  assert.deepEqual(renewal(founder).lines, []);
  const { publicKey: key } = new GuestDevice(lab, 1);
  done(founder.step((now, out) => founder.node.addGuest(now, "phone", { key }, out)));
  assert.deepEqual(renewal(founder).lines, ["1 guest of founder ends: phone"]);
});

Deno.test("an admin that is the last one, without the mesh key, is told that nobody could approve its new key", () => {
  const { founder } = village(crypto, ["plain"]);
  done(founder.step((now, out) => founder.node.setMeshKey(now, undefined, out)));
  assert.match(renewal(founder).warnings.join("\n"), /\nthis node is the last admin: nobody can/);
});

Deno.test("whoever is alone in its mesh, or no member of one, has nothing to lose", () => {
  const { founder } = village(crypto, []);
  assert.deepEqual(renewal(founder).warnings, []);
});

Deno.test("a key that was revoked is given up unasked, also where only a refusal at a door tells of it", () => {
  const { lab, founder, others: [told, late] } = village(crypto, ["told", "late"]);
  assert.ok(told && late);
  late.crash();
  for (const one of [told, late]) revoke(founder, one);
  late.start();
  assert.equal(renewal(late).warnings.length, 1, "it has not heard of it");
  lab.run(12_000);
  for (const one of [told, late]) {
    assert.match(healthOf(one).join("\n"), /`shoal identity renew`/, one.wish.name);
    assert.deepEqual(renewal(one).warnings, [], one.wish.name);
  }
});

Deno.test("a key that two machines use is given up unasked, on either", () => {
  const { lab, others: [original] } = village(crypto, ["original", "third"], 54);
  assert.ok(original);
  lab.run(20_000);
  const copy = lab.computer({ name: "copy" });
  copy.identitySeed = original.identitySeed;
  copy.disk = original.node.snapshot();
  copy.start();
  lab.run(15_000);
  for (const one of [original, copy]) assert.deepEqual(renewal(one).warnings, []);
});
