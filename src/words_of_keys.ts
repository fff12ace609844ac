/**
 * Secret keys as words that a person can write on paper and type again: BIP-39's English list, 24 words
 * for 32 bytes with a checksum, so that a slip of the pen is noticed.
 */
import { entropyToMnemonic, mnemonicToEntropy } from "npm:@scure/bip39@2.4.0";
import { wordlist } from "npm:@scure/bip39@2.4.0/wordlists/english.js";
import { Exit, Failure } from "./exit.ts";
import { withoutHeading } from "./paper.ts";

const KEY_LENGTH = 32;
const WORDS = 24;
/** Characters of a paper with its heading, spaces and numbers, and some more. */
const TEXT_MAX = 4096;

export function wordsOf(seed: Uint8Array): string {
  return entropyToMnemonic(seed, wordlist);
}

/**
 * The 32 bytes of 24 words, in any case, with any white space between them, with or without their numbers, and with or
 * without the heading of a paper.
 * @throws {Failure} usage (2): a word that is none, another number of words, words out of their order by their numbers, or
 * a checksum that does not fit; it names no word, for they are secret
 */
export function seedOf(text: string): Uint8Array {
  if (text.length > TEXT_MAX) {
    throw new Failure(
      Exit.usage,
      `words: ${text.length} characters were given, and ${WORDS} words have a few hundred: type the words alone`,
    );
  }
  const words = withoutNumbers(withoutHeading(text));
  if (words.length !== WORDS) {
    const given = words.length === 1 ? "1 word was given" : `${words.length} words were given`;
    throw new Failure(
      Exit.usage,
      `words: ${given} and a key has ${WORDS}: type all of them`,
    );
  }
  const strange = words.findIndex((word) => !wordlist.includes(word));
  if (strange >= 0) {
    throw new Failure(
      Exit.usage,
      `words: word ${strange + 1} is not in the list: look at its spelling`,
    );
  }
  try {
    const seed = mnemonicToEntropy(words.join(" "), wordlist);
    if (seed.length === KEY_LENGTH) return seed;
  } catch {
    // Said below.
  }
  throw new Failure(
    Exit.usage,
    "words: the words do not fit together: one is wrong, or two have changed places",
  );
}

/**
 * Whether a text has as many words of the list as a key has. What else is in it does not count: who stops reading after
 * a heading and some of the words leaves the rest of the secret to whoever reads next.
 */
export function hasAllWords(text: string): boolean {
  const isOfList = (piece: string) => wordlist.includes(numberAndWord(piece).word);
  return pieces(withoutHeading(text)).filter(isOfList).length >= WORDS;
}

/** What stands between white space; a number before a word says where the word belongs. */
function withoutNumbers(text: string): string[] {
  const words: string[] = [];
  let number: string | undefined;
  for (const piece of pieces(text)) {
    const { digits, word } = numberAndWord(piece);
    if (digits !== "") number = digits;
    if (word === "") continue;
    words.push(word);
    const isInOrder = number === undefined || Number(number) === words.length;
    const before = number;
    number = undefined;
    if (isInOrder) continue;
    throw new Failure(
      Exit.usage,
      `words: the number ${before} stands before word ${words.length}: type them in the order of their numbers`,
    );
  }
  return words;
}

function pieces(text: string): string[] {
  return text.toLowerCase().split(/\s+/);
}

function numberAndWord(piece: string): { readonly digits: string; readonly word: string } {
  const [, digits = "", word = ""] = /^(\d*)[.:)]?(.*)$/.exec(piece) ?? [];
  return { digits, word };
}
