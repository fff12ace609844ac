import { nodeConfig, readToken, TOKEN_VARIABLES } from "../config.ts";
import { refuseUnknownOptions } from "../service/options.ts";
import { SERVICE_VARIABLE } from "../service/place.ts";
import { Failure } from "../exit.ts";
import { type Command, parseOptions } from "./command.ts";
import { inWordsOf, meantAs } from "./typed.ts";
import { DATAPLANE_HELP, DATAPLANE_OPTIONS } from "./dataplane.ts";

/** What a node can be told, by options and in the environment. */
export const OPTIONS = {
  join: { type: "string", multiple: true },
  token: { type: "string" },
  "token-file": { type: "string" },
  name: { type: "string" },
  "mesh-name": { type: "string" },
  pool: { type: "string" },
  interface: { type: "string" },
  listen: { type: "string" },
  advertise: { type: "string" },
  "control-group": { type: "string" },
  state: { type: "string" },
  "no-tun": { type: "boolean" },
  "no-dns": { type: "boolean" },
  open: { type: "boolean" },
  "previous-state": { type: "boolean" },
  "log-level": { type: "string" },
  suite: { type: "string" },
  ...DATAPLANE_OPTIONS,
} as const;

export const node: Command = {
  usage:
    "node [--join HOST:PORT]... [--token T | --token-file FILE] [--name N] [--interface IF] [--listen PORT] [--state DIR] [--no-tun] ...",
  help: `Runs a mesh node in the foreground until SIGINT or SIGTERM. The first start without
--join and without a token makes a new mesh and prints the line that lets the next machine
join; a node that is a member already needs no option at all.

  --join HOST:PORT   a member to ask (:51820 may be left out); may stand several times
  --token T          the invite; without one the request waits for approve on a member.
                     Handed on without showing it in the process list, which shows it
                     only until the node has started; Deno started directly shows it
  --token-file FILE  read the invite from FILE (- for standard input)
  --name N           what the mesh calls this node (default: the host name)
  --mesh-name N      when a mesh is founded: its name (default: that of its founder)
  --pool CIDR        when a mesh is founded: the IPv4 network of its members, a /8 to a /24
                     (default 100.64.0.0/10), for machines that are in that one themselves
  --interface IF     the interface to make (default shoal0)
  --state DIR        the folder that remembers who this node is (default
                     /var/lib/shoal/IF; below $XDG_STATE_HOME when not root)
  --previous-state   go on from the state as it was written before the last time: for
                     once, when the node says that its state is damaged
  --listen PORT      the UDP port (default 51820, or the next that no other node here has; 0: any free one)
  --advertise HOST   the host name or address that invites name (default: found out)
  --control-group G  the group whose members may look (status, peers, ping, ip, dns) without being
                     root; changing anything stays with root and the user of the node
  --no-tun           no interface: discovery only
  --no-dns           does not answer the names of members (shoal dns says how they are used)
  --open             LABORATORY ONLY: admit whoever asks, without token or approval
  --log-level L      trace debug info warning error silent (default info)

${DATAPLANE_HELP}
  --suite NAME       chacha20-poly1305: nothing else in tunnels with members (default auto: AES-256-GCM
                     with those whose processors have instructions for AES, as this one must)

Every option can stand in the environment: --log-level as SHOAL_LOG_LEVEL and so on.`,
  async run(args, io) {
    const { values } = parseOptions(node, args, io, OPTIONS);
    const service = io.env(SERVICE_VARIABLE);
    if (service) {
      refuseUnknownOptions(service, Object.keys(Deno.env.toObject()), Object.keys(OPTIONS));
    }
    const config = nodeConfig(values, io.env);
    const token = await readToken(values, io.env);
    // No program that is started from here is to inherit it.
    for (const name of TOKEN_VARIABLES) Deno.env.delete(name);
    if (values.token !== undefined) {
      io.err("every user of this machine sees the token in the process list: use --token-file");
    }
    const { runDaemon } = await import("../daemon.ts");
    try {
      return await runDaemon(config, token, io);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      const meant = meantAs(config.instance, () => false);
      const words = (line: string) => inWordsOf(io, line, meant);
      const below = error.below.map(words);
      throw new Failure(error.code, words(error.message), { cause: error, below });
    }
  },
};
