/** R20, R21: the shapes of handshake messages. */
import assert from "node:assert/strict";
import {
  decodeHandshakeMessage,
  encodeCookieReply,
  encodeInitiation,
  encodeResponse,
} from "./messages.ts";

function filled(length: number, from: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => from + i);
}

const initiation = encodeInitiation(0x04030201, {
  ephemeral: filled(32, 1),
  sealedStatic: filled(48, 40),
  sealedPayload: filled(28, 90),
});
const response = encodeResponse(0x04030201, 0x08070605, {
  ephemeral: filled(32, 1),
  sealedPayload: filled(16, 40),
});
const cookieReply = encodeCookieReply(0x04030201, filled(24, 1), filled(32, 30));

Deno.test("R20: sizes are 148, 92 and 64, and what was written is read back", () => {
  assert.deepEqual([148, 92, 64], [initiation.length, response.length, cookieReply.length]);
  assert.deepEqual(decodeHandshakeMessage(initiation), {
    kind: "initiation",
    sender: 0x04030201,
    ephemeral: filled(32, 1),
    sealedStatic: filled(48, 40),
    sealedPayload: filled(28, 90),
  });
  assert.deepEqual(decodeHandshakeMessage(response), {
    kind: "response",
    sender: 0x04030201,
    receiver: 0x08070605,
    ephemeral: filled(32, 1),
    sealedPayload: filled(16, 40),
  });
  assert.deepEqual(decodeHandshakeMessage(cookieReply), {
    kind: "cookieReply",
    receiver: 0x04030201,
    nonce: filled(24, 1),
    sealedCookie: filled(32, 30),
  });
});

Deno.test("R20: a byte more, a byte less or nothing at all is no message", () => {
  for (const message of [initiation, response, cookieReply]) {
    for (const length of [0, 1, 4, 7, message.length - 1]) {
      assert.equal(decodeHandshakeMessage(message.subarray(0, length)), undefined);
    }
    assert.equal(decodeHandshakeMessage(Uint8Array.of(...message, 0)), undefined);
  }
});

Deno.test("R21: numbers are little-endian; a reserved byte that is not zero drops the message", () => {
  assert.deepEqual([...initiation.subarray(0, 8)], [1, 0, 0, 0, 1, 2, 3, 4]);
  assert.deepEqual([...response.subarray(0, 12)], [2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
  for (const message of [initiation, response, cookieReply]) {
    for (const at of [1, 2, 3]) {
      const changed = message.slice();
      changed[at] = 1;
      assert.equal(decodeHandshakeMessage(changed), undefined);
    }
    for (const type of [0, 4, 5, 255]) {
      const changed = message.slice();
      changed[0] = type;
      assert.equal(decodeHandshakeMessage(changed), undefined);
    }
  }
});
