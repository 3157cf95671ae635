// Draws the charts of the benchmarks from the tables beside them, so that both say the same.

import { drawBars } from "./benchmark_chart.js";

function draw() {
  for (const figure of document.querySelectorAll("figure[data-task]")) {
    const rows = [...figure.querySelectorAll("tbody tr")];
    for (const plot of figure.querySelectorAll(".plot")) {
      drawBars(plot, seriesOf(rows, plot.dataset.figure), plot.dataset.unit);
    }
  }
}

/** The bars of each engine, in the order of the table; an engine that failed at a size has none there. */
function seriesOf(rows, figure) {
  const engines = new Map();
  for (const row of rows) {
    const cell = row.querySelector(`td[data-figure="${figure}"]`);
    if (!cell) continue;
    const { engine, size, series } = row.dataset;
    if (!engines.has(engine)) engines.set(engine, { engine, series, bars: [] });
    const [median, min, max] = ["median", "min", "max"].map((name) => Number(cell.dataset[name]));
    engines.get(engine).bars.push({ size, median, min, max });
  }
  return [...engines.values()];
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
