import assert from "node:assert/strict";
import { identityFromSeed } from "../membership/identity.ts";
import { RESERVE } from "../membership/sight.ts";
import { decodeStatement, hashOf, NUMBER_MAX } from "../membership/statement.ts";
import { Insider } from "../sim/insider.ts";
import { done, secondsAt, village } from "../sim/people.ts";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";

const RECOVERY = new Uint8Array(32).fill(77);
const MESH_KEY = new Uint8Array(32).fill(78);
const ROOM = NUMBER_MAX - RESERVE;

Deno.test("invariant 13: a recovery signs 12,288 statements, offices and ends first, and names the members that are left", () => {
  const recoveryKey = crypto.ed25519FromSeed(RECOVERY).publicKey;
  const { lab, founder, others: [one, bad] } = village(crypto, ["one", "bad"], 4, { recoveryKey });
  assert.ok(one && bad && one.disk);
  lab.run(10_000);
  const { signing } = identityFromSeed(crypto, founder.identitySeed);
  const insider = new Insider(founder);
  const seen = secondsAt(one);
  const toBase64url = (bytes: Uint8Array) =>
    bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const said = Array.from({ length: ROOM }, (_, n) => {
    // Two keys that differ in the last bit alone have one tunnel key.
    const key = n.toString(16).padStart(62, "0") + "00";
    const certificate = {
      key,
      name: `m${n}`,
      groups: [],
      relay: false,
      ip4Counter: 0,
      since: seen,
    };
    const draft = { kind: "member", certificate, until: seen + 1e7, token: undefined } as const;
    return insider.sign(draft, signing, 1_000 + n);
  });
  // The last thing that the founder has said: it is signed before the members all the same.
  said.push(insider.sign({ kind: "removed", key: bad.id }, signing, 1_000 + ROOM));
  one.crash();
  const statements = said.map(({ bytes }) => ({ bytes: toBase64url(bytes), seen }));
  one.disk = { ...one.disk, statements: [...one.disk.statements, ...statements] };
  assert.equal(one.start(), undefined);
  const keys = { recovery: RECOVERY, meshKey: MESH_KEY };
  const options = { without: ["founder"], yes: true };
  const outcome = done(one.step((now, out) => one.node.recover(now, keys, options, out)));
  assert.ok(outcome.isDone);
  assert.equal(one.disk?.numbers.mesh, ROOM, "as many as there is room for");
  assert.match(
    outcome.lines.join("\n"),
    /^\d+ members? out until you `shoal approve` each: .*m\d+/m,
  );
  const { id: meshKey } = identityFromSeed(crypto, MESH_KEY);
  const kinds = (one.disk?.statements ?? []).flatMap(({ bytes }) => {
    const raw = Uint8Array.fromBase64(bytes, { alphabet: "base64url" });
    const decoded = decodeStatement(raw, hashOf(crypto, raw));
    return decoded.ok && decoded.value.signer === meshKey ? [decoded.value.kind] : [];
  });
  const count = (kind: string) => kinds.filter((one) => one === kind).length;
  const signed = ["admin", "removed", "demoted", "member"].map(count);
  assert.deepEqual(signed, [1, 2, 1, ROOM - 4]);
});
