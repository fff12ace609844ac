/** The words of a secret key as they are printed to be kept on paper, beside the papers of other meshes. */
const WORDS_A_ROW = 4;

/**
 * A paper: what the words are for and which mesh they are of, and the words with their numbers, some a row, as a person
 * copies and counts them.
 * @param heading without a line end
 */
export function paperOf(heading: string, words: string): string {
  return `${heading}:\n${numberedWords(words)}`;
}

/**
 * What only a heading has: the colon at its end, and the day, which is there still when a person leaves the colon out.
 */
const OF_HEADING = /:\s*$|\d{4}-\d\d-\d\d/;

/** What was typed or pasted, without the heading of a {@link paperOf}. */
export function withoutHeading(text: string): string {
  return text.split("\n").filter((line) => !OF_HEADING.test(line)).join("\n");
}

function numberedWords(words: string): string {
  const cells = words.split(" ").map((word, i) => `${String(i + 1).padStart(2)} ${word}`);
  const width = Math.max(...cells.map(({ length }) => length));
  const rows: string[] = [];
  for (let i = 0; i < cells.length; i += WORDS_A_ROW) {
    const row = cells.slice(i, i + WORDS_A_ROW).map((cell) => cell.padEnd(width));
    rows.push(row.join("   ").trimEnd());
  }
  return rows.join("\n");
}
