/**
 * What a start costs a member of a large mesh: everything that it remembers is verified again before it is believed. A
 * snapshot of 10,000 certified members is made once; each repetition reads it as a start does.
 */

import process from "node:process";
import { toBase64url } from "../mesh/base64url.ts";
import { loadSodium } from "../ffi/sodium.ts";
import { Progress } from "../lxc/progress.ts";
import type { Crypto } from "../mesh/crypto.ts";
import type { NodeEvent } from "../mesh/event.ts";
import { Effects, type Now } from "../mesh/machine.ts";
import { restoreMesh } from "../mesh/memory.ts";
import { DEFAULT_POOL, encodeGenesis } from "../mesh/membership/genesis.ts";
import { identityFromSeed } from "../mesh/membership/identity.ts";
import { Mesh } from "../mesh/membership/mesh.ts";
import { NO_PROOF, sequenceOf, signRecord } from "../mesh/membership/record.ts";
import { type Draft, signStatement, type Statement } from "../mesh/membership/statement.ts";
import { type MemberSnapshot, type NodeSnapshot, readSnapshot } from "../mesh/snapshot.ts";
import { Tunnels } from "../mesh/tunnel/tunnels.ts";
import type { TunnelEvent } from "../mesh/tunnel/types.ts";
import { undisturbed, unrest } from "./cpu.ts";
import { describeMachine } from "./machine.ts";
import type { Figure, Result } from "./result.ts";

const MEMBERS = 10_000;
const YEAR = 365 * 86_400;
const NOW: Now = { boot: 1e6, wall: 1_800_000_000_000 };
const SECONDS = NOW.wall / 1000;

const FIGURES: readonly Figure[] = [
  {
    key: "cpu",
    title: `CPU of a start with ${MEMBERS} certified members`,
    unit: "s",
    better: "lower",
    goal: { of: "value", bound: 3 },
  },
  { key: "wall", title: "time of it", unit: "s", better: "lower" },
];

const METHOD = [
  `A mesh of ${MEMBERS} members: one admin has certified them all, each has a record that carries its proof, two places ` +
  "and the place where it was heard last. What a node keeps of it on disk is read as at a start: JSON, its shape, every " +
  "signature (one of each statement, one of each record), every member's name, addresses, tunnel and gossip. The " +
  "cryptography is that of production. *CPU* is user and system time of the whole process, its collector's and " +
  "compiler's threads included; each repetition is a process of its own, so nothing is warm.",
];

export async function benchTrust(
  options: { readonly repetitions: number },
  command: string,
): Promise<Result> {
  const file = await Deno.makeTempFile({ prefix: "shoal-bench-trust" });
  const raw: Measured[] = [];
  const progress = new Progress(options.repetitions + 1);
  try {
    progress.step("signing for the members");
    await Deno.writeTextFile(file, JSON.stringify(snapshot(loadSodium())));
    for (let repetition = 1; repetition <= options.repetitions; repetition++) {
      progress.step(`repetition ${repetition}`);
      raw.push(await undisturbed(() => start(file)));
    }
  } finally {
    await Deno.remove(file);
  }
  progress.end();
  const machine = await describeMachine();
  return {
    v: 1,
    name: "trust",
    title: "A start in a large mesh",
    method: [...unrest(raw.map((one) => ({ background: 0, ...one }))), ...METHOD],
    command,
    machine,
    parameters: { repetitions: options.repetitions, members: MEMBERS },
    figures: FIGURES,
    series: [{
      contender: "shoal",
      version: machine.commit,
      values: {
        cpu: raw.map(({ cpu_ms }) => cpu_ms / 1000),
        wall: raw.map(({ wall_ms }) => wall_ms / 1000),
      },
    }],
    raw,
  };
}

interface Measured {
  readonly cpu_ms: number;
  readonly wall_ms: number;
  readonly members: number;
}

/** One start in a process of its own. */
async function start(file: string): Promise<Measured> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--cached-only", "--no-prompt", "--allow-all", import.meta.filename ?? "", file],
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** A key pair's seed that depends on a number alone. */
function seedOf(number: number): Uint8Array {
  const seed = new Uint8Array(32).fill(7);
  new DataView(seed.buffer).setUint32(0, number);
  return seed;
}

const [SELF, MESH_KEY, RECOVERY_KEY, ADMIN] = [1, 2, 3, 4].map(seedOf) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
];

function emptyMesh(crypto: Crypto): Mesh {
  const random = (length: number) => globalThis.crypto.getRandomValues(new Uint8Array(length));
  const tunnels = new Tunnels({ crypto, random });
  const identity = identityFromSeed(crypto, SELF);
  const out = new Effects<TunnelEvent>();
  tunnels.setPrivateKey(NOW, identity.tunnelSecret, out);
  tunnels.up(NOW, out);
  return new Mesh(NOW, {
    crypto,
    random,
    tunnels,
    genesis: {
      meshKey: crypto.ed25519FromSeed(MESH_KEY).publicKey,
      recoveryKey: crypto.ed25519FromSeed(RECOVERY_KEY).publicKey,
      name: "bench",
      pool: DEFAULT_POOL,
    },
    self: {
      identity,
      proof: NO_PROOF,
      endpoints: [],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      version: "0",
    },
    run: "0011223344556677",
    name: "self",
    meshSigning: undefined,
    numbers: { own: 0, mesh: 0 },
    boot: 1,
    incarnation: 1,
  }, undefined);
}

/** What a node of the mesh has on disk. */
function snapshot(crypto: Crypto): NodeSnapshot {
  const { judge: { meshId }, genesis } = emptyMesh(crypto);
  const meshKey = crypto.ed25519FromSeed(MESH_KEY);
  const admin = crypto.ed25519FromSeed(ADMIN);
  const at = SECONDS - 1000;
  const certificate = (key: Uint8Array, name: string, ip4Counter: number) => ({
    key: key.toHex(),
    name,
    groups: ["servers"],
    relay: false,
    ip4Counter,
    since: at,
  });
  const office: Draft = {
    kind: "admin",
    certificate: certificate(admin.publicKey, "admin", 0),
  };
  const offices = signStatement(crypto, meshId, meshKey, office, { number: 1, at });
  const statements: Statement[] = [offices];
  const members: MemberSnapshot[] = [];
  const self = crypto.ed25519FromSeed(SELF).publicKey;
  for (let i = 0; i < MEMBERS; i++) {
    const own = crypto.ed25519FromSeed(i === 0 ? SELF : seedOf(1000 + i));
    const draft: Draft = {
      kind: "member",
      certificate: certificate(own.publicKey, `member-${i}`, 0),
      until: SECONDS + YEAR,
      token: undefined,
    };
    const statement = signStatement(crypto, meshId, admin, draft, { number: i + 1, at });
    statements.push(statement);
    if (own.publicKey.toHex() === self.toHex()) continue;
    const address = Uint8Array.of(10, 0, i >> 8, i & 255);
    const record = signRecord(crypto, meshId, own, {
      key: own.publicKey,
      sequence: sequenceOf(1, 0),
      run: "0011223344556677",
      twin: undefined,
      endpoints: [
        { address, port: 51820, scope: 0 },
        { address: Uint8Array.of(198, 51, i >> 8, i & 255), port: 51820, scope: 0 },
      ],
      capabilities: { relay: false, tunnel: true, meshKey: false, aesGcm: false, lanes: 1 },
      routes: [],
      version: "0",
      proof: { statements: [statement.bytes, offices.bytes], admission: undefined },
    });
    members.push({
      record: toBase64url(record.bytes),
      endpoint: `${address.join(".")}:51820`,
      aliveAt: SECONDS - 60,
    });
  }
  return {
    v: 3,
    name: "self",
    genesis: toBase64url(encodeGenesis(genesis)),
    boot: 1,
    incarnation: 1,
    numbers: { own: 0, mesh: 0 },
    statements: statements.map(({ bytes }) => ({ bytes: toBase64url(bytes), seen: at })),
    admissions: [],
    members,
    trusted: [],
    seeds: [],
  };
}

/** Reads a snapshot as a start does. */
async function measure(file: string): Promise<Measured> {
  const text = await Deno.readTextFile(file);
  const crypto = loadSodium();
  const mesh = emptyMesh(crypto);
  const cpu = process.cpuUsage();
  const begin = performance.now();
  const read = readSnapshot(JSON.parse(text));
  if (read === undefined) throw new Error("the snapshot is none");
  restoreMesh(NOW, crypto, mesh, read, new Effects<NodeEvent>());
  const wall_ms = performance.now() - begin;
  const { user, system } = process.cpuUsage(cpu);
  const members = mesh.roster.size + 1;
  if (members !== MEMBERS) throw new Error(`${members} members of ${MEMBERS} came back`);
  const nameless = [...mesh.roster.members()].filter(({ id }) => mesh.roster.nameOf(id) === "");
  if (nameless.length > 0) throw new Error(`${nameless.length} members have no name`);
  return { cpu_ms: (user + system) / 1000, wall_ms, members };
}

if (import.meta.main) console.log(JSON.stringify(await measure(Deno.args[0] ?? "")));
