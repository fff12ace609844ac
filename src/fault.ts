/**
 * A fault: an exception of a machine in a step that nobody in this program asked for. It is a defect
 * of Shoal, and this is what its report needs: which input it was, told by its hash so that the same
 * one is known again without anybody having to publish what was in it, and where the code was.
 */
import { createHash } from "node:crypto";
import { type Endpoint, formatEndpoint } from "../mesh/endpoint.ts";
import type { Deadline } from "../mesh/machine.ts";
import type { Arrival, Edge } from "../mesh/tunnel/types.ts";

/** What a step was made for. */
export type Cause =
  | { readonly kind: "datagram"; readonly arrival: Arrival }
  | { readonly kind: "edge"; readonly edge: Edge }
  | { readonly kind: "stray"; readonly from: Endpoint }
  | { readonly kind: "timer"; readonly deadline: Deadline | undefined }
  /** What this program found out by itself: the addresses of a name, or of this machine. */
  | { readonly kind: "found"; readonly what: string }
  /** A person, or the program around the machine. */
  | { readonly kind: "call" };

export interface Fault {
  /** `a datagram of 148 bytes from 192.0.2.1:51820`, `sessionNeeded of peer 3`. */
  readonly cause: string;
  /** SHA-256 of the input, hexadecimal; of nothing where the cause has no bytes. */
  readonly hash: string;
  /** The message and where it was raised. */
  readonly stack: string;
}

export function faultOf(cause: Cause, error: unknown): Fault {
  return {
    cause: nameOf(cause),
    hash: createHash("sha256").update(inputOf(cause)).digest("hex"),
    stack: error instanceof Error ? error.stack ?? error.message : String(error),
  };
}

function nameOf(cause: Cause): string {
  switch (cause.kind) {
    case "datagram": {
      const { bytes, from } = cause.arrival;
      return `a datagram of ${bytes.length} bytes from ${formatEndpoint(from)}`;
    }
    case "edge":
      return `${cause.edge.kind} of peer ${cause.edge.peer}`;
    case "stray":
      return `data of no session from ${formatEndpoint(cause.from)}`;
    case "timer":
      return `the timer: ${cause.deadline?.why ?? "when it is due"}`;
    case "found":
      return cause.what;
    case "call":
      return "a command";
  }
}

function inputOf(cause: Cause): Uint8Array | string {
  switch (cause.kind) {
    case "datagram":
      return cause.arrival.bytes;
    case "edge":
      return JSON.stringify(cause.edge);
    case "stray":
      return formatEndpoint(cause.from);
    case "timer":
      return cause.deadline?.why ?? "";
    case "found":
      return cause.what;
    case "call":
      return "";
  }
}
