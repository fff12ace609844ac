/** What a person can ask of a running node over its control socket, one entry a command. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Planned } from "../mesh/admin/plan.ts";
import { formatAddress } from "../mesh/endpoint.ts";
import { rfc3339 } from "../mesh/membership/judge.ts";
import { formatSeed } from "../mesh/seed.ts";
import { readClock } from "./clock.ts";
import type { NodeConfig } from "./config.ts";
import type { Document, Operation, Request } from "./control.ts";
import type { Ending } from "./ending.ts";
import { Exit, Failure } from "./exit.ts";
import type { MeshNode } from "./node.ts";
import { seedOf, wordsOf } from "./words_of_keys.ts";

/** Between two pings of one command. */
const PING_PACE_MS = 200;

export function operations(
  node: MeshNode,
  config: NodeConfig,
  ending: Ending,
): Readonly<Record<string, Operation>> {
  const changes = {
    ...invitations(node, config),
    ...memberships(node, ending),
    ...guests(node, config),
    ...keys(node, config, ending),
  } satisfies Record<string, Operation>;
  return {
    ping: { changes: false, run: (request, report, signal) => ping(node, request, report, signal) },
    ...Object.fromEntries(
      Object.entries(changes).map(([name, operation]) => [name, saying(operation, node)]),
    ),
    down: {
      changes: true,
      run: () => {
        const { name, standing } = node.status().self;
        endSoon(ending);
        return { name, member: standing !== "none" };
      },
    },
  };
}

/**
 * An operation whose answer says, too, where its outcome is in memory alone. It is no error: what was signed has been
 * sent, and counts.
 */
function saying(operation: Operation, node: MeshNode): Operation {
  if (!operation.changes) return operation;
  return {
    ...operation,
    run: async (...asked) => {
      const document = await operation.run(...asked);
      const { unsaved } = node;
      const isDone = document["done"] !== false;
      return unsaved === undefined || !isDone ? document : { ...document, unsaved };
    },
  };
}

function invitations(node: MeshNode, config: NodeConfig): Readonly<Record<string, Operation>> {
  return {
    invite: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const { token, seeds, expires, uses, id } = node.invite({
          seeds: advertised(config, node),
          ...given(request, "uses", "uses", numberOf),
          ...given(request, "expires_s", "expiresInS", numberOf),
          ...given(request, "member_days", "memberDays", numberOf),
          ...given(request, "groups", "groups", textsOf),
          ...given(request, "flags", "flags", textsOf),
          ...given(request, "seeds", "firstSeeds", textsOf),
          ...insistence(request),
        });
        return { token, seeds, expires: rfc3339(expires), uses, id };
      },
    },
    invites: {
      changes: false,
      run: () => ({
        invites: node.invites().map((one) => ({ ...one, expires: rfc3339(one.expires) })),
      }),
    },
    revoke_invite: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const invite = node.revokeInvite(textOf(request, "id"), insistence(request));
        return { ...invite, expires: rfc3339(invite.expires) };
      },
    },
    door: {
      changes: true,
      run: (request) => {
        const open_s = request["open_s"] === undefined ? 0 : numberOf(request, "open_s");
        node.openDoor(open_s * 1000);
        return { open_s };
      },
    },
  };
}

function memberships(node: MeshNode, ending: Ending): Readonly<Record<string, Operation>> {
  return {
    approve: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const approved = node.approve(textOf(request, "who"), {
          ...given(request, "name", "name", textOf),
          ...given(request, "groups", "groups", textsOf),
          ...insistence(request),
        });
        const { before, taken, isTakenHere, until } = approved;
        return {
          ...who(approved),
          called_before: before ?? null,
          name_taken: taken ?? null,
          name_taken_here: isTakenHere,
          expires: until === undefined ? null : rfc3339(until),
        };
      },
    },
    trust: {
      changes: true,
      run: (request) => who(node.trust(textOf(request, "key"), textOf(request, "name"))),
    },
    untrust: { changes: true, run: (request) => who(node.untrust(textOf(request, "who"))) },
    promote: {
      changes: true,
      run: async (request) => {
        await node.compared();
        return who(node.promote(textOf(request, "who"), insistence(request)));
      },
    },
    demote: {
      changes: true,
      run: async (request) => {
        const name = textOf(request, "who");
        await node.compared(name);
        return planned(node.demote(name, insistence(request)));
      },
    },
    revoke: {
      changes: true,
      run: async (request) => {
        const name = textOf(request, "who");
        await node.compared(name);
        return planned(node.revoke(name, {
          ...given(request, "since", "since", numberOf),
          ...insistence(request),
        }));
      },
    },
    leave: {
      changes: true,
      run: (request) => {
        const outcome = node.leaveForGood(insistence(request));
        if (outcome.isDone) endSoon(ending);
        return planned(outcome);
      },
    },
  };
}

function guests(node: MeshNode, config: NodeConfig): Readonly<Record<string, Operation>> {
  return {
    guest_add: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const [usual] = advertised(config, node);
        const way = node.addGuest(textOf(request, "name"), {
          key: keyOf(request, "key"),
          ...(usual === undefined ? {} : { place: usual }),
          ...given(request, "endpoint", "place", textOf),
          ...given(request, "groups", "groups", textsOf),
          ...given(request, "expires_s", "expiresInS", numberOf),
          ...insistence(request),
        });
        return {
          ...guest(way.who),
          ip4: formatAddress(way.ip4),
          ip6: formatAddress(way.ip6),
          mesh: way.mesh,
          host: way.host,
          host_key: way.hostKey.toBase64(),
          endpoint: way.endpoint,
          networks: way.networks.map(({ address, length }) =>
            `${formatAddress(address)}/${length}`
          ),
          mtu: node.info.mtu,
          expires: rfc3339(way.until),
        };
      },
    },
    guest_renew: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const { who, until } = node.renewGuest(textOf(request, "who"), {
          ...given(request, "expires_s", "expiresInS", numberOf),
          ...insistence(request),
        });
        return { ...guest(who), expires: rfc3339(until) };
      },
    },
    guest_remove: {
      changes: true,
      run: async (request) => {
        await node.compared();
        return guest(node.removeGuest(textOf(request, "who"), insistence(request)));
      },
    },
  };
}

/** The key of a guest stands in base64 wherever WireGuard's users see it. */
function guest({ id, name }: { readonly id: string; readonly name: string }): Document {
  return { name, key: Uint8Array.fromHex(id).toBase64() };
}

function keys(
  node: MeshNode,
  config: NodeConfig,
  ending: Ending,
): Readonly<Record<string, Operation>> {
  return {
    recovery_words: {
      changes: true,
      run: (request) => {
        const seed = node.recoverySeed;
        if (seed === undefined) {
          throw new Failure(
            Exit.failed,
            "mesh-key: the recovery key is not on this machine: it was erased, or another founded the mesh",
          );
        }
        const words = wordsOf(seed);
        if (request["erase"] === true) node.eraseRecovery();
        return { words, ...paper(node) };
      },
    },
    mesh_key_export: {
      changes: true,
      run: (request) => {
        const seed = node.meshSeed;
        if (seed === undefined) {
          throw new Failure(Exit.failed, "mesh-key: the mesh key is not on this machine");
        }
        const words = wordsOf(seed);
        const heading = { ...paper(node), mesh_key: node.status().mesh.key };
        if (request["erase"] === true) node.giveUpMeshKey();
        return { words, ...heading };
      },
    },
    mesh_key_import: {
      changes: true,
      run: (request) => {
        const seed = seedOf(textOf(request, "words"));
        try {
          node.keepMeshKey(seed);
        } finally {
          seed.fill(0);
        }
        return {};
      },
    },
    recover: {
      changes: true,
      run: async (request) => {
        await node.compared();
        const seed = seedOf(textOf(request, "words"));
        try {
          return planned(node.recover(seed, {
            ...given(request, "without", "without", textsOf),
            ...given(request, "keep", "keep", textsOf),
            ...given(request, "since", "since", numberOf),
            ...insistence(request),
          }));
        } finally {
          seed.fill(0);
        }
      },
    },
    renew_identity: {
      changes: true,
      run: (request) => {
        const outcome = node.renewIdentity(insistence(request));
        if (outcome.isDone) endSoon(ending);
        const { service } = config.instance;
        return { ...planned(outcome), ...(service === undefined ? {} : { service }) };
      },
    },
  };
}

/** What tells a paper with words from that of another mesh, and from an older one. */
function paper(node: MeshNode): Document {
  const { id, name } = node.status().mesh;
  return { mesh: { id, name }, shown: rfc3339(Math.floor(readClock().wall / 1000)) };
}

/** After the answer has been written: the end closes this very socket. */
function endSoon(ending: Ending): void {
  setTimeout(() => ending.ask("down"), 0);
}

function planned(
  { who: about, members, lines, warnings, advice = [], isDone }: Planned,
): Document {
  return {
    ...who(about),
    lines,
    warnings,
    advice,
    ...(members && {
      members: {
        out: members.out.map(who),
        removed: members.removed.map(who),
        back: members.back.map(who),
        doubtful: members.doubtful.map(who),
      },
    }),
    done: isDone,
  };
}

function insistence(request: Request): { readonly yes?: boolean } {
  return request["yes"] === true ? { yes: true } : {};
}

/** The document `shoal ping --json`, with a report for each answer. */
async function ping(
  node: MeshNode,
  request: Request,
  report: (event: Document) => void,
  signal: AbortSignal,
): Promise<Document> {
  const peer = textOf(request, "peer");
  const count = numberOf(request, "count");
  const timeout = numberOf(request, "timeout_ms");
  const rtts: number[] = [];
  let sent = 0;
  let key = "";
  let name = peer;
  for (; sent < count && !signal.aborted; sent++) {
    if (sent > 0) await sleep(PING_PACE_MS);
    const { who, answer } = await node.ping(peer, timeout);
    ({ id: key, name } = who);
    if (answer !== undefined) rtts.push(answer.rttMs);
    report({
      peer: name,
      ip4: peerOf(node, key)?.ip4 ?? "",
      path: answer === undefined ? "none" : "direct",
      endpoint: answer?.endpoint ?? null,
      rtt_ms: answer === undefined ? null : toMicroseconds(answer.rttMs),
      timeout_ms: timeout,
    });
  }
  rtts.sort((a, b) => a - b);
  const view = peerOf(node, key);
  return {
    peer: name,
    sent,
    state: view?.state ?? null,
    since_s: view?.since_s ?? null,
    received: rtts.length,
    rtt_ms: rtts.length === 0 ? null : {
      min: quantile(rtts, 0),
      p50: quantile(rtts, 0.5),
      p99: quantile(rtts, 0.99),
      max: quantile(rtts, 1),
    },
    path: view?.path ?? "none",
  };
}

/** By its key: a name can be anybody's. */
function peerOf(node: MeshNode, key: string) {
  return node.status().peers.find((peer) => peer.key === key);
}

/** The nearest rank of sorted values. */
function quantile(sorted: readonly number[], q: number): number {
  const rank = Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1));
  return toMicroseconds(sorted[rank] ?? NaN);
}

/** Milliseconds with the digits that mean something. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** Where invites say that this node is, if a person said so. */
export function advertised({ advertise }: NodeConfig, node: MeshNode): readonly string[] {
  return advertise === undefined ? [] : [formatSeed({ host: advertise, port: node.info.port })];
}

function who({ id, name }: { readonly id: string; readonly name: string }): Document {
  return { name, key: id };
}

/** A field under the name that the node has for it, unless it was left out. */
function given<K extends string, T>(
  request: Request,
  field: string,
  name: K,
  read: (request: Request, field: string) => T,
): Partial<Record<K, T>> {
  return request[field] === undefined ? {} : { [name]: read(request, field) } as Record<K, T>;
}

function textOf(request: Request, field: string): string {
  const value = request[field];
  if (typeof value === "string" && value !== "") return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is missing`);
}

function keyOf(request: Request, field: string): Uint8Array {
  const text = textOf(request, field);
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    throw new Failure(Exit.usage, `${request.command}: '${field}' is no key in base64`);
  }
}

function numberOf(request: Request, field: string): number {
  const value = request[field];
  if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is not a number above 0`);
}

function textsOf(request: Request, field: string): readonly string[] {
  const value = request[field];
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value;
  throw new Failure(Exit.usage, `${request.command}: '${field}' is not a list of names`);
}
