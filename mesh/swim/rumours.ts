/**
 * The rumours that were verified here, the newest of each kind and key: what push-pull compares and
 * passes on. At the limit a new key is refused; what is known already can still be replaced.
 */
import { bucketOf, type Buckets } from "./buckets.ts";
import type { Cursor, Item, Rumour, Tag } from "./messages.ts";

/** The part of a rumour's key that push-pull names it by. */
function tagOfKey(rumour: Rumour): Tag {
  return rumour.key.slice(0, 32);
}

export class Rumours {
  readonly #buckets: Map<string, Rumour>[] = [];
  #size = 0;
  #refused = 0;

  constructor(private readonly fingerprint: Buckets, private readonly limit: number) {}

  get size(): number {
    return this.#size;
  }

  /** Rumours that the limit has cost. */
  get refused(): number {
    return this.#refused;
  }

  get(tag: Tag, kind: number): Rumour | undefined {
    return this.#bucket(tag).get(nameOf(tag, kind));
  }

  /** Whether a rumour says more than what is known. */
  isNews(rumour: Rumour): boolean {
    const known = this.get(tagOfKey(rumour), rumour.kind);
    return known === undefined || rumour.version > known.version;
  }

  /** Keeps a rumour that is news; false if the table is full. */
  put(rumour: Rumour): boolean {
    const tag = tagOfKey(rumour);
    const known = this.get(tag, rumour.kind);
    if (known === undefined && this.#size >= this.limit) {
      this.#refused++;
      return false;
    }
    if (known !== undefined) this.remove(tag, rumour.kind);
    this.#bucket(tag).set(nameOf(tag, rumour.kind), rumour);
    this.fingerprint.toggle(itemOf(rumour));
    this.#size++;
    return true;
  }

  remove(tag: Tag, kind: number): void {
    const known = this.get(tag, kind);
    if (known === undefined) return;
    this.#bucket(tag).delete(nameOf(tag, kind));
    this.fingerprint.toggle(itemOf(known));
    this.#size--;
  }

  /** The rumours of a bucket as items, after a cursor; in no order. */
  *items(bucket: number, after: Cursor | undefined): Iterable<Item> {
    for (const rumour of this.#buckets[bucket]?.values() ?? []) {
      const item = itemOf(rumour);
      const later = after === undefined || item.tag > after.tag ||
        item.tag === after.tag && item.kind > after.kind;
      if (later) yield item;
    }
  }

  #bucket(tag: Tag): Map<string, Rumour> {
    return this.#buckets[bucketOf(tag)] ??= new Map();
  }
}

/** One name for a rumour among all. */
export function nameOf(tag: Tag, kind: number): string {
  return `${kind}:${tag}`;
}

function itemOf(rumour: Rumour): Item {
  return { kind: rumour.kind, tag: tagOfKey(rumour), version: rumour.version };
}
