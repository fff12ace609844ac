/** Bytes as text that survives a command line and a JSON string: RFC 4648 section 5, without padding. */

export function toBase64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Undefined when a character is foreign or spare bits are set: one text for one string of bytes. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const padded = text.padEnd(Math.ceil(text.length / 4) * 4, "=");
  try {
    return Uint8Array.fromBase64(padded, { alphabet: "base64url", lastChunkHandling: "strict" });
  } catch {
    return undefined; // a SyntaxError is the only way that fromBase64 says no
  }
}
