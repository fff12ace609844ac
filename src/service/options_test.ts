import assert from "node:assert/strict";
import { Exit, Failure } from "../exit.ts";
import { OPTIONS } from "../cli/node.ts";
import { optionsText, refuseUnknownOptions } from "./options.ts";

const known = Object.keys(OPTIONS);

Deno.test("every option that the file of a new service names is one", () => {
  const named = [...optionsText("lab").matchAll(/^#(SHOAL_\w+)=/gm)].map(([, name = ""]) => name);
  assert(named.length >= 6, named.join(" "));
  refuseUnknownOptions("lab", named, known);
  assert.doesNotMatch(optionsText("lab"), /^[^#\n]/m, "nothing is set");
});

Deno.test("a variable that is no option is named with its file, and others of the environment are left alone", () => {
  refuseUnknownOptions("lab", ["PATH", "SHOAL_LISTEN", "SHOAL_SERVICE", "SHOAL_TOKEN_FD"], known);
  assert.throws(
    () => refuseUnknownOptions("lab", ["SHOAL_LISTNE", "SHOAL_LISTEN", "SHOAL_"], known),
    (error) => {
      assert(error instanceof Failure && error.code === Exit.usage);
      assert.match(error.message, /^\/etc\/shoal\/lab\.conf: SHOAL_ and SHOAL_LISTNE: /);
      return true;
    },
  );
});
