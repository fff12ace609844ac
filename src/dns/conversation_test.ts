/** Over real sockets: what a kernel buffers, and when it says so, no fake knows. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as net from "node:net";
import { converse } from "./conversation.ts";

function framed(length: number): Buffer {
  const bytes = Buffer.alloc(2 + length);
  bytes.writeUInt16BE(length);
  return bytes;
}

/** Shorter than in earnest, and long enough for a busy machine. */
const QUESTION_MS = 1_000;

interface Talk {
  readonly client: net.Socket;
  /** All that has come to the client. */
  received(): number;
  /** Sizes of the questions. */
  readonly questions: number[];
  /** What became of the connection, in order. */
  readonly ends: string[];
}

async function talking(
  answer: (question: Uint8Array) => Uint8Array | undefined,
  body: (talk: Talk) => Promise<void>,
): Promise<void> {
  const [questions, ends]: [number[], string[]] = [[], []];
  const server = net.createServer((connection) =>
    converse(connection, {
      answer: (question) => {
        questions.push(question.length);
        return answer(question);
      },
      onUnread: () => ends.push("unread"),
      onEnd: () => ends.push("end"),
      questionMs: QUESTION_MS,
    })
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const client = net.createConnection(port, "127.0.0.1");
  client.on("error", () => {});
  let received = 0;
  client.on("data", (chunk: Buffer) => received += chunk.length);
  try {
    await body({ client, received: () => received, questions, ends });
  } finally {
    client.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("RFC 7766, section 6.2.1.1: questions that come together are answered in turn", () =>
  talking(() => new Uint8Array(7), async ({ client, questions, received, ends }) => {
    client.write(Buffer.concat([framed(20), framed(30), framed(40).subarray(0, 10)]));
    await pause(100);
    client.write(framed(40).subarray(10));
    await pause(100);
    assert.deepEqual(questions, [20, 30, 40]);
    assert.equal(received(), 3 * 9);
    assert.deepEqual(ends, []);
  }));

Deno.test("bytes that come one by one do not hold a connection longer than a question may take", () =>
  talking(() => new Uint8Array(7), async ({ client, ends }) => {
    const bytes = framed(100);
    for (let at = 0; at < 15; at++) {
      client.write(bytes.subarray(at, at + 1));
      await pause(QUESTION_MS / 10);
    }
    assert.deepEqual(ends, ["end"]);
  }));

Deno.test("who asks again and again keeps its connection", () =>
  talking(() => new Uint8Array(7), async ({ client, questions, ends }) => {
    for (let n = 0; n < 5; n++) {
      client.write(framed(20));
      await pause(QUESTION_MS / 4);
    }
    assert.equal(questions.length, 5);
    assert.deepEqual(ends, []);
    await pause(1.5 * QUESTION_MS);
    assert.deepEqual(ends, ["end"]);
  }));

Deno.test("answers that nobody reads are not kept without end", () =>
  talking(() => new Uint8Array(60_000), async ({ client, ends, questions }) => {
    client.pause();
    // More than any kernel keeps for one connection of loopback (tcp_wmem and tcp_rmem: some MiB).
    for (let n = 0; n < 1_000 && ends.length === 0; n++) {
      client.write(framed(20));
      await pause(1);
    }
    await pause(50);
    assert.deepEqual(ends, ["unread", "end"]);
    assert.ok(questions.length < 1_000, `${questions.length}`);
  }));

Deno.test("a message that is longer than a question, and one without an answer, end it", async () => {
  await talking(() => new Uint8Array(7), async ({ client, ends, questions }) => {
    client.write(framed(1_025));
    await pause(50);
    assert.deepEqual([ends, questions], [["end"], []]);
  });
  await talking(() => undefined, async ({ client, ends, questions }) => {
    client.write(Buffer.concat([framed(20), framed(21)]));
    await pause(50);
    assert.deepEqual([ends, questions], [["end"], [20]]);
  });
});
