import { type Document, SILENCE_MS } from "../control.ts";
import { Exit } from "../exit.ts";
import { having, isNumber, isText, orNull } from "../shape.ts";
import { askNode, INSTANCE_HELP, INSTANCE_OPTIONS, jsonText } from "./client.ts";
import { duration } from "../words.ts";
import { type Command, type Io, parseOptions, wholeNumber } from "./command.ts";

/** One answer or one loss, as the node reports it while it pings. */
interface Pong extends Document {
  readonly peer: string;
  readonly ip4: string;
  readonly path: string;
  readonly endpoint: string | null;
  readonly rtt_ms: number | null;
  readonly timeout_ms: number;
}

const isPong = having({
  peer: isText,
  ip4: isText,
  path: isText,
  endpoint: orNull(isText),
  rtt_ms: orNull(isNumber),
  timeout_ms: isNumber,
});

/** What all pings came to. */
interface Outcome {
  readonly peer: string;
  readonly received: number;
  /** As in the status; null: it is no peer any more. */
  readonly state: string | null;
  readonly since_s: number | null;
}

const isAnswer = having({
  peer: isText,
  received: isNumber,
  state: orNull(isText),
  since_s: orNull(isNumber),
});

export const ping: Command = {
  usage: "ping [-c N] [--timeout MS] [--interface IF | --state DIR] [--json] PEER",
  help:
    `Asks the node of a peer (by name, also as in DNS, by key or mesh address) and times the answers.
This is the mesh's own question, not a packet through the tunnel. Exits with 1 when nothing answered.

  -c N             how many times (default 4)
  --timeout MS     how long to wait for each answer (default 2000)
${INSTANCE_HELP}`,
  async run(args, io) {
    const { values, positionals } = parseOptions(ping, args, io, {
      ...INSTANCE_OPTIONS,
      count: { type: "string", short: "c", default: "4" },
      timeout: { type: "string", default: "2000" },
    }, { min: 1, max: 1 });
    const request = {
      command: "ping",
      peer: positionals[0],
      count: wholeNumber("-c", values.count, 1, 10_000),
      timeout_ms: wholeNumber("--timeout", values.timeout, 10, 60_000),
    };
    const document = await askNode(values, io, request, {
      asksOnly: true,
      isAnswer,
      isEvent: isPong,
      onEvent: (event) => {
        if (!values.json) io.out(pongText(event as Pong));
      },
      // Every answer and every loss is told at once: no silence is longer than one timeout.
      silenceMs: request.timeout_ms + SILENCE_MS,
    });
    if (values.json) io.out(jsonText(document));
    else if (document["received"] === 0) sayWhySilent(document as unknown as Outcome, io);
    return Number(document["received"]) > 0 ? Exit.done : Exit.failed;
  },
};

/** Who said good-bye answers nobody, and the network is not to blame. */
function sayWhySilent({ peer, state, since_s }: Outcome, io: Io): void {
  if (state !== "left") return;
  io.err(
    `${peer} is stopped: its node said good-bye ${
      duration(since_s ?? 0)
    } ago, and answers again once it is started`,
  );
}

function pongText(pong: Pong): string {
  if (pong.rtt_ms === null) {
    return `no answer from ${pong.peer} (${pong.ip4}) in ${pong.timeout_ms} ms`;
  }
  return `pong from ${pong.peer} (${pong.ip4}) via ${pong.endpoint ?? pong.path} ` +
    `in ${pong.rtt_ms.toFixed(1)}ms`;
}
