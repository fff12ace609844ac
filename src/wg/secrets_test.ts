/** T44: private and preshared keys stand nowhere but in the process and in what `wg` is told (R66). */
import assert from "node:assert/strict";
import * as net from "node:net";
import { testUnless } from "../../.ci/skip.ts";
import { Capture } from "../../lxc/capture.ts";
import { Device, makeKeys } from "../../lxc/device.ts";
import { Lab } from "../../lxc/lab.ts";
import { type Implementation, shoal } from "../../lxc/peers.ts";
import { missingRight } from "../../lxc/right.ts";

const right = await missingRight();
const ours = await shoal();

/** A haystack with a secret in any spelling that a program may write. */
function contains(haystack: Uint8Array, secret: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(haystack);
  const raw = new TextDecoder("latin1").decode(secret);
  const spellings = [raw, secret.toHex(), secret.toHex().toUpperCase(), secret.toBase64()];
  // An array printed by the run time: "1, 2, 3" or "1,2,3".
  spellings.push([...secret].join(", "), [...secret].join(","));
  return spellings.some((spelling) => text.includes(spelling));
}

/** Sends a request and waits for some answer. */
function say(path: string, request: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.createConnection(path, () => socket.write(request));
    socket.once("error", reject);
    socket.once("data", () => {
      socket.destroy();
      resolve();
    });
  });
}

Deno.test("T44: the search finds a planted secret in every spelling", () => {
  const secret = crypto.getRandomValues(new Uint8Array(32));
  const encode = (text: string) => new TextEncoder().encode(`before ${text} after`);
  for (const text of [secret.toHex(), secret.toBase64(), [...secret].join(", ")]) {
    assert.ok(contains(encode(text), secret));
  }
  assert.ok(contains(Uint8Array.from([1, ...secret, 2]), secret));
  assert.ok(!contains(encode("nothing"), secret));
});

testUnless(
  { right },
  "T44: no key in argv, environment, trace log, files or on the wire",
  async () => {
    await using lab = await Lab.open();
    const [a, b] = [await lab.host("a"), await lab.host("b")];
    await lab.link(a, b, { a: { addresses: ["10.0.0.1/24"] }, b: { addresses: ["10.0.0.2/24"] } });
    // A device that writes all it can write, into a file that is searched afterwards.
    const verbose: Implementation = {
      ...ours,
      env: { LOG_LEVEL: "trace" },
      command: (device) => [
        "bash",
        "-c",
        'exec "$@" 2>>/run/log',
        "bash",
        ...ours.command(device),
      ],
    };
    const keys = [await makeKeys(a), await makeKeys(b)] as const;
    const psk = (await a.run(["wg", "genpsk"])).stdout.trim();
    const secrets = [keys[0].privateKey, keys[1].privateKey, psk].map((key) =>
      Uint8Array.fromBase64(key)
    );
    const devices = [await Device.start(a, verbose), await Device.start(b, verbose)] as const;
    const wire = await Capture.open(a, "eth0");
    for (const i of [0, 1] as const) {
      const other = i === 0 ? 1 : 0;
      await devices[i].configure({
        privateKey: keys[i].privateKey,
        port: 51820,
        addresses: [`10.7.0.${i + 1}/32`],
        peers: [{
          publicKey: keys[other].publicKey,
          presharedKey: psk,
          allowedIps: [`10.7.0.${other + 1}/32`],
          endpoint: `10.0.0.${other + 1}:51820`,
        }],
      });
    }
    await a.run(["ping", "-c", "3", "-i", "0.2", "-W", "5", "10.7.0.2"]);
    // Keys in every wrong place of a request: what is wrong is logged, the key is not.
    const [secret = new Uint8Array(32)] = secrets;
    for (const spelling of [secret.toHex(), secret.toBase64()]) {
      for (
        const request of [
          `${spelling}\n`,
          `set=1\n${spelling}\n\n`,
          `set=1\n${spelling}=1\n\n`,
          `set=1\nlisten_port=${spelling}\n\n`,
          `set=1\npublic_key=${"00".repeat(31)}01\nendpoint=${spelling}\n\n`,
          `set=1\npublic_key=${"00".repeat(31)}01\npreshared_key=${spelling}0\n\n`,
          `set=1\nprivate_key=${spelling}0\n\n`,
        ]
      ) {
        await say(a.outside("/run/wireguard/wg0.sock"), request);
      }
    }
    const proc = await Promise.all(devices.map(async (device) => {
      const pid = await device.pid();
      return [
        await Deno.readFile(`/proc/${pid}/cmdline`),
        await Deno.readFile(`/proc/${pid}/environ`),
      ];
    }));
    await Promise.all(devices.map((device) => device.stop()));
    const log = await Deno.readFile(a.outside("/run/log"));
    assert.match(new TextDecoder().decode(log), /session with/, "the log says much");
    assert.match(new TextDecoder().decode(log), /refused with EINVAL/);
    const pcap = await wire.close();
    assert.ok(pcap.length > 1000, "packets were caught");
    const haystacks = [...proc.flat(), log, pcap, await Deno.readFile(b.outside("/run/log"))];
    for (const [i, secret] of secrets.entries()) {
      for (const [j, haystack] of haystacks.entries()) {
        assert.ok(!contains(haystack, secret), `secret ${i} stands in haystack ${j}`);
      }
    }
  },
);
