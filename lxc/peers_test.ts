import assert from "node:assert/strict";
import { seekPeer, shoal } from "./peers.ts";

async function withVariable(name: string, value: string, body: () => Promise<void>): Promise<void> {
  const before = Deno.env.get(name);
  Deno.env.set(name, value);
  try {
    await body();
  } finally {
    if (before === undefined) Deno.env.delete(name);
    else Deno.env.set(name, before);
  }
}

Deno.test("peers: a path in the environment is taken as it is", async () => {
  await withVariable("SHOAL_WIREGUARD_GO", "/bin/echo", async () => {
    const { found } = await seekPeer("wireguard-go");
    assert.deepEqual(found?.command("wg0"), ["/bin/echo", "-f", "wg0"]);
    assert.match(found.version, /echo/);
  });
});

Deno.test("peers: a path that leads nowhere says which variable gave it", async () => {
  await withVariable("SHOAL_BORINGTUN", "/nowhere/boringtun", async () => {
    const { missing } = await seekPeer("boringtun");
    assert.match(missing ?? "", /^SHOAL_BORINGTUN=\/nowhere\/boringtun: /);
  });
});

Deno.test("peers: Debian's package that is not installed says what to install", async () => {
  await withVariable("PATH", "/nowhere", async () => {
    assert.deepEqual(await seekPeer("wireguard-go-debian"), {
      missing: "no wireguard-go on PATH: apt install wireguard-go",
    });
  });
});

Deno.test("peers: ours is the repository's own run, at a version that git knows", async () => {
  const ours = await shoal();
  assert.match(ours.command("wg0").join(" "), /\/run wg -f wg0$/);
  assert.notEqual(ours.version, "");
});
