/** What a service manager hears, by the library that it comes with: a socket as systemd has one. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../../.ci/folder.ts";
import { testUnless } from "../../.ci/skip.ts";
import { Systemd } from "../../ffi/systemd.ts";
import type { NodeEvent } from "../../mesh/event.ts";
import { Failure } from "../exit.ts";
import { ServiceManager } from "./manager.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;
const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
}).symbols;

/** The manager's end. */
class Heard implements Disposable {
  readonly #fd = libc.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK, 0);

  /** @param name a path, or `@` and a name of the abstract namespace */
  constructor(name: string) {
    const path = new TextEncoder().encode(name.replace(/^@/, "\0"));
    const address = new Uint8Array(2 + path.length);
    address[0] = AF_UNIX;
    address.set(path, 2);
    assert.equal(libc.bind(this.#fd, address, address.length), 0, name);
  }

  /** What came since this was asked last, a datagram each. */
  take(): string[] {
    const all: string[] = [];
    const bytes = new Uint8Array(4096);
    while (true) {
      const length = Number(libc.recv(this.#fd, bytes, BigInt(bytes.length), 0));
      if (length < 0) return all;
      all.push(new TextDecoder().decode(bytes.subarray(0, length)));
    }
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

function thing(): string | undefined {
  try {
    Systemd.load();
    return undefined;
  } catch (error) {
    return String(error);
  }
}
const lack = { thing: thing() };

/** A manager with a socket of this name, and a watchdog of so many µs. */
function withManager(
  name: string,
  usec: string,
  body: (manager: ServiceManager, heard: Heard) => void,
) {
  using heard = new Heard(name);
  Deno.env.set("NOTIFY_SOCKET", name);
  if (usec !== "") Deno.env.set("WATCHDOG_USEC", usec);
  try {
    const manager = ServiceManager.find((variable) => Deno.env.get(variable));
    assert(manager);
    body(manager, heard);
  } finally {
    for (const variable of ["NOTIFY_SOCKET", "WATCHDOG_USEC"]) Deno.env.delete(variable);
  }
}

const addresses: NodeEvent = {
  kind: "addresses",
  ip4: Uint8Array.of(100, 64, 0, 1),
  ip6: undefined,
  pool: { address: Uint8Array.of(100, 64, 0, 0), length: 10 },
};
const joined: NodeEvent = { kind: "joined", seed: undefined };
const READY = "READY=1\nSTATUS=member of the mesh";

testUnless(
  lack,
  "a node is ready once it has addresses, is a member and its control socket answers, and says so once",
  () =>
    inFolder((dir) => {
      const steps = {
        addresses: (manager: ServiceManager) => manager.hear(addresses),
        joined: (manager: ServiceManager) => manager.hear(joined),
        serving: (manager: ServiceManager) => manager.serving(),
      };
      const names = ["addresses", "joined", "serving"] as const;
      const orders = names.flatMap((a) =>
        names.flatMap((b) => names.map((c) => [a, b, c] as const))
      )
        .filter((order) => new Set(order).size === 3);
      assert.equal(orders.length, 6);
      for (const [i, order] of orders.entries()) {
        withManager(join(dir, String(i)), "", (manager, heard) => {
          for (const step of order.slice(0, 2)) steps[step](manager);
          assert.deepEqual(heard.take(), [], order.join());
          steps[order[2]](manager);
          assert.deepEqual(heard.take(), [READY], order.join());
          for (const step of names) steps[step](manager);
          assert.deepEqual(heard.take(), [], "once");
        });
      }
    }),
);

testUnless(
  lack,
  "a node that has no address yet is not ready",
  () =>
    inFolder((dir) =>
      withManager(join(dir, "notify"), "", (manager, heard) => {
        manager.hear({ ...addresses, ip4: undefined });
        manager.hear(joined);
        manager.serving();
        assert.deepEqual(heard.take(), []);
        manager.hear(addresses);
        assert.deepEqual(heard.take(), [READY]);
      })
    ),
);

testUnless(
  lack,
  "a socket in the abstract namespace is spoken to, too",
  () =>
    withManager(`@shoal-test-${Deno.pid}`, "", (manager, heard) => {
      manager.stopping();
      assert.deepEqual(heard.take(), ["STOPPING=1\nSTATUS=stopping"]);
    }),
);

testUnless(
  lack,
  "what others wrote is one line of the status, and a short one",
  () =>
    inFolder((dir) =>
      withManager(join(dir, "notify"), "", (manager, heard) => {
        manager.hear({ kind: "joinFailed", seed: "x", why: "seed x\nREADY=1" });
        manager.hear({ kind: "joinPending", seed: "y".repeat(9_000) });
        const [first = "", second = ""] = heard.take();
        assert.equal(first, "STATUS=seed x\\u000aREADY=1");
        assert(second.length < 500 && second.startsWith("STATUS=yyy"));
      })
    ),
);

testUnless(
  lack,
  "four beats come in the watchdog's time, and none where nobody watches",
  () =>
    inFolder((dir) => {
      withManager(join(dir, "watched"), "30000000", (manager, heard) => {
        assert.equal(manager.heartbeat?.everyMs, 7_500);
        manager.heartbeat.beat();
        assert.deepEqual(heard.take(), ["WATCHDOG=1"]);
      });
      withManager(join(dir, "alone"), "", (manager) => assert.equal(manager.heartbeat, undefined));
    }),
);

testUnless(lack, "a manager that is gone ends nothing", () =>
  inFolder((dir) => {
    Deno.env.set("NOTIFY_SOCKET", join(dir, "nobody"));
    try {
      ServiceManager.find((variable) => Deno.env.get(variable))?.stopping();
    } finally {
      Deno.env.delete("NOTIFY_SOCKET");
    }
  }));

Deno.test("without a service manager there is none, and without its library one cannot be told", () => {
  assert.equal(ServiceManager.find(() => undefined), undefined);
  assert.throws(
    () => Systemd.load("libnothing.so.0"),
    /cannot load libnothing\.so\.0 .*install libsystemd0/,
  );
  Deno.env.set("NOTIFY_SOCKET", "/run/x");
  Deno.env.set("WATCHDOG_USEC", "soon");
  try {
    assert.throws(
      () => ServiceManager.find((variable) => Deno.env.get(variable)),
      (error) => error instanceof Failure && /sd_watchdog_enabled: EINVAL/.test(error.message),
    );
  } finally {
    for (const variable of ["NOTIFY_SOCKET", "WATCHDOG_USEC"]) Deno.env.delete(variable);
  }
});
