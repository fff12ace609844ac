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
import type { History } from "./trust_history.ts";
import { ip4Of } from "./trust_history.ts";
import { type Findings, oracle, type Verdict } from "./trust_oracle.ts";
import type { TrustSet, TrustUnderTest } from "./trust_subject.ts";

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
    const set = setOf(history, product, heard);
    same(`node ${node}`, shown(set, keys, now), expected(history, heard, now));
  }
  const all = everything(history);
  const once = expected(history, all, now);
  const later = expected(history, all, now + LATER);
  const orders = [all, all.toReversed(), riffled(all)];
  for (const [i, order] of orders.entries()) {
    const set = setOf(history, product, order);
    same(`order ${i}`, shown(set, keys, now), once);
    same(`order ${i}, later`, shown(set, keys, now + LATER), later);
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
  // A former admin's word ends nothing.
  for (const key of history.keys) {
    const verdict = set.judge(key, history.now);
    if (verdict.kind !== "refused" || verdict.why !== "removed") continue;
    const isByOffice = history.made.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key &&
      (signer === meshKey || admins.includes(signer))
    );
    demand(isByOffice, `${key} is removed by nobody that holds an office`);
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
      if (other !== key) {
        // A token's place that falls free goes to the next key.
        demand(isOffice && mayEnd(then) || text(then) === text(here), about);
      } else if (what === "demote") {
        // The removal of a member that became an admin sleeps until the office ends.
        const sleeps = before.some((i) => {
          const said = history.made[i];
          return said?.says.kind === "removed" && said.says.key === key;
        });
        const isMember = here.kind === "member" && here.standing === "certified" &&
          then.kind === "member" && here.name === then.name;
        demand(sleeps || isMember || then.kind === "refused", about);
      } else {
        const why = what === "leave" ? "left" : "removed";
        const isOut = here.kind === "refused" && (here.why === why || here.why === "left");
        demand(isOut, about);
      }
    }
  }
  // A farewell is final.
  const whole = wholeSet(history, product);
  for (const i of everything(history)) {
    const said = history.made[i];
    if (said?.says.kind !== "left" || said.signer !== said.signedBy || said.mesh !== "this") {
      continue;
    }
    const verdict = whole.judge(said.signer, history.now);
    demand(
      verdict.kind === "refused" && verdict.why === "left",
      `${said.signer} left and is ${text(verdict)}`,
    );
  }
}

/** Ended certificates and surplus ones are not signed anew. */
function mayEnd(verdict: Verdict): boolean {
  return verdict.kind === "refused" && /^(?:surplus|expired|notYetValid)$/.test(verdict.why);
}

function recovered(history: History, product: TrustUnderTest): void {
  const { made, genesis, keys, now } = history;
  const all = everything(history);
  const set = setOf(history, product, all);
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
      demand(text(then) === text(here), `recovery makes ${key} ${text(here)} from ${text(then)}`);
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
      text(has) === text(had),
      `an older mesh key makes ${key} ${text(has)} from ${text(had)}`,
    );
  }
}

function withinUses(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const set = wholeSet(history, product);
  for (const token of history.tokens) {
    const uses = Math.max(
      0,
      ...made.map(({ says }) => says.kind === "token" && says.key === token ? says.uses : 0),
    );
    const certified = keys.filter((key) => {
      const verdict = set.judge(key, now);
      if (verdict.kind !== "member" || verdict.standing === "admin") return false;
      return made.every(({ says }) =>
        says.kind !== "member" || says.certificate.key !== key || says.token === token
      );
    });
    demand(certified.length <= uses, `a token for ${uses} certified ${certified.length}`);
  }
}

function named(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const all = everything(history);
  const set = setOf(history, product, all);
  const members = [...set.members(now)].map(([key, bears]) => {
    const verdict = set.judge(key, now);
    if (verdict.kind !== "member") throw new Error(`${key} is shown and is ${text(verdict)}`);
    return { key, bears, verdict };
  });
  for (const one of members) {
    const isBefore = (other: typeof one) =>
      other.verdict.since < one.verdict.since ||
      other.verdict.since === one.verdict.since && other.key < one.key;
    for (const other of members) {
      if (other === one) continue;
      demand(other.bears.name !== one.bears.name, `two members are shown as ${one.bears.name}`);
      if (!isBefore(other)) continue;
      const isSame = other.verdict.name === one.verdict.name;
      demand(
        !isSame || one.bears.name !== one.verdict.name,
        `${one.key} has the name of ${other.key}, which is earlier`,
      );
      const isSameIp4 = ip4Of(other.key, other.verdict.ip4Counter) ===
        ip4Of(one.key, one.verdict.ip4Counter);
      demand(!(isSameIp4 && one.bears.hasIp4), `${one.key} has the address of ${other.key}`);
    }
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
  for (const key of keys) {
    const [has, had] = [set, without].map((one) =>
      text(one.judge(key, now)) + JSON.stringify(one.members(now).get(key))
    );
    demand(has === had, `a key without an office moves ${key}: ${has} from ${had}`);
  }
}

function numbered(history: History, product: TrustUnderTest): void {
  const { made, keys, now } = history;
  const all = everything(history);
  const set = setOf(history, product, all);
  const genuine = all.flatMap((i) => {
    const one = made[i];
    return one !== undefined && one.signer === one.signedBy && one.mesh === "this"
      ? [{ ...one, i }]
      : [];
  });
  const losers = genuine.filter((one) =>
    genuine.some((other) =>
      other.signer === one.signer && other.number === one.number && other.hash < one.hash
    )
  );
  // A statement that lost its number to another counts for nothing.
  const lost = new Set(losers.map(({ i }) => i));
  const without = setOf(history, product, all.filter((i) => !lost.has(i)));
  for (const key of keys) {
    const [has, had] = [set.judge(key, now), without.judge(key, now)];
    demand(text(has) === text(had), `a number given twice makes ${key} ${text(has)}`);
  }
  const shown = set.conflicts();
  for (const pair of shown) {
    demand(
      losers.some(({ signer, number }) => pair === `${signer} ${number}`),
      `${pair} is shown as used twice and is not`,
    );
  }
  const meshKey = set.meshKey();
  for (const { signer, number } of losers) {
    if (signer !== meshKey && !set.admins().includes(signer)) continue;
    demand(shown.includes(`${signer} ${number}`), `${signer} used ${number} twice, unseen`);
  }
  // Whatever others sign under its numbers, the mesh key's removals hold.
  if (history.lostMeshKeys.has(meshKey)) return;
  for (const { says, signer, isHonest } of genuine) {
    if (says.kind !== "removed" || signer !== meshKey || !isHonest) continue;
    const verdict = set.judge(says.key, now);
    const isOut = verdict.kind === "refused" && /^(?:removed|left)$/.test(verdict.why);
    demand(isOut || set.admins().includes(says.key), `${says.key} is removed in vain`);
  }
}

function heardFirst(history: History, product: TrustUnderTest): void {
  const { genesis, isHonest } = history;
  if (!isHonest) return;
  // Two parts of a mesh may each name a successor; only a person can help that.
  const twice = wholeSet(history, product).conflicts().filter((pair) =>
    !pair.startsWith(genesis.recoveryKey)
  );
  demand(twice.length === 0, `honest signers used numbers twice: ${twice.join(", ")}`);
}

/** The statements that any node holds: what everybody has after a full exchange. */
function everything({ heard }: History): number[] {
  return [...new Set(heard.flat())].sort((a, b) => a - b);
}

function wholeSet(history: History, product: TrustUnderTest): TrustSet {
  return setOf(history, product, everything(history));
}

/** A set to which these statements came, and again for as long as one is taken that was not before. */
function setOf(history: History, product: TrustUnderTest, which: readonly number[]): TrustSet {
  const set = product.newSet(history.genesis, ip4Of);
  let rest = which.flatMap((i) => history.made[i]?.bytes ?? []);
  for (;;) {
    const refused = rest.filter((bytes) => !set.add(bytes));
    if (refused.length === 0 || refused.length === rest.length) return set;
    rest = refused;
  }
}

function expected(history: History, which: readonly number[], now: number): string[] {
  const statements = which.flatMap((i) => history.made[i] ?? []);
  const found = oracle(history.genesis, statements, now, history.keys, ip4Of);
  return lines(found, history.keys, (key) => {
    const name = found.names.get(key);
    return name === undefined ? undefined : { name, hasIp4: found.ip4Holders.includes(key) };
  });
}

function shown(set: TrustSet, keys: readonly string[], now: number): string[] {
  const members = set.members(now);
  const found = {
    meshKey: set.meshKey(),
    admins: set.admins(),
    verdicts: new Map(keys.map((key) => [key, set.judge(key, now)])),
    voidMembers: set.voidMembers(now),
    voidRemovals: set.voidRemovals(),
    conflicts: set.conflicts(),
  };
  return lines(found, keys, (key) => members.get(key));
}

/** Everything that was found, one line each, so that two findings can be compared line by line. */
function lines(
  found: Omit<Findings, "names" | "ip4Holders">,
  keys: readonly string[],
  shownAs: (key: string) => { readonly name: string; readonly hasIp4: boolean } | undefined,
): string[] {
  const list = (of: readonly string[]) => [...of].filter((one) => one !== "").sort().join(" ");
  return [
    `mesh key ${found.meshKey}`,
    `admins ${list(found.admins)}`,
    `void members ${list(found.voidMembers)}`,
    `void removals ${list(found.voidRemovals)}`,
    `used twice ${list(found.conflicts)}`,
    ...keys.map((key) => {
      const { name, hasIp4 } = shownAs(key) ?? {};
      const verdict = found.verdicts.get(key);
      return `${key} ${verdict && text(verdict)} shown as ${name}, address ${hasIp4}`;
    }),
  ];
}

function text(verdict: Verdict): string {
  if (verdict.kind === "refused") return verdict.why;
  const { standing, name, groups, relay, ip4Counter, since, until } = verdict;
  return `${standing} ${name} [${groups}] relay ${relay} ip4 ${ip4Counter} ${since}-${until}`;
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
