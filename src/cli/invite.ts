import { SEEDS_MAX } from "../../mesh/door/token.ts";
import { formatSeed } from "../../mesh/seed.ts";
import { parseSeed } from "../config.ts";
import { Exit, type ExitCode } from "../exit.ts";
import { type Check, having, isNumber, isText, listOf } from "../shape.ts";
import { reachOf } from "../reach.ts";
import { parseSpan } from "../time.ts";
import { counted } from "../words.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import {
  type Command,
  groupsOf,
  type Io,
  joinLine,
  namesOf,
  parseOptions,
  wholeNumber,
} from "./command.ts";

/** Seconds that an invite lasts at most. */
const LONGEST = 3660 * 86_400;

export const invite: Command = {
  usage:
    "invite [--uses N] [--expires TIME] [--groups a,b] [--seed HOST:PORT]... ... | --list | --revoke ID",
  help: `Prints the line that lets a new machine join this mesh. The token in it is a secret:
whoever has it can join until it is used up or expires.

  --uses N         how many machines may join with it (default 1)
  --expires TIME   how long it is valid: 90s, 15m, 24h, 30d (default 24h)
  --member-days N  how long a membership lasts (default 365)
  --groups a,b     the groups that the joiner will be in
  --flags relay    what the joiner may do (granted for later: no node carries the traffic
                   of others yet)
  --seed HOST:PORT a place at which this machine is reached and that it cannot know itself
                   (:51820 may be left out): the joiner asks there first, and then where it
                   asks anyway: at --advertise of the node, else at its addresses and at other
                   members; may stand several times (an invite names ${SEEDS_MAX} places at most)
  --list           lists the invites that the mesh knows of
  --revoke ID      ends one: it lets nobody in any more; whom it has let in stays
  --yes            sign although no member has answered since this node was started
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values } = parseOptions(invite, args, io, {
      ...INSTANCE_OPTIONS,
      uses: { type: "string" },
      expires: { type: "string" },
      "member-days": { type: "string" },
      groups: { type: "string" },
      flags: { type: "string" },
      seed: { type: "string", multiple: true },
      list: { type: "boolean" },
      revoke: { type: "string" },
      yes: { type: "boolean" },
    });
    if (values.list) return await list(values, io);
    if (values.revoke !== undefined) return await revoke(values, values.revoke, io);
    const { uses, expires, groups, flags, seed, "member-days": days } = values;
    // What is undefined here is not in the request: its default is the node's to say.
    const document = await askNode(values, io, {
      command: "invite",
      uses: uses && wholeNumber("--uses", uses, 1, 1000),
      expires_s: expires && parseSpan("--expires", expires, LONGEST),
      member_days: days && wholeNumber("--member-days", days, 1, 3660),
      groups: groups === undefined ? undefined : groupsOf("--groups", groups),
      flags: flags === undefined ? undefined : namesOf(flags),
      seeds: seed?.map((text) => formatSeed(parseSeed("--seed", text))),
      yes: values.yes,
    }, {
      isAnswer: having({ token: isToken, seeds: listOf(isText), uses: isNumber, expires: isText }),
    });
    if (values.json) io.out(jsonText(document));
    else {
      io.out(joinLine(io, String(document["token"])));
      const machines = counted(Number(document["uses"]), "machine");
      io.err(
        `${machines} can join with this line, until ${
          document["expires"]
        }: it is a secret till then`,
      );
    }
    const warning = reachOf(document["seeds"] as readonly string[]);
    if (warning !== "") io.err(warning);
    return Exit.done;
  },
};

/** What a person pastes into a shell is made of nothing else. */
const isToken: Check = (token) => typeof token === "string" && /^[A-Za-z0-9_-]+$/.test(token);

type Choice = {
  readonly interface?: string;
  readonly state?: string;
  readonly json?: boolean;
  readonly yes?: boolean;
};

const isInvite = having({ id: isText, by: isText, uses: isNumber, used: isNumber, state: isText });

async function list(choice: Choice, io: Io): Promise<ExitCode> {
  const document = await askNode(choice, io, { command: "invites" }, {
    isAnswer: having({ invites: listOf(isInvite) }),
  });
  if (choice.json) {
    io.out(jsonText(document));
    return Exit.done;
  }
  const invites = document["invites"] as readonly Readonly<Record<string, unknown>>[];
  if (invites.length === 0) io.out("no invites");
  for (const { id, by, uses, used, expires, state } of invites) {
    io.out(`${id}  ${state}, ${used} of ${uses} used, until ${expires}, by ${by}`);
  }
  return Exit.done;
}

async function revoke(choice: Choice, id: string, io: Io): Promise<ExitCode> {
  const request = { command: "revoke_invite", id, yes: choice.yes };
  const document = await askNode(choice, io, request, { isAnswer: isInvite });
  io.out(
    choice.json ? jsonText(document) : `the invite ${document["id"]} lets nobody in any more`,
  );
  return Exit.done;
}
