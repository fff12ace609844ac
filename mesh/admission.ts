/**
 * Getting into the mesh, or back into it: knocks at the seeds as long as nobody of the mesh talks
 * to us, and judges the answers. Whom a seed's answer makes us know is handed to the node.
 */
import type { Crypto } from "./crypto.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Deadline, Now, Outbox, Random } from "./machine.ts";
import type { NodeEvent } from "./event.ts";
import { type Answered, type Introduction, Joiner } from "./join.ts";
import type { Mesh } from "./mesh.ts";
import { type NodeRecord, openRecord, sequenceOf, signRecord } from "./record.ts";
import type { JoinState } from "./status.ts";
import { type Chain, decodeChain, EMPTY_CHAIN, verifyChain } from "./trust/certificate.ts";
import { type Identity, meshIdOf } from "./trust/identity.ts";
import type { Refusal } from "./trust/trust.ts";

/** What an answer means for the node. */
export type Outcome =
  /** A member of our mesh knows us: its record is verified and judged. */
  | {
    readonly kind: "welcomed";
    readonly record: NodeRecord;
    readonly cookie: Uint8Array;
    readonly observed: Endpoint;
  }
  /** An admin approved us: now there is a mesh. */
  | { readonly kind: "granted"; readonly meshKey: Uint8Array; readonly chain: Chain };

export interface AdmissionOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly identity: Identity;
  readonly name: string;
  readonly version: string;
  readonly boot: number;
  readonly seeds: Iterable<string>;
  /** The mesh has seen this membership before, or nobody has to. */
  readonly isAdmitted: boolean;
}

export class Admission {
  readonly #o: AdmissionOptions;
  readonly #joiner: Joiner;
  #asking: Introduction | undefined;
  #isPending = false;
  #isAdmitted: boolean;

  constructor(options: AdmissionOptions) {
    const { crypto, random, identity, seeds } = options;
    this.#o = options;
    this.#joiner = new Joiner(crypto, random, identity);
    for (const seed of seeds) this.#joiner.add(seed);
    this.#isAdmitted = options.isAdmitted;
  }

  get isAdmitted(): boolean {
    return this.#isAdmitted;
  }

  get state(): JoinState {
    if (this.#isAdmitted) return "member";
    return this.#isPending ? "pending" : "joining";
  }

  seeds(): string[] {
    return this.#joiner.seeds();
  }

  /** Why nobody has let us in yet, or back in: a sentence for each seed that is to blame. */
  complaints(): string[] {
    return this.#joiner.complaints();
  }

  deadline(): Deadline | undefined {
    return this.#joiner.deadline();
  }

  /** Knocks, or stops knocking, as the state of the mesh wants it now. */
  pursue(now: Now, mesh: Mesh | undefined, out: Outbox<NodeEvent>): void {
    const wants = !this.#isAdmitted || (mesh?.isAlone() ?? true);
    this.#joiner.knockWith(now, wants ? this.#introduction(mesh) : undefined);
    this.#joiner.poll(now, out);
  }

  /** The addresses of a seed that event `resolve` asked for; none: no such host. */
  resolved(seed: string, endpoints: readonly Endpoint[], out: Outbox<NodeEvent>): void {
    this.#joiner.resolved(seed, endpoints, out);
  }

  /** An answer datagram. @returns undefined when it changes nothing; a person may hear why. */
  answered(
    now: Now,
    bytes: Uint8Array,
    mesh: Mesh | undefined,
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    const answered = this.#joiner.answered(now, bytes);
    if (answered === undefined) return undefined;
    const { seed, answer: { verdict } } = answered;
    switch (verdict.kind) {
      case "welcome":
        return mesh && this.#welcomed(now, answered, verdict.record, mesh, out);
      case "granted":
        return mesh ? undefined : this.#granted(seed, verdict, out);
      case "pending":
        if (!this.#isPending) out.event({ kind: "joinPending", seed });
        this.#isPending = true;
        return undefined;
      case "refused":
        if (
          mesh && typeof judge(this.#o.crypto, now, mesh, answered.key, verdict.record) !== "string"
        ) {
          const why = REFUSED[verdict.why] ?? "it does not accept our certificate";
          this.#fail(seed, `refused us: ${why}`, out);
        }
        return undefined;
    }
  }

  /** The node has taken the seed in. */
  admitted(): void {
    this.#isAdmitted = true;
    this.#isPending = false;
  }

  #welcomed(
    now: Now,
    { seed, key, answer: { cookie, observed } }: Answered,
    bytes: Uint8Array,
    mesh: Mesh,
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    const record = judge(this.#o.crypto, now, mesh, key, bytes);
    if (typeof record !== "string") return { kind: "welcomed", record, cookie, observed };
    const why =
      `is no member of the mesh that we join (${record}): check the address, or ask for ` +
      `a new token`;
    this.#fail(seed, why, out);
    return undefined;
  }

  #granted(
    seed: string,
    { meshKey, chain: bytes }: { readonly meshKey: Uint8Array; readonly chain: Uint8Array },
    out: Outbox<NodeEvent>,
  ): Outcome | undefined {
    const { crypto, identity } = this.#o;
    const chain = decodeChain(bytes);
    // Without links: the seed's node trusts our key, and that is all we have.
    const isBare = chain.ok && chain.value.links.length === 0;
    const verified = chain.ok && !isBare ? verifyChain(crypto, meshKey, chain.value) : chain;
    const isOurs = isBare ||
      verified.ok && "id" in verified.value && verified.value.id === identity.id;
    if (chain.ok && isOurs) return { kind: "granted", meshKey, chain: chain.value };
    const fault = verified.ok ? "it is for another key" : verified.error;
    this.#fail(seed, `sent a certificate that is not good (${fault}): ask its admin`, out);
    return undefined;
  }

  #fail(seed: string, what: string, out: Outbox<NodeEvent>): void {
    this.#joiner.complain(seed, `seed ${seed} ${what}`, out);
  }

  #introduction(mesh: Mesh | undefined): Introduction {
    const { name } = this.#o;
    if (mesh === undefined) return this.#asking ??= this.#ask();
    const { record, roster: { meshId } } = mesh;
    return { type: "hello", meshId, name, record: record.bytes };
  }

  #ask(): Introduction {
    const { crypto, name, version, boot, identity: { signing } } = this.#o;
    const meshId = meshIdOf(crypto, undefined);
    const record = signRecord(crypto, meshId, signing, {
      key: signing.publicKey,
      sequence: sequenceOf(boot, 0),
      endpoints: [],
      ip4Counter: 0,
      capabilities: { relay: false, tunnel: false },
      routes: [],
      version,
      chain: EMPTY_CHAIN,
    });
    return { type: "ask", meshId, name, record: record.bytes };
  }
}

/** The record of the holder of `key` if it is a member of our mesh, or why it is none. */
function judge(
  crypto: Crypto,
  now: Now,
  mesh: Mesh,
  key: Uint8Array,
  bytes: Uint8Array,
): NodeRecord | string {
  const opened = openRecord(crypto, mesh.roster.meshId, bytes);
  if (!opened.ok) return opened.error;
  if (opened.value.id !== key.toHex()) return "it shows another node's record";
  const judgement = mesh.trust.judge(opened.value, Math.floor(now.wall / 1000));
  return judgement.kind === "refused" ? judgement.detail : opened.value;
}

const REFUSED: Partial<Record<Refusal, string>> = {
  notYetValid:
    "our certificate has not begun yet by its clock: compare the clocks of both machines",
  expired: "our certificate has expired: ask an admin to renew it (`shoal approve`)",
  revoked: "our key, or one that our certificate rests on, was revoked: " +
    "a new token and another state folder let us in as a new node",
  tokenExpired: "the token has expired: ask an admin for a new one (`shoal invite`)",
  tokenUsedUp: "the token is used up: ask an admin for a new one (`shoal invite`)",
  full: "one of its tables is full",
};
