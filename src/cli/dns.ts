/** `shoal dns`: how this machine comes to use the names of the mesh. */
import { lookup } from "node:dns/promises";
import { Exit, Failure } from "../exit.ts";
import { Outside } from "../outside.ts";
import { having, isFlag, isText, listOf } from "../shape.ts";
import type { StatusDocument } from "../status.ts";
import { readIfThere, serversIn } from "../underlay.ts";
import { counted, printable } from "../words.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText, type Options } from "./client.ts";
import { type Command, type Io, misuse, parseOptions, programName } from "./command.ts";
import { dnsmasqLines, hostsLines, readSetup, resolvedLines, type Setup } from "./dns_setup.ts";
import type { Meant } from "./typed.ts";

/** Where systemd-resolved is, while it runs. */
const RESOLVED = "/run/systemd/resolve";
/** Milliseconds for which this machine's resolver may think about a name. */
const LOOKUP_MS = 2_000;
/** Milliseconds for which a node that starts may need until it answers names, and between two looks. */
const START_MS = 5_000;
const ASK_EVERY_MS = 200;
/** Zones that a person wants to see; more are only counted. */
const ZONES_SHOWN = 4;
/** Names that a person wants to see of those that are missing. */
const NAMES_SHOWN = 3;

export const dns: Command = {
  usage: "dns [--shell | --dnsmasq | --hosts] [--interface IF | --state DIR] [--json]",
  help:
    `Says at which addresses this node answers the names of the mesh (NAME.MESH.internal), whether
this machine asks there, and what makes it do so. It changes nothing itself.

  --shell          only the lines to run as root, for systemd-resolved: shoal dns --shell | sudo sh
  --dnsmasq        only the lines for dnsmasq: shoal dns --dnsmasq | sudo tee /etc/dnsmasq.d/shoal.conf
  --hosts          the names and addresses of now as lines of /etc/hosts, for a machine without either
${INSTANCE_HELP}`,
  async run(args, io) {
    const options = {
      ...INSTANCE_OPTIONS,
      shell: { type: "boolean" },
      dnsmasq: { type: "boolean" },
      hosts: { type: "boolean" },
    } as const;
    const { values } = parseOptions(dns, args, io, options, { min: 0, max: 0 });
    const makers = [
      values.shell && resolvedLines,
      values.dnsmasq && dnsmasqLines,
      values.hosts && hostsLines,
    ].filter((maker) => typeof maker === "function");
    const [maker, another] = makers;
    if (another) throw misuse(io, dns, "dns: choose one of --shell, --dnsmasq and --hosts");
    const { status, meant } = await statusOf(values, io);
    const setup = setupOf(status);
    if (maker) {
      for (const line of maker(setup, status)) io.out(line);
      return Exit.done;
    }
    const isFound = await finds(setup);
    const listed = isFound ? missingInHosts(status, setup) : undefined;
    const unknown = listed && await asksForZone(setup) ? undefined : listed;
    const isAsked = isFound && unknown === undefined;
    if (values.json) {
      const { interface: ifname, servers, zones } = setup;
      io.out(jsonText({ v: 1, zones, servers, interface: ifname, asked: isAsked }));
      return Exit.done;
    }
    for (const line of status.health.filter(isAboutNames)) io.err(line);
    io.out(`${setup.self} and the other members are answered at ${both(setup)}, port 53:`);
    io.out(`  dig @${setup.servers[0]} ${setup.self}`);
    if (unknown !== undefined) {
      const missing = unknown.length === 0 ? "all of now" : `all of now but ${some(unknown)}`;
      io.out(
        `this machine does not ask there: it has names in /etc/hosts, ${missing}; when members come, ` +
          `append what ${programName(io, `dns --hosts${meant.asking}`)} prints anew`,
      );
    } else if (isAsked) io.out("this machine asks there");
    else for (const line of advice(setup, io, meant)) io.out(line);
    return Exit.done;
  },
};

const isNamed = having({
  self: having({ name: isText, interface: isText, ip4: isText, ip6: isText }),
  mesh: having({ name: isText, pool: isText }),
  names: having({ enabled: isFlag, servers: listOf(isText) }),
  health: listOf(isText),
});

/** Of a node that was just started: a service runs this command at once, and a person may, too. */
async function statusOf(
  choice: Options,
  io: Io,
): Promise<{ status: StatusDocument; meant: Meant }> {
  const until = performance.now() + START_MS;
  for (;;) {
    const { document, meant } = await consultNode(choice, io, { command: "status" }, {
      asksOnly: true,
      isAnswer: isNamed,
    });
    const status = document as unknown as StatusDocument;
    const { self: { ip4, ip6 }, names, health } = status;
    const isStarting = names.enabled && !health.some(isAboutNames) &&
      [ip4, ip6].some((address) => address !== "" && !names.servers.includes(address));
    if (!isStarting || performance.now() > until) return { status, meant };
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}

/** @throws {Failure} this node answers no names, or it is none that could */
function setupOf(status: StatusDocument): Setup {
  const { self, mesh, names, health } = status;
  const why = mesh.name === ""
    ? "it is not a member of a mesh yet"
    : self.interface === ""
    ? "it has no interface (--no-tun)"
    : !names.enabled
    ? "it was started with --no-dns"
    : undefined;
  if (why !== undefined) {
    throw new Failure(Exit.notConfigured, `dns: this node answers no names: ${why}`);
  }
  const setup = readSetup(status);
  if ("fault" in setup) {
    const what = `dns: nothing for a root shell is made of what this node says: ${setup.fault}`;
    throw new Failure(Exit.failed, printable(what));
  }
  if (setup.servers.length === 0) {
    const trouble = health.find(isAboutNames) ??
      "this node answers no names yet: try again in a second";
    throw new Failure(Exit.failed, `dns: ${trouble}`);
  }
  const own = new Outside().addressesOf(setup.interface);
  const missing = setup.servers.find((server) => !own.has(server));
  if (missing === undefined) return setup;
  // What another interface asks would go astray.
  const what =
    `dns: ${setup.interface} does not have ${missing} here: run this where the node runs`;
  throw new Failure(Exit.failed, what);
}

function isAboutNames(line: string): boolean {
  return line.startsWith("names are not answered");
}

function advice(setup: Setup, io: Io, meant: Meant): string[] {
  if (!hasResolved()) {
    const typed = (option: string) => programName(io, `dns ${option}${meant.asking}`);
    const restart = "sudo systemctl restart dnsmasq";
    return [
      "this machine does not ask there, and has no systemd-resolved. With dnsmasq as its resolver:",
      `  ${typed("--dnsmasq")} | sudo tee /etc/dnsmasq.d/shoal.conf && ${restart}`,
      "which writes:",
      ...dnsmasqLines(setup).map((line) => `  ${line}`),
      ...leadsHere() ? [] : [
        "and /etc/resolv.conf leads elsewhere: put `nameserver 127.0.0.1` in its place, and the servers " +
        "that stand there now into /etc/dnsmasq.d, each as `server=ADDRESS`",
      ],
      "with another resolver: let it forward these zones and networks in its own words",
      `without any: ${typed("--hosts")} prints the names of now for /etc/hosts`,
    ];
  }
  const { interface: ifname, zones } = setup;
  const [first, second] = resolvedLines(setup);
  const shell = `${programName(io, `dns --shell${meant.asking}`)} | sudo sh`;
  const short = `resolvectl domain ${ifname} '~${zones[0]}' ...`;
  return [
    "this machine does not ask there yet. As root, until the interface goes:",
    `  ${shell}`,
    "which is:",
    `  ${first}`,
    zones.length <= ZONES_SHOWN
      ? `  ${second}`
      : `  ${short} and ${counted(zones.length - 1, "zone")} of addresses`,
    `(undone by: resolvectl revert ${ifname})`,
  ];
}

function both({ servers }: Setup): string {
  return servers.join(" and ");
}

/** Whether this machine's own resolver, whatever it is, finds our name where we are. */
async function finds({ self, servers }: Setup): Promise<boolean> {
  const silence = new Promise<[]>((resolve) => setTimeout(() => resolve([]), LOOKUP_MS));
  const found = await Promise.race([lookup(self, { all: true }).catch(() => []), silence]);
  return found.some(({ address }) => servers.includes(address));
}

/** Whether who is asked by /etc/resolv.conf knows the zone, in which /etc/hosts has no part. */
function asksForZone({ zones: [apex] }: Setup): Promise<boolean> {
  const signal = AbortSignal.timeout(LOOKUP_MS);
  return Deno.resolveDns(apex, "SOA", { signal }).then((found) => found.length > 0, () => false);
}

/** Whether /etc/resolv.conf leads to a program of this machine. */
function leadsHere(): boolean {
  const servers = serversIn(readIfThere("/etc/resolv.conf"));
  // Without any the resolver asks 127.0.0.1 (resolv.conf(5)).
  return servers.length === 0 || servers.some((server) => /^(?:127\.|::1$)/.test(server));
}

/** Names of now that /etc/hosts has not; undefined: it has not even ours. */
function missingInHosts(status: StatusDocument, setup: Setup): string[] | undefined {
  const listed = new Set(
    readIfThere("/etc/hosts").split("\n").flatMap((line) =>
      (line.split("#")[0] ?? "").split(/\s+/)
    ),
  );
  if (!listed.has(setup.self)) return undefined;
  const names = hostsLines(setup, status).flatMap((line) => line.split(" ").slice(1));
  return [...new Set(names)].filter((name) => !listed.has(name));
}

/** `a, b, c ...` */
function some(names: readonly string[]): string {
  return names.slice(0, NAMES_SHOWN).join(", ") + (names.length > NAMES_SHOWN ? " ..." : "");
}

function hasResolved(): boolean {
  try {
    return Deno.statSync(RESOLVED).isDirectory;
  } catch {
    return false;
  }
}
