import assert from "node:assert/strict";
import { named, shares, sharesTable } from "./stacks.ts";

// As inferno-collapse-perf --pid --all wrote them, shortened.
const FOLDED = `shoal-0-22318;clone3;loop;tx_drain;seal;EVP_EncryptUpdate 6
shoal-0-22318;clone3;loop;tx_drain;tun_read;read;ksys_read_[k];_copy_to_iter_[k] 3
deno-22318;main 1
V8 DefaultWorke-22353;clone3;visit;visit 2
shoal-0-22353;clone3;loop;rx_drain 6
iperf3-999;main 50
`;
const ENDS = new Map([[22318, "sender"], [22353, "receiver"]]);

Deno.test("stacks: the end stands for the pid, threads keep their names, others are left out", () => {
  assert.deepEqual(named(FOLDED, ENDS).split("\n"), [
    "sender;shoal-0;clone3;loop;tx_drain;seal;EVP_EncryptUpdate 6",
    "sender;shoal-0;clone3;loop;tx_drain;tun_read;read;ksys_read_[k];_copy_to_iter_[k] 3",
    "sender;deno;main 1",
    "receiver;V8 DefaultWorke;clone3;visit;visit 2",
    "receiver;shoal-0;clone3;loop;rx_drain 6",
    "",
  ]);
});

Deno.test("stacks: a function has what ran in itself and what it called, once though it calls itself", () => {
  const all = shares(named(FOLDED, ENDS), 100);
  const of = (end: string, name: string) => {
    const found = all.find((one) => one.end === end && one.name === name);
    return [found?.self, found?.total];
  };
  assert.deepEqual(of("sender", "EVP_EncryptUpdate"), [0.6, 0.6]);
  assert.deepEqual(of("sender", "tx_drain"), [0, 0.9]);
  assert.deepEqual(of("receiver", "visit"), [0.25, 0.25]);
  assert.deepEqual(of("receiver", "clone3"), [0, 1]);
});

Deno.test("stacks: those that ran most come first, of each end as many as were asked for", () => {
  const all = shares(named(FOLDED, ENDS), 2);
  assert.deepEqual(all.map(({ end, name }) => `${end} ${name}`), [
    "sender EVP_EncryptUpdate",
    "sender _copy_to_iter_[k]",
    "receiver rx_drain",
    "receiver visit",
  ]);
});

Deno.test("stacks: the table says shares in percent, and what is the kernel's", () => {
  const table = sharesTable(shares(named(FOLDED, ENDS), 2));
  assert.match(table, /^\| sender \| EVP_EncryptUpdate \| 60\.0 \| 60\.0 \|$/m);
  assert.match(table, /^\| sender \| _copy_to_iter \[k\] \| 30\.0 \| 30\.0 \|$/m);
});
