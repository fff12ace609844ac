/** The typed device over the real library. No interface is made, so no right is needed. */
import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { Datagram } from "../mesh/machine.ts";
import type { Core } from "./core.ts";
import { corePath, loadCore } from "./core.ts";
import { CoreError } from "./core_error.ts";
import { Device, type DeviceOptions } from "./device.ts";
import type { Mail } from "./mail.ts";

function isBuilt(): boolean {
  try {
    Deno.statSync(corePath());
    return true;
  } catch {
    return false;
  }
}

const lack = { thing: isBuilt() ? undefined : `no core library at ${corePath()}` };
const LOOPBACK = Uint8Array.of(127, 0, 0, 1);

function open(core: Core, options: Partial<DeviceOptions> = {}): Device {
  return Device.open(core, {
    tun: { kind: "none" },
    isWireGuardOnly: false,
    seed: crypto.getRandomValues(new Uint8Array(32)),
    ...options,
  });
}

function withDevice(
  body: (device: Device, core: Core) => void | Promise<void>,
  options: Partial<DeviceOptions> = {},
): () => Promise<void> {
  return async () => {
    const core = loadCore();
    const device = open(core, options);
    try {
      await body(device, core);
    } finally {
      device.close();
    }
  };
}

function refused(status: string, work: () => unknown): CoreError {
  let thrown: unknown;
  try {
    work();
  } catch (error) {
    thrown = error;
  }
  assert.ok(thrown instanceof CoreError, `${thrown}`);
  assert.equal(thrown.status, status);
  return thrown;
}

testUnless(lack, "the library tells its names", () => {
  const core = loadCore();
  assert.deepEqual([...core.offloads.values()], [
    "tun-tso",
    "tun-uso",
    "udp-gso",
    "udp-gro",
    "queue-control",
    "connected-sockets",
    "lanes",
  ]);
  // The others are there where the machine has the library, or the instructions.
  const some = ["ipsec-mb", "shoal-avx512", "shoal-avx2"];
  assert.deepEqual(core.aeads.filter((name) => !some.includes(name)), ["openssl", "libsodium"]);
  assert.ok(core.counters.some((name) => name.startsWith("drop_")));
  assert.equal(new Set(core.counters).size, core.counters.length);
});

testUnless(
  lack,
  "a device without interface opens, says what it is, and closes",
  withDevice((device) => {
    const info = device.info();
    assert.deepEqual([info.ifname, info.ifindex, info.port, info.io], ["", 0, 0, "poll"]);
    const name = "(openssl|libsodium|ipsec-mb|shoal-avx512|shoal-avx2)";
    const sizes = `(${name} up to \\d+ bytes, ){0,2}${name}( above)?`;
    const words = new RegExp(`^${sizes}(, alone ${sizes})?$`);
    assert.match(info.aead, words);
    if (info.aeadGcm !== "") assert.match(info.aeadGcm, words);
    assert.ok(info.doorbellFd > 2 && info.workers >= 1);
  }),
);

testUnless(lack, "a handle that is gone is stale for ever", () => {
  const core = loadCore();
  const device = open(core);
  device.close();
  refused("E_STALE", () => device.info());
  const next = open(core);
  refused("E_STALE", () => device.info());
  next.close();
});

testUnless(
  lack,
  "a removed peer's handle is stale, an unknown prefix or endpoint is refused",
  withDevice((device) => {
    const peer = device.addPeer(7);
    const prefix = { address: Uint8Array.of(10, 0, 0, 0), length: 8 };
    device.addRoute(peer, prefix);
    device.removeRoute(peer, prefix);
    refused(
      "E_INVALID",
      () => device.addRoute(peer, { address: Uint8Array.of(10, 0, 0, 1), length: 8 }),
    );
    assert.throws(
      () => device.addRoute(peer, { address: new Uint8Array(5), length: 8 }),
      RangeError,
    );
    device.removePeer(peer);
    for (
      const work of [
        () => device.facts(peer),
        () => device.addRoute(peer, prefix),
        () => device.arm(peer, ["sessionNeeded"]),
        () => device.keepalive(peer, false),
        () => device.removePeer(peer),
      ]
    ) refused("E_STALE", work);
  }),
);

testUnless(
  lack,
  "a session leaves its keys nowhere on this side (R65)",
  withDevice((device) => {
    const peer = device.addPeer(1);
    const session = {
      role: "initiator",
      suite: "chacha20-poly1305",
      localIndex: 1,
      remoteIndex: 2,
      sendKey: crypto.getRandomValues(new Uint8Array(32)),
      receiveKey: crypto.getRandomValues(new Uint8Array(32)),
      birth: 1,
      rekeyAfterTime: 0,
      rekeyOnReceive: 0,
      rekeyAfterMessages: 0n,
    } as const;
    device.installSession(peer, session);
    assert.deepEqual([...session.sendKey, ...session.receiveKey], Array(64).fill(0));
    session.sendKey.fill(1);
    refused("E_EXISTS", () => device.installSession(peer, session));
    assert.deepEqual([...session.sendKey], Array(32).fill(0), "a refused one is wiped, too");
    session.sendKey.fill(1);
    assert.throws(() => device.installSession(peer, { ...session, birth: NaN }), RangeError);
    assert.deepEqual([...session.sendKey], Array(32).fill(0), "and one that cannot be written");
  }),
);

testUnless(lack, "the copy of a session's keys that core reads is wiped, too (R65)", () => {
  const core = loadCore();
  let given: Uint8Array | undefined;
  const spy: Core = {
    ...core,
    calls: {
      ...core.calls,
      shoal_session_install(device, peer, session, size) {
        given = session as Uint8Array;
        assert.ok(given.includes(0xaa) && given.includes(0xbb));
        return core.calls.shoal_session_install(device, peer, session, size);
      },
    },
  };
  const device = open(spy);
  device.installSession(device.addPeer(1), {
    role: "responder",
    suite: "chacha20-poly1305",
    localIndex: 1,
    remoteIndex: 2,
    sendKey: new Uint8Array(32).fill(0xaa),
    receiveKey: new Uint8Array(32).fill(0xbb),
    birth: 1,
    rekeyAfterTime: 0,
    rekeyOnReceive: 0,
    rekeyAfterMessages: 0n,
  });
  assert.ok(given?.every((byte) => byte === 0));
  device.close();
});

testUnless(lack, "edges and keepalives go down with their flags", () => {
  const core = loadCore();
  const flags: number[] = [];
  const spy: Core = {
    ...core,
    calls: {
      ...core.calls,
      shoal_peer_arm: (_device, _peer, edges) => flags.push(edges) * 0,
      shoal_peer_keepalive: (_device, _peer, given) => flags.push(given) * 0,
    },
  };
  const device = open(spy);
  const peer = device.addPeer(1);
  device.arm(peer, ["sessionNeeded"]);
  device.arm(peer, ["unansweredData"]);
  device.arm(peer, ["unsentReply", "sessionNeeded"]);
  assert.equal(device.keepalive(peer, false), true);
  assert.equal(device.keepalive(peer, true), true);
  assert.deepEqual(flags, [1, 2, 5, 0, 1]);
  device.close();
});

testUnless(
  lack,
  "a keepalive without a session that may send is no error",
  withDevice((device) => {
    assert.equal(device.keepalive(device.addPeer(1), true), false);
  }),
);

testUnless(
  lack,
  "a busy port names the call and EADDRINUSE, and the device stays as it was",
  withDevice((device, core) => {
    const port = device.bind(0, 0);
    const other = open(core);
    try {
      const error = refused("E_SYSTEM", () => other.bind(port, 0));
      assert.equal(error.errnoName, "EADDRINUSE");
      assert.match(error.message, /EADDRINUSE/);
      assert.equal(other.info().port, 0);
      assert.equal(device.info().port, port);
    } finally {
      other.close();
    }
  }),
);

testUnless(lack, "names that this build lacks, and names that do not fit, are refused", () => {
  const core = loadCore();
  refused("E_UNKNOWN", () => open(core, { aead: "rot13" }));
  refused("E_UNKNOWN", () => open(core, { without: ["warp"] }));
  assert.throws(() => open(core, { aead: "x".repeat(32) }), RangeError);
  assert.throws(() => open(core, { tun: { kind: "create", name: "y".repeat(16) } }), RangeError);
});

testUnless(
  lack,
  "offloads switch off by name and on again where the kernel grants them",
  withDevice((device) => {
    const granted = Object.keys(device.info().offloads);
    device.setOffloads(granted, false);
    assert.ok(Object.values(device.info().offloads).every((isOn) => !isOn));
    device.setOffloads(granted, true);
    assert.ok(Object.values(device.info().offloads).every((isOn) => isOn));
  }),
);

/** Drains until the box was found empty `quiet` times in a row, 1 ms apart. */
async function drainAll(device: Device, visit: (mail: Mail) => void, quiet = 20): Promise<void> {
  for (let empty = 0; empty < quiet;) {
    if (device.drain(visit)) empty = 0;
    else {
      empty++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

testUnless(
  lack,
  "a datagram that is no WireGuard message arrives with its bytes, its source and our address",
  withDevice(async (device, core) => {
    const other = open(core);
    try {
      const port = device.bind(0, 0);
      const otherPort = other.bind(0, 0);
      const bytes = Uint8Array.from({ length: 100 }, (_, i) => i === 0 ? 0x80 : i);
      const to = { address: LOOPBACK, port, scope: 0 };
      assert.equal(other.send({ bytes, to }), "sent");
      const mails: Mail[] = [];
      await drainAll(device, (mail) => mails.push(mail));
      assert.equal(mails.length, 1);
      const [mail] = mails;
      assert.ok(mail?.kind === "datagram");
      assert.deepEqual(mail.arrival.bytes, bytes);
      assert.deepEqual(mail.arrival.from, { address: LOOPBACK, port: otherPort, scope: 0 });
      assert.deepEqual(mail.arrival.source?.address, LOOPBACK);
    } finally {
      other.close();
    }
  }),
);

testUnless(
  lack,
  "a datagram that cannot leave is reported as lost, not thrown",
  withDevice((device) => {
    const to = { address: LOOPBACK, port: 9, scope: 0 };
    assert.equal(device.send({ bytes: new Uint8Array(32), to }), "unsent", "not bound");
    device.bind(0, 0);
    const reserved = { address: Uint8Array.of(255, 255, 255, 255), port: 9, scope: 0 };
    assert.equal(device.send({ bytes: new Uint8Array(32), to: reserved }), "unsent", "EACCES");
  }),
);

testUnless(
  lack,
  "a datagram that nobody could send is refused, not thrown: whoever answers need not look",
  withDevice((device) => {
    const port = device.bind(0, 0);
    const to = { address: LOOPBACK, port, scope: 0 };
    const bytes = new Uint8Array(32);
    const mapped = Uint8Array.fromHex("00000000000000000000ffff7f000001");
    for (
      const [what, datagram] of Object.entries<Datagram>({
        "port 0": { bytes, to: { ...to, port: 0 } },
        "IPv4 written as IPv6": { bytes, to: { ...to, address: mapped } },
        "no address": { bytes, to: { ...to, address: new Uint8Array(0) } },
        "an address of 5 bytes": { bytes, to: { ...to, address: new Uint8Array(5) } },
        "a source of 5 bytes": { bytes, to, from: { address: new Uint8Array(5), ifindex: 0 } },
        "a source of the other family": {
          bytes,
          to,
          from: { address: new Uint8Array(16), ifindex: 0 },
        },
        "no bytes": { bytes: new Uint8Array(0), to },
        "too many bytes": { bytes: new Uint8Array(1501), to },
        "a traffic class above 255": { bytes, to, tos: 256 },
      })
    ) assert.equal(device.send(datagram), "refused", what);
    assert.equal(device.send({ bytes, to }), "sent");
  }),
);

testUnless(
  lack,
  "T32: a million calls and a hundred thousand mails under garbage collection",
  withDevice(async (device) => {
    const port = device.bind(0, 0);
    const datagram: Datagram = {
      bytes: new Uint8Array(64).fill(0x80),
      to: { address: LOOPBACK, port, scope: 0 },
    };
    let calls = 0;
    let mails = 0;
    let garbage: unknown[] = [];
    const peer = device.addPeer(1);
    while (calls < 1_000_000 || mails < 100_000) {
      for (let i = 0; i < 200 && mails < 100_000; i++) device.send(datagram);
      for (let i = 0; i < 2000; i++) {
        garbage.push(device.facts(peer));
        device.clearSource(peer);
      }
      if (garbage.length > 50_000) garbage = [];
      calls += 4200;
      await drainAll(device, () => mails++, 1);
    }
    await drainAll(device, () => mails++);
    assert.ok(mails >= 100_000);
    assert.equal(device.facts(peer).txBytes, 0);
  }),
);

async function run(script: string): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", script],
    env: { NO_COLOR: "1" },
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

const OPEN = `
import { loadCore } from "${import.meta.resolve("./core.ts")}";
import { Device } from "${import.meta.resolve("./device.ts")}";
const device = Device.open(loadCore(), {
  tun: { kind: "none" }, isWireGuardOnly: true, seed: new Uint8Array(32),
});
device.bind(0, 0);
`;

testUnless(
  lack,
  "T32: an uncaught error with workers running ends with its message and code 1",
  async () => {
    for (let i = 0; i < 5; i++) {
      const { code, stderr } = await run(
        `${OPEN} setTimeout(() => { throw new Error("boom") }, 5);`,
      );
      assert.equal(code, 1, stderr);
      assert.match(stderr, /Uncaught .*Error: boom/);
    }
  },
);

testUnless(lack, "T32: a process that just ends with a device open ends", async () => {
  const { code, stderr } = await run(OPEN);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
});

testUnless(
  lack,
  "T32: a web worker that is terminated with a device open harms nobody",
  async () => {
    const source = `data:application/typescript,${
      encodeURIComponent(`${OPEN} self.postMessage("open");`)
    }`;
    const { code, stderr } = await run(`
    ${OPEN}
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(${JSON.stringify(source)}, { type: "module" });
      await new Promise((resolve, reject) => {
        worker.onmessage = resolve;
        worker.onerror = reject;
      });
      worker.terminate();
      device.info();
    }
    device.close();
  `);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  },
);

async function compiled(source: string, body: (path: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-abi-" });
  try {
    await Deno.writeTextFile(`${folder}/lib.c`, source);
    const { success } = await new Deno.Command("cc", {
      args: ["-shared", "-fPIC", "-o", `${folder}/lib.so`, `${folder}/lib.c`],
    }).output();
    assert.ok(success);
    body(`${folder}/lib.so`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("T32: a library of another ABI version is refused in one line, before anything else", async () => {
  await compiled("unsigned shoal_abi_version(void) { return 4711; }", (path) => {
    assert.throws(
      () => loadCore(path),
      (error) =>
        error instanceof Error && !error.message.includes("\n") &&
        /ABI version 4711, this program needs \d+: build it again/.test(error.message),
    );
  });
});

Deno.test("a file that is missing or no library of ours is refused in one line", async () => {
  assert.throws(
    () => loadCore("/nonexistent/libshoal.so"),
    /^Error: core: cannot load .*make -C core lib/,
  );
  await compiled("int x;", (path) => {
    assert.throws(() => loadCore(path), /^Error: core: cannot load /);
  });
});
