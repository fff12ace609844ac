import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname } from "node:path";
import { inFolder } from "../../.ci/folder.ts";
import { Exit, Failure } from "../exit.ts";
import { findInstance } from "../instance.ts";
import {
  checkServiceName,
  installedServices,
  isOfItsUser,
  OPTIONS,
  optionsFile,
  placeOfService,
  serviceAt,
  UNIT,
  userOfServiceAt,
} from "./place.ts";

const SOCKET = "/run/shoal/lab/control.sock";

Deno.test("a service has the places of the system, whoever it runs as, and its interface is what its options say", () => {
  const env = (name: string) => ({ SHOAL_SERVICE: "lab", SHOAL_INTERFACE: "wire0" })[name];
  const place = { stateDir: "/var/lib/shoal/lab", controlSocket: SOCKET };
  assert.deepEqual(findInstance({}, env, 995), { interface: "wire0", service: "lab", ...place });
  assert.deepEqual(placeOfService("lab"), place);
  const chosen = findInstance({ state: "/srv/shoal" }, env, 995);
  assert.equal(
    chosen.controlSocket,
    "/srv/shoal/control.sock",
    "a folder that was named comes first",
  );
});

Deno.test("a service is known by its socket, and no other socket is one's", () => {
  assert.equal(serviceAt(SOCKET), "lab");
  for (const path of ["/run/shoal/lab.sock", "/run/shoal/control.sock", "/tmp/lab/control.sock"]) {
    assert.equal(serviceAt(path), undefined, path);
  }
});

Deno.test("services that are installed are known by the unit and their options", () =>
  inFolder((root) => {
    assert.deepEqual(installedServices(root), []);
    const options = `${root}${OPTIONS}`;
    fs.mkdirSync(options, { recursive: true });
    for (const file of ["lab.conf", "home.conf", "notes.txt"]) {
      fs.writeFileSync(`${options}/${file}`, "");
    }
    assert.deepEqual(installedServices(root), [], "options may stay when the unit is gone");
    fs.mkdirSync(`${root}${dirname(UNIT)}`, { recursive: true });
    fs.writeFileSync(`${root}${UNIT}`, "");
    assert.deepEqual(installedServices(root), ["home", "lab"]);
    assert.equal(optionsFile("lab"), "/etc/shoal/lab.conf");
  }));

Deno.test("a service's name can stand in a unit, a path and for an interface; others are refused", () => {
  for (const name of ["lab", "shoal0", "a-b_c.d", "A23456789012345"]) {
    assert.equal(checkServiceName(name), name);
  }
  const bad = [
    "",
    "..",
    ".x",
    "-x",
    "a/b",
    "a b",
    "a%i",
    "a@b",
    "all",
    "default",
    "ä",
    "A234567890123456",
  ];
  for (const name of bad) {
    assert.throws(
      () => checkServiceName(name),
      (error) =>
        error instanceof Failure && error.code === Exit.usage && error.message.includes(name),
      name,
    );
  }
});

/** What lstat tells of four places, all right but for what a test changes. */
function places(changes: Readonly<Record<string, { uid?: number; mode?: number }>> = {}) {
  const all: Record<string, { uid: number; mode: number; isDirectory: boolean }> = {
    "/run": { uid: 0, mode: 0o40755, isDirectory: true },
    "/run/shoal": { uid: 0, mode: 0o40755, isDirectory: true },
    "/run/shoal/lab": { uid: 995, mode: 0o40755, isDirectory: true },
    [SOCKET]: { uid: 995, mode: 0o140660, isDirectory: false },
  };
  return ((path: string) => {
    const found = all[path];
    if (found === undefined) throw new Error(path);
    const { isDirectory, ...stat } = { ...found, ...changes[path] };
    return { ...stat, isDirectory: () => isDirectory };
  }) as unknown as typeof fs.lstatSync;
}

Deno.test("a service's socket is believed because only root can make the folder that it is in", () => {
  assert(isOfItsUser(SOCKET, places()));
  const others = [
    { "/run": { uid: 1000 } },
    { "/run": { mode: 0o41777 } },
    { "/run/shoal": { uid: 995 } },
    { "/run/shoal": { mode: 0o40775 } },
    { "/run/shoal/lab": { mode: 0o40757 } },
    { [SOCKET]: { uid: 1000 } },
  ];
  for (const change of others) assert(!isOfItsUser(SOCKET, places(change)), JSON.stringify(change));
  assert(!isOfItsUser("/tmp/lab/control.sock", places()));
});

Deno.test("the user of a service is the owner of its state, and who has no such state is none", () => {
  const owned = (path: string) => ({ uid: path === "/var/lib/shoal/lab" ? 995 : 0 });
  assert.equal(userOfServiceAt(SOCKET, owned), 995);
  assert.equal(userOfServiceAt("/run/shoal/lab.sock", owned), undefined);
  assert.equal(
    userOfServiceAt(SOCKET, () => {
      throw new Error("ENOENT");
    }),
    undefined,
  );
});
