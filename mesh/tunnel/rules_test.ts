/**
 * T3: each of the 66 rules has its tests, here, in core or beside the program. The table says
 * where; it is checked that what stands there cites the rule (the head of a C test counts too, as
 * its functions need not carry numbers). Positive and negative case stand
 * together, in one test or side by side.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const FILES = {
  aead: "core/tests/aead_test.c",
  coreDevice: "core/tests/device_test.c",
  coreFaults: "core/tests/faults_test.c",
  gate: "core/tests/gate_test.c",
  packet: "core/tests/packet_test.c",
  corePeer: "core/tests/peer_test.c",
  replay: "core/tests/replay_test.c",
  rx: "core/tests/rx_test.c",
  session: "core/tests/session_test.c",
  staging: "core/tests/staging_test.c",
  admission: "mesh/tunnel/admission_test.ts",
  cookie: "mesh/noise/cookie_test.ts",
  noise: "mesh/noise/handshake_test.ts",
  indices: "mesh/noise/indices_test.ts",
  messages: "mesh/noise/messages_test.ts",
  tai64n: "mesh/noise/tai64n_test.ts",
  duties: "mesh/tunnel/duties_test.ts",
  handshakes: "mesh/tunnel/handshakes_test.ts",
  slots: "mesh/tunnel/slots_test.ts",
  tunnels: "mesh/tunnel/tunnels_test.ts",
  uapi: "src/wg/uapi_test.ts",
} as const;

const RULES: Readonly<Record<number, readonly (keyof typeof FILES)[]>> = {
  1: ["tunnels", "coreDevice"],
  2: ["session"],
  3: ["duties", "coreDevice"],
  4: ["session", "coreDevice", "tunnels"],
  5: ["duties"],
  6: ["duties"],
  7: ["duties"],
  8: ["cookie"],
  9: ["admission"],
  10: ["duties"],
  11: ["duties", "coreDevice"],
  12: ["duties"],
  13: ["replay"],
  14: ["gate"],
  15: ["gate"],
  16: ["staging"],
  17: ["tunnels", "uapi"],
  18: ["packet", "coreDevice"],
  19: ["handshakes", "rx"],
  20: ["messages", "admission", "gate"],
  21: ["messages", "admission", "gate"],
  22: ["noise"],
  23: ["noise", "aead"],
  24: ["noise", "handshakes"],
  25: ["noise", "admission"],
  26: ["indices", "handshakes"],
  27: ["noise", "handshakes"],
  28: ["gate", "cookie"],
  29: ["gate", "cookie"],
  30: ["gate", "cookie"],
  31: ["gate", "cookie"],
  32: ["gate", "cookie"],
  33: ["gate", "cookie"],
  34: ["cookie", "handshakes"],
  35: ["admission", "rx"],
  36: ["tai64n", "admission"],
  37: ["tai64n", "admission"],
  38: ["handshakes"],
  39: ["admission"],
  40: ["slots", "handshakes", "corePeer"],
  41: ["slots", "handshakes", "corePeer"],
  42: ["slots", "handshakes", "corePeer"],
  43: ["slots", "handshakes", "corePeer"],
  44: ["coreDevice"],
  45: ["handshakes", "coreDevice"],
  46: ["rx", "replay"],
  47: ["replay", "rx"],
  48: ["session"],
  49: ["packet", "rx"],
  50: ["rx", "tunnels"],
  51: ["coreDevice"],
  52: ["packet", "rx"],
  53: ["handshakes", "coreDevice"],
  54: ["handshakes", "duties", "coreFaults"],
  55: ["handshakes", "coreDevice"],
  56: ["corePeer", "coreFaults"],
  57: ["duties", "coreDevice"],
  58: ["duties"],
  59: ["duties"],
  60: ["duties", "coreDevice"],
  61: ["duties", "slots"],
  62: ["duties", "staging"],
  63: ["duties"],
  64: ["duties", "admission", "session"],
  65: ["noise", "tunnels"],
  66: ["tunnels", "uapi"],
};

/** The rules that a text cites one by one, as `R7` or in a C function's name as `r7_`. */
function citedIn(text: string): Set<number> {
  const cited = text.matchAll(/(?<![A-Za-z0-9])[Rr](\d{1,2})(?![A-Za-z0-9])/g);
  return new Set(Array.from(cited, ([, rule]) => Number(rule)));
}

Deno.test("T3: every rule from 1 to 66 has a test that cites it", () => {
  const root = new URL("../../", import.meta.url);
  const cited = new Map(
    Object.entries(FILES).map(([name, path]) => {
      const text = Deno.readTextFileSync(fileURLToPath(new URL(path, root)));
      return [name, citedIn(path.endsWith(".ts") ? text.replace(/^\/\*[\s\S]*?\*\//, "") : text)];
    }),
  );
  for (let rule = 1; rule <= 66; rule++) {
    assert.ok(RULES[rule]?.length, `R${rule} is tested nowhere`);
    for (const name of RULES[rule] ?? []) {
      assert.ok(cited.get(name)?.has(rule), `R${rule} is not cited in ${FILES[name]}`);
    }
  }
});

Deno.test("a citation is a whole word, and its number is whole", () => {
  assert.deepEqual(
    [...citedIn("R1, r20_each (R3) XR4 R5a R67b TR6 R66; R123")],
    [1, 20, 3, 66],
  );
});
