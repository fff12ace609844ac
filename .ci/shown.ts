/** An argument as it is shown to a person: in quotes, and nothing in it is a character that a terminal obeys. */
export function shown(text: string): string {
  return `"${plain(text)}"`;
}

/** Control characters of a text as escapes. */
export function plain(text: string): string {
  return text.replaceAll(
    /\p{Cc}/gu,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
