/** What a person asked of a mesh node: flags over environment (SHOAL_...), checked once, here. */
import { Buffer } from "node:buffer";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { TOKEN_PREFIX } from "../mesh/door/token.ts";
import { isOneMachine, parseAddress } from "../mesh/endpoint.ts";
import { isName } from "../mesh/membership/statement.ts";
import { wholeNumber } from "./cli/command.ts";
import { codeOf } from "./errno.ts";
import { Exit, type ExitCode, Failure } from "./exit.ts";
import { findInstance, type Instance } from "./instance.ts";
import { formatSeed, readSeed, type Seed } from "../mesh/seed.ts";
import { type LogLevel, parseLogLevel } from "./log.ts";
import type { Prefix } from "../mesh/machine.ts";
import { readPool } from "../mesh/membership/genesis.ts";
import { tokenCredential } from "./service/credential.ts";
import { readTyped } from "./terminal.ts";

/** A token in a text around it; base64url goes on as long as it can. */
const TOKEN = new RegExp(`(?<![A-Za-z0-9_-])${TOKEN_PREFIX}[A-Za-z0-9_-]*`, "g");
/** The rest of a token that a terminal has broken into lines. */
const WRAPPED = /^(?:\s*\n\s*(?!--)[A-Za-z0-9_-]+)+$/;

/** Where a token, or the way to it, stands in the environment. */
export const TOKEN_VARIABLES = ["SHOAL_TOKEN", "SHOAL_TOKEN_FD"] as const;

/** Of a secret key, as words_of_keys.ts writes it: its list of words is not for every node to load. */
const WORDS = 24;

/** Bytes; a token has some hundred. */
const TOKEN_FILE_MAX = 64 * 1024;

const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file: look at its name",
  EISDIR: "it is a folder: name the file in it",
  EACCES: "no permission: run as its owner, or hand the invite in on standard input (-)",
};

/** A name or a right that is wrong is so at the next start, too. */
const CODES: Readonly<Record<string, ExitCode>> = {
  ENOENT: Exit.usage,
  EISDIR: Exit.usage,
  EACCES: Exit.noPermission,
};

/** WireGuard's usual port: what people open in firewalls. */
export const DEFAULT_PORT = 51820;

/** Switches of the data plane, the same for mesh nodes and WireGuard devices. */
export interface DataplaneConfig {
  /** 0: the library chooses. */
  readonly workers: number;
  /** "": the faster one, measured at start. */
  readonly aead: string;
  /** "": the default of this kernel. */
  readonly io: string;
  /** Names of offloads that must stay off. */
  readonly without: readonly string[];
}

/** Which suites a mesh node speaks in tunnels: both, where the processor has AES, or WireGuard's alone. */
const SUITES = ["auto", "chacha20-poly1305"] as const;
export type SuiteChoice = typeof SUITES[number];

export interface NodeConfig {
  readonly instance: Instance;
  readonly join: readonly Seed[];
  /** Undefined: the name of the last start, else the host name. */
  readonly name: string | undefined;
  /** Of a mesh that is founded now. */
  readonly meshName: string | undefined;
  readonly pool: Prefix | undefined;
  /** The port was asked for: when it is busy, that is an error and not a reason to take another. */
  readonly listen: number | undefined;
  readonly advertise: string | undefined;
  /** Name or number of the group that may read the control socket. */
  readonly controlGroup: string | undefined;
  readonly tun: boolean;
  /** Whether the names of members are answered. */
  readonly dns: boolean;
  readonly open: boolean;
  /** Goes on from the generation of the state before the newest. */
  readonly previousState: boolean;
  readonly logLevel: LogLevel;
  readonly suite: SuiteChoice;
  readonly dataplane: DataplaneConfig;
}

type Flags = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
type Env = (name: string) => string | undefined;

/** @throws {Failure} usage (2) naming the value */
export function nodeConfig(flags: Flags, env: Env): NodeConfig {
  const text = (name: string) => textOf(flags, env, name);
  const joins = flags["join"] ?? joinsOf(env);
  const listen = text("listen");
  const instance = findInstance({ interface: text("interface"), state: text("state") }, env);
  return {
    instance,
    controlGroup: checkControlGroup(text("control-group"), instance),
    join: (Array.isArray(joins) ? joins : []).map((seed) => parseSeed("--join", String(seed))),
    name: nameOf("--name", "a node", text("name")),
    meshName: nameOf("--mesh-name", "a mesh", text("mesh-name")),
    pool: poolOf(text("pool")),
    listen: listen === undefined ? undefined : wholeNumber("--listen", listen, 0, 65_535),
    advertise: checkAdvertise(text("advertise")),
    tun: !switchOf(flags, env, "no-tun"),
    dns: !switchOf(flags, env, "no-dns"),
    open: switchOf(flags, env, "open"),
    previousState: switchOf(flags, env, "previous-state"),
    logLevel: logLevel(flags, env),
    suite: suiteOf(textOf(flags, env, "suite") ?? "auto"),
    dataplane: dataplaneConfig(flags, env),
  };
}

/** @throws {Failure} usage (2) */
function suiteOf(text: string): SuiteChoice {
  const suite = SUITES.find((name) => name === text);
  if (suite) return suite;
  throw new Failure(
    Exit.usage,
    `node: --suite '${text}' is not known: choose from ${SUITES.join(", ")}`,
  );
}

/** @throws {Failure} usage (2) */
export function dataplaneConfig(flags: Flags, env: Env): DataplaneConfig {
  const text = (name: string) => textOf(flags, env, name);
  return {
    workers: wholeNumber("--workers", text("workers") ?? "0", 0, 64),
    aead: text("aead") ?? "",
    io: text("io") ?? "",
    without: (text("without") ?? "").split(",").map((name) => name.trim()).filter((name) =>
      name !== ""
    ),
  };
}

/** @throws {Failure} usage (2) */
export function logLevel(flags: Flags, env: Env): LogLevel {
  return parseLogLevel(textOf(flags, env, "log-level") ?? (env("LOG_LEVEL") || "info"));
}

/** A list that names nobody is a slip, and not the wish to found a mesh. */
function joinsOf(env: Env): readonly string[] {
  const list = env("SHOAL_JOIN") ?? "";
  const seeds = list.split(",").filter((seed) => seed.trim() !== "");
  if (list === "" || seeds.length > 0) return seeds;
  throw new Failure(
    Exit.usage,
    `SHOAL_JOIN='${list}' names no seed: set it to HOST:PORT, or leave it unset`,
  );
}

/** `HOST:PORT`, `[v6]:PORT`, or a host alone with WireGuard's usual port. */
export function parseSeed(option: string, text: string): Seed {
  const seed = readSeed(text) ?? readSeed(`${text}:${DEFAULT_PORT}`);
  if (seed !== undefined) {
    refuseNobody(option, seed.host);
    return seed;
  }
  throw new Failure(
    Exit.usage,
    `${option} '${text}' is not HOST:PORT (write an IPv6 address as [2001:db8::1]:51820)`,
  );
}

/** A machine that listens at all of its addresses is named by one of them. */
function refuseNobody(option: string, host: string): void {
  const address = parseAddress(host);
  if (address === undefined || isOneMachine(address)) return;
  throw new Failure(
    Exit.usage,
    `${option} '${host}' is the address of no machine: name one by which the machine is reached`,
  );
}

/** What invites name: without a port, which is the one that the node has. */
function checkAdvertise(host: string | undefined): string | undefined {
  if (host === undefined) return host;
  if (readSeed(formatSeed({ host, port: 1 }))) {
    refuseNobody("--advertise", host);
    return host;
  }
  throw new Failure(
    Exit.usage,
    `--advertise '${host}' is neither a host name nor an address (its port is that of --listen)`,
  );
}

/** A state folder is for its owner alone, so a group gets to no socket in it. */
function checkControlGroup(group: string | undefined, instance: Instance): string | undefined {
  if (group === undefined) return undefined;
  if (group === "") throw new Failure(Exit.usage, "--control-group is empty: name a group");
  if (dirname(instance.controlSocket) !== instance.stateDir) return group;
  throw new Failure(
    Exit.usage,
    "--control-group: with --state the control socket is in the state folder, which nobody but its owner can " +
      "enter: choose --interface instead, whose socket is outside",
  );
}

/** Told here as an option of the command line; mesh would refuse it, too. */
function nameOf(option: string, whose: string, name: string | undefined): string | undefined {
  if (name === undefined || isName(name)) return name;
  throw new Failure(
    Exit.usage,
    `${option} '${name}' cannot be ${whose}'s name: 1 to 63 small letters, digits and inner hyphens`,
  );
}

function poolOf(text: string | undefined): Prefix | undefined {
  const pool = text === undefined ? undefined : readPool(text);
  if (pool && !pool.ok) throw new Failure(Exit.usage, `--pool ${pool.error}`);
  return pool?.value;
}

/** The host name, as far as it can be a node's name. */
export function hostName(): string {
  const label = (hostname().split(".")[0] ?? "").toLowerCase().replaceAll(/[^a-z0-9-]/g, "-");
  return label.replaceAll(/^-+|-+$/g, "").slice(0, 63).replace(/-+$/, "") || "node";
}

/**
 * The invite as pasted or from a file; undefined: there is none. Secret. `SHOAL_TOKEN_FD` names the
 * descriptor on which `token.sh` hands on what stood behind `--token`. A service without any of them has
 * it as a credential, if at all.
 * @throws {Failure} both are given (2), it is empty (2), or the file cannot be read (1)
 */
export async function readToken(flags: Flags, env: Env): Promise<string | undefined> {
  const handed = env("SHOAL_TOKEN_FD");
  const token = handed ? await readHanded(handed) : textOf(flags, env, "token");
  const file = textOf(flags, env, "token-file");
  if (file === undefined) {
    if (token !== undefined) return asToken("--token", token);
    const credential = tokenCredential(env);
    return credential === undefined ? undefined : await readTokenFile("credential", credential);
  }
  if (token !== undefined) {
    throw new Failure(Exit.usage, "--token and --token-file are both given: choose one");
  }
  return await readTokenFile("--token-file", file);
}

/** @throws {Failure} it cannot be read or is too long (1), or is empty (2) */
async function readTokenFile(option: string, file: string): Promise<string> {
  if (file === "") {
    const what = `${option} is empty: name the file that the invite is in, or - for standard input`;
    throw new Failure(Exit.usage, what);
  }
  return asToken(`${option} '${file}'`, await readSecret(`${option} '${file}'`, file, TOKEN_TYPED));
}

async function readHanded(descriptor: string): Promise<string> {
  const where = `SHOAL_TOKEN_FD='${descriptor}'`;
  if (/^\d{1,9}$/.test(descriptor)) return await readSecret(where, `/dev/fd/${descriptor}`);
  throw new Failure(Exit.usage, `${where} is no descriptor: leave it unset`);
}

/** What a person who sits at a terminal is asked for, and when that is all there. */
interface Typed {
  readonly prompt: string;
  /** An empty line ends what is typed, whether it is whole or not. */
  readonly isWhole: (text: string) => boolean;
}

const TOKEN_TYPED: Typed = {
  prompt: "paste the line that 'invite' printed on the other machine, and press Enter twice:",
  isWhole: () => false, // One Enter may be a line end of the paste.
};

const WORDS_PROMPT =
  `type or paste the ${WORDS} words, with or without their numbers, and end with Enter ` +
  "(twice, where it goes on waiting):";

async function readSecret(where: string, file: string, typed?: Typed): Promise<string> {
  let bytes: Uint8Array;
  try {
    const { readable } = file === "-" ? Deno.stdin : await Deno.open(file);
    // A wait that nobody has announced looks like a program that hangs.
    const isTyped = file === "-" && typed !== undefined && Deno.stdin.isTerminal();
    if (isTyped) Deno.stderr.writeSync(new TextEncoder().encode(`${typed.prompt}\n`));
    bytes = isTyped
      ? await readTyped(TOKEN_FILE_MAX, typed.isWhole)
      : await readSome(readable, TOKEN_FILE_MAX + 1);
  } catch (error) {
    // The run time keeps some of what is below /dev and /proc to itself, whatever it is allowed.
    const code = error instanceof Deno.errors.NotCapable ? "EACCES" : codeOf(error);
    const next = UNREADABLE[code] ?? (error instanceof Error ? error.message : String(error));
    const how = `cannot be read${code === "" ? "" : ` (${code})`}: ${next}`;
    throw new Failure(CODES[code] ?? Exit.failed, `${where} ${how}`, { cause: error });
  }
  if (bytes.length > TOKEN_FILE_MAX) {
    const what = `is longer than any token or key: name the file that it alone is in`;
    throw new Failure(Exit.usage, `${where} ${what}`);
  }
  return new TextDecoder().decode(bytes);
}

/**
 * Words that a person types or pipes in: never an argument, which every user of the machine can read.
 * @throws {Failure} they cannot be read (1), are too many, or there are none (2)
 */
export async function readWords(what: string): Promise<string> {
  const { hasAllWords } = await import("./words_of_keys.ts");
  const typed = { prompt: WORDS_PROMPT, isWhole: hasAllWords };
  const text = (await readSecret(`${what}: standard input`, "-", typed)).trim();
  if (text !== "") return text;
  throw new Failure(
    Exit.usage,
    `${what}: standard input is empty: type or pipe the ${WORDS} words in`,
  );
}

/** Until the end, or until there are as many bytes as `most`: what is left is not asked for. */
async function readSome(stream: ReadableStream<Uint8Array>, most: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= most) break;
  }
  return Buffer.concat(chunks);
}

/**
 * The token in a text, which may be the whole line that `invite` printed, an assignment of SHOAL_TOKEN
 * or the document of `invite --json`. A text without a token is returned: what reads tokens says what
 * is wrong with it. Nothing at all is a slip, and not the wish to join without one.
 */
function asToken(where: string, text: string): string {
  const token = text.trim();
  const found = [...token.matchAll(TOKEN)];
  const [first, other] = new Set(found.map(([sign]) => sign));
  if (other !== undefined) {
    const what = `${where} holds two different tokens: leave the one that is meant`;
    throw new Failure(Exit.usage, what);
  }
  const last = found.at(-1);
  if (first !== undefined && last !== undefined) {
    const rest = token.slice(last.index + first.length);
    return found.length === 1 && WRAPPED.test(rest) ? first + rest.replaceAll(/\s/g, "") : first;
  }
  if (token !== "") return token;
  throw new Failure(
    Exit.usage,
    `${where} is empty: put the invite there, or leave the option out to ask without one`,
  );
}

function textOf(flags: Flags, env: Env, name: string): string | undefined {
  const flag = flags[name];
  // Empty in the environment is how service managers say that there is none.
  return typeof flag === "string" ? flag : env(envName(name)) || undefined;
}

function switchOf(flags: Flags, env: Env, name: string): boolean {
  if (flags[name] === true) return true;
  const value = env(envName(name));
  if (value === undefined || value === "" || value === "0") return false;
  if (value === "1") return true;
  throw new Failure(Exit.usage, `${envName(name)}='${value}' is neither 0 nor 1`);
}

function envName(flag: string): string {
  return `SHOAL_${flag.toUpperCase().replaceAll("-", "_")}`;
}
