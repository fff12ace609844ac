/** Messages that no machine of ours would send: authentic ones out of turn, and altered ones. */
import { CookieJar } from "../noise/cookie.ts";
import { Noise, WIREGUARD } from "../noise/handshake.ts";
import { encodeInitiation } from "../noise/messages.ts";
import { nextTimestamp, TIMESTAMP_LENGTH } from "../noise/tai64n.ts";
import type { TunnelHost } from "./tunnel_lab.ts";

/** An authentic initiation by one host to another, for a time `inMs` from now on its wall clock. */
export function initiation(from: TunnelHost, to: TunnelHost, inMs = 0): Uint8Array {
  const { crypto, random } = from.lab;
  const staticStatic = crypto.x25519(from.secretKey, to.publicKey);
  const made = staticStatic && new Noise(crypto, [WIREGUARD]).initiate(
    from,
    { publicKey: to.publicKey, staticStatic },
    random(32),
    nextTimestamp(from.lab.clock().wall + inMs, new Uint8Array(TIMESTAMP_LENGTH)),
  );
  if (!made) throw new Error("a key of low order");
  return withMac1(encodeInitiation(0xabcd, made.parts), to);
}

/** The same message with one bit the other way. */
export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}

/** The same message with a MAC1 that fits: anybody can make it who knows the receiver's key. */
export function withMac1(bytes: Uint8Array, receiver: TunnelHost): Uint8Array {
  const stamped = bytes.slice();
  new CookieJar(receiver.lab.crypto, receiver.publicKey).stamp(0, stamped);
  return stamped;
}
