/**
 * What makes a node a member when it starts: what it remembers, the mesh key on the machine that
 * founds the mesh, or a token. Or nothing, and then it has to ask.
 */
import type { Crypto, SigningKey } from "../crypto.ts";
import { fromBase64url } from "../base64url.ts";
import { type Decoded, refusal } from "../codec.ts";
import { domainOf, isOthersDomain } from "../domain.ts";
import { type Admission, decodeAdmission, requestAdmission } from "../membership/admission.ts";
import { decodeGenesis, DEFAULT_POOL, type Genesis, meshIdOf } from "../membership/genesis.ts";
import type { Identity } from "../membership/identity.ts";
import { decodeStatement, hashOf, isName, kindIn, signStatement } from "../membership/statement.ts";
import type { Prefix } from "../machine.ts";
import type { NodeSnapshot } from "../snapshot.ts";
import { parseToken, type Place, placesOf } from "./token.ts";

export interface Credentials {
  readonly genesis: Genesis;
  /** Statements to begin with, beside those of the snapshot. */
  readonly statements: readonly Uint8Array[];
  /** What a token has made of us, endorsed by a door or not yet. */
  readonly admission: Admission | undefined;
  /** Doors of the token. */
  readonly places: readonly Place[];
  /** The mesh has seen this membership before, or nobody has to: no door needs to open. */
  readonly isAdmitted: boolean;
}

export interface CredentialSources {
  readonly crypto: Crypto;
  readonly identity: Identity;
  readonly name: string;
  /** Keys of a mesh that is founded now, or the mesh key that is remembered. */
  readonly meshSigning: SigningKey | undefined;
  readonly recoveryKey: Uint8Array | undefined;
  /** Of a mesh that is founded now; its founder's name when absent. */
  readonly meshName?: string;
  /** Of a mesh that is founded now. */
  readonly pool?: Prefix;
  readonly snapshot: NodeSnapshot | undefined;
  readonly token: string | undefined;
}

/**
 * @param now unix seconds.
 * @returns undefined as value when there is nothing yet, or one sentence about what is wrong.
 */
export function findCredentials(
  sources: CredentialSources,
  now: number,
): Decoded<Credentials | undefined> {
  const { name, token, meshSigning, recoveryKey, snapshot } = sources;
  if (!isName(name)) {
    return refusal(
      `name: "${name}" is no host name: use up to 63 of a-z, 0-9 and -, for example "lyon"`,
    );
  }
  if (snapshot?.genesis === undefined && meshSigning) {
    if (token !== undefined) {
      return refusal("token: this machine has founded a mesh of its own: use another state folder");
    }
    const { meshName = name } = sources;
    if (isOthersDomain(meshName)) {
      return refusal(
        `mesh name: ${
          domainOf(meshName)
        } is a domain of others, in which machines look for names by themselves: ` +
          "found the mesh with another name (--mesh-name)",
      );
    }
    if (recoveryKey) return { ok: true, value: found(sources, meshSigning, recoveryKey, now) };
  }
  const remembered = recall(sources);
  if (!remembered.ok || token === undefined) return remembered;
  return redeem(sources, token, remembered.value);
}

/** The first statement of a mesh: its founder is an admin. */
function found(
  sources: CredentialSources,
  meshSigning: SigningKey,
  recoveryKey: Uint8Array,
  now: number,
): Credentials {
  const { crypto, identity, name } = sources;
  const { meshName = name, pool = DEFAULT_POOL } = sources;
  const genesis = { meshKey: meshSigning.publicKey, recoveryKey, name: meshName, pool };
  const certificate = {
    key: identity.id,
    name,
    groups: [],
    relay: true,
    ip4Counter: 0,
    since: now,
  };
  const numbered = { number: 1, at: now };
  const draft = { kind: "admin", certificate } as const;
  const { bytes } = signStatement(crypto, meshIdOf(crypto, genesis), meshSigning, draft, numbered);
  return { genesis, statements: [bytes], admission: undefined, places: [], isAdmitted: true };
}

function recall({ crypto, identity, snapshot }: CredentialSources): Decoded<
  Credentials | undefined
> {
  if (snapshot?.genesis === undefined) return { ok: true, value: undefined };
  const decoded = decodeGenesis(fromBase64url(snapshot.genesis) ?? NO_BYTES);
  if (!decoded.ok) {
    return refusal("state: what the mesh was founded with is damaged: restore it from a copy");
  }
  const genesis = decoded.value;
  const statements = snapshot.statements.map(({ bytes }) => fromBase64url(bytes) ?? NO_BYTES);
  if (statements.some((bytes) => isFarewellOf(crypto, bytes, identity.id))) {
    return refusal(
      `state: this node left the mesh ${
        inWords(crypto, genesis)
      } for good, and its key cannot come back: ` +
        "to join it, or another, move its state folder away, or use another state folder",
    );
  }
  const text = snapshot.admission && fromBase64url(snapshot.admission);
  const admission = text ? decodeAdmission(text) : undefined;
  // Who was given a new key remembers members, and is none yet.
  const isProven = admission?.ok ||
    statements.some((bytes) => isCertificateOf(crypto, bytes, identity.id));
  return {
    ok: true,
    value: {
      genesis,
      statements: [],
      admission: admission?.ok ? admission.value : undefined,
      places: [],
      isAdmitted: isProven === true,
    },
  };
}

function redeem(
  { crypto, identity, name }: CredentialSources,
  text: string,
  remembered: Credentials | undefined,
): Decoded<Credentials> {
  const parsed = parseToken(crypto, text);
  if (!parsed.ok) return parsed;
  const { genesis, statement, secret } = parsed.value;
  const places = placesOf(parsed.value);
  const meshId = meshIdOf(crypto, genesis);
  if (remembered && !crypto.equal(meshId, meshIdOf(crypto, remembered.genesis))) {
    return refusal(
      `token: it is for the mesh ${inWords(crypto, genesis)} and this node belongs to ` +
        `${
          inWords(crypto, remembered.genesis)
        }: use another state folder, or remove this one to change over`,
    );
  }
  if (remembered?.isAdmitted) return { ok: true, value: { ...remembered, places } };
  // Whether it has expired the door says: our clock may be wrong, at a first start above all.
  const admission = requestAdmission(crypto, meshId, secret, { subject: identity.id, name });
  return {
    ok: true,
    value: { genesis, statements: [statement.bytes], admission, places, isAdmitted: false },
  };
}

/** A mesh as status names it: by what its members compare, and its name. */
function inWords(crypto: Crypto, genesis: Genesis): string {
  return `${meshIdOf(crypto, genesis).toHex().slice(0, 16)} (${genesis.name})`;
}

function isFarewellOf(crypto: Crypto, bytes: Uint8Array, id: string): boolean {
  if (kindIn(bytes) !== "left") return false;
  const statement = decodeStatement(bytes, hashOf(crypto, bytes));
  return statement.ok && statement.value.signer === id;
}

function isCertificateOf(crypto: Crypto, bytes: Uint8Array, id: string): boolean {
  const kind = kindIn(bytes);
  if (kind !== "admin" && kind !== "member") return false;
  const statement = decodeStatement(bytes, hashOf(crypto, bytes));
  if (!statement.ok) return false;
  const { value } = statement;
  return (value.kind === "admin" || value.kind === "member") && value.certificate.key === id;
}

/** What no decoder takes for anything. */
const NO_BYTES = new Uint8Array(0);
