/** The rules by example: each line was worked out by hand, so that the oracle is not compared with itself. */
import assert from "node:assert/strict";
import { oracle, type OracleStatement, type Said } from "./trust_oracle.ts";

const NOW = 1000;
const genesis = { mesh: "m", meshKey: "M", recoveryKey: "R" };
const KEYS = ["a", "b", "c", "x", "y", "z", "t"];

let hashes = 0;

/** A statement whose hash is higher than those before, unless it is given. */
function by(signer: string, number: number, says: Said, hash?: string, at = 10): OracleStatement {
  const next = `${++hashes}`.padStart(6, "0");
  return { signer, signedBy: signer, mesh: "m", number, at, hash: hash ?? next, says };
}

/** The same, signed at this time. */
function then(at: number, signer: string, number: number, says: Said): OracleStatement {
  return by(signer, number, says, undefined, at);
}

const certificate = (
  key: string,
  more: { name?: string; since?: number } = {},
) => ({
  key,
  name: key,
  groups: [],
  relay: false,
  ip4Counter: 0,
  since: 10,
  ...more,
});

const admin = (key: string, more: { name?: string; since?: number } = {}): Said => ({
  kind: "admin",
  certificate: certificate(key, more),
});
const member = (
  key: string,
  more: {
    name?: string;
    since?: number;
    token?: { key: string; uses: number };
    until?: number;
  } = {},
): Said => {
  const { token, until = 5000, ...rest } = more;
  const said = { kind: "member", certificate: certificate(key, rest), until } as const;
  return token === undefined ? said : { ...said, token };
};
const demoted = (key: string): Said => ({ kind: "demoted", key });
const removed = (key: string): Said => ({ kind: "removed", key });
const token = (key: string, uses: number): Said => ({
  kind: "token",
  key,
  uses,
  groups: [],
  relay: false,
  until: 2000,
  memberUntil: 3000,
  doors: ["a"],
});

/** Every key has one of two addresses. */
const ip4Of = (key: string, counter: number) => (key.charCodeAt(0) + counter) % 2;

function findings(statements: readonly OracleStatement[], now = NOW) {
  return oracle(genesis, statements, now, KEYS, ip4Of);
}

/** One word about a key: its standing, or why it is no member. */
function judged(key: string, statements: readonly OracleStatement[], now = NOW): string {
  const verdict = findings(statements, now).verdicts.get(key);
  return verdict?.kind === "member" ? verdict.standing : verdict?.why ?? "not asked";
}

Deno.test("oracle: the mesh key makes admins, admins make members, and nobody else does", () => {
  const set = [by("M", 1, admin("a")), by("a", 1, member("x")), by("x", 1, member("y"))];
  assert.equal(judged("a", set), "admin");
  assert.equal(judged("x", set), "certified");
  assert.equal(judged("y", set), "stranger");
  assert.equal(judged("b", [...set, by("a", 2, admin("b"))]), "stranger");
});

Deno.test("oracle: a statement of another mesh, or signed by another key, is none", () => {
  assert.equal(judged("a", [{ ...by("M", 1, admin("a")), mesh: "n" }]), "stranger");
  assert.equal(judged("a", [{ ...by("M", 1, admin("a")), signedBy: "x" }]), "stranger");
});

Deno.test("oracle: a demotion ends an office for ever, with what it has signed", () => {
  const set = [by("M", 1, admin("a")), by("a", 1, member("x")), by("M", 2, demoted("a"))];
  assert.equal(judged("a", set), "stranger");
  assert.equal(judged("x", set), "stranger");
  assert.deepEqual(findings(set).voidMembers, ["a", "x"]);
  assert.equal(judged("a", [...set, by("M", 3, admin("a"))]), "stranger");
  assert.equal(judged("a", [...set, by("M", 3, member("a"))]), "certified");
});

Deno.test("oracle: an admin demotes nobody", () => {
  const set = [by("M", 1, admin("a")), by("M", 2, admin("b")), by("a", 1, demoted("b"))];
  assert.equal(judged("b", set), "admin");
});

Deno.test("oracle: an admin's removal has no effect on who has or had an office, the mesh key's when it ends", () => {
  const set = [by("M", 1, admin("a")), by("M", 2, admin("b")), by("a", 1, removed("b"))];
  assert.equal(judged("b", set), "admin");
  const ended = [...set, by("M", 3, demoted("b")), by("M", 4, member("b"))];
  assert.equal(judged("b", ended), "certified");
  const byMeshKey = [...set, by("M", 5, removed("b"))];
  assert.equal(judged("b", byMeshKey), "admin");
  assert.equal(judged("b", [...byMeshKey, by("M", 3, demoted("b"))]), "removed");
  const recovered = [by("R", 1, { kind: "successor", key: "N" }), by("N", 1, admin("a"))];
  assert.equal(judged("b", [...ended, ...recovered, by("N", 2, member("b"))]), "removed");
  // A recovery signs demotions anew, so that nothing gains an effect by it.
  const anew = [...recovered, by("N", 2, member("b")), by("N", 3, demoted("b"))];
  assert.equal(judged("b", [...ended, ...anew]), "certified");
});

Deno.test("oracle: a removal ends with the office of its signer, and is listed", () => {
  const set = [by("M", 1, admin("a")), by("M", 2, member("x")), by("a", 1, removed("x"))];
  assert.equal(judged("x", set), "removed");
  const ended = [...set, by("M", 3, demoted("a"))];
  assert.equal(judged("x", ended), "certified");
  assert.deepEqual(findings(ended).voidRemovals, ["x"]);
});

Deno.test("oracle: who has left is out for ever, and what it signed stands", () => {
  const left: Said = { kind: "left" };
  const set = [by("M", 1, admin("a")), by("a", 1, member("x")), by("a", 0, left)];
  assert.equal(judged("a", set), "left");
  assert.equal(judged("x", set), "certified");
  assert.equal(judged("x", [...set, by("x", 0, left), by("M", 2, member("x"))]), "left");
  assert.equal(judged("x", [...set, { ...by("x", 0, left), signedBy: "y" }]), "certified");
});

Deno.test("oracle: the highest successor is the mesh key, and older ones say nothing", () => {
  const to = (key: string): Said => ({ kind: "successor", key });
  const set = [by("M", 1, admin("a")), by("a", 1, member("x")), by("R", 1, to("N"))];
  assert.equal(judged("a", set), "stranger");
  const anew = [...set, by("N", 1, admin("a"))];
  assert.equal(judged("x", anew), "certified");
  assert.equal(findings([...anew, by("R", 2, to("O"))]).meshKey, "O");
  assert.equal(findings([by("R", 2, to("O")), by("R", 1, to("N"))]).meshKey, "O");
  assert.equal(findings([...anew, by("N", 2, to("O")), by("M", 2, to("O"))]).meshKey, "N");
  const same = [by("R", 1, to("N"), "2"), by("R", 1, to("O"), "1")];
  assert.equal(findings(same).meshKey, "O");
});

Deno.test("oracle: of two statements with one signer and number the lower hash counts", () => {
  const set = [
    by("M", 1, admin("a")),
    by("a", 1, member("x"), "2"),
    by("a", 1, member("y"), "1"),
    by("M", 2, member("z")),
  ];
  assert.deepEqual(["x", "y", "z"].map((key) => judged(key, set)), [
    "stranger",
    "certified",
    "certified",
  ]);
  assert.deepEqual(findings(set).conflicts, ["a 1"]);
});

Deno.test("oracle: of two with one number what ends something counts, the end of an office first", () => {
  const withdrawn: Said = { kind: "withdrawn", key: "t" };
  const pairs: [Said, Said][] = [
    [demoted("a"), removed("x")],
    [removed("x"), withdrawn],
    [withdrawn, member("x")],
    [withdrawn, token("t", 1)],
  ];
  for (const [stronger, weaker] of pairs) {
    const set = [by("M", 1, admin("a")), by("M", 2, member("x")), by("M", 3, token("t", 1))];
    const both = [...set, by("M", 9, weaker, "1"), by("M", 9, stronger, "2")];
    const one = [...set, by("M", 9, stronger, "2")];
    assert.deepEqual({ ...findings(both), conflicts: [] }, findings(one));
    assert.deepEqual(findings(both).conflicts, ["M 9"]);
  }
  // What a signer may not say takes no number from what it may.
  const set = [by("M", 1, admin("a")), by("a", 1, member("x"), "2"), by("a", 1, demoted("a"), "1")];
  assert.equal(judged("x", set), "certified");
  assert.deepEqual(findings(set).conflicts, []);
});

Deno.test("oracle: a token certifies the first keys by time, then by key, each once", () => {
  const use = { key: "t", uses: 2 };
  const set = [
    by("M", 1, admin("a")),
    by("M", 2, admin("b")),
    by("a", 1, token("t", 2)),
    by("b", 1, member("z", { since: 20, token: use })),
    by("b", 2, member("y", { since: 20, token: use })),
    by("b", 3, member("x", { since: 10, token: use })),
    then(11, "b", 4, member("x", { since: 10, token: use })),
  ];
  const three = (of: readonly OracleStatement[]) => ["x", "y", "z"].map((key) => judged(key, of));
  assert.deepEqual(three(set), ["certified", "certified", "surplus"]);
  // Whoever is removed has had its place.
  const less = three([...set, by("a", 2, removed("x"))]);
  assert.deepEqual(less, ["removed", "certified", "surplus"]);
  // A person's certificate names no token.
  assert.equal(judged("z", [...set, by("a", 3, member("z"))]), "certified");
  // The end of the office of a token's maker, or of the token, changes nothing for those that others have certified.
  assert.deepEqual(three([...set, by("M", 3, demoted("a"))]), three(set));
  const ended = [...set, by("b", 5, { kind: "withdrawn", key: "t" })];
  assert.deepEqual(three(ended), three(set));
  assert.deepEqual(findings(ended).withdrawn, ["t"]);
  // Each certificate says itself how many keys its token admits.
  const more = [...set, by("b", 6, member("z", { since: 20, token: { key: "t", uses: 3 } }))];
  assert.deepEqual(three(more), ["certified", "certified", "certified"]);
});

Deno.test("oracle: a withdrawal ends a token and no membership, a removal a membership and no token", () => {
  const set = [by("M", 1, admin("a")), by("a", 1, token("x", 2)), by("a", 2, member("x"))];
  const ended = [...set, by("a", 3, { kind: "withdrawn", key: "x" })];
  assert.equal(judged("x", ended), "certified");
  assert.deepEqual(findings(ended).withdrawn, ["x"]);
  const out = [...set, by("a", 3, removed("x"))];
  assert.equal(judged("x", out), "removed");
  assert.deepEqual(findings(out).withdrawn, []);
});

Deno.test("oracle: of several statements about one token the one signed last counts", () => {
  const set = [by("M", 1, admin("a")), by("a", 1, token("t", 2)), then(9, "M", 2, token("t", 3))];
  assert.deepEqual([...findings(set).tokens], [["t", 2]]);
  assert.deepEqual([...findings([...set, by("M", 3, demoted("a"))]).tokens], [["t", 3]]);
});

Deno.test("oracle: the certificate signed last counts, at one time the lower hash, none of the future", () => {
  const nameOf = (now: number, ...statements: OracleStatement[]) => {
    const verdict = findings(statements, now).verdicts.get("x");
    return verdict?.kind === "member" ? verdict.name : verdict?.why;
  };
  const old = by("M", 1, member("x", { name: "old" }), "3", 10);
  const late = by("M", 2, member("x", { name: "late" }), "2", 11);
  const equal = by("M", 3, member("x", { name: "equal" }), "1", 11);
  const future = by("M", 4, member("x", { name: "future" }), "0", 2000);
  assert.equal(nameOf(NOW, late, old), "late");
  assert.equal(nameOf(NOW, late, old, equal), "equal");
  assert.equal(nameOf(NOW, late, future, old), "late");
  assert.equal(nameOf(1700, late, future, old), "future");
  assert.equal(nameOf(NOW, future), "notYetValid");
});

Deno.test("oracle: a name that ends like one made of a key is no name", () => {
  const digits = "0123456789abcdef".repeat(2);
  assert.equal(judged("x", [by("M", 1, member("x", { name: `lyon-${digits}` }))]), "stranger");
  assert.equal(judged("x", [by("M", 1, member("x", { name: `lyon${digits}` }))]), "certified");
});

Deno.test("oracle: clocks may differ by 300 s at both ends of a certificate", () => {
  const set = [then(1000, "M", 1, member("x", { until: 2000 }))];
  const at = (now: number) => judged("x", set, now);
  assert.deepEqual([699, 700, 2300, 2301].map(at), [
    "notYetValid",
    "certified",
    "certified",
    "expired",
  ]);
});

Deno.test("oracle: a name and an address go to an admin, then to the earlier certificate, then to the lower key", () => {
  const all = [by("M", 5, admin("c", { name: "oslo", since: 500 })), by("M", 6, member("a"))];
  const set = [
    by("M", 1, member("x", { name: "lyon", since: 10 })),
    by("M", 2, member("z", { name: "lyon", since: 9 })),
    by("M", 3, member("y", { name: "oslo", since: 9 })),
    by("M", 4, member("b", { name: "oslo", since: 9 })),
  ];
  const { names, ip4Holders } = findings(set);
  assert.deepEqual(Object.fromEntries(names), { b: "oslo", x: "lyon-x", y: "oslo-y", z: "lyon" });
  assert.deepEqual(ip4Holders, ["b", "y"]);
  const withAdmin = findings([...set, ...all]);
  assert.equal(withAdmin.names.get("c"), "oslo");
  assert.equal(withAdmin.names.get("b"), "oslo-b");
  assert.deepEqual(withAdmin.ip4Holders, ["b", "c"]);
});

Deno.test("oracle: of two keys with one tunnel key the office is first, then the earlier, and a removal of one puts the other out only where that is not certified", () => {
  const [key, other] = [`${"0".repeat(62)}00`, `${"0".repeat(62)}80`] as const;
  const said = (...says: readonly (readonly [Said, number])[]) => {
    const set = [
      by("M", 1, admin("a", { since: 2 })),
      ...says.map(([one, at], n) => ({ ...by("a", n + 1, one), at })),
    ];
    const verdicts = oracle(genesis, set, NOW, [key, other], ip4Of).verdicts;
    return [key, other].map((one) => {
      const verdict = verdicts.get(one);
      return verdict?.kind === "member" ? verdict.standing : verdict?.why;
    });
  };
  assert.deepEqual(said([member(key), 10]), ["certified", "mirrored"]);
  assert.deepEqual(said([member(key), 10], [member(other, { since: 9 }), 10]), [
    "mirrored",
    "certified",
  ]);
  assert.deepEqual(said([removed(key), 8]), ["removed", "mirrored"]);
  for (const at of [8, 10]) {
    assert.deepEqual(said([removed(key), at], [member(other, { since: 9 }), 10]), [
      "removed",
      "certified",
    ]);
  }
  assert.deepEqual(
    said([removed(key), 8], [member(key, { since: 2 }), 8], [member(other, { since: 9 }), 10]),
    ["removed", "certified"],
  );
  // What an admin says is not earlier than itself: then the lower key is first.
  assert.deepEqual(said([member(key, { since: 2 }), 10], [member(other, { since: 0 }), 10]), [
    "certified",
    "mirrored",
  ]);
});
