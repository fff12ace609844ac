/** Provisional membership against a model that is too simple to be wrong: a list of admissions, and the rules in words. */
import assert from "node:assert/strict";
import { DEFAULT_POOL } from "./genesis.ts";
import fc from "fast-check";
import { toyCrypto as crypto } from "../sim/toy_crypto.ts";
import { type Admission, endorse, requestAdmission } from "./admission.ts";
import { CLOCK_SKEW, Judge } from "./judge.ts";
import { Provisional, SURPLUS_NAMED, TAKEN_MAX, TOKENS_MAX } from "./provisional.ts";
import { type Draft, signStatement } from "./statement.ts";
import { TOKEN_GRACE } from "./statements.ts";

const BEGIN = 1_800_000_000;
const DAY = 86_400;
const FOREVER = 2 ** 48 - 1;

function pair(number: number) {
  const signing = crypto.ed25519FromSeed(new Uint8Array(32).fill(number));
  return { signing, id: signing.publicKey.toHex() };
}

const mesh = pair(1);
const genesis = {
  meshKey: mesh.signing.publicKey,
  recoveryKey: pair(2).signing.publicKey,
  name: "lab",
  pool: DEFAULT_POOL,
};
const { meshId } = new Judge(crypto, genesis);
/** The last one has a place in every token and no certificate. */
const DOORS = [pair(10), pair(11), pair(12)] as const;
const SUBJECTS = [20, 21, 22, 23, 24].map(pair);
const TOKENS = [
  { ...pair(30), uses: 1, until: BEGIN + DAY },
  { ...pair(31), uses: 2, until: BEGIN + 3 * DAY },
  { ...pair(32), uses: 3, until: BEGIN + 400 * DAY },
];
type Pair = ReturnType<typeof pair>;
type Token = typeof TOKENS[number];

/** One thing that befalls a node; numbers are taken modulo the choices that there are. */
interface Step {
  readonly act: typeof ACTS[number];
  readonly who: number;
  readonly token: number;
  readonly how: number;
}

const ACTS = [
  "admit",
  "admit",
  "admit",
  "admit",
  "certify",
  "approve",
  "withdraw",
  "remove",
  "removeDoor",
  "leave",
  "restart",
  "expire",
  "wait",
] as const;
const WAITS = [1, 400, DAY, TOKEN_GRACE];

const steps = fc.array(
  fc.record({
    act: fc.constantFrom(...ACTS),
    who: fc.nat(255),
    token: fc.nat(255),
    how: fc.nat(255),
  }),
  { maxLength: 30, size: "max" },
);

function of<T>(list: readonly T[], number: number): T {
  return list[number % list.length] as T;
}

class Play {
  #judge = new Judge(crypto, genesis);
  #now = BEGIN;
  #number = 0;
  // What the model knows.
  #taken: { subject: string; token: Token; door: string; at: number }[] = [];
  readonly #certified: { subject: string; token: Token | undefined; since: number }[] = [];
  readonly #withdrawn = new Set<string>();
  readonly #out = new Map<string, "removed" | "left">();
  readonly #surplus = new Set<string>();

  constructor() {
    for (const [i, door] of DOORS.entries()) {
      if (i < 2) this.#certify(door, undefined);
    }
    for (const { id, uses, until } of TOKENS) {
      const doors = DOORS.map((door) => door.id);
      const memberUntil = FOREVER;
      this.#say({
        kind: "token",
        key: id,
        uses,
        groups: [],
        relay: false,
        until,
        memberUntil,
        doors,
      });
    }
  }

  step({ act, who, token: which, how }: Step): void {
    const subject = of(SUBJECTS, who);
    const token = of(TOKENS, which);
    const acts: Record<typeof act, () => void> = {
      admit: () => this.#admit(subject, token, of(DOORS, how), of([0, -DAY, 400], how >> 3)),
      certify: () => this.#certify(subject, token),
      approve: () => this.#certify(subject, undefined),
      withdraw: () => {
        this.#say({ kind: "withdrawn", key: token.id });
        this.#withdrawn.add(token.id);
      },
      remove: () => this.#remove(subject),
      removeDoor: () => this.#remove(of(DOORS, how)),
      leave: () => this.#leave(how % 4 === 0 ? of(DOORS, who) : subject),
      restart: () => this.#restart(),
      expire: () => this.#expire(),
      wait: () => void (this.#now += of(WAITS, how)),
    };
    acts[act]();
    this.#compare();
  }

  #say(draft: Draft, by: Pair = mesh): void {
    const number = draft.kind === "left" ? 0 : ++this.#number;
    const at = this.#now;
    const { bytes } = signStatement(crypto, meshId, by.signing, draft, { number, at });
    this.#judge.statements.add(bytes, this.#now, { isKnown: true });
  }

  #certify({ id }: Pair, token: Token | undefined): void {
    const since = this.#now;
    const certificate = { key: id, name: "x", groups: [], relay: false, ip4Counter: 0, since };
    const use = token && { key: token.id, uses: token.uses };
    this.#say({ kind: "member", certificate, until: FOREVER, token: use });
    this.#certified.push({ subject: id, token, since });
  }

  #remove({ id }: Pair): void {
    this.#say({ kind: "removed", key: id });
    if (!this.#out.has(id)) this.#out.set(id, "removed");
  }

  #leave(subject: Pair): void {
    this.#say({ kind: "left" }, subject);
    this.#out.set(subject.id, "left");
  }

  #admit(subject: Pair, token: Token, door: Pair, later: number): void {
    const at = this.#now + later;
    const wish = { subject: subject.id, name: "x" };
    const asked = requestAdmission(crypto, meshId, token.signing, wish);
    this.#judge.admit(endorse(crypto, meshId, asked, door.signing, at), this.#now);
    const one = { subject: subject.id, token, door: door.id, at };
    if (this.#expected(subject.id) === "member" || this.#fault(one) !== undefined) return;
    if (this.#out.has(subject.id)) return;
    const known = this.#taken.find((o) => o.subject === one.subject && o.token === token);
    if (known) return void Object.assign(known, one);
    if (this.#users(token).size >= token.uses) this.#surplus.add(`${token.id} ${subject.id}`);
    else this.#taken.push(one);
  }

  /** The keys that have used a token: certified because of it, or taken here. */
  #users(token: Token): Set<string> {
    return new Set([
      ...this.#certified.filter((one) => one.token === token).map(({ subject }) => subject),
      ...this.#taken.filter((one) => one.token === token).map(({ subject }) => subject),
    ]);
  }

  /** Why an admission makes nobody a member now, be it within the uses of its token or not. */
  #fault({ token, door, at }: { token: Token; door: string; at: number }): string | undefined {
    if (this.#withdrawn.has(token.id)) return "withdrawn";
    if (at > token.until || at > this.#now + CLOCK_SKEW) return "clock";
    const isCertified = this.#certified.some(({ subject }) => subject === door);
    if (!isCertified || this.#out.has(door)) return "door";
    return this.#now > token.until + TOKEN_GRACE + CLOCK_SKEW ? "over" : undefined;
  }

  /** The first keys of a token by the time of their certificates, then by key. */
  #withCertificate(token: Token): string[] {
    const since = new Map<string, number>();
    for (const one of this.#certified) {
      if (one.token !== token) continue;
      since.set(one.subject, Math.min(one.since, since.get(one.subject) ?? Infinity));
    }
    return [...since].sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1)).map(([key]) => key);
  }

  #expected(subject: string): "member" | "out" {
    if (this.#out.has(subject)) return "out";
    const isCertified = this.#certified.some((one) =>
      one.subject === subject &&
      (one.token === undefined ||
        this.#withCertificate(one.token).slice(0, one.token.uses).includes(subject))
    );
    if (isCertified) return "member";
    const isAdmitted = this.#taken.some((mine) => {
      if (mine.subject !== subject || this.#fault(mine) !== undefined) return false;
      const certified = this.#withCertificate(mine.token);
      const before = this.#taken.slice(0, this.#taken.indexOf(mine)).filter((one) =>
        one.token === mine.token && !certified.includes(one.subject)
      );
      return certified.length + before.length < mine.token.uses;
    });
    return isAdmitted ? "member" : "out";
  }

  #restart(): void {
    const old = this.#judge;
    this.#judge = new Judge(crypto, genesis);
    for (const { statement: { bytes }, seen } of old.statements.all()) {
      this.#judge.statements.add(bytes, this.#now, { seen });
    }
    for (const admission of old.provisional.all()) this.#judge.recall(admission);
    this.#surplus.clear();
  }

  /** What has ended is forgotten, with its count. */
  #expire(): void {
    this.#judge.expire(this.#now);
    const isOver = ({ until }: Token) => until + TOKEN_GRACE < this.#now;
    this.#taken = this.#taken.filter(({ token }) => !isOver(token));
    for (const token of TOKENS.filter(isOver)) {
      for (const { id } of SUBJECTS) this.#surplus.delete(`${token.id} ${id}`);
    }
  }

  #compare(): void {
    for (const { id } of SUBJECTS) {
      const judgement = this.#judge.judge(id, this.#now);
      const is = judgement.kind === "member" ? "member" : "out";
      assert.equal(is, this.#expected(id), `${id.slice(0, 8)}: ${JSON.stringify(judgement)}`);
      const isProvisional = is === "member" && !this.#isCertified(id);
      assert.ok(!isProvisional || !this.#judge.isDoor(id, this.#now), "a provisional door");
    }
    for (const token of TOKENS) {
      const members = SUBJECTS.filter(({ id }) => {
        const judgement = this.#judge.judge(id, this.#now);
        return judgement.kind === "member" && judgement.membership.token?.key === token.id;
      });
      assert.ok(members.length <= token.uses, `${members.length} members of ${token.uses}`);
      assert.equal(this.#judge.used(token.id), this.#users(token).size);
    }
    const named = Array.from(
      this.#judge.provisional.overused(() => []),
      ({ token, surplus }) => surplus.map((id) => `${token} ${id}`),
    );
    assert.deepEqual(named.flat().sort(), [...this.#surplus].sort());
  }

  #isCertified(id: string): boolean {
    return this.#judge.statements.certificate(id) !== undefined;
  }
}

Deno.test("a node takes for provisional members whom the rules say, over restarts and whatever befalls", () => {
  fc.assert(
    fc.property(steps, (list) => {
      const play = new Play();
      for (const step of list) play.step(step);
    }),
    { seed: 7, numRuns: 1500 },
  );
});

/** An admission at the first door, which is certified. */
function admitted(judge: Judge, subject: Pair, token: Token): Admission {
  const door = DOORS[0];
  const certificate = { name: "x", groups: [], relay: false, ip4Counter: 0, since: BEGIN };
  const drafts: Draft[] = [
    {
      kind: "member",
      certificate: { ...certificate, key: door.id },
      until: FOREVER,
      token: undefined,
    },
    {
      kind: "token",
      key: token.id,
      uses: token.uses,
      groups: [],
      relay: false,
      until: token.until,
      memberUntil: FOREVER,
      doors: [door.id],
    },
  ];
  for (const [i, draft] of drafts.entries()) {
    const place = { number: i + 1, at: BEGIN };
    judge.statements.add(
      signStatement(crypto, meshId, mesh.signing, draft, place).bytes,
      BEGIN,
    );
  }
  const wish = { subject: subject.id, name: "x" };
  const asked = requestAdmission(crypto, meshId, token.signing, wish);
  return endorse(crypto, meshId, asked, door.signing, BEGIN);
}

Deno.test("a start at a wrong time loses nobody whom a token has let in", () => {
  const [subject, other] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && other && token);
  const judge = new Judge(crypto, genesis);
  judge.recall(admitted(judge, subject, token));
  const early = judge.judge(subject.id, 0);
  assert.equal(early.kind === "refused" && early.why, "notYetValid");
  assert.equal(judge.judge(subject.id, BEGIN).kind, "member");
  const late = judge.admit(admitted(judge, other, token), BEGIN);
  assert.equal(late.kind === "refused" && late.why, "tokenUsedUp");
});

Deno.test("whom a token has let in was a member once, whatever became of the token; whom it has not was none", () => {
  const [subject, other] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && other && token);
  const judge = new Judge(crypto, genesis);
  judge.recall(admitted(judge, subject, token));
  const end = { kind: "withdrawn", key: token.id } as const;
  const by = { number: 9, at: BEGIN };
  judge.statements.add(signStatement(crypto, meshId, mesh.signing, end, by).bytes, BEGIN);
  assert.equal(judge.judge(subject.id, BEGIN).kind, "refused");
  assert.deepEqual([subject, other].map(({ id }) => judge.wasMember(id)), [true, false]);
});

Deno.test("what was remembered is looked at again: a false signature has used no token", () => {
  const [subject] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && token);
  const judge = new Judge(crypto, genesis);
  judge.recall({ ...admitted(judge, subject, token), name: "y" });
  assert.equal(judge.judge(subject.id, BEGIN).kind, "refused");
  assert.equal(judge.used(token.id), 0);
});

Deno.test("provisional: at the limit of tokens no further one is counted, be it used up or not", () => {
  const judge = new Judge(crypto, genesis);
  const [subject] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && token);
  const admission = admitted(judge, subject, token);
  const provisional = new Provisional();
  for (let i = 0; i < TOKENS_MAX; i++) {
    assert.equal(provisional.take({ ...admission, token: `${i}` }, 1, []), "taken");
  }
  assert.equal(provisional.take(admission, 1, []), "full");
  assert.equal(provisional.take(admission, 0, []), "full");
  assert.equal(provisional.refused, 2);
  assert.equal([...provisional.overused(() => [])].length, 0);
  assert.equal(
    provisional.take({ ...admission, subject: "another", token: "0" }, 1, []),
    "surplus",
  );
});

Deno.test("provisional: at the limit of admissions nobody is taken, and surplus is named up to a limit", () => {
  const judge = new Judge(crypto, genesis);
  const [subject] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && token);
  const admission = admitted(judge, subject, token);
  const provisional = new Provisional();
  const take = (i: number) =>
    provisional.take({ ...admission, subject: `${i}` }, TAKEN_MAX - 1, []);
  for (let i = 0; i < TAKEN_MAX - 1; i++) take(i);
  for (let i = 0; i < SURPLUS_NAMED + 1; i++) assert.equal(take(TAKEN_MAX + i), "surplus");
  assert.equal(provisional.takeNews().length, SURPLUS_NAMED);
  assert.equal(provisional.take({ ...admission, token: "1" }, 2, []), "taken");
  assert.equal(provisional.take({ ...admission, subject: "x", token: "1" }, 2, []), "full");
  provisional.expire((one) => one === "1");
  assert.equal(provisional.take({ ...admission, token: "2" }, 1, []), "taken");
});

Deno.test("provisional: the end of one invite leaves what the same key has by another", () => {
  const judge = new Judge(crypto, genesis);
  const [subject] = SUBJECTS;
  const [token] = TOKENS;
  assert.ok(subject && token);
  const admission = admitted(judge, subject, token);
  const provisional = new Provisional();
  for (const one of ["1", "2"]) provisional.take({ ...admission, token: one }, 1, []);
  provisional.expire((one) => one === "1");
  assert.deepEqual(provisional.of(subject.id).map((one) => one.token), ["2"]);
});
