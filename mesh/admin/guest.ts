/**
 * Guests: taking in a stock WireGuard device, and ending what it is. An admin's node certifies it, and
 * serves it: what the person carries to the device names this node's key and one place of it.
 */
import { type Decoded, refusal } from "../codec.ts";
import { type Crypto, KEY_LENGTH } from "../crypto.ts";
import { type Endpoint, formatEndpoint, isPublic, sameBytes } from "../endpoint.ts";
import type { NodeEvent, Who } from "../event.ts";
import { type Now, type Outbox, type Prefix, secondsOf } from "../machine.ts";
import { ip6NetworkOf } from "../membership/address.ts";
import { type Guest, GUESTS_PER_HOST } from "../membership/guests.ts";
import type { Mesh } from "../membership/mesh.ts";
import { guestClaim } from "../membership/roster.ts";
import { canonicalGroups, type Certificate, groupsFault, isName } from "../membership/statement.ts";
import { readSeed } from "../seed.ts";
import { notBegunFault } from "./ahead.ts";
import { authorityOf, type Insistence } from "./authority.ts";
import { keysOf } from "./certificates.ts";
import { DAY, LONGEST, MEMBER_DAYS } from "./periods.ts";

export interface GuestOptions extends Insistence {
  /** The device's X25519 public key. */
  readonly key: Uint8Array;
  readonly groups?: readonly string[];
  /** Seconds for which it is served. */
  readonly expiresInS?: number;
  /** `HOST:PORT` at which this node is reached from anywhere, where a person knows. */
  readonly place?: string;
  /** Our own outer addresses. */
  readonly places: readonly Endpoint[];
  /** Whether this node has an interface: without one there are no tunnels. */
  readonly canServe: boolean;
}

export interface RenewOptions extends Insistence {
  /** Seconds for which it is served from now on. */
  readonly expiresInS?: number;
}

export interface GuestTerm {
  readonly who: Who;
  /** Unix seconds. */
  readonly until: number;
}

/** All that a device must be told to reach the mesh through this node. */
export interface GuestWay {
  readonly who: Who;
  readonly ip4: Uint8Array;
  readonly ip6: Uint8Array;
  /** Our name, and our WireGuard key. */
  readonly host: string;
  readonly hostKey: Uint8Array;
  /** `HOST:PORT` */
  readonly endpoint: string;
  readonly networks: readonly Prefix[];
  /** The name of the mesh. */
  readonly mesh: string;
  /** Unix seconds. */
  readonly until: number;
}

/** Certifies a device as a guest of this node; one that is a guest already keeps name and address. */
export function addGuest(
  crypto: Crypto,
  mesh: Mesh,
  now: Now,
  name: string,
  options: GuestOptions,
  out: Outbox<NodeEvent>,
): Decoded<GuestWay> {
  const { key: keyBytes, groups = [], expiresInS = MEMBER_DAYS * DAY, canServe } = options;
  if (!isName(name)) return refusal(`guest: "${name}" is no host name: use a-z, 0-9 and -`);
  const fault = groupsFault(groups);
  if (fault !== undefined) return refusal(`guest: ${fault}`);
  if (!(expiresInS >= 1 && expiresInS <= LONGEST)) return refusal(termFault(expiresInS));
  if (!canServe) return refusal("guest: this node has no interface (--no-tun), and serves nobody");
  const by = authorityOf(mesh, "guest", options);
  if (!by.ok) return by;
  const early = notBegunFault(mesh, now, "guest");
  if (early) return early;
  const place = placeOf(options);
  if (!place.ok) return place;
  const key = keyBytes.toHex();
  const keyFault = faultOfKey(crypto, mesh, keyBytes);
  if (keyFault !== undefined) return refusal(`guest: ${keyFault}`);
  const { guests } = mesh.guests;
  const known = guests.get(key);
  if (known && guests.nameOf(known) !== name) {
    const called = guests.nameOf(known);
    return refusal(`guest: this key is that of the guest ${called}: remove that one first`);
  }
  if (!known && mesh.roster.isNameTaken(name, guestClaim(key))) {
    const isGuest = guests.find(name).length > 0;
    return refusal(
      `guest: ${name} is the name of a ${isGuest ? "guest" : "member"}: choose another` +
        (isGuest
          ? `; \`shoal guest renew ${name}\` makes that one longer, and where its file is lost ` +
            `\`shoal guest remove ${name}\` lets its name be given anew`
          : ""),
    );
  }
  const count = [...guests.of(mesh.id)].length;
  if (known?.host !== mesh.id && count >= GUESTS_PER_HOST) {
    return refusal(`guest: this node serves ${count} guests, which is all that one may`);
  }
  const certificate: Certificate = {
    key,
    name,
    groups: canonicalGroups(groups),
    relay: false,
    ip4Counter: mesh.roster.freeGuestCounter(key, known?.certificate.ip4Counter),
    since: known?.certificate.since ?? secondsOf(now),
  };
  const until = secondsOf(now) + Math.ceil(expiresInS);
  const draft = { kind: "guest", certificate, until, host: mesh.id } as const;
  const said = mesh.say(now, by.value, draft, out);
  if (!said.ok) return refusal(`guest: ${said.error}`);
  mesh.guests.settle(now, out, true);
  const guest = guests.get(key);
  const ip4 = guest && guests.ip4(guest);
  if (!guest || !ip4) {
    return refusal(
      `guest: ${name} was certified, and is not served as others have its place or its address: ` +
        "`shoal status` says more",
    );
  }
  return {
    ok: true,
    value: {
      who: { id: key, name: guests.nameOf(guest) },
      ip4,
      ip6: guest.ip6,
      host: mesh.name,
      hostKey: mesh.self.identity.tunnelPublic,
      endpoint: place.value,
      networks: [mesh.genesis.pool, ip6NetworkOf(mesh.judge.meshId)],
      mesh: mesh.genesis.name,
      until,
    },
  };
}

/** Serves a guest longer, or shorter. */
export function renewGuest(
  mesh: Mesh,
  now: Now,
  text: string,
  options: RenewOptions,
  out: Outbox<NodeEvent>,
): Decoded<GuestTerm> {
  const { expiresInS = MEMBER_DAYS * DAY } = options;
  if (!(expiresInS >= 1 && expiresInS <= LONGEST)) return refusal(termFault(expiresInS));
  const found = guestNamed(mesh, text);
  if (!found.ok) return found;
  const { key, certificate, host } = found.value;
  const by = authorityOf(mesh, "guest", options);
  if (!by.ok) return by;
  const early = notBegunFault(mesh, now, "guest");
  if (early) return early;
  const until = secondsOf(now) + Math.ceil(expiresInS);
  const said = mesh.say(now, by.value, { kind: "guest", certificate, until, host }, out);
  const who = { id: key, name: mesh.guests.guests.nameOf(found.value) };
  return said.ok ? { ok: true, value: { who, until } } : refusal(`guest: ${said.error}`);
}

/** Ends what a guest is, for ever: its key cannot come back. */
export function removeGuest(
  mesh: Mesh,
  now: Now,
  text: string,
  options: Insistence,
  out: Outbox<NodeEvent>,
): Decoded<Who> {
  const found = guestNamed(mesh, text);
  if (!found.ok) return found;
  const guest = found.value;
  const by = authorityOf(mesh, "guest", options);
  if (!by.ok) return by;
  const who = { id: guest.key, name: mesh.guests.guests.nameOf(guest) };
  const said = mesh.say(now, by.value, { kind: "withdrawn", key: guest.key }, out);
  return said.ok ? { ok: true, value: who } : refusal(`guest: ${said.error}`);
}

/** The guest that a person means. */
function guestNamed(mesh: Mesh, text: string): Decoded<Guest> {
  const [guest, ...others] = mesh.guests.guests.find(text);
  if (!guest) {
    return refusal(
      `guest: ${text}: no guest has this name, key or address: \`shoal guest list\` shows them`,
    );
  }
  if (others.length === 0) return { ok: true, value: guest };
  const keys = keysOf([guest, ...others].map(({ key }) => key));
  return refusal(`guest: ${others.length + 1} guests match ${text}: say which key: ${keys}`);
}

function termFault(seconds: number): string {
  return `guest: an expiry in ${seconds} s: a guest is served from one second to a hundred years`;
}

/** Where a device anywhere reaches this node: what a person says, else a public address of ours. */
function placeOf({ place, places }: GuestOptions): Decoded<string> {
  if (place !== undefined) {
    const isPlace = readSeed(place) !== undefined;
    return isPlace ? { ok: true, value: place } : refusal(`guest: "${place}" is no HOST:PORT`);
  }
  const found = places.filter(isPublic);
  // More networks have IPv4 alone than IPv6 alone.
  const best = found.find(({ address }) => address.length === 4) ?? found[0];
  if (best) return { ok: true, value: formatEndpoint(best) };
  const own = places.length === 0 ? "none" : places.slice(0, 3).map(formatEndpoint).join(", ");
  return refusal(
    `guest: this node has no address that a device elsewhere could reach (its own: ${own}): if its router ` +
      "forwards a UDP port to it, or the device stays in this network, say where by " +
      "--endpoint HOST:PORT; else run this on a member that has a public address",
  );
}

/** Why a key is that of no guest. */
function faultOfKey(crypto: Crypto, mesh: Mesh, key: Uint8Array): string | undefined {
  if (key.length !== KEY_LENGTH) return `a public key has ${KEY_LENGTH} bytes, not ${key.length}`;
  // With such a key there is no secret (R25).
  if (!crypto.x25519(mesh.self.identity.tunnelSecret, key)) {
    return "this public key is nobody's: copy it from the device again";
  }
  const isOwn = sameBytes(key, mesh.self.identity.tunnelPublic);
  if (isOwn || mesh.tunnels.byKey(key)) {
    return "this public key is that of a member: make a new one on the device";
  }
  if (!mesh.statements.isWithdrawn(key.toHex())) return undefined;
  return "this public key was removed for good: make a new one on the device";
}
