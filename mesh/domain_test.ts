import assert from "node:assert/strict";
import { domainOf, isOthersDomain, nameIn } from "./domain.ts";

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

Deno.test("domains in which clouds and container engines have names are others', and what is like them is not", () => {
  const names = [
    "metadata.google",
    "ip-10-0-0-1.ec2",
    "compute",
    "host.docker",
    "gateway.docker",
    "kubernetes.docker",
    "host.containers",
    "host.lima",
    "host.minikube",
    "host.k3d",
    "host.rancher-desktop",
    "host.orb",
  ];
  for (const name of names) assert(isOthersDomain(name.split(".").at(-1) ?? ""), name);
  for (const name of ["lyon", "google-2", "docker0", "internal", "", "constructor"]) {
    assert(!isOthersDomain(name), name);
  }
});
