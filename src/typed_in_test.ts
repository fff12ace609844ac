/** Secrets that a person types in at a terminal: it asks, and waits for no more than it needs. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { inFolder } from "../.ci/folder.ts";
import { Exit } from "./exit.ts";
import { paperOf } from "./paper.ts";
import { wordsOf } from "./words_of_keys.ts";

const ROOT = new URL("..", import.meta.url).pathname;

/**
 * A command at a terminal of its own (script(1)), where `typed` is typed and nothing ends the input.
 * @param when what is shown before it is typed; "": at once
 * @returns beside what is shown, the lines that whoever reads the terminal after the command finds there
 */
async function atTerminal(args: readonly string[], typed: string, when = "Enter") {
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
  const shell = `${quoted}; code=$?; timeout --foreground 1 cat | sed s/^/LEFT:/; exit $code`;
  const script = new Deno.Command("script", {
    args: ["-qec", shell, "/dev/null"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const input = script.stdin.getWriter();
  let shown = "";
  const bound = setTimeout(() => script.kill("SIGKILL"), 30_000);
  let isTyped = when === "";
  if (isTyped) await input.write(new TextEncoder().encode(typed));
  for await (const text of script.stdout.pipeThrough(new TextDecoderStream())) {
    shown += text;
    if (!isTyped && shown.includes(when)) {
      isTyped = true;
      await input.write(new TextEncoder().encode(typed));
    }
  }
  clearTimeout(bound);
  const { code } = await script.status;
  await input.close().catch(() => {});
  return { code, shown, left: Array.from(shown.matchAll(/LEFT:(.*)/g), ([, line = ""]) => line) };
}

const WORDS = wordsOf(new Uint8Array(32).fill(7));
const LIST = WORDS.split(" ");
/** As a person writes it down: without the colon. */
const HEADING = "recovery key of the mesh lyon, aec2e1fb06eee84d, shown 2026-11-28T05:09:07Z";
const PAPER = paperOf(HEADING, WORDS);

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

/** No node answers there, so a command that has all its words ends with that. */
const RECOVER = ["recover", "--state", "/nonexistent"];

const PASTES = {
  "below a heading without its colon": {
    typed: `${PAPER.replace("Z:", "Z")}\n`,
    said: /no node answers at/,
  },
  "below a heading of words of the list, one a line": {
    typed: `the main mesh key of mesh one\n${LIST.join("\n")}\n`,
    said: /no node answers at/,
  },
  "with a word that is none in the middle": {
    typed: `${LIST.with(9, "shoal").join("\n")}\n\n`,
    said: /no node answers at/,
  },
  "with empty lines between": {
    typed: `${PAPER.replaceAll("\n", "\n\n")}\n`,
    said: /no node answers at/,
  },
  "with other lines and an end without Enter after them": {
    typed: `${PAPER}\nwrite these words down\n${WORDS}`,
    said: /no node answers at/,
  },
};
for (const [how, { typed, said }] of Object.entries(PASTES)) {
  Deno.test(`of words that are pasted ${how} nothing is left to the shell`, async () => {
    const { code, shown, left } = await atTerminal(RECOVER, typed);
    assert.match(shown, said);
    assert.notEqual(code, Exit.done);
    assert.deepEqual(left, []);
  });
}

for (
  const args of [["recover", "--witout", "a"], ["recover", "a"], ["mesh-key", "imprt"], ["recvoer"]]
) {
  Deno.test(`words that are pasted while '${args.join(" ")}' is refused are not left to the shell`, async () => {
    const { code, left } = await atTerminal(args, `${PAPER}\n${WORDS}`, "");
    assert.equal(code, Exit.usage);
    assert.deepEqual(left, []);
  });
}

Deno.test("what is typed ahead at a command that asks for no secret is left to whom it is meant for", async () => {
  const { left } = await atTerminal(["status", "--state", "/nonexistent"], "echo next\n", "");
  assert.deepEqual(left, ["echo next"]);
});

Deno.test("a paste at an invite is not left to the shell", () =>
  inFolder(async (dir) => {
    const { code, left } = await atTerminal(
      ["node", "--no-tun", "--token-file", "-", "--state", join(dir, "none")],
      "foo\n\nbar\n\nsecret",
    );
    assert.equal(code, Exit.stuck);
    assert.deepEqual(left, []);
  }));
