// How every chart looks. Colours and fonts come from app.css, so light and dark follow the page.

/** A custom property of app.css. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The colour with an opacity, for bands. */
export function faded(hex, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${opacity})`;
}

/** A UTC instant as the local wall clock of the stream, which is what a time axis of the library takes. */
export function wallClock(instant, offsetMinutes) {
  return new Date(Date.parse(instant) + offsetMinutes * 60_000).toISOString().slice(0, 19);
}

const CATEGORY_AXIS = { type: "category" };

const TIME_AXIS = {
  type: "date",
  hoverformat: "%a %-d %b, %H:%M",
  tickformatstops: [
    { dtickrange: [null, 86_399_999], value: "%H:%M\n%a %-d %b" },
    { dtickrange: [86_400_000, null], value: "%a\n%-d %b" },
  ],
};

/** Draws, or redraws in place: over time, or over categories. */
export function draw(element, traces, options) {
  const { unit, shapes = [], annotations = [], fromZero = true, categories = false, height = 300 } = options;
  const text = token("muted");
  const axis = {
    color: text,
    gridcolor: token("line"),
    zeroline: false,
    fixedrange: true,
    tickfont: { size: 12 },
    ticks: "",
  };
  const layout = {
    autosize: true,
    height,
    bargap: 0.32,
    bargroupgap: 0.06,
    margin: { t: 16, r: 12, b: 44, l: 52 },
    paper_bgcolor: "transparent",
    plot_bgcolor: "transparent",
    font: { family: token("font"), size: 13, color: text },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: {
      bgcolor: token("surface"),
      bordercolor: token("line"),
      font: { family: token("font"), size: 13, color: token("text") },
    },
    xaxis: { ...axis, showgrid: false, ticks: "outside", ticklen: 6, tickcolor: "transparent", ...(categories ? CATEGORY_AXIS : TIME_AXIS) },
    yaxis: { ...axis, ticksuffix: ` ${unit}`, rangemode: fromZero ? "tozero" : "normal", nticks: 6 },
    shapes,
    annotations: annotations.map((note) => ({
      showarrow: false,
      xanchor: "left",
      yanchor: "top",
      yref: "paper",
      y: 1,
      xshift: 5,
      font: { size: 12, color: text },
      ...note,
    })),
  };
  // A note that stood here while there was nothing to draw.
  if (!element.classList.contains("js-plotly-plot")) element.replaceChildren();
  element.classList.remove("is-empty");
  return window.Plotly.react(element, traces, layout, { displayModeBar: false, responsive: true });
}

/** A thin vertical line at an instant of the axis. */
export function verticalLine(x) {
  return {
    type: "line",
    x0: x,
    x1: x,
    yref: "paper",
    y0: 0,
    y1: 1,
    line: { color: token("muted"), width: 1, dash: "dot" },
  };
}

/** Says that there is nothing to draw, which is not the same as zero. */
export function drawNothing(element, text) {
  window.Plotly.purge(element);
  const note = document.createElement("p");
  note.className = "empty";
  note.textContent = text;
  element.classList.add("is-empty");
  element.replaceChildren(note);
}

/** Runs of hours that follow each other: missing is not zero, and not what its neighbours say. */
export function withoutGaps(windows) {
  const runs = [];
  for (const window of windows) {
    const before = runs.at(-1)?.at(-1);
    if (before && before.end === window.start) runs.at(-1).push(window);
    else runs.push([window]);
  }
  return runs;
}
