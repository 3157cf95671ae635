// The newest vintage: the expected value of each hour ahead inside its interval, beside what was measured.

import { draw, drawNothing, faded, token, verticalLine, wallClock, withoutGaps } from "./chart.js";

const RECENT_MS = 48 * 3_600_000;

/** Draws a forecast with the two days before it and whatever was measured since. */
export function drawForecast(element, forecast, usage, offsetMinutes) {
  const local = (instant) => wallClock(instant, offsetMinutes);
  const { vintage, data: points } = forecast;
  if (!vintage) return drawNothing(element, "The first forecast follows the first training.");
  const x = points.map((point) => local(point.target_time));
  const share = `${Math.round(vintage.interval_level * 100)} %`;
  const violet = token("forecast");
  const edge = { type: "scatter", mode: "lines", x, line: { width: 0 }, hoverinfo: "skip" };
  const from = Date.parse(vintage.issued_at) - RECENT_MS;
  const recent = usage.data.filter((window) => Date.parse(window.start) >= from);
  const traces = [
    { ...edge, y: points.map((point) => point.low) },
    { ...edge, y: points.map((point) => point.high), fill: "tonexty", fillcolor: faded(violet, 0.18) },
    ...withoutGaps(recent).map((windows) => ({
      type: "scatter",
      mode: windows.length > 1 ? "lines" : "markers",
      x: windows.map((window) => local(window.start)),
      y: windows.map((window) => window.mean),
      hovertemplate: `measured <b>%{y:.3~g} ${usage.unit}</b><extra></extra>`,
      line: { color: token("accent"), width: 2 },
      marker: { color: token("accent"), size: 5 },
    })),
    {
      type: "scatter",
      mode: "lines",
      x,
      y: points.map((point) => point.value),
      customdata: points.map((point) => [point.low, point.high]),
      hovertemplate:
        `forecast <b>%{y:.3~g} ${vintage.unit ?? ""}</b> · ${share} in %{customdata[0]:.3~g} to %{customdata[1]:.3~g}` +
        "<extra></extra>",
      line: { color: violet, width: 2 },
    },
  ];
  const issued = local(vintage.issued_at);
  return draw(element, traces, {
    unit: vintage.unit ?? "",
    shapes: [verticalLine(issued)],
    annotations: [{ x: issued, text: "issued" }],
    fromZero: points.every((point) => point.low >= 0),
  });
}
