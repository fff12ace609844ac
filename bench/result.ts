/** What a benchmark found, as data and as Markdown. */

import type { Machine } from "./machine.ts";
import { median } from "./statistics.ts";

/** A thing that is measured. */
export interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** What it must reach: of ours ÷ theirs, or of ours alone. */
  readonly goal?: { readonly of: "ratio" | "value"; readonly bound: number };
}

/** What one contender did: for every figure, one value a repetition. */
export interface Series {
  readonly contender: string;
  readonly version: string;
  readonly values: Readonly<Record<string, readonly number[]>>;
}

export interface Result {
  readonly v: 1;
  readonly name: string;
  readonly title: string;
  /** How each figure is measured; paragraphs of Markdown. */
  readonly method: readonly string[];
  readonly command: string;
  readonly machine: Machine;
  readonly parameters: Readonly<Record<string, number | string>>;
  readonly figures: readonly Figure[];
  /** Ours first; a second one, if any, is what the ratios divide by. */
  readonly series: readonly Series[];
  /** Whatever else was written down during the runs. */
  readonly raw: unknown;
}

/** The table as Markdown: medians with their ranges, ratios, and what was asked. */
export function table(result: Result): string {
  const [ours, theirs] = result.series;
  if (ours === undefined) throw new TypeError("a result without a series");
  const head = ["figure", ...result.series.map(({ contender }) => contender)];
  if (theirs !== undefined) head.push(`${ours.contender} ÷ ${theirs.contender}`);
  head.push("asked", "reached");
  const rows = result.figures.map((figure) => {
    const middle = (series: Series) => median(series.values[figure.key] ?? []);
    const ratio = theirs === undefined ? NaN : middle(ours) / middle(theirs);
    const cells = [`${figure.title}, ${figure.unit}`];
    for (const series of result.series) cells.push(spread(series.values[figure.key] ?? []));
    if (theirs !== undefined) cells.push(ratio.toFixed(2));
    const { goal } = figure;
    if (goal === undefined) return [...cells, "–", "–"];
    const got = goal.of === "ratio" ? ratio : middle(ours);
    const reached = figure.better === "higher" ? got >= goal.bound : got <= goal.bound;
    const sign = figure.better === "higher" ? "≥" : "≤";
    const what = goal.of === "ratio" ? "ratio " : "";
    return [...cells, `${what}${sign} ${goal.bound}`, reached ? "yes" : "**no**"];
  });
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** The page beside the data: the table, how it was measured, and on what. */
export function page(result: Result): string {
  const { machine } = result;
  const tools = Object.entries(machine.tools).map(([name, version]) => `${name}: ${version}`);
  return `# ${result.title}

${table(result)}

Medians, with the smallest and the largest repetition in brackets. Reproduce with \`${result.command}\`.

![plot](plot.svg)

${result.method.join("\n\n")}

Measured on ${machine.date} at commit ${machine.commit}: ${machine.cpu} (${
    machine.cpu_flags.join(" ")
  }),
${machine.cores} cores, ${machine.memory_mib} MiB, Linux ${machine.kernel}, ${machine.system}.
${result.series.map(({ contender, version }) => `${contender}: ${version}`).join("; ")}; ${
    tools.join("; ")
  }.
Every repetition is in \`data.json\`.
`;
}

function spread(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${short(median(values))} (${short(low)}–${short(high)})`;
}

/** Three digits that count. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}
