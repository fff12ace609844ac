/** T44: a token that a person typed does not stay in the process list, however the node was started. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const RUN = join(ROOT, "run");

/** A command whose lines are kept, so that a test can wait for one. */
class Running {
  out = "";
  err = "";
  readonly #child: Deno.ChildProcess;

  constructor(program: string, ...args: string[]) {
    this.#child = new Deno.Command(program, { args, stdout: "piped", stderr: "piped" }).spawn();
    const follow = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
    };
    void follow(this.#child.stdout, (text) => this.out += text);
    void follow(this.#child.stderr, (text) => this.err += text);
  }

  get pid(): number {
    return this.#child.pid;
  }

  async until(line: RegExp): Promise<string> {
    for (let i = 0; i < 400; i++) {
      const match = line.exec(this.out);
      if (match) return match[1] ?? "";
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no line ${line}; out: ${this.out} err: ${this.err}`);
  }

  async end(): Promise<void> {
    this.#child.kill("SIGINT");
    await this.#child.status;
  }
}

/** Where the text stands in what the kernel tells of all processes, and may be read. */
async function processesWith(text: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    for (const what of ["cmdline", "environ"]) {
      const path = `/proc/${name}/${what}`;
      const shown = await Deno.readTextFile(path).catch(() => "");
      if (shown.includes(text)) found.push(path);
    }
  }
  return found;
}

const READY = /^\S+ is (\S+), \S+ in mesh/m;

Deno.test("T44: a token typed behind ./run node and an installed shoal node stands in no process and no log", () =>
  inFolder(async (dir) => {
    const prefix = join(dir, "a prefix");
    const installed = await new Deno.Command(RUN, { args: ["install", prefix] }).output();
    assert.equal(installed.code, 0, new TextDecoder().decode(installed.stderr));
    const shoal = join(prefix, "bin", "shoal");
    const node = (name: string) => [
      "node",
      "--no-tun",
      "--listen",
      "0",
      "--log-level",
      "trace",
      ...["--name", name, "--state", join(dir, name)],
    ];
    const founder = new Running(RUN, ...node("founder"), "--advertise", "127.0.0.1");
    // The line to paste, and the same where a person knows a better place.
    await founder.until(
      /^\.\/run node --token (\S+)\n.*: {2}\.\/run node --join \S+:\d+ --token \1$/m,
    );
    const invite = async () => {
      const args = ["shoal", "invite", "--json", "--state", join(dir, "founder")];
      const { stdout } = await new Deno.Command(RUN, { args }).output();
      return String(JSON.parse(new TextDecoder().decode(stdout)).token);
    };
    const started = [
      { name: "one", start: (token: string) => [RUN, ...node("one"), "--token", token] },
      { name: "two", start: (token: string) => [RUN, "shoal", ...node("two"), `--token=${token}`] },
      { name: "three", start: (token: string) => [shoal, ...node("three"), "--token", token] },
      { name: "four", start: (token: string) => [shoal, ...node("four"), `--token=${token}`] },
    ];
    const nodes = [founder];
    try {
      for (const { name, start } of started) {
        const token = await invite();
        const [program = "", ...args] = start(token);
        const running = new Running(program, ...args);
        nodes.push(running);
        await running.until(READY);
        assert.deepEqual(await processesWith(token), [], name);
        assert.ok((await processesWith(join(dir, name))).length > 0, "the search finds arguments");
        assert.ok(!`${running.out}${running.err}`.includes(token), `${name}: ${running.err}`);
      }
    } finally {
      for (const one of nodes.toReversed()) await one.end();
    }
  }));

Deno.test("a script hands --token on with every other argument as it was, and keeps what it cannot use", async () => {
  const sourced = async (...args: string[]) => {
    const body = `. '${join(ROOT, "src/token.sh")}'
printf '<%s>' "$@"
[ -z "\${SHOAL_TOKEN_FD-}" ] || { printf ' token: '; cat <&"$SHOAL_TOKEN_FD"; }
! env | grep -q s3cret || echo ' in the environment'`;
    const command = new Deno.Command("sh", {
      args: ["-c", body, "sh", ...args],
      env: { token: "s", argument: "s" },
    });
    return new TextDecoder().decode((await command.output()).stdout);
  };
  assert.equal(await sourced("node", "--token", "s3cret"), "<node> token: s3cret\n");
  assert.equal(
    await sourced("node", "--name", "a b", "--token=s3cret$(x)`y`", "--join", "*", ""),
    "<node><--name><a b><--join><*><> token: s3cret$(x)`y`\n",
  );
  assert.equal(
    await sourced("node", "--token", "a", "--token", "s3cret"),
    "<node> token: s3cret\n",
  );
  assert.equal(await sourced("node", "--token", ""), "<node> token: \n");
  assert.equal(await sourced("node", "--token"), "<node><--token>");
  assert.equal(await sourced("node", "--token-file", "-"), "<node><--token-file><->");
});

Deno.test("a token in the environment is handed on to nobody, and one in Deno's own arguments is told", () =>
  inFolder(async (dir) => {
    const main = new URL("./main.ts", import.meta.url).href;
    const script = `import { main } from ${JSON.stringify(main)};
const io = { out() {}, err: console.log, env: (name) => Deno.env.get(name), color: false };
const args = ["node", "--no-tun", "--listen", "0", "--state", ${JSON.stringify(dir)}];
console.log(await main([...args, ...Deno.args], io), Deno.env.get("SHOAL_TOKEN"));`;
    const run = async (env: Record<string, string>, ...args: string[]) => {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: ["eval", "--config", join(ROOT, "deno.json"), "--no-check", script, "--", ...args],
        env,
      }).output();
      return new TextDecoder().decode(stdout);
    };
    const nothing = /^token: it starts with "nonsen" instead of .*\n5 undefined\n$/;
    assert.match(await run({ SHOAL_TOKEN: "nonsense" }), nothing);
    const told = await run({}, "--token", "nonsense");
    assert.match(
      told,
      /^every user of this machine sees the token in the process list: use --token-file\n/,
    );
  }));
