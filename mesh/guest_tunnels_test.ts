import assert from "node:assert/strict";
import { FirstContacts } from "./door/first_contacts.ts";
import type { NodeEvent } from "./event.ts";
import { GuestTunnels, MANY } from "./guest_tunnels.ts";
import { Effects } from "./machine.ts";
import { MemberTunnels } from "./member_tunnels.ts";
import { Guests } from "./membership/guests.ts";
import { Judge } from "./membership/judge.ts";
import { Roster } from "./membership/roster.ts";
import { adminDraft, guestDraft, NOW, Signatories } from "./sim/signatories.ts";
import { toyCrypto as crypto } from "./sim/toy_crypto.ts";
import { Tunnels } from "./tunnel/tunnels.ts";

/** The tunnels of an admin, and its hand. */
function host() {
  const society = new Signatories(crypto);
  const anna = society.person(1);
  const judge = new Judge(crypto, society.genesis);
  const roster = new Roster(crypto, judge);
  const guests = new Guests(crypto, judge, roster);
  const contacts = new FirstContacts();
  const tunnels = new Tunnels({ crypto, random: (length) => new Uint8Array(length) });
  const members = new MemberTunnels(crypto, roster, contacts, tunnels);
  const own = new GuestTunnels(anna.id, guests, roster, contacts, tunnels, members);
  judge.statements.add(society.sign(society.mesh, adminDraft(anna)).bytes, NOW);
  const add = (n: number) => {
    const id = crypto.blake2s(new Uint8Array([n & 255, n >> 8])).toHex();
    const draft = guestDraft({ id }, anna, { name: `g${n}`, since: NOW + n });
    judge.statements.add(society.sign(anna, draft).bytes, NOW);
    own.touch();
  };
  /** @returns how many commands came of it */
  const settle = (boot: number) => {
    const effects = new Effects<NodeEvent>();
    own.settle({ boot, wall: NOW * 1000 }, effects);
    return effects.commands.length;
  };
  return { own, guests, contacts, tunnels, add, settle };
}

Deno.test("a change is carried out at once, and once", () => {
  const { own, guests, add, settle } = host();
  add(1);
  assert.equal(own.deadline()?.at, -Infinity);
  assert.ok(settle(1_000) > 0);
  assert.equal(guests.size, 1);
  assert.equal(own.deadline(), undefined);
  own.touch();
  assert.equal(settle(1_000), 0, "what changes nothing does nothing");
  add(2);
  assert.ok(settle(1_001) > 0);
});

Deno.test("more guests than any honest admin has are judged once a second", () => {
  const { own, guests, add, settle } = host();
  for (let n = 0; n < MANY + 1; n++) add(n);
  settle(5_000);
  const { size } = guests;
  assert.equal(guests.candidates, MANY + 1);
  add(MANY + 1);
  assert.equal(own.deadline()?.at, 6_000);
  let surplus = [...guests.surplus.values()];
  settle(5_999);
  assert.deepEqual([...guests.surplus.values()], surplus);
  settle(6_000);
  surplus = surplus.map((count) => count + 1);
  assert.deepEqual([...guests.surplus.values()], surplus);
  assert.equal(guests.size, size);
  assert.equal(own.deadline(), undefined);
});

Deno.test("a guest proves a place by the session that it was offered there, by no other", () => {
  const { own, guests, contacts, tunnels, add, settle } = host();
  add(1);
  settle(1_000);
  const [guest] = guests.all();
  assert.ok(guest);
  const peer = own.peerOf(guest.key);
  assert.ok(peer !== undefined);
  const now = { boot: 2_000, wall: NOW * 1000 };
  const home = { address: Uint8Array.of(198, 51, 100, 1), port: 5555, scope: 0 };
  const victim = { address: Uint8Array.of(203, 0, 113, 9), port: 53, scope: 0 };
  const isAt = (place: typeof home) => tunnels.setEndpoint(now, peer, place, new Effects());

  isAt(victim); // it sends data in the name of that place, by session 7 which it got at home
  own.offered(peer, 8, victim);
  assert.equal(own.confirmed(now, peer, 7), false);
  assert.ok(!contacts.isRemembered(victim, guest.key));
  own.offered(peer, undefined, victim); // what it answered to us is no offer
  assert.equal(own.confirmed(now, peer, 8), false);
  own.offered(peer, 9, home);
  assert.equal(own.confirmed(now, peer, 9), false, "used from another place");
  assert.deepEqual([...own.places()], []);

  isAt(home);
  assert.equal(own.confirmed(now, peer, 9), true);
  assert.deepEqual([...own.places()], [{ key: guest.key, place: home }]);
  assert.equal(own.confirmed(now, peer, 9), false, "it is no news twice");
});
