import assert from "node:assert/strict";
import fc from "fast-check";
import type { PeerId } from "../../mesh/machine.ts";
import type { PeerReport } from "./uapi.ts";
import { type Reading, Versions } from "./versions.ts";

/** Peers that have nothing but a preshared key: what it says and that it is wiped is all that counts. */
class Peers {
  readonly all = new Map<PeerId, Uint8Array>();
  readonly versions = new Versions();
  #last = 0;

  report(id: PeerId): PeerReport | undefined {
    const presharedKey = this.all.get(id);
    return presharedKey && {
      publicKey: new Uint8Array(32),
      presharedKey,
      endpoint: undefined,
      lastHandshake: 0,
      txBytes: 0,
      rxBytes: 0,
      persistentKeepalive: 0,
      prefixes: [],
    };
  }

  read(): Reading {
    return this.versions.read(() => this.#settings());
  }

  begin(): void {
    this.versions.begin(this.#settings());
  }

  /** One change of a set: wipes the old key, as the tunnels do. */
  change(pick: number, kind: "add" | "change" | "remove"): void {
    const ids = [...this.all.keys()];
    const id = ids[pick % Math.max(ids.length, 1)];
    if (kind === "add") this.all.set(++this.#last, key(pick));
    if (kind === "add" || id === undefined) return;
    this.versions.keep(id, () => this.report(id));
    this.all.get(id)?.fill(0);
    if (kind === "change") this.all.set(id, key(pick));
    else this.all.delete(id);
  }

  show(): string {
    return [...this.all].map(([id, psk]) => `${id} ${psk.toHex()}`).join("\n");
  }

  shown({ settings, kept }: Reading): string {
    return settings.peers.flatMap((id) => {
      const report = kept(id) ?? this.report(id);
      return report ? [`${id} ${report.presharedKey.toHex()}`] : [];
    }).join("\n");
  }

  #settings() {
    return {
      privateKey: key(7),
      listenPort: 0,
      fwmark: 0,
      peers: [...this.all.keys()],
    };
  }
}

function key(n: number): Uint8Array {
  return new Uint8Array(4).fill(1 + n % 250);
}

const act = fc.record({
  kind: fc.constantFrom("add", "change", "remove", "set", "set", "read", "done", "look"),
  pick: fc.nat(1000),
});

Deno.test("T46: a report shows the device as it was between two sets, whatever is applied meanwhile", () => {
  fc.assert(fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
    const peers = new Peers();
    const open: { reading: Reading; expected: string }[] = [];
    let isSetting = false;
    let between = "";
    for (const { kind, pick } of acts) {
      if (kind === "set") {
        if (isSetting) peers.versions.end();
        else peers.begin();
        isSetting = !isSetting;
        between = peers.show();
      } else if (kind === "read") {
        open.push({ reading: peers.read(), expected: between });
      } else if (kind === "done") {
        const [gone] = open.splice(pick % Math.max(open.length, 1), 1);
        gone?.reading.done();
      } else if (kind !== "look" && isSetting) peers.change(pick, kind);
      for (const { reading, expected } of open) assert.equal(peers.shown(reading), expected);
      if (!isSetting && open.length === 0) assert.equal(peers.versions.size, 1, "nothing is kept");
    }
  }));
});

Deno.test("what was kept for a report is wiped when the report is done, and with none when the set is (R65)", () => {
  const peers = new Peers();
  peers.begin();
  peers.change(0, "add");
  peers.versions.end();
  const kept: Uint8Array[] = [];
  const changeAll = () => {
    peers.begin();
    const reading = peers.read();
    peers.change(0, "change");
    const secrets = [reading.kept(1)?.presharedKey, reading.settings.privateKey];
    kept.push(...secrets.flatMap((secret) => secret ? [secret] : []));
    reading.done();
    peers.versions.end();
  };
  const early = peers.read();
  changeAll();
  changeAll();
  assert.equal(kept.length, 4);
  const isWiped = (secret: Uint8Array) => secret.every((byte) => byte === 0);
  assert.ok(!kept.some(isWiped), "the early report still reads them");
  assert.equal(peers.versions.size, 3);
  early.done();
  assert.ok(kept.every(isWiped));
  changeAll();
  assert.ok(kept.every(isWiped), "nobody reads any more");
});
