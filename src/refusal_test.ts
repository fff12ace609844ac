import assert from "node:assert/strict";
import { constants } from "node:os";
import { CoreError } from "../ffi/core_error.ts";
import type { Device } from "../ffi/device.ts";
import { Status } from "../ffi/header.ts";
import { Failure } from "./exit.ts";
import { bind } from "./opening.ts";
import { explainOpen } from "./refusal.ts";

const LACKING = [
  ["EMFILE", /no descriptor is free: raise the limit \(ulimit -n\)$/],
  ["ENFILE", /no descriptor of this machine is free: raise the limit/],
  ["ENOMEM", /no memory is free/],
  ["ENOBUFS", /no memory of the kernel is free/],
] as const;

function refused(call: string, errno: keyof typeof constants.errno, what: string): CoreError {
  return new CoreError(call, Status.E_SYSTEM, constants.errno[errno], what);
}

Deno.test("what fails for want of descriptors or memory says so, and not to choose another port or name", () => {
  for (const [errno, advice] of LACKING) {
    const device = {
      bind() {
        throw refused("device_bind", errno, "socket");
      },
    } as unknown as Device;
    for (const listen of [undefined, 0, 4500]) {
      assert.throws(() => bind(device, 51820, listen), (error) => {
        assert(error instanceof Failure);
        assert.match(error.message, advice);
        return !/--listen/.test(error.message);
      });
    }
    const error = explainOpen("wg", refused("device_open", errno, "worker"), { ifname: "wg0" });
    assert(error instanceof Failure);
    assert.match(error.message, advice);
  }
});

Deno.test("a port that is taken, or that is not this user's, is to be chosen anew", () => {
  for (const errno of ["EADDRINUSE", "EACCES"] as const) {
    const device = {
      bind() {
        throw refused("device_bind", errno, "bind");
      },
    } as unknown as Device;
    assert.throws(() => bind(device, 51820, 53), /choose another by --listen$/);
  }
});

Deno.test("a WireGuard interface that is there already: how to see whether a device runs on it", () => {
  const busy = refused("device_open", "EBUSY", "worker");
  const said = (program: string) => String(explainOpen(program, busy, { ifname: "wg0" }));
  assert.match(
    said("wg"),
    /exists already .*: 'wg show wg0' answers where a device runs there; choose/,
  );
  assert.doesNotMatch(said("node"), /wg show/);
});
