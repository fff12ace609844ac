/**
 * Whether this node has heard since its start what others hold of what it has signed. Its disk may be an old one, and then
 * it would sign under numbers that it has used. One member that says that all is the same does not do: it may be the one
 * whom a statement that is missing here put out. So the three that came to us first are asked, as far as they are there.
 */
import type { Now } from "../machine.ts";
import type { MemberId } from "./identity.ts";

/** Members that have to have been compared with. */
const ASKED = 3;
/**
 * Milliseconds from the first one on after which one that is held alive and does not answer keeps nobody from signing.
 * Whom a start remembers counts as alive until its turn to be probed comes: with half a minute here an admin certified
 * newcomers that much late whenever one of the three was off.
 */
const PATIENCE = 5_000;

export class Comparison {
  readonly #levelled = new Set<MemberId>();
  /** Those that had statements which we had not. */
  readonly #lacked = new Set<MemberId>();
  #firstAt: number | undefined;
  #isDone = false;

  get isDone(): boolean {
    return this.#isDone;
  }

  /** There is nobody who could know of more. */
  settle(): void {
    this.#isDone = true;
  }

  /**
   * Everything has been compared with a member.
   * @param isMissing whether it has statements that are on their way to us. Then it is compared with once more, and only
   * once: of what it holds and we refuse, something is missing each time
   */
  levelled(now: Now, id: MemberId, isMissing = false): void {
    if (isMissing && !this.#lacked.has(id)) {
      this.#lacked.add(id);
      return;
    }
    this.#firstAt ??= now.boot;
    this.#levelled.add(id);
  }

  has(id: MemberId): boolean {
    return this.#levelled.has(id);
  }

  /** @param there certified members that are held alive, those that came first at the beginning */
  review(now: Now, there: Iterable<MemberId>): void {
    if (this.#isDone || this.#firstAt === undefined) return;
    let asked = 0;
    let isEach = true;
    for (const id of there) {
      if (asked++ === ASKED) break;
      isEach &&= this.#levelled.has(id);
    }
    if (isEach || now.boot - this.#firstAt >= PATIENCE) {
      this.#isDone = true;
      this.#levelled.clear();
      this.#lacked.clear();
    }
  }
}
