/** Who is called how and has which addresses: what a resolver for the names of the mesh answers from. */
import { formatAddress } from "../endpoint.ts";
import type { Prefix } from "../machine.ts";
import type { Guest } from "../membership/guests.ts";
import type { MemberId } from "../membership/identity.ts";
import type { Mesh } from "../membership/mesh.ts";
import type { Member } from "../membership/roster.ts";
import { networkOf } from "../prefix.ts";

/** A member or a guest, and its addresses; each may be another's now. */
export interface Named {
  readonly name: string;
  readonly ip4: string | undefined;
  readonly ip6: string | undefined;
}

export interface Directory {
  readonly mesh: string;
  readonly self: string;
  /** From which the addresses of members come. */
  readonly networks: readonly Prefix[];
  readonly entries: readonly Named[];
}

/** Bits of the prefix that all IPv6 addresses of a mesh share. */
const IP6_NETWORK = 64;

/** What somebody else made of a directory holds as long as the directory is the same object. */
export class Directories {
  #last:
    | { readonly mesh: Mesh; readonly revision: number; readonly directory: Directory }
    | undefined;

  /** Made anew only where a name or an address was claimed or given up: of 10,000 members it costs 25 ms. */
  of(mesh: Mesh): Directory {
    const { revision } = mesh.roster;
    if (this.#last?.mesh !== mesh || this.#last.revision !== revision) {
      this.#last = { mesh, revision, directory: directoryOf(mesh) };
    }
    return this.#last.directory;
  }
}

function directoryOf(mesh: Mesh): Directory {
  const others = Array.from(mesh.roster.members(), (member) => namedMember(mesh, member));
  const devices = Array.from(mesh.guests.guests.all(), (guest) => namedGuest(mesh, guest));
  return {
    mesh: mesh.genesis.name,
    self: mesh.name,
    networks: [mesh.genesis.pool, networkOf({ address: mesh.ip6, length: IP6_NETWORK })],
    entries: [named(mesh, mesh.id, mesh.name, mesh.ip6), ...others, ...devices],
  };
}

export function namedMember(mesh: Mesh, { id, ip6 }: Member): Named {
  return named(mesh, id, mesh.roster.nameOf(id), ip6);
}

export function namedGuest({ guests: { guests } }: Mesh, guest: Guest): Named {
  const ip4 = guests.ip4(guest);
  return {
    name: guests.nameOf(guest),
    ip4: ip4 && formatAddress(ip4),
    ip6: formatAddress(guest.ip6),
  };
}

function named({ roster }: Mesh, id: MemberId, name: string, ip6: Uint8Array): Named {
  return {
    name,
    ip4: roster.ip4Text(id),
    ip6: roster.hasLostIp6(id) ? undefined : formatAddress(ip6),
  };
}
