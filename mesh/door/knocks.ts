/**
 * What a door does with a hello or an ask before anybody looks at its content: the checks in the order
 * of their cost, and the budgets that keep a flood from stopping others.
 *
 * ```
 * hello    form -> copy? -> mac -+- no pass -----> share of those without ---+-> open
 *                                |                  +- none left: retry       |
 *                                +- pass of this address -> share of those with
 * ask      form -> is the door open? -> offer
 * request  form -> is the door open? -> copy? -> mac (cookie of this address) -> share -> open
 * ```
 *
 * - A datagram that was opened once is a copy for as long as it is remembered: it costs a look-up and
 *   gets no answer, from wherever it comes. So whoever knocks seals each datagram anew, also for the
 *   second address of one door.
 * - Garbage costs one tag at most (contact.ts), a twentieth of a multiplication of a point.
 * - A source address can be invented. Hellos that have not proven theirs share a budget; when it is
 *   used up the door is busy and answers with a retry (76 bytes for 1,232). The cookie in it opens a
 *   second budget, which invented addresses cannot touch and which is fair between origins and
 *   networks. Invented hellos therefore delay a true one by one round trip, as long as the machine
 *   keeps up with hashing them and sends retries: 1,000 a second at most.
 * - Requests of a token-less ask have all proven their address.
 *
 * Somebody with thousands of true addresses in hundreds of networks can use up the second budget as
 * well: then everybody gets the same chance a try, and those who knock go on trying (joiner.ts).
 */
import type { Crypto } from "../crypto.ts";
import type { Endpoint } from "../endpoint.ts";
import type { Now, Random } from "../machine.ts";
import {
  type OpenedRequest,
  openRequest,
  readAsk,
  type ReadRequest,
  sealOffer,
  secretOf,
} from "../wire/ask.ts";
import { labelOf } from "../wire/box.ts";
import {
  claimsPass,
  type DoorKey,
  hasPass,
  isForDoor,
  type KeyHolder,
  type OpenedHello,
  openHello,
  type ReadHello,
  readHello,
  sealRetry,
} from "../wire/contact.ts";
import { cookieOf, DoorSecrets } from "../wire/door_secrets.ts";
import { Allowance, type Share } from "./allowance.ts";
import { FairBudget, type Shares } from "./fair_budget.ts";

/** Opened datagrams whose copies are known; at the limit the oldest is forgotten. */
export const COPIES_KNOWN = 4096;

/** To open and answer one takes four multiplications of a point and a signature: half a millisecond. */
const ORIGIN: Share = { rate: 8, burst: 16 };
const NETWORK: Share = { rate: 32, burst: 64 };
/** Hellos whose address is not proven: 2.5 % of a core. */
export const UNPROVEN: Shares = { origin: ORIGIN, network: NETWORK, all: { rate: 50, burst: 100 } };
/** Hellos whose address is proven: 5 % of a core. */
export const PROVEN: Shares = { origin: ORIGIN, network: NETWORK, all: { rate: 100, burst: 200 } };
/** Requests without a token, proven all of them: each is repeated every two seconds, 4 an origin. */
export const REQUESTS: Shares = { ...PROVEN, origin: { rate: 2, burst: 8 } };
/** Retries and offers, a few short hashes each. */
export const CHEAP: Share = { rate: 1000, burst: 1000 };

const PASS = labelOf("hello cookie");

export interface Knock {
  readonly bytes: Uint8Array;
  readonly from: Endpoint;
}

/** What came of a hello, an ask or a request; undefined: nothing, and why is counted. */
export type Heard =
  | { readonly kind: "hello"; readonly hello: OpenedHello }
  | { readonly kind: "request"; readonly request: OpenedRequest }
  /** To be sent back to where the knock came from: a retry or an offer. */
  | { readonly kind: "reply"; readonly bytes: Uint8Array };

export class Knocks {
  readonly #secrets: DoorSecrets;
  readonly #opened = new Set<string>();
  readonly #unproven: FairBudget;
  readonly #proven: FairBudget;
  readonly #requests: FairBudget;
  readonly #retries: Allowance;
  readonly #offers: Allowance;
  /** Knocks that were not opened, by reason, and what was sent instead. */
  readonly counts = {
    /** Of another version, size or form. */
    malformed: 0,
    /** Opened before. */
    copy: 0,
    /** Its sender does not know this door's key, or has not received at its address. */
    foreign: 0,
    /** The mac fits and the seal does not. */
    forged: 0,
    /** A share was used up, and so were the retries or offers. */
    busy: 0,
    /** An ask or a request while no person has opened the door. */
    closed: 0,
    retries: 0,
    offers: 0,
    opened: 0,
  };

  constructor(
    now: Now,
    private readonly crypto: Crypto,
    private readonly random: Random,
    private readonly door: DoorKey,
    private readonly holder: KeyHolder,
  ) {
    this.#secrets = new DoorSecrets(crypto, random);
    this.#unproven = new FairBudget(random, UNPROVEN);
    this.#proven = new FairBudget(random, PROVEN);
    this.#requests = new FairBudget(random, REQUESTS);
    this.#retries = new Allowance(now, CHEAP);
    this.#offers = new Allowance(now, CHEAP);
  }

  hello(now: Now, { bytes, from }: Knock): Heard | undefined {
    const hello = readHello(bytes);
    if (hello === undefined) return this.#drop("malformed");
    const name = hello.ephemeral.toHex();
    if (this.#opened.has(name)) return this.#drop("copy");
    if (!isForDoor(this.crypto, this.door, hello)) return this.#drop("foreign");
    const isProven = this.#isProven(now, hello, from);
    const budget = isProven ? this.#proven : this.#unproven;
    if (budget.take(now, from) !== undefined) {
      return isProven ? this.#drop("busy") : this.#retry(now, hello, from);
    }
    const opened = openHello(this.crypto, this.door, this.holder, hello);
    if (opened === undefined) return this.#drop("forged");
    this.#remember(name);
    return { kind: "hello", hello: opened };
  }

  /** @param isOpen whether asks are answered now, see requests.ts. */
  ask(now: Now, { bytes, from }: Knock, isOpen: boolean): Heard | undefined {
    const read = readAsk(bytes);
    if (read === undefined) return this.#drop("malformed");
    if (!isOpen) return this.#drop("closed");
    if (read.step === "request") return this.#request(now, read, from);
    if (!this.#offers.take(now)) return this.#drop("busy");
    this.counts.offers++;
    const secret = this.#secrets.current(now);
    return { kind: "reply", bytes: sealOffer(this.crypto, secret, read, from) };
  }

  /** How many opened datagrams are remembered. */
  get remembered(): number {
    return this.#opened.size;
  }

  #request(now: Now, request: ReadRequest, from: Endpoint): Heard | undefined {
    const name = request.mac.toHex();
    if (this.#opened.has(name)) return this.#drop("copy");
    const secret = secretOf(this.crypto, this.#secrets.valid(now), request, from);
    if (secret === undefined) return this.#drop("foreign");
    if (this.#requests.take(now, from) !== undefined) return this.#drop("busy");
    const opened = openRequest(this.crypto, secret, request);
    if (opened === undefined) return this.#drop("forged");
    this.#remember(name);
    return { kind: "request", request: opened };
  }

  #isProven(now: Now, hello: ReadHello, from: Endpoint): boolean {
    return claimsPass(hello) &&
      this.#secrets.valid(now).some((secret) =>
        hasPass(this.crypto, cookieOf(this.crypto, secret, PASS, from), hello)
      );
  }

  #retry(now: Now, hello: ReadHello, from: Endpoint): Heard | undefined {
    if (!this.#retries.take(now)) return this.#drop("busy");
    this.counts.retries++;
    const cookie = cookieOf(this.crypto, this.#secrets.current(now), PASS, from);
    const bytes = sealRetry(this.crypto, this.random, this.door, hello, cookie);
    return { kind: "reply", bytes };
  }

  #remember(name: string): void {
    this.counts.opened++;
    const [oldest] = this.#opened;
    if (this.#opened.size >= COPIES_KNOWN && oldest !== undefined) this.#opened.delete(oldest);
    this.#opened.add(name);
  }

  #drop(why: Exclude<keyof Knocks["counts"], "retries" | "offers" | "opened">): undefined {
    this.counts[why]++;
    return undefined;
  }
}
