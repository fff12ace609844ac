/** What installing does to a machine, on a folder that stands for it and programs that only say that they ran. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { inFolder } from "../../.ci/folder.ts";
import { testUnless } from "../../.ci/skip.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";
import { installService, uninstallServices } from "./installer.ts";
import { optionsText } from "./options.ts";
import type { Ran, System } from "./system.ts";

const PREFIX = "/opt/shoal";
const OURS = "shoal:x:995:995:Shoal mesh node:/var/lib/shoal:/usr/sbin/nologin\n";
const UNIT = "/etc/systemd/system/shoal@.service";

/** A machine with a systemd, and the program installed. */
class Machine implements System {
  readonly uid: number = 0;
  readonly boundingSet: bigint = (1n << 41n) - 1n;
  /** Command lines that were run, but for questions. */
  readonly ran: string[] = [];
  /** What a command that begins so answers; else it succeeds and says nothing. */
  readonly answers: [string, Partial<Ran>][] = [];
  user = "";
  group = "";

  constructor(readonly root: string) {
    for (const folder of ["/run/systemd/system", `${PREFIX}/lib/shoal`, "/var/lib"]) {
      fs.mkdirSync(root + folder, { recursive: true });
    }
    fs.chmodSync(root, 0o755);
  }

  run(program: string, args: readonly string[], input = ""): Promise<Ran> {
    const line = [program, ...args].join(" ");
    if (program === "getent") {
      const out = args[0] === "passwd" ? this.user : this.group;
      return Promise.resolve({ code: out === "" ? 2 : 0, out, err: "" });
    }
    if (program === "systemd-sysusers") [this.user, this.group] = [OURS, "shoal:x:995:\n"];
    if (program === "userdel") this.user = "";
    if (program === "groupdel") this.group = "";
    if (!line.startsWith("systemctl list")) this.ran.push(line);
    const [, answer] = this.answers.find(([begin]) => line.startsWith(begin)) ?? [];
    const out = program === "systemd-creds" ? `sealed(${input.length})\n` : "";
    return Promise.resolve({ code: 0, out, err: "", ...answer });
  }

  read(path: string): string {
    return fs.readFileSync(this.root + path, "utf8");
  }

  write(path: string, text: string): void {
    fs.mkdirSync(this.root + path.slice(0, path.lastIndexOf("/")), { recursive: true });
    fs.writeFileSync(this.root + path, text);
  }

  has(path: string): boolean {
    return fs.existsSync(this.root + path);
  }

  mode(path: string): string {
    return (fs.statSync(this.root + path).mode & 0o777).toString(8);
  }

  /** Every path below it, for a comparison. */
  all(): string[] {
    return fs.readdirSync(this.root, { recursive: true }).map(String).sort();
  }

  install(wish: { service?: string; prefix?: string; token?: string; isSealed?: boolean } = {}) {
    const { service = "lab", prefix = PREFIX, token, isSealed = false } = wish;
    return installService(this, { service, prefix, token, isSealed });
  }

  uninstall(wish: { service?: string; isAll?: boolean; isPurge?: boolean } = {}) {
    const { service, isAll = false, isPurge = false } = wish;
    return uninstallServices(this, { service, isAll, isPurge });
  }
}

/** The parents of the folder have to be root's, as those of a prefix. */
const lack = { right: Deno.uid() === 0 ? undefined : "a machine's folders are root's" };

function onMachine(name: string, body: (machine: Machine) => Promise<void>): void {
  testUnless(lack, name, () => inFolder((dir) => body(new Machine(dir))));
}

/** It is refused with this code and text, and nothing has changed. */
async function refused(
  machine: Machine,
  work: () => Promise<unknown>,
  code: ExitCode,
  text: RegExp,
): Promise<void> {
  const before = machine.all();
  const [result] = await Promise.allSettled([work()]);
  assert(result?.status === "rejected", "it was not refused");
  assert(result.reason instanceof Failure, String(result.reason));
  assert.match(result.reason.message, text);
  assert.equal(result.reason.code, code);
  assert.deepEqual([machine.all(), machine.ran], [before, []]);
}

onMachine(
  "install makes user, unit and options, in this order, and starts nothing",
  async (machine) => {
    const lines = await machine.install();
    assert.deepEqual(machine.ran, [
      'systemd-sysusers --inline u shoal - "Shoal mesh node" /var/lib/shoal',
      "systemctl daemon-reload",
    ]);
    assert.match(machine.read(UNIT), /^ExecStart=\/opt\/shoal\/bin\/shoal node$/m);
    assert.deepEqual([machine.mode(UNIT), machine.mode("/etc/shoal/lab.conf")], ["644", "600"]);
    assert.equal(machine.read("/etc/shoal/lab.conf"), optionsText("lab"));
    assert.match(lines.join("\n"), /systemctl enable --now shoal@lab$/m);
    assert.match(lines.join("\n"), /its first start founds a new mesh/);
  },
);

onMachine(
  "a second install keeps the options that a person wrote, and tells of what runs",
  async (machine) => {
    await machine.install();
    machine.write("/etc/shoal/lab.conf", "SHOAL_LISTEN=4500\n");
    machine.write(UNIT, machine.read(UNIT) + "# an older one\n");
    const lines = await machine.install();
    assert.equal(machine.read("/etc/shoal/lab.conf"), "SHOAL_LISTEN=4500\n");
    assert.match(lines.join("\n"), /systemctl restart 'shoal@\*'/);
    assert.doesNotMatch(lines.join("\n"), /founds a new mesh/);
    assert.equal(machine.ran.filter((line) => line.startsWith("systemd-sysusers")).length, 1);
  },
);

onMachine(
  "an invite is kept for root alone; the later one counts, whichever way it is kept",
  async (machine) => {
    const plain = "/etc/credstore/shoal.lab.token";
    const sealed = "/etc/credstore.encrypted/shoal.lab.token.sealed";
    await machine.install({ token: "shoal3abc" });
    assert.deepEqual([machine.read(plain), machine.mode(plain)], ["shoal3abc\n", "600"]);
    assert.equal(machine.mode("/etc/credstore"), "700");
    await machine.install({ token: "shoal3abc", isSealed: true });
    assert.deepEqual([machine.read(sealed), machine.mode(sealed)], ["sealed(10)\n", "600"]);
    assert(!machine.has(plain), "not in the clear any more");
    assert(machine.ran.includes("systemd-creds encrypt --name=shoal.token.sealed - -"));
    assert(machine.ran.every((line) => !line.includes("shoal3")), "not in a command line");
    await machine.install({ token: "shoal3new" });
    assert(!machine.has(sealed));
  },
);

onMachine("what is not Shoal's is left alone, and said", async (machine) => {
  machine.user = "shoal:x:1000:1000:Sholom Aleichem:/home/shoal:/bin/bash\n";
  const foreign = /a user or group 'shoal' exists and is not Shoal's/;
  await refused(machine, () => machine.install(), Exit.failed, foreign);
  machine.user = "";
  machine.group = "shoal:x:1000:anna\n";
  await refused(machine, () => machine.install(), Exit.failed, foreign);
  machine.group = "";
  machine.write(UNIT, "[Service]\nExecStart=/bin/true\n");
  const unit = /shoal@\.service is not Shoal's: move it away/;
  await refused(machine, () => machine.install(), Exit.failed, unit);
  await refused(machine, () => machine.uninstall({ isAll: true }), Exit.failed, unit);
});

onMachine(
  "a program that the service could not see, or that others could change, is refused",
  async (machine) => {
    for (const prefix of ["/root/opt", "/home/anna/opt", "/tmp/opt", "/home"]) {
      await refused(
        machine,
        () => machine.install({ prefix }),
        Exit.failed,
        /does not see what is below/,
      );
    }
    await refused(
      machine,
      () => machine.install({ prefix: "/opt/a b" }),
      Exit.usage,
      /choose another/,
    );
    fs.chmodSync(`${machine.root}/opt`, 0o700);
    await refused(
      machine,
      () => machine.install(),
      Exit.failed,
      /cannot enter \/opt \(mode 0700\)/,
    );
    fs.chmodSync(`${machine.root}/opt`, 0o777);
    await refused(
      machine,
      () => machine.install(),
      Exit.noPermission,
      /others may write in .*\/opt/,
    );
    fs.chmodSync(`${machine.root}/opt`, 0o755);
    fs.chownSync(`${machine.root}/opt/shoal`, 1000, 1000);
    await refused(machine, () => machine.install(), Exit.noPermission, /belongs to user 1000/);
  },
);

onMachine(
  "without systemd, without root, without the right or with a bad name nothing is done",
  async (machine) => {
    await refused(
      machine,
      () => machine.install({ service: "a/b" }),
      Exit.usage,
      /'a\/b' cannot be/,
    );
    const user = Object.assign(Object.create(machine), { uid: 1000 }) as Machine;
    await refused(machine, () => user.install(), Exit.noPermission, /be root/);
    await refused(machine, () => user.uninstall(), Exit.noPermission, /be root/);
    const few = Object.assign(Object.create(machine), { boundingSet: 1n << 39n }) as Machine;
    await refused(machine, () => few.install(), Exit.failed, /has no CAP_NET_ADMIN/);
    fs.rmSync(`${machine.root}/run/systemd`, { recursive: true });
    await refused(
      machine,
      () => machine.install(),
      Exit.failed,
      /systemd does not run this machine/,
    );
  },
);

onMachine(
  "uninstall stops it, then removes unit, user and what install made, and keeps the state",
  async (machine) => {
    const before = machine.all();
    await machine.install({ token: "shoal3abc" });
    machine.write("/var/lib/shoal/lab/identity", "key");
    machine.ran.length = 0;
    const lines = await machine.uninstall();
    assert.deepEqual(machine.ran, [
      "systemctl disable --now shoal@lab.service",
      "systemctl reset-failed shoal@lab.service",
      `chown -hR root:root ${machine.root}/var/lib/shoal/lab`,
      "systemctl daemon-reload",
      "systemctl reset-failed shoal@*",
      "userdel shoal",
      "groupdel shoal",
    ]);
    assert.match(lines.join("\n"), /stay in \/var\/lib\/shoal\/lab, for root alone.*; rm -r \/var/);
    const left = machine.all().filter((path) => !before.includes(path));
    const folders = ["etc", "etc/credstore", "etc/systemd", "etc/systemd/system"];
    const state = ["var/lib/shoal", "var/lib/shoal/lab", "var/lib/shoal/lab/identity"];
    assert.deepEqual(left, [...folders, ...state]);
  },
);

onMachine(
  "options that a person has written stay with the state, until --purge",
  async (machine) => {
    await machine.install();
    machine.write("/etc/shoal/lab.conf", "SHOAL_LISTEN=4500\n");
    machine.write("/var/lib/shoal/lab/identity", "key");
    const stays = (await machine.uninstall()).join("\n");
    assert.match(
      stays,
      /options stay in \/etc\/shoal\/lab\.conf, .*: rm \/etc\/shoal\/lab\.conf removes/,
    );
    assert.match(
      stays,
      /state stay in \/var\/lib\/shoal\/lab, .*; rm -r \/var\/lib\/shoal\/lab removes them/,
    );
    assert(machine.has("/etc/shoal/lab.conf"));
    await machine.install();
    machine.write("/var/lib/shoal/lab/state.json", "{}");
    const lines = await machine.uninstall({ isPurge: true });
    assert.match(lines.join("\n"), /its key and its state are removed: .*revoke/);
    assert(!machine.has("/etc/shoal") && !machine.has("/var/lib/shoal"));
    await machine.install();
    machine.write("/var/lib/shoal/lab/lock", "");
    const never = (await machine.uninstall({ isPurge: true })).join("\n");
    assert.match(never, /its state is removed: it was in no mesh/);
    assert.doesNotMatch(never, /revoke/);
  },
);

onMachine(
  "of several services one is removed by its name, and the user stays for the others",
  async (machine) => {
    await machine.install({ service: "a" });
    await machine.install({ service: "b" });
    // Started by hand, without options of its own.
    const unit = "shoal@c.service loaded active running Shoal mesh node c\n";
    machine.answers.push(["systemctl list-units", { out: unit }]);
    machine.ran.length = 0;
    await refused(
      machine,
      () => machine.uninstall(),
      Exit.usage,
      /which one\? shoal@a shoal@b shoal@c/,
    );
    const unknown = () => machine.uninstall({ service: "d" });
    await refused(machine, unknown, Exit.failed, /no service shoal@d; there are: shoal@a/);
    const lines = await machine.uninstall({ service: "a" });
    // One that had failed would be listed, and asked about, for as long as the machine runs.
    assert.deepEqual(machine.ran, [
      "systemctl disable --now shoal@a.service",
      "systemctl reset-failed shoal@a.service",
    ]);
    assert.match(lines.join("\n"), /other services go on: shoal@b shoal@c/);
    assert(machine.has(UNIT) && !machine.has("/etc/shoal/a.conf"));
    await machine.uninstall({ isAll: true });
    assert(!machine.has(UNIT));
    assert(machine.ran.includes("userdel shoal"));
  },
);

onMachine(
  "a state of a service that is known by nothing else is found by its owner, before its user goes",
  async (machine) => {
    await machine.install();
    machine.write("/var/lib/shoal/lost/identity", "key");
    fs.chownSync(`${machine.root}/var/lib/shoal/lost`, 995, 995);
    machine.write("/var/lib/shoal/shoal0/identity", "a node that root ran by hand");
    machine.ran.length = 0;
    await machine.uninstall({ isAll: true });
    assert(machine.ran.includes(`chown -hR root:root ${machine.root}/var/lib/shoal/lost`));
    assert(machine.ran.every((line) => !line.includes("shoal0")), machine.ran.join("\n"));
  },
);

onMachine("a step that fails ends it with what the program said", async (machine) => {
  await machine.install();
  machine.answers.push(["systemctl disable", { code: 1, err: "one\nFailed to stop\n" }]);
  await assert.rejects(
    machine.uninstall(),
    (error) =>
      error instanceof Failure && /^systemctl disable .*: Failed to stop$/.test(error.message),
  );
  assert(machine.has(UNIT), "it can be tried again");
});

onMachine("where nothing is there it says so", async (machine) => {
  // As systemctl does where it finds no such file.
  machine.answers.push(["systemctl list-unit-files", { code: 1 }]);
  const none = /no service of Shoal's is here$/;
  for (const wish of [{}, { service: "lab" }, { isPurge: true }]) {
    await refused(machine, () => machine.uninstall(wish), Exit.failed, none);
  }
  machine.write("/var/lib/shoal/lab/identity", "key");
  machine.write("/var/lib/shoal/home/identity", "key");
  const left = (folders: string) =>
    new RegExp(`is here; what nodes have left is in ${folders}: rm -r removes it`);
  const both = left("/var/lib/shoal/home and /var/lib/shoal/lab");
  await refused(machine, () => machine.uninstall({ isPurge: true }), Exit.failed, both);
  const lab = () => machine.uninstall({ service: "lab", isPurge: true });
  await refused(machine, lab, Exit.failed, left("/var/lib/shoal/lab"));
  await machine.uninstall({ isAll: true });
  assert(machine.has("/var/lib/shoal/lab/identity"));
  machine.ran.length = 0;

  machine.answers.unshift(["systemctl list-unit-files", { code: 1, err: "no bus\n" }]);
  await refused(machine, () => machine.uninstall(), Exit.failed, /list-unit-files .*: no bus$/);
});
