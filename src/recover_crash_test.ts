/** A node that is killed while the mesh key changes finds one that counts at its next start. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { killedAfter } from "../.ci/killed.ts";
import { MeshNode } from "./node.ts";

function open(stateDir: string, previousState = false): MeshNode {
  return MeshNode.open({
    stateDir,
    previousState,
    interface: "",
    name: "lyon",
    listen: 0,
    join: [],
    token: undefined,
    tun: false,
    open: false,
    dataplane: { workers: 0, aead: "", io: "", without: [] },
    onEvent: () => {},
    onNews: () => {},
    onDefect: (error) => {
      throw error;
    },
  });
}

/** @returns the mesh key that the node holds, and whether it is its mesh's */
function keyOf(node: MeshNode): { readonly seed: string; readonly counts: boolean } {
  const { health } = node.status();
  return {
    seed: node.meshSeed?.toHex() ?? "none",
    counts: !health.some((line) => /mesh key on this machine was replaced/.test(line)),
  };
}

Deno.test("killed anywhere in a recovery, a node has a mesh key that counts, and can recover again", () =>
  inFolder((root) => {
    const begun = join(root, "begun");
    const founder = open(begun);
    const recovery = founder.recoverySeed?.slice();
    const old = keyOf(founder);
    founder.close();
    assert.ok(recovery && old.counts);
    const seen = { old: 0, new: 0 };
    let last = 0;
    for (let isKilled = true; isKilled; last++) {
      const dir = join(root, `killed-${last}`);
      assert(new Deno.Command("cp", { args: ["-a", begun, dir] }).outputSync().success);
      const victim = open(dir);
      isKilled = killedAfter(last, () => victim.recover(recovery, { yes: true }));
      victim.close();
      const next = open(dir);
      const found = keyOf(next);
      assert.ok(found.counts, `killed after call ${last}: its mesh key is good for nothing`);
      seen[found.seed === old.seed ? "old" : "new"]++;
      assert.deepEqual(
        [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) =>
          /^mesh-key\.next$/.test(name)
        ),
        [],
      );
      next.recover(recovery, { yes: true });
      assert.ok(keyOf(next).counts);
      assert.notEqual(keyOf(next).seed, found.seed);
      next.close();
    }
    assert.ok(seen.old > 5 && seen.new > 2, `${seen.old} times the old one, ${seen.new} the new`);
  }));

/** Kills a change after each of its calls to the disk. @returns the mesh keys that the next starts have found */
async function killEverywhere(
  prepare: (founder: MeshNode) => void,
  change: (victim: MeshNode) => void,
): Promise<Set<string>> {
  const seen = new Set<string>();
  await inFolder((root) => {
    const begun = join(root, "begun");
    const founder = open(begun);
    prepare(founder);
    founder.close();
    let last = 0;
    for (let isKilled = true; isKilled; last++) {
      const dir = join(root, `killed-${last}`);
      assert(new Deno.Command("cp", { args: ["-a", begun, dir] }).outputSync().success);
      const victim = open(dir);
      isKilled = killedAfter(last, () => change(victim));
      victim.close();
      const next = open(dir);
      const found = keyOf(next);
      assert.ok(found.counts, `killed after call ${last}: its mesh key is good for nothing`);
      seen.add(found.seed);
      next.close();
    }
    assert.ok(last > 5, `${last} calls`);
  });
  return seen;
}

Deno.test("killed anywhere in an import of a foreign mesh key, which is refused, a node keeps its own", async () => {
  let own = "";
  const foreign = new Uint8Array(32).fill(9);
  const seen = await killEverywhere(
    (founder) => own = keyOf(founder).seed,
    (victim) => {
      try {
        victim.keepMeshKey(foreign);
      } catch (error) {
        if (!/not the mesh key of this mesh/.test(String(error))) throw error;
      }
    },
  );
  assert.deepEqual([...seen], [own]);
});

Deno.test("killed anywhere in an import of the mesh key, a node has it or has none", async () => {
  let own: Uint8Array | undefined;
  const seen = await killEverywhere(
    (founder) => {
      own = founder.meshSeed?.slice();
      founder.giveUpMeshKey();
    },
    (victim) => victim.keepMeshKey(own ?? new Uint8Array(0)),
  );
  assert.deepEqual([...seen].sort(), [own?.toHex() ?? "", "none"].sort());
});

Deno.test("killed anywhere in a seal, a node has its mesh key or has none", async () => {
  let own = "";
  const seen = await killEverywhere(
    (founder) => own = keyOf(founder).seed,
    (victim) => victim.giveUpMeshKey(),
  );
  assert.deepEqual([...seen].sort(), [own, "none"].sort());
});

Deno.test("a recovery whose state cannot be written: the node has the new key now, a start has the old one until it can be", () =>
  inFolder((root) => {
    const dir = join(root, "state");
    const copy = (name: string) => {
      const to = join(root, name);
      assert(new Deno.Command("cp", { args: ["-a", dir, to] }).outputSync().success);
      return to;
    };
    const node = open(dir);
    const recovery = node.recoverySeed?.slice();
    assert.ok(recovery);
    const old = keyOf(node);
    const inTheWay = join(dir, "state.json.new", "full");
    Deno.mkdirSync(inTheWay, { recursive: true });
    node.recover(recovery, { yes: true });
    const now = keyOf(node);
    assert.ok(now.counts && now.seed !== old.seed, "mesh-key export shows the one that counts");
    const cut = copy("cut");
    Deno.removeSync(join(cut, "state.json.new"), { recursive: true });
    const early = open(cut);
    assert.deepEqual(keyOf(early), old);
    early.close();

    assert.throws(() => node.recover(recovery, { yes: true }), /cannot be written/);
    assert.deepEqual(keyOf(node), now);
    Deno.removeSync(join(dir, "state.json.new"), { recursive: true });
    node.invite(); // Writes the state.
    const late = open(copy("late"));
    assert.deepEqual(keyOf(late), now);
    late.close();
    node.recover(recovery, { yes: true });
    assert.ok(keyOf(node).counts && keyOf(node).seed !== now.seed);
    node.close();
  }));

Deno.test("a recovery on a machine without a mesh key whose state cannot be written leaves none that is good for nothing", () =>
  inFolder((root) => {
    const dir = join(root, "state");
    const node = open(dir);
    const recovery = node.recoverySeed?.slice();
    assert.ok(recovery);
    node.giveUpMeshKey();
    Deno.mkdirSync(join(dir, "state.json.new", "full"), { recursive: true });
    node.recover(recovery, { yes: true });
    assert.throws(() => node.invite(), /nothing is handed out/); // It tries to write again.
    const cut = join(root, "cut");
    assert(new Deno.Command("cp", { args: ["-a", dir, cut] }).outputSync().success);
    Deno.removeSync(join(cut, "state.json.new"), { recursive: true });
    node.close();
    const early = open(cut);
    assert.deepEqual(keyOf(early), { seed: "none", counts: true });
    early.close();
  }));

Deno.test("a start with the generation before the newest, which knows the old mesh key, keeps the new one for a start that knows it", () =>
  inFolder((root) => {
    const dir = join(root, "state");
    const node = open(dir);
    const recovery = node.recoverySeed?.slice();
    assert.ok(recovery);
    const file = (name: string) => Deno.readTextFileSync(join(dir, name));
    const [old, previous] = [file("mesh-key"), file("state.json")];
    node.recover(recovery, { yes: true });
    const now = keyOf(node);
    node.close();
    // As a cut left it that came before the new key took the place of the old one.
    Deno.renameSync(join(dir, "mesh-key"), join(dir, "mesh-key.next"));
    Deno.writeTextFileSync(join(dir, "mesh-key"), old, { mode: 0o600 });
    Deno.writeTextFileSync(join(dir, "state.json.old"), previous);
    const copy = join(root, "copy");
    assert(new Deno.Command("cp", { args: ["-a", dir, copy] }).outputSync().success);
    Deno.writeTextFileSync(join(copy, "state.json"), "{");
    const before = open(copy, true);
    assert.equal(keyOf(before).seed, JSON.parse(old).content, "all that this generation knows");
    before.close();
    // The newest generation comes back, as what other members tell does.
    Deno.copyFileSync(join(dir, "state.json"), join(copy, "state.json"));
    const again = open(copy);
    assert.deepEqual(keyOf(again), now);
    again.close();
  }));
