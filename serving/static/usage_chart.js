// Hourly usage as one line: batch up to the seam, live from there on, anomalies as marks on it.

import { draw, token, verticalLine, wallClock } from "./chart.js";

const HOUR_MS = 3_600_000;
const MARKS = { minor: "circle", warning: "diamond", critical: "x" };

/** Draws the merged windows of `usage` and the anomalies that fall among them. */
export function drawUsage(element, usage, anomalies, offsetMinutes) {
  const windows = withGaps(usage.data);
  const local = (instant) => wallClock(instant, offsetMinutes);
  const line = {
    type: "scatter",
    mode: "lines",
    x: windows.map((window) => local(window.start)),
    y: windows.map((window) => window.mean),
    customdata: windows.map((window) => [window.min, window.max, window.count]),
    hovertemplate:
      `<b>%{y:.3~g} ${usage.unit}</b> mean · %{customdata[0]:.3~g} to %{customdata[1]:.3~g}` +
      " · %{customdata[2]:,} readings<extra></extra>",
    line: { color: token("accent"), width: 2, shape: "linear" },
    connectgaps: false,
  };
  const marks = Object.entries(MARKS).map(([severity, symbol]) =>
    markTrace(anomalies.filter((anomaly) => anomaly.severity === severity), severity, symbol, usage, local),
  );
  const seam = usage.data.find((window) => window.speed_count > 0);
  const afterBatch = seam && usage.data[0]?.start !== seam.start;
  const means = usage.data.map((window) => window.mean);
  return draw(element, [line, ...marks], {
    unit: usage.unit,
    shapes: afterBatch ? [verticalLine(local(seam.start))] : [],
    annotations: afterBatch ? [{ x: local(seam.start), text: "live" }] : [],
    fromZero: Math.min(...means) < 0.5 * Math.max(...means),
  });
}

/** A missing hour becomes a hole in the line: missing is not zero, and not what its neighbours say. */
function withGaps(windows) {
  const filled = [];
  for (const window of windows) {
    const before = filled.at(-1);
    if (before && Date.parse(window.start) - Date.parse(before.start) > HOUR_MS) {
      filled.push({ start: new Date(Date.parse(before.start) + HOUR_MS).toISOString(), mean: null });
    }
    filled.push(window);
  }
  return filled;
}

/** Marks of one severity: at the observed value where the chart's measure was judged, else on the line. */
function markTrace(anomalies, severity, symbol, usage, local) {
  const meanAt = new Map(usage.data.map((window) => [Date.parse(window.start), window.mean]));
  const height = (anomaly) =>
    anomaly.explanation.measure === usage.measure
      ? anomaly.explanation.observed
      : (meanAt.get(Math.floor(Date.parse(anomaly.event_time) / HOUR_MS) * HOUR_MS) ?? null);
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
