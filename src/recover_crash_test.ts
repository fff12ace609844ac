/** A node that is killed while it replaces the mesh key finds one that counts at its next start. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { killedAfter } from "../.ci/killed.ts";
import { MeshNode } from "./node.ts";

function open(stateDir: string): MeshNode {
  return MeshNode.open({
    stateDir,
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
