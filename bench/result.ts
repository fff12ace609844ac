/** What a benchmark found, as data and as Markdown. */

import type { Machine } from "./machine.ts";
import { median, type Ratio, ratio } from "./statistics.ts";

/** A thing that is measured. */
export interface Figure {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
  /** What it must reach: of ours ÷ theirs, or of ours alone. */
  readonly goal?: { readonly of: "ratio" | "value"; readonly bound: number };
  /** Not in the picture. */
  readonly detail?: boolean;
}

/** Something that is not there, and why. */
export interface Absence {
  readonly contender: string;
  readonly why: string;
}

/** What one contender did: for every figure, one value a repetition; NaN (in JSON null) where there is none. */
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
  /** Without a comparison: ours first; a second one, if any, is what the ratios divide by. */
  readonly series: readonly Series[];
  /** Of many contenders: which are set beside which. */
  readonly comparison?: { readonly ours: readonly string[]; readonly baselines: readonly string[] };
  /** Who could not be had here. */
  readonly left_out?: readonly Absence[];
  /** What was begun and did not end. */
  readonly failures?: readonly Absence[];
  /** Whatever else was written down during the runs. */
  readonly raw: unknown;
}

/** The tables as Markdown: medians with their ranges, ratios, and what was asked. */
export function table(result: Result): string {
  if (result.comparison !== undefined) return comparison(result, result.comparison);
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
    if (theirs !== undefined) cells.push(Number.isFinite(ratio) ? ratio.toFixed(2) : "–");
    const { goal } = figure;
    if (goal === undefined) return [...cells, "–", "–"];
    const got = goal.of === "ratio" ? ratio : middle(ours);
    const reached = figure.better === "higher" ? got >= goal.bound : got <= goal.bound;
    const sign = figure.better === "higher" ? "≥" : "≤";
    const what = goal.of === "ratio" ? "ratio " : "";
    return [...cells, `${what}${sign} ${goal.bound}`, reached ? "yes" : "**no**"];
  });
  return lines(head, rows);
}

function lines(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Of fewer turns it is too likely that they agree by chance. */
const TURNS_TO_JUDGE = 3;

type Comparison = NonNullable<Result["comparison"]>;

/** Of many contenders: what each did, the ratios of ours to the baselines, where ours lose, and what is missing. */
function comparison(result: Result, { ours, baselines }: Comparison): string {
  const of = (contender: string, { key }: Figure) =>
    result.series.find((one) => one.contender === contender)?.values[key] ?? [];
  const names = result.series.map(({ contender }) => contender);
  const all = lines(
    ["figure", ...names],
    result.figures.map((figure) => [
      `${figure.title}, ${figure.unit}`,
      ...names.map((name) => spread(of(name, figure))),
    ]),
  );
  const pairs = ours.flatMap((own) => baselines.map((other) => [own, other] as const));
  const lost: string[] = [];
  const ratios = result.figures.filter(({ detail }) => detail !== true).map((figure) => [
    figure.title,
    ...pairs.map(([own, other]) => {
      const found = ratio(of(own, figure), of(other, figure));
      const isRatio = found.middle < Infinity && found.high < Infinity;
      const text = isRatio
        ? `${short(found.middle)} (${short(found.low)}–${short(found.high)})`
        : `${spread(of(own, figure))} against ${spread(of(other, figure))} ${figure.unit}`;
      const judged = found.turns < TURNS_TO_JUDGE ? "" : verdict(found, figure.better);
      if (judged === "worse") lost.push(`- ${own} ÷ ${other}, ${figure.title}: ${text}`);
      return found.turns > 0 ? `${text} ${judged}`.trim() : "–";
    }),
  ]);
  const absent = (title: string, list: readonly Absence[] = []) =>
    list.length === 0
      ? []
      : [`**${title}**`, list.map(({ contender, why }) => `- ${contender}: ${why}`).join("\n")];
  return [
    all,
    ...(pairs.length === 0
      ? []
      : [lines(["ratio", ...pairs.map(([own, other]) => `${own} ÷ ${other}`)], ratios)]),
    ...(lost.length === 0 ? [] : [`**Ours are worse in:**\n\n${lost.join("\n")}`]),
    ...absent("Left out:", result.left_out),
    ...absent("Failed:", result.failures),
  ].join("\n\n");
}

/** What all repetitions say; of those that contradict each other nothing can be said. */
function verdict({ low, high }: Ratio, better: Figure["better"]): string {
  if (low > 1) return better === "higher" ? "better" : "worse";
  if (high < 1) return better === "higher" ? "worse" : "better";
  return "no clear difference";
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

function spread(all: readonly number[]): string {
  const values = all.filter(Number.isFinite);
  if (values.length === 0) return "–";
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `${short(median(values))} (${short(low)}–${short(high)})`;
}

/** Three digits that count. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return Number(value.toPrecision(3)).toString();
}
