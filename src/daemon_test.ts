/** The node as a person runs it: a process, its lines, its exit code, its state folder. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { nobleCrypto } from "../mesh/noble_crypto.ts";
import { dropWords, refusalWords } from "./counter_words.ts";
import { Exit } from "./exit.ts";
import { Store } from "./store.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;
const CONFIG = new URL("../deno.json", import.meta.url).pathname;
const RIGHTS = ["ffi", "read", "write", "net", "env", "sys"].map((right) => `--allow-${right}`);

interface Result {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** @param before lines of sh(1) that come first */
function command(args: readonly string[], before = ""): Deno.Command {
  const program = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--config", CONFIG];
  return new Deno.Command("sh", {
    args: ["-c", `${before}\nexec "$@"`, "sh", ...program, ...RIGHTS, MAIN, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function shoal(...args: string[]): Promise<Result> {
  const { code, stdout, stderr } = await command(args).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

/** A running `shoal node`; what it prints is kept, so that a test can wait for a line. */
class Running {
  out = "";
  err = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;

  constructor(readonly state: string, args: readonly string[], before = "") {
    const base = ["node", "--no-tun", "--listen", "0", "--state", state, "--log-level", "trace"];
    this.#child = command([...base, ...args], before).spawn();
    const follow = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) add(text);
    };
    this.#read = Promise.all([
      follow(this.#child.stdout, (text) => this.out += text),
      follow(this.#child.stderr, (text) => this.err += text),
    ]).then(() => {});
  }

  get pid(): number {
    return this.#child.pid;
  }

  async until(line: RegExp): Promise<RegExpExecArray> {
    for (let i = 0; i < 400; i++) {
      const match = line.exec(this.out);
      if (match) return match;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`no line ${line}; out: ${this.out} err: ${this.err}`);
  }

  async end(signal?: Deno.Signal): Promise<Result> {
    if (signal) this.#child.kill(signal);
    const { code } = await this.#child.status;
    await this.#read;
    return { code, out: this.out, err: this.err };
  }
}

Deno.test("a command whose outcome is not on the disk says so and what follows, and is done all the same", () =>
  inFolder(async (dir) => {
    const state = join(dir, "state");
    const node = new Running(state, ["--name", "lyon"]);
    await node.until(/run:\n/);
    const inTheWay = join(state, "state.json.new");
    Deno.mkdirSync(inTheWay);
    const key = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"; // RFC 8032, 7.1, TEST 2
    const trust = await shoal("trust", "--name", "nice", key, "--state", state);
    assert.equal(trust.code, Exit.done, trust.err);
    const said =
      /^this is done, and not on the disk yet: .*forgotten.*: state: .*\.new is a folder/m;
    assert.match(trust.err, said);
    const document = JSON.parse((await shoal("untrust", "nice", "--json", "--state", state)).out);
    assert.match(document.unsaved, /^state: .*\.new is a folder/);
    const invite = await shoal("invite", "--state", state);
    assert.equal(invite.code, Exit.failed);
    assert.match(invite.err, /^(shoal: )?invite: nothing is handed out, .*\.new is a folder/);
    assert.doesNotMatch(invite.out, /shoal3/);
    const plan = await shoal("revoke", "lyon", "--state", state);
    assert.doesNotMatch(plan.err, said, "nothing was done");
    Deno.removeSync(inTheWay);
    const later = await shoal("invite", "--state", state);
    assert.equal(later.code, Exit.done);
    assert.doesNotMatch(later.err, said);
    assert.equal((await node.end("SIGTERM")).code, Exit.done);
  }));

Deno.test("a defect while the node is made is shown and ends it with code 1", () =>
  inFolder(async (dir) => {
    // Without the right to list interfaces: nothing that the node reckons with.
    const rights = RIGHTS.map((right) => right === "--allow-sys" ? `${right}=uid,hostname` : right);
    const node = ["node", "--no-tun", "--listen", "0", "--state", join(dir, "a")];
    const args = ["run", "--quiet", "--no-prompt", "--config", CONFIG, ...rights, MAIN, ...node];
    const signal = AbortSignal.timeout(20_000);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), { args, signal }).output();
    assert.match(new TextDecoder().decode(stderr), /NotCapable: .*sys.*\n +at /);
    assert.equal(code, Exit.failed);
  }));

const READY = /^(\S+) is (\S+), (\S+) in mesh ([0-9a-f]{16}) \(\S+\)$/m;

/** A founder on loopback; `join` are the arguments of the line for one more machine. */
async function founder(dir: string, uses = 8) {
  const node = new Running(join(dir, "seed"), ["--name", "seed", "--advertise", "127.0.0.1"]);
  await node.until(/--token \S+\n/);
  const args = ["invite", "--state", node.state, "--uses", String(uses), "--json"];
  const invite = JSON.parse((await shoal(...args)).out);
  return { node, invite, join: ["--token", invite.token] };
}

Deno.test("where its output is the journal's a founder prints no token, and each line of its log has a priority", () =>
  inFolder(async (dir) => {
    const journal =
      "JOURNAL_STREAM=$(stat --dereference --format=%d:%i /dev/fd/2); export JOURNAL_STREAM";
    const args = ["--name", "seed", "--advertise", "127.0.0.1", "--interface", "lab"];
    const node = new Running(join(dir, "seed"), args, journal);
    await node.until(READY);
    await node.until(
      /^write down the recovery words of the mesh: sudo \.\/run shoal mesh-key words/m,
    );
    const { out, err, code } = await node.end("SIGTERM");
    assert.equal(code, Exit.done);
    assert.match(out, /^a new mesh; .* {2}sudo \.\/run shoal invite --state \S+\/seed {2}prints$/m);
    assert.doesNotMatch(out + err, /shoal\d+[A-Za-z0-9_-]{20}/);
    assert.match(err, /^<6>member of the mesh$/m);
    for (const line of err.trimEnd().split("\n")) assert.match(line, /^<[2-7]>[^<]/);

    const refused = await new Running(join(dir, "seed"), ["--name", "Ä"], journal).end();
    assert.equal(refused.code, Exit.usage);
    assert.match(refused.err, /^<3>--name 'Ä' cannot be/);
  }));

Deno.test("the commands that a node and its status print can be pasted as they are", () =>
  inFolder(async (dir) => {
    const node = new Running(join(dir, "a folder"), ["--name", "seed"]);
    const paste = async (line: RegExp, text: string) => {
      const [, words = ""] = line.exec(text) ?? [];
      const argv = [...words.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) =>
        quoted ?? plain ?? ""
      );
      assert.ok(argv.length > 0, text);
      const { code, out } = await shoal(...argv);
      assert.equal(out.match(/\d+ [a-z]+/g)?.length, 24, words);
      return code;
    };
    const [line = ""] = await node.until(/^write down .*: \.\/run shoal (.*)$/m);
    assert.equal(await paste(/shoal (.*)$/, line), Exit.done);
    const status = await shoal("status", "--state", node.state);
    assert.equal(await paste(/`\.\/run shoal (mesh-key words .*?)` shows/, status.out), Exit.done);
    await node.end("SIGINT");
  }));

Deno.test("a command that finds no node at its place names those that run here, by the rights of the program", () =>
  inFolder(async (dir) => {
    const node = new Running(join(dir, "a"), ["--name", "a"]);
    await node.until(READY);
    const { code, err } = await shoal("down", "--interface", "shoal-nobody");
    assert.equal(code, Exit.notRunning, err);
    assert(err.includes(`--state ${node.state}`), err);
    assert.equal((await node.end("SIGTERM")).code, Exit.done);
  }));

Deno.test("the line that the founder prints joins the next machine, and both tell so", () =>
  inFolder(async (dir) => {
    const seed = new Running(join(dir, "seed"), ["--name", "seed", "--advertise", "127.0.0.1"]);
    const [, name, , , meshId = ""] = await seed.until(READY);
    assert.equal(name, "seed");
    const [, pasted = ""] = await seed.until(
      /^\.\/run node (--token [A-Za-z0-9_-]+)$/m,
    );
    const second = new Running(join(dir, "second"), ["--name", "second", ...pasted.split(" ")]);
    await second.until(READY);
    assert.doesNotMatch(second.out, /--token/, "only the founder invites unasked");

    const status = await shoal("status", "--state", second.state);
    assert.equal(status.code, Exit.done);
    assert.match(status.out, /^100\.\S+ +second +- +this node; no interface, UDP port \d+$/m);
    assert.match(status.out, /^100\.\S+ +seed +- +idle; direct 127\.0\.0\.1:\d+/m);
    assert.match(status.out, new RegExp(`^mesh: seed, ${meshId}, addresses from 100`, "m"));
    assert.match(
      status.out,
      /^data plane: ChaCha20-Poly1305 by [^;]+; (AES-256-GCM by [^;]+; )?poll, 1 worker/m,
    );
    assert.doesNotMatch(status.out, /control_line/);
    const rude = await Deno.connect({
      transport: "unix",
      path: join(second.state, "control.sock"),
    });
    await rude.write(new Uint8Array(70_000).fill(10 + 32));
    await new Response(rude.readable).text().catch(() => {});
    const after = await shoal("status", "--state", second.state);
    assert.match(after.out, /^not done: .*request lines that were too long \(1\)/m);
    const { dataplane, refused } = JSON.parse(
      (await shoal("status", "--json", "--state", second.state)).out,
    );
    const drops = Object.keys(dataplane.drops);
    assert(drops.length > 30, "every counter of core");
    const bare = [
      ...drops.filter((name) => dropWords(name) === name.replaceAll("_", " ")),
      ...Object.keys(refused).filter((name) => refusalWords(name) === name.replaceAll("_", " ")),
    ];
    assert.deepEqual(bare, [], "each is told in words");

    const named = ["--seed", "lyon.example:4500", "--seed", "[2001:db8::1]:1", "--seed", "oslo"];
    const invited = await shoal("invite", ...named, "--json", "--state", seed.state);
    const { seeds } = JSON.parse(invited.out);
    const first = ["lyon.example:4500", "[2001:db8::1]:1", "oslo:51820"];
    assert.deepEqual(seeds.slice(0, 3), first);
    const usual = JSON.parse((await shoal("invite", "--json", "--state", seed.state)).out).seeds;
    assert.deepEqual(seeds, [...first, ...usual].slice(0, seeds.length), "the usual ones stay");
    assert(seeds.length > 3);

    const ping = await shoal("ping", "-c", "2", "--state", second.state, "seed");
    assert.equal(ping.code, Exit.done);
    assert.match(ping.out, /^pong from seed \(100\.\S+\) via 127\.0\.0\.1:\d+ in \d+\.\dms$/m);
    const document = JSON.parse(
      (await shoal("ping", "--json", "--state", second.state, "seed")).out,
    );
    assert.deepEqual(
      [document.v, document.peer, document.sent, document.received, document.path],
      [1, "seed", 4, 4, "direct"],
    );
    for (const ms of Object.values<number>(document.rtt_ms)) {
      assert.match(String(ms), /^\d+(\.\d{1,3})?$/);
    }
    assert(
      document.rtt_ms.min <= document.rtt_ms.p50 && document.rtt_ms.p50 <= document.rtt_ms.max,
    );

    assert.equal((await second.end("SIGTERM")).code, Exit.done);
    await seed.until(/./);
    const left = JSON.parse((await shoal("status", "--json", "--state", seed.state)).out);
    assert.deepEqual(left.peers.map((peer: { state: string }) => peer.state), ["left"]);
    const lost = await shoal(
      "ping",
      "-c",
      "1",
      "--timeout",
      "100",
      "--state",
      seed.state,
      "second",
    );
    assert.equal(lost.code, Exit.failed);
    const down = await shoal("down", "--state", seed.state);
    assert.deepEqual([down.code, down.out], [Exit.done, "seed is stopped; it is a member still\n"]);
    // A script may start the next node at once: all was given back before `down` returned.
    assert.throws(() => Deno.lstatSync(join(seed.state, "control.sock")), Deno.errors.NotFound);
    Store.open(seed.state, 1024).close();
    assert.equal((await seed.end()).code, Exit.done);
  }));

Deno.test("T31: a node that was killed comes back from its state by itself, its stale socket replaced", () =>
  inFolder(async (dir) => {
    const { node, join: args } = await founder(dir);
    const first = new Running(join(dir, "second"), ["--name", "second", ...args]);
    const before = await first.until(READY);
    await first.end("SIGKILL");
    assert(Deno.lstatSync(join(dir, "second", "control.sock")).isSocket);
    const again = new Running(join(dir, "second"), ["--name", "second"]);
    const after = await again.until(READY);
    assert.deepEqual(after.slice(1), before.slice(1));
    const ping = await shoal("ping", "-c", "1", "--state", again.state, "seed");
    assert.equal(ping.code, Exit.done, ping.err);
    await again.end("SIGINT");
    const stopped = ["ping", "-c", "1", "--timeout", "200", "--state", node.state, "second"];
    const { code, err } = await shoal(...stopped);
    assert.equal(code, Exit.failed);
    assert.match(err, /^second is stopped: its node said good-bye \d+s ago, and answers again/m);
    await node.end("SIGINT");
  }));

Deno.test("a first join that cannot succeed ends with one reason, and leaves no state", () =>
  inFolder(async (dir) => {
    const { node, invite } = await founder(dir, 1);
    const [seed] = invite.seeds;
    const attempt = async (...args: string[]) => {
      // What the door says may be otherwise at the next start; what is wrong with a token will not be.
      const code = args.includes("shoal1nonsense") ? Exit.stuck : Exit.failed;
      const state = join(dir, "joiner");
      const result = await new Running(state, ["--name", "joiner", ...args]).end();
      // One that was refused before anybody was asked leaves no folder.
      const read = () => [...Deno.readDirSync(state)].map(({ name }) => name);
      if (code === Exit.stuck) assert.throws(read, Deno.errors.NotFound);
      else assert.deepEqual(read(), ["lock"], "nothing is half applied");
      assert.equal(result.code, code, result.err);
      return result.err;
    };
    assert.match(await attempt("--join", seed, "--token", "shoal1nonsense"), /token.*\n$/);

    const silent = "127.0.0.1:9"; // discard: nobody has served it for decades
    const unanswered = await attempt("--join", silent);
    assert.match(unanswered, new RegExp(`seed ${silent} did not answer in 10 s \\(\\d+ tries\\)`));

    const once = new Running(join(dir, "once"), [
      "--name",
      "once",
      "--join",
      seed,
      "--token",
      invite.token,
    ]);
    await once.until(READY);
    assert.match(await attempt("--join", seed, "--token", invite.token), /token is used up/);
    const both = await attempt("--join", seed, "--join", silent, "--token", invite.token);
    const [said, end] = both.split("; still asking 127.0.0.1:9\n");
    assert.match(said ?? "", /^asking .* for ten seconds at most$[^]*token is used up.*$/m);
    assert.match(end ?? "", /token is used up[^]*127\.0\.0\.1:9 did not answer in 10 s/);
    await once.end("SIGINT");
    await node.end("SIGINT");
  }));

Deno.test("a machine with a new key is told at its start who has to approve which key, and asks at an open door", () =>
  inFolder(async (dir) => {
    const { node, invite } = await founder(dir);
    const guest = new Running(join(dir, "guest"), ["--name", "guest", "--token", invite.token]);
    await guest.until(READY);
    const renewed = await shoal("identity", "renew", "--yes", "--state", guest.state);
    assert.equal(renewed.code, Exit.done, renewed.err);
    await guest.end();
    const again = new Running(join(dir, "guest"), []);
    await again.until(/^guest waits to be approved; on any admin node of the mesh, run:$/m);
    const [, key] = await again.until(/^\.\/run shoal approve --name guest ([0-9a-f]{64})$/m);
    assert.ok(renewed.out.includes(key ?? "none"), renewed.out);
    await shoal("door", "open", "--for", "5m", "--state", node.state);
    await again.until(/^127\.0\.0\.1:\d+ shows our request; on any admin node/m);
    const shown = await shoal("status", "--state", node.state);
    assert.match(shown.out, new RegExp(`^asks to join: guest from .*--name guest ${key}`, "m"));
    await again.end("SIGINT");
    await node.end("SIGINT");
  }));

Deno.test("without a token a node waits to be approved; revoked, it is out for good", () =>
  inFolder(async (dir) => {
    const { node, invite } = await founder(dir);
    const opened = await shoal("door", "open", "--for", "5m", "--state", node.state);
    assert.match(opened.out, /^the door is open for 5m: /, opened.err);
    const guest = new Running(join(dir, "guest"), ["--name", "guest", "--join", invite.seeds[0]]);
    await guest.until(
      /^127\.0\.0\.1:\d+ shows our request; on any admin node of the mesh, run:$/m,
    );
    const [, key] = await guest.until(/^\.\/run shoal approve --name guest ([0-9a-f]{64})$/m);
    const shown = await shoal("status", "--state", node.state);
    assert.match(
      shown.out,
      new RegExp(
        `^asks to join: guest from 127\\.0\\.0\\.1:\\d+, \\d+s ago: ` +
          `\`\\./run shoal approve --name guest ${key} --state ${node.state}\` admits it$`,
        "m",
      ),
    );
    assert.match(
      shown.out,
      /^health: 1 machine asks .*`\.\/run shoal approve NAME --state \S+\/seed` admits/m,
    );
    const outsider = await shoal("invite", "--state", guest.state);
    assert.equal(outsider.code, Exit.notConfigured);
    assert.match(
      outsider.err,
      /not a member of a mesh yet: `\.\/run shoal status --state \S+\/guest` says/,
    );
    const address = await shoal("ip", "--state", guest.state);
    assert.equal(address.code, Exit.notConfigured);
    assert.match(address.err, /^guest has no mesh address yet: /);
    const nobody = await shoal("approve", "--state", node.state, "nobody");
    assert.equal(nobody.code, Exit.failed);
    assert.match(nobody.err, /nobody/);
    const stopped = await shoal("down", "--state", guest.state);
    assert.equal(stopped.out, "guest is stopped; it is no member of a mesh now\n");
    await guest.end();
    assert.equal((await shoal("approve", "--state", node.state, "guest")).code, Exit.done);
    const again = new Running(join(dir, "guest"), []);
    await again.until(READY);
    const known = await shoal("ip", "-4", "--state", node.state, key ?? "");
    assert.match(known.out, /^100\./, known.err);
    const revoked = await shoal("revoke", "--state", node.state, "guest");
    assert.equal(revoked.code, Exit.done, revoked.err);
    const status = JSON.parse((await shoal("status", "--json", "--state", node.state)).out);
    assert.deepEqual(status.peers, []);
    const stranger = await shoal("revoke", "--state", node.state, "ab".repeat(32));
    assert.match(stranger.out, /^the key (ab){32} cannot become a member any more$/m);
    const unnamed = await shoal("trust", "--state", node.state, "cd".repeat(32));
    assert.equal(unnamed.code, Exit.usage);
    assert.match(unnamed.err, /^--name is missing$/m);
    const gone = await shoal("ping", "-c", "1", "--timeout", "200", "--state", again.state, "seed");
    assert.equal(gone.code, Exit.failed);
    await again.end("SIGKILL");
    const log = (await node.end("SIGINT")).err;
    assert(
      log.includes(
        `asks to join: \`./run shoal approve --name guest ${key} --state ${node.state}\``,
      ),
      log,
    );
  }));

Deno.test("invariant 7: of two that want one name the second gets the next free one", () =>
  inFolder(async (dir) => {
    const { node, join: args } = await founder(dir);
    const twins = ["one", "two"].map((state) =>
      new Running(join(dir, state), ["--name", "twin", ...args])
    );
    const names: string[] = [];
    for (const twin of twins) {
      const [, , ip4] = await twin.until(READY);
      const { self } = JSON.parse((await shoal("status", "--json", "--state", twin.state)).out);
      const ping = await shoal("ping", "-c", "1", "--state", node.state, self.key);
      const [, name = ""] = /^pong from (\S+) \((\S+)\) via /.exec(ping.out) ?? [];
      assert(
        ping.out.startsWith(`pong from ${name} (${ip4}) via `),
        `${ip4}: ${ping.out}${ping.err}`,
      );
      names.push(name);
    }
    const second = twins[names.indexOf("twin-2")];
    assert.deepEqual(names.sort(), ["twin", "twin-2"]);
    await second?.until(
      /^another has the name twin, so this one is .* approve --name NAME [0-9a-f]{64}$/m,
    );
    const ends = await Promise.all([...twins, node].map((running) => running.end("SIGINT")));
    assert.equal(ends.filter(({ out }) => out.includes("another has the name")).length, 1);
  }));

Deno.test("a founder that is started again without any option keeps its name", () =>
  inFolder(async (dir) => {
    const { node } = await founder(dir);
    await node.end("SIGINT");
    const again = new Running(node.state, []);
    const [, name] = await again.until(READY);
    assert.equal(name, "seed");
    await again.end("SIGINT");
  }));

Deno.test("a node whose state folder somebody removed has it again, and commands reach it", () =>
  inFolder(async (dir) => {
    const { node } = await founder(dir);
    await Deno.remove(node.state, { recursive: true });
    let status = await shoal("status", "--state", node.state);
    assert.equal(status.code, Exit.failed, status.out);
    assert.match(
      status.err,
      /^a node listens at .*control\.sock, and nothing is there: .*try again/,
    );
    for (let i = 0; i < 60 && status.code !== Exit.done; i++) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      status = await shoal("status", "--state", node.state);
    }
    assert.match(status.out, /seed +- +this node/);
    const kept = [...Deno.readDirSync(node.state)].map(({ name }) => name);
    for (const file of ["identity", "mesh-key", "recovery-key", "state.json"]) {
      assert.ok(kept.includes(file), file);
    }
    const { code, err } = await node.end("SIGTERM");
    assert.equal(code, Exit.done);
    assert.match(err, /was removed while this node ran: it is made and written again/);
  }));

/** Of no user and no group of this machine. */
const [STRANGER, READERS] = [54_321, 54_322];

/** The same as another user, which needs root. */
async function shoalAs(gid: number, ...args: string[]): Promise<Result> {
  const { PATH = "" } = Deno.env.toObject();
  const [program, ...rest] = [Deno.execPath(), "run", "--quiet", "--no-prompt", "--config", CONFIG];
  const who = ["--reuid", String(STRANGER), "--regid", String(gid), "--clear-groups"];
  const { code, stdout, stderr } = await new Deno.Command("setpriv", {
    args: [...who, program, ...rest, ...RIGHTS, MAIN, ...args],
    clearEnv: true,
    env: { PATH, HOME: "/nonexistent", DENO_DIR: Deno.env.get("DENO_DIR") ?? "" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test({
  name: "--control-group lets its members look and not change; others hear that a node runs",
  ignore: Deno.uid() !== 0,
  fn: async () => {
    const ifname = `cg${Deno.pid}`;
    const args = ["node", "--no-tun", "--listen", "0", "--name", "lyon", "--interface", ifname];
    const node = command([...args, "--control-group", String(READERS)]).spawn();
    const socket = `/run/shoal/${ifname}.sock`;
    try {
      const isThere = () => Deno.lstat(socket).then(() => true, () => false);
      for (let i = 0; i < 400 && !await isThere(); i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      const { gid, mode } = Deno.lstatSync(socket);
      assert.deepEqual([gid, (mode ?? 0) & 0o777], [READERS, 0o660]);
      const member = (...command: string[]) => shoalAs(READERS, ...command, "--interface", ifname);
      const status = await member("status");
      assert.match(status.out, /lyon +- +this node/, status.err);
      const down = await member("down");
      assert.equal(down.code, Exit.noPermission, down.out + down.err);
      assert.match(down.err, /user 54321 may look but not change: ask root/);
      const stranger = await shoalAs(STRANGER, "status", "--interface", ifname);
      assert.equal(stranger.code, Exit.noPermission, stranger.out);
      assert.match(
        stranger.err,
        /^a node runs here, and its socket .* in the group of the socket, '54322' \(usermod -aG 54322 /,
      );
    } finally {
      node.kill("SIGTERM");
      await node.output();
      Deno.removeSync(`/var/lib/shoal/${ifname}`, { recursive: true });
    }
  },
});

Deno.test({
  name: "another user is told that a node runs whose folder is closed to it",
  ignore: Deno.uid() !== 0,
  fn: () =>
    inFolder(async (dir) => {
      const { node } = await founder(dir);
      const { code, err } = await shoalAs(STRANGER, "status");
      assert.equal(code, Exit.noPermission, err);
      assert.match(err, /^a node runs here, and its socket \S+ is not open to this user: be root/);
      await node.end("SIGINT");
    }),
});

Deno.test("two nodes cannot share a state folder or a control socket", () =>
  inFolder(async (dir) => {
    const { node } = await founder(dir);
    const second = await shoal("node", "--no-tun", "--listen", "0", "--state", node.state);
    assert.equal(second.code, Exit.failed);
    assert.match(
      second.err,
      /locked by a running node: stop it \(`\.\/run shoal down --state \S+\/seed`\)/,
    );
    await node.end("SIGINT");
  }));

Deno.test("T44: no secret of a mesh stands in arguments, environment, logs at trace, status or temporary files", () =>
  inFolder(async (dir) => {
    const { node, join: args } = await founder(dir);
    const tokenFile = join(dir, "token");
    // As `invite` printed it.
    await Deno.writeTextFile(tokenFile, `./run node ${args.join(" ")}\n`, { mode: 0o600 });
    const from = ["--name", "second", "--token-file", tokenFile];
    const second = new Running(join(dir, "second"), from);
    await second.until(READY);
    await shoal("ping", "-c", "2", "--state", second.state, "seed");

    const secrets = new Map<string, Uint8Array>();
    for (const state of [node.state, second.state]) {
      secrets.set(`identity of ${state}`, keyIn(state, "identity"));
    }
    secrets.set("mesh key", keyIn(node.state, "mesh-key"));
    secrets.set("recovery key", keyIn(node.state, "recovery-key"));
    secrets.set("token", new TextEncoder().encode(args[1]));

    const shown = new Map<string, Uint8Array>();
    const note = (what: string, bytes: Uint8Array | string) =>
      shown.set(what, typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
    for (const { pid } of [node, second]) {
      note(`argv of ${pid}`, Deno.readFileSync(`/proc/${pid}/cmdline`));
      note(`environment of ${pid}`, readIfAllowed(`/proc/${pid}/environ`));
    }
    note("status", (await shoal("status", "--json", "--state", node.state)).out);
    note("status of the joiner", (await shoal("status", "--state", second.state)).out);
    for (const file of ["state.json", "state.json.old", "port"]) {
      for (const { state } of [node, second]) {
        note(`${file} of ${state}`, Deno.readFileSync(join(state, file)));
      }
    }
    await second.end("SIGINT");
    await node.end("SIGINT");
    note("log of the joiner", second.err + second.out);
    // The founder prints one token on purpose, for a person to paste; it is another than this one.
    note("log of the founder", node.err + node.out);
    assert.deepEqual([...Deno.readDirSync(node.state)].map(({ name }) => name).sort(), [
      "identity",
      "lock",
      "mesh-key",
      "port",
      "recovery-key",
      "state.json",
      "state.json.old",
    ]);

    for (const [what, secret] of secrets) {
      for (const [where, bytes] of shown) {
        for (const form of formsOf(secret)) {
          assert(!includes(bytes, form), `${what} stands in ${where}`);
        }
      }
    }
  }));

/** A client of the control socket that says nothing; undefined: the kernel turned it away. */
function silent(state: string): Promise<Deno.UnixConn | undefined> {
  const path = join(state, "control.sock");
  return Deno.connect({ transport: "unix", path }).catch(() => undefined);
}

Deno.test("T46: with 60 descriptors and 200 silent clients a node lives, answers, and writes its state", () =>
  inFolder(async (dir) => {
    const node = new Running(join(dir, "seed"), ["--name", "seed"], "ulimit -n 60");
    await node.until(READY);
    const clients = await Promise.all(Array.from({ length: 200 }, () => silent(node.state)));
    assert(clients.filter((client) => client !== undefined).length > 60);
    // The crowd is served or turned away; a person who comes after it is answered.
    let status = await shoal("status", "--json", "--state", node.state);
    for (let i = 0; i < 20 && status.code !== Exit.done; i++) {
      assert.match(status.err, /clients are being served, which is all: try again later/);
      status = await shoal("status", "--json", "--state", node.state);
    }
    assert.equal(status.code, Exit.done, status.err);
    const { refused, health } = JSON.parse(status.out);
    assert(refused.control_clients > 100, status.out);
    assert(refused.control_socket > 0, "no accept failed: the test is too easy");
    assert.deepEqual(health.filter((line: string) => !line.startsWith("recovery: ")), []);
    for (const [n, name] of ["nice", "rome"].entries()) {
      const key = nobleCrypto.ed25519FromSeed(new Uint8Array(32).fill(n)).publicKey.toHex();
      const trust = await shoal("trust", "--name", name, "--state", node.state, key);
      assert.equal(trust.code, Exit.done, trust.err);
      assert(Deno.readTextFileSync(join(node.state, "state.json")).includes(key));
    }
    for (const client of clients) client?.close();
    const { code, err } = await node.end("SIGTERM");
    assert.equal(code, Exit.done, err);
    assert.doesNotMatch(err, /Error|panick|cannot be written/);
  }));

Deno.test("a node whose state is damaged says how to go on, and goes on that way as the same member", () =>
  inFolder(async (dir) => {
    const { node } = await founder(dir);
    const [, ...before] = await node.until(READY);
    await node.end("SIGINT");
    const path = join(node.state, "state.json");
    Deno.truncateSync(path, Deno.statSync(path).size - 1);
    const refused = await shoal("node", "--no-tun", "--listen", "0", "--state", node.state);
    assert.equal(refused.code, Exit.stuck, "a service is not started again");
    const [, option = "", state] =
      /start once with `\.\/run node (--\S+) --state (\S+)`/.exec(refused.err) ?? [];
    assert.equal(state, node.state);
    const again = new Running(node.state, [option]);
    assert.deepEqual((await again.until(READY)).slice(1), before);
    await again.end("SIGINT");
    const twice = await shoal("node", "--no-tun", option, "--state", node.state);
    assert.equal(twice.code, Exit.usage);
    assert.match(twice.err, /state\.json is sound: leave out --previous-state$/m);
  }));

/** The bytes of a key on the disk. */
function keyIn(state: string, file: string): Uint8Array {
  return Uint8Array.fromHex(JSON.parse(Deno.readTextFileSync(join(state, file))).content);
}

/** A process that forbids core dumps hides its environment too; then there is nothing to see. */
function readIfAllowed(path: string): Uint8Array {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return new Uint8Array();
    throw error;
  }
}

/** Raw, hexadecimal and both alphabets of base64 (without the end, which padding changes). */
function formsOf(secret: Uint8Array): Uint8Array[] {
  const text = (content: string) => new TextEncoder().encode(content);
  const base64 = secret.toBase64().replace(/.=*$/, "");
  return [
    secret,
    text(secret.toHex()),
    text(secret.toHex().toUpperCase()),
    text(base64),
    text(base64.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}

function includes(haystack: Uint8Array, needle: Uint8Array): boolean {
  return Buffer.from(haystack).includes(Buffer.from(needle));
}
