import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { missingForContainers } from "./container.ts";
import { Lab } from "./lab.ts";
import { missingRight } from "./right.ts";

const lack = { right: await missingRight(), containers: await missingForContainers() };
const PING = ["ping", "-c", "1", "-W", "1"];

function containerTest(name: string, fn: (lab: Lab) => Promise<void>): void {
  testUnless(lack, `containers: ${name}`, async () => {
    await using lab = await Lab.open();
    await fn(lab);
  });
}

containerTest("a bridge joins containers and namespaces", async (lab) => {
  const hosts = [await lab.container("a"), await lab.container("b"), await lab.host("c")];
  const bridge = await lab.bridge("bridge");
  for (const [i, host] of hosts.entries()) {
    await bridge.attach(host, { addresses: [`10.0.0.${i + 1}/24`, `fd00::${i + 1}/64`] });
  }
  const [a, , c] = hosts;
  assert(a !== undefined && c !== undefined);
  await a.run([...PING, "10.0.0.2"]);
  await a.run([...PING, "fd00::3"]);
  await c.run([...PING, "10.0.0.1"]);
});

containerTest(
  "each has its own /run, host name and processes, and the files of this machine",
  async (lab) => {
    const [a, b] = [await lab.container("a"), await lab.container("b")];
    await a.run(["sh", "-c", "cat > /run/note"], { stdin: "from a" });
    assert.equal(await Deno.readTextFile(a.outside("/run/note")), "from a");
    await assert.rejects(b.run(["cat", "/run/note"]), /No such file/);
    assert.equal((await b.run(["hostname"])).stdout, "b\n");
    assert.equal((await a.run(["pwd"])).stdout, `${Deno.cwd()}\n`);
    const sleeper = a.spawn(["sleep", "1000"]);
    await sleeper.pid();
    const processes = async (host: typeof a) => (await host.run(["ps", "-eo", "args"])).stdout;
    assert.match(await processes(a), /sleep 1000/);
    assert.doesNotMatch(await processes(b), /sleep 1000/);
  },
);

containerTest("a signal reaches the program itself, and its exit code comes back", async (lab) => {
  const a = await lab.container("a");
  const trap = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
  const trapper = a.spawn(["sh", "-c", trap], { stdout: "piped" });
  await trapper.stdout.getReader().read();
  const pid = await trapper.pid();
  assert.match(await Deno.readTextFile(`/proc/${pid}/cmdline`), /^sh\0-c\0trap/);
  assert.equal((await trapper.stop("SIGTERM")).code, 7);
  await assert.rejects(
    a.run(["sh", "-c", "echo no such luck >&2; exit 3"]),
    /a: sh -c .*no such luck$/,
  );
});

containerTest("a name that is no host name, or is taken, is refused", async (lab) => {
  await lab.container("a");
  await assert.rejects(lab.host("a"), /taken/);
  await assert.rejects(lab.container("a"), /taken/);
  await assert.rejects(lab.container("../a"), /host name '..\/a'/);
});

testUnless(lack, "containers: the devices of this machine stay what they were", async () => {
  const devices = async () => {
    const list = ["/dev", "-maxdepth", "2", "-printf", "%p %i %m %y %s\n"];
    const { stdout } = await new Deno.Command("find", { args: list }).output();
    return new TextDecoder().decode(stdout).split("\n")
      .filter((line) => /^\/dev\/(?:ptmx|net\/tun|null|pts|console|tty|shm) /.test(line)).sort();
  };
  const before = await devices();
  await using lab = await Lab.open();
  await lab.container("a");
  assert.deepEqual(await devices(), before);
});

testUnless(lack, "containers: close leaves no process and no control group", async () => {
  const groups = await groupsOfLxc();
  const lab = await Lab.open();
  const a = await lab.container("a");
  const pid = await a.spawn(["sleep", "1000"]).pid();
  await Deno.stat(`/proc/${pid}`);
  await lab.close();
  await assert.rejects(Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
  assert.deepEqual(await groupsOfLxc(), groups);
});

/** Every control group of this machine that LXC made. */
async function groupsOfLxc(): Promise<string[]> {
  const find = ["/sys/fs/cgroup", "-name", "lxc.*", "-type", "d"];
  const { stdout } = await new Deno.Command("find", { args: find }).output();
  return new TextDecoder().decode(stdout).split("\n").sort();
}
