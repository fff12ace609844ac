/**
 * A node that is killed between any two calls to the disk, or in the middle of a write, finds at its
 * next start what was there before or what was to be there, and nothing between them.
 */
import assert from "node:assert/strict";
import fs from "node:fs";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import type { NodeSnapshot } from "../mesh/snapshot.ts";
import { Failure } from "./exit.ts";
import { CALLS, killedAfter } from "../.ci/killed.ts";
import { NodeState } from "./state.ts";

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

const memory = (boot: number) => () => ({ snapshot: snapshot(boot), port: 4500 });

/**
 * Runs a body in which call number `nth` alone fails, as for lack of a descriptor or by a bad disk: the
 * process lives on.
 * @returns whether there was such a call, and what the body threw
 */
function failingAt(nth: number, body: () => void): { isReached: boolean; thrown: unknown } {
  const calls = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const whole = CALLS.map((name) => [name, calls[name]] as const);
  let count = 0;
  let thrown: unknown;
  for (const [name, call] of whole) {
    if (call === undefined) throw new Error(`node:fs has no ${name}`);
    calls[name] = (...args) => {
      if (++count !== nth) return call(...args);
      if (name === "closeSync") call(...args); // Linux closes it even so.
      throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
    };
  }
  try {
    body();
  } catch (error) {
    thrown = error;
  } finally {
    for (const [name, call] of whole) if (call) calls[name] = call;
  }
  return { isReached: count >= nth, thrown };
}

/** What a start finds: boot number, first byte of each key. */
function found(dir: string): string {
  const state = NodeState.open({ dir, founds: true, onNews: () => {} });
  try {
    const { identitySeed, meshSeed, recoverySeed, snapshot } = state;
    const keys = [identitySeed, meshSeed, recoverySeed].map((seed) => seed?.toHex().slice(0, 8));
    return [snapshot?.boot, ...keys].join(" ");
  } finally {
    state.close();
  }
}

/** Kills a change after each of its calls; each time the folder is as before it or as after it. */
async function killEverywhere(change: (state: NodeState) => void, outcomes: number): Promise<void> {
  await inFolder((root) => {
    const begun = join(root, "begun");
    const founder = NodeState.open({ dir: begun, founds: true, onNews: () => {} });
    founder.save(memory(6));
    founder.save(memory(7));
    founder.close();
    const copy = (dir: string) => {
      assert(new Deno.Command("cp", { args: ["-a", begun, dir] }).outputSync().success);
      return dir;
    };
    const whole = copy(join(root, "whole"));
    const before = found(whole);
    const state = NodeState.open({ dir: whole, founds: true, onNews: () => {} });
    change(state);
    state.close();
    const after = found(whole);
    const seen = new Set<string>();
    let last = 0;
    for (let isKilled = true; isKilled; last++) {
      const dir = copy(join(root, `killed-${last}`));
      const victim = NodeState.open({ dir, founds: true, onNews: () => {} });
      isKilled = killedAfter(last, () => change(victim));
      victim.close(); // The kernel gives the lock of a dead process back.
      const now = found(dir);
      assert(
        [before, after].includes(now),
        `killed after call ${last}: ${now}, not ${before} or ${after}`,
      );
      seen.add(now);
      // And it goes on from there.
      const next = NodeState.open({ dir, founds: true, onNews: () => {} });
      next.save(memory(99));
      next.close();
      assert.match(found(dir), /^99 /, `killed after call ${last}`);
    }
    assert(last > 5, `${last} calls`);
    assert.equal(seen.size, outcomes);
  });
}

/** As an import and a recovery do it. */
function replaceMeshKey(state: NodeState): void {
  state.proposeMeshSeed(new Uint8Array(32).fill(9));
  state.settleMeshSeed(true);
}

Deno.test("killed anywhere in a write, the state is that of before or of after", () =>
  killEverywhere((state) => state.save(memory(8)), 2));

Deno.test("killed anywhere in the renewal of the identity, identity and state belong together", () =>
  killEverywhere((state) => state.renewIdentity(new Uint8Array(32).fill(9), snapshot(0)), 2));

Deno.test("killed anywhere in a change of the mesh key, it is the old one, the new one or none as asked", async () => {
  await killEverywhere(replaceMeshKey, 2);
  await killEverywhere((state) => state.eraseMeshSeed(), 2);
});

Deno.test("killed anywhere in the erasing of the recovery key, it is there whole or gone", () =>
  killEverywhere((state) => state.eraseRecovery(), 2));

Deno.test("killed anywhere in a founding, it goes on or begins anew, and is never refused", () =>
  inFolder((root) => {
    let last = 0;
    for (let isKilled = true; isKilled; last++) {
      const dir = join(root, `killed-${last}`);
      const found = (boot: number) => {
        const state = NodeState.open({ dir, founds: true, onNews: () => {} });
        try {
          state.save(memory(boot));
        } finally {
          state.close();
        }
      };
      isKilled = killedAfter(last, () => found(1));
      found(2);
      const state = NodeState.open({ dir, founds: true, onNews: () => {} });
      assert.equal(state.snapshot?.boot, 2);
      assert(state.meshSeed && state.recoverySeed);
      state.close();
    }
    assert(last > 20, `${last} calls`);
  }));

/**
 * Fails each call of a change once. What was told as done is done, what was told as failed is as before,
 * also after what the process writes next.
 */
async function failEverywhere(change: (state: NodeState) => void): Promise<void> {
  await inFolder((root) => {
    const begun = join(root, "begun");
    const founder = NodeState.open({ dir: begun, founds: true, onNews: () => {} });
    founder.save(memory(7));
    founder.close();
    const keysOf = (dir: string) => found(dir).split(" ").slice(1).join(" ");
    const copy = (name: string) => {
      const dir = join(root, name);
      assert(new Deno.Command("cp", { args: ["-a", begun, dir] }).outputSync().success);
      return dir;
    };
    const before = keysOf(copy("before"));
    const whole = copy("whole");
    const state = NodeState.open({ dir: whole, founds: true, onNews: () => {} });
    change(state);
    state.close();
    const after = keysOf(whole);
    let nth = 1;
    for (; nth < 1_000; nth++) {
      const dir = copy(`failing-${nth}`);
      const one = NodeState.open({ dir, founds: true, onNews: () => {} });
      const { isReached, thrown } = failingAt(nth, () => change(one));
      one.save(memory(8));
      one.close();
      if (!isReached) break;
      const now = keysOf(dir);
      const isTold = thrown === undefined || thrown instanceof Failure;
      assert(isTold || String(thrown).includes("EIO"), String(thrown));
      if (thrown === undefined) {
        assert.equal(now, after, `call ${nth} failed, and it was told as done`);
      } else assert.equal(now, before, `call ${nth} failed, and so the change was told`);
    }
    assert(nth > 5, `${nth} calls`);
  });
}

Deno.test("a renewal of the identity in which any one call fails is done or not, as it is told", () =>
  failEverywhere((state) => state.renewIdentity(new Uint8Array(32).fill(9), snapshot(0))));

Deno.test("a change of the mesh key in which any one call fails is done or not, as it is told", async () => {
  await failEverywhere(replaceMeshKey);
  await failEverywhere((state) => state.eraseMeshSeed());
  await failEverywhere((state) => state.eraseRecovery());
});

/** A node whose mesh key was replaced, and whose state cannot be written so that the new key stands beside the old one. */
function withTwoKeys(dir: string): { state: NodeState; letWrite: () => void } {
  const state = NodeState.open({ dir, founds: true, onNews: () => {} });
  state.save(memory(1));
  state.proposeMeshSeed(new Uint8Array(32).fill(9));
  fs.mkdirSync(join(dir, "state.json.new", "full"), { recursive: true });
  state.save(memory(2));
  state.settleMeshSeed(true);
  return { state, letWrite: () => fs.rmSync(join(dir, "state.json.new"), { recursive: true }) };
}

const NEW_KEY = "09".repeat(32);
const NOW = { boot: 0, wall: 0 };

Deno.test("a seal that fails at any one call takes nothing from a mesh key that stands beside an older one", () =>
  inFolder((root) => {
    let nth = 1;
    for (; nth < 1_000; nth++) {
      const dir = join(root, `failing-${nth}`);
      const { state, letWrite } = withTwoKeys(dir);
      const { isReached, thrown } = failingAt(nth, () => state.eraseMeshSeed());
      letWrite();
      state.mend(NOW, memory(3));
      state.close();
      if (!isReached) break;
      const next = NodeState.open({ dir, founds: true, onNews: () => {} });
      const key = thrown === undefined ? undefined : NEW_KEY;
      assert.equal(next.meshSeed?.toHex(), key, `call ${nth} failed: ${thrown}`);
      next.close();
    }
    assert(nth > 5, `${nth} calls`);
  }));

Deno.test("a mesh key that could not be put in the place of the old one is put there by the next look", () =>
  inFolder((root) => {
    let nth = 1;
    for (; nth < 1_000; nth++) {
      const dir = join(root, `failing-${nth}`);
      const state = NodeState.open({ dir, founds: true, onNews: () => {} });
      state.save(memory(1));
      state.proposeMeshSeed(new Uint8Array(32).fill(9));
      const { isReached } = failingAt(nth, () => state.settleMeshSeed(true));
      state.mend(NOW, memory(2));
      assert.match(fs.readFileSync(join(dir, "mesh-key"), "utf8"), new RegExp(NEW_KEY));
      assert(!fs.existsSync(join(dir, "mesh-key.next")));
      state.close();
      if (!isReached) break;
    }
    assert(nth > 5, `${nth} calls`);
  }));
