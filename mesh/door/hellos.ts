/** Hellos of ours that were not answered yet, and what each was for. */
import type { Crypto } from "../crypto.ts";
import {
  doorKeyOf,
  type KeyHolder,
  openAnswer,
  openRetry,
  sealHello,
  type SentHello,
} from "../wire/contact.ts";
import type { Random } from "../machine.ts";

/** Hellos that wait at most; at the limit the oldest is forgotten. */
export const HELLOS_MAX = 256;

interface Waiting<T> {
  readonly sent: SentHello;
  readonly content: Uint8Array;
  readonly about: T;
  /** It repeats a door's cookie: there is no second retry. */
  readonly isRetry: boolean;
}

/** What an answer datagram is to us. */
export type Reply<T> =
  | {
    readonly kind: "answer";
    readonly about: T;
    readonly key: Uint8Array;
    readonly content: Uint8Array;
  }
  /** The door is busy: this datagram is to be sent to where the retry came from. */
  | { readonly kind: "again"; readonly about: T; readonly bytes: Uint8Array };

export class Hellos<T> {
  /** By the id of the answer, and by that of a retry. */
  readonly #answers = new Map<string, Waiting<T>>();
  readonly #retries = new Map<string, Waiting<T>>();

  constructor(
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly meshId: Uint8Array,
    private readonly self: KeyHolder,
  ) {}

  get size(): number {
    return this.#answers.size;
  }

  /** A hello for the holder of a key; undefined when nobody can hold it. */
  seal(key: Uint8Array, content: Uint8Array, about: T): Uint8Array | undefined {
    return this.#seal(key, content, about, undefined);
  }

  /** What an answer datagram says to a hello of ours; each is answered once. */
  reply(bytes: Uint8Array): Reply<T> | undefined {
    const id = bytes.subarray(4, 20).toHex();
    const answered = this.#answers.get(id);
    if (answered) {
      const content = openAnswer(this.crypto, this.self, answered.sent, bytes);
      if (content === undefined) return undefined;
      this.#forget(answered);
      return { kind: "answer", about: answered.about, key: answered.sent.to.key, content };
    }
    const retried = this.#retries.get(id);
    const cookie = retried && openRetry(this.crypto, retried.sent, bytes);
    if (!retried || !cookie || retried.isRetry) return undefined;
    this.#forget(retried);
    const { sent, content, about } = retried;
    const again = this.#seal(sent.to.key, content, about, cookie);
    return again && { kind: "again", about, bytes: again };
  }

  #seal(
    key: Uint8Array,
    content: Uint8Array,
    about: T,
    cookie: Uint8Array | undefined,
  ): Uint8Array | undefined {
    const door = doorKeyOf(this.crypto, this.meshId, key);
    const sent = door && sealHello(this.crypto, this.random, door, content, cookie);
    if (sent === undefined) return undefined;
    const [oldest] = this.#answers.values();
    if (this.#answers.size >= HELLOS_MAX && oldest) this.#forget(oldest);
    const waiting = { sent, content, about, isRetry: cookie !== undefined };
    this.#answers.set(sent.id, waiting);
    this.#retries.set(sent.retryId, waiting);
    return sent.bytes;
  }

  #forget({ sent }: Waiting<T>): void {
    this.#answers.delete(sent.id);
    this.#retries.delete(sent.retryId);
    this.crypto.wipe(sent.chain);
  }
}
