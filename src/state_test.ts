import assert from "node:assert/strict";
import { join } from "node:path";
import { SEEDS_MAX } from "../mesh/door/joiner.ts";
import { ADMISSION_MAX } from "../mesh/membership/admission.ts";
import { TRUSTED_MAX } from "../mesh/membership/judge.ts";
import { TAKEN_MAX } from "../mesh/membership/provisional.ts";
import { RECORD_MAX } from "../mesh/membership/record.ts";
import { MEMBERS_MAX } from "../mesh/membership/roster.ts";
import { NUMBER_MAX, STATEMENT_MAX } from "../mesh/membership/statement.ts";
import { ADMINS_ROOM, FAREWELLS_ROOM } from "../mesh/membership/statements.ts";
import type { NodeSnapshot } from "../mesh/snapshot.ts";
import { testUnless } from "../.ci/skip.ts";
import { Exit, Failure } from "./exit.ts";
import { type Memory, NodeState, type StateNews } from "./state.ts";

function snapshot(boot: number): NodeSnapshot {
  return {
    v: 3,
    name: "lyon",
    boot,
    incarnation: 0,
    numbers: { own: 0, mesh: 0 },
    statements: [],
    admissions: [],
    members: [],
    trusted: [],
    seeds: [],
  };
}

const memory = (boot: number, port?: number) => (): Memory => ({ snapshot: snapshot(boot), port });

function inFolder(body: (dir: string) => void): () => void {
  return () => {
    const root = Deno.makeTempDirSync();
    try {
      body(join(root, "state"));
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  };
}

function open(dir: string, founds: boolean, news: StateNews[] = []): NodeState {
  return NodeState.open({ dir, founds, onNews: (told) => news.push(told) });
}

// deno-lint-ignore no-explicit-any
function contentOf(dir: string, file: string): any {
  return JSON.parse(Deno.readTextFileSync(join(dir, file))).content;
}

function bootOf(dir: string): number {
  return contentOf(dir, "state.json").snapshot.boot;
}

Deno.test(
  "a founder's state is there at the next start; a joiner's only once it has something to lose",
  inFolder((dir) => {
    const joiner = open(dir, false);
    joiner.save(memory(1));
    joiner.close();
    assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), ["lock"]);

    const founder = open(dir, true);
    assert.equal(founder.snapshot, undefined);
    founder.save(memory(1, 4500));
    const keys = [founder.identitySeed.toHex(), founder.meshSeed?.toHex()];
    const { identitySeed } = founder;
    founder.close();
    assert(identitySeed.every((byte) => byte === 0), "wiped");
    const again = open(dir, false);
    assert.deepEqual([again.identitySeed.toHex(), again.meshSeed?.toHex()], keys);
    assert.deepEqual([again.snapshot?.boot, again.usualPort], [1, 4500]);
    again.close();
  }),
);

Deno.test(
  "a port that nobody should expect the node at does not replace the one that they do",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    assert.equal(state.usualPort, 51820);
    state.save(memory(1, 4500));
    state.save(memory(1));
    state.close();
    const again = open(dir, false);
    assert.equal(again.usualPort, 4500);
    again.close();
  }),
);

Deno.test(
  "the first write of a start is refused with its reason: without it nothing may be sent",
  inFolder((dir) => {
    Deno.mkdirSync(join(dir, "state.json.new"), { recursive: true, mode: 0o700 });
    Deno.chmodSync(dir, 0o700);
    const state = open(dir, true);
    assert.throws(() => state.save(memory(1)), (error) => {
      assert(error instanceof Failure);
      assert.equal(error.code, Exit.stuck);
      assert.match(error.message, /^state: .*state\.json\.new is a folder/);
      return true;
    });
    state.close();
  }),
);

const NOW = { boot: 60_000, wall: 0 };
const after = (ms: number) => ({ ...NOW, boot: NOW.boot + ms });

Deno.test(
  "a folder that was emptied while the node runs is written again, and nobody else gets it meanwhile",
  inFolder((dir) => {
    const news: StateNews[] = [];
    const state = open(dir, true, news);
    state.save(memory(1, 4500));
    const seed = state.identitySeed.toHex();
    for (const name of names(dir)) Deno.removeSync(join(dir, name));
    assert.match(state.health().join(), /^the state folder .* was removed, emptied or moved away/);
    state.mend(NOW, memory(2));
    state.mend(after(10_000), memory(2));
    assert.deepEqual(news.map(({ kind }) => kind), ["stateRemoved", "stateSaved"]);
    assert.deepEqual(state.health(), []);
    assert.throws(() => open(dir, true), /is locked by a running node/);
    state.close();
    const again = open(dir, true);
    assert.deepEqual([again.snapshot?.boot, again.identitySeed.toHex()], [2, seed]);
    again.close();
  }),
);

Deno.test(
  "what somebody puts in the place of the folder stays as it is: another node's, or that below a mount",
  inFolder((dir) => {
    const news: StateNews[] = [];
    const state = open(dir, true, news);
    state.save(memory(1));
    Deno.renameSync(dir, `${dir}-away`);
    const other = open(dir, true);
    other.save(memory(7));
    other.close();
    const file = (name: string) => Deno.readTextFileSync(join(dir, name));
    const before = names(dir).map(file);
    state.save(memory(2));
    assert.throws(() => state.eraseMeshSeed(), /was emptied or replaced/);
    assert.throws(() => state.eraseRecovery(), /was emptied or replaced/);
    state.mend(after(0), memory(2));
    state.mend(after(10_000), memory(2));
    assert.match(state.health().join(), /holds another identity than this node's: empty it/);
    assert.deepEqual(names(dir).map(file), before);
    open(dir, true).close(); // Nobody holds it.
    for (const name of names(dir)) Deno.removeSync(join(dir, name));
    state.mend(after(12_000), memory(3));
    assert.deepEqual(state.health(), []);
    assert.deepEqual(news.map(({ kind }) => kind), ["stateUnsaved", "stateRemoved", "stateSaved"]);
    state.close();
    const again = open(dir, true);
    assert.deepEqual([again.snapshot?.boot, again.meshSeed !== undefined], [3, true]);
    again.close();
  }),
);

Deno.test(
  "no key is taken for erased while the folder that holds it is moved away",
  inFolder((dir) => {
    let state = open(dir, true);
    state.save(memory(1));
    const keys = () => [state.meshSeed?.toHex(), state.recoverySeed?.toHex()];
    const before = keys();
    Deno.renameSync(dir, `${dir}-away`);
    const isRefused = (error: unknown) =>
      error instanceof Failure &&
      /was removed or moved away .*: put the folder back/.test(error.message);
    assert.throws(() => state.eraseMeshSeed(), isRefused);
    assert.throws(() => state.eraseRecovery(), isRefused);
    assert.deepEqual(keys(), before, "what was not erased is not forgotten");
    Deno.renameSync(`${dir}-away`, dir);
    state.eraseMeshSeed();
    state.eraseRecovery();
    state.close();
    state = open(dir, true);
    assert.deepEqual(keys(), [undefined, undefined]);
    state.close();
  }),
);

Deno.test(
  "a folder that was removed while the node runs is made again, with all that it held",
  inFolder((dir) => {
    const news: StateNews[] = [];
    const state = open(dir, true, news);
    state.save(memory(1, 4500));
    const files = () => names(dir).filter((name) => name !== "state.json.old");
    const before = files();
    const seeds = [state.identitySeed, state.meshSeed, state.recoverySeed].map((seed) =>
      seed?.toHex()
    );
    Deno.removeSync(dir, { recursive: true });
    state.mend(NOW, memory(2, 4500));
    state.mend(after(9_999), memory(2, 4500));
    assert.throws(() => names(dir), "somebody may be about to put it back");
    state.mend(after(10_000), memory(2, 4500));
    assert.deepEqual(files(), before);
    assert.equal((Deno.statSync(dir).mode ?? 0) & 0o777, 0o700);
    assert.deepEqual(state.health(), []);
    assert.deepEqual(news.map(({ kind }) => kind), ["stateRemoved", "stateSaved"]);
    assert.throws(() => open(dir, true), /is locked by a running node/);
    state.close();
    const again = open(dir, true);
    assert.equal(again.snapshot?.boot, 2);
    assert.deepEqual(
      [again.identitySeed, again.meshSeed, again.recoverySeed].map((seed) => seed?.toHex()),
      seeds,
    );
    again.close();
  }),
);

Deno.test(
  "a folder that is put back in time is left as it is, and one that another node has taken, too",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    Deno.renameSync(dir, `${dir}-away`);
    state.mend(NOW, memory(2));
    Deno.renameSync(`${dir}-away`, dir);
    state.mend(after(20_000), memory(3));
    assert.equal(bootOf(dir), 1, "nothing failed, and nothing was to be written");
    Deno.removeSync(dir, { recursive: true });
    state.mend(after(30_000), memory(4));
    const other = open(dir, true);
    other.save(memory(90));
    state.mend(after(50_000), memory(5));
    assert.equal(bootOf(dir), 90);
    other.close();
    state.close();
  }),
);

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can mount" },
  "a folder whose disk is not mounted any more is not made in its place",
  inFolder((dir) => {
    const run = (...argv: string[]) => {
      const [program = "", ...args] = argv;
      assert(new Deno.Command(program, { args }).outputSync().success, argv.join(" "));
    };
    Deno.mkdirSync(dir);
    run("mount", "-t", "tmpfs", "-o", "mode=0700", "shoal-test", dir);
    let state;
    try {
      state = open(join(dir, "state"), true);
      state.save(memory(1));
    } finally {
      run("umount", "-l", dir);
    }
    state.mend(NOW, memory(2));
    state.mend(after(20_000), memory(2));
    assert.deepEqual([...Deno.readDirSync(dir)], []);
    state.close();
  }),
);

Deno.test(
  "a later write that fails is one line of the health and of the news, until one works again",
  inFolder((dir) => {
    const news: StateNews[] = [];
    const state = open(dir, true, news);
    state.save(memory(1, 4500));
    assert.deepEqual(state.health(), []);
    Deno.renameSync(dir, `${dir}-away`);
    state.save(memory(2, 4500));
    state.save(memory(3, 4500));
    const [line = "", ...more] = state.health();
    assert.deepEqual(more, []);
    assert(line.startsWith(`the folder ${dir} cannot be written, `), line);
    assert.match(line, /state: cannot create \S+ \(ENOENT\): the folder is gone: put it back/);
    assert.deepEqual(news.map(({ kind }) => kind), ["stateUnsaved"]);

    Deno.renameSync(`${dir}-away`, dir);
    assert.equal(bootOf(dir), 1);
    state.mend(NOW, memory(4, 4500));
    assert.equal(bootOf(dir), 4);
    assert.deepEqual(state.health(), []);
    assert.deepEqual(news.map(({ kind }) => kind), ["stateUnsaved", "stateSaved"]);
    state.mend(NOW, memory(5, 4500));
    assert.equal(bootOf(dir), 4, "nothing is left to mend");
    state.close();
  }),
);

Deno.test(
  "a mesh with every table full is written, and read again",
  inFolder((dir) => {
    const key = "f".repeat(64);
    const bytes = (length: number) =>
      new Uint8Array(length).fill(255).toBase64({
        alphabet: "base64url",
        omitPadding: true,
      });
    const many = <T>(length: number, one: T) => Array.from({ length }, () => one);
    const member = {
      record: bytes(RECORD_MAX),
      endpoint: `[${many(8, "ffff").join(":")}%4294967295]:65535`,
      leftAt: 2 ** 32 - 1,
      aliveAt: Number.MAX_SAFE_INTEGER,
      silentFor: Number.MAX_SAFE_INTEGER,
    };
    const statement = { bytes: bytes(STATEMENT_MAX), seen: Number.MAX_SAFE_INTEGER };
    const full: NodeSnapshot = {
      v: 3,
      name: "n".repeat(63),
      genesis: bytes(32 + 32 + 64 + 5),
      admission: bytes(ADMISSION_MAX),
      boot: 2 ** 20,
      incarnation: 2 ** 32 - 1,
      numbers: { own: NUMBER_MAX, mesh: NUMBER_MAX },
      statements: many(ADMINS_ROOM + 2 * NUMBER_MAX + FAREWELLS_ROOM + 1, statement),
      admissions: many(TAKEN_MAX, bytes(ADMISSION_MAX)),
      members: many(2 * MEMBERS_MAX, member),
      trusted: many(TRUSTED_MAX, { key, name: "n".repeat(63) }),
      seeds: many(SEEDS_MAX, { seed: `${"h".repeat(252)}.:65535`, key }),
    };
    const state = open(dir, true);
    state.save(() => ({ snapshot: full, port: undefined }));
    assert.deepEqual(state.health(), []);
    state.close();
    assert(Deno.statSync(join(dir, "state.json")).size > 140_000_000);
    const again = open(dir, false);
    assert.equal(again.snapshot?.members.length, 2 * MEMBERS_MAX);
    assert.deepEqual(again.snapshot?.admissions.at(-1), full.admissions.at(-1));
    again.close();
  }),
);

/** A folder as a start left it, less some of its files. */
function leave(dir: string, founds: boolean, ...lost: string[]): string {
  const state = open(dir, founds);
  state.keep();
  state.save(memory(7));
  const key = state.identitySeed.toHex();
  state.close();
  for (const file of lost) Deno.removeSync(join(dir, file));
  return key;
}

function refuses(call: () => unknown, message: string, code: number = Exit.stuck): void {
  assert.throws(call, (error) => {
    assert(error instanceof Failure, String(error));
    assert.deepEqual([error.code, error.message], [code, message]);
    return true;
  });
}

Deno.test(
  "a first join that was cut off goes on with its identity, and founds no mesh when nobody says --join",
  inFolder((dir) => {
    const key = leave(dir, false, "state.json", "port");
    refuses(
      () => open(dir, true),
      `state: ${dir}/state.json is missing: restore it from a copy, ` +
        `start with the --join line again, or remove the folder to start anew`,
    );
    const again = open(dir, false);
    assert.deepEqual([again.identitySeed.toHex(), again.meshSeed], [key, undefined]);
    again.close();
  }),
);

Deno.test(
  "a founding that was cut off goes on; a founder that lost its state starts in no way",
  inFolder((dir) => {
    const key = leave(dir, true, "state.json", "port");
    const mesh = contentOf(dir, "mesh-key");
    const again = open(dir, true);
    assert.deepEqual([again.identitySeed.toHex(), again.meshSeed?.toHex()], [key, mesh]);
    again.save(memory(1)); // with a port that nobody should expect it at
    again.close();
    for (const lost of ["state.json", "identity"]) {
      Deno.removeSync(join(dir, lost));
      for (const founds of [true, false]) {
        refuses(
          () => open(dir, founds),
          `state: ${dir}/state.json is missing: restore it from a copy, ` +
            `or remove the folder to start anew`,
        );
      }
    }
  }),
);

function names(dir: string): string[] {
  return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
}

/** Cuts the last bytes off. */
function spoil(dir: string, file: string): void {
  const path = join(dir, file);
  Deno.truncateSync(path, Deno.statSync(path).size - 3);
}

const previous = (dir: string) =>
  NodeState.open({ dir, founds: false, takesPrevious: true, onNews: () => {} });

Deno.test(
  "a damaged or lost state is refused with the line that takes the previous one, and nothing is touched",
  inFolder((dir) => {
    const founder = open(dir, true);
    for (const boot of [4, 5, 6]) founder.save(memory(boot, 4500));
    founder.close();
    refuses(
      () => previous(dir),
      `state: ${dir}/state.json is sound: leave out --previous-state`,
      Exit.usage,
    );
    const before = Deno.readTextFileSync(join(dir, "state.json.old"));
    const offer = "start once with `shoal node --previous-state` to go on from state.json.old, " +
      "which is what was written before it, or restore the folder from a copy";
    spoil(dir, "state.json");
    refuses(
      () => open(dir, true),
      `state: ${dir}/state.json is damaged or of another version: ${offer}`,
    );
    Deno.removeSync(join(dir, "state.json"));
    refuses(() => open(dir, true), `state: ${dir}/state.json is missing: ${offer}`);
    // What a crash of the machine left beside it is taken only when it is whole.
    Deno.writeTextFileSync(join(dir, "state.json.new"), before, { mode: 0o600 });
    spoil(dir, "state.json.new");
    refuses(() => open(dir, true), `state: ${dir}/state.json is missing: ${offer}`);
    assert.equal(Deno.readTextFileSync(join(dir, "state.json.old")), before);
    spoil(dir, "state.json.old");
    refuses(
      () => open(dir, true),
      `state: ${dir}/state.json is missing: restore the folder from a copy, or move it away to start anew`,
    );
    for (const lost of [false, true]) {
      if (lost) Deno.removeSync(join(dir, "state.json.old"));
      refuses(
        () => previous(dir),
        `state: ${dir}/state.json.old ${lost ? "is missing" : "is damaged, too"}: ` +
          `restore the folder from a copy, or move it away to start anew`,
      );
    }
  }),
);

Deno.test(
  "a node that goes on from its previous state numbers no start and no statement twice, and keeps that state until it wrote a new one",
  inFolder((dir) => {
    const founder = open(dir, true);
    founder.save(memory(6, 4500));
    founder.save(memory(7, 4500)); // the start that is lost
    founder.close();
    spoil(dir, "state.json");
    const sound = Deno.readTextFileSync(join(dir, "state.json.old"));
    for (let attempt = 0; attempt < 2; attempt++) { // the first one is killed before it writes
      const state = previous(dir);
      assert.deepEqual([state.isPrevious, state.snapshot?.boot], [true, 6 + 1024]);
      assert.deepEqual(state.snapshot?.numbers, { own: 64, mesh: 64 });
      if (attempt === 1) state.save(memory(6 + 1024 + 1, 4500));
      state.close();
      assert.equal(Deno.readTextFileSync(join(dir, "state.json.old")), sound);
    }
    assert.equal(bootOf(dir), 6 + 1024 + 1);
    const again = open(dir, true);
    assert.deepEqual([again.isPrevious, again.snapshot?.boot], [false, 6 + 1024 + 1]);
    again.close();
  }),
);

Deno.test(
  "a folder of the first format is refused with one sentence, whichever of its files is left",
  inFolder((dir) => {
    Deno.mkdirSync(dir, { mode: 0o700 });
    const first: Record<string, Uint8Array> = {
      "identity": crypto.getRandomValues(new Uint8Array(32)),
      "mesh-key": crypto.getRandomValues(new Uint8Array(32)),
      "state.json": new TextEncoder().encode(JSON.stringify(snapshot(3))),
      "port": new TextEncoder().encode("51820"),
    };
    const refused = () =>
      refuses(
        () => open(dir, true),
        `state: ${dir} is of shoal 0.1's first format, whose memberships cannot be carried over: ` +
          `move the folder away and found or join anew`,
      );
    for (const [name, bytes] of Object.entries(first)) {
      Deno.writeFileSync(join(dir, name), bytes, { mode: 0o600 });
    }
    refused();
    for (const lost of ["state.json", "mesh-key"]) {
      Deno.removeSync(join(dir, lost));
      refused();
    }
    assert.deepEqual(names(dir), ["identity", "lock", "port"]);
  }),
);

Deno.test(
  "a damaged key or port is named with what to do without it",
  inFolder((dir) => {
    leave(dir, true);
    const refusal: Record<string, string> = {
      "identity": "restore it from a copy, or move the folder away and join anew",
      "mesh-key":
        "restore it from a copy, or move it away: the node then goes on without the mesh key",
      "recovery-key": "restore it from a copy, or move it away: the node then goes on, and the " +
        "recovery key is only where else it was kept",
      "port": "remove it, and the node takes UDP port 51820 or that of --listen",
    };
    for (const [file, next] of Object.entries(refusal)) {
      const whole = Deno.readTextFileSync(join(dir, file));
      spoil(dir, file);
      refuses(() => open(dir, false), `state: ${dir}/${file} is damaged: ${next}`);
      Deno.writeTextFileSync(join(dir, file), whole);
    }
    for (const file of ["mesh-key", "recovery-key", "port"]) Deno.removeSync(join(dir, file));
    const state = open(dir, false);
    assert.deepEqual(
      [state.meshSeed, state.recoverySeed, state.usualPort, state.snapshot?.boot],
      [undefined, undefined, 51820, 7],
    );
    state.close();
  }),
);

Deno.test(
  "the state of one identity is not taken with another's key",
  inFolder((dir) => {
    leave(dir, true);
    const other = `${dir}-other`;
    leave(other, true);
    Deno.copyFileSync(join(other, "identity"), join(dir, "identity"));
    refuses(
      () => open(dir, false),
      `state: ${dir}/identity and state.json do not belong together: restore both from one copy`,
    );
  }),
);

Deno.test(
  "a founder has a recovery key until it is erased, and never gets another",
  inFolder((dir) => {
    const founder = open(dir, true);
    founder.save(memory(1));
    const seed = founder.recoverySeed;
    assert.equal(contentOf(dir, "recovery-key"), seed?.toHex());
    assert.equal(seed?.length, 32);
    founder.close();
    const again = open(dir, true);
    assert.equal(again.recoverySeed?.toHex(), contentOf(dir, "recovery-key"));
    const held = again.recoverySeed;
    const twin = join(dir, "..", "twin");
    Deno.linkSync(join(dir, "recovery-key"), twin); // to see what becomes of the bytes
    refuses(
      () => again.eraseRecovery(),
      `state: ${dir}/recovery-key has more than one name (links: 2): ` +
        `another program may share it; move it away and start again`,
      Exit.noPermission,
    );
    assert(held?.some((byte) => byte !== 0), "what is refused changes nothing");
    Deno.removeSync(twin);
    const file = Deno.openSync(join(dir, "recovery-key"));
    again.eraseRecovery();
    assert.equal(again.recoverySeed, undefined);
    assert(held?.every((byte) => byte === 0));
    const bytes = new Uint8Array(512);
    const length = file.readSync(bytes) ?? 0;
    file.close();
    assert(length > 64 && bytes.every((byte) => byte === 0), "overwritten before it was removed");
    again.save(memory(2));
    again.close();
    const last = open(dir, true);
    assert.equal(last.recoverySeed, undefined);
    assert(!names(dir).includes("recovery-key"));
    last.close();
  }),
);

function replaceMeshKey(state: NodeState, seed: Uint8Array): void {
  state.proposeMeshSeed(seed);
  state.settleMeshSeed(true);
}

Deno.test(
  "the mesh key is replaced, taken away and added while the node runs, and the next start has it so",
  inFolder((dir) => {
    let state = open(dir, true);
    state.save(memory(1));
    const next = (seed: Uint8Array | undefined) => {
      const file = state.meshSeed && Deno.openSync(join(dir, "mesh-key"));
      const held = state.meshSeed;
      if (seed) replaceMeshKey(state, seed);
      else state.eraseMeshSeed();
      assert(held === undefined || held.every((byte) => byte === 0), "wiped");
      assert.equal(state.meshSeed?.toHex(), seed?.toHex());
      if (file) {
        const bytes = new Uint8Array(512);
        const length = file.readSync(bytes) ?? 0;
        assert(length > 64 && bytes.every((byte) => byte === 0), "overwritten");
        file.close();
      }
      state.save(memory(2));
      state.close();
      state = open(dir, false);
      assert.equal(state.meshSeed?.toHex(), seed?.toHex());
    };
    next(new Uint8Array(32).fill(1));
    next(undefined);
    assert(!names(dir).includes("mesh-key"));
    next(new Uint8Array(32).fill(2));
    const key = new Uint8Array(32).fill(3);
    replaceMeshKey(state, key);
    key.fill(0);
    assert.equal(state.meshSeed?.[0], 3, "a copy of its own");
    Deno.renameSync(dir, `${dir}-away`);
    assert.throws(() => replaceMeshKey(state, key), Failure);
    assert.equal(state.meshSeed?.[0], 3, "what cannot be written changes nothing");
    state.close();
  }),
);

Deno.test(
  "a mesh key that is refused leaves nothing behind",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    const before = state.meshSeed?.toHex();
    state.proposeMeshSeed(new Uint8Array(32).fill(1));
    const proposed = state.nextMeshSeed;
    state.settleMeshSeed(false);
    assert(proposed?.every((byte) => byte === 0), "wiped");
    assert.deepEqual([state.meshSeed?.toHex(), state.nextMeshSeed], [before, undefined]);
    assert(!names(dir).includes("mesh-key.next"));
    state.close();
  }),
);

Deno.test(
  "a mesh key takes the place of the old one on the disk only when the state that names it is there",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    const file = (name: string) => Deno.readTextFileSync(join(dir, name));
    const old = file("mesh-key");
    state.proposeMeshSeed(new Uint8Array(32).fill(1));
    Deno.mkdirSync(join(dir, "state.json.new", "full"), { recursive: true }); // In the way of each write.
    state.save(memory(2));
    state.settleMeshSeed(true);
    assert.equal(state.meshSeed?.[0], 1, "whoever asks for it gets the one that counts");
    assert.equal(file("mesh-key"), old, "a start now has a state in which the old one counts");
    assert.throws(
      () => state.proposeMeshSeed(new Uint8Array(32).fill(2)),
      (error) =>
        error instanceof Failure && /state that says so cannot be written/.test(error.message),
    );
    assert.match(file("mesh-key.next"), /"(?:01){32}"/, "which the refused one has not replaced");
    Deno.removeSync(join(dir, "state.json.new"), { recursive: true });
    state.mend(NOW, memory(3));
    assert.match(file("mesh-key"), /"(?:01){32}"/);
    assert(!names(dir).includes("mesh-key.next"));
    state.close();
  }),
);

Deno.test(
  "a folder that is made again has the mesh key that counts, also one that stood beside another",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    state.proposeMeshSeed(new Uint8Array(32).fill(1));
    Deno.removeSync(dir, { recursive: true });
    state.save(memory(2));
    state.settleMeshSeed(true);
    state.mend(after(0), memory(2));
    state.mend(after(10_000), memory(2));
    assert.match(Deno.readTextFileSync(join(dir, "mesh-key")), /"(?:01){32}"/);
    assert.deepEqual(state.health(), []);
    state.close();
  }),
);

Deno.test(
  "a mesh key that stands beside an older one is taken away with it",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    state.proposeMeshSeed(new Uint8Array(32).fill(1));
    Deno.mkdirSync(join(dir, "state.json.new", "full"), { recursive: true });
    state.save(memory(2));
    state.settleMeshSeed(true);
    state.eraseMeshSeed();
    assert.equal(state.meshSeed, undefined);
    assert.deepEqual(names(dir).filter((name) => name.startsWith("mesh-key")), []);
    Deno.removeSync(join(dir, "state.json.new"), { recursive: true });
    state.mend(NOW, memory(3));
    assert.deepEqual(names(dir).filter((name) => name.startsWith("mesh-key")), []);
    state.close();
  }),
);

Deno.test(
  "a renewed identity has its own state; what the old one's run still says is not written",
  inFolder((dir) => {
    let state = open(dir, true);
    state.save(memory(7, 4500));
    const mesh = state.meshSeed?.toHex();
    const seed = new Uint8Array(32).fill(9);
    state.renewIdentity(seed, snapshot(0));
    assert.equal(state.identitySeed.toHex(), seed.toHex());
    state.save(memory(8));
    state.close();
    state = open(dir, false);
    assert.deepEqual(
      [state.identitySeed.toHex(), state.snapshot?.boot, state.meshSeed?.toHex(), state.usualPort],
      [seed.toHex(), 0, mesh, 4500],
    );
    state.close();
    assert(!names(dir).includes("identity.next"));
    spoil(dir, "state.json");
    refuses(
      () => open(dir, false),
      `state: ${dir}/state.json is damaged or of another version: ` +
        `restore the folder from a copy, or move it away to start anew`,
    );
    refuses(
      () => previous(dir),
      `state: ${dir}/state.json.old belongs to another identity: ` +
        `restore the folder from a copy, or move it away to start anew`,
    );
  }),
);

Deno.test(
  "a renewal that cannot be written leaves the old identity, now and at the next start",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(7));
    const old = state.identitySeed.toHex();
    Deno.mkdirSync(join(dir, "state.json.new"), { mode: 0o700 });
    assert.throws(() => state.renewIdentity(new Uint8Array(32).fill(9), snapshot(0)), Failure);
    assert.equal(state.identitySeed.toHex(), old);
    Deno.removeSync(join(dir, "state.json.new"));
    state.save(memory(8));
    state.close();
    const again = open(dir, false);
    assert.deepEqual([again.identitySeed.toHex(), again.snapshot?.boot], [old, 8]);
    again.close();
    assert(!names(dir).includes("identity.next"));
  }),
);

Deno.test(
  "writes that failed are counted",
  inFolder((dir) => {
    const state = open(dir, true);
    state.save(memory(1));
    Deno.renameSync(dir, `${dir}-away`);
    state.save(memory(2));
    state.mend(NOW, memory(3));
    assert.equal(state.writesFailed, 2);
    state.close();
  }),
);
