// Usage as one line: batch up to the seam, live from there on, anomalies as marks on it.

import { draw, drawNothing, faded, token, verticalLine, wallClock, withoutGaps } from "./chart.js";

const MARKS = { minor: "circle", warning: "diamond", critical: "x" };

/** Draws the merged windows of `usage` and the anomalies that fall among them. */
export function drawUsage(element, usage, anomalies, offsetMinutes) {
  if (usage.data.length === 0) return drawNothing(element, "No reading in these days.");
  const local = (instant) => wallClock(instant, offsetMinutes);
  const means = usage.data.map((window) => window.mean);
  const fromZero = Math.min(...means) < 0.5 * Math.max(...means);
  const lines = withoutGaps(usage.data).map((windows) => lineTrace(windows, usage.unit, fromZero, local));
  const marks = Object.entries(MARKS).map(([severity, symbol]) =>
    markTrace(anomalies.filter((anomaly) => anomaly.severity === severity), severity, symbol, usage, local),
  );
  const seam = usage.data.find((window) => window.speed_count > 0);
  const afterBatch = seam && usage.data[0].start !== seam.start;
  return draw(element, [...lines, ...marks], {
    unit: usage.unit,
    shapes: afterBatch ? [verticalLine(local(seam.start))] : [],
    annotations: afterBatch ? [{ x: local(seam.start), text: "live" }] : [],
    fromZero,
  });
}

/** One run as a line; a lone window is a dot, since a line needs two. */
function lineTrace(windows, unit, fromZero, local) {
  return {
    type: "scatter",
    mode: windows.length > 1 ? "lines" : "markers",
    x: windows.map((window) => local(window.start)),
    y: windows.map((window) => window.mean),
    customdata: windows.map((window) => [window.min, window.max, window.count]),
    hovertemplate:
      `<b>%{y:.3~g} ${unit}</b> mean · %{customdata[0]:.3~g} to %{customdata[1]:.3~g}` +
      " · %{customdata[2]:,} readings<extra></extra>",
    line: { color: token("accent"), width: 2 },
    marker: { color: token("accent"), size: 5 },
    fill: fromZero ? "tozeroy" : "none",
    fillcolor: faded(token("accent"), 0.07),
  };
}

/** Marks of one severity: at the observed value where the chart's measure was judged, else on the line. */
function markTrace(anomalies, severity, symbol, usage, local) {
  const meanAt = new Map(usage.data.map((window) => [Date.parse(window.start), window.mean]));
  const windowMs = Date.parse(usage.data[0].end) - Date.parse(usage.data[0].start);
  const height = (anomaly) =>
    anomaly.explanation.measure === usage.measure
      ? anomaly.explanation.observed
      : (meanAt.get(Math.floor(Date.parse(anomaly.event_time) / windowMs) * windowMs) ?? null);
  return {
    type: "scatter",
    mode: "markers",
    x: anomalies.map((anomaly) => local(anomaly.event_time)),
    y: anomalies.map(height),
    text: anomalies.map((anomaly) => `${severity}, ${anomaly.detector.replaceAll("_", " ")}`),
    hovertemplate: "%{text}: %{y:.3~g}<extra></extra>",
    marker: { color: token(severity), symbol, size: 8, opacity: 0.85, line: { color: token("surface"), width: 1 } },
  };
}
