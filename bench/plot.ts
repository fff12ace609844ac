/** A picture of a result by gnuplot(1): a panel a figure, every repetition a point, the median a bar. */

import type { Figure, Result } from "./result.ts";
import { median } from "./statistics.ts";

const PANEL = { width: 260, height: 300 };
/** Panels beside each other; more of them go below. */
const COLUMNS = 6;
/** More names than this below a panel are written upwards. */
const LEVEL_NAMES = 3;

/** Draws into an SVG file. Throws with gnuplot's own words when that fails. */
export async function plot(result: Result, path: string): Promise<void> {
  // What was measured and never came is Infinity, and has its panel; what nobody measured has none.
  const figures = result.figures.filter(({ key, detail }) =>
    detail !== true &&
    result.series.some(({ values }) => values[key]?.some((v) => !Number.isNaN(v)))
  );
  const script = figures.map((figure, i) => panel(result, figure, i));
  const columns = Math.min(COLUMNS, figures.length);
  const rows = Math.ceil(figures.length / columns);
  const isCrowded = result.series.length > LEVEL_NAMES;
  const text = `
set terminal svg size ${PANEL.width * columns},${
    PANEL.height * rows
  } font "sans-serif,11" background "white"
set output ${quote(path)}
set multiplot layout ${rows},${columns}
set boxwidth 0.5
set style fill solid 0.35 border -1
set grid ytics lc rgb "#dddddd"
set xrange [0.4:${result.series.length + 0.6}]
set yrange [0:*]
unset key
${isCrowded ? "set xtics rotate by 60 right" : ""}
${script.join("\n")}
unset multiplot
`;
  const gnuplot = new Deno.Command("gnuplot", { stdin: "piped", stdout: "null", stderr: "piped" })
    .spawn();
  const writer = gnuplot.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stderr } = await gnuplot.output();
  if (!success) throw new Error(`gnuplot: ${new TextDecoder().decode(stderr).trim()}`);
  await Deno.writeTextFile(path, withoutEmptyGroups(await Deno.readTextFile(path)));
}

/** More than a third of what gnuplot writes are groups with nothing in them, one for each change of colour. */
function withoutEmptyGroups(svg: string): string {
  return svg.replaceAll(/<g [^>]*>\s*<\/g>\n?/g, "");
}

function panel(result: Result, figure: Figure, i: number): string {
  const { key } = figure;
  const names = result.series.map(({ contender }, n) => `${quote(contender)} ${n + 1}`);
  // What never came is no number: it has no point, and a median of nothing no bar.
  const bars = result.series.map(({ values }, n) => {
    const middle = median((values[key] ?? []).filter(Number.isFinite));
    return `${n + 1} ${Number.isFinite(middle) ? middle : 0}`;
  });
  const points = result.series.flatMap(({ values }, n) =>
    (values[key] ?? []).filter(Number.isFinite).map((v) => `${n + 1} ${v}`)
  );
  const dots = points.length === 0 ? "" : `, $points${i} with points pt 7 ps 0.5 lc rgb "#222222"`;
  return `
$bars${i} << EOD
${bars.join("\n")}
EOD
$points${i} << EOD
${points.join("\n")}
EOD
set title ${quote(`${figure.title}\\n${figure.unit}, ${figure.better} is better`)}
set xtics (${names.join(", ")})
plot $bars${i} with boxes lc rgb "#3b78b0"${dots}`;
}

/** gnuplot runs what stands between backquotes of such a text as a command. */
function quote(text: string): string {
  return `"${text.replaceAll(/["`]/g, "'")}"`;
}
