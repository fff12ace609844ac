/**
 * What core refuses, for the model of it: the checks of its exported calls (`core/api.c`,
 * `core/api_peer.c`) and, before them, of what can be written into their structs (`ffi/structs.ts`).
 * A test plays the same commands against core and the model and compares (src/model_test.ts).
 */
import { type Endpoint, isAnswerable, type Source } from "../endpoint.ts";
import type { Command, Datagram, Prefix, Session } from "../machine.ts";

/** A status of `core/shoal.h`; `unwritable`: a value that no field of its struct holds. */
export type Refusal = "E_INVALID" | "E_SIZE" | "E_EXISTS" | "E_FULL" | "E_UNKNOWN" | "unwritable";

/** SHOAL_DATAGRAM_MAX. */
export const DATAGRAM_MAX = 1500;
/** R17, and the prefixes of a device: what core has when it is not told otherwise. */
export const PEERS_MAX = 65_536;
export const ROUTES_MAX = 1_048_576;

const KEY_LENGTH = 32;

/** Why a command is refused whatever was said before it. */
export function refusalOfCommand(command: Command): Refusal | undefined {
  switch (command.kind) {
    case "setIdentity": {
      const { publicKey } = command;
      return publicKey !== undefined && publicKey.length !== KEY_LENGTH ? "E_SIZE" : undefined;
    }
    case "setEndpoint":
      return refusalOfEndpoint(command.endpoint, command.source);
    case "installSession":
      return refusalOfSession(command.session);
    case "addRoute":
    case "removeRoute":
      return refusalOfPrefix(command.prefix);
    default:
      return undefined;
  }
}

/** Why a datagram cannot be sent by anybody. */
export function refusalOfDatagram({ bytes, to, from, tos }: Datagram): Refusal | undefined {
  const refusal = refusalOfEndpoint(to, from);
  if (refusal) return refusal;
  const isLong = bytes.length === 0 || bytes.length > DATAGRAM_MAX;
  return isLong || (tos ?? 0) > 255 ? "E_INVALID" : undefined;
}

function refusalOfEndpoint(remote: Endpoint, source: Source | undefined): Refusal | undefined {
  const isWritable = hasFamily(remote.address) && isUnsigned(remote.port, 16) &&
    isUnsigned(remote.scope, 32);
  if (!isWritable) return "unwritable";
  const local = source?.address ?? new Uint8Array(0);
  if (source && !isUnsigned(source.ifindex, 32)) return "unwritable";
  if (local.length > 0 && !hasFamily(local)) return "unwritable";
  const isLocalGood = local.length === 0 ||
    local.length === remote.address.length && isAnswerable({ address: local, port: 1, scope: 0 });
  return isAnswerable(remote) && isLocalGood ? undefined : "E_INVALID";
}

function refusalOfPrefix({ address, length }: Prefix): Refusal | undefined {
  if (!hasFamily(address) || !isUnsigned(length, 16)) return "unwritable";
  if (length > 8 * address.length) return "E_INVALID";
  const isMasked = address.every((byte, i) => {
    const kept = Math.min(8, Math.max(0, length - 8 * i));
    return (byte & (0xff >> kept)) === 0;
  });
  return isMasked ? undefined : "E_INVALID";
}

function refusalOfSession(session: Session): Refusal | undefined {
  const { localIndex, remoteIndex, sendKey, receiveKey } = session;
  const isWritable = isUnsigned(localIndex, 32) && isUnsigned(remoteIndex, 32) &&
    sendKey.length === KEY_LENGTH && receiveKey.length === KEY_LENGTH &&
    [session.birth, session.rekeyAfterTime, session.rekeyOnReceive].every(isTime) &&
    session.rekeyAfterMessages >= 0n && session.rekeyAfterMessages < 1n << 64n;
  return isWritable ? undefined : "unwritable";
}

function hasFamily(address: Uint8Array): boolean {
  return address.length === 4 || address.length === 16;
}

function isUnsigned(value: number, bits: 16 | 32): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}

/** Milliseconds that fit into 64 bits of nanoseconds. */
function isTime(ms: number): boolean {
  return ms >= 0 && ms * 1e6 < 2 ** 64;
}
