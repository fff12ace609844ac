/**
 * MAC1, MAC2 and cookies (R28 to R34). MAC1 proves that the sender knows whom it talks to; MAC2
 * that it can receive at the address it sends from, and is asked for only under load.
 *
 * The side that checks lives in core's gate, before anything reaches TypeScript. The class
 * {@link CookieChecker} is the same in a few lines, for tests and for the simulator's gate.
 */
import type { Crypto } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Random } from "../machine.ts";
import { decodeHandshakeMessage, encodeCookieReply, MAC_LENGTH } from "./messages.ts";

const encoder = new TextEncoder();
const LABEL_MAC1 = encoder.encode("mac1----");
const LABEL_COOKIE = encoder.encode("cookie--");

/** R8: a secret serves 120 s; we stop using a cookie 5 s earlier, as the message needs time. */
const SECRET_LIFETIME_MS = 120_000;
const COOKIE_LIFETIME_MS = 115_000;

/** The cookies of one peer: what we send MACs with, and what a reply is accepted against. */
export class CookieJar {
  readonly #crypto: Crypto;
  readonly #peerPublicKey: Uint8Array;
  /** Made when it is first needed: a mesh has thousands of peers that nothing is sent to. */
  #mac1Key: Uint8Array | undefined;
  /** MAC1 of our last message, until one reply to it was accepted (R34). */
  #lastMac1: Uint8Array | undefined;
  #cookie: { readonly bytes: Uint8Array; readonly at: number } | undefined;

  constructor(crypto: Crypto, peerPublicKey: Uint8Array) {
    this.#crypto = crypto;
    this.#peerPublicKey = peerPublicKey;
  }

  /** Writes both MACs into a message to this peer; MAC2 stays zero without a fresh cookie (R29). */
  stamp(bootMs: number, message: Uint8Array): void {
    const mac1At = message.length - 2 * MAC_LENGTH;
    const mac2At = message.length - MAC_LENGTH;
    this.#mac1Key ??= this.#crypto.blake2s(LABEL_MAC1, this.#peerPublicKey);
    this.#lastMac1 = this.#crypto.blake2sMac(this.#mac1Key, message.subarray(0, mac1At));
    message.set(this.#lastMac1, mac1At);
    const cookie = this.#cookie;
    if (cookie && bootMs - cookie.at < COOKIE_LIFETIME_MS) {
      message.set(this.#crypto.blake2sMac(cookie.bytes, message.subarray(0, mac2At)), mac2At);
    }
  }

  /**
   * Takes the cookie out of a reply (R34). One reply is accepted for each message sent.
   * @returns whether it was the answer to our last message.
   */
  accept(bootMs: number, nonce: Uint8Array, sealedCookie: Uint8Array): boolean {
    if (!this.#lastMac1) return false;
    const bytes = this.#crypto.xchacha20poly1305Open(
      this.#crypto.blake2s(LABEL_COOKIE, this.#peerPublicKey),
      nonce,
      this.#lastMac1,
      sealedCookie,
    );
    if (!bytes) return false;
    this.#cookie = { bytes, at: bootMs };
    this.#lastMac1 = undefined;
    return true;
  }
}

/** What the gate makes of an initiation or a response. */
export type Admission =
  | { readonly kind: "drop"; readonly why: "form" | "mac1" }
  | { readonly kind: "pass"; readonly hasCookie: boolean }
  | { readonly kind: "challenge"; readonly reply: Uint8Array };

/** The checking side (R28 to R33), as core's gate does it. */
export class CookieChecker {
  readonly #crypto: Crypto;
  readonly #random: Random;
  readonly #mac1Key: Uint8Array;
  readonly #cookieKey: Uint8Array;
  #secret: Uint8Array;
  #secretSince = -Infinity;

  constructor(crypto: Crypto, random: Random, ourPublicKey: Uint8Array) {
    this.#crypto = crypto;
    this.#random = random;
    this.#mac1Key = crypto.blake2s(LABEL_MAC1, ourPublicKey);
    this.#cookieKey = crypto.blake2s(LABEL_COOKIE, ourPublicKey);
    this.#secret = random(32);
  }

  /**
   * @param isLoaded whether the gate is under load: only then MAC2 is looked at (R29).
   */
  admit(bootMs: number, message: Uint8Array, from: Endpoint, isLoaded: boolean): Admission {
    const decoded = decodeHandshakeMessage(message);
    if (decoded?.kind !== "initiation" && decoded?.kind !== "response") {
      return { kind: "drop", why: "form" };
    }
    const mac1At = message.length - 2 * MAC_LENGTH;
    const mac2At = message.length - MAC_LENGTH;
    const mac1 = message.subarray(mac1At, mac2At);
    const expected = this.#crypto.blake2sMac(this.#mac1Key, message.subarray(0, mac1At));
    if (!this.#crypto.equal(mac1, expected)) return { kind: "drop", why: "mac1" };
    if (!isLoaded) return { kind: "pass", hasCookie: false };

    const cookie = this.#cookieFor(bootMs, from);
    const mac2 = this.#crypto.blake2sMac(cookie, message.subarray(0, mac2At));
    if (this.#crypto.equal(message.subarray(mac2At), mac2)) {
      return { kind: "pass", hasCookie: true };
    }
    const nonce = this.#random(24);
    const sealed = this.#crypto.xchacha20poly1305Seal(this.#cookieKey, nonce, mac1, cookie);
    return { kind: "challenge", reply: encodeCookieReply(decoded.sender, nonce, sealed) };
  }

  /** R32: bound to address and port, under a secret that is renewed every 120 s. */
  #cookieFor(bootMs: number, from: Endpoint): Uint8Array {
    if (bootMs - this.#secretSince >= SECRET_LIFETIME_MS) {
      this.#secret = this.#random(32);
      this.#secretSince = bootMs;
    }
    const port = Uint8Array.of(from.port >> 8, from.port & 0xff);
    return this.#crypto.blake2sMac(this.#secret, from.address, port);
  }
}
