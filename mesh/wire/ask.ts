/**
 * First contact without a token: the asker knows an address, no key and no mesh. Two round trips:
 *
 * ```
 * ask     c3 03 00 00 | 01 | a 32 | zeros                                    always 1,232 bytes
 * offer   c4 03 00 00 | id 16 | d 32 | cookie 16 | check 16                  84 bytes
 * request c3 03 00 00 | 02 | a 32 | mac 16 | nonce 24 | XChaCha20-Poly1305( length 2, content, zeros )
 *                                                                            always 1,232 bytes
 * reply   c4 03 00 00 | id 16 | nonce 24 | XChaCha20-Poly1305( R 32 | nonce 24 | XChaCha20-Poly1305( kind 1, payload ) )
 *                                                                            at most 1,232 bytes
 *
 * a, d     = ephemeral X25519 keys of the asker (one for each conversation) and of the door (one for
 *            all askers of two minutes, wiped two minutes later)
 * R, S     = Ed25519 keys of door and asker; r, s = their X25519 images
 * cookie   = keyed BLAKE2s of label, address, port and a, under a secret of the same two minutes
 * check    = keyed BLAKE2s with H( label, a ) over the rest of the offer; its id = H( label, a ), 16 bytes
 * mac      = the tag of XChaCha20-Poly1305 with BLAKE2s( label, cookie ) and the request's nonce, over the rest
 *            of the request as additional data
 * chain    = HKDF-Extract( X25519( a, d ); label, a, d )
 * request  is sealed under HMAC( chain, label )
 * reply    has the id HMAC( chain, label, request's nonce ), 16 bytes; its outer part is sealed under HMAC( chain,
 *          label ), its inner part under HMAC( HMAC( HMAC( chain, X25519( a, r )), X25519( d, s )), label, R, S, nonce )
 * ```
 *
 * The ask carries nothing about the asker, and the offer nothing about the door. The door remembers
 * nothing until a request has proven by its mac that the asker receives at its address; that check is
 * two short hashes and a tag for each of two secrets, and comes before any multiplication of a point. The offer's cookie and key
 * are not secret: the cookie says only that its reader receives at that address, and is bound to the
 * address, the port and a.
 *
 * **A neighbour that only listens** sees ephemeral keys, sizes and addresses; content is sealed under
 * X25519( a, d ), whose secrets are gone minutes later. It can tell a long reply from a short one.
 *
 * **A scanner** learns nothing while no person has opened the door: it gets no answer at all. While
 * the door is open it gets an offer, which says that a door of Shoal is here. To learn R it has to
 * complete the round trip from its true address and appear before the person as a request.
 *
 * **Somebody who replays** an ask from another address gets an offer for a key that it does not hold.
 * A request replayed from another address or port, or minutes later, fails the mac; replayed from the
 * same place in time it is a copy, which door/knocks.ts drops.
 *
 * **Whoever sits between** asker and door can pose as a door of its own: the asker knows no key, so it
 * tells its name and record to whoever answers at that address. But a reply proves R: it can be made
 * only with the secret of r, and its reader sees which key answered; the person compares the mesh that
 * it names. Somebody in between that passes on S's record as its own gets S shown to the person, and
 * cannot read the reply, which needs the secret of s: a grant for S is readable by S alone.
 *
 * **A flood** of asks from invented addresses costs a few short hashes and an answer of 84 bytes for 1,232
 * each; the requests' budgets are counted by proven address, see door/knocks.ts and door/requests.ts.
 */
import type { Crypto } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import { DATAGRAM_MAX } from "./seal.ts";
import { HEAD_SIZE, headOf, kindOf } from "../datagram.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Random } from "../machine.ts";
import {
  answerHead,
  BODY_MAX,
  BOX_OVERHEAD,
  concat,
  extract,
  ID_SIZE,
  labelOf,
  LENGTH_SIZE,
  NONCE_SIZE,
  openBox,
  pad,
  readAnswer,
  sealBox,
  tagOf,
  unpad,
} from "./box.ts";
import type { KeyHolder } from "./contact.ts";
import { COOKIE_SIZE, cookieOf, type DoorSecret } from "./door_secrets.ts";

const ASK = 1;
const REQUEST = 2;
const STEP_SIZE = 1;
const MAC_SIZE = 16;
const EPHEMERAL_AT = HEAD_SIZE + STEP_SIZE;
const MAC_AT = EPHEMERAL_AT + KEY_LENGTH;
const BOX_AT = MAC_AT + MAC_SIZE;
const OFFER_SIZE = HEAD_SIZE + ID_SIZE + KEY_LENGTH + COOKIE_SIZE + MAC_SIZE;

/** Bytes of a request's content at most. */
export const REQUEST_CONTENT_MAX = DATAGRAM_MAX - BOX_AT - BOX_OVERHEAD - LENGTH_SIZE;
const PADDED_SIZE = REQUEST_CONTENT_MAX + LENGTH_SIZE;
/** Bytes of what a granted request is given at most. */
export const GRANT_MAX = BODY_MAX - BOX_OVERHEAD - KEY_LENGTH - BOX_OVERHEAD - 1;

const COOKIE = labelOf("ask cookie");
const OFFER_ID = labelOf("offer id");
const OFFER_CHECK = labelOf("offer check");
const CHAIN = labelOf("ask chain");
const REQUEST_MAC = labelOf("request mac");
const REQUEST_SEAL = labelOf("request seal");
const REPLY_ID = labelOf("reply id");
const REPLY_OUTER = labelOf("reply outer");
const REPLY_INNER = labelOf("reply inner");

const REPLIES = ["pending", "granted", "refused"] as const;

export type Reply =
  /** The request is shown to people. */
  | { readonly kind: "pending" }
  /** A person approved; what the asker needs to become a member. */
  | { readonly kind: "granted"; readonly payload: Uint8Array }
  | { readonly kind: "refused" };

/** A conversation that the asker has begun. */
export interface SentAsk {
  readonly bytes: Uint8Array;
  /** The id of its offer. */
  readonly id: string;
  readonly ephemeral: Uint8Array;
  readonly secret: Uint8Array;
}

/** What the asker knows after an offer; good for requests as long as the door takes its cookie. */
export interface Offer {
  readonly ask: SentAsk;
  /** The door's ephemeral key. */
  readonly ephemeral: Uint8Array;
  readonly cookie: Uint8Array;
  readonly chain: Uint8Array;
}

export interface SentRequest {
  readonly bytes: Uint8Array;
  /** The id of its reply. */
  readonly id: string;
  readonly offer: Offer;
  readonly nonce: Uint8Array;
}

/** The parts of an ask or a request whose form is right. */
export type ReadAsk =
  | { readonly step: "ask"; readonly ephemeral: Uint8Array }
  | ReadRequest;

export interface ReadRequest {
  readonly step: "request";
  readonly ephemeral: Uint8Array;
  readonly mac: Uint8Array;
  /** Nonce and sealed content. */
  readonly box: Uint8Array;
}

export interface OpenedRequest {
  readonly content: Uint8Array;
  readonly secret: DoorSecret;
  readonly ephemeral: Uint8Array;
  readonly nonce: Uint8Array;
  readonly chain: Uint8Array;
}

/** Begins a conversation. */
export function sealAsk(crypto: Crypto, random: Random): SentAsk {
  const secret = random(KEY_LENGTH);
  const ephemeral = crypto.x25519PublicKey(secret);
  const bytes = new Uint8Array(DATAGRAM_MAX);
  bytes.set(concat(headOf("ask"), Uint8Array.of(ASK), ephemeral));
  return { bytes, id: offerId(crypto, ephemeral).toHex(), ephemeral, secret };
}

/** Undefined: neither an ask nor a request of this version and size. */
export function readAsk(bytes: Uint8Array): ReadAsk | undefined {
  if (bytes.length !== DATAGRAM_MAX || kindOf(bytes) !== "ask") return undefined;
  const ephemeral = bytes.subarray(EPHEMERAL_AT, MAC_AT);
  const rest = bytes.subarray(MAC_AT);
  switch (bytes[HEAD_SIZE]) {
    case ASK:
      return rest.every((byte) => byte === 0) ? { step: "ask", ephemeral } : undefined;
    case REQUEST:
      return {
        step: "request",
        ephemeral,
        mac: rest.subarray(0, MAC_SIZE),
        box: rest.subarray(MAC_SIZE),
      };
    default:
      return undefined;
  }
}

/** Answers an ask. A few short hashes, nothing to remember. */
export function sealOffer(
  crypto: Crypto,
  secret: DoorSecret,
  { ephemeral }: { readonly ephemeral: Uint8Array },
  from: Endpoint,
): Uint8Array {
  const cookie = cookieOf(crypto, secret, COOKIE, from, ephemeral);
  const head = answerHead(offerId(crypto, ephemeral));
  const offer = concat(head, secret.ephemeral, cookie);
  return concat(offer, checkOf(crypto, ephemeral, offer));
}

/** One multiplication of a point. Undefined: no offer to this ask. */
export function openOffer(crypto: Crypto, ask: SentAsk, bytes: Uint8Array): Offer | undefined {
  if (bytes.length !== OFFER_SIZE) return undefined;
  const answer = readAnswer(bytes);
  if (answer?.id !== ask.id) return undefined;
  const check = bytes.subarray(-MAC_SIZE);
  const covered = bytes.subarray(0, -MAC_SIZE);
  if (!crypto.equal(check, checkOf(crypto, ask.ephemeral, covered))) return undefined;
  const ephemeral = answer.body.slice(0, KEY_LENGTH);
  const cookie = answer.body.slice(KEY_LENGTH, KEY_LENGTH + COOKIE_SIZE);
  const keys = { asker: ask.ephemeral, door: ephemeral };
  const chain = chainOf(crypto, ask.secret, ephemeral, keys);
  return chain && { ask, ephemeral, cookie, chain };
}

/** @throws {RangeError} when the content is longer than {@link REQUEST_CONTENT_MAX}. */
export function sealRequest(
  crypto: Crypto,
  random: Random,
  offer: Offer,
  content: Uint8Array,
): SentRequest {
  const { ask: { ephemeral }, chain, cookie } = offer;
  const key = crypto.hmacBlake2s(chain, REQUEST_SEAL);
  const box = sealBox(crypto, random, key, requestHead(ephemeral), pad(content, PADDED_SIZE));
  crypto.wipe(key);
  const mac = macOf(crypto, cookie, { ephemeral, box });
  const nonce = box.slice(0, NONCE_SIZE);
  return {
    bytes: concat(requestHead(ephemeral), mac, box),
    id: replyId(crypto, chain, nonce).toHex(),
    offer,
    nonce,
  };
}

/**
 * The secret whose cookie the request was made with: its sender receives at `from`. Two
 * short hashes and a tag for each secret.
 */
export function secretOf(
  crypto: Crypto,
  secrets: readonly DoorSecret[],
  request: ReadRequest,
  from: Endpoint,
): DoorSecret | undefined {
  return secrets.find((secret) => {
    const cookie = cookieOf(crypto, secret, COOKIE, from, request.ephemeral);
    return crypto.equal(request.mac, macOf(crypto, cookie, request));
  });
}

/** One multiplication of a point. Undefined: not sealed for this secret. */
export function openRequest(
  crypto: Crypto,
  secret: DoorSecret,
  { ephemeral, box }: ReadRequest,
): OpenedRequest | undefined {
  const keys = { asker: ephemeral, door: secret.ephemeral };
  const chain = chainOf(crypto, secret.ephemeralSecret, ephemeral, keys);
  if (chain === undefined) return undefined;
  const key = crypto.hmacBlake2s(chain, REQUEST_SEAL);
  const padded = openBox(crypto, key, requestHead(ephemeral), box);
  crypto.wipe(key);
  const content = padded && unpad(padded);
  return content && { content, secret, ephemeral, nonce: box.slice(0, NONCE_SIZE), chain };
}

/**
 * Answers a request. Two multiplications of a point.
 * @param to the Ed25519 key that the request's content named.
 * @returns undefined when that key is no valid point.
 * @throws {RangeError} when a grant is longer than {@link GRANT_MAX}.
 */
export function sealReply(
  crypto: Crypto,
  random: Random,
  holder: KeyHolder,
  request: OpenedRequest,
  to: Uint8Array,
  reply: Reply,
): Uint8Array | undefined {
  const payload = reply.kind === "granted" ? reply.payload : new Uint8Array(0);
  if (payload.length > GRANT_MAX) {
    throw new RangeError(`ask: a grant of ${payload.length} bytes, over ${GRANT_MAX}`);
  }
  const { chain, secret, ephemeral, nonce } = request;
  const image = to.length === KEY_LENGTH ? crypto.ed25519ToX25519Public(to) : undefined;
  const proof = crypto.x25519(holder.tunnelSecret, ephemeral);
  const claim = image && crypto.x25519(secret.ephemeralSecret, image);
  if (proof === undefined || claim === undefined) return undefined;
  const door = holder.signing.publicKey;
  const head = answerHead(replyId(crypto, chain, nonce));
  const innerKey = innerKeyOf(crypto, chain, { proof, claim }, door, to, nonce);
  const content = concat(Uint8Array.of(REPLIES.indexOf(reply.kind)), payload);
  const inner = sealBox(crypto, random, innerKey, head, content);
  const outerKey = crypto.hmacBlake2s(chain, REPLY_OUTER);
  const outer = sealBox(crypto, random, outerKey, head, concat(door, inner));
  crypto.wipe(innerKey, outerKey);
  return concat(head, outer);
}

/** The reply to this request and the Ed25519 key of the door, which it proves to hold. */
export function openReply(
  crypto: Crypto,
  holder: KeyHolder,
  request: SentRequest,
  bytes: Uint8Array,
): { readonly door: Uint8Array; readonly reply: Reply } | undefined {
  const answer = readAnswer(bytes);
  if (answer?.id !== request.id) return undefined;
  const { offer: { ask, ephemeral, chain }, nonce } = request;
  const outerKey = crypto.hmacBlake2s(chain, REPLY_OUTER);
  const outer = openBox(crypto, outerKey, answer.head, answer.body);
  crypto.wipe(outerKey);
  if (outer === undefined || outer.length < KEY_LENGTH) return undefined;
  const door = outer.slice(0, KEY_LENGTH);
  const image = crypto.ed25519ToX25519Public(door);
  const proof = image && crypto.x25519(ask.secret, image);
  const claim = crypto.x25519(holder.tunnelSecret, ephemeral);
  if (proof === undefined || claim === undefined) return undefined;
  const to = holder.signing.publicKey;
  const innerKey = innerKeyOf(crypto, chain, { proof, claim }, door, to, nonce);
  const content = openBox(crypto, innerKey, answer.head, outer.subarray(KEY_LENGTH));
  crypto.wipe(innerKey);
  const reply = content && replyIn(content);
  return reply && { door, reply };
}

function replyIn(content: Uint8Array): Reply | undefined {
  const kind = REPLIES[content[0] ?? REPLIES.length];
  const payload = content.slice(1);
  if (kind === undefined) return undefined;
  if (kind === "granted") return { kind, payload };
  return payload.length === 0 ? { kind } : undefined;
}

/** The two shared secrets are wiped: what only the door, and what only the asker can know. */
function innerKeyOf(
  crypto: Crypto,
  chain: Uint8Array,
  { proof, claim }: { readonly proof: Uint8Array; readonly claim: Uint8Array },
  door: Uint8Array,
  asker: Uint8Array,
  nonce: Uint8Array,
): Uint8Array {
  const proven = crypto.hmacBlake2s(chain, proof);
  const both = crypto.hmacBlake2s(proven, claim);
  const key = crypto.hmacBlake2s(both, REPLY_INNER, door, asker, nonce);
  crypto.wipe(proof, claim, proven, both);
  return key;
}

function chainOf(
  crypto: Crypto,
  secret: Uint8Array,
  publicKey: Uint8Array,
  { asker, door }: { readonly asker: Uint8Array; readonly door: Uint8Array },
): Uint8Array | undefined {
  const shared = crypto.x25519(secret, publicKey);
  if (shared === undefined) return undefined;
  const chain = extract(crypto, shared, CHAIN, asker, door);
  crypto.wipe(shared);
  return chain;
}

function requestHead(ephemeral: Uint8Array): Uint8Array {
  return concat(headOf("ask"), Uint8Array.of(REQUEST), ephemeral);
}

function macOf(
  crypto: Crypto,
  cookie: Uint8Array,
  { ephemeral, box }: Pick<ReadRequest, "ephemeral" | "box">,
): Uint8Array {
  const key = crypto.blake2s(REQUEST_MAC, cookie);
  return tagOf(crypto, key, box.subarray(0, NONCE_SIZE), requestHead(ephemeral), box);
}

function offerId(crypto: Crypto, ephemeral: Uint8Array): Uint8Array {
  return crypto.blake2s(OFFER_ID, ephemeral).subarray(0, ID_SIZE);
}

function checkOf(crypto: Crypto, ephemeral: Uint8Array, offer: Uint8Array): Uint8Array {
  return crypto.blake2sMac(crypto.blake2s(OFFER_CHECK, ephemeral), offer);
}

function replyId(crypto: Crypto, chain: Uint8Array, nonce: Uint8Array): Uint8Array {
  return crypto.hmacBlake2s(chain, REPLY_ID, nonce).subarray(0, ID_SIZE);
}
