/**
 * What the names of a mesh are: `NAME.MESH.internal`, and back from the addresses. Members and meshes are named by DNS
 * labels in lower case only (isName in mesh/membership/statement.ts), so that no name has to be rewritten here.
 *
 * A pure function of the members that the node knows. Answers are authoritative: no other server knows of them.
 */
import { domainOf, isOthersDomain } from "../../mesh/domain.ts";
import { formatAddress, parseAddress } from "../../mesh/endpoint.ts";
import type { Prefix } from "../../mesh/machine.ts";
import type { Directory, Named } from "../../mesh/report/directory.ts";
import { type Answer, type DnsRecord, type Question, Rcode } from "./message.ts";
import { networkNamed, reverseZoneOf, reverseZones } from "./reverse.ts";

/** Seconds for which an answer holds: a member that is renamed or renewed has another address at once. */
const TTL = 10;
/** The same of "there is none" (RFC 2308, section 5): who waits for a machine to join asks again and again. */
const NEGATIVE_TTL = 5;

/**
 * Names that machines look for by themselves in each domain that they search: by `wpad` a browser finds the proxy for
 * all that it asks for, by `isatap` Windows a router. Who joins by an invite chooses its name, so no answer gives them
 * to a member (Windows' DNS server has the same two in its global query block list); nor `localhost`, which is one's
 * own machine everywhere (RFC 6761, section 6.3).
 */
const NOBODYS = ["wpad", "isatap", "localhost"];

/** Whether a member or guest may be found by its name, which whoever joins by an invite chooses. */
export function mayBeFound(label: string): boolean {
  return !NOBODYS.includes(label);
}

/** Transfers of a whole zone, which are for secondary servers: there are none (RFC 5936, section 2.2.1; RFC 1995). */
const TRANSFERS = ["AXFR", "IXFR"];

const REFUSED: Answer = { rcode: Rcode.refused, answers: [], authorities: [] };

export class Zone {
  readonly apex: string;
  /** The domain of the mesh is others': nothing is answered, for who asks means them. */
  readonly isOthers: boolean;
  readonly #entries = new Map<string, Named>();
  readonly #owners = new Map<string, string>();
  #heads: readonly string[] | undefined;

  constructor(private readonly directory: Directory) {
    this.apex = domainOf(directory.mesh);
    this.isOthers = isOthersDomain(directory.mesh);
    for (const entry of directory.entries) {
      this.#entries.set(entry.name, entry);
      for (const address of [entry.ip4, entry.ip6]) {
        if (address !== undefined) this.#owners.set(address, entry.name);
      }
    }
  }

  answer(question: Question): Answer {
    if (this.isOthers || TRANSFERS.includes(question.type)) return REFUSED;
    const name = folded(question.name);
    if (name === this.apex) return this.#atApex(question, this.apex);
    if (name.endsWith(`.${this.apex}`)) return this.#forward(question, name);
    for (const network of this.directory.networks) {
      const zone = reverseZoneOf(name, network);
      if (zone !== undefined) return this.#reverse(question, name, zone);
    }
    return REFUSED;
  }

  /** Whether a member or guest has an address now, by its text. */
  hasOwner(address: string): boolean {
    return this.#owners.has(address);
  }

  /** The zones of the mesh's networks. */
  reverseZones(): string[] {
    return this.directory.networks.flatMap(reverseZones);
  }

  #forward(question: Question, name: string): Answer {
    const label = name.slice(0, -this.apex.length - 1);
    const entry = mayBeFound(label) ? this.#entries.get(label) : undefined;
    if (!entry) return this.#negative(Rcode.noSuchName, this.apex);
    const record = (type: "A" | "AAAA", data: string | undefined): DnsRecord[] =>
      data === undefined || !asks(question, type)
        ? []
        : [{ name: question.name, type, ttl: TTL, data }];
    return this.#positive([...record("A", entry.ip4), ...record("AAAA", entry.ip6)], this.apex);
  }

  #reverse(question: Question, name: string, zone: string): Answer {
    if (name === zone) return this.#atApex(question, zone);
    const network = networkNamed(name);
    const owner = network && this.#ownerOf(network);
    if (owner === undefined) {
      // A name above addresses of members exists, without a record (RFC 8020, section 2): a resolver that asks label
      // by label (RFC 9156) must not be told that there is nothing below.
      const isThere = network !== undefined && this.#isAbove(network);
      return this.#negative(isThere ? Rcode.done : Rcode.noSuchName, zone);
    }
    const data = `${owner}.${this.apex}`;
    const isAsked = asks(question, "PTR");
    return this.#positive(
      isAsked ? [{ name: question.name, type: "PTR", ttl: TTL, data }] : [],
      zone,
    );
  }

  #atApex(question: Question, zone: string): Answer {
    const records: DnsRecord[] = [];
    if (asks(question, "SOA")) records.push({ ...this.#soa(zone), name: question.name, ttl: TTL });
    if (asks(question, "NS")) {
      records.push({ name: question.name, type: "NS", ttl: TTL, data: this.#server });
    }
    return this.#positive(records, zone);
  }

  /** Without a record of the type that was asked for the name exists all the same (RFC 2308, section 2.2). */
  #positive(answers: readonly DnsRecord[], zone: string): Answer {
    if (answers.length === 0) return this.#negative(Rcode.done, zone);
    return { rcode: Rcode.done, answers, authorities: [] };
  }

  #negative(rcode: typeof Rcode.done | typeof Rcode.noSuchName, zone: string): Answer {
    return { rcode, answers: [], authorities: [this.#soa(zone)] };
  }

  get #server(): string {
    return `${this.directory.self}.${this.apex}`;
  }

  /** Its TTL is the lesser of that and the minimum, which is what "there is none" holds for (RFC 2308, section 3). */
  #soa(zone: string): DnsRecord {
    const data = {
      mname: this.#server,
      rname: `hostmaster.${this.apex}`,
      serial: 1, // There are no transfers that it could tell apart.
      refresh: 3_600,
      retry: 600,
      expire: 86_400,
      minimum: NEGATIVE_TTL,
    };
    return { name: zone, type: "SOA", ttl: NEGATIVE_TTL, data };
  }

  #ownerOf({ address, length }: Prefix): string | undefined {
    return length === address.length * 8 ? this.#owners.get(formatAddress(address)) : undefined;
  }

  /** Whether a member has an address in a network; looked up in the sorted addresses, as there may be thousands. */
  #isAbove({ address, length }: Prefix): boolean {
    this.#heads ??= Array.from(this.#owners.keys(), (text) => headOf(parseAddress(text))).sort();
    const head = headOf(address).slice(0, 1 + length / 4);
    let [from, to] = [0, this.#heads.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#heads[middle] ?? "") < head) from = middle + 1;
      else to = middle;
    }
    return this.#heads[from]?.startsWith(head) ?? false;
  }
}

/** Letters of ASCII alone have a case in DNS (RFC 4343): the Kelvin sign is no k, which toLowerCase makes of it. */
function folded(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** RFC 8482 lets a server answer ANY with what it has. */
function asks({ type }: Question, wanted: DnsRecord["type"]): boolean {
  return type === wanted || type === "ANY";
}

/** The digits of an address behind one for its family. */
function headOf(address: Uint8Array | undefined): string {
  return `${address?.length === 4 ? "4" : "6"}${address?.toHex() ?? ""}`;
}
