/**
 * One node's life inside one mesh: it puts the roster, the seal, swim, the door and the tunnels
 * together. A record that is verified makes its subject a member here in all of them; whoever is no
 * member any more is taken out of all of them.
 *
 * News travels as swim's rumours: records and statements. Each is verified here before it is passed
 * on. Swim must not be called from its own outbox, so rumours wait in an inbox until its step is over.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import type { Decoded } from "../codec.ts";
import { PAYLOAD_MAX, type PayloadKind, Seal, type Unsure } from "../wire/seal.ts";
import { type Admission, encodeAdmission, endorse } from "./admission.ts";
import { ip6Of } from "./address.ts";
import { announcements } from "./announcement.ts";
import { Approvals } from "./approvals.ts";
import { Copies } from "./copies.ts";
import { FirstContacts } from "../door/first_contacts.ts";
import { GuestTunnels } from "../guest_tunnels.ts";
import { Guests } from "./guests.ts";
import { certifyOnSight, corrected, RESERVE, SightPace } from "./sight.ts";
import { type Endpoint, formatAddress, parseAddress, sameBytes } from "../endpoint.ts";
import type { NodeEvent } from "../event.ts";
import type { Genesis } from "./genesis.ts";
import type { MemberId } from "./identity.ts";
import { Judge, type Judgement, type Membership } from "./judge.ts";
import { type Now, type Outbox, type Random, secondsOf } from "../machine.ts";
import { MemberTunnels } from "../member_tunnels.ts";
import { KIND, recordRumour, twinRumour } from "./news.ts";
import { MeshKeyClaims } from "./mesh_key_claims.ts";
import { OwnRecord, type Self } from "./own_record.ts";
import { bootOf, NO_PROOF, type NodeRecord, type Proof, RUN_SIZE } from "./record.ts";
import { type Acceptance, isUnheard, type Member, MEMBERS_MAX, Roster } from "./roster.ts";
import { type Numbers, Signer } from "./signer.ts";
import {
  decodeStatements,
  type Draft,
  encodeStatements,
  NUMBER_MAX,
  signerOf,
  type Statement,
  subjectOf,
} from "./statement.ts";
import { Overtaken } from "./overtaken.ts";
import { Reviewing, SURPLUS_KEPT } from "./reviewing.ts";
import { WallWatch } from "../wall_watch.ts";
import { Scrutiny } from "./scrutiny.ts";
import { Spreading } from "./spreading.ts";
import { type Added, STATEMENTS_ROOM } from "./statements.ts";
import { decode, encode, type Message, type Status, type View } from "../swim/messages.ts";
import type { SwimEvent, SwimOutbox } from "../swim/outbox.ts";
import { type MemberView, Swim } from "../swim/swim.ts";
import type { Tunnels } from "../tunnel/tunnels.ts";
import type { FactReader } from "../tunnel/types.ts";
import { eventOf, isWorthTelling, type MemberEvent } from "./telling.ts";
import { Comparison } from "./comparison.ts";
import { type Heard, Unproven } from "./unproven.ts";
import type { Untimely } from "./untimely.ts";

export interface MeshOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly tunnels: Tunnels;
  readonly genesis: Genesis;
  readonly self: Self;
  /** 8 random bytes of this start, hexadecimal. */
  readonly run: string;
  /** How we are called as long as nobody has certified us. */
  readonly name: string;
  /** The mesh key, where it is on this machine. */
  readonly meshSigning: SigningKey | undefined;
  /** Numbers of statements that were used, on disk. */
  readonly numbers: Numbers;
  /** On disk already. */
  readonly boot: number;
  readonly incarnation: number;
  /** Members that are remembered at most, the dead among them; 16,384 when absent. */
  readonly membersMax?: number;
}

/** Milliseconds of silence of all members after which it is ourselves who hear nothing. */
const DEAF_AFTER = 30_000;
/** Milliseconds between two lines on a member that signs several records with one sequence. */
const EQUIVOCATION_PACE = 600_000;

export class Mesh {
  readonly judge: Judge;
  readonly roster: Roster;
  readonly swim: Swim;
  readonly tunnels: MemberTunnels;
  readonly guests: GuestTunnels;
  readonly signer: Signer;
  readonly copies: Copies;
  readonly #spreading: Spreading;
  readonly #reviewing: Reviewing;
  /** What may go to places that have not proven that they hear us. */
  readonly contacts = new FirstContacts();
  /** How much of what members pass on is looked at, and whom nothing is believed of. */
  readonly scrutiny: Scrutiny;
  /** Our own address, which nobody can dispute. */
  readonly ip6: Uint8Array;
  readonly #o: MeshOptions;
  readonly #seal: Seal;
  readonly #inbox: Heard[] = [];
  readonly #unproven = new Unproven();
  readonly #own: OwnRecord;
  readonly #claims: MeshKeyClaims;
  /** The run and the mesh key for which our record says that we have that; "": it does not. */
  #claimed = "";
  /** What makes us a member until an admin certifies us. */
  #admission: Admission | undefined;
  readonly #approvals = new Approvals();
  readonly #overtaken = new Overtaken();
  /** Members that signed two records with one sequence: the last of which people were told, and when. */
  readonly #equivocated = new Map<MemberId, { readonly sequence: number; readonly at: number }>();
  readonly #pace = new SightPace();
  readonly #watch = new WallWatch();
  #isQuiet = false;
  #comparison = new Comparison();
  /** Members to whom something was sent and who may not know us yet. */
  readonly #unheard = new Set<Member>();
  /**
   * Members whose introduction their places had no room for. Nothing else goes there before it: gossip asks the dead again
   * and again, and who has forgotten us can open none of that.
   */
  readonly unintroduced = new Set<MemberId>();
  /** Whether what is remembered has changed since the last review in what another can change each second. */
  #isDirtyAtReview = false;
  /** Whether what is remembered over restarts has changed, and whether that must be on disk now. */
  isDirty = true;
  mustPersist = false;
  /** Statements under our own key that this machine has not signed, and had not when it compared with the others. */
  signedElsewhere = 0;
  /**
   * Statements of our own that were forgotten as over, by their hashes: the clock may be put back, and then the others give
   * them back. NUMBER_MAX at most, as there are numbers; of more, people would be told in vain.
   */
  readonly #forgotten = new Set<string>();
  /** What was not believed, had no room, or was not signed on sight yet. */
  readonly drops = { rumour: 0, gossip: 0, unsigned: 0, individual: 0 };

  constructor(now: Now, options: MeshOptions, admission: Admission | undefined) {
    const { crypto, random, self, genesis, boot, membersMax = MEMBERS_MAX } = options;
    this.#o = options;
    this.#admission = admission;
    const { identity } = self;
    this.judge = new Judge(crypto, genesis);
    this.judge.meet(identity.id);
    this.roster = new Roster(crypto, this.judge, membersMax, this.contacts);
    this.tunnels = new MemberTunnels(
      crypto,
      this.roster,
      this.contacts,
      options.tunnels,
      options.self.capabilities.lanes,
    );
    this.guests = new GuestTunnels(
      identity.id,
      new Guests(crypto, this.judge, this.roster),
      this.roster,
      this.contacts,
      options.tunnels,
      this.tunnels,
    );
    const { meshId } = this.judge;
    this.ip6 = ip6Of(crypto, meshId, identity.signing.publicKey);
    this.#seal = new Seal(crypto, random, meshId, identity, boot, options.run);
    const { roster, tunnels, guests } = this;
    this.signer = new Signer(
      crypto,
      this.judge.statements,
      identity,
      options.meshSigning,
      options.numbers,
    );
    const { incarnation } = options;
    this.swim = new Swim({
      self: identity.id,
      random,
      announcements: announcements(crypto, meshId, identity),
      limit: PAYLOAD_MAX,
      incarnation,
      membersMax: membersMax + 1, // Swim counts ourselves too.
      // All that can travel: what found no room would be held here alone, with nobody to ask for it.
      rumoursMax: STATEMENTS_ROOM + 2 * (membersMax + 1) + SURPLUS_KEPT,
    }, now);
    this.#claims = new MeshKeyClaims(crypto, meshId);
    this.#own = new OwnRecord(crypto, meshId, options.run, self, boot);
    const { swim } = this;
    const swimOut = (now: Now, out: Outbox<NodeEvent>) => this.#swimOut(now, out);
    const send: Mesh["send"] = (...of) => this.send(...of);
    this.copies = new Copies({ roster, seal: this.#seal, swim, tunnels, guests, send, swimOut });
    const { statements } = this;
    this.#spreading = new Spreading({ random, roster, statements, swim, send, swimOut });
    const { copies, judge } = this;
    const learn: Mesh["learn"] = (...of) => this.learn(...of);
    this.scrutiny = new Scrutiny({ crypto, judge, roster, copies, learn });
    const links = { self: identity.id, judge, roster, swim, spreading: this.#spreading };
    this.#reviewing = new Reviewing(
      {
        ...links,
        isAlone: () => this.isAlone(),
        take: (...of) => void this.take(...of),
        remove: (...of) => this.#remove(...of),
        confirmed: (now, member, out) => {
          if (!this.#isQuiet) this.#certify(now, member, out);
        },
        renewed: (now, out) => {
          this.tunnels.reroute(now, out);
          this.guests.touch();
          this.isDirty = true;
        },
      },
      now.boot,
      membersMax,
    );
    this.#claimOwn(now);
  }

  get genesis(): Genesis {
    return this.#o.genesis;
  }
  /** Out by the clock alone, or by an office that ended. */
  get untimely(): Untimely {
    return this.#reviewing.untimely;
  }
  get statements(): Judge["statements"] {
    return this.judge.statements;
  }
  get self(): Self {
    return this.#own.self;
  }
  get id(): MemberId {
    return this.self.identity.id;
  }
  get seal(): Seal {
    return this.#seal;
  }
  get record(): NodeRecord {
    return this.#own.record;
  }
  get own(): OwnRecord {
    return this.#own;
  }
  get boot(): number {
    return this.#own.boot;
  }
  get admission(): Admission | undefined {
    return this.#admission;
  }
  /** Our own name: what the certificate says, or what we wish while there is none. */
  get name(): string {
    return this.roster.nameOf(this.id) || this.#o.name;
  }

  /** Our own membership as we judge it ourselves; undefined when there is none now. */
  membership(now: Now): Membership | undefined {
    const judgement = this.judge.judge(this.id, secondsOf(now));
    return judgement.kind === "member" ? judgement.membership : undefined;
  }

  /** Whether the mesh has put us out. */
  get isRemoved(): boolean {
    return this.statements.isRemoved(this.id);
  }

  // ---- Statements -------------------------------------------------------------------------------

  /**
   * Takes a statement in, whoever brought it: passes on what counts, takes out who is no member any
   * more. @returns whether it is, or was, believed
   */
  learn(now: Now, bytes: Uint8Array, out: Outbox<NodeEvent>, seen?: number): Added {
    const isKnown = this.roster.get(signerOf(bytes)) !== undefined;
    this.lookAtClock(now);
    const options = { isKnown, ...(seen === undefined ? { boot: now.boot } : { seen }) };
    const { outrankedCount } = this.statements;
    const added = this.statements.add(bytes, secondsOf(now), options);
    if (added.kind === "new") {
      const { signer, kind, number } = added.statement;
      const isOurs = signer === this.id && kind !== "left" && !this.#isQuiet;
      const isKnownOurs = this.signer.hasSigned(number) ||
        this.#forgotten.has(added.statement.hash);
      if (isOurs && this.hasCompared && !isKnownOurs) this.signedElsewhere++;
      this.#follow(now, added, out);
    }
    // What is remembered of numbers that were used again outlives a restart, too.
    if (this.statements.outrankedCount !== outrankedCount) this.isDirty = true;
    return added;
  }

  /** Notices that the wall clock was set, before anybody asks since when something is known. */
  lookAtClock(now: Now): void {
    if (this.#watch.look(now) !== 0 && this.statements.dateAnew(now)) this.isDirty = true;
  }

  /**
   * Signs something, believes it, and tells the others. It is on disk before it leaves.
   * @param since the time of a certificate that is signed anew, unix seconds
   */
  say(
    now: Now,
    by: "own" | "mesh",
    draft: Draft,
    out: Outbox<NodeEvent>,
    since?: number,
  ): Decoded<Statement> {
    const signed = this.signer.sign(by, draft, secondsOf(now), since);
    if (!signed.ok) return signed;
    this.mustPersist = true;
    const added = this.learn(now, signed.value.bytes, out);
    if (added.kind !== "refused") return signed;
    const why = added.why === "full"
      ? "the mesh holds as many statements as it can"
      : "this node is not, or not any more, entitled to it";
    return { ok: false, error: why };
  }

  #follow(now: Now, added: Extract<Added, { kind: "new" }>, out: Outbox<NodeEvent>): void {
    const { statement, replaced, gained, lost } = added;
    this.isDirty = true;
    this.guests.touch();
    const changed = [statement, ...(replaced ? [replaced] : []), ...lost, ...gained];
    for (const one of [...lost, ...(replaced ? [replaced] : [])]) this.#spreading.retract(one);
    for (const one of [statement, ...gained]) this.#spreading.statement(now, one, out);
    this.#spreading.farewellsOf(now, changed, out);
    if (statement.kind === "member" && statement.token === undefined) {
      if (!this.roster.get(statement.certificate.key)) this.#approvals.note(statement);
    }
    const isUrgent = statement.kind === "removed" || statement.kind === "withdrawn" ||
      statement.kind === "demoted" ||
      statement.kind === "left" || statement.kind === "successor";
    if (isUrgent && !this.#isQuiet) {
      const isOurs = this.signer.signsAs(statement.signer);
      this.#spreading.hurry(now, statement, isOurs, out);
    }
    if (this.#isQuiet) return;
    this.#tell(now, statement, out);
    const isOfOffice = gained.length + lost.length > 0 || statement.kind === "admin";
    // By another mesh key everything may count otherwise.
    if (isOfOffice) this.review(now, out, statement.kind === "successor" ? undefined : changed);
    else if (this.#reviewing.about(now, statement, out).has(this.id)) this.#claimOwn(now, out);
    for (const one of [statement, ...gained]) this.#inbox.push(...this.#unproven.takeFor(one));
  }

  /** Whether it was signed before this node was a member: whoever joins learns of all that at once. */
  #isHistory(now: Now, statement: Statement): boolean {
    if (subjectOf(statement) === this.id) return false;
    const since = this.membership(now)?.since ??
      this.statements.certificate(this.id)?.certificate.since ?? Infinity;
    return statement.at < since;
  }

  #tell(now: Now, statement: Statement, out: Outbox<NodeEvent>): void {
    const who = this.#whoOf(subjectOf(statement));
    const by = this.#whoOf(statement.signer);
    const isHistory = this.#isHistory(now, statement);
    const event = eventOf(statement, { who, by, isHistory, statements: this.statements });
    if (event) out.event(event);
  }

  #whoOf(id: string): { id: string; name: string } {
    if (id === this.id) return { id, name: this.name };
    if (id === this.statements.meshKey) return { id, name: "the mesh key" };
    const named = this.roster.nameOf(id);
    if (named) return { id, name: named };
    const certificate = this.statements.certificate(id)?.certificate ??
      this.statements.lastCertificate(id);
    return { id, name: certificate?.name ?? "" };
  }

  /** Takes in what a member sent beside gossip, since it could not wait. */
  statementsFrom(now: Now, from: MemberId, payload: Uint8Array, out: Outbox<NodeEvent>): void {
    for (const bytes of decodeStatements(payload)) {
      if (!this.scrutiny.learnFrom(now, from, bytes, out)) return;
    }
  }

  /** Sends a member what proves what it is, when its record does not show it. */
  sendProof(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    const certificate = this.judge.certificate(id, secondsOf(now));
    if (!certificate) return;
    const proof = encodeStatements(this.statements.proofOf(certificate), PAYLOAD_MAX);
    this.send(now, id, "statements", proof, out);
  }

  // ---- Ourselves ------------------------------------------------------------------------------

  /** Something that our record says has changed; the record follows within a second. */
  describe(change: Partial<Self>): void {
    this.#own.describe(change);
    this.isDirty = true;
  }

  /** What we begin with beside what is remembered: the founding, or a token. */
  begin(now: Now, statements: readonly Uint8Array[]): void {
    this.lookAtClock(now);
    for (const bytes of statements) {
      // A token's statement is kept though this node does not know yet who may make one, and though
      // it is over by a clock that nobody may have set yet: hence the time 0.
      this.statements.add(bytes, 0, { seen: secondsOf(now), boot: now.boot });
    }
    this.#claimOwn(now);
  }

  /** Whether we hold what shows others that we are a member; who came without a token needs nothing. */
  isProven(now: Now): boolean {
    return this.#admission === undefined || this.membership(now) !== undefined;
  }

  /** A door has let us in: our record shows it until an admin certifies us. */
  admitted(now: Now, admission: Admission, out: Outbox<NodeEvent>): boolean {
    const asked = this.#admission;
    if (!admission.endorsement || !asked || !isSameRequest(admission, asked)) return false;
    // One whose door has left meanwhile shows nobody any more that we are a member.
    const isHeld = asked.endorsement !== undefined && this.membership(now) !== undefined;
    if (this.judge.admit(admission, secondsOf(now)).kind === "refused") return false;
    if (isHeld) return true;
    this.#admission = admission;
    this.mustPersist = true;
    this.#claimOwn(now, out);
    return true;
  }

  /** What proves that we are a member, as far as we know. */
  #proof(now: Now): Proof {
    const certificate = this.judge.certificate(this.id, secondsOf(now));
    if (certificate) {
      const statements = this.statements.proofOf(certificate).map(({ bytes }) => bytes);
      return { statements, admission: undefined };
    }
    const admission = this.#admission;
    const token = admission && [...this.statements.about(admission.token)]
      .find(({ kind }) => kind === "token");
    if (!admission || !token) return NO_PROOF;
    const statements = this.statements.proofOf(token).map(({ bytes }) => bytes);
    return { statements, admission };
  }

  /** Our own certificate may have changed. */
  #claimOwn(now: Now, out?: Outbox<NodeEvent>): void {
    const membership = this.membership(now);
    if (membership) this.roster.claim(membership);
    this.guests.touch();
    const proof = this.#proof(now);
    if (!isSameProof(proof, this.self.proof)) {
      this.describe({ proof });
      this.#own.hurry();
    }
    if (out) this.tunnels.reroute(now, out);
  }

  /** Says our own good-bye for good. */
  sayFarewell(now: Now, farewell: Statement, out: Outbox<NodeEvent>): void {
    this.learn(now, farewell.bytes, out);
    this.#spreading.sayFarewell(now, farewell, out);
  }

  /** When our record is to be renewed; undefined: it is up to date. */
  recordDue(): number | undefined {
    return this.#own.due();
  }

  /** Members, beside this node, whose records prove that they have the mesh key of now. */
  meshKeyHolders(): Set<MemberId> {
    // An admin has it more likely than others, of whom a thief can certify thousands that say so.
    const isAdmin = ({ membership }: Member) => membership.standing === "admin" ? 0 : 1;
    const claiming = [...this.roster.members()].filter(({ record }) => record.capabilities.meshKey)
      .sort((a, b) => isAdmin(a) - isAdmin(b));
    return this.#claims.holders(claiming.map(({ record }) => record), this.statements.meshKey);
  }

  /** Renews our record if that is due. */
  settle(now: Now, out: Outbox<NodeEvent>): void {
    const { boot } = this;
    const claimed = this.signer.hasMeshKey ? `${this.#own.run} ${this.statements.meshKey}` : "";
    if (claimed !== this.#claimed) {
      this.#claimed = claimed;
      const meshKeyClaim = this.signer.claimMeshKey(this.#own.run);
      const capabilities = { ...this.self.capabilities, meshKey: meshKeyClaim !== undefined };
      this.describe({ capabilities, meshKeyClaim });
    }
    const record = this.#own.settle(now);
    if (this.boot !== boot) {
      this.#seal.restart(this.boot);
      this.mustPersist = true;
    }
    if (!record) return;
    this.#spreading.record(now, record, out);
    if (record.twin) this.#spreading.warnOfTwin(now, record, out);
    else this.swim.retract(KIND.twin, this.id);
  }

  /** Our own record as others hold it: proof of what we once said, or of another with our key. */
  recall(now: Now, bytes: Uint8Array, out: Outbox<NodeEvent>): void {
    const { boot, own: { twin: hadTwin } } = this;
    const recall = this.#own.recall(now, bytes);
    if (recall === "forked") this.#own.startRun(this.#o.random(RUN_SIZE).toHex());
    if (this.boot !== boot) {
      this.#seal.restart(this.boot, this.#own.run);
      this.mustPersist = true;
    }
    if ((recall === "twin" || recall === "forked") && !hadTwin) this.#tellTwin(out);
  }

  #tellTwin(out: Outbox<NodeEvent>): void {
    const { endpoint } = this.#own.twin ?? {};
    out.event({ kind: "twin", who: this.#whoOf(this.id), ...(endpoint ? { endpoint } : {}) });
  }

  /**
   * A member says how far the counters are that it has had in our name: we go on beyond them.
   * @param notice whether it is no copy of one that was delivered
   */
  overtaken(
    now: Now,
    id: MemberId,
    notice: { readonly top: Uint8Array; readonly isNew: boolean },
    out: Outbox<NodeEvent>,
  ): void {
    const by = this.#seal.goOn(id, notice.top, notice.isNew);
    if (by === 0 || !this.roster.get(id)) return;
    if (this.#overtaken.claim(now, id, by) && this.#own.overtaken(now)) this.#tellTwin(out);
  }

  /**
   * A member knows a later start of ours than this one, which nobody has a record of: a copy of our disk ran for a moment,
   * or ours is an old one. Then nothing of what it sends can be opened. One that may lie gets it seldom, since a new start
   * costs sessions.
   * @param boot the number of that start
   */
  catchUp(now: Now, id: MemberId, boot: number): void {
    if (boot <= this.boot) return;
    const isAlone = this.isAlone();
    const heardAt = this.swim.member(id)?.heardAt ?? now.boot;
    if (!isAlone && now.boot - heardAt < DEAF_AFTER) return;
    if (!this.#own.catchUp(now, boot, isAlone)) return;
    this.#seal.restart(this.boot);
    this.mustPersist = true;
  }

  // ---- Members --------------------------------------------------------------------------------

  /**
   * Takes in a verified record: its subject becomes, or stays, a member in every part.
   * A record whose proof holds a false signature is refused, so that nobody honest passes one on.
   * @param known how a remembered member was held last
   * @param from the member that passed it on
   */
  take(
    now: Now,
    record: NodeRecord,
    out: Outbox<NodeEvent>,
    known?: View,
    from?: MemberId,
  ): Acceptance {
    const { id, proof } = record;
    const held = this.roster.get(id);
    if (held && record.sequence < held.record.sequence) {
      this.copies.declared(now, record, out);
      return { kind: "old", member: held };
    }
    const unchecked = this.scrutiny.learnProof(now, record, out, from);
    if (!unchecked) return FALSE_PROOF;
    const admitted = proof.admission?.subject === id
      ? this.judge.admit(proof.admission, secondsOf(now))
      : undefined;
    if (!this.scrutiny.isProofTrue(now, record, unchecked, from)) return FALSE_PROOF;
    // Learning may have taken it in or out already.
    const isFull = !this.roster.hasRoom && !this.roster.get(id);
    // Only a member is worth another one's place.
    if (isFull && this.roster.judge(record, now).kind === "member") this.#makeRoom(now, out);
    const isNewRun = record.sequence > (held?.record.sequence ?? -1);
    if (held && isNewRun && !this.copies.isFirst(now, record, out)) {
      return { kind: "old", member: held };
    }
    // Before the roster takes it: of what changes there nobody would be told.
    const judgement = held && this.roster.judge(record, now);
    if (held && judgement?.kind === "member") {
      this.#reviewing.renew(now, held, judgement.membership, out);
    }
    const acceptance = this.roster.accept(record, now);
    switch (acceptance.kind) {
      case "new":
        this.copies.twins.record(now, record);
        return this.#enter(now, acceptance.member, known, out)
          ? acceptance
          : { kind: "refused", why: "full", detail: "the member table is full" };
      case "updated":
        this.#refresh(now, acceptance.member, out);
        break;
      case "equivocation":
        this.#tellEquivocation(now, record, out);
        if (acceptance.isTaken) this.#refresh(now, acceptance.member, out);
        break;
      case "refused":
        // A member that we remember; who is new to us is told at the door.
        if (this.#isQuiet) this.#reviewing.keep(now, record, acceptance.why);
        // Why its token does not do says more than that it has no certificate.
        if (acceptance.why === "stranger" && admitted?.kind === "refused") return admitted;
        break;
      case "old":
    }
    return acceptance;
  }

  /** Its subject can sign and show as many records as it likes: people need to hear of that once. */
  #tellEquivocation(now: Now, { id, sequence }: NodeRecord, out: Outbox<NodeEvent>): void {
    const told = this.#equivocated.get(id);
    if (told && (told.sequence === sequence || now.boot - told.at < EQUIVOCATION_PACE)) return;
    this.#equivocated.set(id, { sequence, at: now.boot });
    out.event({ kind: "equivocation", who: this.roster.who(id) });
  }

  /** Looks at what another machine than the first of a key has sent: it may be the first one, started anew. */
  fromSecond(now: Now, sent: Unsure, out: Outbox<NodeEvent>): void {
    const bytes = ownRecordIn(sent, KIND.record);
    if (!bytes) return;
    const record = this.scrutiny.open(now, sent.from, bytes, out);
    if (record?.id === sent.from && this.copies.isOfSecond(record)) this.take(now, record, out);
  }

  /**
   * A member's datagram could not be delivered, since another machine with its key is ahead in numbers, or it has forgotten
   * its own. It may be a copy of one that was sent once. What it signed about the other machine is true in any case.
   */
  stale(now: Now, sent: Unsure, out: Outbox<NodeEvent>): void {
    for (const kind of [KIND.twin, KIND.record]) {
      const bytes = ownRecordIn(sent, kind);
      const record = bytes && this.scrutiny.open(now, sent.from, bytes, out, true);
      // Also one that proves the start at which the sender is.
      if (record?.id === sent.from) this.take(now, record, out);
    }
  }

  /** A member at this place has repeated something that was sent to it alone. */
  proven(now: Now, place: Endpoint, id: MemberId, out: Outbox<NodeEvent>): void {
    this.contacts.proven(now, place, id);
    const member = this.roster.get(id);
    if (member) this.tunnels.proven(now, member, place, out);
    this.copies.twins.vacate(now, place, id);
    this.#own.vacate(place);
  }

  #enter(
    now: Now,
    member: Member,
    known: View | undefined,
    out: Outbox<NodeEvent>,
  ): boolean {
    const { id, record } = member;
    // Whoever is remembered as gone: people heard of that in an earlier run.
    member.isToldGone = known?.status === "dead" || known?.status === "left";
    this.#seal.know(id, record.key, bootOf(record.sequence), record.run);
    if (!this.swim.admit(now, id, this.#swimOut(now, out), known)) {
      this.roster.remove(id, now);
      this.#seal.forget(id);
      return false;
    }
    this.tunnels.add(now, member, out);
    this.tunnels.setOffline(now, member, member.isToldGone, out);
    this.guests.touch(); // It may be the host of some.
    this.isDirty = true;
    this.#refresh(now, member, out);
    if (!this.#isQuiet && this.#spreading.isGreeter()) this.#unheard.add(member);
    return true;
  }

  /** A member's record changed: everything that follows from it. */
  #refresh(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    const { key, sequence, run } = member.record;
    const isNewStart = this.#seal.know(member.id, key, bootOf(sequence), run);
    this.tunnels.reroute(now, out);
    this.tunnels.route(now, member, out);
    this.tunnels.suit(now, member, out);
    this.tunnels.aim(now, member, out);
    if (isNewStart) this.startedAnew(now, member.id, out);
    this.#spreading.record(now, member.record, out);
    this.noteChange();
    if (!this.#isQuiet) this.#certify(now, member, out);
  }

  /** Something to be remembered has changed that a member can change as often as it likes. */
  noteChange(): void {
    this.#isDirtyAtReview = true;
  }

  // ---- On sight ---------------------------------------------------------------------------------

  /** Whether this node is an admin that has compared what it knows with the others. */
  get maySign(): boolean {
    return this.statements.isAdmin(this.id) && this.hasCompared && this.isReviewed;
  }

  /**
   * Whether statements were exchanged with certified members since the start, or there is none: a
   * disk that was restored must not sign with numbers, or against removals, that it has forgotten
   * (invariant 14).
   */
  get hasCompared(): boolean {
    return this.#comparison.isDone;
  }

  /** What is remembered was taken in: whoever knows nobody then has nobody to compare with. */
  noteStart(): void {
    const isThere = this.roster.members().some(({ id, membership }) =>
      isCertified(membership) && this.swim.member(id)?.status !== "left"
    );
    this.#comparison = new Comparison();
    if (!isThere) this.#comparison.settle();
  }

  /** A start is compared with those that answer first, and not only when gossip gets round to it. */
  #compare(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    if (this.#comparison.isDone || this.#comparison.has(id)) return;
    const membership = this.roster.get(id)?.membership;
    if (membership && isCertified(membership)) this.level(now, id, out);
  }

  *#certifiedThere(): Generator<MemberId> {
    for (const { id, membership } of this.roster.members()) {
      if (isCertified(membership) && this.swim.member(id)?.status === "alive") yield id;
    }
  }

  /**
   * An admin's node certifies whom a token has let in, as many as the token admits. Where it may not
   * sign just now, the next review tries again.
   */
  #certify(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    if (!this.maySign) return;
    const seconds = secondsOf(now);
    const draft = certifyOnSight(this.judge, this.roster, member.membership, seconds) ??
      corrected(this.judge, this.roster, this.id, member.membership, seconds);
    if (!draft) return;
    // Last, since it is the dearest: counting what is left looks at every number of ours.
    if (this.#pace.take(now.boot) && this.signer.numbersLeft("own") > RESERVE) {
      this.say(now, "own", draft, out);
    } else this.drops.unsigned++;
  }

  /**
   * Whether somebody who knocks is a member, or may become one by its token.
   * @returns undefined: its token lets it in
   */
  judgeAtDoor(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): Judgement | undefined {
    const { id, proof: { admission } } = record;
    if (!this.scrutiny.learnProof(now, record, out)) return FALSE_PROOF;
    const judgement = this.roster.judge(record, now);
    const isOut = judgement.kind === "refused" && judgement.why === "stranger";
    if (!isOut || !admission || admission.subject !== id) return judgement;
    return this.judge.mayAdmit(admission, this.id, secondsOf(now));
  }

  /** Whether a person has decided about somebody that was not met yet. */
  isAwaiting(now: Now): boolean {
    for (const { key } of this.judge.trusted()) if (!this.roster.get(key)) return true;
    return this.#approvals.areAwaited(secondsOf(now), this.judge, this.roster);
  }

  /** Lets somebody in at our door, which has confirmed that it is there. */
  letIn(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): Acceptance {
    const { admission } = record.proof;
    const seconds = secondsOf(now);
    const unchecked = this.scrutiny.learnProof(now, record, out);
    if (!unchecked) return FALSE_PROOF;
    const isMember = this.roster.judge(record, now).kind === "member";
    if (isMember || !admission || admission.subject !== record.id) {
      return this.take(now, record, out);
    }
    const fault = this.judge.mayAdmit(admission, this.id, seconds);
    if (fault?.kind === "refused") return fault;
    // Its record would be refused after it: a use of the token would be gone, and nobody in.
    if (!this.scrutiny.areTrue(unchecked)) return FALSE_PROOF;
    const endorsed = endorse(
      this.#o.crypto,
      this.judge.meshId,
      admission,
      this.self.identity.signing,
      seconds,
    );
    const judgement = this.judge.admit(endorsed, seconds);
    if (judgement.kind === "refused") return judgement;
    this.mustPersist = true;
    const acceptance = this.take(now, record, out);
    if (acceptance.kind !== "refused") this.sendAdmission(now, record.id, out);
    return acceptance;
  }

  /** What somebody whom we have let in needs to show to others. */
  sendAdmission(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    if (this.statements.certificate(id)) return this.sendProof(now, id, out);
    const admission = this.judge.admission(id, secondsOf(now));
    if (admission) this.send(now, id, "admission", encodeAdmission(admission), out);
  }

  // ---- Finding, counting, forgetting --------------------------------------------------------------

  /**
   * The member that a person means by a name, a key or an address.
   * @param ofGuest what a command says where that is a guest, of its name and address
   * @param guesses whether a refusal may name a member that is called nearly so
   */
  find(
    text: string,
    ofGuest: (name: string, address: string) => string,
    guesses = true,
  ): Decoded<Member> {
    const found = this.roster.find(text, guesses);
    if (found.ok) return found;
    if (text === this.name || this.meant(text) === this.id) {
      return { ok: false, error: `${text}: that is this node itself: name another` };
    }
    const { guests } = this.guests;
    const [guest] = guests.find(text);
    if (guest === undefined) return found;
    const name = guests.nameOf(guest);
    const address = formatAddress(guests.ip4(guest) ?? guest.ip6);
    const error = `${text}: that is a guest and no member: ${ofGuest(name, address)}`;
    return { ok: false, error };
  }

  /** Our IPv6 address; undefined while another member has it. */
  get ownIp6(): Uint8Array | undefined {
    return this.roster.hasLostIp6(this.id) ? undefined : this.ip6;
  }

  /** The key of whoever has a mesh address, this node among them; a text that is no such address stays as it is. */
  meant(text: string): string {
    const address = parseAddress(text);
    if (address === undefined) return text;
    const own = [this.roster.ip4(this.id), this.ownIp6];
    if (own.some((one) => one && sameBytes(one, address))) return this.id;
    const found = this.roster.find(text);
    return found.ok ? found.value.id : text;
  }

  /** Whether one more member can be taken in: there is room, or somebody is gone. */
  hasRoom(): boolean {
    return this.roster.hasRoom || this.#longestGone() !== undefined;
  }

  /** Forgets the member that has been dead or gone for longest, if there is one. */
  #makeRoom(now: Now, out: Outbox<NodeEvent>): void {
    const gone = this.#longestGone();
    if (gone) this.#remove(now, gone, out);
  }

  #longestGone(): Member | undefined {
    let oldest: MemberView | undefined;
    for (const view of this.swim.members()) {
      const isGone = view.status === "dead" || view.status === "left";
      if (isGone && view.since < (oldest?.since ?? Infinity)) oldest = view;
    }
    return oldest && this.roster.get(oldest.id);
  }

  /** Takes a member out of every part. */
  #remove(now: Now, member: Member, out: Outbox<NodeEvent>): void {
    this.swim.forget(now, member.id, this.#swimOut(now, out));
    this.#spreading.retractRecord(member.id);
    this.#seal.forget(member.id);
    this.copies.forget(member.id);
    this.#equivocated.delete(member.id);
    this.#overtaken.forget(member.id);
    this.scrutiny.forget(member.id);
    this.unintroduced.delete(member.id);
    this.#reviewing.forget(member.id);
    this.tunnels.remove(now, member, out);
    this.roster.remove(member.id, now);
    this.tunnels.reroute(now, out);
    this.guests.touch();
    this.isDirty = true;
  }

  /**
   * Judges everybody anew by what is known now, and by the clock.
   * @param changed what alone has changed since the last review; undefined: anything may have
   */
  review(now: Now, out: Outbox<NodeEvent>, changed?: readonly Statement[]): void {
    this.lookAtClock(now);
    this.guests.touch(); // By the clock, too, somebody stops being one.
    this.isDirty ||= this.#isDirtyAtReview;
    this.#isDirtyAtReview = false;
    this.#reviewing.all(now, out, changed);
    this.copies.review(now);
    this.#claimOwn(now, out);
    // By a clock that is wrong at a first join our own token would go, too.
    if (!this.#reviewing.mayForget(now) || !this.isProven(now)) return;
    const expired = this.judge.expire(secondsOf(now), this.id);
    for (const statement of expired) {
      this.#spreading.retract(statement);
      this.isDirty = true;
      const isOurs = statement.signer === this.id && this.#forgotten.size < NUMBER_MAX;
      if (isOurs) this.#forgotten.add(statement.hash);
    }
    this.#spreading.farewellsOf(now, expired, out);
  }

  /** When {@link review} is due before its usual time. */
  get reviewDue(): number {
    return this.#reviewing.due;
  }

  /** When {@link reviewMore} is due. */
  get reviewMoreDue(): number {
    return this.#reviewing.moreDue;
  }

  /** Goes on with a start's first review, which thousands of certificates make long: datagrams are answered in between. */
  reviewMore(now: Now, out: Outbox<NodeEvent>): void {
    this.#reviewing.more(now, out);
  }

  /** Whether this start's first review is over: before that a name may look free which a certificate gives to somebody. */
  get isReviewed(): boolean {
    return this.#reviewing.isComplete;
  }

  /** Whether somebody is a member, or was one before the clock said otherwise. */
  isKnown(id: MemberId): boolean {
    return this.roster.get(id) !== undefined || this.untimely.has(id);
  }

  /** Whether a member has not heard of us yet, or may have forgotten us: it needs an introduction. */
  isStranger(member: Member): boolean {
    return isUnheard(member) || this.swim.member(member.id)?.status === "dead";
  }

  /** Somebody was answered at the door: its confirmation can be opened. */
  expect(now: Now, record: NodeRecord, out: Outbox<NodeEvent>): void {
    const { id, key, sequence, run } = record;
    const isNewStart = this.#seal.know(id, key, bootOf(sequence), run);
    if (isNewStart) this.startedAnew(now, id, out);
  }

  /** By its signed record or its seal, a member has started anew. */
  startedAnew(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    const member = this.roster.get(id);
    if (member) this.tunnels.startedAnew(now, member, out);
  }

  /** A half-open acquaintance ended: without membership its key is not needed. */
  release(id: MemberId): void {
    if (!this.roster.get(id)) this.#seal.forget(id);
  }

  // ---- Rumours --------------------------------------------------------------------------------

  /** Tells people whom the uses of an invite did not suffice for. */
  tellOveruse(out: Outbox<NodeEvent>): void {
    for (const { token, subject } of this.judge.provisional.takeNews()) {
      out.event({ kind: "inviteOverused", invite: token.slice(0, 8), key: subject });
    }
  }

  /** Judges what swim has handed out; each verdict may hand out more. */
  digest(now: Now, out: Outbox<NodeEvent>): void {
    for (let one; (one = this.#inbox.shift()) !== undefined;) {
      const verdict = this.#believe(now, one, out);
      if (verdict === "refused") this.drops.rumour++;
      else if (verdict === "unproven") this.#unproven.keep(one);
    }
  }

  #believe(
    now: Now,
    { from, rumour }: Heard,
    out: Outbox<NodeEvent>,
  ): "believed" | "refused" | "unproven" {
    const { kind, key, bytes } = rumour;
    if (kind === KIND.statement) {
      const added = this.scrutiny.learnFrom(now, from, bytes, out);
      if (!added) return "refused";
      if (added.kind !== "refused") return "believed";
      return added.why === "unentitled" ? "unproven" : "refused";
    }
    const isTwin = kind === KIND.twin;
    if (kind !== KIND.record && !isTwin) return "refused";
    if (!this.scrutiny.mayOpen(now, from, rumour)) {
      this.#unproven.dropped++;
      return "refused";
    }
    const record = this.scrutiny.open(now, from, bytes, out);
    if (!record) return "refused";
    const own = isTwin ? twinRumour(record) : recordRumour(record);
    if (own.key !== key || own.version !== rumour.version) {
      // A higher version than its own would make a record news that everybody has.
      this.scrutiny.blame(now, from);
      return "refused";
    }
    if (record.id === this.id) {
      this.recall(now, bytes, out);
      return "believed";
    }
    if (isTwin) return this.copies.declared(now, record, out) ? "believed" : "refused";
    const acceptance = this.take(now, record, out, undefined, from);
    if (acceptance.kind !== "refused") return "believed";
    if (acceptance.why === "left") this.#spreading.showFarewell(now, from, key, out);
    return acceptance.why === "stranger" ? "unproven" : "refused";
  }

  // ---- Swim -----------------------------------------------------------------------------------

  tick(now: Now, out: Outbox<NodeEvent>): void {
    this.lookAtClock(now);
    this.copies.tick(now, out);
    this.swim.tick(now, this.#swimOut(now, out));
    // Whoever was awaited may be dead by now.
    if (!this.#comparison.isDone) this.#comparison.review(now, this.#certifiedThere());
  }

  /** @param sent its payload, and the run and the place that it came from */
  gossip(
    now: Now,
    from: MemberId,
    { payload, run, place }: {
      readonly payload: Uint8Array;
      readonly run: string;
      readonly place: Endpoint;
    },
    out: Outbox<NodeEvent>,
  ): void {
    const message = decode(payload, PAYLOAD_MAX);
    const isLeave = message.ok && message.value.body.kind === "leave";
    if (isLeave && !this.copies.isFarewell(now, from, run, place)) {
      this.swim.heard(now, from, this.#swimOut(now, out));
    } else if (message.ok) {
      this.swim.receive(now, from, this.#believed(from, message.value), this.#swimOut(now, out));
    } else this.drops.gossip++;
    this.#compare(now, from, out);
  }

  /**
   * Whoever is trusted here alone gets no answer from the others. That they are silent towards it says nothing about
   * them, and passed on they would deny it for ever.
   */
  #believed(from: MemberId, message: Message): Message {
    if (this.roster.get(from)?.membership.standing !== "individual") return message;
    const claims = message.claims.filter(({ status }) => !isOfSilence(status));
    this.drops.individual += message.claims.length - claims.length;
    const { body } = message;
    if (body.kind !== "page") return { ...message, claims };
    const items = body.items.filter((item) => !("status" in item && isOfSilence(item.status)));
    this.drops.individual += body.items.length - items.length;
    return { ...message, claims, body: { ...body, items } };
  }

  heard(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    this.swim.heard(now, id, this.#swimOut(now, out));
    this.#compare(now, id, out);
  }

  /** Starts a push-pull with a member. */
  level(now: Now, id: MemberId, out: Outbox<NodeEvent>): void {
    this.swim.pushPull(now, id, this.#swimOut(now, out));
  }

  leave(now: Now, out: Outbox<NodeEvent>): void {
    this.swim.leave(now, this.#swimOut(now, out));
  }

  /** Members that should be greeted, each once: whoever was sent to unheard, and some newcomers. */
  takeUnheard(): Member[] {
    const all = [...this.#unheard];
    this.#unheard.clear();
    return all;
  }

  /**
   * For how many ms nothing has come from anybody, when that is long and some still count as alive:
   * they do until each had its turn, since one is asked each second.
   */
  deafFor(now: Now): number | undefined {
    let last = -Infinity;
    let isAnybody = false;
    for (const { heardAt, status } of this.swim.members()) {
      last = Math.max(last, heardAt);
      isAnybody ||= status === "alive" || status === "suspect";
    }
    const ms = now.boot - last;
    return isAnybody && last > -Infinity && ms >= DEAF_AFTER ? ms : undefined;
  }

  /** Whether nobody of the mesh talks to us. */
  isAlone(): boolean {
    for (const { status, heardAt } of this.swim.members()) {
      if (status === "alive" && heardAt > -Infinity) return false;
    }
    return true;
  }

  /** Authenticated traffic of a tunnel is a sign of life: such members need no probe. */
  traffic(now: Now, facts: FactReader, out: Outbox<NodeEvent>): void {
    for (const { id } of this.tunnels.heard(now, facts)) this.heard(now, id, out);
  }

  /** What was not believed or had no room, by reason. */
  counters(): Record<string, number> {
    const swim = Object.entries(this.swim.counters()).map(([why, count]) => [`swim_${why}`, count]);
    const own = {
      ...this.drops,
      ...this.scrutiny.counters(),
      unproven: this.#unproven.dropped,
      mesh_key_claims: this.#claims.deferred,
      untimely: this.untimely.dropped,
      statements: this.statements.refused,
      guests_surplus: [...this.guests.guests.surplus.values()].reduce((sum, n) => sum + n, 0),
      statement_pairs: this.statements.pairCount,
      statements_outranked: this.statements.outrankedCount,
      admissions: this.judge.provisional.refused,
      members: this.roster.refused,
    };
    const contacts = Object.entries(this.contacts.counts)
      .map(([why, count]) => [`contact_${why}`, count]);
    return { ...own, ...Object.fromEntries(contacts), ...Object.fromEntries(swim) };
  }

  /** Runs a step of which people need not hear: what a restart remembers is no news. */
  quietly(step: () => void): void {
    this.#isQuiet = true;
    step();
    this.#isQuiet = false;
  }

  /** Seals for a member and sends to wherever it may be. @returns to how many places */
  send(
    now: Now,
    to: MemberId,
    kind: PayloadKind,
    payload: Uint8Array,
    out: Outbox<NodeEvent>,
  ): number {
    const member = this.roster.get(to);
    // One datagram for all places, of which at most one copy is delivered.
    const bytes = member && this.#seal.seal(to, kind, payload);
    return member && bytes ? this.#sendTo(now, member, () => bytes, out) : 0;
  }

  /** The same with other content for each place. */
  sendEach(
    now: Now,
    to: MemberId,
    kind: PayloadKind,
    payloadFor: (place: Endpoint) => Uint8Array,
    out: Outbox<NodeEvent>,
  ): void {
    const member = this.roster.get(to);
    if (!member) return;
    this.#sendTo(now, member, (place) => this.#seal.seal(to, kind, payloadFor(place)), out);
  }

  #sendTo(
    now: Now,
    member: Member,
    bytesFor: (place: Endpoint) => Uint8Array | undefined,
    out: Outbox<NodeEvent>,
  ): number {
    if (this.isStranger(member)) this.#unheard.add(member);
    else this.unintroduced.delete(member.id);
    if (this.unintroduced.has(member.id)) return 0;
    let places = 0;
    for (const place of this.roster.places(member, now)) {
      // Whoever was never heard may not know us: the few datagrams that may go there are greetings.
      if (isUnheard(member) && !this.contacts.isRemembered(place.to, member.id)) continue;
      if (!this.contacts.may(now, place.to, member.id)) continue;
      const bytes = bytesFor(place.to);
      if (!bytes) continue;
      out.send({ bytes, ...place });
      places++;
    }
    return places;
  }

  #swimOut(now: Now, out: Outbox<NodeEvent>): SwimOutbox {
    return {
      message: (to, message) => this.send(now, to, "gossip", encode(message, PAYLOAD_MAX), out),
      rumour: (from, rumour) => void this.#inbox.push({ from, rumour }),
      event: (event) => this.#hear(now, event, out),
    };
  }

  #hear(now: Now, event: SwimEvent, out: Outbox<NodeEvent>): void {
    if (event.kind === "levelled") {
      const membership = this.roster.get(event.id)?.membership;
      if (membership && isCertified(membership)) {
        this.#comparison.levelled(now, event.id, event.wanted.has(KIND.statement));
      }
      this.#comparison.review(now, this.#certifiedThere());
      if (membership) out.event({ kind: "compared", who: this.roster.who(event.id) });
      return;
    }
    // It can change once a second for ever at another's word; whoever has forgotten it is shown it.
    if (event.kind === "refuted") return void (this.#isDirtyAtReview = true);
    const member = this.roster.get(event.id);
    if (member && event.kind !== "suspected") {
      const isGone = event.kind === "died" || event.kind === "departed";
      this.tunnels.setOffline(now, member, isGone, out);
      if (event.kind === "departed") this.tunnels.end(now, member, out);
    }
    const isTold = !this.#isQuiet && member !== undefined &&
      isWorthTelling(now, member, event.kind);
    this.#noteChange(event.kind, isTold);
    if (!isTold) return;
    member.isToldSuspect = event.kind === "suspected";
    member.isToldGone = event.kind === "departed" || event.kind === "died";
    const who = this.roster.who(event.id);
    if (event.kind === "returned") {
      return out.event({ kind: "memberReturned", who, absentMs: event.absentMs });
    }
    out.event({ kind: MEMBER_EVENTS[event.kind], who });
  }

  /** When a change of a member's state is to be on disk. */
  #noteChange(kind: MemberEvent["kind"], isTold: boolean): void {
    if (kind === "suspected" || kind === "recovered") return; // no suspicion outlives a restart
    // A member can leave and return each second: what people do not hear of can wait.
    const canWait = (kind === "departed" || kind === "returned") && !isTold;
    if (canWait) this.#isDirtyAtReview = true;
    else this.isDirty = true;
  }
}

/** Whether an admission is what we have asked for, and not what a door would have us show instead. */
function isSameRequest(a: Admission, b: Admission): boolean {
  return a.subject === b.subject && a.token === b.token && a.name === b.name &&
    sameBytes(a.signature, b.signature);
}

const FALSE_PROOF = {
  kind: "refused",
  why: "invalid",
  detail: "its record shows a statement with a false signature",
} as const;

/** A record of the sender's own in what it has sealed. @param kind of the rumour, where it is gossip */
function ownRecordIn({ from, kind, payload }: Unsure, rumourKind: number): Uint8Array | undefined {
  if (kind === "record") return payload;
  const message = kind === "gossip" ? decode(payload, PAYLOAD_MAX) : undefined;
  const rumours = message?.ok ? message.value.rumours : [];
  return rumours.find((one) => one.kind === rumourKind && one.key === from)?.bytes;
}

function isCertified({ standing }: Membership): boolean {
  return standing === "admin" || standing === "certified";
}

function isSameProof(a: Proof, b: Proof): boolean {
  const text = ({ statements, admission }: Proof) =>
    statements.map((bytes) => bytes.toHex()).join() + (admission?.endorsement?.at ?? "") +
    (admission?.token ?? "");
  return text(a) === text(b);
}

const MEMBER_EVENTS = {
  joined: "memberJoined",
  suspected: "memberSuspected",
  recovered: "memberRecovered",
  died: "memberDied",
  departed: "memberLeft",
} as const;

function isOfSilence(status: Status): boolean {
  return status === "suspect" || status === "dead";
}
