import assert from "node:assert/strict";
import { inFolder } from "../.ci/folder.ts";
import { nodeConfig, parseSeed, readToken } from "./config.ts";
import { Exit, Failure } from "./exit.ts";
import { findInstance } from "./instance.ts";

const noEnv = () => undefined;

function usage(text: RegExp) {
  return (error: unknown) => {
    assert(error instanceof Failure, String(error));
    assert.equal(error.code, Exit.usage);
    assert.match(error.message, text);
    return true;
  };
}

Deno.test("a seed is HOST:PORT, a bracketed IPv6 address, or a host on the usual port", () => {
  assert.deepEqual(parseSeed("--join", "lyon.example:4500"), { host: "lyon.example", port: 4500 });
  assert.deepEqual(parseSeed("--join", "203.0.113.9:51820"), { host: "203.0.113.9", port: 51820 });
  assert.deepEqual(parseSeed("--join", "[2001:db8::1]:51821"), {
    host: "2001:db8::1",
    port: 51821,
  });
  assert.deepEqual(parseSeed("--join", "lyon"), { host: "lyon", port: 51820 });
  for (
    const bad of ["", "lyon:0", "lyon:65536", "lyon:port", "2001:db8::1:51820", "a b:1", "[::1"]
  ) {
    assert.throws(() => parseSeed("--join", bad), usage(/is not HOST:PORT/), bad);
  }
});

Deno.test("a seed, and what invites name, is one machine: not all of them, a group or none", () => {
  const nobody = ["0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "ff02::1"];
  for (const host of [...nobody, "::ffff:0.0.0.0"]) {
    const seed = host.includes(":") ? `[${host}]:9` : host;
    const refused = usage(/is the address of no machine: name one by which/);
    assert.throws(() => parseSeed("--seed", seed), refused, host);
    assert.throws(() => nodeConfig({ state: "/tmp/x", advertise: host }, noEnv), refused, host);
  }
  for (const host of ["127.0.0.1", "169.254.0.1", "240.0.0.1", "localhost"]) {
    assert.equal(parseSeed("--seed", host).host, host);
  }
});

Deno.test("flags stand over the environment", () => {
  const env = (name: string) =>
    ({ SHOAL_NAME: "from-env", SHOAL_LISTEN: "4500", SHOAL_JOIN: "a:1,b:2", SHOAL_NO_TUN: "1" })[
      name
    ];
  const config = nodeConfig({ name: "from-flag", state: "/tmp/x" }, env);
  assert.equal(config.name, "from-flag");
  assert.equal(config.listen, 4500);
  assert.equal(config.tun, false);
  assert.deepEqual(config.join, [{ host: "a", port: 1 }, { host: "b", port: 2 }]);
  const flagged = nodeConfig({ join: ["c:3"], state: "/tmp/x" }, env);
  assert.deepEqual(flagged.join, [{ host: "c", port: 3 }]);
});

Deno.test("what is empty in the environment was not said", () => {
  const config = nodeConfig({ state: "/tmp/x" }, () => "");
  assert.equal(config.listen, undefined);
  assert.equal(config.logLevel, "info");
  assert.equal(config.instance.interface, "shoal0");
});

Deno.test("what invites name is a host or an address, before any mesh is made", () => {
  const config = (advertise: string) => nodeConfig({ state: "/tmp/x", advertise }, noEnv);
  for (const good of ["lyon.example", "203.0.113.9", "2001:db8::1"]) {
    assert.equal(config(good).advertise, good);
  }
  for (const bad of ["", "a b", "1.2.3.4:99", "lyon:51820", "1.2.3"]) {
    assert.throws(
      () => config(bad),
      usage(/--advertise '.*' is neither a host name nor an address/),
    );
  }
});

Deno.test("a path that is too long for a socket is told before anything is made", () => {
  assert.equal(findInstance({ state: `/${"x".repeat(93)}` }, noEnv, 0).controlSocket.length, 107);
  assert.throws(
    () => findInstance({ state: `/${"x".repeat(94)}` }, noEnv, 0),
    usage(/path of 108 bytes, more than the 107 of a Unix socket: choose a shorter --state/),
  );
});

Deno.test("a value out of range is named with what would be right", () => {
  const config = (flags: Record<string, string>) => () =>
    nodeConfig({ state: "/tmp/x", ...flags }, noEnv);
  assert.throws(config({ listen: "70000" }), usage(/--listen '70000'.*0 to 65535/));
  assert.throws(config({ name: "Bad Name" }), usage(/--name 'Bad Name'/));
  assert.throws(config({ workers: "many" }), usage(/--workers 'many'/));
  assert.throws(config({ "log-level": "loud" }), usage(/'loud'/));
  assert.throws(config({ interface: "much-too-long-name" }), usage(/interface name/));
  const env = (name: string) => name === "SHOAL_NO_TUN" ? "yes" : undefined;
  assert.throws(() => nodeConfig({ state: "/tmp/x" }, env), usage(/SHOAL_NO_TUN='yes'/));
});

Deno.test("a token comes from a file without its line end, and a missing file is named", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "shoal3abc\n");
  assert.equal(await readToken({ "token-file": path }, noEnv), "shoal3abc");
  assert.equal(await readToken({ token: " shoal3abc " }, noEnv), "shoal3abc");
  assert.equal(await readToken({}, noEnv), undefined);
  await assert.rejects(readToken({ token: "x", "token-file": path }, noEnv), usage(/choose one/));
  await Deno.writeTextFile(path, " \n");
  const empty = usage(new RegExp(`--token-file '${path}' is empty: put the invite there`));
  await assert.rejects(readToken({ "token-file": path }, noEnv), empty);
  await assert.rejects(readToken({ token: "" }, noEnv), usage(/^--token is empty/));
  await Deno.remove(path);
  await assert.rejects(readToken({ "token-file": path }, noEnv), (error) => {
    assert(error instanceof Failure);
    assert.equal(error.code, Exit.usage);
    assert.match(error.message, /cannot be read/);
    return true;
  });
});

Deno.test("a token is found in the line that invite printed, in an assignment and in JSON, and of two none is chosen", async () => {
  const token = "shoal3Ab-c_9";
  const read = (text: string) => readToken({ token: text }, noEnv);
  const whole = [
    `./run node --token ${token}`,
    `shoal node --token=${token} --name lyon`,
    `on the next machine (one machine, within 24 hours), run:\n./run node --token ${token}\n` +
    `where that machine needs another address than 192.0.2.1:51820, put it in place of this one:  ` +
    `./run node --join 192.0.2.1:51820 --token ${token}\n`,
    `SHOAL_TOKEN=${token}`,
    `export SHOAL_TOKEN="${token}"\n`,
    JSON.stringify({ v: 1, token, seeds: ["lyon:51820"], uses: 1 }),
    `  ${token}\r\n`,
    `./run node --token shoal3Ab\n  -c_9\r\n`,
    `shoal3Ab-\nc_\n9\n`,
    `./run node --token ${token}\n--name lyon\n`,
    `./run node --token ${token}\n./run node --token ${token}\n`,
  ];
  for (const text of whole) assert.equal(await read(text), token, text);
  await assert.rejects(
    read(`${token}\nshoal3other\n`),
    usage(/^--token holds two different tokens/),
  );
  // What reads tokens says what is wrong with a text that has none.
  for (const none of ["tskey-abcdef", "./run node --name shoal"]) {
    assert.equal(await read(none), none);
  }
});

Deno.test("a token that was handed on by a descriptor stands for --token", async () => {
  const path = await Deno.makeTempFile();
  await Deno.writeTextFile(path, "shoal3abc\n");
  // Opened by libc: the run time's own files are closed to /dev/fd.
  const libc = Deno.dlopen("libc.so.6", {
    open: { parameters: ["buffer", "i32"], result: "i32" },
    close: { parameters: ["i32"], result: "i32" },
  });
  const fd = libc.symbols.open(new TextEncoder().encode(`${path}\0`), 0);
  const env = (name: string) => name === "SHOAL_TOKEN_FD" ? String(fd) : undefined;
  assert.equal(await readToken({}, env), "shoal3abc");
  await assert.rejects(readToken({ "token-file": path }, env), usage(/choose one/));
  libc.symbols.close(fd);
  libc.close();
  await assert.rejects(readToken({}, env), /SHOAL_TOKEN_FD='\d+' cannot be read/);
  await assert.rejects(readToken({}, () => "/etc/passwd"), usage(/is no descriptor/));
  await Deno.remove(path);
});

Deno.test("a token file is read as far as a token can be long, and what is no file has a next step", async () => {
  const dir = await Deno.makeTempDir();
  const refused = async (file: string, code: number, text: RegExp) => {
    await assert.rejects(readToken({ "token-file": file }, noEnv), (error) => {
      assert(error instanceof Failure, String(error));
      assert.equal(error.code, code);
      assert.match(error.message, text);
      return true;
    });
  };
  await refused("/dev/zero", Exit.usage, /^--token-file '\/dev\/zero' is longer than any token/);
  await refused(
    dir,
    Exit.usage,
    /' cannot be read \(EISDIR\): it is a folder: name the file in it$/,
  );
  await refused("", Exit.usage, /^--token-file is empty: name the file/);
  await refused(`${dir}/gone`, Exit.usage, /cannot be read \(ENOENT\): there is no such file/);
  const file = `${dir}/token`;
  await Deno.writeTextFile(file, "a".repeat(65_536));
  assert.equal((await readToken({ "token-file": file }, noEnv))?.length, 65_536);
  await Deno.writeTextFile(file, "a".repeat(65_537));
  await refused(file, Exit.usage, /is longer than any token/);
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a file that the run time keeps to itself is told without its own advice", async () => {
  const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const script = `
import { readToken } from ${here("./config.ts")};
await readToken({ "token-file": "/dev/stdin" }, () => undefined)
  .catch(({ code, message }) => console.log(code, message));`;
  const dir = await Deno.makeTempDir();
  await Deno.writeTextFile(`${dir}/main.ts`, script);
  const config = new URL("../deno.json", import.meta.url).pathname;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--cached-only", "--config", config]
      .concat(["--allow-read", "--allow-env", "--allow-sys", "--allow-ffi", `${dir}/main.ts`]),
    stdin: "null",
  }).output();
  const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  assert.match(
    said,
    /^4 --token-file '\/dev\/stdin' cannot be read \(EACCES\): .*, or hand the invite in on standard input \(-\)\n$/,
  );
  await Deno.remove(dir, { recursive: true });
});

Deno.test("a SHOAL_JOIN that names no seed founds no mesh", () => {
  for (const list of [",", " ", " , ,"]) {
    const env = (name: string) => name === "SHOAL_JOIN" ? list : undefined;
    assert.throws(
      () => nodeConfig({ state: "/tmp/x" }, env),
      usage(/^SHOAL_JOIN='[ ,]+' names no seed/),
    );
  }
});

Deno.test("names that the kernel keeps for itself are told as such", () => {
  for (const name of ["all", "default"]) {
    assert.throws(
      () => findInstance({ interface: name }, noEnv, 0),
      usage(new RegExp(`^'${name}' cannot be an interface name: the kernel keeps it`)),
    );
  }
});

Deno.test("an instance is found by state folder, else by interface; XDG folders when not root", () => {
  assert.deepEqual(findInstance({ state: "/srv/a" }, noEnv, 0), {
    interface: "shoal0",
    stateDir: "/srv/a",
    controlSocket: "/srv/a/control.sock",
  });
  assert.deepEqual(findInstance({ interface: "mesh1" }, noEnv, 0), {
    interface: "mesh1",
    stateDir: "/var/lib/shoal/mesh1",
    controlSocket: "/run/shoal/mesh1.sock",
  });
  const env = (name: string) => ({ HOME: "/home/ada", XDG_RUNTIME_DIR: "/run/user/7" })[name];
  assert.deepEqual(findInstance({}, env, 7), {
    interface: "shoal0",
    stateDir: "/home/ada/.local/state/shoal/shoal0",
    controlSocket: "/run/user/7/shoal/shoal0.sock",
  });
  assert.throws(() => findInstance({}, noEnv, 7), usage(/name a folder by --state/));
});

Deno.test("a service has its invite as a credential, plain or decrypted, unless another was named", () =>
  inFolder(async (dir) => {
    const env = (name: string) => name === "CREDENTIALS_DIRECTORY" ? dir : undefined;
    assert.equal(await readToken({}, env), undefined, "there is none");
    Deno.writeTextFileSync(`${dir}/shoal.token.sealed`, "shoal3sealed\n");
    assert.equal(await readToken({}, env), "shoal3sealed");
    Deno.writeTextFileSync(`${dir}/shoal.token`, "./run node --token shoal3plain\n");
    assert.equal(await readToken({}, env), "shoal3plain");
    assert.equal(await readToken({ token: "shoal3named" }, env), "shoal3named");
    Deno.writeTextFileSync(`${dir}/shoal.token`, "\n");
    await assert.rejects(readToken({}, env), usage(/credential '.*shoal\.token' is empty/));
  }));

Deno.test("a suite is one that there is, or the error says which there are", () => {
  const suite = (flags: Record<string, string>) =>
    nodeConfig({ state: "/tmp/x", ...flags }, noEnv).suite;
  assert.equal(suite({}), "auto");
  assert.equal(suite({ suite: "chacha20-poly1305" }), "chacha20-poly1305");
  assert.throws(
    () => suite({ suite: "rot13" }),
    { message: "node: --suite 'rot13' is not known: choose from auto, chacha20-poly1305" },
  );
});

Deno.test("--control-group needs a socket that a group can get to", () => {
  const env = (name: string) => name === "HOME" ? "/home/me" : undefined;
  const group = (flags: Record<string, string>) =>
    nodeConfig({ ...flags, "control-group": "adm" }, env).controlGroup;
  assert.equal(group({ interface: "lab" }), "adm");
  assert.throws(() => group({ state: "/s" }), usage(/--control-group: with --state/));
  assert.throws(
    () => nodeConfig({ "control-group": "" }, env),
    usage(/--control-group is empty: name a group/),
  );
});
