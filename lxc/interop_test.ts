/** T9: our WireGuard mode beside every other implementation. Run one pairing alone: `--filter boringtun`. */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Device, type DeviceOptions, type KeyPair, makeKeys } from "./device.ts";
import { exchange } from "./exchange.ts";
import type { Host } from "./host.ts";
import { Lab } from "./lab.ts";
import { type Implementation, PEERS, seekPeer, shoal } from "./peers.ts";
import { missingRight } from "./right.ts";

const MEGABYTE = 1 << 20;
const OUTER = { 4: ["10.0.0.1", "10.0.0.2"], 6: ["fd00::1", "fd00::2"] } as const;
const INNER = { 4: ["10.7.0.1", "10.7.0.2"], 6: ["fd07::1", "fd07::2"] } as const;
const PORT = 51820;

interface Case {
  /** Which side sends the first packet; the other one is told no endpoint. */
  readonly initiator: 0 | 1;
  readonly psk: boolean;
  readonly inner: 4 | 6;
  readonly outer: 4 | 6;
}

const cases: Case[] = ([0, 1] as const).flatMap((initiator) =>
  [false, true].flatMap((psk) =>
    ([4, 6] as const).flatMap((inner) =>
      ([4, 6] as const).map((outer) => ({ initiator, psk, inner, outer }))
    )
  )
);

interface Side {
  readonly host: Host;
  readonly keys: KeyPair;
  readonly implementation: Implementation;
}

async function open(
  lab: Lab,
  implementations: readonly [Implementation, Implementation],
): Promise<[Side, Side]> {
  const hosts = [await lab.host("a"), await lab.host("b")] as const;
  await lab.link(hosts[0], hosts[1], {
    a: { addresses: [`${OUTER[4][0]}/24`, `${OUTER[6][0]}/64`] },
    b: { addresses: [`${OUTER[4][1]}/24`, `${OUTER[6][1]}/64`] },
  });
  const side = async (i: 0 | 1) => ({
    host: hosts[i],
    keys: await makeKeys(hosts[i]),
    implementation: implementations[i],
  });
  return [await side(0), await side(1)];
}

/** What side `i` is configured with when it knows (or does not know) where the other one is. */
function options(
  sides: readonly [Side, Side],
  i: 0 | 1,
  the: Case,
  psk: string | undefined,
): DeviceOptions {
  const other = i === 0 ? 1 : 0;
  const outer = OUTER[the.outer][other];
  const bits = the.inner === 4 ? 32 : 128;
  return {
    privateKey: sides[i].keys.privateKey,
    port: PORT,
    addresses: [`${INNER[the.inner][i]}/${bits}`],
    peers: [{
      publicKey: sides[other].keys.publicKey,
      allowedIps: [`${INNER[the.inner][other]}/${bits}`],
      presharedKey: psk,
      endpoint: i === the.initiator
        ? `${the.outer === 6 ? `[${outer}]` : outer}:${PORT}`
        : undefined,
    }],
  };
}

/** Runs `body` with a device on each side, started afresh and stopped afterwards. */
async function withDevices(
  sides: readonly [Side, Side],
  the: Case,
  psks: readonly [string | undefined, string | undefined],
  body: (devices: [Device, Device]) => Promise<void>,
): Promise<void> {
  const start = (i: 0 | 1) => Device.start(sides[i].host, sides[i].implementation);
  const devices = await Promise.all([start(0), start(1)]);
  try {
    await devices[0].configure(options(sides, 0, the, psks[0]));
    await devices[1].configure(options(sides, 1, the, psks[1]));
    await body(devices);
  } finally {
    await Promise.all(devices.map((device) => device.stop()));
  }
}

async function passes(sides: readonly [Side, Side], the: Case): Promise<void> {
  const responder = the.initiator === 0 ? 1 : 0;
  const psk = the.psk ? (await sides[0].host.run(["wg", "genpsk"])).stdout.trim() : undefined;
  await withDevices(sides, the, [psk, psk], async (devices) => {
    // The responder knows no endpoint, so that the first handshake can only be the initiator's.
    const to = INNER[the.inner][responder];
    // A lost first handshake is tried again after five seconds (R6): one answer in fifteen is asked.
    await sides[the.initiator].host.run(["ping", "-c", "1", "-w", "15", to]);
    await exchange(sides[the.initiator].host, sides[responder].host, to, MEGABYTE);
    for (const i of [0, 1] as const) {
      const other = sides[i === 0 ? 1 : 0].keys.publicKey;
      const { rx, tx } = await devices[i].transfer(other);
      assert(rx > MEGABYTE && tx > MEGABYTE, `${sides[i].host.name} counted rx ${rx}, tx ${tx}`);
    }
    // Ours only: boringtun puts the age of the handshake where the time of it belongs.
    const age = Date.now() / 1000 - await devices[0].lastHandshake(sides[1].keys.publicKey);
    assert(age >= -1 && age < 30, `wg show tells of a handshake ${age} s ago`);
  });
}

const right = await missingRight();
const ours = await shoal();

for (const name of PEERS) {
  const sought = right === undefined ? await seekPeer(name) : undefined;
  const lack = { right, thing: sought?.missing };
  testUnless(
    lack,
    `T9: shoal and ${name} exchange a megabyte each way in every combination`,
    async (t) => {
      assert(sought?.found !== undefined);
      await using lab = await Lab.open();
      const sides = await open(lab, [ours, sought.found]);
      for (const the of cases) {
        const initiator = the.initiator === 0 ? "shoal" : name;
        const psk = the.psk ? "with" : "without";
        await t.step(
          `${initiator} initiates ${psk} PSK, IPv${the.inner} in IPv${the.outer}`,
          () => passes(sides, the),
        );
      }
      await t.step("with PSKs that differ nothing passes (R24)", async () => {
        const the: Case = { initiator: 0, psk: true, inner: 4, outer: 4 };
        const psk = async () => (await sides[0].host.run(["wg", "genpsk"])).stdout.trim();
        await withDevices(sides, the, [await psk(), await psk()], async (devices) => {
          const { code } = await sides[0].host.run(["ping", "-c", "1", "-W", "1", INNER[4][1]], {
            check: false,
          });
          assert.equal(code, 1);
          assert.equal(await devices[0].lastHandshake(sides[1].keys.publicKey), 0);
        });
      });
    },
  );
}
