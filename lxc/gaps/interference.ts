/** Other programs change the interface of a running node, or what is around it (issue 8, kind 3). */

import { Machines, meet } from "../machines.ts";
import type { MeshNode } from "../node.ts";
import { Pinger } from "../pinger.ts";
import { until } from "../until.ts";
import type { Sample } from "./kind.ts";

/** Milliseconds after which nothing more is hoped for. */
const PATIENCE = 20_000;
const POOL = "100.64.0.0/10";
/** Answers after which traffic goes on. */
const ENOUGH = 100;

/** Two nodes that are in touch; the work is done at the one that joined. */
async function withNodes(
  work: (node: MeshNode, other: MeshNode) => Promise<Sample>,
): Promise<Sample> {
  await using machines = await Machines.open();
  const lyon = await machines.found("lyon");
  const [oslo] = await machines.join(lyon, "oslo");
  if (oslo === undefined) throw new TypeError("one was to join");
  await meet([lyon, oslo], 1);
  return await work(oslo, lyon);
}

/** Milliseconds from a command until a question is answered by yes. */
async function since(
  { host }: MeshNode,
  command: readonly string[],
  what: string,
  ask: () => Promise<boolean>,
): Promise<number> {
  const begin = performance.now();
  await host.run(command);
  await until(`${host.name}: ${what}`, PATIENCE, ask);
  return performance.now() - begin;
}

/** What ip(8) prints about the interface of the mesh. */
async function shown({ host }: MeshNode, ...question: string[]): Promise<string> {
  return (await host.run(["ip", ...question, "dev", "shoal0"])).stdout;
}

export function routeIsDeleted(): Promise<Sample> {
  return withNodes(async (node) => {
    const isThere = async () => (await shown(node, "route", "show")).includes(POOL);
    if (!await isThere()) throw new Error(`no route ${POOL} before it is deleted`);
    const value = await since(
      node,
      ["ip", "route", "delete", POOL, "dev", "shoal0"],
      "has its route again",
      isThere,
    );
    return { value, note: "put back" };
  });
}

export function addressesAreFlushed(): Promise<Sample> {
  return withNodes(async (node) => {
    const { self: { ip4, ip6 } } = await node.status();
    const areThere = async () => {
      const text = await shown(node, "address", "show");
      return [ip4, ip6].every((address) => text.includes(` ${address}/`));
    };
    if (!await areThere()) throw new Error(`not ${ip4} and ${ip6} before they are flushed`);
    const value = await since(
      node,
      ["ip", "address", "flush", "dev", "shoal0"],
      "has both addresses again",
      areThere,
    );
    return { value, note: "put back" };
  });
}

/** Until the health of `status` has a line that it had not before. */
function named(command: readonly string[], line: RegExp): Promise<Sample> {
  return withNodes(async (node) => {
    const isNamed = async () => {
      let found = false;
      await node.statusWhen("answers", PATIENCE, ({ health }) => {
        found = health.some((text) => line.test(text));
        return true;
      });
      return found;
    };
    if (await isNamed()) throw new Error(`${line} is in the health before anything happened`);
    return { value: await since(node, command, `names it: ${line}`, isNamed), note: "named" };
  });
}

export function mtuIsChanged(): Promise<Sample> {
  return named(["ip", "link", "set", "shoal0", "mtu", "1280"], /has an MTU of 1280/);
}

export function linkIsSetDown(): Promise<Sample> {
  return named(["ip", "link", "set", "shoal0", "down"], /is down and carries nothing/);
}

/** Shoal has no table of nftables, so that nothing has to be put back: traffic is to go on. */
export function rulesAreFlushed(): Promise<Sample> {
  return withNodes(async (node, other) => {
    const { self } = await other.status();
    const { stdout } = await node.host.run(["nft", "list", "ruleset"]);
    if (stdout !== "") {
      throw new Error(`a node has made rules, and nobody looks after them: ${stdout}`);
    }
    const pinger = await Pinger.open(node.host, self.ip4);
    await node.host.run(["nft", "flush", "ruleset"]);
    await pinger.more(ENOUGH);
    return { value: await pinger.close(), note: "nothing of ours was in it" };
  });
}
