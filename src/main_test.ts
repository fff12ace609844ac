import assert from "node:assert/strict";
import * as net from "node:net";
import { join } from "node:path";
import { duplicate, hasInput } from "../ffi/libc.ts";
import type { Io } from "./cli/command.ts";
import { ControlServer, type Operation } from "./control.ts";
import { Exit } from "./exit.ts";
import { main } from "./main.ts";

async function run(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const io: Io = {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    env: () => undefined,
    color: false,
  };
  return { code: await main(args, io), out: out.join("\n"), err: err.join("\n") };
}

Deno.test("every command of the table loads and explains itself under its own name", async () => {
  const overview = await run("-h");
  assert.equal(overview.code, Exit.done);
  const names = [...overview.out.matchAll(/^ {2}(\S+) {2,}\S/gm)].map((match) => match[1] ?? "");
  assert(names.length >= 12, overview.out);
  for (const name of names) {
    const help = await run(name, "-h");
    // help trust explains who may do what.
    if (name !== "trust") assert.deepEqual(await run("help", name), help, name);
    assert.equal(help.code, Exit.done, name);
    assert.match(
      help.out,
      new RegExp(`^usage: \\./run (shoal )?${name === "up" ? "node" : name}\\b`),
    );
    assert.equal(help.err, "");
  }
});

Deno.test("a service is made of an installed program only, and what is asked for has to make sense", async () => {
  const refusals: [readonly string[], RegExp][] = [
    [["install", "--service", "lab"], /runs from a checkout: use \.\/run install --service/],
    [["install", "lab"], /^install: --service is missing\nusage: /],
    [
      ["install", "--service", "lab", "--encrypt"],
      /--encrypt is about an invite: name it by --token/,
    ],
    [["uninstall", "lab"], /^uninstall: a checkout is no installation: .*\nusage: /],
    [["uninstall", "--service", "lab", "--all"], /^uninstall: either a name or --all\nusage: /],
  ];
  for (const [args, text] of refusals) {
    const { code, err } = await run(...args);
    assert.equal(code, Exit.usage, args.join(" "));
    assert.match(err, text);
  }
});

Deno.test("what is not known is named in one line, with exit code 2", async () => {
  const none = await run();
  assert.equal(none.code, Exit.usage);
  assert.match(none.err, /^usage: /);
  const command = await run("frobnicate");
  assert.equal(command.code, Exit.usage);
  assert.match(command.err, /^there is no command 'frobnicate'/);
  const option = await run("status", "--frobnicate");
  assert.equal(option.code, Exit.usage);
  assert.match(option.err, /--frobnicate.*\nusage: .*status/);
  const argument = await run("status", "extra");
  assert.equal(argument.code, Exit.usage);
  assert.match(argument.err, /unexpected argument 'extra'/);
  const needs: [readonly string[], string][] = [
    [["ping"], "ping: PEER is missing"],
    [["approve"], "approve: NAME|KEY is missing"],
    [["trust", "--name", "x"], "trust: KEY is missing"],
    [["door"], "door: open|close is missing"],
    [["mesh-key"], "mesh-key: words|export|seal|import is missing"],
    [["identity"], "identity: renew is missing"],
    [["wg"], "wg: IFNAME is missing"],
    [["ping", ""], "ping: PEER is empty"],
    [["ip", ""], "ip: an argument is empty"],
    [["guest", "add", ""], "guest: a name is empty"],
    [["guest", ""], "guest: what it is to do is empty"],
    [["install", ""], "install: an argument is empty"],
    [
      ["ping", "--state", "--json", "x"],
      "Option '--state' has no value: what follows it is an option",
    ],
    [
      ["ping", "-c", "1", "-c", "2", "x"],
      "-c is given twice, '1' and '2': leave the one that is meant",
    ],
    [
      ["node", "--name", "a", "--name=b"],
      "--name is given twice, 'a' and 'b': leave the one that is meant",
    ],
    [["dns", "--shell", "--hosts"], "dns: choose one of --shell, --dnsmasq and --hosts"],
  ];
  for (const [args, text] of needs) {
    const missing = await run(...args);
    assert.deepEqual([missing.code, missing.err.split("\n")[0]], [Exit.usage, text]);
  }
  const same = await run("ping", "--timeout", "0", "--timeout", "0", "x");
  assert.match(same.err, /^--timeout '0' is not a whole number/, "twice the same is no question");
  const span = await run("door", "open", "--for", "3");
  assert.match(span.err, /^--for '3' is not a time such as .*, of 1 day at the most$/);
  const value = await run("invite", "--uses", "0");
  assert.equal(value.code, Exit.usage);
  assert.match(value.err, /--uses '0'.*1 to 1000/);
  assert.equal((await run("invite", "--expires", "soon")).code, Exit.usage);
  const seed = await run("invite", "--seed", "203.0.113.9:4500", "--seed", "lyon example");
  assert.equal(seed.code, Exit.usage);
  assert.match(seed.err, /--seed 'lyon example' is not HOST:PORT/);
  for (const command of [["invite"], ["approve", "x"]]) {
    for (const bad of ["a,B c", "a,", "x".repeat(33)]) {
      const group = await run(...command, "--groups", bad);
      assert.equal(group.code, Exit.usage, bad);
      assert.match(group.err, /^--groups: '.*' is no group: up to 32 of a-z/);
    }
    const many = await run(
      ...command,
      "--groups",
      Array.from({ length: 99 }, (_, i) => `g${i}`).join(),
    );
    assert.match(many.err, /^--groups: 99 groups: a member has at most \d+$/);
    assert.equal(many.code, Exit.usage);
  }
  assert.equal((await run("ping")).code, Exit.usage);
});

Deno.test("a client command without a node says so, with exit code 3", async () => {
  const dir = await Deno.makeTempDir();
  for (const command of [["status"], ["peers"], ["ip"], ["invite"], ["ping", "x"], ["down"]]) {
    const result = await run(...command, "--state", dir);
    assert.equal(result.code, Exit.notRunning, command.join(" "));
    assert.match(result.err, /^no node answers at .*control\.sock/);
  }
  await Deno.remove(dir);
});

Deno.test("version prints the version, with --json a document", async () => {
  assert.match((await run("version")).out, /^shoal \d+\.\d+\.\d+$/);
  assert.equal(JSON.parse((await run("version", "--json")).out).v, 1);
});

/** Runs the body beside a node that answers as it is told to. */
async function besideNode(
  operations: Readonly<Record<string, Operation["run"]>>,
  body: (...state: [option: "--state", dir: string]) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const server = await ControlServer.listen({
    path: join(dir, "control.sock"),
    operations: Object.fromEntries(
      Object.entries(operations).map(([name, run]) => [name, { changes: false, run }]),
    ),
    credentialsOf: () => ({ uid: 0, gid: 0 }),
    descriptors: { left: () => 1000, hasInput, duplicate },
    onDefect: (error) => {
      throw error;
    },
  });
  try {
    await body("--state", dir);
  } finally {
    await server.close();
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("ping waits for the node as long as the node waits for the peer", () => {
  const waits: number[] = [];
  const { setTimeout } = net.Socket.prototype;
  net.Socket.prototype.setTimeout = function (ms, then) {
    if (then !== undefined) waits.push(ms);
    return setTimeout.call(this, ms, then);
  };
  const none = { state: "alive", since_s: 9, rtt_ms: null, path: "none" };
  const done = { peer: "lyon", sent: 1, received: 0, ...none };
  return besideNode({ ping: () => done }, async (...state) => {
    const { code } = await run("ping", "-c", "1", "--timeout", "60000", "lyon", ...state);
    assert.equal(code, Exit.failed);
    assert(waits.some((ms) => ms > 60_000), String(waits));
  }).finally(() => net.Socket.prototype.setTimeout = setTimeout);
});

Deno.test("ping says once at the end of a member that is stopped that it is, and of no other", () => {
  const done = { peer: "lyon", sent: 2, received: 0, state: "left", since_s: 300, path: "none" };
  const answers = [done, { ...done, received: 1 }, { ...done, state: "dead" }];
  let at = 0;
  return besideNode({ ping: () => answers[at++] ?? done }, async (...state) => {
    const stopped = await run("ping", "-c", "2", "lyon", ...state);
    assert.equal(stopped.code, Exit.failed);
    assert.equal(
      stopped.err,
      "lyon is stopped: its node said good-bye 5m ago, and answers again once it is started",
    );
    assert.equal((await run("ping", "lyon", ...state)).err, "");
    assert.equal((await run("ping", "lyon", ...state)).err, "");
  });
});

Deno.test("ip knows a node by name, key and any spelling of its addresses, and never prints nothing", () => {
  const self = { name: "lyon", key: "aa".repeat(32), ip4: "", ip6: "fd00::1" };
  const oslo = { name: "oslo", key: "bb".repeat(32), ip4: "100.64.0.2", ip6: "fd00::2" };
  const mesh = { name: "lab" };
  const status = () => ({ self, mesh, peers: [oslo], guests: [] });
  return besideNode({ status }, async (...state) => {
    const ip = (...args: string[]) => run("ip", ...args, ...state);
    const spellings = [
      "100.64.0.2",
      "fd00::2",
      "FD00:0:0::2",
      "oslo.lab.internal",
      "Oslo.Lab.INTERNAL.",
    ];
    for (const wanted of ["oslo", "bbbbbbbb", ...spellings]) {
      assert.equal((await ip(wanted)).out, "100.64.0.2\nfd00::2", wanted);
    }
    const nobody = await ip("100.64.0.3");
    assert.equal(nobody.code, Exit.failed);
    assert.match(nobody.err, /nobody has the name, key or address '100\.64\.0\.3'/);

    const none = await ip("-4");
    assert.deepEqual([none.code, none.out], [Exit.failed, ""]);
    assert.match(none.err, /^lyon has no IPv4 address now: it steps aside for another holder/);
    const other = await ip();
    assert.deepEqual([other.code, other.out], [Exit.done, "fd00::1"]);
    assert.match(other.err, /^lyon has no IPv4 address now/);
    assert.deepEqual(await ip("-6"), { code: Exit.done, out: "fd00::1", err: "" });
  });
});

/** Runs a command beside something that answers every request with one line. */
async function beside(reply: string, ...args: string[]) {
  const dir = await Deno.makeTempDir();
  const server = net.createServer((client) => {
    client.on("error", () => {});
    client.on("data", () => client.end(reply + "\n"));
  });
  await new Promise<void>((resolve) => server.listen(join(dir, "control.sock"), resolve));
  try {
    return await run(...args, "--state", dir);
  } finally {
    await new Promise((resolve) => server.close(resolve));
    await Deno.remove(dir, { recursive: true });
  }
}

const CLIENTS = [
  ["status"],
  ["peers"],
  ["ip"],
  ["ping", "x"],
  ["invite"],
  ["invite", "--list"],
  ["invite", "--revoke", "0123abcd"],
  ["door", "open"],
  ["guest", "add", "phone"],
  ["guest", "list"],
  ["guest", "renew", "phone"],
  ["guest", "remove", "phone"],
  ["approve", "x"],
  ["trust", "--name", "n", "x"],
  ["untrust", "x"],
  ["promote", "x"],
  ["demote", "x"],
  ["revoke", "x"],
  ["leave"],
  ["identity", "renew"],
  ["down"],
];

Deno.test("an answer of another shape or version is told in one line by every command", async () => {
  const replies = [
    "{}",
    "[]",
    '{"v":1}',
    '{"v":9,"name":"a","key":"b","received":1,"token":"t","seeds":[]}',
    '{"v":1,"self":null,"peers":[1]}',
    '{"v":1,"error":5}',
    '{"v":1,"error":""}',
    '{"v":1,"event":5}',
    '{"error":"x","exit":1}',
  ];
  for (const command of CLIENTS) {
    for (const reply of replies) {
      const { code, out, err } = await beside(reply, ...command);
      const what = `${command[0]}: ${reply}`;
      assert.deepEqual([code, out], [Exit.failed, ""], what);
      assert.match(
        err,
        /^the node behind \S+ answered something else: is it another version\?$/,
        what,
      );
    }
  }
  const status = await beside('{"v":1,"self":null,"peers":[]}', "status");
  assert.match(status.err, /answered something else/);
});

Deno.test("what a node says of a failure moves no cursor, is cut, and ends with a code of ours", async () => {
  const raw = await beside('{"v":1,"error":"x\\u001b[31m\\ny","exit":99}', "status");
  assert.deepEqual(raw, { code: Exit.failed, out: "", err: "x\\u001b[31m\\u000ay" });
  for (const exit of [0, "4", -1, 1.5, null]) {
    const { code } = await beside(JSON.stringify({ v: 1, error: "x", exit }), "status");
    assert.equal(code, Exit.failed, String(exit));
  }
  const known = await beside('{"v":1,"error":"x","exit":6}', "status");
  assert.equal(known.code, Exit.notConfigured);
  const long = await beside(JSON.stringify({ v: 1, error: "x".repeat(5000), exit: 1 }), "status");
  assert.equal(long.err, "x".repeat(1999) + "…");
});

Deno.test("an argument that is refused is one line with nothing that a terminal obeys, above the usage that is ours", async () => {
  const bad = "x\x1b[31m\nusage: fake";
  const wrong = [
    [bad],
    ["help", bad],
    ["status", `--${bad}`],
    ["status", bad],
    ["door", bad],
    ["identity", bad],
    ["mesh-key", bad],
    ["guest", bad],
    ["install", "--service", bad, bad],
    ["uninstall", bad, bad],
    ["node", "--listen", bad],
    ["node", "--join", bad],
    ["node", "--interface", bad],
    ["node", "--control-group", bad],
    ["invite", "--groups", bad],
    ["invite", "--expires", bad],
    ["wg", bad],
  ];
  for (const argv of wrong) {
    const { code, err } = await run(...argv);
    assert.equal(code, Exit.usage, argv.join(" "));
    assert.doesNotMatch(err, /^usage: fake/m, "a line of its own");
    assert(!err.includes("\x1b"), err);
    assert.match(err, /x\\u001b\[31m\\u000ausage: fake/);
    assert(err.split("\n").length <= 2, err);
  }
  assert.match((await run("status", "--bad")).err, /\nusage: /);
});

/** ESC, CSI in one byte, a bell, a line end, a turn of the direction, and one that nobody sees. */
const HOSTILE = "x\x1b[2J\x9b1A\x07\ny\u202ez\u200b";
const HARMFUL = /[\p{Cc}\p{Cf}\u2028\u2029]/u;

Deno.test("T44: whatever other machines have written into an answer, no command prints it raw", async () => {
  const peer = {
    name: HOSTILE,
    key: HOSTILE,
    ip4: HOSTILE,
    ip6: HOSTILE,
    state: "alive",
    path: HOSTILE,
    endpoint: HOSTILE,
    rtt_ms: null,
    tx_bytes: 0,
    rx_bytes: 0,
    handshake_age_s: null,
    lanes: 1,
    lanes_max: 1,
    suite: "chacha20-poly1305",
    reason: HOSTILE,
    groups: [HOSTILE],
    admin: false,
    standing: HOSTILE,
    mesh_key: false,
    since_s: 1,
    version: HOSTILE,
  };
  const status = {
    self: { ...peer, interface: HOSTILE, port: 1 },
    mesh: {
      id: HOSTILE,
      name: HOSTILE,
      pool: HOSTILE,
      key: HOSTILE,
      state: "member",
      door_open_s: 1,
    },
    peers: [peer],
    guests: [{
      ...peer,
      host: HOSTILE,
      host_key: HOSTILE,
      state: "active",
      heard_s: 1,
      expires: HOSTILE,
    }],
    void: [{ name: HOSTILE, key: HOSTILE, by: HOSTILE }],
    requests: [{ name: HOSTILE, key: HOSTILE, endpoint: HOSTILE, age_s: 1 }],
    trusted: [{ name: HOSTILE, key: HOSTILE }],
    health: [HOSTILE],
    control: {},
    dataplane: {
      aead: HOSTILE,
      aead_gcm: HOSTILE,
      io: HOSTILE,
      io_error: HOSTILE,
      workers: 1,
      queues: 1,
      steered: false,
      steer_error: "",
      lanes: 1,
      steer_refused: 0,
      offloads: { [HOSTILE]: true, "connected-sockets": true },
      connected: 1,
      connected_max: 1,
      connected_error: HOSTILE,
      drops: { [HOSTILE]: 1 },
    },
    refused: { [HOSTILE]: 1 },
  };
  const pong = {
    peer: HOSTILE,
    ip4: HOSTILE,
    path: HOSTILE,
    endpoint: HOSTILE,
    rtt_ms: 1,
    timeout_ms: 1,
  };
  const who = () => ({ name: HOSTILE, key: HOSTILE });
  const planned = () => ({
    ...who(),
    lines: [HOSTILE],
    warnings: [HOSTILE],
    advice: [HOSTILE],
    done: true,
  });
  const invite = () => ({
    id: HOSTILE,
    by: HOSTILE,
    uses: 1,
    used: 1,
    expires: HOSTILE,
    state: HOSTILE,
  });
  const operations: Record<string, Operation["run"]> = {
    status: () => status,
    ping: (_, report) => {
      report(pong);
      report({ ...pong, rtt_ms: null });
      return { ...pong, received: 1, state: HOSTILE, since_s: null };
    },
    invite: () => ({ token: "shoal3x", seeds: [HOSTILE], expires: HOSTILE, uses: 1 }),
    guest_add: () => ({
      ...who(),
      ip4: HOSTILE,
      ip6: HOSTILE,
      mesh: HOSTILE,
      host: HOSTILE,
      host_key: HOSTILE,
      endpoint: HOSTILE,
      networks: [HOSTILE],
      mtu: 1420,
      expires: HOSTILE,
    }),
    guest_renew: () => ({ ...who(), expires: HOSTILE }),
    guest_remove: who,
    approve: () => ({
      ...who(),
      called_before: HOSTILE,
      name_taken: HOSTILE,
      name_taken_here: false,
      expires: HOSTILE,
    }),
    trust: who,
    untrust: who,
    promote: who,
    renew_identity: planned,
    revoke: planned,
    demote: planned,
    leave: planned,
    invites: () => ({ invites: [invite()] }),
    revoke_invite: invite,
    door: () => ({ open_s: 60 }),
    down: who,
  };
  await besideNode(operations, async (...state) => {
    for (const command of CLIENTS.filter(([name]) => name !== "down" && name !== "identity")) {
      for (const json of [[], ["--json"]]) {
        const args = [...command, ...json, ...state];
        const { code, out, err } = await run(...args);
        assert.equal(code, Exit.done, `${args}: ${err}`);
        for (const line of `${out}\n${err}`.split("\n")) {
          assert.doesNotMatch(line, HARMFUL, args.join(" "));
        }
      }
    }
    const { out } = await run("peers", "--json", ...state);
    assert.deepEqual(JSON.parse(out).peers, [peer], "a script reads what was written");
    const named = await run("ip", "-4", "--json", ...state);
    assert.equal(JSON.parse(named.out).name, HOSTILE);
  });
});

Deno.test("approve says whom it admits or renews, until when, and by what name", () => {
  const key = "cc".repeat(32);
  const until = "2027-11-28T03:04:42Z";
  const approve = {
    name: "oslo",
    key,
    called_before: null,
    name_taken: null,
    name_taken_here: false,
    expires: until,
  };
  const answers: [object, string][] = [
    [{}, `oslo (${key}) is a member now, until ${until}`],
    [
      { called_before: "oslo" },
      `oslo (${key}) is a member already: its membership is renewed, until ${until}`,
    ],
    [
      { called_before: "rome" },
      `rome (${key}) is a member already: its membership is renewed, until ${until}, and is called oslo from now on`,
    ],
    [
      { called_before: "oslo", expires: null },
      `oslo (${key}) is a member already: its membership is renewed, as long as it is an admin`,
    ],
  ];
  let at = 0;
  return besideNode({ approve: () => ({ ...approve, ...answers[at]?.[0] }) }, async (...state) => {
    for (; at < answers.length; at++) {
      const said = await run("approve", "oslo", ...state);
      assert.deepEqual(said, { code: Exit.done, out: answers[at]?.[1], err: "" });
    }
    answers.push([{ name: "oslo-2", name_taken: "oslo" }, ""]);
    const { err } = await run("approve", "--name", "oslo", key, ...state);
    assert.match(
      err,
      /^another key has the name oslo: .*approve .*--name NEW (?:cc){32} .*where nothing runs with that key any more, .*revoke oslo.* and then .*approve .*--name oslo (?:cc){32}/,
    );
    answers.push([{ name: "oslo-2", name_taken: "oslo", name_taken_here: true }, ""]);
    at++;
    const own = (await run("approve", "--name", "oslo", key, ...state)).err;
    assert.match(
      own,
      /^this node has the name oslo: .*approve .*--name NEW (?:cc){32} .*chooses one for this machine$/,
    );
    assert.doesNotMatch(own, /revoke/);
  });
});

Deno.test("trust and untrust say that they are of this node alone, and what else there is", () => {
  const who = () => ({ name: "oslo", key: "cc".repeat(32) });
  return besideNode({ trust: who, untrust: who }, async (...state) => {
    const trusted = await run("trust", who().key, "--name", "oslo", ...state);
    assert.equal(
      trusted.out,
      `this node alone takes the holder of ${who().key} for a member, oslo: the two reach each other by IPv6, and no other member knows it`,
    );
    assert.match(trusted.err, /shoal untrust .*oslo ends that; .*shoal approve .*--name oslo cccc/);
    const ended = await run("untrust", "oslo", ...state);
    assert.equal(
      ended.out,
      `this node does not take the holder of ${who().key}, oslo, for a member by its own word any more`,
    );
  });
});

Deno.test("words of keys are printed below what tells their paper from another: key, mesh and day", () => {
  const mesh = { id: "845e2c6c751c3a28".padEnd(64, "0"), name: "lyon" };
  const paper = { words: "abandon zoo", mesh, shown: "2026-11-28T03:04:42Z" };
  const mesh_key = "a6ce8927a6ce8927".padEnd(64, "0");
  const operations = {
    recovery_words: () => paper,
    mesh_key_export: () => ({ ...paper, mesh_key }),
  };
  return besideNode(operations, async (...state) => {
    const shown = "of the mesh lyon, 845e2c6c751c3a28, shown 2026-11-28T03:04:42Z:";
    const recovery = await run("mesh-key", "words", ...state);
    assert.equal(recovery.out.split("\n")[0], `recovery key ${shown}`);
    assert.match(recovery.out, /\n 1 abandon +2 zoo$/);
    for (const how of ["export", "seal"]) {
      const key = await run("mesh-key", how, ...state);
      assert.equal(key.out.split("\n")[0], `mesh key a6ce8927a6ce8927 ${shown}`);
    }
    const json = await run("mesh-key", "export", "--json", ...state);
    assert.deepEqual(JSON.parse(json.out), { v: 1, ...paper, mesh_key });
  });
});

Deno.test("a plan that was not carried out is said with its hints, waits for no end, and exits with 1", async () => {
  let done = false;
  const renew_identity: Operation["run"] = (request) => ({
    name: "lyon",
    key: "00",
    lines: [],
    warnings: ["lyon gives up its membership"],
    advice: ["`shoal down` stops it"],
    done: done = request["yes"] === true,
  });
  await besideNode({ renew_identity, leave: renew_identity }, async (...state) => {
    for (const command of [["identity", "renew"], ["leave"]]) {
      const asked = await run(...command, ...state);
      assert.deepEqual([asked.code, done], [Exit.failed, false]);
      assert.match(
        asked.out,
        /^but: lyon gives up its membership\nhint: `\.\/run shoal down --state \S+` stops it$/,
      );
      assert.equal(asked.err, "nothing was done: say --yes if you want that");
    }
    const left = await run("leave", "--yes", ...state);
    assert.deepEqual(left, {
      code: Exit.done,
      out: "done: lyon gives up its membership",
      err: "",
    });
  });
});

Deno.test("the line for the next machine needs no quotes in any shell, whatever its seeds are", async () => {
  const seeds = ["[2001:db8::1]:51820", "lyon;touch /tmp/x:1", "$(id):1"];
  const answer = (token: string) => ({
    invite: () => ({ token, seeds, expires: "2026-12-04T06:09:40Z", uses: 1 }),
  });
  await besideNode(answer("shoal3Ab-c_9"), async (...state) => {
    const { out, err } = await run("invite", ...state);
    assert.equal(out, "./run node --token shoal3Ab-c_9");
    assert.match(
      err,
      /^1 machine can join with this line, until 2026-12-04T06:09:40Z: it is a secret/,
    );
    for (const word of out.split(" ")) assert.match(word, /^[A-Za-z0-9./:=_-]+$/);
    const document = JSON.parse((await run("invite", "--json", ...state)).out);
    assert.deepEqual([document.token, document.seeds], ["shoal3Ab-c_9", seeds]);
  });
  for (const token of ["shoal3x;touch y", "shoal3\x1b[2J", "", "a b"]) {
    await besideNode(answer(token), async (...state) => {
      const { code, out, err } = await run("invite", ...state);
      assert.deepEqual([code, out], [Exit.failed, ""], token);
      assert.match(err, /answered something else/);
    });
  }
});

Deno.test("a seed of an invite may leave out the usual port, as one that is joined may", async () => {
  const asked: unknown[] = [];
  const invite: Operation["run"] = (request) => {
    asked.push(request["seeds"]);
    return { token: "shoal3x", seeds: [], uses: 1, expires: "" };
  };
  await besideNode({ invite }, async (...state) => {
    const seeds = ["lyon.example", "203.0.113.9", "[2001:db8::1]", "oslo:4500"];
    const { code } = await run("invite", ...seeds.flatMap((seed) => ["--seed", seed]), ...state);
    assert.equal(code, Exit.done);
  });
  const all = ["lyon.example:51820", "203.0.113.9:51820", "[2001:db8::1]:51820", "oslo:4500"];
  assert.deepEqual(asked, [all]);
});

Deno.test("guest add --dns host names the node's own resolver, and asks for nobody where it has none", async () => {
  let added = 0;
  const names = { enabled: true, servers: ["10.77.0.1", "fd00::1"], answered: 0 };
  const way = {
    name: "phone",
    key: "",
    ip4: "10.77.0.9",
    ip6: "fd00::9",
    mesh: "lab",
    host: "lyon",
    host_key: "",
    endpoint: "203.0.113.9:51820",
    networks: ["10.77.0.0/16"],
    mtu: 1420,
    expires: "",
  };
  const guest_add = () => {
    added++;
    return way;
  };
  const add = ["guest", "add", "phone", "--dns", "host,9.9.9.9", "--no-qr"];
  const mesh = { name: "lab" };
  await besideNode({ guest_add, status: () => ({ mesh, names }) }, async (...state) => {
    const { code, out, err } = await run(...add, ...state);
    assert.equal(code, Exit.done, err);
    assert.match(out, /^DNS = 10\.77\.0\.1, fd00::1, lab\.internal, 9\.9\.9\.9$/m);
  });
  const none = { ...names, servers: [] };
  await besideNode({ guest_add, status: () => ({ mesh, names: none }) }, async (...state) => {
    const { code, err } = await run(...add, ...state);
    assert.equal(code, Exit.failed);
    const why = `./run shoal dns ${state.join(" ")} says why`;
    assert(err.startsWith(`--dns host: this node answers no names: ${why}`), err);
  });
  assert.equal(added, 1);
});

Deno.test("dns makes lines of a node that answers names at an interface of this machine, and of no other", async () => {
  const status = {
    self: { name: "lyon", interface: "shoal0", ip4: "10.77.0.1", ip6: "fd00::1" },
    mesh: { name: "lab", pool: "10.77.0.0/16" },
    names: { enabled: true, servers: ["10.77.0.1", "fd00::1"], answered: 0 },
    health: [] as string[],
  };
  const taken = "names are not answered at 10.77.0.1: UDP or TCP port 53 there is taken";
  const none = { ...status.names, servers: [] };
  const cases: [object, number, RegExp][] = [
    [{ mesh: { name: "", pool: "" } }, Exit.notConfigured, /not a member of a mesh yet$/],
    [{ self: { ...status.self, interface: "" } }, Exit.notConfigured, /no interface \(--no-tun\)$/],
    [{ names: { ...none, enabled: false } }, Exit.notConfigured, /started with --no-dns$/],
    [{ names: none, health: ["else", taken] }, Exit.failed, /port 53 there is taken$/],
    [{ self: { ...status.self, interface: "a b" } }, Exit.failed, /nothing for a root shell/],
    [
      { self: { ...status.self, interface: "lo" } },
      Exit.failed,
      /^dns: lo does not have 10\.77\.0\.1/,
    ],
    [{ names: 1 }, Exit.failed, /answered something else/],
  ];
  for (const [part, code, words] of cases) {
    await besideNode({ status: () => ({ ...status, ...part }) }, async (...state) => {
      for (const option of [[], ["--shell"], ["--dnsmasq"], ["--hosts"], ["--json"]]) {
        const result = await run("dns", ...option, ...state);
        assert.deepEqual([result.code, result.out], [code, ""], result.err);
        assert.match(result.err, words);
      }
    });
  }
});

Deno.test("dns waits for a node that has just started and has addresses that it does not answer at yet", async () => {
  let asked = 0;
  const status = () => ({
    self: { name: "lyon", interface: "lo", ip4: "10.77.0.1", ip6: "fd00::1" },
    mesh: { name: "lab", pool: "10.77.0.0/16" },
    names: { enabled: true, servers: ["fd00::1", "10.77.0.1"].slice(0, asked++) },
    health: [],
  });
  await besideNode({ status }, async (...state) => {
    const { err } = await run("dns", ...state);
    assert.match(err, /^dns: lo does not have/, "it was asked until it answers at both");
    assert.equal(asked, 3);
  });
});
