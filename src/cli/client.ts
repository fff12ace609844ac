import { ask, type Asking, type Document, type Request } from "../control.ts";
import { findInstance } from "../instance.ts";
import { having, isText } from "../shape.ts";
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

/** Asks the node that the options pick. */
export function askNode(
  choice: { readonly interface?: string | undefined; readonly state?: string | undefined },
  io: Io,
  request: Request,
  asking: Asking & Required<Pick<Asking, "isAnswer">>,
): Promise<Document> {
  return ask(findInstance(choice, io.env).controlSocket, request, asking);
}
