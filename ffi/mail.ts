/** What core reports through its mailbox, read out of the drained buffer. */
import type { Endpoint } from "../mesh/endpoint.ts";
import type { PeerId } from "../mesh/machine.ts";
import type { Arrival, Edge } from "../mesh/tunnel/types.ts";
import { LinkNews, MailKind, MailStruct, RekeyWhy } from "./header.ts";
import { type Memory, readRemote, readSource, readTime } from "./structs.ts";

export type Mail =
  /** A datagram that is no data message; the gate let it through. */
  | { readonly kind: "datagram"; readonly arrival: Arrival }
  | { readonly kind: "edge"; readonly edge: Edge }
  /** The interface went up or down, changed its MTU, or was deleted. `mtu` is the MTU now. */
  | { readonly kind: "link"; readonly news: LinkState; readonly mtu: number }
  /** The kernel refused an offload; core goes on without it. */
  | { readonly kind: "offloadDemoted"; readonly offload: number; readonly errno: number }
  /** io_uring was asked for and is not used; plain calls go on. */
  | { readonly kind: "ioRefused"; readonly errno: number }
  /** The data plane stands still. */
  | { readonly kind: "workerFailed"; readonly errno: number }
  /** Addresses, routes, rules or links of the machine changed. */
  | { readonly kind: "routes" }
  /** Data of a session that is not ours came from there; one in a tenth of a second is told. */
  | { readonly kind: "stray"; readonly from: Endpoint }
  /** Our own datagrams to there come out of the interface: told when that begins. */
  | { readonly kind: "loop"; readonly to: Endpoint };

export type LinkState = "up" | "down" | "mtu" | "gone";

const linkStates: ReadonlyMap<number, LinkState> = new Map([
  [LinkNews.UP, "up"],
  [LinkNews.DOWN, "down"],
  [LinkNews.MTU, "mtu"],
  [LinkNews.GONE, "gone"],
]);

const rekeyWhys: ReadonlyMap<number, "age" | "receive" | "messages"> = new Map([
  [RekeyWhy.AGE, "age"],
  [RekeyWhy.RECEIVE, "receive"],
  [RekeyWhy.MESSAGES, "messages"],
]);

/**
 * Reads the records that fill the first `used` bytes, in order.
 * @throws {Error} on a record that no library of our ABI version writes.
 */
export function readMails(box: Memory, used: number, visit: (mail: Mail) => void): void {
  for (let at = 0; at < used;) {
    const size = box.view.getUint32(at + MailStruct.offset.size, true);
    if (size < MailStruct.size || at + size > used) {
      throw new Error(`core mailed a record of ${size} bytes at ${at} of ${used}`);
    }
    visit(readMail(box, at));
    at += size;
  }
}

function readMail(box: Memory, at: number): Mail {
  const { offset } = MailStruct;
  const { view } = box;
  const kind = view.getUint16(at + offset.kind, true);
  const peer: PeerId = view.getUint32(at + offset.tag, true);
  const index = view.getUint32(at + offset.index, true);
  const value = view.getUint32(at + offset.value, true);
  const time = () => readTime(box, at + offset.time);
  switch (kind) {
    case MailKind.DATAGRAM:
      return { kind: "datagram", arrival: readArrival(box, at) };
    case MailKind.SESSION_NEEDED:
      return { kind: "edge", edge: { kind: "sessionNeeded", peer } };
    case MailKind.UNANSWERED_DATA:
      return { kind: "edge", edge: { kind: "unansweredData", peer, at: time() } };
    case MailKind.UNSENT_REPLY:
      return { kind: "edge", edge: { kind: "unsentReply", peer, at: time() } };
    case MailKind.SESSION_CONFIRMED:
      return { kind: "edge", edge: { kind: "sessionConfirmed", peer, index } };
    case MailKind.REKEY_DUE:
      return {
        kind: "edge",
        edge: { kind: "rekeyDue", peer, index, why: known(rekeyWhys, value) },
      };
    case MailKind.ENDPOINT_MOVED:
      return {
        kind: "edge",
        edge: {
          kind: "endpointMoved",
          peer,
          endpoint: readRemote(box, at + offset.endpoint),
          source: readSource(box, at + offset.endpoint),
        },
      };
    case MailKind.LINK:
      return { kind: "link", news: known(linkStates, value), mtu: index };
    case MailKind.OFFLOAD_DEMOTED:
      return { kind: "offloadDemoted", offload: value, errno: index };
    case MailKind.IO_REFUSED:
      return { kind: "ioRefused", errno: value };
    case MailKind.WORKER_FAILED:
      return { kind: "workerFailed", errno: value };
    case MailKind.ROUTES:
      return { kind: "routes" };
    case MailKind.REFUSED:
      return { kind: "edge", edge: { kind: "refused", peer } };
    case MailKind.LOOP:
      return { kind: "loop", to: readRemote(box, at + offset.endpoint) };
    case MailKind.STRAY:
      return { kind: "stray", from: readRemote(box, at + offset.endpoint) };
    default:
      throw new Error(`core mailed kind ${kind}, which this program does not know`);
  }
}

function readArrival(box: Memory, at: number): Arrival {
  const { offset, size } = MailStruct;
  const length = box.view.getUint16(at + offset.length, true);
  return {
    bytes: box.bytes.slice(at + size, at + size + length),
    from: readRemote(box, at + offset.endpoint),
    source: readSource(box, at + offset.endpoint),
  };
}

function known<T>(table: ReadonlyMap<number, T>, value: number): T {
  const meaning = table.get(value);
  if (meaning === undefined) throw new Error(`core mailed the unknown value ${value}`);
  return meaning;
}
