import assert from "node:assert/strict";
import { follow, stagesOf } from "./stages.ts";

const echo = (time: string, kind: string, number: number) =>
  `${time} IP 10.7.0.1 > 10.7.0.2: ICMP echo ${kind}, id 7, seq ${number}, length 308`;
const data = (time: string, from: number, to: number) =>
  `${time} IP 10.0.0.${from}.51820 > 10.0.0.${to}.51820: UDP, length 368`;
const text = (...lines: string[]) => lines.join("\n") + "\n";

const aTun = text(echo("100.000000000", "request", 1), echo("100.000800000", "reply", 1));
const aWire = text(data("100.000100000", 1, 2), data("100.000700000", 2, 1));
const bWire = text(data("100.000110000", 1, 2), data("100.000650000", 2, 1));
const bTun = text(echo("100.000400000", "request", 1), echo("100.000410000", "reply", 1));

Deno.test("a ping that was seen at all eight places is split into its stages", () => {
  const seen = follow({ aTun, aWire, bWire, bTun });
  assert.deepEqual(seen, [
    [100, 100.0001, 100.00011, 100.0004, 100.00041, 100.00065, 100.0007, 100.0008],
  ]);
  assert.deepEqual(stagesOf(seen).map(({ p50 }) => Math.round(p50)), [
    ...[100, 10, 290, 10, 240, 50, 100],
    800,
  ]);
});

Deno.test("what crosses the wire before or after a ping is not its message", () => {
  const early = data("99.999900000", 1, 2);
  const late = data("100.000900000", 2, 1);
  const seen = follow({ aTun, aWire: text(early) + aWire + text(late), bWire, bTun });
  assert.deepEqual(seen[0]?.[1], 100.0001);
  assert.deepEqual(seen[0]?.[6], 100.0007);
});

Deno.test("a ping that one place has not seen is left out", () => {
  assert.deepEqual(follow({ aTun, aWire: "", bWire, bTun }), []);
  assert.deepEqual(follow({ aTun, aWire, bWire: text(data("100.000110000", 1, 2)), bTun }), []);
  const lost = text(echo("100.000400000", "request", 1));
  assert.deepEqual(follow({ aTun, aWire, bWire, bTun: lost }), []);
});
