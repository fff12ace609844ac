import { readWords } from "../config.ts";
import { Exit, Failure } from "../exit.ts";
import { paperOf } from "../paper.ts";
import { having, isObject, isText } from "../shape.ts";
import { shortMeshId } from "../status.ts";
import { expectSecret } from "../terminal.ts";
import { askNode, consultNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { type Command, misuse, parseOptions, programName } from "./command.ts";

export const meshKey: Command = {
  usage: "mesh-key words|export|seal|import [--erase] [--yes] [--interface IF | --state DIR]",
  help: `The two keys of a mesh. The mesh key makes and unmakes admins; it lies on the machine that
founded the mesh. The recovery key names another mesh key when that is stolen or lost; it was made at
the founding, to be written down and kept away from every machine.

Words are shown below a line that says which key of which mesh they are, and when they were shown:
write it on the paper, too.

  words            shows the recovery key as 24 numbered words; with --erase --yes it is shown once
                   more and removed from this disk
  export           shows the mesh key as 24 words, to be kept or taken to another machine
  seal             shows it and, with --yes, removes it from this machine: then nobody who gets at
                   this machine can make admins, and you need the words to do it
  import           reads 24 words, with or without their numbers, from the terminal or standard input, and
                   keeps the mesh key on this machine

  --erase          of words: the recovery key is to be removed
  --yes            the words are written down
${INSTANCE_HELP}`,
  async run(args, io) {
    // Of import, however it is written.
    if (!["words", "export", "seal"].some((word) => args.includes(word))) expectSecret();
    const { values, positionals } = parseOptions(meshKey, args, io, {
      ...INSTANCE_OPTIONS,
      erase: { type: "boolean" },
      yes: { type: "boolean" },
    }, { min: 1, max: 1 });
    const ask = (command: string, erase = false) =>
      consultNode(values, io, { command, erase }, { isAnswer: hasWords });
    const show = ({ document, meant }: Awaited<ReturnType<typeof ask>>) => {
      const { words, mesh_key: key, mesh, shown } = document as unknown as Shown;
      const which = key === undefined ? "recovery key" : `mesh key ${shortMeshId(key)}`;
      const heading = `${which} of the mesh ${mesh.name}, ${shortMeshId(mesh.id)}, shown ${shown}`;
      io.out(values.json ? jsonText(document) : paperOf(heading, words));
      return meant;
    };
    switch (positionals[0]) {
      case "words": {
        const isErased = values.erase === true && values.yes === true;
        const meant = show(await ask("recovery_words", isErased));
        if (isErased) {
          io.err(
            "the recovery key is not on this machine any more: these words are all there is of it",
          );
          return Exit.done;
        }
        io.err(
          "write these words down and keep them away from every machine, then: " +
            programName(io, `mesh-key words --erase --yes${meant.asking}`),
        );
        return values.erase ? Exit.failed : Exit.done;
      }
      case "export":
        if (values.erase) {
          const how = programName(io, "mesh-key seal --yes");
          throw new Failure(
            Exit.usage,
            `mesh-key: --erase is of words: ${how} removes the mesh key`,
          );
        }
        show(await ask("mesh_key_export"));
        io.err("whoever has these words can make and unmake admins");
        return Exit.done;
      case "seal":
        show(await ask("mesh_key_export", values.yes === true));
        if (values.yes) {
          io.err(
            "the mesh key is not on this machine any more: these words are all there is of it",
          );
          return Exit.done;
        }
        io.err("nothing was removed: write the words down, then say --yes");
        return Exit.failed;
      case "import": {
        const words = await readWords("mesh-key import");
        await askNode(values, io, { command: "mesh_key_import", words }, { isAnswer: isObject });
        io.out("the mesh key is on this machine now");
        return Exit.done;
      }
      default: {
        throw misuse(io, meshKey, `mesh-key: there is no '${positionals[0]}'`);
      }
    }
  },
};

interface Shown {
  readonly words: string;
  /** The public half, where the words are the mesh key and not the recovery key. */
  readonly mesh_key?: string;
  readonly mesh: { readonly id: string; readonly name: string };
  /** RFC 3339 */
  readonly shown: string;
}

const hasWords = having({
  words: isText,
  mesh_key: (value) => value === undefined || isText(value),
  mesh: having({ id: isText, name: isText }),
  shown: isText,
});
