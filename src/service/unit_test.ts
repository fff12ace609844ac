import assert from "node:assert/strict";
import { rightsIn, unitText } from "./unit.ts";

const ALL = (1n << 41n) - 1n;

Deno.test("a unit has the three rights, and none that this machine cannot give", () => {
  assert.deepEqual(rightsIn(ALL), ["CAP_NET_ADMIN", "CAP_BPF", "CAP_NET_BIND_SERVICE"]);
  const rights = rightsIn(ALL & ~(1n << 39n));
  assert.deepEqual(rights, ["CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE"]);
  const text = unitText("/opt/bin/shoal", rights);
  assert.match(text, /^AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE$/m);
  assert.doesNotMatch(text, /bpf/i);
  assert.match(unitText("/opt/bin/shoal", rightsIn(ALL)), /^SystemCallFilter=bpf$/m);
});

Deno.test("no line of a unit is cut or empty where systemd would take it for another", () => {
  const lines = unitText("/opt/bin/shoal", rightsIn(ALL)).split("\n");
  for (const line of lines) {
    assert.match(line, /^(?:#.*|\[\w+\]|[A-Z]\w+=\S.*|StartLimitIntervalSec=0|)$/);
    assert.doesNotMatch(line, /\\$|undefined/);
  }
});
