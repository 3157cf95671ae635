// One figure of a benchmark: a group of bars for each size, a bar for each engine, from least to most as a whisker.

import { draw, drawNothing, token } from "./chart.js";

/** Draws the engines side by side. */
export function drawBars(element, engines, unit) {
  if (engines.length === 0) return drawNothing(element, "No engine went through.");
  return draw(element, engines.map((engine) => barTrace(engine, unit)), { unit, categories: true, height: 240 });
}

function barTrace({ engine, series, bars }, unit) {
  return {
    type: "bar",
    name: engine,
    x: bars.map((bar) => bar.size),
    y: bars.map((bar) => bar.median),
    customdata: bars.map((bar) => [bar.min, bar.max]),
    hovertemplate: `${engine} <b>%{y:.3~g} ${unit}</b> · %{customdata[0]:.3~g} to %{customdata[1]:.3~g}<extra></extra>`,
    error_y: {
      type: "data",
      symmetric: false,
      array: bars.map((bar) => bar.max - bar.median),
      arrayminus: bars.map((bar) => bar.median - bar.min),
      color: token("muted"),
      thickness: 1,
      width: 3,
    },
    marker: { color: token(`series-${series}`) },
  };
}
