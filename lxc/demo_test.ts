import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { missingRight } from "./right.ts";

const lack = { right: await missingRight() };
const RUN = new URL("../run", import.meta.url).pathname;

testUnless(
  lack,
  "demo: a mesh forms, talks in secret, loses its founder, and puts out the founder's stolen machine; exit code 0",
  async () => {
    const { code, stdout } = await new Deno.Command(RUN, { args: ["demo"], stderr: "inherit" })
      .output();
    const text = new TextDecoder().decode(stdout);
    assert.equal(code, 0, text);
    assert.match(text, /\nEverything shown was true \(\d+ s\)\.\n$/);
    assert(!text.includes("\r"), "plain lines where there is no terminal");
  },
);
