/** Samples of call stacks, folded: a line each, `THREAD-PID;outer;…;inner COUNT`, as inferno writes them. */

/** One program's samples have to be told from another's. */
export type Ends = ReadonlyMap<number, string>;

/** The same lines, with the word for each program and the name of its thread in place of the pid; others are left out. */
export function named(folded: string, ends: Ends): string {
  const lines: string[] = [];
  for (const line of folded.split("\n")) {
    const match = /^(.*?)-(\d+)(;.*)$/.exec(line);
    const end = ends.get(Number(match?.[2]));
    if (match !== null && end !== undefined) lines.push(`${end};${match[1]}${match[3]}`);
  }
  return lines.join("\n") + "\n";
}

/** What one function had of the samples of an end. */
export interface Share {
  readonly end: string;
  readonly name: string;
  /** 0 to 1: it was running itself. */
  readonly self: number;
  /** 0 to 1: it or what it called was running. */
  readonly total: number;
}

/** Of each end the functions that ran most, most first. Reads lines as `named` writes them. */
export function shares(stacks: string, most: number): Share[] {
  const ends = new Map<string, Counts>();
  for (const line of stacks.split("\n")) {
    const at = line.lastIndexOf(" ");
    const count = Number(line.slice(at + 1));
    const [end = "", _thread, ...frames] = line.slice(0, at).split(";");
    if (at < 0 || frames.length === 0) continue;
    const counts = ends.get(end) ?? { all: 0, self: new Map(), total: new Map() };
    ends.set(end, counts);
    counts.all += count;
    add(counts.self, frames.at(-1) ?? "", count);
    // One that calls itself is there once.
    for (const frame of new Set(frames)) add(counts.total, frame, count);
  }
  return [...ends].flatMap(([end, { all, self, total }]) =>
    [...total].map(([name, count]) => ({
      end,
      name,
      self: (self.get(name) ?? 0) / all,
      total: count / all,
    })).sort((a, b) => b.self - a.self || b.total - a.total).slice(0, most)
  );
}

interface Counts {
  all: number;
  readonly self: Map<string, number>;
  readonly total: Map<string, number>;
}

function add(counts: Map<string, number>, name: string, count: number): void {
  counts.set(name, (counts.get(name) ?? 0) + count);
}

/** As Markdown. `[k]` is the kernel's. */
export function sharesTable(shares: readonly Share[]): string {
  const percent = (share: number) => (share * 100).toFixed(1);
  const rows = shares.map(({ end, name, self, total }) => {
    const shown = name.replace(/_\[k\]$/, " [k]").replaceAll("|", "\\|");
    return `| ${end} | ${shown} | ${percent(self)} | ${percent(total)} |`;
  });
  return ["| end | function | itself, % | with what it calls, % |", "|---|---|---|---|", ...rows]
    .join("\n");
}
