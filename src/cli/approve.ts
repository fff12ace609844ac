import { Exit } from "../exit.ts";
import { having, isFlag, isText, orNull } from "../shape.ts";
import { consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, groupsOf, parseOptions } from "./command.ts";
import { inWordsOf } from "./typed.ts";

export const approve: Command = {
  usage:
    "approve [--name N] [--groups a,b] [--yes] [--interface IF | --state DIR] [--json] NAME|KEY",
  help: `Admits a node that asked to join without a token; status lists those that wait. It has to
be run on an admin node: by NAME on the one that was asked, by the whole KEY on any. What is a
member already is renewed: it lasts a year from now.

  --name N         what the mesh calls it (default: the name that it asked for)
  --groups a,b     the groups that it will be in
  --yes            sign although no member has answered since this node was started, or for a
                   key that has the tunnel key of one that was revoked
${INSTANCE_HELP}`,
  async run(args, io) {
    const one = { min: 1, max: 1 };
    const { values, positionals } = parseOptions(approve, args, io, {
      ...INSTANCE_OPTIONS,
      name: { type: "string" },
      groups: { type: "string" },
      yes: { type: "boolean" },
    }, one);
    const { document, meant } = await consultNode(values, io, {
      command: "approve",
      who: positionals[0],
      name: values.name,
      groups: values.groups === undefined ? undefined : groupsOf("--groups", values.groups),
      yes: values.yes,
    }, { isAnswer: isApproved });
    const approved = document as unknown as Approved;
    io.out(values.json ? jsonText(document) : sentence(approved));
    const { key, name_taken: taken, name_taken_here: isTakenHere } = approved;
    if (!values.json && taken !== null) {
      // By its key, since nobody finds by its name a machine that has not come yet.
      const choice = `\`shoal approve --name NEW ${key}\` chooses one for this machine`;
      const line = isTakenHere
        ? `this node has the name ${taken}: ${choice}`
        : `another key has the name ${taken}: ${choice}; where nothing runs with that key any more, \`shoal revoke ${taken}\` and then ` +
          `\`shoal approve --name ${taken} ${key}\` give this one its name`;
      io.err(inWordsOf(io, line, meant));
    }
    return Exit.done;
  },
};

interface Approved {
  readonly name: string;
  readonly key: string;
  /** null: it was no member before. */
  readonly called_before: string | null;
  /** The name that it was to have, and another has; null: it has that. */
  readonly name_taken: string | null;
  /** That other is the node that was asked. */
  readonly name_taken_here: boolean;
  /** RFC 3339; null: its membership ends with its office as an admin. */
  readonly expires: string | null;
}

const isApproved = having({
  name: isText,
  key: isText,
  called_before: orNull(isText),
  name_taken: orNull(isText),
  name_taken_here: isFlag,
  expires: orNull(isText),
});

function sentence({ name, key, called_before: before, expires }: Approved): string {
  if (before === null) return `${name} (${key}) is a member now, until ${expires}`;
  const renamed = before === name ? "" : `, and is called ${name} from now on`;
  const until = expires === null ? "as long as it is an admin" : `until ${expires}`;
  return `${before} (${key}) is a member already: its membership is renewed, ${until}${renamed}`;
}
