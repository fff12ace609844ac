import assert from "node:assert/strict";
import { FirstContacts, PER_CLAIMANT } from "./door/first_contacts.ts";
import type { Endpoint } from "./endpoint.ts";
import type { NodeEvent } from "./event.ts";
import { type Datagram, Effects } from "./machine.ts";
import { MemberTunnels } from "./member_tunnels.ts";
import type { Roster } from "./membership/roster.ts";
import { toyCrypto as crypto } from "./sim/toy_crypto.ts";
import type { Tunnels } from "./tunnel/tunnels.ts";

const now = { boot: 1_000, wall: 1_000 };

/** A place that has never answered: each is a host of its own. */
function place(n: number): Endpoint {
  return { address: Uint8Array.of(198, 51, 100, n), port: 51820, scope: 0 };
}

Deno.test("item 6: a member whose tunnel is sent from place to place uses up its own first contacts, and nobody else's", () => {
  const contacts = new FirstContacts();
  const roster = {
    byPeer: (peer: number) => ({ id: peer === 1 ? "mole" : "honest" }),
    who: (id: string) => ({ id, name: id }),
  } as unknown as Roster;
  const tunnels = new MemberTunnels(crypto, roster, contacts, {} as Tunnels);
  const sent = (peer: number, to: Endpoint): readonly Datagram[] => {
    const effects = new Effects<NodeEvent>();
    tunnels.outbox(now, effects).send({ bytes: new Uint8Array(148), to, peer });
    return effects.datagrams;
  };
  for (let n = 0; n < PER_CLAIMANT; n++) assert.equal(sent(1, place(n)).length, 1);
  assert.equal(sent(1, place(PER_CLAIMANT)).length, 0, "its share is used up");
  assert.equal(sent(2, place(100)).length, 1, "another member has a share of its own");
});
