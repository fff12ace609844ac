import assert from "node:assert/strict";
import { domainOf, nameIn } from "./domain.ts";

Deno.test("a name in the domain of the mesh means the member of that name", () => {
  assert.equal(domainOf("lyon"), "lyon.internal");
  for (const text of ["oslo.lyon.internal", "oslo.lyon.internal.", "OSLO.Lyon.Internal."]) {
    assert.equal(nameIn("lyon", text), "oslo", text);
  }
});

Deno.test("a text that is no name in the domain of the mesh stays as it is", () => {
  const others = [
    "oslo",
    "OSLO",
    "oslo.",
    "oslo.rome.internal",
    "oslo.lyon",
    "a.oslo.lyon.internal",
    "oslo..lyon.internal",
    "lyon.internal",
    ".lyon.internal",
    "100.64.0.1",
    "fd57::1",
    "q3Zy+Ab/c=",
    "",
  ];
  for (const text of others) assert.equal(nameIn("lyon", text), text);
});
