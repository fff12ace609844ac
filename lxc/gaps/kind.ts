/** A kind of disturbance that is measured again and again, and what one run of it found. */

export interface Kind {
  readonly key: string;
  readonly title: string;
  readonly unit: "ms" | "packets";
  /** The most that the median may be. */
  readonly most: number;
  /** How it is measured, for the page of the results. */
  readonly method: string;
  /** One run in a laboratory of its own. Throws when the traffic or the thing never came back. */
  readonly measure: () => Promise<Sample>;
}

export interface Sample {
  readonly value: number;
  /** What else the run showed. */
  readonly note?: string;
}
