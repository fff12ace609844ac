/**
 * Probes. One probe asks a member directly; if it is late, three helpers are asked to ask, and each
 * forwards the target's ack to us, so that an answer counts whichever way it comes. A helper that
 * got no answer says so (nack): if all helpers stay silent too, the trouble is rather ours.
 *
 * With p the patience for the target, a probe takes p for the direct answer and up to 2p more for the
 * way over helpers, so that all of it ends within a period; all stretched by our own health.
 */
import type { Random } from "../machine.ts";
import type { Agenda, Entry } from "./agenda.ts";
import type { Awareness } from "./awareness.ts";
import { below } from "./chance.ts";
import { hasBeenHeard, isLive, type Member } from "./membership.ts";
import type { Body, Tag } from "./messages.ts";
import { Patience } from "./patience.ts";
import type { Ring } from "./ring.ts";

/** How many helpers a late probe asks: SWIM's k. */
const HELPERS = 3;
/** Probes of our own that may be under way at once. */
const PROBES_MAX = 4096;
/** Probes for others, in all and for one of them; more are not made. */
const ERRANDS_MAX = 1024;
const ERRANDS_EACH = 32;
/**
 * Milliseconds after a change of a member's status in which nothing follows from a probe of it that could not be sent: it
 * has come back, and its place was silent for so long that next to nothing may go there (door/first_contacts.ts: something in
 * 15 s). Later it does, or a member that died at a place that nobody may ask at would be alive for ever.
 */
const UNSENT_GRACE = 16_000;
/** Milliseconds that anybody may ask us to wait before our nack. */
const PATIENCE_MAX = 5000;

interface Probe {
  readonly kind: "probe";
  /** Whether silence means something. */
  readonly full: boolean;
  readonly target: Member;
  readonly sentAt: number;
  /** Helpers that were asked and have not answered yet. */
  readonly helpers: Set<Tag>;
  readonly done: (answered: boolean) => void;
  timer: Entry;
}

/** A probe for somebody else. */
interface Errand {
  readonly kind: "errand";
  readonly target: Member;
  readonly sentAt: number;
  readonly asker: Member;
  readonly askerSeq: number;
  timer: Entry;
}

export interface DetectorLink {
  readonly now: () => number;
  /** False: it could not be sent. */
  readonly send: (to: Member, body: Body) => boolean;
  /** A third party says that this member answered with this incarnation. */
  readonly vouched: (from: Member, target: Member, incarnation: number) => void;
}

export class Detector {
  readonly #pending = new Map<number, Probe | Errand>();
  /** How many errands are under way for whom. */
  readonly #errands = new Map<Member, number>();
  #errandCount = 0;
  readonly #probed = new Set<Member>();
  readonly #patience = new Patience();
  #seq: number;
  #refused = 0;

  constructor(
    private readonly link: DetectorLink,
    private readonly ring: Ring,
    private readonly agenda: Agenda,
    private readonly awareness: Awareness,
    random: Random,
    private readonly lifeguard: boolean,
    private readonly period: number,
  ) {
    this.#seq = below(random, 2 ** 32);
  }

  /** Probes, ours and for others, that were not made because too many were under way. */
  get refused(): number {
    return this.#refused;
  }

  /** Probes a member in full; false if it is being probed already, or too many are, or it cannot be asked yet. */
  probe(target: Member, done: (answered: boolean) => void): boolean {
    if (this.#probed.has(target) || !this.#hasRoom()) return false;
    const wait = this.#patience.of(target);
    const seq = this.#open((number) => ({
      kind: "probe",
      full: true,
      target,
      sentAt: this.link.now(),
      helpers: new Set(),
      done,
      timer: this.#after(
        this.awareness.stretch(wait),
        "probe late",
        () => this.#askHelpers(number, wait),
      ),
    }));
    this.#probed.add(target);
    const isSent = this.link.send(target, { kind: "ping", seq });
    const isGraceful = hasBeenHeard(target) && this.link.now() - target.since < UNSENT_GRACE;
    if (isSent || !isGraceful) return true;
    this.#close(seq);
    return false;
  }

  /** How long a full probe of a member takes at most, in ms. */
  probeTime(target: Member): number {
    const wait = this.#patience.of(target);
    return this.awareness.stretch(wait + this.#rest(wait));
  }

  /** Asks a member directly and draws no conclusion from silence. */
  glance(target: Member): void {
    if (this.#probed.has(target) || !this.#hasRoom()) return;
    const wait = this.#patience.of(target);
    const seq = this.#open((number) => ({
      kind: "probe",
      full: false,
      target,
      sentAt: this.link.now(),
      helpers: new Set(),
      done: () => {},
      timer: this.#after(this.awareness.stretch(wait), "glance over", () => this.#close(number)),
    }));
    this.link.send(target, { kind: "ping", seq });
  }

  acked(from: Member, seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending?.target !== from) return;
    this.#patience.observe(from, Math.max(0.001, this.link.now() - pending.sentAt));
    if (pending.kind === "probe") this.#answered(seq, pending);
    else this.#forward(seq, pending);
  }

  /** A helper forwards the target's ack. */
  forwarded(from: Member, body: Body & { kind: "forward" }): void {
    const pending = this.#pending.get(body.seq);
    if (pending?.kind !== "probe" || pending.target.tag !== body.target) return;
    if (!pending.helpers.has(from.tag)) return;
    this.link.vouched(from, pending.target, body.incarnation);
    this.#answered(body.seq, pending);
  }

  nacked(from: Member, seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending?.kind === "probe") pending.helpers.delete(from.tag);
  }

  /** Probes a target for somebody else; `undefined`: a target that we do not know. */
  asked(asker: Member, body: Body & { kind: "ask" }, target: Member | undefined): void {
    if (target === undefined) {
      this.link.send(asker, { kind: "nack", seq: body.seq });
      return;
    }
    const errands = this.#errands.get(asker) ?? 0;
    if (errands >= ERRANDS_EACH || this.#errandCount >= ERRANDS_MAX) {
      this.#refused++;
      return;
    }
    const patience = Math.min(PATIENCE_MAX, body.patience);
    const seq = this.#open((number) => ({
      kind: "errand",
      target,
      sentAt: this.link.now(),
      asker,
      askerSeq: body.seq,
      timer: this.#after(patience, "nack due", () => this.#nack(number, patience)),
    }));
    this.#errands.set(asker, errands + 1);
    this.#errandCount++;
    this.link.send(target, { kind: "ping", seq });
  }

  /** Forgets everything about a member that is no more. */
  forget(member: Member): void {
    for (const [seq, pending] of this.#pending) {
      const asker = pending.kind === "errand" ? pending.asker : undefined;
      if (pending.target === member || asker === member) this.#close(seq);
    }
  }

  /** How long helpers have after a direct answer was late. */
  #rest(wait: number): number {
    return Math.min(2 * wait, Math.max(wait, this.period - wait));
  }

  #askHelpers(seq: number, wait: number): void {
    const probe = this.#pending.get(seq);
    if (probe?.kind !== "probe") return;
    const helpers = this.ring.some(HELPERS, (one) => isLive(one) && one !== probe.target);
    const rest = this.awareness.stretch(this.#rest(wait));
    probe.timer = this.#after(rest, "probe failed", () => this.#failed(seq, helpers.length));
    const patience = Math.min(0xffff, Math.round(rest / 2));
    for (const helper of helpers) {
      probe.helpers.add(helper.tag);
      this.link.send(helper, { kind: "ask", seq, target: probe.target.tag, patience });
    }
  }

  #answered(seq: number, probe: Probe): void {
    this.#close(seq);
    if (this.lifeguard && probe.full) this.awareness.note(-1);
    probe.done(true);
  }

  #failed(seq: number, asked: number): void {
    const probe = this.#pending.get(seq);
    if (probe?.kind !== "probe") return;
    this.#close(seq);
    // If one helper's nack came in time, so would have the others': their silence is their trouble.
    if (this.lifeguard && probe.helpers.size === asked) this.awareness.note(asked);
    probe.done(false);
  }

  #forward(seq: number, { asker, askerSeq, target }: Errand): void {
    this.#close(seq);
    const { tag, incarnation } = target;
    this.link.send(asker, { kind: "forward", seq: askerSeq, target: tag, incarnation });
  }

  /** Says that the target is late, and goes on waiting as long again. */
  #nack(seq: number, patience: number): void {
    const errand = this.#pending.get(seq);
    if (errand?.kind !== "errand") return;
    errand.timer = this.#after(patience, "errand over", () => this.#close(seq));
    if (this.lifeguard) this.link.send(errand.asker, { kind: "nack", seq: errand.askerSeq });
  }

  #after(ms: number, why: string, act: () => void): Entry {
    return this.agenda.add(this.link.now() + ms, why, act);
  }

  /** Whether one more probe of our own may be made. */
  #hasRoom(): boolean {
    if (this.#pending.size - this.#errandCount < PROBES_MAX) return true;
    this.#refused++;
    return false;
  }

  #open(make: (seq: number) => Probe | Errand): number {
    do this.#seq = (this.#seq + 1) % 2 ** 32; while (this.#pending.has(this.#seq));
    this.#pending.set(this.#seq, make(this.#seq));
    return this.#seq;
  }

  #close(seq: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    pending.timer.cancelled = true;
    this.#pending.delete(seq);
    if (pending.kind === "probe") {
      if (pending.full) this.#probed.delete(pending.target);
      return;
    }
    this.#errandCount--;
    const errands = (this.#errands.get(pending.asker) ?? 1) - 1;
    if (errands > 0) this.#errands.set(pending.asker, errands);
    else this.#errands.delete(pending.asker);
  }
}
