import assert from "node:assert/strict";

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function runScript(args: string[], env: Record<string, string> = {}): Promise<Said> {
  const { code, stdout, stderr } = await new Deno.Command(`${ROOT}/run`, { args, env }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** A PATH on which everything of this machine's is but `without`, and `with` answers with fixed output. */
async function pathOf(
  folder: string,
  options: { without: RegExp; with: Record<string, string> },
): Promise<string> {
  for (const place of ["/usr/bin", "/usr/sbin"]) {
    for await (const { name } of Deno.readDir(place)) {
      if (options.without.test(name) || name in options.with) continue;
      await Deno.symlink(`${place}/${name}`, `${folder}/${name}`).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
    }
  }
  for (const [name, answer] of Object.entries(options.with)) {
    await Deno.writeTextFile(`${folder}/${name}`, `#!/bin/sh\n${answer}\n`, { mode: 0o755 });
  }
  return folder;
}

async function inFolder(fn: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "shoal-run-" });
  try {
    await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("run: without a task, and with an unknown one, it lists the tasks and exits 2", async () => {
  const none = await runScript([]);
  assert.equal(none.code, 2);
  assert.match(none.err, /usage: \.\/run TASK/);
  const unknown = await runScript(["dmeo"]);
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /^run: unknown task: dmeo\n/);
  assert.match(unknown.err, /^ {2}demo /m);
});

Deno.test("run: help goes to stdout and is no error", async () => {
  const { code, out, err } = await runScript(["--help"]);
  assert.deepEqual([code, err], [0, ""]);
  for (
    const task of [
      "demo",
      "node",
      "wg",
      "shoal",
      "install",
      "uninstall",
      "test",
      "ok",
      "bench",
      "lab",
    ]
  ) {
    assert.match(out, new RegExp(`^ {2}${task} `, "m"));
  }
});

Deno.test("run: a user who lacks packages gets the exact line and exit 4", async () => {
  await inFolder(async (folder) => {
    const PATH = await pathOf(folder, {
      without: /gcc|^g?make$/,
      with: { "id": "echo 1000", "apt-get": "echo apt-get was called >&2; exit 1" },
    });
    const { code, out, err } = await runScript(["demo"], { PATH });
    assert.deepEqual([code, out], [4, ""]);
    assert.match(err, /^ {2}apt-get install -y --no-install-recommends gcc .*make/m);
    assert.doesNotMatch(err, /was called/);
  });
});

Deno.test("run: root gets missing packages installed, with fresh package lists when the first try fails", async () => {
  await inFolder(async (folder) => {
    const log = `${folder}/calls`;
    const PATH = await pathOf(folder, {
      without: /^gcc$/,
      with: {
        "id": "echo 0",
        // Knows no packages before `update`, and installs a gcc then.
        "apt-get":
          `echo "$@" >>${log}; [ "$1" != install ] || { grep -q update ${log} || exit 100; ` +
          `ln -s /usr/bin/gcc ${folder}/gcc; }`,
      },
    });
    const { code, err } = await runScript(["setup", "ok"], { PATH });
    assert.equal(code, 0, err);
    assert.match(err, /^run: installing Debian packages: gcc$/m);
    const install = "install -y --no-install-recommends gcc";
    assert.deepEqual((await Deno.readTextFile(log)).trim().split("\n"), [
      install,
      "update",
      install,
    ]);
  });
});

Deno.test("run: before it installs anything, test says how long it takes and what it installs, as README.md does", async () => {
  await inFolder(async (folder) => {
    const PATH = await pathOf(folder, {
      without: /^valgrind$|^clang$/,
      with: { "id": "echo 1000", "apt-get": "echo apt-get was called >&2; exit 1" },
    });
    const { code, err } = await runScript(["test"], { PATH });
    assert.equal(code, 4, err);
    const [, lasts = "never"] = /^run: every test takes (.*) on two processors, /.exec(err) ?? [];
    assert.match(
      err,
      /^run: for that, compilers and tools are installed from Debian first: .*clang.*valgrind/m,
    );
    const quick = await runScript(["test", "quick", "-h"], { PATH });
    assert.match(quick.out, new RegExp(`On two processors that takes ${lasts}, quick one minute`));
    const readme = (await Deno.readTextFile(`${ROOT}/README.md`)).replaceAll("\n", " ");
    assert.ok(readme.includes(`\`./run test\` ${lasts} on two processors`), lasts);
  });
});

/** A checkout in which all is there but what is only wished for, and what `./run setup node` says in it. */
async function wishing(folder: string, answers: Record<string, string>): Promise<Said[]> {
  const checkout = `${folder}/checkout`;
  const build = `${checkout}/.build`;
  await Deno.mkdir(`${checkout}/core`, { recursive: true });
  await Deno.mkdir(`${build}/core/release`, { recursive: true });
  await Deno.mkdir(`${build}/deno-dir`);
  await Deno.mkdir(`${build}/deno`);
  await Deno.symlink(Deno.execPath(), `${build}/deno/deno`);
  await Deno.copyFile(`${ROOT}/deno.lock`, `${checkout}/deno.lock`);
  await Deno.copyFile(`${ROOT}/deno.lock`, `${build}/deno-dir/filled-from.lock`);
  const library = `${folder}/libIPSec_MB.so.1`;
  const script = (await Deno.readTextFile(`${ROOT}/run`))
    .replace("/usr/lib/x86_64-linux-gnu/libIPSec_MB.so.1", library)
    .replaceAll("/usr/include/intel-ipsec-mb.h", `${folder}/intel-ipsec-mb.h`);
  await Deno.writeTextFile(`${checkout}/run`, script, { mode: 0o755 });
  const with_ = {
    uname: "echo x86_64",
    make: `: >${build}/core/release/libshoal.so; echo made >>${folder}/makes`,
    ...answers,
  };
  const PATH = await pathOf(folder, { without: /^g?make$/, with: with_ });
  const said = [];
  for (let turn = 0; turn < 2; turn++) {
    const { code, stdout, stderr } = await new Deno.Command(`${checkout}/run`, {
      args: ["setup", "node"],
      env: { PATH },
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    said.push({ code, out: text(stdout), err: text(stderr) });
  }
  return said;
}

Deno.test("run: what is only wished for is installed before core is built", async () => {
  await inFolder(async (folder) => {
    const said = await wishing(folder, {
      id: "echo 0",
      "apt-get":
        `echo "$@" >>${folder}/calls; : >${folder}/libIPSec_MB.so.1; : >${folder}/intel-ipsec-mb.h`,
    });
    assert.deepEqual(said.map(({ code }) => code), [0, 0]);
    assert.match(
      said[0]?.err ?? "",
      /^run: installing Debian packages: libipsec-mb-dev libipsec-mb1$/m,
    );
    assert.equal(said[1]?.err, "");
    assert.match(
      await Deno.readTextFile(`${folder}/calls`),
      /^install .*libipsec-mb1.*Acquire::Retries=0.*\n$/,
    );
    assert.equal(await Deno.readTextFile(`${folder}/makes`), "made\n");
  });
});

Deno.test("run: without network what is only wished for is given up once, and all else works", async () => {
  await inFolder(async (folder) => {
    const said = await wishing(folder, {
      id: "echo 0",
      "apt-get": `echo "$1" >>${folder}/calls; exit 100`,
    });
    assert.deepEqual(said.map(({ code }) => code), [0, 0], said[0]?.err);
    assert.match(said[0]?.err ?? "", /^run: they could not be had: encryption is slower/m);
    assert.equal(said[1]?.err, "");
    assert.equal(await Deno.readTextFile(`${folder}/calls`), "install\nupdate\n");
    assert.equal(await Deno.readTextFile(`${folder}/makes`), "made\n");
  });
});

Deno.test("run: a user is told once what is wished for, and on other processors nobody is", async () => {
  await inFolder(async (folder) => {
    const said = await wishing(folder, {
      id: "echo 1000",
      "apt-get": `echo "$1" >>${folder}/calls; exit 100`,
    });
    assert.deepEqual(said.map(({ code }) => code), [0, 0]);
    assert.match(said[0]?.err ?? "", /^run: encryption is faster with: apt-get install .*mb1$/m);
    assert.equal(said[1]?.err, "");
    await assert.rejects(Deno.stat(`${folder}/calls`));
  });
  await inFolder(async (folder) => {
    const said = await wishing(folder, {
      uname: "echo aarch64",
      id: "echo 0",
      "apt-get": `echo "$1" >>${folder}/calls; exit 100`,
    });
    assert.deepEqual(said.map(({ code }) => code), [0, 0]);
    assert.doesNotMatch(said[0]?.err ?? "", /encryption/);
    await assert.rejects(Deno.stat(`${folder}/calls`));
  });
});

Deno.test("run: without apt-get it names the packages and exits 4", async () => {
  await inFolder(async (folder) => {
    const PATH = await pathOf(folder, { without: /^(?:gcc|apt-get)$/, with: {} });
    const { code, err } = await runScript(["node"], { PATH });
    assert.equal(code, 4);
    assert.match(err, /no apt-get; install what Debian calls: gcc$/m);
  });
});

Deno.test("install: another program of the same name stays, and nothing is put beside it", async () => {
  await inFolder(async (prefix) => {
    await Deno.mkdir(`${prefix}/bin`);
    await Deno.writeTextFile(`${prefix}/bin/shoal`, "#!/bin/sh\necho a school of fish\n");
    const { code, err } = await runScript(["install", prefix]);
    assert.equal(code, 1);
    assert.match(err, /bin\/shoal exists and is not Shoal's: remove it or choose another prefix/);
    assert.deepEqual([...Deno.readDirSync(prefix)].map(({ name }) => name), ["bin"]);
    assert.match(await Deno.readTextFile(`${prefix}/bin/shoal`), /a school of fish/);
  });
});

Deno.test("install: an option, an empty prefix and an apostrophe are refused with exit 2", async () => {
  for (const prefix of ["--prefix=/opt", "", "/opt/o'neill"]) {
    const { code, err } = await runScript(["install", prefix]);
    assert.equal(code, 2, prefix);
    assert.match(err, /^run: install/);
  }
});

Deno.test("install and uninstall: what stands behind the prefix has to be known, before anything is done", async () => {
  await inFolder(async (prefix) => {
    const wrong = [
      ["install", prefix, "--purge"],
      ["install", prefix, "lab"],
      ["install", "--services"],
      ["uninstall", prefix, "--service"],
      ["uninstall", "--all"],
    ];
    for (const args of wrong) {
      const { code, err } = await runScript(args);
      assert.equal(code, 2, args.join(" "));
      assert.match(err, /^run: (?:un)?install takes a prefix and then --\w+.*, not \S+$/m);
    }
    assert.deepEqual([...Deno.readDirSync(prefix)], []);
  });
});

Deno.test("install: a service that cannot be is refused before the program is put anywhere", async () => {
  await inFolder(async (prefix) => {
    const wrong: [readonly string[], RegExp][] = [
      [["lab", "two"], /^unexpected argument 'two'/m],
      [["x/y"], /^'x\/y' cannot be a service's name/m],
      [["lab", "--encrypt"], /^install: --encrypt is about an invite/m],
      [["lab", "--token-file", `${prefix}/none`], /^--token-file '\S+' cannot be read/m],
    ];
    for (const [args, why] of wrong) {
      const { code, err } = await runScript(["install", prefix, "--service", ...args]);
      assert.equal(code, 2, err);
      assert.match(err, why);
      assert.deepEqual([...Deno.readDirSync(prefix)], []);
    }
  });
});

Deno.test("uninstall: where nothing was installed nothing is removed, and it says so", async () => {
  await inFolder(async (prefix) => {
    await Deno.mkdir(`${prefix}/lib/shoal`, { recursive: true });
    const { code, err } = await runScript(["uninstall", prefix]);
    assert.equal(code, 1);
    assert.match(err, /nothing of Shoal's is in .*\/lib\/shoal/);
    assert.equal((await Deno.stat(`${prefix}/lib/shoal`)).isDirectory, true);
  });
});

Deno.test("uninstall --purge: it removes the state that an uninstallation has left, but no running node's", async () => {
  await inFolder(async (folder) => {
    const env = { SHOAL_MACHINE: folder };
    const state = `${folder}/var/lib/shoal`;
    await Deno.mkdir(state, { recursive: true });
    const purge = () => runScript(["uninstall", `${folder}/opt`, "--purge"], env);
    const none = await purge();
    assert.equal(none.code, 1);
    assert.doesNotMatch(none.err, /remember|keys/, "an empty folder holds nothing");

    await Deno.mkdir(`${state}/lab`);
    await Deno.mkdir(`${state}/never`);
    for (const file of ["lab/state.json", "lab/lock", "never/lock"]) {
      await Deno.writeTextFile(`${state}/${file}`, "");
    }
    const kept = await runScript(["uninstall", `${folder}/opt`], env);
    assert.equal(kept.code, 1);
    assert.match(kept.err, /what nodes .* remember is in .*: --purge removes it, with their keys/);

    const lock = await Deno.open(`${state}/lab/lock`, { read: true, write: true });
    await lock.lock(true);
    const running = await purge();
    assert.equal(running.code, 1);
    assert.match(running.err, /the node of \S+\/lab runs: stop it/);
    lock.close();
    assert.deepEqual([...Deno.readDirSync(state)].length, 2, "neither was removed");

    await Deno.mkdir(`${folder}/etc/systemd/system`, { recursive: true });
    const unit = `${folder}/etc/systemd/system/shoal@.service`;
    await Deno.writeTextFile(unit, "[Service]\nExecStart=/elsewhere/bin/shoal node\n");
    assert.match((await purge()).err, /There are services, so the state stays/);
    await Deno.remove(unit);

    const { code, err } = await purge();
    assert.equal(code, 0, err);
    assert.match(err, /removed \S+\/lab, with the node's key: .*revoke/);
    assert.match(err, /removed \S+\/never$/m);
    await assert.rejects(Deno.stat(state));
  });
});

Deno.test("uninstall: the installed program removes itself from its prefix, without the checkout", async () => {
  await inFolder(async (folder) => {
    const prefix = `${folder}/opt`;
    const installed = await runScript(["install", prefix]);
    assert.equal(installed.code, 0, installed.err);
    const shoal = async (...args: string[]) => {
      const env = { SHOAL_MACHINE: folder };
      const { code, stderr } = await new Deno.Command(`${prefix}/bin/shoal`, { args, env })
        .output();
      return { code, err: new TextDecoder().decode(stderr) };
    };
    for (const args of [["/elsewhere"], ["--purge", "lab"], ["--all"]]) {
      assert.equal((await shoal("uninstall", ...args)).code, 2, args.join(" "));
    }
    const { code, err } = await shoal("uninstall", prefix);
    assert.equal(code, 0, err);
    assert.match(err, /^shoal: removed \S+\/bin\/shoal, /);
    await assert.rejects(Deno.stat(prefix));
  });
});

Deno.test("run: a command that belongs behind shoal is named, and no pattern is taken for one", async () => {
  const status = await runScript(["status"]);
  assert.equal(status.code, 2);
  assert.equal(
    status.err,
    "run: unknown task: status: did you mean ./run shoal status?\n",
  );
  const near = {
    statu: "shoal status",
    invit: "shoal invite",
    nodee: "node",
    nod: "node",
    dem: "demo",
    tests: "test",
    instal: "install",
  };
  for (const [typed, meant] of Object.entries(near)) {
    const { code, err } = await runScript([typed]);
    assert.equal(code, 2);
    assert.equal(err, `run: unknown task: ${typed}: did you mean ./run ${meant}?\n`);
  }
  assert.match((await runScript(["frobnicate"])).err, /^run: unknown task: frobnicate\nusage/);
  assert.match((await runScript(["st.*us"])).err, /^run: unknown task: st\.\*us\nusage/);
});

Deno.test("run: --version is that of deno.json", async () => {
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  assert.deepEqual(await runScript(["--version"]), { code: 0, out: `shoal ${version}\n`, err: "" });
});

Deno.test("run: test --filter counts the tests that it chose, and none that it left out", async () => {
  const args = ["run", "-A", "--no-check", "--cached-only", ".ci/test.ts"];
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [...args, ".ci/ascii_test.ts", "--filter", "has nothing to be named"],
    cwd: ROOT,
  }).output();
  assert.match(new TextDecoder().decode(stdout), /\n1 passed, 0 failed\n$/);
});

Deno.test("run: -h of a task installs nothing, and says what lists the options", async () => {
  await inFolder(async (folder) => {
    for (const name of ["run", "deno.json", "deno.lock"]) {
      await Deno.copyFile(`${ROOT}/${name}`, `${folder}/${name}`);
    }
    for (const task of ["node", "wg", "shoal", "bench", "lab", "test", "up"]) {
      const { code, stdout, stderr } = await new Deno.Command(`${folder}/run`, {
        args: [task, "-h"],
      }).output();
      assert.equal(code, 0);
      assert.match(new TextDecoder().decode(stdout), /^usage: \.\/run TASK/);
      assert.equal(
        new TextDecoder().decode(stderr),
        `run: nothing is installed yet: after ./run setup, ./run ${task} -h lists its options\n`,
      );
      const left = Array.from(Deno.readDirSync(folder), ({ name }) => name);
      assert.deepEqual(left.sort(), ["deno.json", "deno.lock", "run"]);
    }
  });
});

Deno.test("run: help TASK is TASK -h, and help of a command or a topic is that of shoal", async () => {
  const beginnings = {
    demo: "usage: ./run demo\n",
    setup: "usage: ./run setup [TASK",
    install: "usage: ./run install [PREFIX]",
    node: "usage: ./run node [--join",
    ping: "usage: ./run shoal ping",
  };
  for (const [task, begins] of Object.entries(beginnings)) {
    const { code, out } = await runScript(["help", task]);
    assert.deepEqual([code, out.slice(0, begins.length)], [0, begins]);
    if (task !== "ping") assert.equal((await runScript([task, "-h"])).out, out);
  }
  const trust = await runScript(["help", "trust"]);
  assert.deepEqual(trust, await runScript(["shoal", "help", "trust"]));
  assert.match((await runScript(["help"])).out, /^usage: \.\/run TASK/);
  assert.equal((await runScript(["help", "frobnicate"])).code, 2);
});

Deno.test("run: words that a task does not take are refused with exit 2, before anything is done", async () => {
  const demo = await runScript(["demo", "foo"]);
  assert.deepEqual([demo.code, demo.out], [2, ""]);
  assert.match(demo.err, /^run: demo takes no argument, and got foo: /);
  const setup = await runScript(["setup", "foo"]);
  assert.deepEqual([setup.code, setup.out], [2, ""]);
  assert.match(setup.err, /^run: setup: unknown task foo$/m);
});

Deno.test("run: where npm fails, it says why and tries PyPI", async () => {
  await inFolder(async (folder) => {
    const PATH = await pathOf(folder, {
      without: /^(?:deno|npm|python3.*)$/,
      with: {
        npm: "echo 'npm error code SELF_SIGNED_CERT_IN_CHAIN' >&2; " +
          "echo 'npm error request to the registry failed' >&2; exit 1",
        python3: "echo python3 was called >&2; exit 1",
        id: "echo 0",
        "apt-get": "exit 0",
      },
    });
    const checkout = `${folder}/checkout`;
    await Deno.mkdir(checkout);
    await Deno.copyFile(`${ROOT}/run`, `${checkout}/run`);
    const { code, stderr } = await new Deno.Command(`${checkout}/run`, {
      args: ["setup", "node"],
      env: { PATH },
    }).output();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 1);
    assert.match(text, /^run: npm could not \(request to the registry failed\): trying PyPI$/m);
    assert.match(text, /^run: installing Deno [\d.]+ from PyPI$/m);
  });
});

Deno.test("run: what a terminal obeys is shown and not printed, whoever reads the argument", async () => {
  const hostile =
    "\x1b[31mX\x9b31mX\x7f\rX\nrun: fake\u202e\u200b\u2028\u2066\ufeff\u00ad\u{e0041}";
  const tasks = ["test", "bench", "lab", "ok", "setup"];
  const options = [["test", `--${hostile}`], ["bench", `--${hostile}`]];
  for (const argv of [[hostile], ...tasks.map((task) => [task, hostile]), ...options]) {
    const { code, out, err } = await runScript(argv);
    assert.equal(code, 2, `${argv}`);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(out + err, /[\x00-\x09\x0b-\x1f\x7f-\x9f]|^run: fake/m, `${argv}`);
    assert.doesNotMatch((out + err).replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, `${argv}`);
    assert.match(out + err, /\[31mX/);
  }
});

Deno.test("run: of a long argument a person sees the beginning", async () => {
  const { code, err } = await runScript(["x".repeat(100_000)]);
  assert.equal(code, 2);
  assert.match(err, /^run: unknown task: x+\n/);
  assert(err.length < 6_000, `${err.length} characters`);
});

Deno.test("run: bytes that are no UTF-8 are shown as question marks, and letters of all kinds as they are", async () => {
  const { stderr } = await new Deno.Command("bash", {
    // The control sequence of one byte; é cut off; é and a fish; the byte of a control sequence within a letter (Л).
    args: [
      "-c",
      `exec ${ROOT}/run $'a\\x9b31m\\xc3b\\xc3\\xa9\\xf0\\x9f\\x90\\x9f\\xd0\\x9b\\xc3\\xa9\\xff'`,
    ],
  }).output();
  assert.match(new TextDecoder().decode(stderr), /^run: unknown task: a\?31m\?bé🐟Лé\?\n/);
});
