/** Seeds: members by the name or address at which a person can reach them. Mesh keeps their texts. */
import { parseEndpoint } from "./endpoint.ts";

export interface Seed {
  /** A host name, or an address without brackets. */
  readonly host: string;
  /** 1..65535 */
  readonly port: number;
}

/** RFC 1123's characters; all digits and dots, and yet no address, is a typing error and no name. */
const HOST_NAME = /^(?=.*[a-zA-Z])[a-zA-Z0-9](?:[a-zA-Z0-9.-]{0,250}[a-zA-Z0-9])?\.?$/;

/** Reads `HOST:PORT`, with brackets around an IPv6 address; undefined when the text is none. */
export function readSeed(text: string): Seed | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const [, address, name = "", digits = ""] = match ?? [];
  const port = Number(digits);
  if (parseEndpoint(text)) return { host: address ?? name, port };
  const isNamed = HOST_NAME.test(name) && port >= 1 && port <= 65_535;
  return isNamed ? { host: name, port } : undefined;
}

/** The text that {@link readSeed} reads. */
export function formatSeed({ host, port }: Seed): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
