/**
 * News for the whole mesh, as swim's rumours: records and statements. Everything in them is signed by
 * whom it concerns or by somebody who may, so it does not matter who passes it on; and nothing is
 * passed on that was not verified.
 */
import type { Rumour } from "../swim/messages.ts";
import type { NodeRecord } from "./record.ts";
import type { Statement } from "./statement.ts";

/** Numbers of the kinds, on the wire. */
export const KIND = { record: 1, statement: 2, twin: 3 } as const;

export function recordRumour(record: NodeRecord): Rumour {
  // A byte of the signature stands in the version, so that two records with one sequence meet. Who
  // looks for two with the same byte can keep its members apart about its own record; so can who
  // shows each of them another record and lets none of them hear from the others.
  const [salt = 0] = record.bytes.subarray(-64);
  const version = record.sequence * 256 + salt;
  return { kind: KIND.record, key: record.id, version, bytes: record.bytes };
}

/**
 * A record that names another machine with its key, beside the member's newest: the other one may sign newer records
 * than that for as long as it likes.
 */
export function twinRumour(record: NodeRecord): Rumour {
  return { ...recordRumour(record), kind: KIND.twin };
}

/**
 * A statement travels under its hash, so that two of which only one can count meet everywhere, and
 * everywhere the same one is kept; nobody can make two that hide each other. A farewell travels under
 * its signer's key: of several that a key has signed each member keeps the one that it heard first,
 * and those who keep different ones have nothing to tell each other.
 */
export function statementRumour({ kind, signer, hash, bytes }: Statement): Rumour {
  const key = kind === "left" ? signer : hash;
  return { kind: KIND.statement, key, version: 1, bytes };
}
