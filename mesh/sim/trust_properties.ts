/**
 * What must hold in every history, each with the number of the invariant that it proves:
 *
 *   1 no token carries authority              5 losing one machine never closes the mesh
 *   2 a function of the set and the clock     6 a token admits so many and no more
 *   3 the mesh key alone unmakes admins       7 the certificate fixes name and address
 *   4 three different acts                   13 bounds for insiders
 *                                            14 nobody signs before it has heard
 *
 * 8 to 12 are about datagrams, and are proved where those are read.
 */
import { mirrorOf } from "../membership/identity.ts";
import type { History } from "./trust_history.ts";
import { ip4Of } from "./trust_history.ts";
import {
  type Findings,
  GUESTS_PER_HOST,
  oracle,
  type Said,
  type Verdict,
  type Why,
} from "./trust_oracle.ts";
import type { Shown, TrustSet, TrustUnderTest } from "./trust_subject.ts";

interface Property {
  /** Of the invariant. */
  readonly number: number;
  readonly says: string;
  /** Throws what does not hold. */
  readonly check: (history: History, product: TrustUnderTest) => void;
}

/** A later look at the same statements: some certificates have ended. */
const LATER = 6 * 86_400;

const PROPERTIES: readonly Property[] = [
  { number: 1, says: "only the mesh key's promotion makes an admin", check: onlyPromoted },
  { number: 2, says: "whoever holds the same statements agrees with the oracle", check: agreed },
  { number: 3, says: "unmaking is final, and no removal touches an admin", check: finalAndEqual },
  { number: 4, says: "each act ends what it is for and nothing else", check: threeActs },
  { number: 5, says: "a new mesh key voids every older one", check: recovered },
  { number: 6, says: "a token certifies no more than its uses", check: withinUses },
  { number: 7, says: "names and addresses go to the earliest certificate", check: named },
  { number: 13, says: "a number used twice harms its signer alone, and shows", check: numbered },
  { number: 14, says: "whoever has heard first uses no number twice", check: heardFirst },
];

/** Throws what does not hold, with its number, and keys as the history's log calls them. */
export function checkAll(history: History, product: TrustUnderTest): void {
  for (const { number, says, check } of PROPERTIES) {
    try {
      check(history, product);
    } catch (error) {
      let complaint = error instanceof Error ? error.message : String(error);
      for (const [key, label] of history.labels) complaint = complaint.replaceAll(key, label);
      throw new Error(`trust ${number}, ${says}: ${complaint}`, { cause: error });
    }
  }
}

/** The property of an invariant. */
export function propertyOf(number: number): Property {
  const found = PROPERTIES.find((one) => one.number === number);
  if (found === undefined) throw new TypeError(`no property proves invariant ${number}`);
  return found;
}

function onlyPromoted(history: History, product: TrustUnderTest): void {
  const set = wholeSet(history, product);
  const meshKey = set.meshKey();
  if (history.lostMeshKeys.has(meshKey)) return;
  for (const key of set.admins()) {
    demand(history.promoted.get(meshKey)?.has(key), `nobody promoted ${key}, and it is an admin`);
  }
}

function agreed(history: History, product: TrustUnderTest): void {
  const { keys, now } = history;
  for (const [node, heard] of history.heard.entries()) {
    // It is asked in between: what was found out before is not true for ever.
    const set = setOf(history, product, heard, (one) => {
      for (const key of keys) one.judge(key, now);
    });
    agree(`node ${node}`, history, set, expected(history, heard, now), now);
  }
  const all = everything(history);
  const once = expected(history, all, now);
  const later = expected(history, all, now + LATER);
  const others = [all.toReversed(), riffled(all)].map((order) => setOf(history, product, order));
  for (const [i, set] of [wholeSet(history, product), ...others].entries()) {
    agree(`order ${i}`, history, set, once, now);
    agree(`order ${i}, later`, history, set, later, now + LATER);
  }
}

function finalAndEqual(history: History, product: TrustUnderTest): void {
  const set = wholeSet(history, product);
  const meshKey = set.meshKey();
  if (history.lostMeshKeys.has(meshKey)) return;
  const admins = set.admins();
  const unmade = history.demoted.get(meshKey) ?? new Set();
  const known = new Set(everything(history));
  const isKnown = (kind: string, key: string) =>
    history.made.some(({ says, signer, isHonest }, i) =>
      isHonest && known.has(i) && signer === meshKey && says.kind === kind &&
      ("key" in says ? says.key : says.kind === "admin" && says.certificate.key) === key
    );
  for (const key of unmade) {
    if (isKnown("demoted", key)) demand(!admins.includes(key), `${key} was unmade and is an admin`);
  }
  for (const key of history.promoted.get(meshKey) ?? []) {
    if (unmade.has(key) || !isKnown("admin", key)) continue;
    demand(admins.includes(key), `${key} was promoted, never demoted, and is no admin`);
    const verdict = set.judge(key, history.now);
    const isOut = verdict.kind === "refused" && verdict.why !== "left";
    demand(!isOut, `${key} is an admin and refused: ${text(verdict)}`);
  }
  // A former admin's word ends nothing, and no admin's word the membership of one that had an office.
  for (const key of history.keys) {
    const verdict = set.judge(key, history.now);
    if (verdict.kind !== "refused" || verdict.why !== "removed") continue;
    const isByOffice = history.made.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key &&
      (signer === meshKey ||
        admins.includes(signer) && !isKnown("admin", key) && !isKnown("demoted", key))
    );
    demand(isByOffice, `${key} is removed by nobody that may`);
  }
}

function threeActs(history: History, product: TrustUnderTest): void {
  for (const { what, key, now, before, after, isWhole } of history.done) {
    const was = setOf(history, product, before);
    const is = setOf(history, product, after);
    const isOffice = what === "demote" || what === "revokeAdmin";
    if (what === "recover" || isOffice && !(history.isHonest && isWhole)) continue;
    for (const other of history.keys) {
      const [then, here] = [was.judge(other, now), is.judge(other, now)];
      const about = `${what} of ${key}: ${other} was ${text(then)} and is ${text(here)}`;
      const isSame = isAlike(history, other, then, here);
      if (what === "withdraw") demand(isSame, about);
      else if (other !== key) {
        // A token's place that falls free goes to the next key, and a tunnel key to the other that has it.
        const isNext = isOffice && mayEnd(then) ||
          isRefused(then, "mirrored") && other === mirrorOf(key);
        demand(isNext || isSame, about);
      } else if (what === "demote") {
        // The mesh key's removal of a key sleeps while that holds an office.
        const sleeps = before.some((i) => {
          const said = history.made[i];
          return said?.says.kind === "removed" && said.says.key === key &&
            history.promoted.has(said.signer);
        });
        const isMember = here.kind === "member" && here.standing === "certified" &&
          then.kind === "member" && here.name === then.name;
        demand(sleeps || isMember || then.kind === "refused", about);
      } else {
        // A guest's key is no member's.
        if (what === "endGuest") {
          demand(isSame, about);
          continue;
        }
        const why = what === "leave" ? "left" : "removed";
        const isOut = here.kind === "refused" && (here.why === why || here.why === "left");
        demand(isOut, about);
      }
    }
  }
  guestsEnd(history, product);
  // A farewell is final.
  const whole = wholeSet(history, product);
  for (const i of everything(history)) {
    const said = history.made[i];
    if (said?.says.kind !== "left" || said.signer !== said.signedBy || said.mesh !== "this") {
      continue;
    }
    const verdict = whole.judge(said.signer, history.now);
    demand(verdict.kind === "refused", `${said.signer} left and is ${text(verdict)}`);
  }
  voidIsListed(history, product);
}

/** A guest ends by its own end and by that of its host, and by no other act. */
function guestsEnd(history: History, product: TrustUnderTest): void {
  for (const { what, key, now, before, after, isWhole } of history.done) {
    const isOffice = what === "demote" || what === "revokeAdmin" || what === "recover";
    if (isOffice && !(history.isHonest && isWhole)) continue;
    const was = setOf(history, product, before).guests(now);
    const set = setOf(history, product, after);
    const is = set.guests(now);
    for (const guest of was) {
      const isHosted = set.judge(guest.host, now).kind === "member";
      // One kind of statement ends both, so that a guest ends with a token of its key, which only a thief gives it.
      const isOfKey = (what === "endGuest" || what === "withdraw") && guest.key === key;
      const isEnded = isOfKey || !isHosted;
      const isServed = is.some((one) => one.key === guest.key && one.host === guest.host);
      // One that came first may be back at this host, whose places are few.
      const isCrowded = is.filter(({ host }) => host === guest.host).length >= GUESTS_PER_HOST;
      if (!isEnded && isOffice && isCrowded) continue;
      demand(isServed !== isEnded, `${what} of ${key}: ${guest.key} of ${guest.host}: ${isServed}`);
    }
  }
}

/** Who is out, or in again, because a signer lost its office is listed for a person to settle. */
function voidIsListed(history: History, product: TrustUnderTest): void {
  const { genesis, keys, made, now } = history;
  const set = product.newSet(genesis, ip4Of);
  for (const i of everything(history)) {
    const { says, bytes, signer, number } = made[i] ?? {};
    if (says === undefined || bytes === undefined) continue;
    // What took the number of something else ends that, too, and is shown as used twice.
    const isFirst = !made.some((o, j) => j !== i && o.signer === signer && o.number === number);
    const isEnd = isFirst && (says.kind === "demoted" || says.kind === "successor");
    const before = isEnd ? keys.map((key) => set.judge(key, now)) : [];
    set.add(bytes);
    const [members, removals] = isEnd ? [set.voidMembers(now), set.voidRemovals()] : [[], []];
    for (const [k, key] of keys.entries()) {
      const was = before[k];
      if (was === undefined) break;
      const is = set.judge(key, now);
      const isOut = was.kind === "member" && is.kind === "refused" && is.why === "stranger";
      demand(!isOut || members.includes(key), `${key} is out by ${says.kind}, unseen`);
      // Who is known to have had an office is back for that: no admin's removal ever touched it.
      const isUnmade = says.kind === "demoted" && says.key === key;
      const isBack = !isUnmade && was.kind === "refused" && was.why === "removed" &&
        !(is.kind === "refused" && /^(?:removed|left)$/.test(is.why)) &&
        !set.admins().includes(key);
      demand(!isBack || removals.includes(key), `${key} is back by ${says.kind}, unseen`);
    }
  }
}

/** Ended certificates and surplus ones are not signed anew. */
function mayEnd(verdict: Verdict): boolean {
  return verdict.kind === "refused" && /^(?:surplus|expired|notYetValid)$/.test(verdict.why);
}

function recovered(history: History, product: TrustUnderTest): void {
  const { made, genesis, keys, now } = history;
  const all = everything(history);
  const set = wholeSet(history, product);
  const meshKey = set.meshKey();
  const successors = all.flatMap((i) => {
    const one = made[i];
    return one?.says.kind === "successor" && one.isHonest ? [{ ...one, names: one.says.key }] : [];
  });
  const highest = Math.max(0, ...successors.map(({ number }) => number));
  const named = successors.filter(({ number }) => number === highest).map(({ names }) => names);
  demand(
    highest === 0 ? meshKey === genesis.meshKey : named.includes(meshKey),
    `the mesh key ${meshKey} is not the last that the recovery key named`,
  );
  // Whoever recovers confirms everybody that was a member and everything that was removed.
  for (const { what, now, before, after } of history.done) {
    if (what !== "recover" || !history.isHonest) continue;
    const [was, is] = [before, after].map((which) => setOf(history, product, which));
    for (const key of keys) {
      const [then, here] = [was?.judge(key, now), is?.judge(key, now)];
      if (then === undefined || here === undefined || mayEnd(then)) continue;
      demand(
        isAlike(history, key, then, here),
        `recovery makes ${key} ${text(here)} from ${text(then)}`,
      );
    }
  }
  const older = new Set([genesis.meshKey, ...successors.map(({ names }) => names)]);
  older.delete(meshKey);
  const rest = all.filter((i) =>
    made[i]?.says.kind === "left" || !older.has(made[i]?.signer ?? "")
  );
  const without = setOf(history, product, rest);
  for (const key of keys) {
    const [has, had] = [set.judge(key, now), without.judge(key, now)];
    demand(
      isAlike(history, key, has, had),
      `an older mesh key makes ${key} ${text(has)} from ${text(had)}`,
    );
  }
}

function withinUses(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const set = wholeSet(history, product);
  for (const token of history.tokens) {
    // Each certificate says itself how many keys its token admits.
    const users = keys.flatMap((key) => {
      const verdict = set.judge(key, now);
      const use = verdict.kind === "member" ? verdict.token : undefined;
      return use?.key === token ? [use.uses] : [];
    });
    for (const most of users) {
      const count = users.filter((uses) => uses <= most).length;
      demand(count <= most, `a token for ${most} certified ${count}`);
    }
    const uses = made.flatMap(({ says }) =>
      says.kind === "token" && says.key === token ? [says.uses] : []
    );
    if (!history.isHonest) continue;
    const most = Math.max(0, ...uses);
    demand(users.length <= most, `a token for ${most} certified ${users.length}`);
  }
}

function named(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const all = everything(history);
  const set = wholeSet(history, product);
  const shown = set.members(now);
  const members = [...shown].map(([key, bears]) => {
    const verdict = set.judge(key, now);
    if (verdict.kind !== "member") throw new Error(`${key} is shown and is ${text(verdict)}`);
    return { key, bears, verdict, ip4: ip4Of(key, verdict.ip4Counter) };
  });
  for (const one of members) {
    const isBefore = (other: typeof one) => {
      const [a, b] = [other.verdict, one.verdict];
      if (a.standing !== b.standing) return a.standing === "admin";
      return a.since !== b.since ? a.since < b.since : other.key < one.key;
    };
    // A name made of a name and a key is the name of that key.
    const [, digits = one.key] = /-([0-9a-f]{32})$/.exec(one.bears.name) ?? [];
    demand(one.key.startsWith(digits), `${one.key} is shown as ${one.bears.name}`);
    for (const other of members) {
      if (other === one) continue;
      demand(other.bears.name !== one.bears.name, `two members are shown as ${one.bears.name}`);
      if (!isBefore(other)) continue;
      const isSame = other.verdict.name === one.verdict.name;
      demand(
        !isSame || one.bears.name !== one.verdict.name,
        `${one.key} has the name of ${other.key}, which comes first`,
      );
      const isSameIp4 = other.ip4 === one.ip4;
      demand(!(isSameIp4 && one.bears.hasIp4), `${one.key} has the address of ${other.key}`);
    }
  }
  for (const guest of set.guests(now)) {
    // A thief certifies a guest's key as a member, too: if both have lost their names, the product calls the guest by a
    // hash of its key, which the laboratory writes as the key, as the member is called.
    const isMarked = guest.name.endsWith(`-${guest.key.slice(0, 32)}`);
    const rival = members.find(({ key, bears }) =>
      bears.name === guest.name && !(isMarked && key === guest.key)
    );
    demand(rival === undefined, `the guest ${guest.key} has the name of the member ${rival?.key}`);
  }
  // What keys without an office sign moves nothing; only a farewell does, and the signer alone.
  const offices = new Set([...history.promoted.keys(), history.genesis.recoveryKey]);
  for (const { says } of made) if (says.kind === "admin") offices.add(says.certificate.key);
  for (const { says } of made) if (says.kind === "successor") offices.add(says.key);
  const rest = all.filter((i) => {
    const one = made[i];
    return one !== undefined && (one.says.kind === "left" || offices.has(one.signer));
  });
  const without = setOf(history, product, rest);
  const shownWithout = without.members(now);
  for (const key of keys) {
    const [has, had] = [set.judge(key, now), without.judge(key, now)];
    const isMoved = !isAlike(history, key, has, had) ||
      JSON.stringify(shown.get(key)) !== JSON.stringify(shownWithout.get(key));
    demand(!isMoved, `a key without an office moves ${key}: ${text(has)} from ${text(had)}`);
  }
}

function numbered(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const all = everything(history);
  const set = wholeSet(history, product);
  const meshKey = set.meshKey();
  const admins = set.admins();
  const genuine = all.flatMap((i) => {
    const one = made[i];
    return one !== undefined && one.signer === one.signedBy && one.mesh === "this" &&
        !isMisnamed(one.says)
      ? [{ ...one, i }]
      : [];
  });
  const maySay = ({ signer, says }: typeof genuine[0]) => {
    if (says.kind === "left") return false;
    if (says.kind === "successor") return signer === history.genesis.recoveryKey;
    const isOffice = says.kind === "admin" || says.kind === "demoted";
    return signer === meshKey || !isOffice && admins.includes(signer);
  };
  const inForce = genuine.filter(maySay);
  const rivals = (one: typeof genuine[0], among: typeof genuine) =>
    among.filter((o) => o.signer === one.signer && o.number === one.number && o.hash !== one.hash);
  const losers = inForce.filter((one) =>
    rivals(one, inForce).some((other) => {
      const [its, another] = [one, other].map(({ says }) => ENDS.indexOf(says.kind));
      return its === another ? other.hash < one.hash : (another ?? 0) > (its ?? 0);
    })
  );
  // A statement that lost its number to another counts for nothing, and what a signer has no right to takes no number.
  const lost = new Set(losers.map(({ i }) => i));
  for (const { says, signer, i } of genuine) {
    const isOffice = says.kind === "admin" || says.kind === "demoted";
    if (isOffice && signer !== meshKey) lost.add(i);
  }
  const without = setOf(history, product, all.filter((i) => !lost.has(i)));
  for (const key of keys) {
    const [has, had] = [set.judge(key, now), without.judge(key, now)];
    demand(isAlike(history, key, has, had), `a number given twice makes ${key} ${text(has)}`);
  }
  const { shown, isAll } = set.conflicts();
  for (const pair of shown) {
    const isTwice = genuine.some((one) =>
      pair === `${one.signer} ${one.number}` && rivals(one, genuine).length > 0
    );
    demand(isTwice, `${pair} is shown as used twice and is not`);
  }
  for (const { signer, number } of losers) {
    const isShown = shown.includes(`${signer} ${number}`) || !isAll;
    // Of the successors those that a later one replaced are no news.
    demand(
      isShown || signer === history.genesis.recoveryKey,
      `${signer} used ${number} twice, unseen`,
    );
  }
  // Whatever others sign under its numbers, the mesh key's removals hold.
  if (history.lostMeshKeys.has(meshKey)) return;
  for (const { says, signer, isHonest } of genuine) {
    if (says.kind !== "removed" || signer !== meshKey || !isHonest) continue;
    const verdict = set.judge(says.key, now);
    const isOut = verdict.kind === "refused" && /^(?:removed|left)$/.test(verdict.why);
    demand(isOut || admins.includes(says.key), `${says.key} is removed in vain`);
  }
}

/** Of two statements with one number the kind that stands later here counts. */
const ENDS: readonly string[] = ["withdrawn", "removed", "demoted"];

/** Whether the name ends like those which are made of a name and a key. */
function isMisnamed(says: Said): boolean {
  if (!("certificate" in says)) return false;
  return /-[0-9a-f]{32}$/.test(says.certificate.name);
}

function heardFirst(history: History, product: TrustUnderTest): void {
  const { genesis, isHonest } = history;
  if (!isHonest) return;
  // Two parts of a mesh may each name a successor; only a person can help that.
  const twice = wholeSet(history, product).conflicts().shown.filter((pair) =>
    !pair.startsWith(genesis.recoveryKey)
  );
  demand(twice.length === 0, `honest signers used numbers twice: ${twice.join(", ")}`);
}

/** The statements that any node holds: what everybody has after a full exchange. */
function everything({ heard }: History): number[] {
  return [...new Set(heard.flat())].sort((a, b) => a - b);
}

/** The set of all that any node holds. It is asked by many properties and changed by none. */
function wholeSet(history: History, product: TrustUnderTest): TrustSet {
  const known = WHOLE.get(history);
  if (known !== undefined) return known;
  const set = setOf(history, product, everything(history));
  WHOLE.set(history, set);
  return set;
}

const WHOLE = new WeakMap<History, TrustSet>();

/** A set to which these statements came, and again for as long as one is taken that was not before. */
function setOf(
  history: History,
  product: TrustUnderTest,
  which: readonly number[],
  afterEach?: (set: TrustSet) => void,
): TrustSet {
  const set = product.newSet(history.genesis, ip4Of);
  const isTaken = (bytes: Uint8Array) => {
    const taken = set.add(bytes);
    afterEach?.(set);
    return taken;
  };
  let rest = which.flatMap((i) => history.made[i]?.bytes ?? []);
  for (;;) {
    const refused = rest.filter((bytes) => !isTaken(bytes));
    if (refused.length === 0 || refused.length === rest.length) return set;
    rest = refused;
  }
}

interface Expected {
  readonly found: Findings;
  readonly lines: readonly string[];
}

function expected(history: History, which: readonly number[], now: number): Expected {
  const statements = which.flatMap((i) => history.made[i] ?? []);
  const found = oracle(history.genesis, statements, now, history.keys, ip4Of);
  const lines = linesOf(history, {
    ...found,
    usesOf: (token) => found.tokens.get(token),
    isWithdrawn: (token) => found.withdrawn.includes(token),
    guests: found.guests,
    shownAs: (key) => {
      const name = found.names.get(key);
      return name === undefined ? undefined : { name, hasIp4: found.ip4Holders.includes(key) };
    },
  });
  return { found, lines };
}

function agree(
  where: string,
  history: History,
  set: TrustSet,
  { found, lines }: Expected,
  now: number,
): void {
  const members = set.members(now);
  const is = linesOf(history, {
    meshKey: set.meshKey(),
    admins: set.admins(),
    verdicts: new Map(history.keys.map((key) => [key, set.judge(key, now)])),
    usesOf: (token) => set.usesOf(token),
    isWithdrawn: (token) => set.isWithdrawn(token),
    guests: set.guests(now),
    shownAs: (key) => members.get(key),
  });
  same(where, is, lines);
  // What does not count is not passed on: a node lists as much of it as it was shown while it counted.
  const isListed = (list: readonly string[], all: readonly string[], what: string) => {
    for (const key of list) {
      const isOne = all.includes(key) || hasLeft(history, key);
      demand(isOne, `${where}: ${key} is listed as ${what}`);
    }
  };
  isListed(set.voidMembers(now), found.voidMembers, "void member");
  isListed(set.voidRemovals(), found.voidRemovals, "void removal");
}

interface Answers extends Pick<Findings, "meshKey" | "admins" | "verdicts" | "guests"> {
  readonly usesOf: (token: string) => number | undefined;
  readonly isWithdrawn: (token: string) => boolean;
  readonly shownAs: (key: string) => Shown | undefined;
}

/** Everything that was found, one line each, so that two findings can be compared line by line. */
function linesOf(
  history: History,
  { meshKey, admins, verdicts, usesOf, isWithdrawn, guests, shownAs }: Answers,
): string[] {
  const { keys, tokens } = history;
  return [
    `mesh key ${meshKey}`,
    `admins ${[...admins].sort().join(" ")}`,
    `guests ${
      guests.map(({ key, host, until, name, hasIp4 }) =>
        `${key} of ${host} until ${until} as ${name}, address ${hasIp4}`
      ).sort().join("; ")
    }`,
    ...tokens.map((token) => `${token} admits ${usesOf(token)}, ended ${isWithdrawn(token)}`),
    ...keys.map((key) => {
      const { name, hasIp4 } = shownAs(key) ?? {};
      const verdict = verdicts.get(key);
      const says = verdict && textOf(history, key, verdict);
      return `${key} ${says} shown as ${name}, address ${hasIp4}`;
    }),
  ];
}

/** A key is a stranger where another has its tunnel key, and that was first, or where nobody says anything of either. */
function isAlike(history: History, key: string, ...both: readonly [Verdict, Verdict]): boolean {
  const [a, b] = both.map((one) =>
    textOf(history, key, isRefused(one, "mirrored") ? { kind: "refused", why: "stranger" } : one)
  );
  return a === b;
}

/** What is said of a key; one that has left may be unknown as well, where nobody that counts has certified it. */
function textOf(history: History, key: string, verdict: Verdict): string {
  const isOut = verdict.kind === "refused" &&
    /^(?:left|stranger|removed|mirrored)$/.test(verdict.why);
  return isOut && hasLeft(history, key) ? "out" : text(verdict);
}

function hasLeft({ made }: History, key: string): boolean {
  return made.some(({ says, signer, signedBy, mesh }) =>
    says.kind === "left" && signer === key && signedBy === key && mesh === "this"
  );
}

function isRefused(verdict: Verdict, why: Why): boolean {
  return verdict.kind === "refused" && verdict.why === why;
}

function text(verdict: Verdict): string {
  if (verdict.kind === "refused") return verdict.why;
  const { standing, name, groups, relay, ip4Counter, since, until, token } = verdict;
  const use = token === undefined ? "" : ` by ${token.key} for ${token.uses}`;
  return `${standing} ${name} [${groups}] relay ${relay} ip4 ${ip4Counter} ${since}-${until}${use}`;
}

function same(where: string, is: readonly string[], wanted: readonly string[]): void {
  const different = wanted.flatMap((line, i) =>
    line === is[i] ? [] : `the oracle: ${line}\n the product: ${is[i]}`
  );
  demand(different.length === 0, `${where}:\n ${different.join("\n ")}`);
}

function demand(holds: boolean | undefined, complaint: string): void {
  if (holds !== true) throw new Error(complaint);
}

/** The second half before the first, every other one repeated. */
function riffled(list: readonly number[]): number[] {
  const half = list.length >> 1;
  return [...list.slice(half), ...list.slice(0, half), ...list.filter((i) => i % 2 === 0)];
}
