/**
 * What the names of a mesh are: `NAME.MESH.internal`, and back from the addresses. `.internal` is the top-level
 * domain that is kept for private use (ICANN board resolution 2024.07.29.06).
 *
 * A pure function of the members that the node knows. Answers are authoritative: no other server knows of them.
 */
import { isWithin, parseAddress } from "../../mesh/endpoint.ts";
import type { Prefix } from "../../mesh/machine.ts";
import type { Directory, Named } from "../../mesh/report/directory.ts";
import { type Answer, type DnsRecord, type Question, Rcode } from "./message.ts";

/** Seconds for which an answer holds: a member that is renamed or renewed has another address at once. */
const TTL = 10;
/** The same of "there is none" (RFC 2308, section 5): who waits for a machine to join asks again and again. */
const NEGATIVE_TTL = 5;
const SUFFIX = "internal";
const REVERSE = { 4: "in-addr.arpa", 16: "ip6.arpa" } as const;

const REFUSED: Answer = { rcode: Rcode.refused, answers: [], authorities: [] };

export class Zone {
  readonly apex: string;
  readonly #entries = new Map<string, Named>();
  readonly #names = new Map<string, string>();

  constructor(private readonly directory: Directory) {
    this.apex = `${directory.mesh}.${SUFFIX}`.toLowerCase();
    for (const entry of directory.entries) {
      this.#entries.set(entry.name.toLowerCase(), entry);
      for (const address of [entry.ip4, entry.ip6]) {
        const bytes = address && parseAddress(address);
        if (bytes) this.#names.set(reverseName(bytes), entry.name);
      }
    }
  }

  answer(question: Question): Answer {
    const name = question.name.toLowerCase();
    if (name === this.apex) return this.#atApex(question, this.apex);
    if (name.endsWith(`.${this.apex}`)) return this.#forward(question, name);
    const zone = this.#reverseZoneOf(name);
    return zone === undefined ? REFUSED : this.#reverse(question, name, zone);
  }

  /** Names of the zones that this node answers for, the reverse ones of the mesh's networks first cut to whole labels. */
  reverseZones(): string[] {
    return this.directory.networks.flatMap(zonesOf);
  }

  #forward(question: Question, name: string): Answer {
    const label = name.slice(0, -this.apex.length - 1);
    const entry = this.#entries.get(label);
    if (!entry) return this.#negative(Rcode.noSuchName, this.apex);
    const record = (type: "A" | "AAAA", data: string | undefined): DnsRecord[] =>
      data === undefined || !asks(question, type)
        ? []
        : [{ name: question.name, type, ttl: TTL, data }];
    return this.#positive([...record("A", entry.ip4), ...record("AAAA", entry.ip6)], this.apex);
  }

  #reverse(question: Question, name: string, zone: string): Answer {
    if (name === zone) return this.#atApex(question, zone);
    const owner = this.#names.get(name);
    if (owner === undefined) {
      // Between a network and its addresses are names without records, which exist (RFC 8020): who asks
      // label by label must not be told that there is nothing below.
      const isWhole = name.split(".").length >= labelsOfAddress(name);
      return this.#negative(isWhole ? Rcode.noSuchName : Rcode.done, zone);
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

  #reverseZoneOf(name: string): string | undefined {
    const network = this.directory.networks.find(({ address }) =>
      name.endsWith(`.${REVERSE[sizeOf(address)]}`)
    );
    if (!network) return undefined;
    const labels = name.slice(0, -REVERSE[sizeOf(network.address)].length - 1).split(".");
    const kept = labels.length - labelsOf(network);
    if (kept < 0) return undefined; // Above a zone of ours, so it is another's.
    const zone = [...labels.slice(kept), REVERSE[sizeOf(network.address)]].join(".");
    const first = addressOf(zone, sizeOf(network.address));
    return first && isWithin(first, network) ? zone : undefined;
  }
}

/** RFC 8482 lets a server answer ANY with what it has. */
function asks({ type }: Question, wanted: DnsRecord["type"]): boolean {
  return type === wanted || type === "ANY";
}

/** Bits of an address in one label of a reverse name. */
function bitsOf(size: 4 | 16): number {
  return size === 4 ? 8 : 4;
}

function sizeOf(address: Uint8Array): 4 | 16 {
  return address.length === 4 ? 4 : 16;
}

/** How many labels of a network's reverse name are whole: 100.64.0.0/10 has zones of two labels, each a part of it. */
function labelsOf({ address, length }: Prefix): number {
  return Math.ceil(length / bitsOf(sizeOf(address)));
}

/** The label of each part of an address, the first part first. */
function partsOf(address: Uint8Array): string[] {
  if (address.length === 4) return Array.from(address, String);
  return [...address.toHex()];
}

/** How many labels the reverse name of an address has, by the name of a zone that it is in. */
function labelsOfAddress(name: string): number {
  return (name.endsWith(REVERSE[4]) ? 4 : 32) + 2;
}

function reverseName(address: Uint8Array): string {
  return [...partsOf(address).reverse(), REVERSE[sizeOf(address)]].join(".");
}

/** The first address of a reverse zone; undefined: it is not written as such names are. */
function addressOf(zone: string, size: 4 | 16): Uint8Array | undefined {
  const labels = zone.slice(0, -REVERSE[size].length - 1).split(".").reverse();
  if (size === 4) {
    const bytes = labels.map((label) => /^(?:0|[1-9]\d{0,2})$/.test(label) ? Number(label) : 256);
    if (bytes.some((byte) => byte > 255)) return undefined;
    return Uint8Array.of(...bytes, ...Array(4 - bytes.length).fill(0));
  }
  const hex = labels.join("").padEnd(32, "0");
  return labels.every((label) => /^[0-9a-f]$/.test(label)) ? Uint8Array.fromHex(hex) : undefined;
}

/** The reverse zones of a network, at most so many: of a large one there are too many to name. */
const ZONES_NAMED = 16;

function zonesOf(network: Prefix): string[] {
  const size = sizeOf(network.address);
  const labels = labelsOf(network);
  const count = 2 ** (labels * bitsOf(size) - network.length);
  if (count > ZONES_NAMED) return [];
  return Array.from({ length: count }, (_, i) => {
    const parts = partsOf(network.address).slice(0, labels);
    const last = parseInt(parts.at(-1) ?? "0", size === 4 ? 10 : 16) + i;
    parts[labels - 1] = last.toString(size === 4 ? 10 : 16);
    return [...parts.reverse(), REVERSE[size]].join(".");
  });
}
