/** Secrets that a person types in at a terminal: it asks, and waits for no more than it needs. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { Exit } from "./exit.ts";
import { paperOf } from "./paper.ts";
import { wordsOf } from "./words_of_keys.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/** A command at a terminal of its own (script(1)), where `typed` is typed and nothing ends the input. */
async function atTerminal(args: readonly string[], typed: string) {
  const argv = [
    Deno.execPath(),
    "run",
    "--quiet",
    "--no-prompt",
    "--cached-only",
    "--config",
    join(ROOT, "deno.json"),
    "--allow-all",
    join(ROOT, "src/main.ts"),
    ...args,
  ];
  const quoted = argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const script = new Deno.Command("script", {
    args: ["-qec", quoted, "/dev/null"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = script.stdin.getWriter();
  let shown = "";
  const bound = setTimeout(() => script.kill("SIGKILL"), 30_000);
  let isTyped = false;
  for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
    shown += text;
    if (!isTyped && shown.includes("Enter")) {
      isTyped = true;
      await input.write(new TextEncoder().encode(typed));
    }
  }
  clearTimeout(bound);
  const { code } = await script.status;
  await input.close().catch(() => {});
  return { code, shown };
}

Deno.test("24 words at a terminal are asked for, and taken at the last one, as they were printed", () =>
  inFolder(async (dir) => {
    const words = paperOf("mesh key of the mesh lyon", wordsOf(new Uint8Array(32).fill(7)));
    const { code, shown } = await atTerminal(
      ["mesh-key", "import", "--state", join(dir, "none")],
      `${words}\n`,
    );
    assert.match(shown, /type or paste the 24 words, with or without their numbers/);
    assert.match(shown, /no node answers at/);
    assert.equal(code, Exit.notRunning);
  }));

Deno.test("an invite at a terminal is asked for, and taken at an empty line", () =>
  inFolder(async (dir) => {
    const { code, shown } = await atTerminal(
      ["node", "--no-tun", "--token-file", "-", "--state", join(dir, "none")],
      "foo\n\n",
    );
    assert.match(shown, /paste the line that 'invite' printed on the other machine/);
    assert.match(shown, /token: it starts with "foo" instead of/);
    assert.equal(code, Exit.stuck);
  }));
