import assert from "node:assert/strict";
import type { Io } from "./command.ts";
import { printable } from "../words.ts";
import { inWordsOf, meantAs, meantBy, quoted } from "./typed.ts";

function io(program?: string): Io {
  const nothing = () => {};
  const env = (name: string) => name === "SHOAL_PROGRAM" ? program : undefined;
  return { out: nothing, err: nothing, env, color: false };
}

const instance = (ifname: string, controlSocket: string) => ({
  interface: ifname,
  stateDir: "/s",
  controlSocket,
});

Deno.test("a printed command picks the node that printed it, unless that is the usual one", () => {
  const text = "see `shoal status` and `shoal mesh-key words --erase --yes`";
  const told = (socket: string) => inWordsOf(io(), text, meantBy(socket));
  assert.equal(
    told("/run/shoal/shoal0.sock"),
    "see `./run shoal status` and `./run shoal mesh-key words --erase --yes`",
  );
  assert.equal(
    told("/run/shoal/lab1.sock"),
    "see `./run shoal status --interface lab1` and " +
      "`./run shoal mesh-key words --erase --yes --interface lab1`",
  );
  assert.equal(
    inWordsOf(io("shoal"), "`shoal down`", meantBy("/home/a b/it's/control.sock")),
    "`shoal down --state '/home/a b/it'\\''s'`",
  );
  assert.equal(
    inWordsOf(io("shoal"), "`shoal down`", meantBy("/run/shoal/oslo/control.sock")),
    "`shoal down --interface oslo`",
    "a service",
  );
});

Deno.test("a word of a printed command moves no cursor, is one line, and is the same word to a shell", async () => {
  const hostile = [
    "a b",
    "it's",
    "\x1b[2Jx",
    "a\nusage: b",
    "abc\u202egnp",
    "a\u200bb\u009b1m",
    "\u{e0041}'\\7\x077",
    "$(id)`id`\t!",
  ];
  for (const text of hostile) {
    const word = quoted(text);
    assert.equal(printable(word), word);
    const { stdout } = await new Deno.Command("bash", { args: ["-c", `printf %s ${word}`] })
      .output();
    assert.equal(new TextDecoder().decode(stdout), text, word);
  }
});

Deno.test("a printed command for another machine names none of the nodes here", () => {
  const words = (text: string, isAdmin: boolean) =>
    inWordsOf(io("shoal"), text, meantBy("/s/control.sock", () => isAdmin));
  const approve = "an admin renews it with `shoal approve abcd`";
  assert.equal(words(approve, false), approve);
  assert.equal(words(approve, true), "an admin renews it with `shoal approve abcd --state /s`");
  for (
    const elsewhere of [
      "it needs a new identity (`shoal identity renew` there)",
      "on the copy, `shoal identity renew` makes it a node of its own",
      "64 digits, as `shoal status --json` there shows",
    ]
  ) assert.equal(words(elsewhere, true), elsewhere);
});

Deno.test("the command that starts a node names its interface, too, where only the folder picks it", () => {
  const text = "start once with `shoal node --previous-state`";
  const words = (ifname: string, socket: string) =>
    inWordsOf(io("shoal"), text, meantAs(instance(ifname, socket), () => true));
  assert.equal(words("shoal0", "/run/shoal/shoal0.sock"), text);
  assert.equal(
    words("lab1", "/s/control.sock"),
    "start once with `shoal node --previous-state --state /s --interface lab1`",
  );
  assert.equal(
    words("lab1", "/run/shoal/lab1.sock"),
    "start once with `shoal node --previous-state --interface lab1`",
  );
});
