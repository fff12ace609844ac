import { Exit } from "../exit.ts";
import type { PeerStatus } from "../../mesh/status.ts";
import { having, listOf } from "../shape.ts";
import { isPeer, peersText } from "../status.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const peers: Command = {
  usage: "peers [--interface IF | --state DIR] [--json]",
  help: `Lists the other members of the mesh.

${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(peers, args, io, INSTANCE_OPTIONS);
    const document = await askNode(values, io, { command: "status" }, {
      asksOnly: true,
      isAnswer: having({ peers: listOf(isPeer) }),
    });
    const list = document["peers"] as readonly PeerStatus[];
    io.out(values.json ? jsonText({ v: 1, peers: list }) : peersText(list));
    return Exit.done;
  },
};
