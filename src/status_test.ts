import assert from "node:assert/strict";
import type { GuestStatus, PeerStatus } from "../mesh/status.ts";
import { guestsText, peersText, stateText, statusText } from "./status.ts";

const LYON: PeerStatus = {
  name: "lyon",
  key: "a2V5",
  ip4: "100.64.7.9",
  ip6: "fd00::9",
  groups: [],
  state: "alive",
  path: "direct",
  endpoint: "203.0.113.9:51820",
  rtt_ms: 1.23,
  tx_bytes: 1.2 * 1024 ** 3,
  rx_bytes: 800 * 1024 ** 2,
  handshake_age_s: 12,
  suite: "chacha20-poly1305",
  lanes: 1,
  lanes_max: 1,
  since_s: 300,
  reason: "",
  admin: false,
  standing: "certified",
  mesh_key: false,
  relay: false,
  expires: "2027-01-01T00:00:00Z",
  version: "0.1.0",
};

Deno.test("a peer's state reads as experience.md has it", () => {
  assert.equal(stateText(LYON), "active; direct 203.0.113.9:51820, 1.2 ms, tx 1.2G rx 800M");
  assert.match(stateText({ ...LYON, lanes: 3, lanes_max: 4 }), /, tx 1\.2G rx 800M, 3 lanes$/);
  assert.match(stateText({ ...LYON, suite: "aes-256-gcm" }), /, tx 1\.2G rx 800M, AES-256-GCM$/);
  assert.match(stateText({ ...LYON, path: "none" }), /^waiting; none 203/);
  assert.equal(stateText({ ...LYON, state: "dead" }), "offline 5m");
  assert.equal(
    stateText({ ...LYON, state: "left", reason: "it said good-bye" }),
    "stopped 5m (it said good-bye)",
  );
  assert.equal(
    stateText({ ...LYON, state: "suspect", reason: "no ack" }),
    "suspect 5m (no ack)",
  );
  assert.equal(
    stateText({ ...LYON, handshake_age_s: null, rtt_ms: null }),
    "idle; direct 203.0.113.9:51820",
  );
  assert.equal(
    stateText({
      ...LYON,
      path: "none",
      endpoint: "",
      rtt_ms: null,
      handshake_age_s: null,
      suite: "chacha20-poly1305",
      reason: "no endpoint known",
    }),
    "idle; none (no endpoint known)",
  );
});

const PHONE: GuestStatus = {
  name: "phone",
  key: "a2V5",
  ip4: "100.64.9.9",
  ip6: "fd00::9",
  host: "a-long-name",
  host_key: "00",
  state: "active",
  endpoint: "198.51.100.7:4444",
  tx_bytes: 2048,
  rx_bytes: 100,
  heard_s: 3,
  handshake_age_s: 60,
  groups: ["family"],
  expires: "2027-11-26T00:00:00Z",
};

Deno.test("a guest shows its host, and at its host whether it is there", () => {
  const text = (change: Partial<GuestStatus>) =>
    guestsText([{ ...PHONE, ...change }]).split("\n")[1]?.replace(/^.*family +/, "");
  assert.equal(
    text({}),
    "guest of a-long-name; active 198.51.100.7:4444, tx 2.0K rx 100",
  );
  assert.equal(text({ state: "silent", heard_s: 120 }), "guest of a-long-name; silent 2m");
  assert.equal(
    text({ state: "silent", heard_s: null }),
    "guest of a-long-name; not heard since this node was started",
  );
  assert.equal(text({ state: "elsewhere" }), "guest of a-long-name");
  assert.equal(text({ state: "offline" }), "guest of a-long-name, which is offline");
  assert.equal(guestsText([]), "no guests");
  assert.match(peersText([], [PHONE]), /^ADDRESS .*\n100\.64\.9\.9 +phone +family/);
});

Deno.test("columns line up, and nothing is coloured unless asked", () => {
  const text = statusText({
    v: 1,
    self: {
      name: "a-long-name",
      key: "a2V5",
      ip4: "100.64.100.100",
      ip6: "fd00::1",
      interface: "shoal0",
      port: 51820,
      groups: ["servers"],
      admin: true,
      standing: "admin",
      mesh_key: true,
      expires: "",
    },
    mesh: {
      id: "845e2c6c751c3a28".padEnd(64, "0"),
      name: "lab",
      pool: "100.64.0.0/10",
      key: "00",
      state: "member",
      door_open_s: 540,
    },
    requests: [{ name: "bob", key: "b0b", endpoint: "203.0.113.7:51820", age_s: 70 }],
    trusted: [{ name: "pal", key: "9a1" }],
    void: [{ name: "eve", key: "e7e", by: "mallory" }],
    control: {},
    peers: [LYON],
    names: { enabled: false, servers: [], answered: 0 },
    guests: [PHONE, { ...PHONE, name: "tv", state: "silent", heard_s: 400 }],
    dataplane: {
      aead: "openssl",
      aead_gcm: "libsodium",
      io: "poll",
      io_error: "",
      workers: 1,
      queues: 1,
      steered: false,
      steer_error: "",
      lanes: 1,
      steer_refused: 0,
      offloads: { "tun-tso": true, "udp-gso": false, "connected-sockets": true },
      connected: 3,
      connected_max: 64,
      connected_error: "EMFILE",
      drops: { rx_replay: 3, tx_no_route: 0, new_reason: 1 },
    },
    refused: { core_commands: 0, caught_exceptions: 0, control_clients: 12 },
    health: ["the certificate ends in 12 days: run shoal invite on an admin"],
  }, false);
  assert.equal(
    text,
    `ADDRESS         NAME         GROUPS   STATE
100.64.100.100  a-long-name  servers  this node; shoal0, UDP port 51820; admin; mesh key
100.64.7.9      lyon         -        active; direct 203.0.113.9:51820, 1.2 ms, tx 1.2G rx 800M
100.64.9.9      phone        family   guest of a-long-name; active 198.51.100.7:4444, tx 2.0K rx 100
100.64.9.9      tv           family   guest of a-long-name; silent 6m

asks to join: bob from 203.0.113.7:51820, 1m ago: \`shoal approve --name bob b0b\` admits it
trusted here, not met yet: pal 9a1
no member any more, since mallory lost its office: eve e7e
the door is open for 9m: who asks without a token is heard
health: the certificate ends in 12 days: run shoal invite on an admin
mesh: lab, 845e2c6c751c3a28, addresses from 100.64.0.0/10
data plane: ChaCha20-Poly1305 by openssl; AES-256-GCM by libsodium; poll, 1 worker, on: tun-tso connected-sockets; off: udp-gso
connected sockets of busy peers: 3 of 64; the last one could not be made (EMFILE)
packets dropped: received before, or too late (3); new reason (1)
not done: clients of the control socket beyond 64 (12)`,
  );
  assert.equal(peersText([]), "no peers yet");
  assert.match(peersText([{ ...LYON, admin: true, state: "dead" }]), /offline 5m; admin$/);
});
