/**
 * Somebody with a copy of a member's key, or of ours, begins handshakes in the member's name and finishes none (item 11): what
 * the two send each other goes on, and people hear of it.
 */
import assert from "node:assert/strict";
import { formatEndpoint } from "./endpoint.ts";
import { Effects } from "./machine.ts";
import { identityFromSeed } from "./membership/identity.ts";
import type { Computer } from "./sim/node_lab.ts";
import { healthOf, told, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";
import { Tunnels } from "./tunnel/tunnels.ts";
import type { TunnelEvent } from "./tunnel/types.ts";

const SECOND = 1_000;
const PLACE = "198.51.100.7:4000";

/** Somebody with the tunnel key of a member. */
class Thief {
  #boot = SECOND;
  readonly #tunnels: Tunnels;

  constructor(private readonly victim: Computer, private readonly aheadMs: number) {
    const { lab, identitySeed } = victim;
    this.#tunnels = new Tunnels({ crypto: toyCrypto, random: lab.random });
    const out = new Effects<TunnelEvent>();
    const { tunnelSecret } = identityFromSeed(toyCrypto, identitySeed);
    this.#tunnels.setPrivateKey(this.#now(), tunnelSecret, out);
    this.#tunnels.up(this.#now(), out);
  }

  /** Begins a handshake with a member by a datagram that bears this place as its source. */
  begin(other: Computer, place: string): void {
    this.#boot += 60 * SECOND;
    const now = this.#now();
    const out = new Effects<TunnelEvent>();
    const key = toyCrypto.ed25519ToX25519Public(Uint8Array.fromHex(other.id));
    const added = key && this.#tunnels.addPeer(now, key, out);
    assert.ok(added?.kind === "added");
    this.#tunnels.setEndpoint(now, added.peer, other.endpoint, out);
    this.#tunnels.startHandshake(now, added.peer, out);
    assert.equal(out.datagrams.length, 1);
    for (const { bytes, to } of out.datagrams) {
      this.victim.lab.network.send(place, formatEndpoint(to), bytes, bytes.length);
    }
    this.#tunnels.removePeer(now, added.peer, out);
  }

  #now() {
    return { boot: this.#boot, wall: this.victim.now().wall + this.aheadMs };
  }
}

/** Both say one thing a second to each other. @returns seconds in which it was lost, of either direction */
function talk(one: Computer, other: Computer, seconds: number, eachSecond: () => void): number[] {
  const lost = [0, 0];
  for (let second = 0; second < seconds; second++) {
    one.delivered.length = other.delivered.length = 0;
    one.say(other);
    other.say(one);
    eachSecond();
    one.lab.run(SECOND);
    for (const [i, { delivered }] of [one, other].entries()) {
      if (delivered.length === 0) lost[i] = (lost[i] ?? 0) + 1;
    }
  }
  return lost;
}

for (
  const [each, aheadMs] of [[1, 25_000], [3, 25_000], [5, 25_000], [28, 25_000], [
    1,
    200_000,
  ]] as const
) {
  for (const idle of [0, 300]) {
    Deno.test(`item 11: handshakes that somebody with a copy of a key begins each ${each} s, ${aheadMs / SECOND} s ahead, after ${idle} s of silence, silence no tunnel and are named`, () => {
      for (const from of ["home", PLACE]) {
        const { lab, founder, others: [victim, other] } = village(
          toyCrypto,
          ["victim", "other"],
          16,
        );
        assert.ok(victim && other);
        lab.run(idle * SECOND);
        const thief = new Thief(victim, aheadMs);
        const place = from === "home" ? victim.address : from;
        let second = 0;
        const lost = talk(founder, victim, 400, () => {
          if (second++ % each === 0) thief.begin(founder, place);
        });
        assert.ok(lost.every((seconds) => seconds <= 1), `${lost} of 400 s lost, from ${from}`);
        const line =
          "key: somebody begins handshakes with a copy of victim's key, or of this node's, " +
          `from ${place}, and does not finish them`;
        assert.ok(
          healthOf(founder).some((one) => one.startsWith(line)),
          healthOf(founder).join("\n"),
        );
        const events = founder.events.filter((event) =>
          event.kind === "tunnel" && event.event.kind === "handshakesUnfinished"
        );
        assert.equal(events.length, 1);
        assert.deepEqual(healthOf(other), []);
        assert.equal(told(founder, "twin"), 0);
        lab.run(700 * SECOND);
        assert.deepEqual(healthOf(founder), [], "that one is silent");
      }
    });
  }
}

Deno.test("item 11: of a member to which nothing comes for a minute, again and again, nobody is told that its key is copied", () => {
  const { founder, others: [victim] } = village(toyCrypto, ["victim", "other"], 17);
  assert.ok(victim);
  const { deliver } = victim.host;
  for (let times = 0; times < 5; times++) {
    talk(founder, victim, 100, () => {});
    victim.host.deliver = () => {};
    talk(founder, victim, 60, () => {});
    victim.host.deliver = deliver;
    talk(founder, victim, 30, () => {});
    assert.doesNotMatch(healthOf(founder).join("\n"), /begins handshakes/);
  }
});
