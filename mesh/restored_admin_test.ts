/** An admin whose disk is an older one, among members that do not want it to learn what it has forgotten (invariant 14). */
import assert from "node:assert/strict";
import { Insider } from "./sim/insider.ts";
import { promote, revoke, village } from "./sim/people.ts";
import { toyCrypto } from "./sim/toy_crypto.ts";
import { decode } from "./swim/messages.ts";
import { PAYLOAD_MAX } from "./wire/seal.ts";

/** Answers what it was asked since the last call: it is alive, and nothing differs. */
function lie(liar: Insider, asked: { readonly id: string }): boolean {
  let isAsked = false;
  for (const { from, kind, payload } of liar.overheard.splice(0)) {
    const message = kind === "gossip" && from === asked.id
      ? decode(payload, PAYLOAD_MAX)
      : undefined;
    if (!message?.ok) continue;
    const { body } = message.value;
    const to = liar.computer.lab.computers.find(({ id }) => id === from);
    assert.ok(to);
    if (body.kind === "ping") liar.gossip(to, { kind: "ack", seq: body.seq });
    if (body.kind !== "digest") continue;
    isAsked = true;
    liar.gossip(to, { kind: "differ", seq: body.seq, mask: new Uint8Array(8) });
  }
  return isAsked;
}

for (const seed of [4, 5, 6]) {
  Deno.test(`invariant 14: a former member that answers a restored admin first, and says that nothing differs, does not come back by it (seed ${seed})`, () => {
    const { lab, founder, others } = village(toyCrypto, ["second", "v", "w", "x"], seed);
    const [second, v, w, x] = others;
    assert.ok(second?.disk && v && w && x);
    promote(founder, second);
    lab.run(20_000);
    const backup = structuredClone(second.disk);
    revoke(second, v);
    lab.run(10_000);
    second.crash();
    lab.run(100);
    second.disk = backup;
    const liar = new Insider(v);
    liar.isPolite = false;
    assert.equal(second.start(), undefined);
    let isAsked = false;
    for (let ms = 0; ms < 6_000; ms += 50) {
      liar.gossip(second, { kind: "news" });
      lab.run(50);
      isAsked = lie(liar, second) || isAsked;
    }
    assert.ok(isAsked, "the lie was told");
    revoke(second, w);
    lab.run(60_000);
    for (const one of [founder, second, x]) {
      assert.equal(one.sees(v), undefined, `${one.wish.name}: v is out`);
      assert.equal(one.sees(w), undefined, `${one.wish.name}: w is out`);
    }
  });
}
