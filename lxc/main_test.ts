import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { missingRight } from "./right.ts";

const lack = { right: await missingRight() };
const RUN = new URL("../run", import.meta.url).pathname;

/** `./run lab …` with a shell that reads these lines. */
async function lab(
  args: string[],
  lines = "",
): Promise<{ code: number; stdout: string; stderr: string }> {
  const process = new Deno.Command(RUN, {
    args: ["lab", ...args],
    env: { SHELL: "/bin/sh" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines));
  await writer.close();
  const { code, stdout, stderr } = await process.output();
  const [out = "", err = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, stdout: out, stderr: err };
}

for (const name of ["pair", "lossy", "nat"]) {
  testUnless(
    lack,
    `lab ${name}: the shell's host reaches the other one through the tunnel`,
    async () => {
      // Where packets are lost the first handshake may be: the next try comes after 5 s (R6).
      const { code, stderr } = await lab(
        [name],
        "timeout 30 sh -c 'until ping -c 5 -i 0.2 -W 2 10.7.0.2; do :; done' >&2; wg show >&2\n",
      );
      assert.equal(code, 0, stderr);
      assert.match(stderr, /[1-5] received/);
      assert.match(stderr, /latest handshake/);
    },
  );
}

testUnless(lack, "lab mesh: the shell's host pings another one by its name", async () => {
  const { code, stderr } = await lab(
    ["mesh"],
    "./run shoal ping --state /run/shoal-state oslo >&2\n",
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /pong from oslo/);
});

testUnless(lack, "lab: the shell's exit code comes back", async () => {
  assert.equal((await lab(["pair"], "exit 7\n")).code, 7);
});

Deno.test("lab: without a name the laboratories are listed, with a wrong one too, as an error", async () => {
  const listed = await lab([]);
  assert.equal(listed.code, 0);
  assert.match(listed.stdout, /pair .*\n.*lossy .*\n.*nat .*\n.*mesh /);
  const wrong = await lab(["paris"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^there is no laboratory "paris"\n/);
});
