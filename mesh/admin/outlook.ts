/**
 * Who will be a member when a command has done what it plans: found out by the very rules that count afterwards, over
 * the statements of now and those that are to be signed, so that a person is told beforehand what will be true
 * (invariant 4).
 */
import type { Who } from "../event.ts";
import { type Now, secondsOf } from "../machine.ts";
import type { MemberId } from "../membership/identity.ts";
import { CLOCK_SKEW, type Judge, type Membership } from "../membership/judge.ts";
import type { Mesh } from "../membership/mesh.ts";
import { timeOf } from "../membership/signer.ts";
import { type Draft, NUMBER_MAX } from "../membership/statement.ts";
import type { CertificateStatement } from "../membership/statements.ts";
import type { Doubt } from "./doubtful.ts";

/** Something that is to be signed. */
export interface Saying {
  /** The key that signs it. */
  readonly signer: string;
  readonly draft: Draft;
  /** Of a certificate that is signed anew: the time of the one before, unix seconds. */
  readonly since?: number;
}

/** Who will be a member when these were said, in this order. */
export function judgeAfter(
  { judge, statements }: Mesh,
  now: Now,
  sayings: readonly Saying[],
): Judge {
  const seconds = secondsOf(now);
  const after = statements.supposing((supposed, suppose) => {
    for (const [i, { signer, draft, since }] of sayings.entries()) {
      suppose({
        ...draft,
        signer,
        // No number that anybody can have used.
        number: draft.kind === "successor" ? NUMBER_MAX : NUMBER_MAX + 1 + i,
        at: timeOf(supposed, draft, seconds, since),
        bytes: new Uint8Array(),
        hash: `supposed ${i}`,
      });
    }
  });
  return judge.supposing(after);
}

/** The certificate that holds a member by a judge, with as much room as clocks have; undefined: none does. */
export function certificateBy(
  { statements }: Judge,
  key: MemberId,
  now: Now,
): CertificateStatement | undefined {
  return statements.certificate(key, secondsOf(now) + CLOCK_SKEW);
}

/** What a command changes for members. */
export interface Outlook {
  /** Who is a member now, and will be none until somebody certifies it. */
  readonly out: readonly Who[];
  /** Who is a member now, and will be none for ever, since a removal of before counts. */
  readonly removed: readonly Who[];
  /** Who is none now, and will be one. */
  readonly back: readonly Who[];
  /** Who will be a member by the word of an honest node alone, which believed an invite that is not believed. */
  readonly doubtful: readonly Who[];
  readonly isMember: (key: MemberId) => boolean;
}

/** @param expelled who is meant to be out, and is named as that */
export function outlookOf(
  mesh: Mesh,
  now: Now,
  after: Judge,
  doubt: Doubt,
  expelled: ReadonlySet<MemberId>,
): Outlook {
  const keys = new Set(Array.from(mesh.roster.members(), ({ id }) => id));
  for (const { statement: one } of after.statements.all()) {
    if (one.kind === "admin" || one.kind === "member") keys.add(one.certificate.key);
  }
  // The offices of older mesh keys are forgotten with them.
  for (const key of [mesh.id, ...mesh.statements.admins()]) keys.add(key);
  const out: Who[] = [];
  const removed: Who[] = [];
  const back: Who[] = [];
  const doubtful: Who[] = [];
  for (const id of keys) {
    if (expelled.has(id)) continue;
    const [was, is] = [membershipBy(mesh.judge, id, now), membershipBy(after, id, now)];
    if (was && !is) {
      (after.statements.isRemoved(id) ? removed : out).push({ id, name: was.name });
    }
    if (is && !was) back.push({ id, name: is.name });
    const certificate = is && certificateBy(after, id, now);
    if (is && certificate && doubt.isDoubtful(certificate, after)) {
      doubtful.push({ id, name: is.name });
    }
  }
  return {
    out,
    removed,
    back,
    doubtful,
    isMember: (key) => isMemberBy(after, key, now),
  };
}

/** Whether a key is a member of the mesh by a judge. */
export function isMemberBy(judge: Judge, id: MemberId, now: Now): boolean {
  return membershipBy(judge, id, now) !== undefined;
}

/** What the mesh says of a key; whom a person trusts on this node alone is no matter of the mesh. */
function membershipBy(judge: Judge, id: MemberId, now: Now): Membership | undefined {
  const judgement = judge.judge(id, secondsOf(now));
  const isMember = judgement.kind === "member" && judgement.membership.standing !== "individual";
  return isMember ? judgement.membership : undefined;
}
