/** The file that a guest's WireGuard reads (wg-quick(8), and the apps for phones), and its QR code. */
import encodeQR from "npm:qr@0.7.0";

/** What the node says of a guest, and what a person chose. */
export interface GuestFile {
  readonly name: string;
  readonly ip4: string;
  readonly ip6: string;
  /** The member that serves it, and the mesh. */
  readonly host: string;
  readonly mesh: string;
  /** base64 */
  readonly host_key: string;
  /** `HOST:PORT` */
  readonly endpoint: string;
  /** The networks of the mesh. */
  readonly networks: readonly string[];
  readonly mtu: number;
  /** RFC 3339 */
  readonly expires: string;
}

/** Seconds between two packets that hold the mapping of a NAT: what WireGuard's own manual advises. */
const KEEPALIVE = 25;
const NO_PRIVATE_KEY = "REPLACE-THIS-BY-THE-PRIVATE-KEY-OF-THE-DEVICE";

/**
 * @param privateKey base64; undefined: it never left the device, and has to be put in there
 * @param dns addresses and search domains
 */
export function guestFileText(
  file: GuestFile,
  privateKey: string | undefined,
  dns: readonly string[],
): string {
  const { name, host, mesh, ip4, ip6, mtu, host_key, networks, endpoint, expires } = file;
  return [
    `# ${name}, a guest of ${host} in the mesh ${mesh}, until ${expires}`,
    "[Interface]",
    ...(privateKey === undefined
      ? ["# the private key is on the device alone: put it here there"]
      : []),
    `PrivateKey = ${privateKey ?? NO_PRIVATE_KEY}`,
    `Address = ${ip4}/32, ${ip6}/128`,
    ...(dns.length > 0 ? [`DNS = ${dns.join(", ")}`] : []),
    `MTU = ${mtu}`,
    "",
    "[Peer]",
    `PublicKey = ${host_key}`,
    `AllowedIPs = ${networks.join(", ")}`,
    `Endpoint = ${endpoint}`,
    `PersistentKeepalive = ${KEEPALIVE}`,
  ].join("\n");
}

/**
 * A text as a QR code of half blocks, light on dark.
 * @param color says so to the terminal, whose own colours may be the other way round
 */
export function qrText(text: string, color: boolean): string {
  const lines = encodeQR(text, "ascii", { ecc: "low", border: 2 }).trimEnd().split("\n");
  return lines.map((line) => color ? `\x1b[97;40m${line}\x1b[0m` : line).join("\n");
}
