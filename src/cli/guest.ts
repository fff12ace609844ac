import { loadSodium } from "../../ffi/sodium.ts";
import { domainOf } from "../../mesh/domain.ts";
import type { GuestStatus } from "../../mesh/status.ts";
import { formatSeed } from "../../mesh/seed.ts";
import { parseAddress } from "../../mesh/endpoint.ts";
import { parseSeed } from "../config.ts";
import { Exit, type ExitCode, Failure } from "../exit.ts";
import { type GuestFile, guestFileText, qrText } from "../guest_file.ts";
import { random } from "../random.ts";
import { having, isNumber, isText, listOf } from "../shape.ts";
import { guestsText, isGuest, type StatusDocument } from "../status.ts";
import { parseSpan } from "../time.ts";
import {
  askNode,
  consultNode,
  INSTANCE_HELP,
  INSTANCE_OPTIONS,
  isWho,
  jsonText,
} from "./client.ts";
import {
  type Command,
  groupsOf,
  type Io,
  misuse,
  namesOf,
  parseOptions,
  programName,
  wholeNumber,
} from "./command.ts";

/** Seconds for which a guest is served at most. */
const LONGEST = 3660 * 86_400;
const KEY_LENGTH = 32;
/** In place of an address. */
const HOST = "host";

export const guest: Command = {
  usage:
    "guest add NAME [--public-key KEY] [--endpoint HOST:PORT] ... | list | renew NAME | remove NAME",
  help:
    `Lets a stock WireGuard device, such as a phone, into the mesh as a guest of this node: it reaches
every member through this one, by the file that is printed here. It is none itself: it lets nobody in,
and has no say. The file is a secret: whoever has it is that guest. Only an admin can do this, and
any admin can end it; each node serves up to 64.

  add NAME            prints the file (wg-quick, the WireGuard apps) on standard output and a QR code for
                      the app on standard error; the private key is in it, and nowhere else
  list                the guests of the mesh, and the members that serve them
  renew NAME          serves a guest for another year, or as --expires says; its file stays as it is
  remove NAME         ends what a guest is, at once and for ever: its key cannot come back; here and for
                      renew, NAME may be its name, its address or its key

  --public-key KEY    the device made its own key, and this is its public half: the file has no private
                      key then, and there is no QR code
  --endpoint HOST:PORT
                      where the device reaches this node (default: --advertise of the node, else
                      its public address)
  --expires TIME      how long it is served: 12h, 7d, 365d (default 365d)
  --groups a,b        the groups that it is in
  --dns ADDRESS,...   what the file says of DNS (default: nothing): addresses and domains to search, or
                      host: this node, which answers the names of the mesh. Most apps ask there
                      for every other name, too, and this node knows none
  --mtu N             the MTU of the device's tunnel (default: that of the mesh), where its network is narrow
  --no-qr             prints the file alone
  --yes               sign although no member has answered since this node was started
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parseOptions(guest, args, io, {
      ...INSTANCE_OPTIONS,
      "public-key": { type: "string" },
      endpoint: { type: "string" },
      expires: { type: "string" },
      groups: { type: "string" },
      dns: { type: "string" },
      mtu: { type: "string" },
      "no-qr": { type: "boolean" },
      yes: { type: "boolean" },
    }, { min: 1, max: 2 });
    const [act, name] = positionals;
    if (act === "list") {
      if (name !== undefined) throw misused(io, `list takes no name`);
      return await list(values, io);
    }
    if (act !== "add" && act !== "renew" && act !== "remove") {
      throw misused(io, `there is no '${act}': use add, list, renew or remove`);
    }
    if (name === undefined) throw misused(io, `${act} what? Its name is missing`);
    if (act === "add") return await add(values, name, io);
    const document = await askNode(values, io, {
      command: `guest_${act}`,
      who: name,
      expires_s: spanOf(values.expires),
      yes: values.yes,
    }, { isAnswer: isWho });
    if (values.json) io.out(jsonText(document));
    else if (act === "remove") io.out(`${document["name"]} is no guest any more`);
    else io.out(`${document["name"]} is served until ${document["expires"]}`);
    return Exit.done;
  },
};

interface Choice {
  readonly interface?: string;
  readonly state?: string;
  readonly json?: boolean;
}

interface AddChoice extends Choice {
  readonly "public-key"?: string;
  readonly endpoint?: string;
  readonly expires?: string;
  readonly groups?: string;
  readonly dns?: string;
  readonly mtu?: string;
  readonly "no-qr"?: boolean;
  readonly yes?: boolean;
}

const isFile = having({
  name: isText,
  ip4: isText,
  ip6: isText,
  host: isText,
  mesh: isText,
  host_key: isText,
  endpoint: isText,
  networks: listOf(isText),
  mtu: isNumber,
  expires: isText,
});

async function add(choice: AddChoice, name: string, io: Io): Promise<ExitCode> {
  const dns = await withHost(choice, dnsOf(choice.dns), io);
  const mtu = choice.mtu === undefined
    ? {}
    : { mtu: wholeNumber("--mtu", choice.mtu, 1280, 65475) };
  const own = choice["public-key"] === undefined ? makeKeys() : undefined;
  const document = await askNode(choice, io, {
    command: "guest_add",
    name,
    key: own?.publicKey ?? publicKeyOf(choice["public-key"] ?? ""),
    endpoint: choice.endpoint && formatSeed(parseSeed("--endpoint", choice.endpoint)),
    expires_s: spanOf(choice.expires),
    groups: choice.groups === undefined ? undefined : groupsOf("--groups", choice.groups),
    yes: choice.yes,
  }, { isAnswer: isFile });
  const said = document as unknown as GuestFile;
  const file = guestFileText({ ...said, ...mtu }, own?.privateKey, dns);
  if (choice.json) {
    io.out(jsonText({ ...document, file }));
    return Exit.done;
  }
  io.out(file);
  if (own && !choice["no-qr"]) io.err(qrText(file, io.color));
  return Exit.done;
}

async function list(choice: Choice, io: Io): Promise<ExitCode> {
  const document = await askNode(choice, io, { command: "status" }, {
    asksOnly: true,
    isAnswer: having({ guests: listOf(isGuest) }),
  });
  const guests = document["guests"] as readonly GuestStatus[];
  io.out(choice.json ? jsonText({ v: 1, guests }) : guestsText(guests));
  return Exit.done;
}

function misused(io: Io, what: string): Failure {
  return misuse(io, guest, `guest: ${what}`);
}

function spanOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseSpan("--expires", text, LONGEST);
}

/** Made here and not by the node, so that it passes through no socket and no log. */
function makeKeys(): { readonly privateKey: string; readonly publicKey: string } {
  const secret = random(KEY_LENGTH);
  // As wg genkey leaves it (RFC 7748 section 5): some apps take no other.
  secret[0] = (secret[0] ?? 0) & 248;
  secret[31] = (secret[31] ?? 0) & 127 | 64;
  const publicKey = loadSodium().x25519PublicKey(secret).toBase64();
  const privateKey = secret.toBase64();
  secret.fill(0);
  return { privateKey, publicKey };
}

/** @throws {Failure} usage (2) */
function publicKeyOf(text: string): string {
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) {
    try {
      Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
      return text;
    } catch {
      // Falls through: spare bits are set.
    }
  }
  const what = `--public-key '${text}' is no key: 44 characters as the device shows, ending in =`;
  throw new Failure(Exit.usage, what);
}

/** `host` stands for this node and the domain of its mesh. @throws {Failure} it answers no names */
async function withHost(choice: Choice, dns: readonly string[], io: Io): Promise<string[]> {
  if (!dns.includes(HOST)) return [...dns];
  const { document, meant } = await consultNode(choice, io, { command: "status" }, {
    isAnswer: having({
      mesh: having({ name: isText }),
      names: having({ servers: listOf(isText) }),
    }),
  });
  const { mesh, names: { servers } } = document as unknown as StatusDocument;
  if (servers.length === 0) {
    const what = `--dns ${HOST}: this node answers no names: ${
      programName(io, `dns${meant.asking}`)
    } says why; name an address instead`;
    throw new Failure(Exit.failed, what);
  }
  return dns.flatMap((name) => name === HOST ? [...servers, domainOf(mesh.name)] : [name]);
}

/** @throws {Failure} usage (2) */
function dnsOf(text: string | undefined): string[] {
  if (text === undefined) return [];
  const names = namesOf(text);
  const bad = names.find((name) =>
    parseAddress(name) === undefined && !/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name)
  );
  if (bad === undefined && names.length > 0) return names;
  throw new Failure(Exit.usage, `--dns '${bad ?? text}' is neither an address nor a domain`);
}
