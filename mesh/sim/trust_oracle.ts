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
  /** Of several certificates of one key the one signed last counts. */
  readonly signedAt: number;
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
    /** The token that admitted the key, when an admin's node signed on sight. */
    readonly token?: string;
  }
  /** The end of a membership or of a token. */
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

export type Why = "left" | "removed" | "stranger" | "surplus" | "notYetValid" | "expired";

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
  }
  | { readonly kind: "refused"; readonly why: Why };

/** All that follows from a set of statements at one time. */
export interface Findings {
  readonly meshKey: string;
  /** Sorted. */
  readonly admins: readonly string[];
  /** For every key that was asked for. */
  readonly verdicts: ReadonlyMap<string, Verdict>;
  /** The name under which each member among these keys is shown. */
  readonly names: ReadonlyMap<string, string>;
  /** The members among these keys that have the IPv4 address of their counter. */
  readonly ip4Holders: readonly string[];
  /** Keys that only signers which no longer count have admitted: a person approves or revokes each. Sorted. */
  readonly voidMembers: readonly string[];
  /** Keys that only signers which no longer count have removed. Sorted. */
  readonly voidRemovals: readonly string[];
  /** `signer number` of each pair of statements with one number, of signers that hold or held an office. Sorted. */
  readonly conflicts: readonly string[];
}

/** Clocks of members may differ by so much. */
const SKEW = 300;

/**
 * @param keys whose membership is asked for
 * @param ip4Of the address of a key with this counter; equal ones clash
 */
export function oracle(
  genesis: OracleGenesis,
  all: readonly OracleStatement[],
  now: number,
  keys: readonly string[],
  ip4Of: (key: string, counter: number) => number,
): Findings {
  // Another mesh's statements and those with a wrong signature are none.
  const genuine = all.filter((s) => s.mesh === genesis.mesh && s.signer === s.signedBy);

  // Of two with one signer and number the lower hash counts.
  const counting = genuine.filter((s) =>
    !genuine.some((o) => o.signer === s.signer && o.number === s.number && o.hash < s.hash)
  );

  // The mesh key of now: the successor with the highest number, else the first one.
  const successors = counting.filter((s) =>
    s.says.kind === "successor" && s.signer === genesis.recoveryKey
  );
  let meshKey = genesis.meshKey;
  let rank = 0;
  for (const s of successors) {
    if (s.says.kind === "successor" && s.number > rank) {
      rank = s.number;
      meshKey = s.says.key;
    }
  }

  // Active admins.
  const admins: string[] = [];
  for (const s of counting) {
    if (s.says.kind !== "admin" || s.signer !== meshKey) continue;
    const { key } = s.says.certificate;
    const isDemoted = counting.some((o) =>
      o.says.kind === "demoted" && o.signer === meshKey && o.says.key === key
    );
    if (!isDemoted && !admins.includes(key)) admins.push(key);
  }
  admins.sort();

  const mayGovern = (key: string) => key === meshKey || admins.includes(key);

  const isRemoved = (key: string) =>
    !admins.includes(key) &&
    counting.some((s) => s.says.kind === "removed" && s.says.key === key && mayGovern(s.signer));

  const hasLeft = (key: string) => counting.some((s) => s.says.kind === "left" && s.signer === key);

  /** How many keys a token certifies: 0 without a token statement that counts. */
  function usesOf(token: string): number {
    let found: OracleStatement | undefined;
    for (const s of counting) {
      if (s.says.kind !== "token" || s.says.key !== token || !mayGovern(s.signer)) continue;
      if (found === undefined || s.hash < found.hash) found = s;
    }
    return found?.says.kind === "token" ? found.says.uses : 0;
  }

  /** The keys that a token has certified, the earliest first, each once. */
  function certifiedBy(token: string): string[] {
    const users: { key: string; since: number }[] = [];
    for (const s of counting) {
      if (s.says.kind !== "member" || s.says.token !== token || !mayGovern(s.signer)) continue;
      const { key, since } = s.says.certificate;
      const user = users.find((one) => one.key === key);
      if (user === undefined) users.push({ key, since });
      else user.since = Math.min(user.since, since);
    }
    users.sort((a, b) => a.since - b.since || (a.key < b.key ? -1 : 1));
    return users.map(({ key }) => key);
  }

  type Membership = { certificate: OracleCertificate; until: number | undefined };

  /** The one signed last, then the one with the lower hash. */
  function newest(found: readonly OracleStatement[]): Membership | undefined {
    let best: { hash: string; membership: Membership } | undefined;
    for (const { says, hash } of found) {
      if (says.kind !== "admin" && says.kind !== "member") continue;
      const { certificate } = says;
      const until = says.kind === "member" ? says.until : undefined;
      const known = best?.membership.certificate.signedAt ?? -1;
      if (
        best === undefined || certificate.signedAt > known ||
        certificate.signedAt === known && hash < best.hash
      ) best = { hash, membership: { certificate, until } };
    }
    return best?.membership;
  }

  function judge(key: string): Verdict {
    const refused = (why: Why): Verdict => ({ kind: "refused", why });
    if (hasLeft(key)) return refused("left");
    if (isRemoved(key)) return refused("removed");
    const isAdmin = admins.includes(key);
    const given = counting.filter(({ says, signer }) =>
      isAdmin
        ? says.kind === "admin" && says.certificate.key === key && signer === meshKey
        : says.kind === "member" && says.certificate.key === key && mayGovern(signer)
    );
    const withinUses = given.filter(({ says }) => {
      if (says.kind !== "member" || says.token === undefined) return true;
      return certifiedBy(says.token).slice(0, usesOf(says.token)).includes(key);
    });
    const membership = newest(withinUses);
    if (membership === undefined) {
      const isSurplus = given.some(({ says }) =>
        says.kind === "member" && says.token !== undefined && usesOf(says.token) > 0
      );
      return refused(isSurplus ? "surplus" : "stranger");
    }
    const { certificate: { name, groups, relay, ip4Counter, since, signedAt }, until } = membership;
    if (signedAt > now + SKEW) return refused("notYetValid");
    if (until !== undefined && until < now - SKEW) return refused("expired");
    const standing = isAdmin ? "admin" : "certified";
    return { kind: "member", standing, name, groups, relay, ip4Counter, since, until };
  }

  const verdicts = new Map(keys.map((key) => [key, judge(key)]));

  // Names and addresses: the earlier certificate first, then the lower key.
  const members = keys.flatMap((key) => {
    const verdict = verdicts.get(key);
    return verdict?.kind === "member" ? [{ key, ...verdict }] : [];
  });
  const isBefore = (a: { key: string; since: number }, b: { key: string; since: number }) =>
    a.since < b.since || a.since === b.since && a.key < b.key;
  const names = new Map(members.map((member) => {
    const isFirst = !members.some((o) => o.name === member.name && isBefore(o, member));
    return [member.key, isFirst ? member.name : `${member.name}-${member.key.slice(0, 32)}`];
  }));
  const ip4Holders = members.filter((member) =>
    !members.some((o) =>
      ip4Of(o.key, o.ip4Counter) === ip4Of(member.key, member.ip4Counter) && isBefore(o, member)
    )
  ).map(({ key }) => key);

  // What signers said that no longer count, and what hangs on a token of theirs.
  const meshKeys = [genesis.meshKey];
  for (const { says } of successors) if (says.kind === "successor") meshKeys.push(says.key);
  const offices = [...meshKeys];
  for (const { says, signer } of counting) {
    if (says.kind === "admin" && meshKeys.includes(signer)) offices.push(says.certificate.key);
  }
  const voidMembers = keys.filter((key) => {
    const verdict = verdicts.get(key);
    return verdict?.kind === "refused" && verdict.why === "stranger" &&
      counting.some(({ says, signer }) =>
        says.kind === "admin" && says.certificate.key === key && meshKeys.includes(signer) ||
        says.kind === "member" && says.certificate.key === key && offices.includes(signer)
      );
  });
  const voidRemovals = keys.filter((key) =>
    !admins.includes(key) && !isRemoved(key) && !hasLeft(key) &&
    counting.some(({ says, signer }) =>
      says.kind === "removed" && says.key === key && offices.includes(signer)
    )
  );
  const conflicts = genuine.filter((s) =>
    (s.signer === genesis.recoveryKey || offices.includes(s.signer)) &&
    genuine.some((o) => o.signer === s.signer && o.number === s.number && o.hash < s.hash)
  ).map(({ signer, number }) => `${signer} ${number}`);

  return {
    meshKey,
    admins,
    verdicts,
    names,
    ip4Holders: ip4Holders.sort(),
    voidMembers: voidMembers.sort(),
    voidRemovals: voidRemovals.sort(),
    conflicts: [...new Set(conflicts)].sort(),
  };
}
