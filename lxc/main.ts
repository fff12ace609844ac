/** `./run lab [NAME]`: laboratories to look at. Without a name it lists them. */

import { arrivals } from "./arrivals.ts";
import { Device, makeKeys } from "./device.ts";
import { dropShare, limitRate } from "./fault.ts";
import { gaps } from "./gaps.ts";
import type { Host } from "./host.ts";
import { idle } from "./idle.ts";
import { NoLab } from "./keeper.ts";
import { Lab } from "./lab.ts";
import { MeshNode } from "./node.ts";
import { masquerade } from "./nat.ts";
import { shoal } from "./peers.ts";
import { printable } from "../src/words.ts";
import { simulate } from "./sim.ts";

/** A laboratory that a person can enter: it is built, a shell opens in one of its hosts, and it is gone with the shell. */
interface Scene {
  readonly summary: string;
  /** Builds it; returns the host of the shell and what to say about it. */
  readonly build: (lab: Lab) => Promise<{ host: Host; notes: readonly string[] }>;
}

const SCENES: Readonly<Record<string, Scene>> = {
  pair: {
    summary: "two hosts, a Shoal WireGuard device in each, configured for each other",
    build: pair,
  },
  lossy: {
    summary: "the same over a wire of 20 Mbit/s that loses 2 % of its packets",
    build: lossy,
  },
  nat: {
    summary: "a host behind a router that masquerades, its tunnel to a host outside",
    build: nat,
  },
  mesh: { summary: "three mesh nodes on one wire, joined", build: mesh },
};

async function tunnel(a: Host, b: Host, endpoint: string, known: boolean): Promise<void> {
  const implementation = await shoal();
  const [here, there] = [
    await Device.start(a, implementation),
    await Device.start(b, implementation),
  ];
  const [ours, theirs] = [await makeKeys(a), await makeKeys(b)];
  await there.configure({
    privateKey: theirs.privateKey,
    port: 51820,
    addresses: ["10.7.0.2/32"],
    peers: [{
      publicKey: ours.publicKey,
      allowedIps: ["10.7.0.1/32"],
      endpoint: known ? "10.0.0.1:51820" : undefined,
    }],
  });
  await here.configure({
    privateKey: ours.privateKey,
    port: 51820,
    addresses: ["10.7.0.1/32"],
    peers: [{ publicKey: theirs.publicKey, allowedIps: ["10.7.0.2/32"], endpoint }],
  });
}

async function pair(lab: Lab) {
  const [a, b] = [await lab.host("a"), await lab.host("b")];
  const ends = await lab.link(a, b, {
    a: { addresses: ["10.0.0.1/24"] },
    b: { addresses: ["10.0.0.2/24"] },
  });
  await tunnel(a, b, "10.0.0.2:51820", true);
  return {
    host: a,
    ends,
    notes: ["you are on a; b is 10.0.0.2 outside and 10.7.0.2 through the tunnel", "wg show"],
  };
}

async function lossy(lab: Lab) {
  const { host, ends, notes } = await pair(lab);
  for (const end of ends) {
    await limitRate(end, 20_000_000);
    await dropShare(end, 0.02);
  }
  return { host, notes };
}

async function nat(lab: Lab) {
  const [home, router, far] = [
    await lab.host("home"),
    await lab.host("router"),
    await lab.host("far"),
  ];
  await lab.link(home, router, {
    a: { addresses: ["192.168.1.2/24"] },
    b: { addresses: ["192.168.1.1/24"] },
  });
  const [outside] = await lab.link(router, far, {
    a: { addresses: ["10.0.0.1/24"] },
    b: { addresses: ["10.0.0.2/24"] },
  });
  await home.ip("route add default via 192.168.1.1");
  await masquerade(outside);
  await tunnel(home, far, "10.0.0.2:51820", false);
  return {
    host: home,
    notes: [
      "you are on home, behind a router; far is 10.0.0.2 outside and 10.7.0.2 through the tunnel",
    ],
  };
}

async function mesh(lab: Lab) {
  const wire = await lab.bridge("wire");
  const names = ["lyon", "oslo", "rome"];
  const nodes: MeshNode[] = [];
  let invitation: string[] = ["--listen", "51820"];
  for (const [i, name] of names.entries()) {
    const host = await lab.host(name);
    await wire.attach(host, { addresses: [`10.0.0.${i + 1}/24`] });
    nodes.push(MeshNode.start(host, ...invitation));
    if (i > 0) continue;
    const [seed] = nodes;
    await seed?.statusWhen("made a mesh", 15_000, () => true);
    const invite = await seed?.invite(names.length - 1);
    invitation = ["--join", "10.0.0.1:51820", "--token", invite?.token ?? ""];
  }
  const [first] = nodes;
  if (first === undefined) throw new TypeError("no nodes");
  const all = names.length - 1;
  await first.statusWhen("knows the others", 15_000, ({ peers }) => peers.length === all);
  return {
    host: first.host,
    notes: ["you are on lyon", `./run shoal status --state ${first.state}`],
  };
}

function usage(): string {
  const width = Math.max(...Object.keys(SCENES).map((key) => key.length));
  return [
    "usage: ./run lab NAME",
    "",
    ...Object.entries(SCENES).map(([key, { summary }]) => `  ${key.padEnd(width)}  ${summary}`),
    "",
    "A shell opens inside; with its end everything is gone. `./run lab sim` simulates meshes;",
    "`./run lab arrivals` feeds whole nodes what nobody expects; `./run lab gaps` measures how long traffic",
    "pauses when something around a node changes; `./run lab idle` measures what a node costs that does nothing.",
  ].join("\n");
}

async function main([name, ...more]: string[]): Promise<number> {
  if (name === "sim") return simulate(more);
  if (name === "arrivals") return await arrivals(more);
  if (name === "gaps") return await gaps(more);
  if (name === "idle") return await idle(more);
  const scene = name !== undefined && Object.hasOwn(SCENES, name) ? SCENES[name] : undefined;
  if (name === undefined || name === "-h" || name === "--help") {
    console.log(usage());
    return 0;
  }
  if (scene === undefined || more.length > 0) {
    console.error(
      `there is no laboratory ${
        printable(JSON.stringify([name, ...more].join(" ")))
      }\n\n${usage()}`,
    );
    return 2;
  }
  await using lab = await Lab.open();
  const { host, notes } = await scene.build(lab);
  for (const note of notes) console.error(note);
  return await host.interact([Deno.env.get("SHELL") ?? "/bin/sh"]);
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof NoLab)) throw error;
    console.error(`lab: ${error.message}`);
    Deno.exit(4);
  }
}
