/**
 * A client over TCP: messages behind their length (RFC 1035, section 4.2.2), several in one connection and not one at a
 * time (RFC 7766, section 6.2.1). It holds a connection only while it asks, and memory only for one question and for
 * what fits one message of answers.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { QUESTION_MAX } from "./message.ts";

/** Milliseconds from one whole question to the next: bytes that come one by one do not make it longer. */
const QUESTION_MS = 5_000;
/** Answers that wait because the client does not read: the largest message and its length. */
const UNREAD_MAX = 65_537;

interface Host {
  /** Undefined: it is not spoken to any more. */
  readonly answer: (question: Uint8Array) => Uint8Array | undefined;
  /** It was cut off, since it does not read. */
  readonly onUnread: () => void;
  readonly onEnd: () => void;
  readonly questionMs?: number;
}

/** Answers on a connection until it ends, whoever ends it. */
export function converse(connection: Socket, host: Host): void {
  const end = () => void connection.destroy();
  let waiting = Buffer.alloc(0);
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const expect = () => {
    clearTimeout(deadline);
    deadline = setTimeout(end, host.questionMs ?? QUESTION_MS);
  };
  expect();
  connection.on("error", end);
  connection.on("close", () => {
    clearTimeout(deadline);
    host.onEnd();
  });
  connection.on("data", (chunk: Buffer) => {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 2) {
      const length = waiting.readUInt16BE(0);
      if (length > QUESTION_MAX) return end();
      if (waiting.length < 2 + length) return;
      const answer = host.answer(waiting.subarray(2, 2 + length));
      waiting = waiting.subarray(2 + length);
      if (!answer) return end();
      const size = Buffer.alloc(2);
      size.writeUInt16BE(answer.length);
      connection.write(Buffer.concat([size, answer]));
      if (connection.writableLength > UNREAD_MAX) {
        host.onUnread();
        return end();
      }
      expect();
    }
  });
}
