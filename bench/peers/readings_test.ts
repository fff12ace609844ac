/** What other programs said, recorded once, is read for what it meant. */

import assert from "node:assert/strict";
import { dropsBetween, readDrops } from "./drops.ts";
import { floodRefusal, readFlood, readStream } from "./iperf.ts";
import { pingsIn, readPing, tails } from "./ping.ts";
import { readRequests } from "./requests.ts";

const recorded = (name: string) =>
  Deno.readTextFileSync(new URL(`recorded/${name}`, import.meta.url));

Deno.test("iperf: of a stream the receiver's bytes and time count, and the sender's retransmits", () => {
  assert.deepEqual(readStream(recorded("iperf_tcp.txt")), {
    bytes: 58_046_608,
    seconds: 1.004093,
    retransmits: 347,
  });
});

Deno.test("iperf: of a flood what arrived is counted by its bytes, what was sent by packets", () => {
  assert.deepEqual(readFlood(recorded("iperf_udp.txt"), 1372), {
    sent: 259_260,
    received: 43_413,
    seconds: 1.000383,
  });
});

Deno.test("iperf: what it complains of is told in its own words", () => {
  assert.throws(
    () => readStream(recorded("iperf_refused.txt")),
    /^Error: iperf3: unable to connect to server: Connection refused$/,
  );
});

Deno.test("iperf: an account that is cut off is none", () => {
  const cut = recorded("iperf_tcp.txt").slice(0, 500);
  assert.throws(() => readStream(cut), /^Error: iperf3 gave no account: /);
  assert.throws(() => readStream('{"end":{}}'), /iperf3's account has no bytes/);
});

Deno.test("iperf: a machine that refuses large sockets is told what to set", () => {
  assert.equal(floodRefusal(4_194_304, 4_194_304), undefined);
  assert.match(
    floodRefusal(212_992, 4_194_304) ?? "",
    /allows 212992: sysctl -w net.core.rmem_max=4194304 net.core.wmem_max=4194304$/,
  );
});

Deno.test("ping: every round trip is a sample, and what was not answered is none", () => {
  const { sent, ms } = readPing(recorded("fping.txt"));
  assert.equal(sent, 20);
  assert.equal(ms.length, 20);
  assert.deepEqual([ms[0], ms[19]], [0.526, 0.074]);
  const lost = recorded("fping.txt")
    .replace("[19], 64 bytes, 0.074 ms (0.179 avg, 0% loss)", "[19], timed out (NaN avg, 5% loss)");
  assert.equal(readPing(lost).ms.length, 19);
  assert.throws(() => readPing("nowhere: Name or service not known"), /not known/);
});

Deno.test("ping: a tail is told of enough samples only", () => {
  const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
  assert.deepEqual(tails(upTo(999)), { p50: 500, p99: NaN, p999: NaN });
  assert.deepEqual(tails(upTo(1_000)), { p50: 500, p99: 990, p999: NaN });
  assert.deepEqual(tails(upTo(10_000)), { p50: 5_000, p99: 9_900, p999: 9_990 });
});

Deno.test("ping: a thousand samples take two seconds", () => {
  assert.equal(pingsIn(2), 1_000);
});

Deno.test("sockperf: answers are counted over the time that it calls valid", () => {
  assert.deepEqual(readRequests(recorded("sockperf.txt")), { answered: 4677, seconds: 0.55 });
  assert.throws(() => readRequests("sockperf: ERROR: no route"), /no route/);
});

Deno.test("drops: each place has its own counter", () => {
  assert.deepEqual(readDrops(recorded("drops_sender.txt"), 4242), {
    tun: 183_170,
    queue: 0,
    outer: 0,
    inner: 0,
    backlog: 0,
  });
  assert.deepEqual(readDrops(recorded("drops_receiver.txt"), 4242), {
    tun: 0,
    queue: 0,
    outer: 33_024,
    inner: 0,
    backlog: 0,
  });
});

Deno.test("drops: what is not the tunnel's socket is one of those who talk through it", () => {
  const { outer, inner } = readDrops(recorded("drops_receiver.txt"), undefined);
  assert.deepEqual([outer, inner], [0, 33_024]);
});

Deno.test("drops: queues before a device and before a core are read, in their own digits", () => {
  const text = recorded("drops_sender.txt")
    .replace('"drops":0', '"drops":17')
    .replace(/^(00d6fd5c) 00000000/m, "$1 0000001f");
  const { queue, backlog } = readDrops(text, 4242);
  assert.deepEqual([queue, backlog], [17, 31]);
});

Deno.test("drops: of two readings the growth counts", () => {
  const at = (tun: number, inner: number) => ({ tun, queue: 0, outer: 1, inner, backlog: 0 });
  assert.deepEqual(dropsBetween(at(5, 9), at(12, 3)), {
    tun: 7,
    queue: 0,
    outer: 0,
    inner: 0,
    backlog: 0,
  });
});
