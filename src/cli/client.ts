import { ask, type Asking, type Document, type Request } from "../control.ts";
import { findInstance } from "../instance.ts";
import { having, isText } from "../shape.ts";
import { printable, printableIn } from "../words.ts";
import type { Io } from "./command.ts";

/** The options by which every client command picks the node that it talks to. */
export const INSTANCE_OPTIONS = {
  interface: { type: "string" },
  state: { type: "string" },
  json: { type: "boolean" },
} as const;

export const INSTANCE_HELP =
  `  --interface IF   the node that was started with this interface (default shoal0)
  --state DIR      the node that was started with this state folder
  --json           print the versioned JSON document`;

/** Who a command was about, as the node answers. */
export const isWho = having({ name: isText, key: isText });

interface Choice {
  readonly interface?: string | undefined;
  readonly state?: string | undefined;
  readonly json?: boolean | undefined;
}

/**
 * Asks the node that the options pick. Other machines have written into the answer: unless it goes on
 * as JSON, which {@link jsonText} makes, nothing in it moves a cursor.
 */
export async function askNode(
  choice: Choice,
  io: Io,
  request: Request,
  asking: Asking & Required<Pick<Asking, "isAnswer">>,
): Promise<Document> {
  const { onEvent = () => {} } = asking;
  const safe = (document: Document) => choice.json ? document : printableIn(document);
  return safe(
    await ask(findInstance(choice, io.env).controlSocket, request, {
      ...asking,
      onEvent: (event) => onEvent(safe(event)),
    }),
  );
}

/** The same for a script that reads it, and harmless for a person who looks at it. */
export function jsonText(document: unknown): string {
  return printable(JSON.stringify(document));
}
