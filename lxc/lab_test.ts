import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { dropShare, limitRate } from "./fault.ts";
import { Lab } from "./lab.ts";
import { masquerade } from "./nat.ts";
import { CommandFailed } from "./process.ts";
import { missingRight } from "./right.ts";

const lack = { right: await missingRight() };

function labTest(name: string, fn: (lab: Lab) => Promise<void>): void {
  testUnless(lack, `lab: ${name}`, async () => {
    await using lab = await Lab.open();
    await fn(lab);
  });
}

async function pair(lab: Lab, mtu = 1500) {
  const a = await lab.host("a");
  const b = await lab.host("b");
  const [left, right] = await lab.link(a, b, {
    a: { addresses: ["10.0.0.1/24", "fd00::1/64"], mtu },
    b: { addresses: ["10.0.0.2/24", "fd00::2/64"], mtu },
  });
  return { a, b, left, right };
}

function ping(to: string, ...more: string[]): string[] {
  return ["ping", "-c", "1", "-W", "1", ...more, to];
}

labTest("two linked hosts reach each other by IPv4 and IPv6 at once", async (lab) => {
  const { a, b } = await pair(lab);
  await a.run(ping("10.0.0.2"));
  await b.run(ping("fd00::1"));
});

labTest("a host that has no wire reaches nobody", async (lab) => {
  const c = await lab.host("c");
  await assert.rejects(c.run(ping("10.0.0.2")), CommandFailed);
});

labTest("a packet above the MTU of a wire does not pass whole", async (lab) => {
  const { a } = await pair(lab, 1300);
  await a.run(ping("10.0.0.2", "-M", "do", "-s", "1272")); // + 28 = 1300
  await assert.rejects(a.run(ping("10.0.0.2", "-M", "do", "-s", "1273")), /too long|mtu=1300/);
});

labTest("a bridge joins all its hosts", async (lab) => {
  const net = await lab.bridge("net");
  const hosts = await Promise.all(["a", "b", "c"].map((name) => lab.host(name)));
  for (const [i, host] of hosts.entries()) {
    await net.attach(host, { addresses: [`10.0.0.${i + 1}/24`] });
  }
  const [a, , c] = hosts;
  assert(a !== undefined && c !== undefined);
  await a.run(ping("10.0.0.2"));
  await c.run(ping("10.0.0.1"));
});

labTest(
  "behind a router that masquerades, a host reaches out under the router's address",
  async (lab) => {
    const [home, router, far] = [
      await lab.host("home"),
      await lab.host("router"),
      await lab.host("far"),
    ];
    await lab.link(home, router, {
      a: { addresses: ["192.168.1.2/24"] },
      b: { addresses: ["192.168.1.1/24"] },
    });
    const [, outside] = [
      await home.ip("route add default via 192.168.1.1"),
      (await lab.link(router, far, {
        a: { addresses: ["10.0.0.1/24"] },
        b: { addresses: ["10.0.0.2/24"] },
      }))[0],
    ];
    await assert.rejects(home.run(ping("10.0.0.2")), CommandFailed); // far knows no way back
    await masquerade(outside);
    await home.run(ping("10.0.0.2"));
  },
);

labTest("loss of all loses all, of half some and of none nothing", async (lab) => {
  const { a, right } = await pair(lab);
  await dropShare(right, 1);
  await assert.rejects(a.run(ping("10.0.0.2")), CommandFailed);
  await dropShare(right, 0.5);
  const { stdout } = await a.run(["ping", "-c", "60", "-i", "0.01", "-W", "1", "10.0.0.2"]);
  const received = Number(/(\d+) received/.exec(stdout)?.[1]);
  assert(received >= 10 && received <= 50, `${received} of 60`); // outside 10..50: less than once in 10^6
  await dropShare(right, 0);
  await a.run(["ping", "-c", "20", "-i", "0.01", "-W", "1", "10.0.0.2"]);
});

labTest("a rate holds back what goes above it", async (lab) => {
  const { a, left } = await pair(lab);
  await limitRate(left, 1_000_000);
  // 20 × 8,000 B are 1.28 Mbit, of which 64 KiB pass at once: the rest takes 0.7 s, where a free wire takes 0.04.
  const start = performance.now();
  await a.run(["ping", "-c", "20", "-i", "0.002", "-W", "2", "-s", "8000", "10.0.0.2"]);
  assert(performance.now() - start > 500);
});

labTest("every host has a /run of its own, which a program outside can reach", async (lab) => {
  const { a, b } = await pair(lab);
  await a.run(["sh", "-c", "echo from a > /run/note"]);
  await assert.rejects(b.run(["cat", "/run/note"]), /No such file/);
  assert.equal(await Deno.readTextFile(a.outside("/run/note")), "from a\n");
});

labTest("an interface moves from one host to another", async (lab) => {
  const { a, b } = await pair(lab);
  await a.ip("tuntap add mode tun name tun7");
  await a.moveDevice("tun7", b);
  await b.run(["ip", "link", "show", "tun7"]);
  await assert.rejects(a.run(["ip", "link", "show", "tun7"]), /does not exist/);
});

labTest("a signal reaches the program itself, and its exit code comes back", async (lab) => {
  const a = await lab.host("a");
  const sleeper = a.spawn(["sleep", "1000"]);
  assert.equal((await sleeper.stop("SIGTERM")).signal, "SIGTERM");
  const trapper = a.spawn(
    ["sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"],
    {
      stdout: "piped",
    },
  );
  await trapper.stdout.getReader().read();
  assert.equal((await trapper.stop("SIGTERM")).code, 7);
});

labTest("a program that does not end in time is killed and says so", async (lab) => {
  const a = await lab.host("a");
  await assert.rejects(
    a.run(["sleep", "1000"], { timeout: 200 }),
    /sleep 1000: no end after 200 ms/,
  );
});

labTest("a failed command names the host, the command and what it said", async (lab) => {
  const a = await lab.host("a");
  await assert.rejects(
    a.run(["sh", "-c", "echo no such luck >&2; exit 3"]),
    /^CommandFailed: a: sh -c .*exit code 3: no such luck$/,
  );
});

labTest("a name that is no host name, or is taken, is refused", async (lab) => {
  await lab.host("a");
  await assert.rejects(lab.host("a"), /taken/);
  await assert.rejects(lab.host("-x"), /host name '-x'/);
  await assert.rejects(lab.host("a name"), /host name 'a name'/);
});

labTest("an orphan that ends leaves no zombie", async (lab) => {
  const a = await lab.host("a");
  await a.run(["sh", "-c", "(setsid sleep 0.05 &)"]);
  await new Promise((wake) => setTimeout(wake, 200));
  const { stdout } = await a.run(["sh", "-c", "cat /proc/[0-9]*/stat"], { check: false });
  assert.doesNotMatch(stdout, /^\d+ \(.*\) Z /m);
});

testUnless(lack, "lab: close leaves no process and no namespace", async () => {
  const lab = await Lab.open();
  const { a } = await pair(lab);
  const pid = await a.spawn(["sleep", "1000"]).pid();
  const space = await Deno.readLink(`/proc/${pid}/ns/net`);
  assert((await spaces()).has(space));
  await lab.close();
  assert(!(await spaces()).has(space));
});

// A program that opens a laboratory, says which namespace its sleeper lives in, and waits to be killed.
const VICTIM = `
import { Lab } from "./lab.ts";
const lab = await Lab.open();
const a = await lab.host("a");
const pid = await a.spawn(["sleep", "1000"]).pid();
console.log(Deno.readLinkSync("/proc/" + pid + "/ns/net"));
setInterval(() => {}, 1000);
`;

for (const user of ["this user", "nobody"] as const) {
  const isRoot = Deno.uid() === 0;
  const right = user === "nobody" && !isRoot ? "only root can become nobody" : lack.right;
  const name = `lab: SIGKILL of a program run by ${user} leaves no process and no namespace`;
  testUnless({ right }, name, async () => {
    const folder = await Deno.makeTempDir();
    try {
      await killed(folder, user === "nobody");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/**
 * Becomes nobody, who can open /dev/net/tun here as on a machine with udev: some machines keep the device to root, so
 * the program has a node of it in a mount namespace of its own. Each step replaces the one before: the process stays one.
 */
const NOBODY = [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mknod -m 666 "$1/tun" c 10 200 && mount --bind "$1/tun" /dev/net/tun && shift && exec setpriv "$@"',
  "sh",
];

async function killed(folder: string, asNobody: boolean): Promise<void> {
  for await (const { name } of Deno.readDir(new URL(".", import.meta.url))) {
    if (/^[a-z]+\.ts$/.test(name)) {
      await Deno.copyFile(new URL(name, import.meta.url), `${folder}/${name}`);
    }
  }
  await Deno.writeTextFile(`${folder}/victim.ts`, VICTIM);
  await Deno.copyFile(Deno.execPath(), `${folder}/deno`); // its own folder may be closed to others
  await Deno.mkdir(`${folder}/cache`);
  await Deno.chmod(`${folder}/cache`, 0o777);
  await Deno.chmod(folder, 0o755);
  const drop = asNobody
    ? [...NOBODY, folder, "--reuid=65534", "--regid=65534", "--clear-groups"]
    : ["env"];
  const [program = "", ...args] = [
    ...drop,
    `${folder}/deno`,
    "run",
    "-A",
    "--no-config",
    "victim.ts",
  ];
  const victim = new Deno.Command(program, {
    args,
    cwd: folder,
    stdout: "piped",
    env: { DENO_DIR: `${folder}/cache`, HOME: folder },
  }).spawn();
  const reader = victim.stdout.getReader();
  const space = new TextDecoder().decode((await reader.read()).value).trim();
  try {
    assert.match(space, /^net:\[\d+\]$/);
    assert((await spaces()).has(space), "the laboratory runs before the kill");
  } finally {
    victim.kill("SIGKILL");
    await victim.status;
    await reader.cancel();
  }
  const deadline = Date.now() + 5000;
  while ((await spaces()).has(space)) {
    assert(Date.now() < deadline, `namespace ${space} still has processes`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** The network namespaces that any process of this machine lives in. */
async function spaces(): Promise<Set<string>> {
  const found = new Set<string>();
  for await (const { name } of Deno.readDir("/proc")) {
    if (/^\d+$/.test(name)) found.add(await Deno.readLink(`/proc/${name}/ns/net`).catch(() => ""));
  }
  return found;
}
