import { nameIn } from "../../mesh/domain.ts";
import { formatAddress, parseAddress } from "../../mesh/endpoint.ts";
import type { SelfStatus } from "../../mesh/status.ts";
import { Exit, Failure } from "../exit.ts";
import { having, isText, listOf } from "../shape.ts";
import type { StatusDocument } from "../status.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions, programName } from "./command.ts";

/** Digits of a key that are enough to name it. */
const KEY_DIGITS = 8;

export const ip: Command = {
  usage: "ip [-4 | -6] [--interface IF | --state DIR] [--json] [PEER]",
  help: `Prints the mesh addresses of this node, or of a peer or guest by its name (also as in DNS,
oslo.lyon.internal), key or mesh address.

  -4, -6           only this family
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parseOptions(ip, args, io, {
      ...INSTANCE_OPTIONS,
      ip4: { type: "boolean", short: "4" },
      ip6: { type: "boolean", short: "6" },
    }, { min: 0, max: 1 });
    const { document, meant } = await consultNode(values, io, { command: "status" }, {
      asksOnly: true,
      isAnswer: isAddressBook,
    });
    const status = document as unknown as StatusDocument;
    const wanted = positionals[0];
    const meantName = wanted && nameIn(status.mesh?.name ?? "", wanted);
    const matches = meantName === undefined
      ? [status.self]
      : [status.self, ...status.peers, ...status.guests].filter((node) =>
        isCalled(node, meantName)
      );
    const [found] = matches;
    if (found === undefined) {
      throw new Failure(
        Exit.failed,
        `nobody has the name, key or address '${wanted}': ${
          programName(io, `peers${meant.asking}`)
        } lists them`,
      );
    }
    if (matches.length > 1) {
      const keys = matches.map(({ key }) => key.slice(0, 16)).join(", ");
      throw new Failure(
        Exit.failed,
        `${matches.length} are called '${wanted}': say which key: ${keys}`,
      );
    }
    if (found.ip4 === "" && found.ip6 === "") {
      throw new Failure(
        Exit.notConfigured,
        `${found.name} has no mesh address yet: ${
          programName(io, `status${meant.asking}`)
        } says what it waits for`,
      );
    }
    if (values.json) {
      io.out(jsonText({ v: 1, name: found.name, ip4: found.ip4, ip6: found.ip6 }));
      return Exit.done;
    }
    const both = !values.ip4 && !values.ip6;
    if (found.ip4 === "" && !values.ip6) {
      const isOut = "standing" in found && found.standing === "none";
      const what = isOut
        ? `${found.name} has no IPv4 address: no admin has certified it`
        : `${found.name} has no IPv4 address now: it steps aside for another holder of it; ask again in a minute`;
      if (!both) throw new Failure(Exit.failed, what);
      io.err(what);
    } else if (both || values.ip4) io.out(found.ip4);
    if (found.ip6 === "" && !values.ip4) {
      const what = `${found.name} has no IPv6 address: another member has it`;
      if (!both) throw new Failure(Exit.failed, what);
      io.err(what);
    } else if (both || values.ip6) io.out(found.ip6);
    return Exit.done;
  },
};

const isNode = having({ name: isText, key: isText, ip4: isText, ip6: isText });
const isAddressBook = having({ self: isNode, peers: listOf(isNode), guests: listOf(isNode) });

/** By name, the beginning of its key, or a mesh address in any of its spellings. */
function isCalled(
  { name, key, ip4, ip6 }: Pick<SelfStatus, "name" | "key" | "ip4" | "ip6">,
  wanted: string,
): boolean {
  const address = parseAddress(wanted);
  if (address !== undefined) return [ip4, ip6].includes(formatAddress(address));
  return name === wanted || wanted.length >= KEY_DIGITS && key.startsWith(wanted);
}
