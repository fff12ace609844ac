/**
 * What a `get` shows while a `set` is applied beside it, in slices. A version of the configuration
 * lasts from the end of one set to the end of the next. A report shows the version in which it
 * began: before a set changes a peer, the peer's report is kept in the version that the set ends.
 */
import type { PeerId } from "../../mesh/machine.ts";
import type { PeerReport } from "./uapi.ts";

/** What is configured beside the peers. */
export interface Settings {
  readonly privateKey: Uint8Array | undefined;
  readonly listenPort: number;
  readonly fwmark: number;
  readonly peers: readonly PeerId[];
}

interface Version {
  /** Reports that began in it and are not done. */
  readers: number;
  /** As they were, once a set that ends this version has begun. */
  settings: Settings | undefined;
  readonly kept: Map<PeerId, PeerReport>;
}

function version(): Version {
  return { readers: 0, settings: undefined, kept: new Map() };
}

/** What one report reads. */
export interface Reading {
  readonly settings: Settings;
  /** As the peer was; undefined: no set has changed it since. */
  kept(peer: PeerId): PeerReport | undefined;
  /** Must be called: what is kept for this report can go. */
  done(): void;
}

export class Versions {
  /** Oldest first; the last one lasts. */
  readonly #all: Version[] = [version()];

  /** How many versions reports still read, the present one counted. */
  get size(): number {
    return this.#all.length;
  }

  /** A set begins; the secrets of the settings are copied. */
  begin(settings: Settings): void {
    this.#last.settings = { ...settings, privateKey: settings.privateKey?.slice() };
  }

  /** Before a peer is changed for the first time in a set; its secrets are copied. */
  keep(peer: PeerId, report: () => PeerReport | undefined): void {
    const { kept } = this.#last;
    const before = kept.has(peer) ? undefined : report();
    if (before) kept.set(peer, { ...before, presharedKey: before.presharedKey.slice() });
  }

  /** The set is applied, or was refused. */
  end(): void {
    this.#all.push(version());
    this.#forget();
  }

  /** @param settings how it is now; asked for when no set is being applied */
  read(settings: () => Settings): Reading {
    const begun = this.#last;
    begun.readers++;
    return {
      settings: begun.settings ?? settings(),
      kept: (peer) => {
        for (let i = this.#all.indexOf(begun); i < this.#all.length; i++) {
          const report = this.#all[i]?.kept.get(peer);
          if (report) return report;
        }
        return undefined;
      },
      done: () => {
        begun.readers--;
        this.#forget();
      },
    };
  }

  get #last(): Version {
    const last = this.#all.at(-1);
    if (last === undefined) throw new Error("a device has no version");
    return last;
  }

  /** A version is needed by the reports that began in it and in those before it. */
  #forget(): void {
    for (;;) {
      const [oldest, next] = this.#all;
      if (oldest === undefined || next === undefined || oldest.readers > 0) return;
      this.#all.shift();
      oldest.settings?.privateKey?.fill(0);
      for (const { presharedKey } of oldest.kept.values()) presharedKey.fill(0);
    }
  }
}
