/** An argument as it is shown to a person: in quotes, and nothing in it is a character that a terminal obeys. */
export function shown(text: string): string {
  return `"${plain(text)}"`;
}

/** What moves a cursor, breaks a line, turns its direction or is seen by nobody, as escapes. */
export function plain(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (sign) =>
      sign.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join(
        "",
      ),
  );
}
