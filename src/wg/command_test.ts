/** `./run wg` as a person meets it: its background process, its refusals, its ends. */
import assert from "node:assert/strict";
import { testUnless } from "../../.ci/skip.ts";
import type { Host } from "../../lxc/host.ts";
import { Lab } from "../../lxc/lab.ts";
import { missingRight } from "../../lxc/right.ts";
import { until } from "../../lxc/until.ts";

const RUN = new URL("../../run", import.meta.url).pathname;
const SOCKET = "/run/wireguard/wg0.sock";

const right = await missingRight();

function inLab(name: string, body: (host: Host, lab: Lab) => Promise<void>): void {
  testUnless({ right }, name, async () => {
    await using lab = await Lab.open();
    await body(await lab.host("a"), lab);
  });
}

/** Runs a shell script with $RUN in a host and gives back what it said, whatever its exit code. */
function shell(host: Host, script: string, env: Record<string, string> = {}) {
  return host.run(["bash", "-c", script], { check: false, env: { RUN, ...env } });
}

/** pid inside the laboratory of the background process, undefined when there is none. */
async function serving(host: Host): Promise<string | undefined> {
  const { stdout } = await host.run(["pgrep", "-f", "src/main.ts wg"], { check: false });
  return stdout.trim() === "" ? undefined : stdout.trim();
}

async function isGone(host: Host): Promise<boolean> {
  const { stdout } = await shell(host, `ls ${SOCKET} 2>/dev/null; ip -o link show wg0 2>/dev/null`);
  return stdout === "" && await serving(host) === undefined;
}

async function start(host: Host): Promise<void> {
  await host.run([RUN, "wg", "wg0"]);
}

inLab("without -f it returns within a second, when device and socket answer", async (host) => {
  const begin = performance.now();
  // Returns at the end of its output, too: nothing in the background holds the pipe.
  await start(host);
  const took = performance.now() - begin;
  const { stdout } = await host.run(["wg", "show", "wg0"]);
  assert.match(stdout, /^interface: wg0/);
  await host.run(["ip", "link", "show", "wg0"]);
  // A bound on a wait, for busy machines; the figure itself stands in bench/results.
  assert.ok(took < 5000, `${took} ms`);
});

/** Connects so often at once, holds what it has for a second, and hangs up. */
const CROWD = `
const net = require("node:net");
const clients = Array.from({ length: 100 }, () =>
  net.createConnection("${SOCKET}").on("error", () => {}));
setTimeout(() => process.exit(clients.length - 100), 1_000);
`;

inLab(
  "T46: with fewer descriptors than clients it answers again once they have gone",
  async (host) => {
    const script = "ulimit -n 60 && exec $RUN wg -f wg0";
    const process = host.spawn(["bash", "-c", script], { env: { RUN, LOG_LEVEL: "error" } });
    const answers = async () =>
      (await host.run(["timeout", "3", "wg", "show", "wg0"], { check: false })).code === 0;
    await until("it answers", 15_000, answers);
    await host.run([Deno.execPath(), "eval", "--ext=cjs", CROWD]);
    await until("it answers again", 10_000, answers);
    process.kill("SIGTERM");
    await process.status;
  },
);

inLab("the background process has a session of its own and no terminal", async (host) => {
  await start(host);
  const pid = await serving(host);
  const { stdout } = await shell(
    host,
    `ps -o sid=,tty= -p ${pid}; readlink /proc/${pid}/fd/{0,1,2} /proc/${pid}/cwd`,
  );
  const [process = "", ...files] = stdout.trim().split("\n");
  assert.deepEqual(process.trim().split(/\s+/), [pid, "?"]);
  assert.deepEqual(files, ["/dev/null", "/dev/null", "/dev/null", "/"]);
  const limits = await shell(host, `cat /proc/${pid}/limits`);
  assert.match(limits.stdout, /^Max core file size +0 +0 /m, "keys go into no core dump (R66)");
});

inLab("SIGKILL of the parent before the child answers leaves nothing behind", async (host) => {
  for (const delay of ["0.02", "0.05", "0.08"]) {
    await shell(host, `$RUN wg wg0 & sleep ${delay}; kill -9 $!; wait`);
    await until("all is gone or served", 15_000, async () => {
      const answer = await host.run(["wg", "show", "wg0"], { check: false });
      return answer.code === 0 || await isGone(host);
    });
    // Killed after the answer, the device stays as it should.
    await shell(host, "pkill -TERM -f 'src/main.ts wg'");
    await until("all is gone", 15_000, () => isGone(host));
  }
});

for (
  const [how, script] of [
    ["SIGTERM", "kill -TERM $PID"],
    ["SIGINT", "kill -INT $PID"],
    ["the removal of its socket", `rm ${SOCKET}`],
    ["the deletion of its interface", "ip link delete wg0"],
  ] as const
) {
  inLab(
    `${how} ends the process within 2 s and leaves neither socket nor interface`,
    async (host) => {
      const process = host.spawn([RUN, "wg", "-f", "wg0"], { env: { LOG_LEVEL: "error" } });
      await until("it answers", 15_000, async () => {
        return (await host.run(["wg", "show", "wg0"], { check: false })).code === 0;
      });
      await host.run(["ip", "link", "set", "wg0", "up"]);
      const begin = performance.now();
      await shell(host, script, { PID: await serving(host) ?? "" });
      const { code } = await process.status;
      assert.ok(performance.now() - begin < 2000);
      assert.equal(code, 0);
      assert.ok(await isGone(host));
    },
  );
}

inLab(
  "the removal of the socket is seen without inotify, too, which containers run out of",
  async (host) => {
    const script = "echo 0 > /proc/sys/user/max_inotify_instances && exec $RUN wg -f wg0";
    const process = host.spawn(["unshare", "-Urn", "sh", "-c", script], {
      env: { RUN, LOG_LEVEL: "error" },
    });
    await until("it answers", 15_000, async () => {
      return (await host.run(["wg", "show", "wg0"], { check: false })).code === 0;
    });
    await host.run(["rm", SOCKET]);
    const begin = performance.now();
    assert.equal((await process.status).code, 0);
    assert.ok(performance.now() - begin < 2000);
  },
);

inLab(
  "an interface that was moved away is followed: up, down and its deletion are seen",
  async (host, lab) => {
    const other = await lab.host("b");
    await start(host);
    await host.run(["wg", "set", "wg0", "listen-port", "4711"]);
    await host.moveDevice("wg0", other);
    const sockets = async (at: Host) => (await at.run(["ss", "-ulnH", "sport = 4711"])).stdout;
    await other.run(["ip", "link", "set", "wg0", "up"]);
    await until("sockets open where the program is", 3000, async () => await sockets(host) !== "");
    assert.equal(await sockets(other), "");
    await other.run(["ip", "link", "set", "wg0", "down"]);
    await until("sockets close", 3000, async () => await sockets(host) === "");
    await other.run(["ip", "link", "set", "wg0", "up"]);
    await until("sockets open again", 3000, async () => await sockets(host) !== "");
    assert.ok(await serving(host) !== undefined);
    await other.run(["ip", "link", "delete", "wg0"]);
    await until("the end", 2000, () => isGone(host));
  },
);

interface Refusal {
  readonly name: string;
  readonly script: string;
  readonly code: number;
  readonly says: RegExp;
}

const refusals: readonly Refusal[] = [
  {
    name: "a name that is too long",
    script: "$RUN wg $F abcdefghijklmnop",
    code: 2,
    says: /'abcdefghijklmnop' cannot be an interface name: 1 to 15 bytes/,
  },
  { name: "a name with a slash", script: "$RUN wg $F a/b", code: 2, says: /'a\/b' cannot be/ },
  { name: "no name", script: "$RUN wg $F", code: 2, says: /usage: / },
  { name: "two names", script: "$RUN wg $F wg0 wg1", code: 2, says: /'wg1'/ },
  {
    name: "an option that does not exist",
    script: "$RUN wg $F --fast wg0",
    code: 2,
    says: /--fast/,
  },
  {
    name: "an AEAD that this build lacks",
    script: "$RUN wg $F --aead rot13 wg0",
    code: 2,
    says: /--aead 'rot13' is not known here: choose from openssl, libsodium/,
  },
  {
    name: "an offload that this build lacks",
    script: "SHOAL_WITHOUT=warp $RUN wg $F wg0",
    code: 2,
    says: /--without 'warp' is not known here: choose from tun-tso/,
  },
  {
    name: "a log level that does not exist",
    script: "LOG_LEVEL=shouting $RUN wg $F wg0",
    code: 2,
    says: /'shouting'/,
  },
  {
    name: "an interface of another kind",
    script: "$RUN wg $F lo",
    code: 1,
    says: /'lo' exists .* choose another name/,
  },
  {
    name: "an interface that another program serves",
    script: "$RUN wg wg1 && $RUN wg $F wg1; code=$?; ip link delete wg1; exit $code",
    code: 1,
    says: /'wg1' exists .*'ip link delete wg1'/,
  },
  {
    name: "a missing /dev/net/tun",
    script: "mount -t tmpfs none /dev/net && $RUN wg $F wg0",
    code: 1,
    says: /\/dev\/net\/tun is not there .*modprobe tun/,
  },
  {
    name: "a missing right",
    script: "exec setpriv --bounding-set -net_admin --inh-caps -net_admin $RUN wg $F wg0",
    code: 4,
    says: /no permission .*'wg0' .*CAP_NET_ADMIN/,
  },
  {
    name: "a socket place that is no folder",
    script: "touch /run/wireguard && $RUN wg $F wg0",
    code: 1,
    says: /\/var\/run\/wireguard/,
  },
  {
    name: "a socket folder that others may write",
    script: "mkdir -m 777 /run/wireguard && $RUN wg $F wg0",
    code: 1,
    says: /others may write in \/var\/run\/wireguard/,
  },
  {
    name: "a TUN descriptor that is none",
    script: "WG_TUN_FD=0 $RUN wg $F wg0",
    code: 1,
    says: /WG_TUN_FD=0/,
  },
  {
    name: "a UAPI descriptor that is none",
    script: "WG_UAPI_FD=0 $RUN wg $F wg0",
    code: 1,
    says: /WG_UAPI_FD=0/,
  },
];

testUnless(
  { right },
  "each refusal is one line with the value, has its exit code and leaves nothing",
  async (t) => {
    await using lab = await Lab.open();
    let hosts = 0;
    for (const { name, script, code, says } of refusals) {
      for (const flag of ["-f", ""]) {
        await t.step(`${name}${flag === "" ? "" : " with -f"}`, async () => {
          const host = await lab.host(`h${hosts++}`);
          const told = await shell(host, script, { F: flag });
          assert.match(told.stderr, says);
          assert.equal(told.code, code, told.stderr);
          const isUsage = told.stderr.includes("usage: ");
          assert.equal(told.stderr.trim().split("\n").length, isUsage ? 2 : 1, told.stderr);
          assert.ok(await isGone(host));
        });
      }
    }
  },
);

inLab(
  "a port that is in use is refused by wg set, and nothing else of the request is applied",
  async (host) => {
    await host.run([RUN, "wg", "wg1"]);
    await start(host);
    await host.run(["wg", "set", "wg1", "listen-port", "4711"]);
    await host.run(["ip", "link", "set", "wg1", "up"]);
    const key = (await host.run(["wg", "genkey"])).stdout;
    for (const state of ["down", "up"]) {
      await host.run(["ip", "link", "set", "wg0", state]);
      const { code, stderr } = await host.run(
        ["wg", "set", "wg0", "private-key", "/dev/stdin", "listen-port", "4711"],
        { stdin: key, check: false },
      );
      assert.equal(code, 1);
      assert.match(stderr, /Address already in use/, `while ${state}`);
      const { stdout } = await host.run(["wg", "show", "wg0", "private-key"]);
      assert.equal(stdout.trim(), "(none)");
    }
  },
);

inLab(
  "listen-port 0 picks a port when the interface goes up, get shows it, down closes it",
  async (host) => {
    await start(host);
    const port = async () => (await host.run(["wg", "show", "wg0", "listen-port"])).stdout.trim();
    const sockets = async (at: string) =>
      (await host.run(["ss", "-ulnH", `sport = ${at}`])).stdout.trim().split("\n").filter(Boolean);
    assert.equal(await port(), "0");
    await host.run(["wg", "set", "wg0", "listen-port", "4712"]);
    assert.deepEqual(await sockets("4712"), [], "a port is tried while the link is down, not held");
    await host.run(["wg", "set", "wg0", "listen-port", "0"]);
    await host.run(["ip", "link", "set", "wg0", "up"]);
    const picked = await until("a port", 3000, async () => {
      const at = await port();
      return at !== "0" && at;
    });
    assert.equal((await sockets(picked)).length, 2, "one socket a family");
    await host.run(["ip", "link", "set", "wg0", "down"]);
    await until("closed", 3000, async () => (await sockets(picked)).length === 0);
    assert.equal(await port(), picked, "and it will be the same when it comes up again");
  },
);

inLab("fwmark marks the open sockets at once, and those that are opened later", async (host) => {
  await start(host);
  await host.run(["ip", "link", "set", "wg0", "up"]);
  await host.run(["wg", "set", "wg0", "listen-port", "4711"]);
  const marks = async () =>
    (await host.run(["ss", "-ulneH", "sport = 4711"])).stdout.match(/fwmark:\S+/g) ?? [];
  await until(
    "sockets open",
    3000,
    async () => (await host.run(["ss", "-ulnH", "sport = 4711"])).stdout !== "",
  );
  assert.deepEqual(await marks(), []);
  await host.run(["wg", "set", "wg0", "fwmark", "0x2a"]);
  assert.deepEqual(await marks(), ["fwmark:0x2a", "fwmark:0x2a"]);
  await host.run(["ip", "link", "set", "wg0", "down"]);
  await until("closed", 3000, async () => (await marks()).length === 0);
  await host.run(["ip", "link", "set", "wg0", "up"]);
  await until("marked again", 3000, async () => (await marks()).length === 2);
});

inLab("what setconf and syncconf set, showconf prints", async (host) => {
  await start(host);
  const [key = "", one = "", two = "", psk = ""] = await Promise.all(
    ["genkey", "genkey", "genkey", "genpsk"].map(async (what) =>
      (await host.run(["wg", what])).stdout.trim()
    ),
  );
  const config = (peers: readonly string[]) =>
    ["[Interface]", "ListenPort = 4711", "FwMark = 0x2a", `PrivateKey = ${key}`, ...peers, ""].join(
      "\n",
    );
  const peer = (publicKey: string, ...lines: string[]) =>
    ["", "[Peer]", `PublicKey = ${publicKey}`, ...lines].join("\n");
  const first = peer(
    one,
    `PresharedKey = ${psk}`,
    "AllowedIPs = 10.0.0.0/8, fd00::/8",
    "Endpoint = [2001:db8::1]:51820",
    "PersistentKeepalive = 25",
  );
  const second = peer(two, "AllowedIPs = 0.0.0.0/0");
  const shown = async () => (await host.run(["wg", "showconf", "wg0"])).stdout.trim();
  await host.run(["wg", "setconf", "wg0", "/dev/stdin"], { stdin: config([first, second]) });
  assert.equal(await shown(), config([first, second]).trim());
  await host.run(["wg", "syncconf", "wg0", "/dev/stdin"], { stdin: config([second]) });
  assert.equal(await shown(), config([second]).trim());
  await host.run(["wg", "addconf", "wg0", "/dev/stdin"], { stdin: first });
  assert.equal(await shown(), config([second, first]).trim());
  await host.run(["wg", "set", "wg0", "peer", two, "remove", "peer", one, "allowed-ips", ""]);
  const bare = first.replace(/\nAllowedIPs.*/, "");
  assert.equal(await shown(), config([bare]).trim());
});

testUnless(
  { right: right ?? (Deno.uid() === 0 ? undefined : "without root there is no second user") },
  "T46: other users may not speak to the socket (EACCES)",
  async () => {
    await using lab = await Lab.open();
    const host = await lab.host("a");
    await start(host);
    const connect = `Deno.connect({ transport: "unix", path: "${SOCKET}" })`;
    const script = `try { await ${connect}; console.log("in") } catch (e) { console.log(e.code) }`;
    const { stdout, stderr } = await host.run(
      ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"].concat(
        [Deno.execPath(), "eval", script],
      ),
      { env: { HOME: "/nonexistent", DENO_DIR: "/nonexistent" } },
    );
    assert.equal(stdout.trim(), "EACCES", stderr);
  },
);

inLab("T46: nothing listens on TCP", async (host) => {
  await start(host);
  assert.equal((await host.run(["ss", "-ltnH"])).stdout, "");
});

/** The real library, except that it mails nonsense once a file tells it to. */
const POISON = `
#include <stdint.h>
#include <string.h>
#include <unistd.h>
int32_t shoal_mailbox_drain(uint64_t device, uint8_t *buffer, uint32_t capacity, uint32_t *used) {
    (void)device;
    memset(buffer, 0, 96);
    *used = access("/run/poison", F_OK) == 0 && capacity >= 96 ? 96 : 0;
    return 0;
}
`;

inLab(
  "T32: a defect ends with its message and code 1, and takes socket and interface with it",
  async (host) => {
    const folder = await Deno.makeTempDir({ prefix: "shoal-poison-" });
    try {
      await Deno.writeTextFile(`${folder}/poison.c`, POISON);
      const release = new URL("../../.build/core/release", import.meta.url).pathname;
      await host.run(
        ["cc", "-shared", "-fPIC", "-o", `${folder}/libpoison.so`, `${folder}/poison.c`].concat(
          ["-Wl,--no-as-needed", `-Wl,-rpath,${release}`, `${release}/libshoal.so`],
        ),
      );
      const process = host.spawn([RUN, "wg", "-f", "wg0"], {
        env: { SHOAL_CORE: `${folder}/libpoison.so`, LOG_LEVEL: "error", NO_COLOR: "1" },
        stderr: "piped",
      });
      const said = new Response(process.stderr).text();
      await until("it answers", 15_000, async () => {
        return (await host.run(["wg", "show", "wg0"], { check: false })).code === 0;
      });
      // Any news rings the doorbell.
      await shell(host, "touch /run/poison; ip link set wg0 up; ip link set wg0 down");
      assert.equal((await process.status).code, 1);
      assert.match(await said, /core mailed a record of 0 bytes at 0 of 96/);
      assert.ok(await isGone(host));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

inLab("a log that cannot be written (a full disk) does not stop the device", async (host) => {
  host.spawn(["bash", "-c", "exec $RUN wg -f wg0 2>/dev/full"], {
    env: { RUN, LOG_LEVEL: "trace" },
  });
  await until("it answers", 15_000, async () => {
    return (await host.run(["wg", "show", "wg0"], { check: false })).code === 0;
  });
  for (let i = 0; i < 5; i++) {
    await host.run(["ip", "link", "set", "wg0", "up"]);
    await host.run(["ip", "link", "set", "wg0", "down"]);
  }
  await host.run(["wg", "show", "wg0"]);
});
