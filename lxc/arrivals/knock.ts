/**
 * First contact as anybody can make it who knows the door's key, or an address alone: hellos around
 * any content, asks that go on to a request, and hellos whose mac fits and whose seal does not.
 */
import { type Crypto, KEY_LENGTH } from "../../mesh/crypto.ts";
import type { Endpoint } from "../../mesh/endpoint.ts";
import { HEAD_SIZE, headOf } from "../../mesh/datagram.ts";
import { decodeIntroduction } from "../../mesh/door/greeting.ts";
import { type Identity, identityFromSeed } from "../../mesh/membership/identity.ts";
import {
  openOffer,
  openRequest,
  readAsk,
  type Reply,
  REQUEST_CONTENT_MAX,
  sealAsk,
  sealOffer,
  sealReply,
  sealRequest,
} from "../../mesh/wire/ask.ts";
import { concat, tagOf, unpad } from "../../mesh/wire/box.ts";
import {
  type DoorKey,
  doorKeyOf,
  HELLO_CONTENT_MAX,
  readHello,
  sealHello,
  type SentHello,
} from "../../mesh/wire/contact.ts";
import { COOKIE_SIZE, type DoorSecret, DoorSecrets } from "../../mesh/wire/door_secrets.ts";
import type { Seeded } from "../../mesh/sim/random.ts";

/** Delivers a datagram. @returns what the node under fire has sent at once */
export type Deliver = (bytes: Uint8Array, from: Endpoint) => readonly Uint8Array[];

/** What somebody sealed at first contact; undefined where the seal is of something else. */
export function contentOfKnock(
  associated: Uint8Array,
  plaintext: Uint8Array,
): { readonly kind: "hello" | "request"; readonly content: Uint8Array } | undefined {
  const isHello = associated.length === HEAD_SIZE && associated[0] === headOf("hello")[0];
  const isRequest = associated.length > HEAD_SIZE && associated[0] === headOf("ask")[0];
  // Of a tag the plaintext is empty.
  if (plaintext.length === 0 || !isHello && !isRequest) return undefined;
  const content = unpad(plaintext);
  return content && { kind: isHello ? "hello" : "request", content };
}

export class Knocker {
  readonly #random: (length: number) => Uint8Array;

  constructor(private readonly crypto: Crypto, private readonly seeded: Seeded) {
    this.#random = seeded.bytes;
  }

  /** A door as everybody knows it who has met it. */
  door(meshId: Uint8Array, id: string): DoorKey | undefined {
    return doorKeyOf(this.crypto, meshId, Uint8Array.fromHex(id));
  }

  /** A hello that opens, whatever is in it; perhaps with a pass that the door never gave. */
  hello(door: DoorKey, content: Uint8Array): SentHello | undefined {
    const cookie = this.seeded.chance(0.1) ? this.#random(COOKIE_SIZE) : undefined;
    const room = content.subarray(0, HELLO_CONTENT_MAX);
    return sealHello(this.crypto, this.#random, door, room, cookie);
  }

  /** The same with another seal under a mac that fits. */
  brokenHello(door: DoorKey, content: Uint8Array): Uint8Array | undefined {
    const sent = this.hello(door, content);
    const hello = sent && readHello(sent.bytes);
    if (!hello) return undefined;
    const { pass, ephemeral } = hello;
    const sealed = hello.sealed.slice();
    const at = this.seeded.below(sealed.length);
    sealed[at] = (sealed[at] ?? 0) ^ 1;
    const isLowOrder = this.seeded.chance(0.3);
    const point = isLowOrder ? new Uint8Array(ephemeral.length) : ephemeral;
    const head = headOf("hello");
    const nonce = point.subarray(0, 24);
    const mac = tagOf(this.crypto, door.macKey, nonce, head, pass, point, sealed);
    return concat(head, mac, pass, point, sealed);
  }

  /** Asks without a token, and goes on with a request around any content if there is an offer. */
  ask(content: Uint8Array, from: Endpoint, deliver: Deliver): void {
    const ask = sealAsk(this.crypto, this.#random);
    for (const bytes of deliver(ask.bytes, from)) {
      const offer = openOffer(this.crypto, ask, bytes);
      if (!offer) continue;
      const room = content.subarray(0, REQUEST_CONTENT_MAX);
      deliver(sealRequest(this.crypto, this.#random, offer, room).bytes, from);
    }
  }
}

/** Somebody on the way who poses as the door that a node without a token asks at. */
export class RogueDoor {
  readonly #holder: Identity;

  constructor(
    private readonly crypto: Crypto,
    private readonly seeded: Seeded,
    private readonly secret: DoorSecret,
  ) {
    this.#holder = identityFromSeed(crypto, seeded.bytes(32));
  }

  static make(crypto: Crypto, seeded: Seeded): RogueDoor {
    const secrets = new DoorSecrets(crypto, seeded.bytes);
    return new RogueDoor(crypto, seeded, secrets.current({ boot: 0, wall: 0 }));
  }

  /** What it says to a datagram that it saw pass; undefined where that is none of its business. */
  answer(bytes: Uint8Array, from: Endpoint): Uint8Array | undefined {
    const { crypto, seeded, secret } = this;
    const read = readAsk(bytes);
    if (read?.step === "ask") {
      const isLowOrder = seeded.chance(0.2);
      const shown = isLowOrder ? { ...secret, ephemeral: new Uint8Array(KEY_LENGTH) } : secret;
      return sealOffer(crypto, shown, read, from);
    }
    const request = read && openRequest(crypto, secret, read);
    const introduction = request && decodeIntroduction(request.content);
    if (!request || !introduction?.ok) return undefined;
    const to = Uint8Array.fromHex(introduction.value.key);
    return sealReply(crypto, seeded.bytes, this.#holder, request, to, this.#reply());
  }

  /** A grant of another mesh ends what the asker can meet: mostly it is none. */
  #reply(): Reply {
    const { seeded } = this;
    if (seeded.chance(0.4)) return { kind: "pending" };
    if (seeded.chance(0.4)) return { kind: "refused" };
    const length = seeded.chance(0.05) ? 2 * KEY_LENGTH : seeded.below(60);
    return { kind: "granted", payload: seeded.bytes(length) };
  }
}
