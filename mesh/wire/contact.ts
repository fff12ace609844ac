/**
 * First contact with a door whose key is known from a token or from memory. Version 2 of the format:
 *
 * ```
 * hello   c2 03 00 00 | mac 16 | pass 16 | ephemeral 32 | XChaCha20-Poly1305( length 2, content, zeros )
 *                                                                           always 1,232 bytes
 * retry   c4 03 00 00 | id 16 | nonce 24 | XChaCha20-Poly1305( cookie 16 )  76 bytes
 * answer  c4 03 00 00 | id 16 | nonce 24 | XChaCha20-Poly1305( content )    at most 1,232 bytes
 *
 * R        = the door's Ed25519 key; r, s = the X25519 images of the door's and the sender's key pair
 * mac key  = BLAKE2s( label, mesh id, R )
 * tag      = XChaCha20-Poly1305 over additional data alone; nonce: the first 24 bytes of ephemeral
 * mac      = tag with the mac key over the rest of the hello
 * pass     = zeros, or tag with BLAKE2s( label, the door's cookie ) over head, ephemeral and sealed content
 * chain    = HKDF-Extract( X25519( ephemeral, r ); label, mesh id, ephemeral, R )
 * hello    is sealed under HMAC( chain, label ), nonce zero: each key seals one hello
 * answer   is sealed under HMAC( HMAC( chain, X25519( r, s )), label, R, S ), S the Ed25519 key that the content named
 * ids      retry: keyed BLAKE2s of the hello's mac; answer: HMAC( chain, label ), 16 bytes each
 * retry    is sealed under BLAKE2s( label, mac key ), for this hello's mac
 * ```
 *
 * A token-less ask is another conversation: see ask.ts.
 *
 * **A neighbour that only listens** sees type, version, sizes and addresses. The mac, the ids and the
 * sealed parts depend on the ephemeral key, which is drawn anew for each hello, so no two hellos can
 * be linked by their bytes and no key, name, version or mesh id can be read or tested for, by a
 * former member that knows all of them neither, except which door a hello is for: that is what the
 * mac says to everybody who knows the door's key, and the address says it anyway. The pass is zeros
 * or not: an observer sees that the door was busy. The lengths of answers are not hidden. An ephemeral
 * key is a point of the curve and can be told from random bytes; type and size say more already.
 *
 * **A scanner** without the door's key gets no answer whatever it sends: it cannot make the mac. A
 * datagram of its costs one tag, a twentieth of the time of a multiplication of a point, and no memory.
 * A mesh-wide secret would not keep it out: a former member knows that.
 *
 * **A former member** that knows the door's key can make hellos that are opened. It can name another's
 * record in them (members know each other's records), but the answer opens only for the holder of the
 * key S that the record names. What its hellos may cost is bounded in door/knocks.ts. It cannot open
 * hellos or answers of others.
 *
 * **A replayed hello** is recognised by its ephemeral key as long as the door remembers it. Later, or
 * after a restart of the door, it is answered: no more bytes than came, to whoever is at the address,
 * readable by its true sender alone, which has forgotten the ephemeral secret. It proves nothing about
 * the address: what changes the door waits for a datagram that repeats the answer's cookie.
 *
 * **Whoever answers** proves that it holds the door's key: nobody else can compute the chain. The
 * answer is fresh, for the chain is. Nobody can make an answer for a hello that it cannot open.
 *
 * **A flood of hellos from invented addresses**, with the mac, by a former member: the door, when it is
 * busy, answers with a retry instead of opening them. The cookie in it, repeated as `pass` in the next
 * hello, proves that the sender receives where it sends from. A former member that sees hellos pass
 * can forge the retry; the sender's next hello then has a useless pass and is treated as one without,
 * as WireGuard's (R34). A stolen key of a door opens the hellos that were recorded: there is no
 * forward secrecy in first contact, as in all control traffic.
 */
import type { Crypto } from "../crypto.ts";
import { KEY_LENGTH, TAG_LENGTH } from "../crypto.ts";
import { DATAGRAM_MAX } from "./seal.ts";
import { HEAD_SIZE, headOf, kindOf } from "../datagram.ts";
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
import { COOKIE_SIZE } from "./door_secrets.ts";

const MAC_SIZE = 16;
const PASS_AT = HEAD_SIZE + MAC_SIZE;
const EPHEMERAL_AT = PASS_AT + MAC_SIZE;
const SEALED_AT = EPHEMERAL_AT + KEY_LENGTH;
/** Bytes of a hello's content at most. */
export const HELLO_CONTENT_MAX = DATAGRAM_MAX - SEALED_AT - TAG_LENGTH - LENGTH_SIZE;
const PADDED_SIZE = HELLO_CONTENT_MAX + LENGTH_SIZE;
/** Bytes of an answer's content at most. */
export const ANSWER_CONTENT_MAX = BODY_MAX - BOX_OVERHEAD;

const MAC_KEY = labelOf("hello mac");
const PASS = labelOf("hello pass");
const HELLO_CHAIN = labelOf("hello chain");
const HELLO_SEAL = labelOf("hello seal");
const ANSWER_ID = labelOf("answer id");
const ANSWER_SEAL = labelOf("answer seal");
const RETRY_ID = labelOf("retry id");
const RETRY_SEAL = labelOf("retry seal");
const NONCE_ZERO = new Uint8Array(NONCE_SIZE);
const NO_PASS = new Uint8Array(MAC_SIZE);

/** A door as those who knock see it: made once for each key. */
export interface DoorKey {
  readonly meshId: Uint8Array;
  /** Ed25519. */
  readonly key: Uint8Array;
  /** Its X25519 image. */
  readonly image: Uint8Array;
  readonly macKey: Uint8Array;
}

/** The part of an identity that first contact needs. */
export interface KeyHolder {
  readonly signing: { readonly publicKey: Uint8Array };
  /** The secret of the X25519 image. */
  readonly tunnelSecret: Uint8Array;
}

/** A hello of ours, as long as an answer may come. Its bytes are in no other hello. */
export interface SentHello {
  readonly bytes: Uint8Array;
  /** The id of its answer. */
  readonly id: string;
  /** The id of a retry. */
  readonly retryId: string;
  readonly to: DoorKey;
  readonly chain: Uint8Array;
}

/** The parts of a hello whose form is right. */
export interface ReadHello {
  readonly mac: Uint8Array;
  readonly pass: Uint8Array;
  readonly ephemeral: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface OpenedHello {
  readonly content: Uint8Array;
  readonly chain: Uint8Array;
}

/** @returns undefined when the key is no valid point. */
export function doorKeyOf(
  crypto: Crypto,
  meshId: Uint8Array,
  key: Uint8Array,
): DoorKey | undefined {
  const image = key.length === KEY_LENGTH ? crypto.ed25519ToX25519Public(key) : undefined;
  return image && { meshId, key, image, macKey: crypto.blake2s(MAC_KEY, meshId, key) };
}

/**
 * @param cookie of a retry from this door.
 * @returns undefined when the door's key is of low order.
 * @throws {RangeError} when the content is longer than {@link HELLO_CONTENT_MAX}.
 */
export function sealHello(
  crypto: Crypto,
  random: Random,
  to: DoorKey,
  content: Uint8Array,
  cookie?: Uint8Array,
): SentHello | undefined {
  const padded = pad(content, PADDED_SIZE);
  const secret = random(KEY_LENGTH);
  const ephemeral = crypto.x25519PublicKey(secret);
  const chain = chainOf(crypto, to, secret, to.image, ephemeral);
  crypto.wipe(secret);
  if (chain === undefined) return undefined;
  const head = headOf("hello");
  const key = crypto.hmacBlake2s(chain, HELLO_SEAL);
  const sealed = crypto.xchacha20poly1305Seal(key, NONCE_ZERO, head, padded);
  crypto.wipe(key);
  const pass = cookie ? passOf(crypto, cookie, { ephemeral, sealed }) : NO_PASS;
  const mac = macOf(crypto, to, { pass, ephemeral, sealed });
  return {
    bytes: concat(head, mac, pass, ephemeral, sealed),
    id: answerId(crypto, chain).toHex(),
    retryId: retryId(crypto, to, mac).toHex(),
    to,
    chain,
  };
}

/** Undefined: no hello of this version and size. */
export function readHello(bytes: Uint8Array): ReadHello | undefined {
  if (bytes.length !== DATAGRAM_MAX || kindOf(bytes) !== "hello") return undefined;
  return {
    mac: bytes.subarray(HEAD_SIZE, PASS_AT),
    pass: bytes.subarray(PASS_AT, EPHEMERAL_AT),
    ephemeral: bytes.subarray(EPHEMERAL_AT, SEALED_AT),
    sealed: bytes.subarray(SEALED_AT),
  };
}

/** Whether the sender knows this door's key and mesh. One tag. */
export function isForDoor(crypto: Crypto, door: DoorKey, hello: ReadHello): boolean {
  return crypto.equal(hello.mac, macOf(crypto, door, hello));
}

/** Whether the sender has received a cookie. One hash and one tag. */
export function hasPass(crypto: Crypto, cookie: Uint8Array, hello: ReadHello): boolean {
  return crypto.equal(hello.pass, passOf(crypto, cookie, hello));
}

/** Whether the sender claims to have received a cookie. */
export function claimsPass({ pass }: ReadHello): boolean {
  return pass.some((byte) => byte !== 0);
}

/** One multiplication of a point. Undefined: not sealed for this door. */
export function openHello(
  crypto: Crypto,
  door: DoorKey,
  holder: KeyHolder,
  { ephemeral, sealed }: ReadHello,
): OpenedHello | undefined {
  const chain = chainOf(crypto, door, holder.tunnelSecret, ephemeral, ephemeral);
  if (chain === undefined) return undefined;
  const key = crypto.hmacBlake2s(chain, HELLO_SEAL);
  const padded = crypto.xchacha20poly1305Open(key, NONCE_ZERO, headOf("hello"), sealed);
  crypto.wipe(key);
  const content = padded && unpad(padded);
  return content && { content, chain };
}

/** Asks the sender of a hello to repeat this cookie. */
export function sealRetry(
  crypto: Crypto,
  random: Random,
  door: DoorKey,
  hello: ReadHello,
  cookie: Uint8Array,
): Uint8Array {
  const head = answerHead(retryId(crypto, door, hello.mac));
  const box = sealBox(crypto, random, retryKey(crypto, door), concat(head, hello.mac), cookie);
  return concat(head, box);
}

/** The cookie of a retry to this hello. */
export function openRetry(
  crypto: Crypto,
  sent: SentHello,
  bytes: Uint8Array,
): Uint8Array | undefined {
  const answer = readAnswer(bytes);
  if (answer?.id !== sent.retryId) return undefined;
  const mac = sent.bytes.subarray(HEAD_SIZE, PASS_AT);
  const key = retryKey(crypto, sent.to);
  const cookie = openBox(crypto, key, concat(answer.head, mac), answer.body);
  return cookie?.length === COOKIE_SIZE ? cookie : undefined;
}

/**
 * Answers a hello. Two multiplications of a point.
 * @param to the Ed25519 key that the hello's content named.
 * @returns undefined when that key is no valid point.
 * @throws {RangeError} when the content is longer than {@link ANSWER_CONTENT_MAX}.
 */
export function sealAnswer(
  crypto: Crypto,
  random: Random,
  holder: KeyHolder,
  hello: OpenedHello,
  to: Uint8Array,
  content: Uint8Array,
): Uint8Array | undefined {
  if (content.length > ANSWER_CONTENT_MAX) {
    throw new RangeError(`contact: ${content.length} bytes, over ${ANSWER_CONTENT_MAX}`);
  }
  const image = to.length === KEY_LENGTH ? crypto.ed25519ToX25519Public(to) : undefined;
  const shared = image && crypto.x25519(holder.tunnelSecret, image);
  if (shared === undefined) return undefined;
  const key = answerKey(crypto, hello.chain, shared, holder.signing.publicKey, to);
  const head = answerHead(answerId(crypto, hello.chain));
  const box = sealBox(crypto, random, key, head, content);
  crypto.wipe(key);
  return concat(head, box);
}

/** The content of the answer to this hello, which its door made for us. */
export function openAnswer(
  crypto: Crypto,
  holder: KeyHolder,
  sent: SentHello,
  bytes: Uint8Array,
): Uint8Array | undefined {
  const answer = readAnswer(bytes);
  if (answer?.id !== sent.id) return undefined;
  const shared = crypto.x25519(holder.tunnelSecret, sent.to.image);
  if (shared === undefined) return undefined;
  const key = answerKey(crypto, sent.chain, shared, sent.to.key, holder.signing.publicKey);
  const content = openBox(crypto, key, answer.head, answer.body);
  crypto.wipe(key);
  return content;
}

/** @param shared is wiped. */
function answerKey(
  crypto: Crypto,
  chain: Uint8Array,
  shared: Uint8Array,
  door: Uint8Array,
  sender: Uint8Array,
): Uint8Array {
  const mixed = crypto.hmacBlake2s(chain, shared);
  const key = crypto.hmacBlake2s(mixed, ANSWER_SEAL, door, sender);
  crypto.wipe(shared, mixed);
  return key;
}

/** The same on both sides: the sender has the ephemeral secret, the door its own. */
function chainOf(
  crypto: Crypto,
  { meshId, key }: DoorKey,
  secret: Uint8Array,
  publicKey: Uint8Array,
  ephemeral: Uint8Array,
): Uint8Array | undefined {
  const shared = crypto.x25519(secret, publicKey);
  if (shared === undefined) return undefined;
  const chain = extract(crypto, shared, HELLO_CHAIN, meshId, ephemeral, key);
  crypto.wipe(shared);
  return chain;
}

function macOf(crypto: Crypto, { macKey }: DoorKey, hello: Omit<ReadHello, "mac">): Uint8Array {
  const { pass, ephemeral, sealed } = hello;
  return tagOf(crypto, macKey, nonceOf(ephemeral), headOf("hello"), pass, ephemeral, sealed);
}

function passOf(
  crypto: Crypto,
  cookie: Uint8Array,
  { ephemeral, sealed }: Pick<ReadHello, "ephemeral" | "sealed">,
): Uint8Array {
  const key = crypto.blake2s(PASS, cookie);
  return tagOf(crypto, key, nonceOf(ephemeral), headOf("hello"), ephemeral, sealed);
}

/** Drawn anew for each hello, as the key is that it comes from. */
function nonceOf(ephemeral: Uint8Array): Uint8Array {
  return ephemeral.subarray(0, NONCE_SIZE);
}

function answerId(crypto: Crypto, chain: Uint8Array): Uint8Array {
  return crypto.hmacBlake2s(chain, ANSWER_ID).subarray(0, ID_SIZE);
}

function retryId(crypto: Crypto, { macKey }: DoorKey, mac: Uint8Array): Uint8Array {
  return crypto.blake2sMac(macKey, RETRY_ID, mac);
}

function retryKey(crypto: Crypto, { macKey }: DoorKey): Uint8Array {
  return crypto.blake2s(RETRY_SEAL, macKey);
}
