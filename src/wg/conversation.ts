/**
 * One client of the UAPI socket: its requests are read and answered one after the other, each in a
 * place of its own and in slices beside those of other clients. What it sends meanwhile stays in the
 * kernel.
 */
import type * as net from "node:net";
import type { Place, Places } from "./places.ts";
import type { Turns, Work } from "./turns.ts";
import {
  type DeviceChange,
  type DeviceReport,
  type ErrnoName,
  LINE_MAX,
  type UapiFault,
  UapiReader,
  type UapiRequest,
  writeReport,
  writeStatus,
} from "./uapi.ts";

/** Characters of an answer that are written at once. */
const PIECE = 64 * 1024;

/** How long a client may take to read why it is hung up on. */
const GOOD_BYE_MS = 1_000;

/** A report of a device that goes on. */
export interface OpenReport extends DeviceReport {
  /** Must be called: nothing more of it is read. */
  done(): void;
}

/** What a conversation needs of the server. */
export interface Service {
  readonly places: Places;
  readonly turns: Turns;
  /** Milliseconds of any clock. */
  now(): number;
  report(): OpenReport;
  /** Applied when those that came before are. */
  change(change: DeviceChange): Promise<UapiFault | undefined>;
  scopeOf(name: string): number | undefined;
  onFault(fault: UapiFault): void;
  onDefect(error: unknown): void;
}

export class Conversation {
  readonly #reader: UapiReader;
  /** What has come and is not read yet. */
  #text = "";
  /** It has begun a request that is not answered. */
  #isAsking = false;
  /** Nothing more comes. */
  #isEnded = false;
  /** Nothing more is answered. */
  #isOver = false;
  #wake: () => void = () => {};
  #heardAt: number;

  constructor(private readonly service: Service, private readonly client: net.Socket) {
    this.#reader = new UapiReader((name) => service.scopeOf(name));
    this.#heardAt = service.now();
    client.on("data", (chunk: Uint8Array) => {
      if (this.#isOver) return;
      this.#heardAt = service.now();
      this.#text += latin1(chunk);
      client.pause();
      this.#wake();
    });
    client.on("drain", () => this.#wake());
    client.on("end", () => {
      this.#isEnded = true;
      this.#wake();
    });
    client.on("close", () => {
      this.#isEnded = true;
      this.#isOver = true;
      this.#wake();
    });
  }

  /** When it last sent something, if it waits for no answer since; else undefined. */
  get idleSince(): number | undefined {
    return this.#isAsking || this.#text !== "" ? undefined : this.#heardAt;
  }

  /** Until the client has hung up, or was hung up on. */
  async talk(): Promise<void> {
    const { places } = this.service;
    while (!this.#isOver && (this.#text !== "" || await this.#more())) {
      this.#isAsking = true;
      const place = await places.take(() => this.#loseTurn());
      try {
        await this.#serve(place);
      } finally {
        places.free(place);
        this.#isAsking = false;
      }
    }
    this.client.end();
  }

  /** One request, from its first byte until its answer is taken. */
  async #serve(place: Place): Promise<void> {
    while (!this.#isOver) {
      const request = await this.service.turns.run(this.#read());
      if (request !== undefined) return await this.#answer(request, place);
      if (await place.awaitClient(this.#more())) continue;
      const cut = this.#reader.cut("the client hung up before the end of its request");
      this.#text = "";
      if (cut !== undefined) await this.#answer(cut, place);
      return;
    }
  }

  /** Reads lines to the end of a request, or of what has come. */
  *#read(): Work<UapiRequest | undefined> {
    let start = 0;
    try {
      for (;;) {
        const end = this.#text.indexOf("\n", start);
        const length = (end < 0 ? this.#text.length : end) - start;
        if (length > LINE_MAX) {
          const what = `a line is longer than ${LINE_MAX} bytes`;
          return { kind: "fault", fault: { errno: "EINVAL", what }, isLost: true };
        }
        if (end < 0) return undefined;
        const line = this.#text.slice(start, end);
        start = end + 1;
        const request = this.#reader.line(line);
        if (request !== undefined) return request;
        yield;
      }
    } finally {
      this.#text = this.#text.slice(start);
    }
  }

  /** Waits for more to read. @returns false: nothing more comes */
  async #more(): Promise<boolean> {
    const had = this.#text.length;
    while (this.#text.length === had && !this.#isEnded) {
      this.client.resume();
      await this.#news();
    }
    return this.#text.length > had && !this.#isOver;
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#wake = resolve);
  }

  async #answer(request: UapiRequest, place: Place): Promise<void> {
    try {
      switch (request.kind) {
        case "get":
          return await this.#write(await this.service.turns.run(this.#report()), place);
        case "set": {
          const fault = await this.service.change(request.change);
          if (fault !== undefined) this.service.onFault(fault);
          return await this.#write([writeStatus(fault?.errno)], place);
        }
        case "fault":
          if (request.isLost) return this.#hangUp(request.fault);
          this.service.onFault(request.fault);
          return await this.#write([writeStatus(request.fault.errno)], place);
      }
    } catch (error) {
      // Told, and then left to onDefect: a device that threw half way is not to be trusted.
      this.client.write(writeStatus("EIO"));
      this.service.onDefect(error);
    }
  }

  /** All of it before anything is written: a client that reads slowly must not make it old. */
  *#report(): Work<string[]> {
    const report = this.service.report();
    try {
      const pieces: string[] = [];
      let piece = "";
      for (const lines of writeReport(report)) {
        piece += lines;
        if (piece.length >= PIECE) {
          pieces.push(piece);
          piece = "";
        }
        yield;
        if (this.#isOver) return [];
      }
      return [...pieces, piece + writeStatus(undefined)];
    } finally {
      report.done();
    }
  }

  async #write(pieces: readonly string[], place: Place): Promise<void> {
    for (const piece of pieces) {
      if (this.#isOver) return;
      if (!this.client.write(piece)) await place.awaitClient(this.#drained());
    }
  }

  async #drained(): Promise<void> {
    while (this.client.writableNeedDrain && !this.#isOver) await this.#news();
  }

  /** Others wait for the place that this client's request holds, and it does nothing. */
  #loseTurn(): void {
    const what = "the client left its request, or the answer to it, unfinished while others wait";
    this.#hangUp({ errno: "ETIMEDOUT", what });
  }

  #hangUp(fault: UapiFault): void {
    const isAnswering = this.client.writableNeedDrain;
    this.#isOver = true;
    this.#text = "";
    this.service.onFault(fault);
    if (isAnswering) this.client.destroy(); // It does not read: no errno would reach it.
    else sayGoodBye(this.client, fault.errno);
    this.#wake();
  }
}

/**
 * The last words to a client. What it still sends is thrown away: a socket that is closed on unread
 * bytes loses the answer, too.
 */
export function sayGoodBye(client: net.Socket, errno: ErrnoName): void {
  const patience = setTimeout(() => client.destroy(), GOOD_BYE_MS);
  client.on("close", () => clearTimeout(patience));
  client.resume();
  client.end(writeStatus(errno));
}

function latin1(chunk: Uint8Array): string {
  return new TextDecoder("latin1").decode(chunk);
}
