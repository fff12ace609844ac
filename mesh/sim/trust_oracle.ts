/**
 * Who is a member, worked out in the most obvious way: every answer is computed from the whole list of statements, by
 * loops over arrays, and nothing is remembered. It shares no code with mesh/membership, which must give the same
 * answers. A statement's place in the list is never looked at, so the order of arrival cannot matter.
 */

/** What a signer gives a key. */
export interface OracleCertificate {
  readonly key: string;
  readonly name: string;
  readonly groups: readonly string[];
  readonly relay: boolean;
  readonly ip4Counter: number;
  /** Decides clashes; kept over renewals. Unix seconds, as all times here. */
  readonly since: number;
}

/** The token that admitted a key, and how many keys that token admits. */
export interface OracleUse {
  readonly key: string;
  readonly uses: number;
}

/** What a statement says; keys are public keys in hex. */
export type Said =
  /** A later mesh key; the statement's number is its rank. By the recovery key. */
  | { readonly kind: "successor"; readonly key: string }
  /** An office, and the membership that comes with it. By the mesh key. */
  | { readonly kind: "admin"; readonly certificate: OracleCertificate }
  /** The end of an office. By the mesh key. */
  | { readonly kind: "demoted"; readonly key: string }
  | {
    readonly kind: "member";
    readonly certificate: OracleCertificate;
    readonly until: number;
    /** Present when an admin's node signed on sight. */
    readonly token?: OracleUse;
  }
  /** The end of a membership. */
  | { readonly kind: "removed"; readonly key: string }
  | {
    readonly kind: "token";
    readonly key: string;
    readonly uses: number;
    readonly groups: readonly string[];
    readonly relay: boolean;
    readonly until: number;
    readonly memberUntil: number;
    readonly doors: readonly string[];
  }
  /** The end of a token, or of a guest. */
  | { readonly kind: "withdrawn"; readonly key: string }
  /** A device that a member serves, the host. */
  | {
    readonly kind: "guest";
    readonly certificate: OracleCertificate;
    readonly until: number;
    readonly host: string;
  }
  /** The signer's own farewell. */
  | { readonly kind: "left" };

export interface OracleStatement {
  /** The key that the statement names as its signer. */
  readonly signer: string;
  /** The key that really made the signature. */
  readonly signedBy: string;
  /** The mesh that the signature is for. */
  readonly mesh: string;
  readonly number: number;
  /** When it was signed, by the signer's clock. */
  readonly at: number;
  /** Of the statement's bytes, in hex: decides between statements that are equal in rank. */
  readonly hash: string;
  readonly says: Said;
}

/** How a mesh begins. */
export interface OracleGenesis {
  readonly mesh: string;
  readonly meshKey: string;
  readonly recoveryKey: string;
}

export type Why =
  | "left"
  | "removed"
  | "mirrored"
  | "stranger"
  | "surplus"
  | "notYetValid"
  | "expired";

export type Verdict =
  | {
    readonly kind: "member";
    readonly standing: "admin" | "certified";
    readonly name: string;
    readonly groups: readonly string[];
    readonly relay: boolean;
    readonly ip4Counter: number;
    readonly since: number;
    /** Undefined: without end. */
    readonly until: number | undefined;
    readonly token: OracleUse | undefined;
  }
  | { readonly kind: "refused"; readonly why: Why };

/** A guest that is served. */
export interface OracleGuest {
  readonly key: string;
  readonly host: string;
  readonly until: number;
  /** The name under which it is shown, and whether it has the IPv4 address of its counter. */
  readonly name: string;
  readonly hasIp4: boolean;
}

/** Guests that one member serves at most where a history does not say otherwise; one, so that there are more. */
export const GUESTS_PER_HOST = 1;

/** All that follows from a set of statements at one time. */
export interface Findings {
  readonly meshKey: string;
  /** Sorted. */
  readonly admins: readonly string[];
  /** Keys that the mesh key of now has ever made or unmade admins. Sorted. */
  readonly offices: readonly string[];
  /** For every key that was asked for. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** The name under which each member among these keys is shown. */
  readonly names: ReadonlyMap<string, string>;
  /** The members among these keys that have the IPv4 address of their counter. */
  readonly ip4Holders: readonly string[];
  /** Sorted by key. */
  readonly guests: readonly OracleGuest[];
  /** How many keys each token admits that is in force. */
  readonly tokens: ReadonlyMap<string, number>;
  /** Tokens that were ended. Sorted. */
  readonly withdrawn: readonly string[];
  /** Keys that have a certificate which counts, be it surplus or ended. Sorted. */
  readonly certified: readonly string[];
  /** Keys that only signers which no longer count have admitted: a person approves or revokes each. Sorted. */
  readonly voidMembers: readonly string[];
  /** Keys that only signers which no longer count have removed. Sorted. */
  readonly voidRemovals: readonly string[];
  /** `signer number` of each pair of statements with one number, of the mesh key and the admins. Sorted. */
  readonly conflicts: readonly string[];
}

/** Clocks of members may differ by so much. */
const SKEW = 300;

/** Of two statements with one number the one with the higher figure counts. */
function strengthOf({ says }: OracleStatement): number {
  if (says.kind === "demoted") return 3;
  if (says.kind === "removed") return 2;
  if (says.kind === "withdrawn") return 1;
  return 0;
}

/** A name that ends like those which are made of a name and a key is none. */
function hasName({ says }: OracleStatement): boolean {
  if (says.kind !== "admin" && says.kind !== "member" && says.kind !== "guest") return true;
  return !/-[0-9a-f]{32}$/.test(says.certificate.name);
}

/**
 * @param keys whose membership is asked for
 * @param ip4Of the address of a key with this counter; equal ones clash
 * @param guestsPerHost how many guests one member serves
 */
export function oracle(
  genesis: OracleGenesis,
  all: readonly OracleStatement[],
  now: number,
  keys: readonly string[],
  ip4Of: (key: string, counter: number) => number,
  guestsPerHost = GUESTS_PER_HOST,
): Findings {
  // Another mesh's statements, those with a wrong signature and those of a wrong form are none.
  const genuine = all.filter((s) =>
    s.mesh === genesis.mesh && s.signer === s.signedBy && hasName(s)
  );

  // The mesh key of now: the successor with the highest number, then the lower hash, else the first one.
  const successors = genuine.filter((s) =>
    s.says.kind === "successor" && s.signer === genesis.recoveryKey
  );
  let last: OracleStatement | undefined;
  for (const s of successors) {
    const isLater = last === undefined || s.number > last.number ||
      s.number === last.number && s.hash < last.hash;
    if (isLater) last = s;
  }
  const meshKey = last?.says.kind === "successor" ? last.says.key : genesis.meshKey;

  /** Of two with one number what ends something counts, then the lower hash. */
  function isOutranked(s: OracleStatement, among: readonly OracleStatement[]): boolean {
    return among.some((o) =>
      o.signer === s.signer && o.number === s.number &&
      (strengthOf(o) > strengthOf(s) || strengthOf(o) === strengthOf(s) && o.hash < s.hash)
    );
  }

  // What the mesh key says. A kind that a signer has no right to is nothing, and takes no number from what it may say.
  const saidByMeshKey = genuine.filter(({ signer, says }) =>
    signer === meshKey && says.kind !== "successor" && says.kind !== "left"
  );
  const ofMeshKey = saidByMeshKey.filter((s) => !isOutranked(s, saidByMeshKey));

  // Admins: whom the mesh key has made one and never unmade.
  const offices: string[] = [];
  const unmade: string[] = [];
  for (const { says } of ofMeshKey) {
    if (says.kind === "admin") offices.push(says.certificate.key);
    if (says.kind === "demoted") {
      offices.push(says.key);
      unmade.push(says.key);
    }
  }
  const admins = [...new Set(offices)].filter((key) => !unmade.includes(key)).sort();

  // What admins say.
  const saidByAdmins = genuine.filter(({ signer, says }) =>
    admins.includes(signer) && signer !== meshKey &&
    (says.kind === "member" || says.kind === "removed" || says.kind === "token" ||
      says.kind === "withdrawn" || says.kind === "guest")
  );
  const ofAdmins = saidByAdmins.filter((s) => !isOutranked(s, saidByAdmins));
  const counting = [...ofMeshKey, ...ofAdmins];

  // An admin's word is nothing against a key that has or had an office; the mesh key's counts when the office is over.
  const isRemoved = (key: string) =>
    !admins.includes(key) &&
    counting.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key &&
      (signer === meshKey || !offices.includes(key))
    );

  const hasLeft = (key: string) => genuine.some((s) => s.says.kind === "left" && s.signer === key);

  /** The keys that a token has certified, the earliest first, each once. */
  function certifiedBy(token: string): string[] {
    const users: { key: string; since: number }[] = [];
    for (const { says } of counting) {
      if (says.kind !== "member" || says.token?.key !== token) continue;
      const { key, since } = says.certificate;
      const user = users.find((one) => one.key === key);
      if (user === undefined) users.push({ key, since });
      else user.since = Math.min(user.since, since);
    }
    users.sort((a, b) => a.since - b.since || (a.key < b.key ? -1 : 1));
    return users.map(({ key }) => key);
  }

  /** What gives a key its place, be it too much for its token or not. */
  function givenTo(key: string): OracleStatement[] {
    return certificatesOf(key, admins.includes(key) ? "admin" : "member");
  }

  function certificatesOf(key: string, kind: "admin" | "member"): OracleStatement[] {
    return counting.filter(({ says }) =>
      (says.kind === "admin" || says.kind === "member") && says.kind === kind &&
      says.certificate.key === key
    );
  }

  /** The one signed last, then the one with the lower hash. */
  function newest(found: readonly OracleStatement[]): OracleStatement | undefined {
    let best: OracleStatement | undefined;
    for (const s of found) {
      if (best === undefined || s.at > best.at || s.at === best.at && s.hash < best.hash) best = s;
    }
    return best;
  }

  function isWithinUses({ says }: OracleStatement): boolean {
    if (says.kind !== "member" || says.token === undefined) return true;
    return certifiedBy(says.token.key).indexOf(says.certificate.key) < says.token.uses;
  }

  /** The earliest time by which a key was certified with its office; an admin says no earlier one. */
  function earliestOf(signer: string): number {
    if (signer === meshKey) return 0;
    return Math.min(
      ...counting.flatMap(({ says }) =>
        says.kind === "admin" && says.certificate.key === signer ? [says.certificate.since] : []
      ),
    );
  }

  /** The earliest time in what certifies a key; undefined: nothing does. */
  function beginOf(key: string): number | undefined {
    const times: number[] = [];
    for (const s of counting) {
      const { says, signer } = s;
      const say = (time: number) => times.push(Math.max(time, earliestOf(signer)));
      if (says.kind === "admin" && says.certificate.key === key) say(says.certificate.since);
      if (says.kind === "member" && says.certificate.key === key && isWithinUses(s)) {
        say(says.certificate.since);
      }
    }
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  function hasRemoval(key: string): boolean {
    return counting.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key && (signer === meshKey || !offices.includes(key))
    );
  }

  /** Certified, and neither removed nor gone. */
  function isHeld(key: string): boolean {
    if (hasLeft(key) || isRemoved(key)) return false;
    const kinds = admins.includes(key) ? ["admin", "member"] as const : ["member"] as const;
    return kinds.some((kind) => certificatesOf(key, kind).some(isWithinUses));
  }

  /**
   * Two keys that differ in the highest bit have one tunnel key. Which is not certified gives way to all that is said of the
   * other. Of two that are certified the office is first, then the earlier, then the lower.
   */
  function isMirrored(key: string): boolean {
    const digit = (Number.parseInt(key.at(-2) ?? "0", 16) ^ 8).toString(16);
    const other = `${key.slice(0, -2)}${digit}${key.slice(-1)}`;
    const [theirs, ours] = [beginOf(other), beginOf(key)];
    if (!isHeld(key)) return theirs !== undefined || hasRemoval(other);
    if (!isHeld(other) || theirs === undefined || ours === undefined) return false;
    const [isOffice, isOurs] = [offices.includes(other), offices.includes(key)];
    if (isOffice !== isOurs) return isOffice;
    return theirs < ours || theirs === ours && other < key;
  }

  function judge(key: string): Verdict {
    const refused = (why: Why): Verdict => ({ kind: "refused", why });
    if (hasLeft(key)) return refused("left");
    if (isRemoved(key)) return refused("removed");
    if (isMirrored(key)) return refused("mirrored");
    const given = givenTo(key);
    const withinUses = given.filter(isWithinUses);
    if (withinUses.length === 0) return refused(given.length > 0 ? "surplus" : "stranger");
    // What is signed in the future hides nothing that was signed before.
    const isTimely = ({ at }: OracleStatement) => at <= now + SKEW;
    let chosen = newest(withinUses.filter(isTimely));
    if (chosen === undefined && admins.includes(key)) {
      // A promotion that is signed in the future does not, either.
      const asMember = certificatesOf(key, "member").filter(isWithinUses);
      chosen = newest(asMember.filter(isTimely));
    }
    if (chosen === undefined) return refused("notYetValid");
    const { says } = chosen;
    if (says.kind !== "admin" && says.kind !== "member") throw new TypeError("no certificate");
    const { name, groups, relay, ip4Counter, since } = says.certificate;
    const until = says.kind === "member" ? says.until : undefined;
    if (until !== undefined && until < now - SKEW) return refused("expired");
    return {
      kind: "member",
      standing: admins.includes(key) ? "admin" : "certified",
      name,
      groups,
      relay,
      ip4Counter,
      since,
      until,
      token: says.kind === "member" ? says.token : undefined,
    };
  }

  const verdicts = new Map(keys.map((key) => [key, judge(key)]));

  // Names and addresses: admins first, then the earlier certificate, then the lower key.
  const members = keys.flatMap((key) => {
    const verdict = verdicts.get(key);
    return verdict?.kind === "member" ? [{ key, ...verdict }] : [];
  });
  const isBefore = (a: typeof members[0], b: typeof members[0]) => {
    if (a.standing !== b.standing) return a.standing === "admin";
    return a.since < b.since || a.since === b.since && a.key < b.key;
  };
  const names = new Map(members.map((member) => {
    const isFirst = !members.some((o) => o.name === member.name && isBefore(o, member));
    return [member.key, isFirst ? member.name : nameOfLoser(member)];
  }));
  const ip4Holders = members.filter((member) =>
    !members.some((o) =>
      ip4Of(o.key, o.ip4Counter) === ip4Of(member.key, member.ip4Counter) && isBefore(o, member)
    )
  ).map(({ key }) => key);

  // Guests: the certificate signed last, while nothing has withdrawn the key and a member is its host.
  const served: { key: string; host: string; until: number; certificate: OracleCertificate }[] = [];
  const guestKeys = new Set(
    counting.flatMap(({ says }) => says.kind === "guest" ? [says.certificate.key] : []),
  );
  for (const key of guestKeys) {
    const chosen = newest(
      counting.filter(({ says, at }) =>
        says.kind === "guest" && says.certificate.key === key && at <= now + SKEW
      ),
    );
    if (chosen?.says.kind !== "guest") continue;
    const { host, until, certificate } = chosen.says;
    const isEnded = counting.some(({ says }) => says.kind === "withdrawn" && says.key === key);
    if (isEnded || until < now - SKEW || judge(host).kind !== "member") continue;
    served.push({ key, host, until, certificate });
  }
  const isEarlier = (a: typeof served[0], b: typeof served[0]) =>
    a.certificate.since < b.certificate.since ||
    a.certificate.since === b.certificate.since && a.key < b.key;
  // Those that the host or the mesh key has certified for that host come before those of other admins.
  const isOwn = ({ key, host }: typeof served[0]) =>
    counting.some(({ says, signer }) =>
      says.kind === "guest" && says.certificate.key === key && says.host === host &&
      (signer === host || signer === meshKey)
    );
  const comesBefore = (a: typeof served[0], b: typeof served[0]) =>
    isOwn(a) === isOwn(b) ? isEarlier(a, b) : isOwn(a);
  const within = served.filter((one) =>
    served.filter((o) => o.host === one.host && comesBefore(o, one)).length < guestsPerHost
  );
  // Members come first, whatever the time.
  const guests = within.map((one): OracleGuest => {
    const { key, host, until, certificate: { name, ip4Counter } } = one;
    const ahead = within.filter((o) => isEarlier(o, one)).map((o) => o.certificate);
    const isNamed = ![...members, ...ahead].some((o) => o.name === name);
    const hasIp4 = ![...members, ...ahead].some((o) =>
      ip4Of(o.key, o.ip4Counter) === ip4Of(key, ip4Counter)
    );
    return { key, host, until, name: isNamed ? name : nameOfLoser({ name, key }), hasIp4 };
  });
  guests.sort((a, b) => a.key < b.key ? -1 : 1);

  // Of several statements about one token the one signed last counts.
  const tokens = new Map<string, number>();
  for (const { says } of counting) {
    if (says.kind !== "token") continue;
    const chosen = newest(
      counting.filter((o) => o.says.kind === "token" && o.says.key === says.key),
    );
    if (chosen?.says.kind === "token") tokens.set(says.key, chosen.says.uses);
  }
  const withdrawn = counting.flatMap(({ says }) => says.kind === "withdrawn" ? [says.key] : []);

  // What signers said that no longer count.
  const meshKeys = [genesis.meshKey];
  for (const { says } of successors) if (says.kind === "successor") meshKeys.push(says.key);
  const governors = [...meshKeys];
  for (const { says, signer } of genuine) {
    if (says.kind === "admin" && meshKeys.includes(signer)) governors.push(says.certificate.key);
  }
  const voidMembers = keys.filter((key) => {
    const verdict = verdicts.get(key);
    return verdict?.kind === "refused" && verdict.why === "stranger" &&
      genuine.some(({ says, signer }) =>
        says.kind === "admin" && says.certificate.key === key && meshKeys.includes(signer) ||
        says.kind === "member" && says.certificate.key === key && governors.includes(signer)
      );
  });
  const mayGovern = (key: string) => key === meshKey || admins.includes(key);
  const voidRemovals = keys.filter((key) =>
    !admins.includes(key) && !isRemoved(key) && !hasLeft(key) &&
    genuine.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key && governors.includes(signer) &&
      !mayGovern(signer)
    )
  );
  const said = [...successors, ...saidByMeshKey, ...saidByAdmins];
  const conflicts = said.filter((s) =>
    said.some((o) => o.signer === s.signer && o.number === s.number && o.hash !== s.hash)
  ).map(({ signer, number }) => `${signer} ${number}`);

  return {
    meshKey,
    admins,
    offices: [...new Set(offices)].sort(),
    verdicts,
    names,
    ip4Holders: ip4Holders.sort(),
    guests,
    tokens,
    withdrawn: [...new Set(withdrawn)].sort(),
    certified: keys.filter((key) => givenTo(key).length > 0).sort(),
    voidMembers: voidMembers.sort(),
    voidRemovals: voidRemovals.sort(),
    conflicts: [...new Set(conflicts)].sort(),
  };
}

/** At most 63 characters, as every name. */
function nameOfLoser({ name, key }: { readonly name: string; readonly key: string }): string {
  return `${name.slice(0, 30).replace(/-+$/, "")}-${key.slice(0, 32)}`;
}
