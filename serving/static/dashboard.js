// Draws the charts of the dashboard and keeps the page fresh.

import { get } from "./api.js";
import { drawForecast } from "./forecast_chart.js";
import { every, refreshLiveParts, showDisconnected } from "./live.js";
import { drawUsage } from "./usage_chart.js";

/** Anomalies that are marked in the chart; more would hide the line. */
const MARKED_ANOMALIES = 300;

const main = document.getElementById("main");
const usageChart = document.getElementById("usage-chart");
const forecastChart = document.getElementById("forecast-chart");
const { stream, device, measure, window: windowName, offsetMinutes, refreshMs } = main.dataset;
const offset = Number(offsetMinutes);

async function drawCharts() {
  const of = { stream, device_id: device };
  const read = (window) => get("/api/usage", { ...of, measure, window });
  const usage = await read(windowName);
  const from = usage.data[0]?.start;
  const anomalies = from ? await get("/api/anomalies", { ...of, from, limit: MARKED_ANOMALIES }) : { data: [] };
  await drawUsage(usageChart, usage, anomalies.data, offset);
  if (!forecastChart) return;
  const hours = windowName === "hour" ? usage : await read("hour");
  await drawForecast(forecastChart, await get("/api/forecasts", of), hours, offset);
}

async function refresh() {
  try {
    await Promise.all([drawCharts(), refreshLiveParts()]);
  } catch (error) {
    console.warn("refresh failed", error);
    showDisconnected();
  }
}

for (const select of document.querySelectorAll(".choose select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
document.documentElement.classList.add("has-script");
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
drawCharts().catch(showDisconnected);
every(Number(refreshMs), refresh);
