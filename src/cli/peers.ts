import { Exit } from "../exit.ts";
import type { GuestStatus, PeerStatus } from "../../mesh/status.ts";
import { having, listOf } from "../shape.ts";
import { isGuest, isPeer, peersText } from "../status.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, parseOptions } from "./command.ts";

export const peers: Command = {
  usage: "peers [--interface IF | --state DIR] [--json]",
  help: `Lists the other members of the mesh, and the guests.

${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(peers, args, io, INSTANCE_OPTIONS);
    const document = await askNode(values, io, { command: "status" }, {
      asksOnly: true,
      isAnswer: having({ peers: listOf(isPeer), guests: listOf(isGuest) }),
    });
    const list = document["peers"] as readonly PeerStatus[];
    const guests = document["guests"] as readonly GuestStatus[];
    io.out(values.json ? jsonText({ v: 1, peers: list, guests }) : peersText(list, guests));
    return Exit.done;
  },
};
