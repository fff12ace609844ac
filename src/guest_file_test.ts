/** The file that a person carries to a device: in WireGuard's own words, and as a picture that a camera reads. */
import assert from "node:assert/strict";
import decodeQR from "qr/decode.js";
import { Exit } from "./exit.ts";
import { type GuestFile, guestFileText, qrText } from "./guest_file.ts";
import { main } from "./main.ts";

const KEY = new Uint8Array(32).fill(7).toBase64();
const FILE: GuestFile = {
  name: "phone",
  ip4: "100.64.9.9",
  ip6: "fd57:b429:3cd9::9",
  host: "lyon",
  mesh: "home",
  host_key: KEY,
  endpoint: "203.0.113.9:51820",
  networks: ["100.64.0.0/10", "fd57:b429:3cd9::/64"],
  mtu: 1420,
  expires: "2027-11-26T00:00:00.000Z",
};

Deno.test("the file has all that wg-quick and the apps need", () => {
  assert.equal(
    guestFileText(FILE, "cHJpdmF0ZQ==", ["100.64.1.1", "home.internal"]),
    `# phone, a guest of lyon in the mesh home, until 2027-11-26T00:00:00.000Z
[Interface]
PrivateKey = cHJpdmF0ZQ==
Address = 100.64.9.9/32, fd57:b429:3cd9::9/128
DNS = 100.64.1.1, home.internal
MTU = 1420

[Peer]
PublicKey = ${KEY}
AllowedIPs = 100.64.0.0/10, fd57:b429:3cd9::/64
Endpoint = 203.0.113.9:51820
PersistentKeepalive = 25`,
  );
});

Deno.test("where the private key stays on the device, the file says plainly what to put there", () => {
  const text = guestFileText(FILE, undefined, []);
  assert.match(
    text,
    /# the private key is on the device alone: put it here there\nPrivateKey = REPLACE-THIS/,
  );
  assert.doesNotMatch(text, /DNS/);
});

/** What a camera sees of a terminal: light blocks on dark ground, eight points a half block. */
function photographed(text: string) {
  const SCALE = 8;
  const lines = text.split("\n");
  const width = Math.max(...lines.map((line) => [...line].length)) * SCALE;
  const height = lines.length * 2 * SCALE;
  const data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++) {
    const row = [...lines[Math.floor(y / SCALE / 2)] ?? ""];
    const isUpper = Math.floor(y / SCALE) % 2 === 0;
    for (let x = 0; x < width; x++) {
      const sign = row[Math.floor(x / SCALE)] ?? " ";
      const isLight = sign === "█" || sign === (isUpper ? "▀" : "▄");
      data.set([...Array(3).fill(isLight ? 255 : 0), 255], 4 * (y * width + x));
    }
  }
  return { width, height, data };
}

Deno.test("a camera reads the file from the terminal", () => {
  const text = guestFileText(FILE, KEY, []);
  assert.equal(decodeQR(photographed(qrText(text, false))), text);
  const coloured = qrText(text, true);
  const [light, plain] = ["\x1b[97;40m", "\x1b[0m"];
  const lines = coloured.split("\n");
  for (const line of lines) assert.ok(line.startsWith(light) && line.endsWith(plain));
  const bare = lines.map((line) => line.slice(light.length, -plain.length)).join("\n");
  assert.equal(bare, qrText(text, false));
});

Deno.test("what makes no sense is refused before the node is asked", async () => {
  const run = async (...args: string[]) => {
    let err = "";
    const io = {
      out: () => {},
      err: (line: string) => void (err += line),
      env: () => undefined,
      color: false,
    };
    return { code: await main(["guest", ...args, "--state", "/nonexistent"], io), err };
  };
  const cases: [string[], RegExp][] = [
    [[], /^guest: what it is to do is missing/],
    [["invent", "x"], /there is no 'invent': use add, list, renew or remove/],
    [["add"], /add what\? Its name is missing/],
    [["list", "x"], /list takes no name/],
    [["add", "x", "--public-key", "abc"], /'abc' is no key: 44 characters/],
    [["add", "x", "--public-key", `${"A".repeat(42)}B=`], /is no key/],
    [["add", "x", "--endpoint", "a b"], /--endpoint/],
    [["add", "x", "--expires", "soon"], /--expires 'soon'/],
    [["add", "x", "--groups", "A!"], /--groups/],
    [["add", "x", "--mtu", "100"], /--mtu '100' is not a whole number from 1280/],
    [["add", "x", "--dns", "8.8.8.8,$(x)"], /--dns '\$\(x\)' is neither an address nor a domain/],
  ];
  for (const [args, why] of cases) {
    const { code, err } = await run(...args);
    assert.equal(code, Exit.usage, `${args}: ${err}`);
    assert.match(err, why);
  }
  const host = await run("add", "phone", "--dns", "host");
  assert.equal(host.code, Exit.notRunning, "the node says where it answers names");
  const { code } = await run("add", "phone", "--public-key", KEY);
  assert.equal(code, Exit.notRunning, "what makes sense is asked of the node");
});
