/** What the runs of every kind found, as a table for a person and as data that is kept. */

import type { Figure, Result } from "../../bench/result.ts";
import type { Machine } from "../../bench/machine.ts";
import { median } from "../../bench/statistics.ts";
import type { Kind, Sample } from "./kind.ts";

/** A run, or why it found nothing: what never came back is worse than any time. */
export type Run = Sample | { readonly failed: string };

export interface Outcome {
  readonly kind: Kind;
  readonly runs: readonly Run[];
}

const RESTARTS = { gentle: "restart-term", hard: "restart-kill" } as const;
/** Two medians that differ by less are told apart by nothing but the machine's noise: ms. */
const NOISE = 100;

function valueOf(run: Run): number {
  return "failed" in run ? Infinity : run.value;
}

function medianOf({ runs }: Outcome): number {
  return median(runs.map(valueOf));
}

/** Everything that was asked and not reached, a sentence each. */
export function misses(outcomes: readonly Outcome[]): string[] {
  const lines = outcomes.filter((outcome) => !(medianOf(outcome) <= outcome.kind.most)).map((
    outcome,
  ) =>
    `${outcome.kind.key}: a median of ${shown(medianOf(outcome))} ${outcome.kind.unit}, ` +
    `asked at most ${outcome.kind.most}`
  );
  const [gentle, hard] = [RESTARTS.gentle, RESTARTS.hard].map((key) =>
    outcomes.find(({ kind }) => kind.key === key)
  );
  if (gentle === undefined || hard === undefined) return lines;
  const [longer, shorter] = [medianOf(gentle), medianOf(hard)];
  if (longer <= shorter + NOISE) return lines;
  return [
    ...lines,
    `${gentle.kind.key}: a median of ${shown(longer)} ms, and only ${
      shown(shorter)
    } ms after SIGKILL`,
  ];
}

function shown(value: number): string {
  return Number.isFinite(value) ? String(Math.round(value)) : "never";
}

/** Kind, the value of each run, the median, what was asked, and whether it was reached; then what failed. */
export function table(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => {
    const { kind, runs } = outcome;
    const middle = medianOf(outcome);
    return [
      kind.key,
      runs.map((run) => shown(valueOf(run))).join(" "),
      shown(middle),
      `<= ${kind.most} ${kind.unit}`,
      middle <= kind.most ? "yes" : "NO",
    ];
  });
  const all = [["kind", "each run", "median", "asked", "reached"], ...rows];
  const widths = all[0]?.map((_, i) => Math.max(...all.map((row) => row[i]?.length ?? 0))) ?? [];
  const lines = all.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  "));
  const failed = outcomes.flatMap(({ kind, runs }) =>
    runs.flatMap((run) => "failed" in run ? [`${kind.key}: ${run.failed}`] : [])
  );
  return [...lines.map((line) => line.trimEnd()), ...failed].join("\n");
}

/** The result as the benchmarks keep theirs. */
export function resultOf(
  outcomes: readonly Outcome[],
  machine: Machine,
  command: string,
  count: number,
): Result {
  const figures = outcomes.map(({ kind }): Figure => ({
    key: kind.key,
    title: kind.title,
    unit: kind.unit,
    better: "lower",
    goal: { of: "value", bound: kind.most },
  }));
  const values = outcomes.map(({ kind, runs }) => [kind.key, runs.map(valueOf)] as const);
  return {
    v: 1,
    name: "gaps",
    title: "Gaps in the traffic when something around a node changes",
    method: [
      "Real nodes and devices in network namespaces of one machine, every run in a laboratory of its own.",
      ...methods(outcomes),
    ],
    command,
    machine,
    parameters: { count },
    figures,
    series: [{
      contender: "shoal",
      version: machine.commit,
      values: Object.fromEntries(values),
    }],
    raw: Object.fromEntries(outcomes.map(({ kind, runs }) => [kind.key, runs])),
  };
}

/** Each way to measure once, with the kinds that are measured by it. */
function methods(outcomes: readonly Outcome[]): string[] {
  const by = Map.groupBy(outcomes, ({ kind }) => kind.method);
  return Array.from(by, ([method, those]) => {
    const names = those.map(({ kind }) => `*${kind.key}*`).join(", ");
    return `${names}: ${method}.`;
  });
}
