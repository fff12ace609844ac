/** A node as a service of the system, under a systemd that boots for it, installed as by hand. */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import { Guest, missingGuest } from "./guest.ts";
import { Machines } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { missingRight } from "./right.ts";
import { until } from "./until.ts";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
const LIB = "/usr/local/lib/shoal";
const TOKEN = /shoal\d+[A-Za-z0-9_-]{20,}/;
/** Milliseconds: bounds, not expectations. */
const MEET = 30_000;
const RESTART = 30_000;
/** Between two questions that take a program each. */
const ASK_EVERY = 200;

const right = await missingRight();
const lack = right === undefined ? await missingGuest() : { right };

/** A service of a guest: what a person types, and what systemd says. */
class Service {
  constructor(readonly guest: Guest, readonly name: string) {}

  get unit(): string {
    return `shoal@${this.name}`;
  }

  /** `./run install --service NAME …`, and options as a person writes them into the file. */
  static async install(
    guest: Guest,
    name: string,
    { options = {}, args = [], stdin = "" }: {
      readonly options?: Readonly<Record<string, string>>;
      readonly args?: readonly string[];
      readonly stdin?: string;
    } = {},
  ): Promise<Service> {
    await guest.run([`${ROOT}/run`, "install", "--service", name, ...args], { stdin });
    const service = new Service(guest, name);
    if (Object.keys(options).length > 0) await service.choose(options);
    return service;
  }

  /** Writes the options of the service. */
  async choose(options: Readonly<Record<string, string>>): Promise<void> {
    const lines = Object.entries(options).map(([name, value]) => `SHOAL_${name}=${value}\n`);
    await this.guest.sh(`cat >/etc/shoal/${this.name}.conf`, { stdin: lines.join("") });
  }

  /** Changes of the unit, as `systemctl edit` makes them. */
  async edit(...lines: string[]): Promise<void> {
    const folder = `/etc/systemd/system/${this.unit}.service.d`;
    const stdin = ["[Service]", ...lines, ""].join("\n");
    await this.guest.sh(
      `mkdir -p ${folder}; cat >${folder}/override.conf; systemctl daemon-reload`,
      { stdin },
    );
  }

  async systemctl(command: string, ...args: string[]): Promise<void> {
    await this.guest.run(["systemctl", command, ...args, this.unit], { timeout: 120_000 });
  }

  /** One property of the unit. */
  async show(property: string): Promise<string> {
    const argv = ["systemctl", "show", "--property", property, "--value", this.unit];
    return (await this.guest.run(argv)).stdout.trim();
  }

  /** `shoal COMMAND … --interface NAME` as root. */
  async shoal(...args: string[]): Promise<string> {
    return (await this.guest.run(["shoal", ...args, "--interface", this.name])).stdout;
  }

  async status(): Promise<StatusDocument> {
    return JSON.parse(await this.shoal("status", "--json"));
  }

  async invite(): Promise<string> {
    return JSON.parse(await this.shoal("invite", "--json")).token;
  }

  /** Waits until it hears a member of this name. */
  async meets(name: string): Promise<void> {
    await until(
      `${this.unit} meets ${name}`,
      MEET,
      async () =>
        (await this.status()).peers.some((peer) =>
          peer.name === name && peer.state === "alive" && peer.path === "direct"
        ),
      ASK_EVERY,
    );
  }

  /** All that the journal has of the unit. */
  journal(): Promise<string> {
    return this.guest.sh(`journalctl --unit ${this.unit} --output cat --no-pager`);
  }
}

/** A machine on a wire of its own, on which a systemd has booted and the service `lab` is installed. */
class Alone implements AsyncDisposable {
  private constructor(
    readonly guest: Guest,
    readonly lyon: Service,
    private readonly opened: AsyncDisposableStack,
  ) {}

  static async open(options: Readonly<Record<string, string>> = {}): Promise<Alone> {
    await using opened = new AsyncDisposableStack();
    const machines = opened.use(await Machines.open());
    const guest = opened.use(await Guest.boot((await machines.add("lyon")).host, ROOT));
    const lyon = await Service.install(guest, "lab", { options });
    return new Alone(guest, lyon, opened.move());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.opened.disposeAsync();
  }
}

testUnless(
  lack,
  "a service is ready when its addresses can be bound, without the checkout and without a network, and reaches members",
  async () => {
    await using machines = await Machines.open();
    const { host } = await machines.add("lyon");
    await host.ip("link set eth0 down");
    await using guest = await Guest.boot(host, ROOT);
    const lyon = await Service.install(guest, "lab", { options: { NAME: "lyon" } });
    // A person's checkout may move; this one is out of sight.
    await guest.run(["mount", "-t", "tmpfs", "none", ROOT]);

    // Nothing is awaited here: when systemctl returns it is ready.
    const there = await guest.sh(`
      systemctl start ${lyon.unit}
      ip -oneline address show dev lab scope global
      test -S /run/shoal/lab/control.sock`);
    assert.doesNotMatch(there, /tentative/);
    const [ip4 = "", ip6 = ""] = [...there.matchAll(/ inet6? ([^/]+)\//g)].map(([, ip]) => ip);
    const listen =
      `for (const hostname of ["${ip4}", "${ip6}"]) Deno.listen({ hostname, port: 0 }).close()`;
    await guest.run([`${LIB}/deno`, "eval", "--no-config", listen]);
    const { self: own } = await lyon.status();
    assert.deepEqual([ip4, ip6], [own.ip4, own.ip6]);
    assert.equal(await lyon.show("ActiveState"), "active");
    assert.match(await lyon.show("StatusText"), /member of the mesh/);

    await host.ip("link set eth0 up");
    const { host: other } = await machines.add("oslo");
    const oslo = MeshNode.start(other, "--token", await lyon.invite());
    await lyon.meets("oslo");
    const { self } = await oslo.status();
    for (const ip of [self.ip4, self.ip6]) await guest.run(["ping", "-c", "3", "-i", "0.2", ip]);
    for (const ip of [ip4, ip6]) await other.run(["ping", "-c", "3", "-i", "0.2", ip]);

    // It says good-bye when it is stopped, and has given its interface back.
    await lyon.systemctl("stop");
    await oslo.statusWhen(
      "hears the good-bye",
      MEET,
      ({ peers }) => peers.some(({ name, state }) => name === "lyon" && state === "left"),
    );
    await guest.sh("! ip link show dev lab 2>/dev/null");
  },
);

testUnless(
  lack,
  "a service runs as a user of its own, with three capabilities, at an exposure of 2.1 at the most",
  async () => {
    await using alone = await Alone.open();
    const { guest, lyon } = alone;
    await lyon.systemctl("start");

    const said = await guest.sh(`systemd-analyze security --no-pager ${lyon.unit}.service`);
    const [, exposure = "none"] = /Overall exposure level .*: (\d+\.\d+)/.exec(said) ?? [];
    assert.ok(Number(exposure) <= 2.1, `exposure ${exposure}\n${said}`);
    assert.equal(
      await guest.sh("systemd-analyze verify /etc/systemd/system/shoal@.service 2>&1"),
      "",
    );

    const pid = await lyon.show("MainPID");
    const status = await guest.sh(`cat /proc/${pid}/status`);
    const uid = (await guest.sh("id -u shoal")).trim();
    assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t${uid}$`, "m"));
    // capabilities(7): CAP_NET_BIND_SERVICE 10, CAP_NET_ADMIN 12, CAP_BPF 39.
    const rights = (1n << 10n | 1n << 12n | 1n << 39n).toString(16).padStart(16, "0");
    for (const set of ["CapEff", "CapPrm", "CapBnd"]) {
      assert.match(status, new RegExp(`^${set}:\\t${rights}$`, "m"), set);
    }
    assert.match(status, /^NoNewPrivs:\t1$/m);
    assert.equal((await guest.sh("stat -c '%a %U' /var/lib/shoal/lab")).trim(), "700 shoal");

    // The rights do: it answers names at port 53.
    const { health } = await lyon.status();
    assert.deepEqual(health.filter((line) => !line.startsWith("recovery:")), []);

    // Root asks without a name; so do those in the group, who change nothing; a stranger is told what is missing.
    assert.match(await guest.sh("shoal status"), /this node; lab, UDP port 51820/);
    await guest.sh("useradd anna; useradd --groups shoal bob");
    assert.match(await guest.sh("su bob -c 'shoal status'"), /this node; lab, UDP port 51820/);
    const bob = await guest.run(["su", "bob", "-c", "shoal down --interface lab"], {
      check: false,
    });
    assert.deepEqual([bob.code, bob.stderr.includes("may look but not change")], [4, true]);
    const anna = await guest.run(["su", "anna", "-c", "shoal status"], { check: false });
    assert.deepEqual([anna.code, anna.stderr.includes("in the group of the socket, 'shoal'")], [
      4,
      true,
    ]);
    // Who starts the same node by hand is told who runs it, and not to change the owner of its keys.
    const byHand = await guest.run(["shoal", "node", "--interface", "lab"], { check: false });
    assert.equal(byHand.code, 4);
    assert.match(byHand.stderr, /is that of the service shoal@lab: systemctl start shoal@lab runs/);
    assert.equal(await lyon.show("ActiveState"), "active");
  },
);

testUnless(
  lack,
  "no token goes into the journal: the founder says which command prints one; each line has its priority",
  async () => {
    await using alone = await Alone.open({ LOG_LEVEL: "trace" });
    const { guest, lyon } = alone;
    await lyon.systemctl("start");
    await lyon.systemctl("restart");
    assert.match(await lyon.invite(), TOKEN);
    await lyon.systemctl("stop");

    const all = await guest.sh("journalctl --output export --no-pager");
    assert.doesNotMatch(all, TOKEN);
    const said = await lyon.journal();
    assert.match(said, /the line that {2}sudo shoal invite --interface lab {2}prints/);
    assert.match(said, /^member of the mesh$/m, "neither time nor level of its own");

    await lyon.choose({ LISTNE: "4500" });
    await assert.rejects(lyon.systemctl("start"));
    const priority = (level: string) =>
      guest.sh(`journalctl --unit ${lyon.unit} --output cat --no-pager --priority ${level}`);
    assert.match(
      await priority("err..err"),
      /^\/etc\/shoal\/lab\.conf: SHOAL_LISTNE: there is no such option/m,
    );
    assert.match(await priority("info..info"), /^member of the mesh$/m);
    assert.doesNotMatch(await priority("warning"), /member of the mesh/);
  },
);

testUnless(
  lack,
  "a service that stands still or is killed is started again; one that was told to stop, or has a wrong option, is not",
  async () => {
    await using alone = await Alone.open();
    const { guest, lyon } = alone;
    await lyon.edit("WatchdogSec=2s", "RestartSec=100ms");
    await lyon.systemctl("start");
    const { key } = (await lyon.status()).self;
    const isBack = (restarts: number) =>
      until(
        `${lyon.unit} is started ${restarts} times`,
        RESTART,
        async () =>
          await lyon.show("NRestarts") === String(restarts) &&
          await lyon.show("ActiveState") === "active",
        ASK_EVERY,
      );

    // One that works is left alone, though nothing happens: three times the watchdog's time.
    await new Promise((wake) => setTimeout(wake, 6_000));
    assert.equal(await lyon.show("NRestarts"), "0");

    await guest.run(["kill", "-STOP", await lyon.show("MainPID")]);
    await isBack(1);
    assert.match(await lyon.journal(), /Watchdog timeout/);
    await guest.run(["kill", "-KILL", await lyon.show("MainPID")]);
    await isBack(2);
    assert.equal((await lyon.status()).self.key, key);

    // What a person adds to the unit so that the names of the mesh are asked for at each start.
    await guest.sh("printf '#!/bin/sh\\necho \"$@\" >>/run/asked\\n' >/usr/local/bin/resolvectl");
    await guest.sh("chmod 755 /usr/local/bin/resolvectl");
    await lyon.edit("ExecStartPost=+/bin/sh -c 'shoal dns --shell --interface %i | sh'");

    // New options by reload: it leaves, and is back at once.
    await lyon.choose({ NAME: "lyon", LISTEN: "4500" });
    await lyon.systemctl("reload");
    await until(
      "the new options count",
      RESTART,
      async () => (await lyon.status().catch(() => undefined))?.self.port === 4500,
      ASK_EVERY,
    );
    const { self: { ip4, ip6 } } = await lyon.status();
    const asked = () => guest.sh("cat /run/asked 2>/dev/null || true");
    await until(
      "names are asked for at the addresses of this start",
      RESTART,
      async () => (await asked()).includes(`dns ${lyon.name} ${ip4} ${ip6}\ndomain ${lyon.name} ~`),
      ASK_EVERY,
    );

    await lyon.shoal("down");
    await until(
      `${lyon.unit} has stopped`,
      RESTART,
      async () => await lyon.show("ActiveState") === "inactive",
      ASK_EVERY,
    );
    await lyon.choose({ LISTEN: "port" });
    await assert.rejects(lyon.systemctl("start"));
    await new Promise((wake) => setTimeout(wake, 1_000));
    assert.deepEqual([await lyon.show("ActiveState"), await lyon.show("ExecMainStatus")], [
      "failed",
      "2",
    ]);
    assert.match(await lyon.journal(), /^--listen 'port' is not a whole number/m);
  },
);

testUnless(
  lack,
  "an invite comes as a credential, plain or encrypted, and stands nowhere else",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    await using guest = await Guest.boot((await machines.add("oslo")).host, ROOT);
    const { token } = await lyon.invite(2);

    const args = ["--token-file", "-"];
    const slip = Service.install(guest, "lab", { args, stdin: token.slice(0, -5) });
    await assert.rejects(slip, /exit code 2: [^]*\ntoken: /);
    await guest.sh("! ls -d /etc/shoal /etc/credstore/* 2>/dev/null");
    const oslo = await Service.install(guest, "lab", {
      options: { NAME: "oslo" },
      args,
      stdin: `./run node --token ${token}\n`,
    });
    await oslo.systemctl("start");
    await oslo.meets("lyon");
    const pid = await oslo.show("MainPID");
    for (const place of ["environ", "cmdline"]) {
      assert.doesNotMatch(await guest.sh(`cat /proc/${pid}/${place}`), TOKEN, place);
    }
    assert.equal(
      (await guest.sh("stat -c '%a %U' /etc/credstore/shoal.lab.token")).trim(),
      "600 root",
    );
    await oslo.systemctl("restart"); // The invite is used up, and is there still.
    await oslo.meets("lyon");

    // A second one on the same machine, which has no interface of its own.
    const rome = await Service.install(guest, "lab2", {
      options: { NAME: "rome", NO_TUN: "1", LISTEN: "4500" },
      args: [...args, "--encrypt"],
      stdin: token,
    });
    const sealed = await guest.sh("cat /etc/credstore.encrypted/shoal.lab2.token.sealed");
    assert.doesNotMatch(sealed, TOKEN);
    await rome.systemctl("start");
    await rome.meets("lyon");
    assert.equal((await rome.status()).self.name, "rome");
    assert.doesNotMatch(await guest.sh("journalctl --output export --no-pager"), TOKEN);
  },
);

testUnless(
  lack,
  "at the start of a machine a member is ready before network and DNS, and back in its mesh when they are there",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const { host } = await machines.add("oslo");
    const { token } = await lyon.invite(2);
    const options = { NAME: "oslo", JOIN: "lyon.example:51820" };
    {
      await using guest = await Guest.boot(host, ROOT);
      const oslo = await Service.install(guest, "lab", {
        options,
        args: ["--token-file", "-"],
        stdin: token,
      });
      await oslo.systemctl("enable", "--now");
      await oslo.meets("lyon");
      await guest.powerOff();
    }
    await host.ip("link set eth0 down");
    await using guest = await Guest.boot(host, ROOT); // It returns when everything has started.
    const oslo = new Service(guest, "lab");
    assert.equal(await oslo.show("ActiveState"), "active");
    const { peers: [remembered, ...others] } = await oslo.status();
    assert.deepEqual([remembered?.name, remembered?.path, others], ["lyon", "none", []]);
    await host.ip("link set eth0 up");
    await oslo.meets("lyon");
  },
);

testUnless(
  lack,
  "a first join waits for network and DNS, and says meanwhile what it waits for",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const { host } = await machines.add("oslo");
    await host.ip("link set eth0 down");
    await using guest = await Guest.boot(host, ROOT);
    const { stdout } = await lyon.shoal(["invite", "--seed", "lyon.example:51820", "--json"]);
    const oslo = await Service.install(guest, "lab", {
      args: ["--token-file", "-"],
      stdin: JSON.parse(stdout).token,
    });
    await oslo.systemctl("start", "--no-block");
    const says = /^seed lyon\.example:51820 has no address: .* does DNS answer here\?$/m;
    await until(
      "it says what is missing",
      MEET,
      async () => says.test(await oslo.journal()),
      ASK_EVERY,
    );
    assert.match(await oslo.show("StatusText"), /has no address/);
    assert.equal(await oslo.show("ActiveState"), "activating");

    await guest.sh("echo 10.0.0.1 lyon.example >>/etc/hosts");
    await host.ip("link set eth0 up");
    await oslo.meets("lyon");
    await until(
      "it is ready",
      MEET,
      async () => await oslo.show("ActiveState") === "active",
      ASK_EVERY,
    );
    assert.equal(await oslo.show("NRestarts"), "0");
  },
);

testUnless(
  lack,
  "a service whose state is damaged stops and says what to do, and is not started again and again",
  async () => {
    await using alone = await Alone.open();
    const { guest, lyon } = alone;
    await lyon.systemctl("start");
    await lyon.systemctl("stop");
    const state = "/var/lib/shoal/lab/state.json";
    await guest.sh(`cp -p ${state} /root/state; truncate --size=-9 ${state}`);
    await assert.rejects(lyon.systemctl("start"));
    await guest.sh("sleep 6"); // It would be started again after 5 s.
    const shown = ["ActiveState", "ExecMainStatus", "NRestarts"].map((name) => lyon.show(name));
    assert.deepEqual(await Promise.all(shown), ["failed", "5", "0"]);
    const said = await lyon.journal();
    assert.equal([...said.matchAll(/state\.json is damaged .*--previous-state/g)].length, 1, said);
    // Who asks how it is reads where the reason stands, whether the service is named or not.
    for (const named of ["", " --interface lab"]) {
      const { code, stderr } = await guest.run(["sh", "-c", `shoal status${named}`], {
        check: false,
      });
      assert.equal(code, 3);
      assert.match(
        stderr,
        /^the service shoal@lab does not run: systemctl status shoal@lab says why/,
      );
    }
    await guest.sh(`cp -p /root/state ${state}`);
    await lyon.systemctl("start");
    await lyon.systemctl("stop");

    // The manager itself refuses what stands in the place of the folder.
    await guest.sh("cd /var/lib/shoal; mv lab lab.away; ln -s /etc lab");
    await assert.rejects(lyon.systemctl("start"));
    await guest.sh("sleep 6");
    assert.deepEqual([await lyon.show("ActiveState"), await lyon.show("NRestarts")], [
      "failed",
      "0",
    ]);
    await guest.sh("cd /var/lib/shoal; rm lab; mv lab.away lab");
    await lyon.systemctl("start");
    assert.equal(await lyon.show("ActiveState"), "active");
  },
);

testUnless(
  lack,
  "uninstall removes all but the state, which is root's then and makes the same member again; --purge removes it, too",
  async () => {
    await using machines = await Machines.open();
    await using guest = await Guest.boot((await machines.add("lyon")).host, ROOT);
    const traces = () =>
      guest.sh(`
        ls -d /etc/systemd/system/shoal* /etc/systemd/system/*/shoal* /etc/shoal /etc/credstore*/* \
          /run/shoal /usr/local/bin/shoal* ${LIB} 2>/dev/null || :
        getent passwd shoal || :
        getent group shoal || :
        ip -brief link show dev lab 2>/dev/null || :
        find /etc /usr/local /var /run -xdev -user "$1" -print -quit 2>/dev/null || :`.replace(
        "$1",
        "$(id -u shoal || echo 999)",
      ));
    const before = await traces();
    const lyon = await Service.install(guest, "lab");
    // As root has it by hand, first.
    const { key } = JSON.parse(
      await guest.sh(`
        umask 077
        shoal node --interface lab >/dev/null 2>&1 &
        until shoal status --interface lab --json; do sleep 0.1; done 2>/dev/null
        shoal down --interface lab >/dev/null`),
    ).self;
    await lyon.systemctl("enable", "--now");
    assert.equal((await lyon.status()).self.key, key, "the same member as a service");
    await guest.sh("useradd --groups shoal bob");
    assert.notEqual(await traces(), before);

    const said = await guest.sh(`${ROOT}/run uninstall`);
    assert.match(said, /its key and its state stay in \/var\/lib\/shoal\/lab/);
    assert.equal(await traces(), before);
    assert.equal((await guest.sh("stat -c '%a %U' /var/lib/shoal/lab")).trim(), "700 root");
    assert.equal((await guest.sh("find /var/lib/shoal ! -user root")).trim(), "");

    const again = await Service.install(guest, "lab");
    await again.systemctl("start");
    assert.equal((await again.status()).self.key, key);
    const renewed = await again.shoal("identity", "renew");
    assert.match(renewed, /^start it again with systemctl start shoal@lab, and on an admin's/m);
    assert.match(
      await guest.sh(`${ROOT}/run uninstall --purge`),
      /its key and its state are removed/,
    );
    assert.equal(await traces(), before);
    await guest.sh("! ls -d /var/lib/shoal 2>/dev/null");
  },
);
