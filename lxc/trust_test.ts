/**
 * Who may do what, by the commands that a person types, over running nodes in namespaces (issue 7, items 2, 3, 7, 9, 10
 * and 12; the invariants are those of the trust design). The kernel's ping crosses the tunnels between honest members
 * all the time.
 */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import type { StatusDocument } from "../src/status.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { Pinger } from "./pinger.ts";
import type { Output } from "./process.ts";
import { missingRight } from "./right.ts";
import { until } from "./until.ts";

/** Milliseconds: bounds, not expectations. */
const SOON = 15_000;
/** Members whose certificate lost its signer are kept for 20 s, since they may be signed anew. */
const GRACE = 40_000;
/** Milliseconds that traffic between honest members may pause for. */
const PAUSE = 2_000;
const YES_NEEDED = "nothing was done: say --yes if you want that";

const right = await missingRight();

/** Runs a command that is to be refused or not carried out. */
async function refused(node: MeshNode, args: readonly string[], exit = 1): Promise<string> {
  const { code, stdout, stderr } = await node.shoal(args, { check: false });
  assert.equal(code, exit, `${args.join(" ")}: ${stdout}${stderr}`);
  return stdout + stderr;
}

/** Runs a command that shows its plan and does nothing; returns the plan. */
async function planned(node: MeshNode, ...args: string[]): Promise<string> {
  const before = sameFor(await node.status());
  const said = await refused(node, args);
  assert.ok(said.endsWith(`${YES_NEEDED}\n`), said);
  assert.deepEqual(sameFor(await node.status()), before, "nothing has changed");
  return said;
}

/** Who is what, as far as commands change it. */
function sameFor({ self, peers }: StatusDocument) {
  const of = ({ name, key, admin, standing, ip4 }: Pick<
    StatusDocument["self"],
    "name" | "key" | "admin" | "standing" | "ip4"
  >) => ({ name, key, admin, standing, ip4 });
  return [self, ...peers].map(of).sort((a, b) => a.key < b.key ? -1 : 1);
}

/** Names of the admins that a node knows, itself included. */
function admins({ self, peers }: StatusDocument): string {
  return [self, ...peers].filter(({ admin }) => admin).map(({ name }) => name).sort().join();
}

function all(
  nodes: readonly MeshNode[],
  what: string,
  condition: (status: StatusDocument) => boolean,
  timeout = SOON,
): Promise<StatusDocument[]> {
  return Promise.all(nodes.map((node) => node.statusWhen(what, timeout, condition)));
}

function hasPeer(name: string) {
  return ({ peers }: StatusDocument) => peers.some((peer) => peer.name === name);
}

/** The line of `invite --list` that looks like this, as soon as there is one. */
function listed(node: MeshNode, line: RegExp): Promise<string> {
  return until(
    `${node.host.name} lists ${line}`,
    SOON,
    async () => lines(await node.shoal(["invite", "--list"])).find((one) => line.test(one)),
  );
}

function lines({ stdout }: Output): string[] {
  return stdout.trimEnd().split("\n");
}

testUnless({ right }, "items 2, 3, 7, 12: the commands of membership", async (t) => {
  await using machines = await Machines.open();
  const lyon = await machines.found("lyon");
  const line = await until(
    "lyon prints the line",
    SOON,
    () => Promise.resolve(lyon.printed.split("\n").find((one) => one.includes("--token"))),
  );
  const oslo = MeshNode.paste((await machines.add("oslo")).host, line);
  const token = line.split(" ").at(-1) ?? "";

  await t.step(
    "item 7, invariant 12: the line that the founder prints needs no quotes and is pasted as it is",
    async () => {
      assert.match(line, /^\.\/run node --token [A-Za-z0-9_-]+$/);
      await meet([lyon, oslo], 1);
    },
  );
  const [rome, bern, faro] = await machines.join(lyon, "rome", "bern", "faro") as [
    MeshNode,
    MeshNode,
    MeshNode,
  ];
  const members = [lyon, oslo, rome, bern];
  await meet([...members, faro], 4);
  const ip4 = new Map<string, string>();
  for (const node of [...members, faro]) ip4.set(node.host.name, (await node.status()).self.ip4);
  const to = (name: string) => ip4.get(name) ?? "";
  const pingers = [
    await Pinger.open(rome.host, to("bern")),
    await Pinger.open(oslo.host, to("bern")),
    await Pinger.open(bern.host, to("lyon")),
  ];

  await t.step(
    "item 9, invariant 12: the process list of a node that joined shows no token",
    async () => {
      for (const node of [...members, faro]) {
        const words = await Deno.readTextFile(`/proc/${await node.pid()}/cmdline`);
        assert.match(words, /src\/main\.ts\0node\0/);
        assert.ok(!words.includes("shoal3"), words.replaceAll("\0", " "));
      }
    },
  );

  await t.step(
    "item 2, invariant 1: an invite that is used up lets nobody in and made nobody an admin",
    async () => {
      await listed(lyon, /^[0-9a-f]{8} {2}used up, 1 of 1 used, until .*, by lyon$/);
      const { host } = await machines.add("thief");
      const thief = MeshNode.start(host, "--token", token);
      const { code } = await thief.end;
      assert.equal(code, 1, thief.said);
      assert.match(thief.said, /used/);
      for (const node of members) {
        const status = await node.status();
        assert.equal(admins(status), "lyon");
        assert.ok(!hasPeer("thief")(status));
      }
      assert.match(
        await refused(lyon, ["invite", "--flags", "admin"], 2),
        /`\.\/run shoal promote --state \S+`/,
      );
    },
  );

  await t.step(
    "item 12, invariant 3: the mesh key makes admins, where it is; admins are equals",
    async () => {
      assert.match(await refused(oslo, ["promote", "rome"]), /mesh key is on lyon: run it there/);
      await lyon.shoal(["promote", "oslo"]);
      await lyon.shoal(["promote", "rome"]);
      await all(members, "knows three admins", (status) => admins(status) === "lyon,oslo,rome");
      assert.match(await refused(rome, ["revoke", "--since", "1h", "oslo"]), /mesh key is on lyon/);
      assert.match(await refused(rome, ["revoke", "--since", "1h", "lyon"]), /mesh key is on lyon/);
      assert.match(await refused(rome, ["demote", "lyon"]), /mesh key is on lyon/);
      assert.match(await refused(bern, ["invite"]), /bern|no admin: run it on/);
    },
  );

  await t.step(
    "item 12: an admin that is not the founder invites, lists and ends invites",
    async () => {
      const [line = ""] = lines(await oslo.shoal(["invite", "--uses", "2"]));
      const open = await listed(rome, /^[0-9a-f]{8} {2}open, 0 of 2 used, until .*, by oslo$/);
      const id = open.slice(0, 8);
      await rome.shoal(["invite", "--revoke", id]);
      for (const door of members) await listed(door, new RegExp(`^${id}  revoked, 0 of 2 used`));
      const { host } = await machines.add("late");
      const late = MeshNode.paste(host, line);
      assert.equal((await late.end).code, 1, late.said);
      assert.ok(!(await Promise.all(members.map((node) => node.status()))).some(hasPeer("late")));
    },
  );

  await t.step(
    "item 12: trust believes a key on one node alone, and untrust ends that",
    async () => {
      const key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
      await bern.shoal(["trust", "--name", "friend", key]);
      assert.deepEqual((await bern.status()).trusted, [{ name: "friend", key }]);
      assert.match((await bern.shoal(["status"])).stdout, /^trusted here, not met yet: friend /m);
      assert.deepEqual((await lyon.status()).trusted, []);
      await bern.shoal(["untrust", "friend"]);
      assert.deepEqual((await bern.status()).trusted, []);
    },
  );

  await t.step("item 12: leave is one's own, and final", async () => {
    const { key } = (await faro.status()).self;
    await faro.shoal(["leave", "--yes"]);
    assert.equal((await faro.end).code, 0);
    await all(members, "has forgotten faro", (status) => !hasPeer("faro")(status));
    const again = MeshNode.start(faro.host);
    assert.equal((await again.end).code, 5);
    assert.match(again.said, /left the mesh [0-9a-f]{16} \(\S+\) for good.* \(this one is \/\S+\)/);
    assert.match(await refused(lyon, ["approve", key]), /has left the mesh for good/);
  });

  await t.step(
    "item 3, invariant 4: demoting the founder, oneself, does nothing without --yes; with it all stay",
    async () => {
      const said = await planned(lyon, "demote", "lyon");
      assert.match(said, /^would: lyon is no admin any more$/m);
      assert.match(said, /^would: \d+ members? and \d+ removals? of lyon are signed anew by you$/m);
      assert.match(said, /^would: lyon stays a member$/m);
      assert.match(said, /^but: this node itself is no admin any more$/m);
      await lyon.shoal(["demote", "--yes", "lyon"]);
      const after = await all(members, "knows that", (status) => admins(status) === "oslo,rome");
      for (const { peers } of after) assert.equal(peers.length, 3);
      await meet(members, 3);
      assert.match(await refused(lyon, ["promote", "lyon"]), /ended for good/);
    },
  );

  await t.step(
    "item 3, invariant 4: revoking an admin says first whom it cuts off, and needs --yes for that",
    async () => {
      assert.match(await refused(lyon, ["revoke", "oslo"]), /say with --since/);
      // Whom a thief on oslo certifies since the theft.
      const theft = new Date().toISOString();
      await new Promise((wake) => setTimeout(wake, 1_100));
      const { host } = await machines.add("stray");
      await oslo.shoal(["door", "open"]);
      const stray = MeshNode.start(host, "--join", "10.0.0.2:51820");
      await oslo.statusWhen("is asked", SOON, ({ requests }) => requests.length === 1);
      await oslo.shoal(["approve", "stray"]);
      await all(
        [lyon, rome, bern],
        "knows stray",
        ({ peers }) =>
          peers.some(({ name, standing }) => name === "stray" && standing === "certified"),
      );
      const said = await planned(lyon, "revoke", "--since", theft, "oslo");
      assert.match(
        said,
        /^would: oslo is no admin and no member any more; its key cannot come back$/m,
      );
      assert.match(said, /^but: .*stray/m);
      await pingers[1]?.close();
      await lyon.shoal(["revoke", "--yes", "--since", theft, "oslo"]);
      const honest = [lyon, rome, bern];
      await all(
        honest,
        "is without oslo",
        (status) => admins(status) === "rome" && !hasPeer("oslo")(status),
      );
      await all(honest, "is without stray", (status) => !hasPeer("stray")(status), GRACE);
      const { health } = await rome.statusWhen(
        "lists stray",
        SOON,
        (status) => status.void.some(({ name }) => name === "stray"),
      );
      assert.ok(health.some((line) => line.includes("stray") && line.includes("`shoal approve")));
      assert.ok((await oslo.status()).health.some((line) => line.startsWith("revoked:")));
      await rome.shoal(["approve", "stray"]);
      await meet([...honest, stray], 3);
    },
  );

  await t.step("item 3: the traffic of honest members went on all the time", async () => {
    for (const i of [0, 2]) {
      const silence = await pingers[i]?.close() ?? NaN;
      assert.ok(silence < PAUSE, `pinger ${i} was silent for ${silence.toFixed(0)} ms`);
    }
    for (const node of [lyon, rome]) {
      await node.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", to("bern")]);
    }
  });

  await t.step(
    "item 10: a damaged state is named at the start with what to do, and taken for no other",
    async () => {
      await bern.kill();
      const file = bern.host.outside(`${bern.state}/state.json`);
      const bytes = await Deno.readFile(file);
      const at = bytes.length >> 1;
      bytes[at] = (bytes[at] ?? 0) ^ 4;
      await Deno.writeFile(file, bytes);
      const damaged = MeshNode.start(bern.host);
      assert.equal((await damaged.end).code, 5);
      assert.match(damaged.said, /state\.json.*damaged/s);
      assert.match(damaged.said, /--previous-state/);
      assert.deepEqual(await Deno.readFile(file), bytes, "it is left as it was");
      const back = MeshNode.start(bern.host, "--previous-state");
      await meet([back], 3);
      assert.equal((await back.status()).self.ip4, to("bern"));
    },
  );
});
