/** What we write, C reads, and what C writes, we read: both sides of every struct that crosses. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Session } from "../mesh/machine.ts";
import { EndpointStruct, PeerFactsStruct, PrefixStruct, SessionStruct } from "./header.ts";
import { type Mail, readMails } from "./mail.ts";
import {
  type Memory,
  memory,
  readFacts,
  writeEndpoint,
  writePrefix,
  writeSession,
  writeText,
} from "./structs.ts";

const HEADER = fileURLToPath(new URL("../core/shoal.h", import.meta.url));

/** Runs C statements over the header; `in` is what stands on standard input. */
async function inC(body: string, stdin: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-structs-" });
  try {
    const source = `#include <inttypes.h>\n#include <stdio.h>\n#include <string.h>
#include "${HEADER}"
static inline void hex(const char *name, const uint8_t *bytes, int n) {
    printf("%s=", name);
    for (int i = 0; i < n; i++) printf("%02x", bytes[i]);
    printf("\\n");
}
#define NUMBER(s, f) printf(#f "=%" PRIu64 "\\n", (uint64_t)(s).f)
int main(void) {\n${body}\nreturn 0; }\n`;
    await Deno.writeTextFile(`${folder}/x.c`, source);
    const compile = await new Deno.Command("cc", {
      args: ["-std=gnu11", "-Wall", "-Werror", "-o", `${folder}/x`, `${folder}/x.c`],
    }).output();
    assert.ok(compile.success, new TextDecoder().decode(compile.stderr));
    const process = new Deno.Command(`${folder}/x`, { stdin: "piped", stdout: "piped" }).spawn();
    const writer = process.stdin.getWriter();
    await writer.write(stdin);
    await writer.close();
    return (await process.output()).stdout;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readByC(body: string, given: Memory): Promise<Record<string, string>> {
  const text = new TextDecoder().decode(await inC(body, given.bytes));
  return Object.fromEntries(text.trim().split("\n").map((line) => line.split("=")));
}

const READ_ENDPOINT = `struct shoal_endpoint e;
if (fread(&e, sizeof e, 1, stdin) != 1) return 1;
NUMBER(e, remote.family); NUMBER(e, remote.port); NUMBER(e, remote.scope); hex("remote.ip", e.remote.ip, 16);
NUMBER(e, local.family); NUMBER(e, local.port); NUMBER(e, local.scope); hex("local.ip", e.local.ip, 16);
NUMBER(e, ifindex); NUMBER(e, reserved);`;

Deno.test("an endpoint with its source reaches C field by field, and nothing of the last one stays", async () => {
  const to = memory(EndpointStruct.size);
  to.bytes.fill(0xff);
  const v6 = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
  writeEndpoint(to, { address: v6, port: 51820, scope: 3 }, { address: v6, ifindex: 7 });
  assert.deepEqual(await readByC(READ_ENDPOINT, to), {
    "remote.family": "6",
    "remote.port": "51820",
    "remote.scope": "3",
    "remote.ip": v6.toHex(),
    "local.family": "6",
    "local.port": "0",
    "local.scope": "0",
    "local.ip": v6.toHex(),
    ifindex: "7",
    reserved: "0",
  });
  writeEndpoint(to, { address: Uint8Array.of(192, 0, 2, 1), port: 1, scope: 0 });
  assert.deepEqual(await readByC(READ_ENDPOINT, to), {
    "remote.family": "4",
    "remote.port": "1",
    "remote.scope": "0",
    "remote.ip": "c0000201".padEnd(32, "0"),
    "local.family": "0",
    "local.port": "0",
    "local.scope": "0",
    "local.ip": "0".repeat(32),
    ifindex: "0",
    reserved: "0",
  });
});

Deno.test("a source may name an interface and no address", async () => {
  const to = memory(EndpointStruct.size);
  const remote = { address: Uint8Array.of(192, 0, 2, 1), port: 1, scope: 0 };
  writeEndpoint(to, remote, { address: new Uint8Array(0), ifindex: 9 });
  const read = await readByC(READ_ENDPOINT, to);
  assert.deepEqual([read["local.family"], read["ifindex"]], ["0", "9"]);
});

Deno.test("a prefix reaches C field by field", async () => {
  const to = memory(PrefixStruct.size);
  to.bytes.fill(0xff);
  writePrefix(to, { address: Uint8Array.of(10, 0, 0, 0), length: 8 });
  const body = `struct shoal_prefix p; if (fread(&p, sizeof p, 1, stdin) != 1) return 1;
NUMBER(p, family); NUMBER(p, length); hex("ip", p.ip, 16);`;
  assert.deepEqual(await readByC(body, to), {
    family: "4",
    length: "8",
    ip: "0a".padEnd(32, "0"),
  });
});

Deno.test("a session reaches C field by field, times as nanoseconds", async () => {
  const to = memory(SessionStruct.size);
  const session: Session = {
    role: "responder",
    suite: "aes-256-gcm",
    localIndex: 0xfffffffe,
    remoteIndex: 0x80000001,
    sendKey: new Uint8Array(32).fill(0xaa),
    receiveKey: new Uint8Array(32).fill(0xbb),
    birth: 1234.5,
    rekeyAfterTime: 121_234.5,
    rekeyOnReceive: 166_234.5,
    rekeyAfterMessages: 2n ** 60n,
  };
  const body = `struct shoal_session s; if (fread(&s, sizeof s, 1, stdin) != 1) return 1;
NUMBER(s, role); NUMBER(s, local_index); NUMBER(s, remote_index); NUMBER(s, suite); NUMBER(s, birth);
NUMBER(s, rekey_after_time); NUMBER(s, rekey_on_receive); NUMBER(s, rekey_after_messages);
hex("send_key", s.send_key, 32); hex("receive_key", s.receive_key, 32);`;
  writeSession(to, session);
  assert.deepEqual(await readByC(body, to), {
    role: "2",
    local_index: "4294967294",
    remote_index: "2147483649",
    suite: "1",
    birth: "1234500000",
    rekey_after_time: "121234500000",
    rekey_on_receive: "166234500000",
    rekey_after_messages: "1152921504606846976",
    send_key: "aa".repeat(32),
    receive_key: "bb".repeat(32),
  });
  writeSession(to, { ...session, role: "initiator", rekeyAfterTime: 0 });
  const read = await readByC(body, to);
  assert.deepEqual([read["role"], read["rekey_after_time"]], ["1", "0"]);
});

Deno.test("a peer's facts come from C field by field, times as milliseconds", async () => {
  const body = `struct shoal_peer_facts f = { .tx_bytes = 1ull << 40, .rx_bytes = (1ull << 32) + 5,
  .tx_packets = 3, .rx_packets = 4, .last_authenticated_receive = 5000000, .last_data_receive = 6000000,
  .last_authenticated_send = 7000000, .last_data_send = 8000000, .first_unanswered_data = 9500000,
  .first_unsent_reply = 10000000, .dropped = 11, .staged = 12, .sessions = 7 };
fwrite(&f, sizeof f, 1, stdout);`;
  const from = memory(PeerFactsStruct.size);
  from.bytes.set(await inC(body, new Uint8Array(0)));
  assert.deepEqual(readFacts(from), {
    txBytes: 2 ** 40,
    rxBytes: 2 ** 32 + 5,
    txPackets: 3,
    rxPackets: 4,
    lastAuthenticatedReceive: 5,
    lastDataReceive: 6,
    lastAuthenticatedSend: 7,
    lastDataSend: 8,
    firstUnansweredData: 9.5,
    firstUnsentReply: 10,
    staged: 12,
  });
});

async function mailsFromC(statements: string): Promise<Mail[]> {
  const body = `struct shoal_mail m;
const struct shoal_endpoint at = { .remote = { SHOAL_AF_INET, 4711, 0, { 192, 0, 2, 1 } },
  .local = { SHOAL_AF_INET, 0, 0, { 10, 0, 0, 1 } }, .ifindex = 6 };
(void)at;
#define MAIL(...) do { m = (struct shoal_mail){ .size = sizeof m, __VA_ARGS__ }; fwrite(&m, sizeof m, 1, stdout); } while (0)
${statements}`;
  const bytes = await inC(body, new Uint8Array(0));
  const box = memory(bytes.length);
  box.bytes.set(bytes);
  const mails: Mail[] = [];
  readMails(box, bytes.length, (mail) => mails.push(mail));
  return mails;
}

const endpoint = { address: Uint8Array.of(192, 0, 2, 1), port: 4711, scope: 0 };
const source = { address: Uint8Array.of(10, 0, 0, 1), ifindex: 6 };

Deno.test("every kind of mail comes from C with its meaning", async () => {
  const mails = await mailsFromC(`
MAIL(.kind = SHOAL_MAIL_SESSION_NEEDED, .tag = 1);
MAIL(.kind = SHOAL_MAIL_UNANSWERED_DATA, .tag = 2, .time = 2500000);
MAIL(.kind = SHOAL_MAIL_UNSENT_REPLY, .tag = 3, .time = 3000000);
MAIL(.kind = SHOAL_MAIL_SESSION_CONFIRMED, .tag = 4, .index = 0xfffffff0u, .value = 9);
MAIL(.kind = SHOAL_MAIL_REKEY_DUE, .tag = 5, .index = 50, .value = SHOAL_REKEY_AGE);
MAIL(.kind = SHOAL_MAIL_REKEY_DUE, .tag = 5, .index = 51, .value = SHOAL_REKEY_RECEIVE);
MAIL(.kind = SHOAL_MAIL_REKEY_DUE, .tag = 5, .index = 52, .value = SHOAL_REKEY_MESSAGES);
MAIL(.kind = SHOAL_MAIL_ENDPOINT_MOVED, .tag = 0xffffffffu, .endpoint = at);
MAIL(.kind = SHOAL_MAIL_LINK, .value = SHOAL_LINK_UP, .index = 1420);
MAIL(.kind = SHOAL_MAIL_LINK, .value = SHOAL_LINK_DOWN, .index = 1420);
MAIL(.kind = SHOAL_MAIL_LINK, .value = SHOAL_LINK_MTU, .index = 9000);
MAIL(.kind = SHOAL_MAIL_LINK, .value = SHOAL_LINK_GONE, .index = 0);
MAIL(.kind = SHOAL_MAIL_OFFLOAD_DEMOTED, .value = SHOAL_OFFLOAD_UDP_GSO, .index = 5);
MAIL(.kind = SHOAL_MAIL_WORKER_FAILED, .value = 12);
MAIL(.kind = SHOAL_MAIL_ROUTES);
MAIL(.kind = SHOAL_MAIL_IO_REFUSED, .value = 1);`);
  assert.deepEqual(mails, [
    { kind: "edge", edge: { kind: "sessionNeeded", peer: 1 } },
    { kind: "edge", edge: { kind: "unansweredData", peer: 2, at: 2.5 } },
    { kind: "edge", edge: { kind: "unsentReply", peer: 3, at: 3 } },
    { kind: "edge", edge: { kind: "sessionConfirmed", peer: 4, index: 0xfffffff0 } },
    { kind: "edge", edge: { kind: "rekeyDue", peer: 5, index: 50, why: "age" } },
    { kind: "edge", edge: { kind: "rekeyDue", peer: 5, index: 51, why: "receive" } },
    { kind: "edge", edge: { kind: "rekeyDue", peer: 5, index: 52, why: "messages" } },
    { kind: "edge", edge: { kind: "endpointMoved", peer: 0xffffffff, endpoint, source } },
    { kind: "link", news: "up", mtu: 1420 },
    { kind: "link", news: "down", mtu: 1420 },
    { kind: "link", news: "mtu", mtu: 9000 },
    { kind: "link", news: "gone", mtu: 0 },
    { kind: "offloadDemoted", offload: 4, errno: 5 },
    { kind: "workerFailed", errno: 12 },
    { kind: "routes" },
    { kind: "ioRefused", errno: 1 },
  ]);
});

Deno.test("datagrams of any length come one after another, and are copies", async () => {
  const mails = await mailsFromC(`
for (int n = 0; n <= 1500; n += 100) {
    uint8_t payload[1504];
    memset(payload, n / 100, sizeof payload);
    uint32_t padded = ((uint32_t)n + 7) / 8 * 8;
    m = (struct shoal_mail){ .size = (uint32_t)sizeof m + padded, .kind = SHOAL_MAIL_DATAGRAM,
                             .length = (uint16_t)n, .endpoint = at };
    fwrite(&m, sizeof m, 1, stdout);
    fwrite(payload, padded, 1, stdout);
}`);
  const lengths = mails.map((mail) => mail.kind === "datagram" ? mail.arrival.bytes.length : -1);
  assert.deepEqual(lengths, Array.from({ length: 16 }, (_, i) => 100 * i));
  for (const [i, mail] of mails.entries()) {
    assert.ok(mail.kind === "datagram");
    assert.deepEqual(mail.arrival.from, endpoint);
    assert.deepEqual(mail.arrival.source, source);
    assert.ok(mail.arrival.bytes.every((byte) => byte === i));
    assert.equal(mail.arrival.bytes.buffer.byteLength, mail.arrival.bytes.length);
  }
});

Deno.test("a record that no library of this ABI writes is an error that says what it is", async () => {
  const refused = (statements: string, what: RegExp) =>
    assert.rejects(
      mailsFromC(statements),
      (error) => error instanceof Error && what.test(error.message),
    );
  await refused("MAIL(.kind = 99);", /kind 99/);
  await refused("MAIL(.kind = SHOAL_MAIL_LINK, .value = 99);", /value 99/);
  await refused("MAIL(.kind = SHOAL_MAIL_REKEY_DUE, .value = 0);", /value 0/);
  await refused("MAIL(.kind = SHOAL_MAIL_LINK, .value = 1, .size = 8);", /record of 8 bytes/);
  await refused("MAIL(.kind = SHOAL_MAIL_LINK, .value = 1, .size = 4096);", /record of 4096 bytes/);
});

Deno.test("a text that does not fit with its NUL is refused, not cut", () => {
  const to = memory(8);
  writeText(to, 0, 8, "1234567");
  assert.throws(() => writeText(to, 0, 8, "12345678"), RangeError);
  assert.throws(() => writeText(to, 0, 8, "1\0"), RangeError);
  assert.throws(() => writeText(to, 0, 8, "ääää"), RangeError, "bytes count, not letters");
});
