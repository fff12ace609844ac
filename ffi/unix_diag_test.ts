import assert from "node:assert/strict";
import { join } from "node:path";
import { testUnless } from "../.ci/skip.ts";
import { unixSocketOwner } from "./unix_diag.ts";

const inodeOf = (path: string) =>
  Number(
    Deno.readTextFileSync("/proc/net/unix").split("\n").find((line) => line.endsWith(` ${path}`))
      ?.trim().split(/\s+/)[6],
  );

Deno.test("the kernel names the user who made a Unix socket, and nobody for one that is not there", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/socket`;
  const server = Deno.listen({ transport: "unix", path });
  const inode = inodeOf(path);
  assert.ok(inode > 0);
  assert.equal(unixSocketOwner(inode), Deno.uid());
  server.close();
  assert.equal(unixSocketOwner(inode), undefined);
  await Deno.remove(folder, { recursive: true });
});

testUnless(
  { right: Deno.uid() === 0 ? undefined : "only root can be another user" },
  "another user's socket is that user's, whatever it is called there",
  async () => {
    const folder = await Deno.makeTempDir();
    await Deno.chmod(folder, 0o777);
    const path = `${folder}/socket`;
    // It waits, or it would end as soon as it listens.
    const code = `const all = Deno.listen({ transport: "unix", path: ${
      JSON.stringify(path)
    } }); console.log(1); await all.accept();`;
    const other = new Deno.Command("setpriv", {
      args: ["--reuid=4321", "--regid=4321", "--clear-groups", Deno.execPath(), "eval", code],
      env: { HOME: "/nonexistent", DENO_DIR: join(folder, "deno") },
      stdout: "piped",
    }).spawn();
    const reader = other.stdout.getReader();
    await reader.read();
    try {
      assert.equal(unixSocketOwner(inodeOf(path)), 4321);
    } finally {
      other.kill("SIGKILL");
      await other.status;
      await reader.cancel();
      await Deno.remove(folder, { recursive: true });
    }
  },
);
