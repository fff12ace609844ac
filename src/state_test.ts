import assert from "node:assert/strict";
import { join } from "node:path";
import { SEEDS_MAX } from "../mesh/join.ts";
import { RECORD_MAX } from "../mesh/record.ts";
import { MEMBERS_MAX } from "../mesh/roster.ts";
import type { NodeSnapshot } from "../mesh/snapshot.ts";
import { CHAIN_MAX } from "../mesh/trust/certificate.ts";
import { REDEMPTIONS_MAX, REVOCATIONS_MAX, TRUSTED_MAX } from "../mesh/trust/trust.ts";
import { Exit, Failure } from "./exit.ts";
import { type Memory, NodeState, type StateNews } from "./state.ts";

function snapshot(boot: number): NodeSnapshot {
  return {
    v: 1,
    name: "lyon",
    boot,
    ip4Counter: 0,
    incarnation: 0,
    members: [],
    trusted: [],
    revocations: [],
    redeemed: [],
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

function bootOf(dir: string): number {
  return JSON.parse(Deno.readTextFileSync(join(dir, "state.json"))).boot;
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
      assert.equal(error.code, Exit.failed);
      assert.match(error.message, /^state: cannot remove .*state\.json\.new/);
      return true;
    });
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
    state.mend(memory(4, 4500));
    assert.equal(bootOf(dir), 4);
    assert.deepEqual(state.health(), []);
    assert.deepEqual(news.map(({ kind }) => kind), ["stateUnsaved", "stateSaved"]);
    state.mend(memory(5, 4500));
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
    };
    const full: NodeSnapshot = {
      v: 1,
      name: "n".repeat(63),
      meshKey: key,
      chain: bytes(CHAIN_MAX),
      boot: 2 ** 20,
      ip4Counter: 0xffff,
      incarnation: 2 ** 32 - 2,
      members: many(MEMBERS_MAX, member),
      trusted: many(TRUSTED_MAX, { key, name: "n".repeat(63) }),
      revocations: many(REVOCATIONS_MAX, bytes(32 + 6 + 6 + 2 + CHAIN_MAX + 64)),
      redeemed: many(REDEMPTIONS_MAX, bytes(CHAIN_MAX)),
      seeds: many(SEEDS_MAX, `${"h".repeat(252)}.:65535`),
    };
    const state = open(dir, true);
    state.save(() => ({ snapshot: full, port: undefined }));
    assert.deepEqual(state.health(), []);
    state.close();
    assert(Deno.statSync(join(dir, "state.json")).size > 70_000_000);
    const again = open(dir, false);
    assert.equal(again.snapshot?.members.length, MEMBERS_MAX);
    assert.deepEqual(again.snapshot.redeemed.at(-1), full.redeemed.at(-1));
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

function refuses(call: () => NodeState, message: string): void {
  assert.throws(call, (error) => {
    assert(error instanceof Failure, String(error));
    assert.deepEqual([error.code, error.message], [Exit.failed, message]);
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
    const mesh = Deno.readFileSync(join(dir, "mesh-key")).toHex();
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
