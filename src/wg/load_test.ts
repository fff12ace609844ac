/** A request with 60,000 peers at a whole device, and what others notice of it. */
import assert from "node:assert/strict";
import * as net from "node:net";
import { inFolder } from "../../.ci/folder.ts";
import { testUnless } from "../../.ci/skip.ts";
import { corePath, loadCore } from "../../ffi/core.ts";
import { duplicate, hasInput } from "../../ffi/libc.ts";
import { WgDevice } from "./device.ts";
import { UapiServer } from "./server.ts";

const lack = {
  thing: await Deno.stat(corePath()).then(
    () => undefined,
    () => `no core library at ${corePath()}`,
  ),
};

const PEERS = 60_000;
/** Answers to others between the last byte of the set and its answer; a quiet machine gives thirty. */
const ANSWERS_MIN = 5;

const key = (n: number) => n.toString(16).padStart(64, "0");

/** As `wg setconf` writes it, in pieces: the client is in the same thread. */
function* setconf(secret: string): Iterable<string> {
  yield `set=1\nprivate_key=${secret}\nreplace_peers=true\n`;
  for (let i = 1; i <= PEERS; i++) {
    yield [
      `public_key=${key(i + 1000)}`,
      `preshared_key=${key(i)}`,
      `endpoint=192.0.2.1:${1000 + i % 60_000}`,
      `allowed_ip=10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`,
      "",
    ].join("\n");
  }
  yield "\n";
}

/** @returns how many peers stand in the answer, and its last line */
async function ask(
  path: string,
  request: Iterable<string>,
  onSent = () => {},
): Promise<[number, string]> {
  const socket = net.createConnection(path);
  socket.setEncoding("latin1");
  let peers = 0;
  let tail = "";
  const answered = new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.on("data", (chunk: string) => {
      const text = tail + chunk;
      const whole = text.lastIndexOf("\n", text.length - 3) + 1;
      peers += text.slice(0, whole).split("public_key=").length - 1;
      tail = text.slice(whole);
      if (tail.endsWith("\n\n")) resolve();
    });
  });
  for (const piece of request) {
    if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve));
  }
  onSent();
  await answered;
  socket.destroy();
  return [peers, tail.trim()];
}

testUnless(
  lack,
  `T46: while ${PEERS} peers are set others are answered, and see none of them before all are there`,
  () =>
    inFolder(async (dir) => {
      const defects: unknown[] = [];
      const device = new WgDevice({
        core: loadCore(),
        tun: { kind: "none" },
        onEvent: () => {},
        onDefect: (error) => defects.push(error),
        onGone: () => {},
      });
      const path = `${dir}/wg0.sock`;
      const server = await UapiServer.listen(path, {
        device,
        descriptors: { left: () => 1000, hasInput, duplicate },
        onFault: ({ what }) => defects.push(what),
        onDefect: (error) => defects.push(error),
        onRemoved: () => {},
        onCrowded: () => {},
      });
      try {
        let isSent = false;
        let isSet = false;
        const set = ask(path, setconf(key(1)), () => isSent = true).finally(() => isSet = true);
        let answers = 0;
        while (!isSet) {
          const [peers] = await ask(path, ["get=1\n\n"]);
          if (!isSet) assert.equal(peers, 0, "a set does not show before it is whole");
          if (isSent && peers === 0) answers++;
        }
        assert.deepEqual(await set, [0, "errno=0"]);
        assert.ok(answers >= ANSWERS_MIN, `${answers} answers meanwhile`);
        assert.deepEqual(await ask(path, ["get=1\n\n"]), [PEERS, "errno=0"]);
        assert.deepEqual(defects, []);
      } finally {
        device.close();
        await server.close();
      }
    }),
);
