/**
 * Structured logs on standard error: one line a state change, logfmt where a machine reads, short
 * text on a terminal and in the journal, where a line with the property `ifname` begins with it. A line that repeats is let through {@link REPEATS} times a window and then
 * counted, so that a flood of one fault cannot fill a disk. Secrets never reach a logger: events of
 * mesh carry none by their types, and nothing else that holds one is ever handed over (T44).
 */
import {
  configureSync,
  getLogfmtFormatter,
  getLogger,
  getTextFormatter,
  getThrottlingFilter,
  type LogLevel as TapeLevel,
  type TextFormatter,
} from "npm:@logtape/logtape@2.4.2";
import { Exit, Failure } from "./exit.ts";
import { isJournal, STANDARD_ERROR, withPriority } from "./service/journald.ts";
import { printableLines } from "./words.ts";

/** How often the same line may stand in one window before it is only counted. */
const REPEATS = 20;
const WINDOW_MS = 60_000;
/** Different lines that are watched for repetition; the longest unseen is forgotten first. */
const LINES_WATCHED = 256;

/** What a peer sent (a name, a reason) can end up in a line, and must not end the line. */
const ONE_LINE = { sgr: "escape", newlines: "escape" } as const;

/** Ours, and the names that wireguard-go gave them. */
const LEVELS: Readonly<Record<string, TapeLevel | null>> = {
  trace: "trace",
  debug: "debug",
  verbose: "debug",
  info: "info",
  warning: "warning",
  warn: "warning",
  error: "error",
  silent: null,
};

export type LogLevel = TapeLevel | null;

/** @throws {Failure} for a name that is no level */
export function parseLogLevel(name: string): LogLevel {
  const level = Object.hasOwn(LEVELS, name) ? LEVELS[name] : undefined;
  if (level === undefined) {
    throw new Failure(
      Exit.usage,
      `log level '${name}' is not known: use one of ${Object.keys(LEVELS).join(" ")}`,
    );
  }
  return level;
}

/** Where lines go and how they look; standard error as it is, unless a test says otherwise. */
interface LogOptions {
  readonly level: LogLevel;
  /** What is done to every line, such as naming commands as this person starts them. */
  readonly words?: (line: string) => string;
  readonly write?: (line: string) => void;
  readonly reader?: LogReader;
}

/** Who reads: a person, the journal of the system, which has times and levels of its own, or some program. */
export type LogReader = "terminal" | "journal" | "program";

/** Configures logging for the process. A second call replaces the first. */
export function configureLog(options: LogOptions): void {
  const { words = (line) => line } = options;
  const sink = options.write ?? writeToStandardError;
  // Whoever sent a part of it: LogTape leaves some control characters, and all that turn a line.
  const write = (line: string) => sink(printableLines(words(line)));
  const format = formatFor(options.reader ?? readerOfStandardError());
  const throttle = getThrottlingFilter({
    limit: REPEATS,
    windowMs: WINDOW_MS,
    maxKeys: LINES_WATCHED,
    summary: {
      logger: getLogger(["shoal", "log"]),
      message: ({ suppressed, lastRecord }) =>
        `left out ${suppressed} more like: ${asText(lastRecord.rawMessage)}`,
    },
  });
  configureSync({
    reset: true,
    sinks: {
      main: (record) => write(format(record)),
      // A summary carries whole records as properties; its message says all that is wanted.
      summaries: (record) => write(format({ ...record, properties: {} })),
    },
    filters: { throttle },
    loggers: [
      {
        category: "shoal",
        sinks: options.level === null ? [] : ["main"],
        filters: ["throttle"],
        lowestLevel: options.level,
      },
      {
        category: ["shoal", "log"],
        sinks: options.level === null ? [] : ["summaries"],
        parentSinks: "override",
      },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
    ],
  });
}

function readerOfStandardError(): LogReader {
  if (isJournal(STANDARD_ERROR, (name) => Deno.env.get(name))) return "journal";
  return Deno.stderr.isTerminal() ? "terminal" : "program";
}

function formatFor(reader: LogReader): TextFormatter {
  if (reader === "program") return getLogfmtFormatter();
  const isJournal = reader === "journal";
  return getTextFormatter({
    timestamp: "time",
    level: "full",
    value: "bare",
    format: ({ timestamp, level, message, record }) => {
      const about = "ifname" in record.properties ? `${record.properties["ifname"]}: ` : "";
      const line = `${about}${message}`;
      return isJournal ? withPriority(record.level, line) : `${timestamp} ${level} ${line}`;
    },
    sanitize: ONE_LINE,
  });
}

/** A message template as it stands, its braces no longer places to fill in. */
function asText(template: string | TemplateStringsArray): string {
  return String(template).replaceAll("{", "<").replaceAll("}", ">");
}

const encoder = new TextEncoder();

/** A log that nobody reads any more (a closed pipe, a full disk) must not stop the node. */
function writeToStandardError(line: string): void {
  try {
    Deno.stderr.writeSync(encoder.encode(line));
  } catch {
    // There is nowhere left to say so.
  }
}
