/** `shoal dns`: how this machine comes to use the names of the mesh. */
import { parseAddress } from "../../mesh/endpoint.ts";
import { readPool } from "../../mesh/membership/genesis.ts";
import { networkOf } from "../../mesh/prefix.ts";
import { Zone } from "../dns/zone.ts";
import { Exit, Failure } from "../exit.ts";
import { having, isText } from "../shape.ts";
import type { StatusDocument } from "../status.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions, programName } from "./command.ts";
import { quoted } from "./typed.ts";

/** Where systemd-resolved is, while it runs. */
const RESOLVED = "/run/systemd/resolve";

export const dns: Command = {
  usage: "dns [--shell] [--interface IF | --state DIR] [--json]",
  help:
    `Says at which addresses this node answers the names of the mesh (NAME.MESH.internal), and what
makes this machine ask there. It changes nothing itself.

  --shell          only the lines to run as root, for systemd-resolved: shoal dns --shell | sudo sh
${INSTANCE_HELP}`,
  async run(args, io) {
    const options = { ...INSTANCE_OPTIONS, shell: { type: "boolean" } } as const;
    const { values } = parseOptions(dns, args, io, options, { min: 0, max: 0 });
    const { document, meant } = await consultNode(values, io, { command: "status" }, {
      asksOnly: true,
      isAnswer: isNamed,
    });
    const status = document as unknown as StatusDocument;
    const { self, mesh, health } = status;
    const servers = [self.ip4, self.ip6].filter((address) => address !== "");
    if (mesh.name === "" || servers.length === 0 || self.interface === "") {
      const why = self.interface === ""
        ? "it has no interface"
        : "it is not a member of a mesh yet";
      throw new Failure(Exit.notConfigured, `this node answers no names: ${why}`);
    }
    const zones = zonesOf(status);
    const lines = [
      `resolvectl dns ${[self.interface, ...servers].map(quoted).join(" ")}`,
      `resolvectl domain ${
        [self.interface, ...zones.map((zone) => `~${zone}`)].map(quoted).join(" ")
      }`,
    ];
    if (values.json) {
      io.out(jsonText({ v: 1, zones, servers, interface: self.interface }));
      return Exit.done;
    }
    if (values.shell) {
      for (const line of lines) io.out(line);
      return Exit.done;
    }
    const [server = "", zone = ""] = [servers[0], zones[0]];
    for (const line of health.filter((one) => one.startsWith("names are not answered"))) {
      io.err(line);
    }
    io.out(
      `${self.name}.${zone} and the other members are answered at ${
        servers.join(" and ")
      }, port 53:`,
    );
    io.out(`  dig @${server} ${self.name}.${zone}`);
    if (hasResolved()) {
      io.out("this machine asks there after these lines, as root, until the interface goes:");
      for (const line of lines) io.out(`  ${line}`);
      io.out(`or at once: ${programName(io, `dns --shell${meant.asking}`)} | sudo sh`);
    } else {
      io.out(
        "this machine has no systemd-resolved: let its resolver forward that zone, for example in dnsmasq:",
      );
      for (const one of zones) io.out(`  server=/${one}/${server}`);
    }
    return Exit.done;
  },
};

const isNamed = having({
  self: having({ name: isText, ip4: isText, ip6: isText, interface: isText }),
  mesh: having({ name: isText, pool: isText }),
});

/** The zone of the names first. */
function zonesOf({ self, mesh }: StatusDocument): string[] {
  const pool = readPool(mesh.pool);
  const ip6 = parseAddress(self.ip6);
  const networks = [
    ...pool.ok ? [pool.value] : [],
    ...ip6 ? [networkOf({ address: ip6, length: 64 })] : [],
  ];
  const zone = new Zone({ mesh: mesh.name, self: self.name, networks, entries: [] });
  return [zone.apex, ...zone.reverseZones()];
}

function hasResolved(): boolean {
  try {
    return Deno.statSync(RESOLVED).isDirectory;
  } catch {
    return false;
  }
}
