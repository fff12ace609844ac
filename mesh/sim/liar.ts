/**
 * An insider: a member with all its rights and no scruple. Beside what its own machine does it says
 * whatever a seed makes up, to anybody: claims at every incarnation, with no signature, another's or
 * an old one, messages that answer nothing, and requests without end.
 */
import { tagOf } from "../swim/membership.ts";
import { type Body, BUCKETS, type Claim, INCARNATION_MAX, type Status } from "../swim/messages.ts";
import type { Member, SwimMesh } from "./swim_mesh.ts";
import { toyProof } from "./toy_announcements.ts";

const STATUSES: readonly Status[] = ["alive", "suspect", "dead", "left"];

export class Liar {
  constructor(private readonly mesh: SwimMesh, readonly member: Member) {}

  /** Says something to a member. */
  lie(to: Member): void {
    const { random } = this.mesh.world;
    const { mesh, member } = this;
    const view = { status: this.#status(), incarnation: this.#incarnationOf(to) };
    mesh.forge(member, to, {
      incarnation: random.chance(0.9) ? member.swim.incarnation : random.next(),
      view: random.chance(0.5) ? view : undefined,
      body: this.#body(),
      claims: Array.from({ length: random.below(4) }, () => this.#claim()),
      rumours: [],
    });
  }

  #claim(): Claim {
    const { random } = this.mesh.world;
    const [about, origin] = this.#two();
    const status = this.#status();
    const incarnation = this.#incarnationOf(about);
    const signed = Math.min(incarnation, about.swim.incarnation);
    const proofs = [
      undefined,
      new Uint8Array(64),
      toyProof(origin.id, incarnation),
      // Its subject has signed this: to pass that on is no lie.
      toyProof(about.id, random.below(signed + 1)),
    ];
    const proof = proofs[random.below(proofs.length)];
    return {
      subject: tagOf(about.id),
      status,
      incarnation,
      ...(status === "suspect" ? { origin: tagOf(origin.id) } : {}),
      ...(proof === undefined ? {} : { proof }),
    };
  }

  #body(): Body {
    const { random } = this.mesh.world;
    const seq = random.next();
    const [about] = this.#two();
    const target = tagOf(about.id);
    const mask = new Uint8Array(BUCKETS / 8).fill(255);
    const bodies: Body[] = [
      { kind: "news" },
      { kind: "ping", seq },
      { kind: "ack", seq },
      { kind: "nack", seq },
      { kind: "ask", seq, target, patience: random.below(500) },
      { kind: "forward", seq, target, incarnation: this.#incarnationOf(about) },
      { kind: "pull", seq, mask, after: undefined },
      { kind: "page", seq, after: undefined, upto: undefined, items: [] },
      { kind: "want", rumours: [{ tag: target, kind: random.below(3) }] },
    ];
    return bodies[random.below(bodies.length)] ?? { kind: "news" };
  }

  #status(): Status {
    return STATUSES[this.mesh.world.random.below(STATUSES.length)] ?? "dead";
  }

  /** One that it uses, or one that it does not. */
  #incarnationOf({ swim }: Member): number {
    const { random } = this.mesh.world;
    const numbers = [swim.incarnation, swim.incarnation + random.below(100), INCARNATION_MAX];
    return Math.min(INCARNATION_MAX, numbers[random.below(numbers.length)] ?? 0);
  }

  #two(): [Member, Member] {
    const [one = this.member, other = this.member] = this.mesh.world.random.some(
      this.mesh.members,
      2,
    );
    return [one, other];
  }
}
