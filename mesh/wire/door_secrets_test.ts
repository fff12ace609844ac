import assert from "node:assert/strict";
import type { Endpoint } from "../endpoint.ts";
import { nobleCrypto as crypto } from "../noble_crypto.ts";
import { Seeded } from "../sim/random.ts";
import { cookieOf, DoorSecrets, SECRET_TIME } from "./door_secrets.ts";

const at = (boot: number) => ({ boot, wall: 0 });
const use = Uint8Array.of(1);
const here: Endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 258, scope: 0 };

function setUp() {
  return new DoorSecrets(crypto, new Seeded(1).bytes);
}

Deno.test("a secret makes cookies for two minutes and recognises them for two more", () => {
  const secrets = setUp();
  const first = secrets.current(at(0));
  assert.equal(secrets.current(at(SECRET_TIME - 1)), first);
  const second = secrets.current(at(SECRET_TIME));
  assert.notEqual(second, first);
  assert.deepEqual(secrets.valid(at(2 * SECRET_TIME - 1)), [second, first]);
  assert.deepEqual(secrets.valid(at(2 * SECRET_TIME)), [second]);
});

Deno.test("a secret that is not needed is over after four minutes, too", () => {
  const secrets = setUp();
  const first = secrets.current(at(0));
  assert.deepEqual(secrets.valid(at(SECRET_TIME)), [first]);
  assert.deepEqual(secrets.valid(at(2 * SECRET_TIME - 1)), [first]);
  assert.deepEqual(secrets.valid(at(2 * SECRET_TIME)), []);
});

Deno.test("a secret that is over is wiped, also after a long silence", () => {
  const secrets = setUp();
  const first = secrets.current(at(0));
  assert.deepEqual(secrets.valid(at(1_000_000)), []);
  assert.ok(first.ephemeralSecret.every((byte) => byte === 0));
  assert.ok(first.cookieKey.every((byte) => byte === 0));
});

Deno.test("a cookie is bound to secret, use, address, port and what is added", () => {
  const secrets = setUp();
  const secret = secrets.current(at(0));
  const made = cookieOf(crypto, secret, use, here, Uint8Array.of(5)).toHex();
  assert.equal(cookieOf(crypto, secret, use, { ...here }, Uint8Array.of(5)).toHex(), made);
  const others = [
    cookieOf(crypto, secrets.current(at(SECRET_TIME)), use, here, Uint8Array.of(5)),
    cookieOf(crypto, secret, Uint8Array.of(2), here, Uint8Array.of(5)),
    cookieOf(crypto, secret, use, here, Uint8Array.of(6)),
    cookieOf(crypto, secret, use, { ...here, port: 259 }, Uint8Array.of(5)),
    cookieOf(crypto, secret, use, { ...here, port: 514 }, Uint8Array.of(5)),
    cookieOf(crypto, secret, use, { ...here, address: Uint8Array.of(192, 0, 2, 2) }, use),
    cookieOf(crypto, secret, use, { ...here, address: new Uint8Array(16) }, Uint8Array.of(5)),
  ].map((cookie) => cookie.toHex());
  assert.equal(new Set([made, ...others]).size, 1 + others.length);
});
