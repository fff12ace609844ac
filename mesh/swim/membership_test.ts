import assert from "node:assert/strict";
import { Seeded } from "../sim/random.ts";
import { Buckets } from "./buckets.ts";
import { isLive, type Member, Membership } from "./membership.ts";
import { INCARNATION_MAX, type Status } from "./messages.ts";

const STATUSES: readonly Status[] = ["alive", "suspect", "dead", "left"];

function table(): { readonly members: Membership; readonly member: Member } {
  const name = (n: number) => new Seeded(n).bytes(32).toHex();
  const members = new Membership(name(1), 0, 0, new Buckets());
  return { members, member: members.add(name(2), 5, 0) };
}

Deno.test("at one incarnation alive < suspect < dead and left, and a higher incarnation beats them all", () => {
  const worse: Record<Status, readonly Status[]> = {
    alive: ["suspect", "dead", "left"],
    suspect: ["dead", "left"],
    dead: [],
    left: [],
  };
  for (const held of STATUSES) {
    for (const said of STATUSES) {
      const { members, member } = table();
      if (held !== "alive") members.set(member, held, 5, 0);
      assert.equal(
        members.precedes(member, said, 5),
        worse[held].includes(said),
        `${held} ${said}`,
      );
      assert.equal(members.precedes(member, said, 6), true);
      assert.equal(members.precedes(member, said, 4), false);
    }
  }
});

Deno.test("what may not follow is refused and changes nothing", () => {
  const { members, member } = table();
  members.set(member, "dead", 7, 100);
  assert.throws(() => members.set(member, "alive", 7, 200), RangeError);
  assert.throws(() => members.set(member, "dead", 6, 200), RangeError);
  assert.deepEqual([member.status, member.incarnation, member.since], ["dead", 7, 100]);
});

Deno.test("at the greatest incarnation, where nothing higher can be said, alive is possible again", () => {
  const { members, member } = table();
  members.set(member, "dead", INCARNATION_MAX, 1);
  members.set(member, "alive", INCARNATION_MAX, 2);
  assert.equal(member.status, "alive");
});

Deno.test("the counts of the living and the dead, and the fingerprint, follow every change", () => {
  const { members, member } = table();
  const fresh = members.fingerprint.hashes();
  const counts = () => [members.size, members.live, members.dead];
  assert.deepEqual(counts(), [2, 2, 0]);
  for (
    const [status, expected] of [
      ["suspect", [2, 2, 0]],
      ["dead", [2, 1, 1]],
      ["alive", [2, 2, 0]],
      ["left", [2, 1, 0]],
    ] as const
  ) {
    members.set(member, status, member.incarnation + 1, 0);
    assert.deepEqual(counts(), expected);
    assert.equal(isLive(member), expected[1] === 2);
    assert.notDeepEqual(members.fingerprint.hashes(), fresh);
  }
  members.remove(member);
  assert.deepEqual(counts(), [1, 1, 0]);
  members.add(member.id, 5, 0);
  assert.deepEqual(members.fingerprint.hashes(), fresh);
});
