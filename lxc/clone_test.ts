/** T44: a machine whose disk is a copy of another's, over running nodes in namespaces (issue 7, item 11). */

import assert from "node:assert/strict";
import { testUnless } from "../.ci/skip.ts";
import { Machines, meet } from "./machines.ts";
import { MeshNode } from "./node.ts";
import { Pinger } from "./pinger.ts";
import { missingRight } from "./right.ts";

/**
 * Milliseconds that are waited until every status names a key that two machines use. In the simulator ten seconds are
 * the bound (mesh/clone_test.ts); here the processors may be anybody's, and how long it took is printed.
 */
const NAMED = 60_000;
/** Milliseconds that the original's traffic may pause for. */
const PAUSE = 2_000;
/** Milliseconds after which a member that is not heard would be found dead. */
const DEATH = 15_000;

const right = await missingRight();

testUnless(
  { right },
  "item 11: a copied machine is named in every status, takes no traffic, and joins by one approve",
  async () => {
    await using machines = await Machines.open();
    const lyon = await machines.found("lyon");
    const [oslo, rome] = await machines.join(lyon, "oslo", "rome") as [MeshNode, MeshNode];
    const all = [lyon, oslo, rome];
    await meet(all, 2);
    const { self: original } = await oslo.status();
    const pinger = await Pinger.open(rome.host, original.ip4);

    const { host } = await machines.add("copy");
    const copying = new Deno.Command("cp", {
      args: ["-a", oslo.host.outside(oslo.state), host.outside(oslo.state)],
    });
    assert.ok((await copying.output()).success);
    const begin = performance.now();
    const copy = MeshNode.start(host);
    const places = "10.0.0.2:51820 and 10.0.0.4:51820";
    const named = [lyon, rome].map((node) => ({
      node,
      lines: [`the key of oslo is used by two machines, ${places}`, "`shoal identity renew`"],
    }));
    const told = [[oslo, "10.0.0.4:51820"], [copy, "10.0.0.2:51820"]] as const;
    const own = told.map(([node, other]) => ({
      node,
      lines: [`another machine at ${other} uses this node's key`, "`shoal identity renew`"],
    }));
    const left = () => NAMED - (performance.now() - begin);
    await Promise.all(
      [...named, ...own].map(({ node, lines }) =>
        node.statusWhen(
          `says ${lines[0]}`,
          left(),
          ({ health }) => health.some((line) => lines.every((part) => line.includes(part))),
        )
      ),
    );

    console.log(`named in every status after ${Math.round(performance.now() - begin)} ms`);

    // The original stays a member like any other, on both of its planes.
    await new Promise((wake) => setTimeout(wake, DEATH - (performance.now() - begin)));
    for (const node of all) {
      const { peers, health } = await node.status();
      const states = peers.map(({ state, endpoint }) => `${state} ${endpoint}`);
      assert.ok(states.every((text) => /^alive 10\.0\.0\.[123]:51820$/.test(text)), `${states}`);
      assert.ok(!health.some((line) => line.startsWith("alone")), health.join("\n"));
    }
    assert.equal((await lyon.ping("oslo")).received, 3);
    await lyon.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", original.ip4]);
    const silence = await pinger.close();
    assert.ok(silence < PAUSE, `the original was silent for ${silence.toFixed(0)} ms`);

    // The copy gets an identity of its own; the line that it prints admits it.
    const { stdout } = await copy.shoal(["identity", "renew"]);
    const approve = /^\.\/run shoal (approve --name oslo [0-9a-f]{64})$/m.exec(stdout)?.[1];
    assert.ok(approve, stdout);
    await copy.end;
    const renewed = MeshNode.start(host);
    await renewed.statusWhen(
      "waits to be approved",
      10_000,
      ({ self }) => self.key !== original.key,
    );
    await lyon.shoal(approve.split(" "));
    await meet([...all, renewed], 3);
    const { self } = await renewed.status();
    assert.deepEqual([self.name, self.key === original.key, self.ip4 === original.ip4], [
      "oslo-2",
      false,
      false,
    ]);
    await Promise.all(
      all.map((node) =>
        node.statusWhen(
          "names no key any more",
          10_000,
          ({ health }) => !health.some((line) => line.startsWith("key:")),
        )
      ),
    );
    await rome.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", self.ip4]);
    await rome.host.run(["ping", "-c", "2", "-i", "0.1", "-W", "2", original.ip4]);
  },
);
