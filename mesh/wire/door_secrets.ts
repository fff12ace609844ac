/**
 * The secrets with which a door tests who can receive at an address, without remembering anybody.
 * Each serves two minutes to make cookies and two more to recognise them, as WireGuard's cookie
 * secret does (R8, R32), and is wiped then: what was sealed under its ephemeral key cannot be
 * opened by anybody any more.
 */
import type { Crypto } from "../crypto.ts";
import { KEY_LENGTH } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Now, Random } from "../machine.ts";

/** Milliseconds that one secret makes cookies; it recognises them for as long again. */
export const SECRET_TIME = 120_000;
/** Bytes of a cookie. */
export const COOKIE_SIZE = 16;

export interface DoorSecret {
  readonly cookieKey: Uint8Array;
  /** An X25519 key pair: all token-less asks of these minutes are sealed to it. */
  readonly ephemeralSecret: Uint8Array;
  readonly ephemeral: Uint8Array;
}

interface Dated extends DoorSecret {
  /** Boot ms. */
  readonly since: number;
}

/** At most two secrets. */
export class DoorSecrets {
  #current: Dated | undefined;
  #previous: Dated | undefined;

  constructor(private readonly crypto: Crypto, private readonly random: Random) {}

  /** The secret that cookies are made with now. */
  current(now: Now): DoorSecret {
    this.#turn(now);
    return this.#current ??= this.#draw(now);
  }

  /** The secrets whose cookies are recognised now, the newer first. */
  valid(now: Now): DoorSecret[] {
    this.#turn(now);
    return [this.#current, this.#previous].filter((secret) => secret !== undefined);
  }

  #turn(now: Now): void {
    if (this.#current !== undefined && now.boot - this.#current.since >= SECRET_TIME) {
      this.#wipe(this.#previous);
      this.#previous = this.#current;
      this.#current = undefined;
    }
    if (this.#previous !== undefined && now.boot - this.#previous.since >= 2 * SECRET_TIME) {
      this.#wipe(this.#previous);
      this.#previous = undefined;
    }
  }

  #draw(now: Now): Dated {
    const ephemeralSecret = this.random(KEY_LENGTH);
    return {
      cookieKey: this.random(KEY_LENGTH),
      ephemeralSecret,
      ephemeral: this.crypto.x25519PublicKey(ephemeralSecret),
      since: now.boot,
    };
  }

  #wipe(secret: DoorSecret | undefined): void {
    if (secret) this.crypto.wipe(secret.cookieKey, secret.ephemeralSecret);
  }
}

/** What only somebody can know who receives at this address and port. */
export function cookieOf(
  crypto: Crypto,
  secret: DoorSecret,
  use: Uint8Array,
  { address, port }: Endpoint,
  ...bound: readonly Uint8Array[]
): Uint8Array {
  const place = Uint8Array.of(address.length, ...address, port >> 8, port & 0xff);
  return crypto.blake2sMac(secret.cookieKey, use, place, ...bound);
}
