import { formatSeed } from "../../mesh/seed.ts";
import { SEEDS_MAX } from "../../mesh/trust/token.ts";
import { parseSeed } from "../config.ts";
import { Exit, Failure } from "../exit.ts";
import { type Check, having, isText, listOf } from "../shape.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, groupsOf, joinLine, namesOf, parseOptions, wholeNumber } from "./command.ts";

export const invite: Command = {
  usage:
    "invite [--uses N] [--expires TIME] [--groups A,B] [--flags relay,admin] [--seed HOST:PORT]… …",
  help: `Prints the line that lets a new machine join this mesh. The token in it is a secret:
whoever has it can join until it is used up or expires.

  --uses N         how many machines may join with it (default 1)
  --expires TIME   how long it is valid: 90s, 15m, 24h, 30d (default 24h)
  --member-days N  how long a membership lasts (default 365)
  --groups A,B     the groups that the joiner will be in
  --flags F,G      what the joiner may do: admin, and relay (granted for later: no node
                   carries the traffic of others yet)
  --seed HOST:PORT where the joiner asks (:51820 may be left out); may stand up to ${SEEDS_MAX}
                   times (default: --advertise of the node, else its addresses, which behind
                   a NAT nobody reaches)
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
    });
    const { uses, expires, groups, flags, seed, "member-days": days } = values;
    // What is undefined here is not in the request: its default is the node's to say.
    const document = await askNode(values, io, {
      command: "invite",
      uses: uses && wholeNumber("--uses", uses, 1, 1000),
      expires_s: expires && seconds("--expires", expires),
      member_days: days && wholeNumber("--member-days", days, 1, 3660),
      groups: groups === undefined ? undefined : groupsOf("--groups", groups),
      flags: flags === undefined ? undefined : namesOf(flags),
      seeds: seed?.map((text) => formatSeed(parseSeed("--seed", text))),
    }, { isAnswer: having({ token: isToken, seeds: listOf(isText) }) });
    io.out(values.json ? jsonText(document) : joinLine(io, String(document["token"])));
    return Exit.done;
  },
};

/** What a person pastes into a shell is made of nothing else. */
const isToken: Check = (token) => typeof token === "string" && /^[A-Za-z0-9_-]+$/.test(token);

const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

function seconds(option: string, text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const value = Number(match?.[1]) * (UNIT_SECONDS[match?.[2] ?? ""] ?? NaN);
  if (value >= 1 && value <= 3660 * 86_400) return value;
  throw new Failure(
    Exit.usage,
    `${option} '${text}' is not a time such as 90s, 15m, 24h or 30d (ten years at most)`,
  );
}
