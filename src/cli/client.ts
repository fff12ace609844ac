import { basename, resolve } from "node:path";
import {
  ask,
  type Asking,
  type Document,
  howToRead,
  type Request,
  Unreachable,
} from "../control.ts";
import { Exit, Failure } from "../exit.ts";
import { type Choice, findInstance, namedBy } from "../instance.ts";
import { removedSockets, runningNodes } from "../running.ts";
import { installedServices, placeOfService, serviceAt } from "../service/place.ts";
import { having, isText } from "../shape.ts";
import { printable, printableIn } from "../words.ts";
import type { Io } from "./command.ts";
import { inWordsOf, type Meant, meantBy, optionOf } from "./typed.ts";

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

/** What picks the node, and how its answer is printed. */
export interface Options extends Choice {
  readonly json?: boolean | undefined;
}

/** How long one of several nodes may take to say who it is. */
const INTRODUCTION_MS = 2_000;

/**
 * Asks the node that the options pick. Other machines have written into the answer: unless it goes on
 * as JSON, which {@link jsonText} makes, nothing in it moves a cursor.
 *
 * A node that was started with other options than the command names is found all the same, as long as there is no doubt
 * which one is meant.
 * @param asking `asksOnly`: the command changes nothing, so that the only node that runs here may answer it
 */
export async function askNode(
  choice: Options,
  io: Io,
  request: Request,
  asking: NodeAsking,
): Promise<Document> {
  return (await consultNode(choice, io, request, asking)).document;
}

type NodeAsking = Asking & Required<Pick<Asking, "isAnswer">> & { readonly asksOnly?: boolean };

/** The same, with the node that answered, for whoever prints further commands about it. */
export async function consultNode(
  choice: Options,
  io: Io,
  request: Request,
  asking: NodeAsking,
): Promise<{ readonly document: Document; readonly meant: Meant }> {
  const { onEvent = () => {}, asksOnly = false, ...rest } = asking;
  const safe = (document: Document) => choice.json ? document : printableIn(document);
  const put = async (socket: string) => {
    const meant = meantBy(socket);
    try {
      const options = { ...rest, onEvent: (event: Document) => onEvent(safe(event)) };
      const document = safe(await ask(socket, request, options));
      sayUnsaved(document, io);
      return { document, meant };
    } catch (error) {
      if (!(error instanceof Failure) || error instanceof Unreachable) throw error;
      throw new Failure(error.code, inWordsOf(io, error.message, meant), { cause: error });
    }
  };
  try {
    return await put(findInstance(choice, io.env).controlSocket);
  } catch (error) {
    if (!(error instanceof Unreachable)) throw error;
    return await put(await findElsewhere(choice, io.env, asksOnly, error));
  }
}

/** A full disk is no reason to call undone what other members have heard by now. */
function sayUnsaved({ unsaved }: Document, io: Io): void {
  if (!isText(unsaved)) return;
  io.err(printable(
    "this is done, and not on the disk yet: if the node ends before it can write, it has forgotten it, and it counts " +
      `only where another member has heard of it; the node tries again by itself: ${unsaved}`,
  ));
}

/** A node that runs here, as it says itself. */
interface Found {
  readonly socket: string;
  /** "" for one without an interface; undefined where this user may not ask. */
  readonly interface: string | undefined;
}

/**
 * The control socket of the node that is meant, though it is not where the options lead.
 * @throws {Failure} none is, or more than one could be; it says which ones run
 */
async function findElsewhere(
  choice: Choice,
  env: Io["env"],
  asksOnly: boolean,
  nobody: Unreachable,
): Promise<string> {
  const named = namedBy(choice, env);
  const sockets = runningNodes();
  if (named.state !== undefined) {
    const byFolder = sockets.find((socket) => isOfFolder(socket, resolve(named.state ?? ""), env));
    if (byFolder !== undefined) return byFolder;
    refuseRemoved([findInstance(choice, env).controlSocket]);
    throw nobody;
  }
  const nodes = (await Promise.all(sockets.map(introduced))).filter((node) => node !== undefined);
  const wanted = findInstance(choice, env).interface;
  const option = optionOf(`/${wanted}.sock`);
  const matches = nodes.filter((node) =>
    node.interface === wanted || node.interface !== undefined && optionOf(node.socket) === option
  );
  const anyone = asksOnly && named.interface === undefined ? nodes : [];
  for (const [only, ...others] of [matches, anyone]) {
    if (only?.interface !== undefined && others.length === 0) return only.socket;
  }
  const [closed] = nodes.filter((node) => node.interface === undefined);
  if (closed !== undefined) {
    const what = `a node runs here, and its socket ${closed.socket} is not open to this user: ` +
      howToRead(closed.socket);
    throw new Failure(Exit.noPermission, what);
  }
  refuseRemoved(
    named.interface === undefined && nodes.length === 0
      ? undefined
      : [findInstance(choice, env).controlSocket],
  );
  if (nodes.length === 0) throw stopped(named.interface, wanted) ?? nobody;
  const list = nodes.map(({ socket }) => optionOf(socket)).join(" \u00b7 ");
  throw new Failure(Exit.notRunning, `${nobody.message}; those that run here: ${list}`);
}

/** What is wrong where no node runs, and a service that is installed here should be one. */
function stopped(named: string | undefined, wanted: string): Failure | undefined {
  const services = installedServices();
  const meant = services.filter((name) => name === wanted);
  const [one, ...others] = meant.length > 0 || named !== undefined ? meant : services;
  if (one === undefined) return undefined;
  const what = others.length > 0
    ? `no node runs here, and none of the services ${
      [one, ...others].map((name) => `shoal@${name}`).join(", ")
    }: name one by --interface`
    : `the service shoal@${one} does not run: systemctl status shoal@${one} says why, and ` +
      `systemctl start shoal@${one} starts it when that is mended`;
  return new Failure(Exit.notRunning, what);
}

/**
 * A node without its socket is not to be taken for none: who starts another in its place has two.
 * @param meant paths of control sockets; undefined: any
 * @throws {Failure} when a node listens at one of them, and nothing is there
 */
function refuseRemoved(meant?: readonly string[]): void {
  const removed = removedSockets().find((path) => meant === undefined || meant.includes(path));
  if (removed === undefined) return;
  throw new Failure(
    Exit.failed,
    `a node listens at ${removed}, and nothing is there: somebody removed it, and the node makes it again ` +
      "within 15 s if it can: try again then; else its log says why, and a signal ends it",
  );
}

/** Whether a socket by interface or service belongs to the node with this state folder. */
function isOfFolder(socket: string, folder: string, env: Io["env"]): boolean {
  const service = serviceAt(socket);
  if (service !== undefined) return placeOfService(service).stateDir === folder;
  const name = basename(socket, ".sock");
  const withoutState = (variable: string) => variable === "SHOAL_STATE" ? undefined : env(variable);
  try {
    const instance = findInstance({ interface: name }, withoutState);
    return instance.controlSocket === socket && instance.stateDir === folder;
  } catch {
    return false; // What is no interface's name is no node's socket.
  }
}

/** Undefined: what is behind it has stopped, or is no node. */
async function introduced(socket: string): Promise<Found | undefined> {
  const isAnswer = having({ self: having({ interface: isText }) });
  try {
    const status = await ask(socket, { command: "status" }, {
      isAnswer,
      silenceMs: INTRODUCTION_MS,
    });
    return { socket, interface: (status["self"] as { readonly interface: string }).interface };
  } catch (error) {
    const isClosed = error instanceof Failure && error.code === Exit.noPermission;
    return isClosed ? { socket, interface: undefined } : undefined;
  }
}

/** The same for a script that reads it, and harmless for a person who looks at it. */
export function jsonText(document: unknown): string {
  return printable(JSON.stringify(document));
}
