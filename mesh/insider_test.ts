/** What a member, or the holder of a token, can do to others with well-formed datagrams (T38, T41). */
import assert from "node:assert/strict";
import { PAYLOAD_MAX, type PayloadKind, Seal } from "./control.ts";
import { approvalRumour, redemptionRumour } from "./news.ts";
import { nobleCrypto as crypto } from "./noble_crypto.ts";
import { type Computer, NodeLab } from "./sim/node_lab.ts";
import { encode, type Rumour } from "./swim/messages.ts";
import { appendLink, type Chain } from "./trust/certificate.ts";
import { identityFromSeed, meshIdOf } from "./trust/identity.ts";
import { parseToken, redeemToken, type Token } from "./trust/token.ts";

const HOUR = 3_600_000;

/** Sends whatever it likes to another member, sealed with its own good key. */
class Insider {
  readonly #seal: Seal;
  readonly #victim: string;

  constructor(private readonly computer: Computer, private readonly victim: Computer) {
    const { random } = computer.lab;
    const meshId = meshIdOf(crypto, Uint8Array.fromHex(computer.disk?.meshKey ?? ""));
    this.#seal = new Seal(
      crypto,
      random,
      meshId,
      identityFromSeed(crypto, computer.identitySeed),
      99,
    );
    const { id, signing } = identityFromSeed(crypto, victim.identitySeed);
    this.#victim = id;
    this.#seal.know(id, signing.publicKey, victim.disk?.boot ?? 1);
  }

  send(kind: PayloadKind, payload: Uint8Array): void {
    const bytes = this.#seal.seal(this.#victim, kind, payload);
    assert.ok(bytes);
    this.victim.inject(bytes, this.computer.endpoint);
  }

  rumour(rumour: Rumour): void {
    const body = { kind: "news" } as const;
    const message = { incarnation: 1, view: undefined, body, claims: [], rumours: [rumour] };
    this.send("gossip", encode(message, PAYLOAD_MAX));
  }
}

function tokenOf(text: string): Token {
  const token = parseToken(crypto, text);
  assert.ok(token.ok);
  return token.value;
}

/** A token whose key is another's: its holder hands on what it has. */
function narrowed(token: Token, lab: NodeLab): Token {
  const signing = crypto.ed25519FromSeed(lab.random(32));
  const grant = { ...token.grant, kind: "narrowing", next: signing.publicKey } as const;
  const chain = appendLink(crypto, token.meshKey, token.chain, token.signing, grant);
  return { ...token, chain, grant, signing };
}

/** A certificate for somebody else's key, by whoever holds a token. */
function certify(token: Token, key: Uint8Array): Chain {
  return redeemToken(crypto, token, { key, name: "pwned", expires: 2 ** 40 });
}

Deno.test("T41: who holds a token cannot rewrite another member's certificate", () => {
  const lab = new NodeLab(crypto, 1);
  const founder = lab.founder();
  const victim = lab.joiner(founder, { name: "victim" });
  lab.run(HOUR);
  const text = founder.token(); // allows a certificate that ends later than the victim's
  const insider = lab.computer({ token: text });
  insider.start();
  lab.run(20_000);
  const { signing } = identityFromSeed(crypto, victim.identitySeed);
  const chain = certify(tokenOf(text), signing.publicKey);
  const attack = new Insider(insider, victim);
  attack.send("chain", chain.bytes);
  attack.rumour(approvalRumour(victim.id, chain));
  lab.run(30_000);
  assert.equal(victim.node.status(victim.now()).self.name, "victim");
  assert.equal(founder.sees(victim)?.name, "victim");
  // An admin's renewal is taken.
  const renewed = founder.step((now, out) =>
    founder.node.approve(now, victim.id, out, { name: "renamed" })
  );
  assert.ok(renewed.ok);
  lab.run(30_000);
  assert.equal(founder.sees(victim)?.name, "renamed");
});

Deno.test("T41: who holds a token approves nobody, and a used-up one fills no table", () => {
  const lab = new NodeLab(crypto, 4);
  const founder = lab.founder();
  const text = founder.token();
  const insider = lab.computer({ token: text });
  insider.start();
  lab.run(10_000);
  const attack = new Insider(insider, founder);
  const strange = () => crypto.ed25519FromSeed(lab.random(32)).publicKey;
  for (let n = 0; n < 100; n++) {
    attack.rumour(redemptionRumour(crypto, certify(narrowed(tokenOf(text), lab), strange())));
    const key = strange();
    attack.rumour(approvalRumour(key.toHex(), certify(tokenOf(text), key)));
  }
  lab.run(10_000);
  const { redeemed } = founder.node.snapshot();
  assert.ok(redeemed.length <= 17, `${redeemed.length} chains`);
  const { health, control } = founder.node.status(founder.now());
  const lines = health.filter((line) => line.startsWith("a token for 1 was used by 17 (node-2, "));
  assert.equal(lines.length, 1, "the over-use is reported once");
  assert.ok((control["rumour"] ?? 0) >= 100, "no approval was believed");
});

Deno.test("a revocation that has ended is news to nobody: no storm begins where reviews are out of step", () => {
  const lab = new NodeLab(crypto, 7);
  const founder = lab.founder();
  const token = founder.token({ uses: 5 });
  const others = [1, 2, 3, 4, 5].map(() => lab.computer({ token }));
  for (const other of others) {
    lab.run(5_500);
    other.start();
  }
  const bad = lab.joiner(founder, { name: "bad" });
  lab.run(20_000);
  founder.step((now, out) => founder.node.revoke(now, "bad", out));
  bad.crash();
  lab.run(10_000);
  // All clocks go on to the end of the revocation, which then is forgotten at each one's own time.
  const century = 100 * 365 * 24 * HOUR;
  for (const one of [founder, ...others]) one.host.skew = century - 15_000;
  lab.run(60_000);
  for (const one of [founder, ...others]) one.host.skew = century + 290_000;
  let sent = 0;
  lab.tap = () => void sent++;
  lab.until(120_000, () => sent >= 60_000);
  assert.ok(sent < 60_000, `${sent} datagrams in two minutes`);
});
