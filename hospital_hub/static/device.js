import { clock, connection, drawing, element, live, words } from "./live.js";

const page = document.getElementById("device");
const at = id => document.getElementById(id);

function vital(name, value, kind = "") {
  return element("div", {}, element("h2", {}, name), element("span", { class: `rate ${kind}` }, value));
}

function showVitals(device) {
  const rate = device.heart_rate === null ? "–" : String(Math.round(device.heart_rate));
  const beat = device.beat ?? "–";
  page.classList.toggle("stale", device.state !== "live");
  const quality = device.quality === null ? "" : ` · signal quality ${Math.round(100 * device.quality)} %`;
  const state = element("div", { class: "soft" },
    `${device.subject} · ${connection[device.state]} · ${clock(device.effective_time_ns)} (${device.clock})${quality}`);
  const parts = [vital("Heart rate /min", rate), vital("Last beat", beat, beat), state];
  for (const alarm of device.alarms) parts.push(element("p", { class: alarm.new ? "alarms" : "soft" },
    `${alarm.display}, ${clock(alarm.effective_time_ns)}`));
  document.querySelector(".vitals").replaceChildren(...parts);
}

// Nothing is drawn where nothing was measured.
const GAP_S = 15;

function showTrend(points) {
  if (points.length < 2) return;
  const [width, height, left] = [1000, 180, 36];
  const times = points.map(p => p[0]), rates = points.map(p => p[1]);
  const low = Math.min(40, ...rates), high = Math.max(120, ...rates), [from, to] = [times[0], times.at(-1)];
  const x = t => left + (t - from) / Math.max(1, to - from) * (width - left);
  const y = r => height - 20 - (r - low) / (high - low) * (height - 30);
  const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Heart rate between ${Math.min(...rates)} and ${Math.max(...rates)} per minute` });
  for (let r = Math.ceil(low / 20) * 20; r <= high; r += 20)
    picture.append(drawing("line", { class: "axis", x1: left, x2: width, y1: y(r), y2: y(r) }),
      drawing("text", { x: 4, y: y(r) + 4 }, String(r)));
  picture.append(drawing("path", { class: "trace", d: points.map(([time, rate], i) =>
    `${i && time - times[i - 1] <= GAP_S ? "L" : "M"}${x(time).toFixed(1)} ${y(rate).toFixed(1)}`).join("") }),
    drawing("text", { x: left, y: height - 3 }, clock(BigInt(Math.round(from)) * 1000000000n)),
    drawing("text", { x: width, y: height - 3, "text-anchor": "end" }, clock(BigInt(Math.round(to)) * 1000000000n)));
  at("trend").replaceChildren(picture);
}

function showBeats(beats, counts) {
  const [width, height] = [1000, 44], heights = { N: 14, S: 32, V: 42 };
  const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Last ${beats.length} beats` });
  const [from, to] = [beats[0]?.[0] ?? 0, beats.at(-1)?.[0] ?? 1];
  for (const [time, label] of beats) {
    const x = (time - from) / Math.max(1, to - from) * (width - 4) + 2;
    picture.append(drawing("line", { class: `tick-${label}`, x1: x, x2: x, y1: height, y2: height - (heights[label] ?? 20),
      "stroke-width": label === "N" ? 1 : 2 }));
  }
  at("beats").replaceChildren(picture);
  at("counts").replaceChildren(...Object.entries(counts).sort().map(([label, count]) =>
    element("span", { class: label }, `${label} ${words[label] ?? ""}: ${count}`)));
}

// ECG paper: 25 mm/s and 10 mm/mV; small squares of 1 mm, large of 5 mm. All strips have the same scale.
const SHORTEST_S = 3;

function range(strips) {
  const known = strips.flatMap(data => data.values.filter(value => value !== null));
  const [low, high] = known.reduce(([l, h], value) => [Math.min(l, value), Math.max(h, value)], [-0.5, 1]);
  return [Math.floor(low * 2) / 2, Math.ceil(high * 2) / 2];
}

function strip(data, [low, high]) {
  const seconds = Math.max(SHORTEST_S, data.values.length / data.sample_rate_hz), mm = 6;
  const width = seconds * 25 * mm, height = (high - low) * 10 * mm;
  const picture = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${data.display}, ${seconds.toFixed(1)} seconds around a ${words[data.label] ?? ""} beat` });
  for (let i = 0; i <= seconds * 25; i++) picture.append(drawing("line",
    { class: i % 5 ? "grid-small" : "grid-large", x1: i * mm, x2: i * mm, y1: 0, y2: height }));
  for (let i = 0; i <= (high - low) * 10; i++) picture.append(drawing("line",
    { class: i % 5 ? "grid-small" : "grid-large", x1: 0, x2: width, y1: i * mm, y2: i * mm }));
  const anchor = data.anchor_s * 25 * mm;
  picture.append(drawing("line", { class: "anchor", x1: anchor, x2: anchor, y1: 0, y2: height }));
  let pen = "M", path = "";
  data.values.forEach((value, i) => {
    if (value === null) { pen = "M"; return; }
    path += `${pen}${(i / data.sample_rate_hz * 25 * mm).toFixed(1)} ${((high - value) * 10 * mm).toFixed(1)}`;
    pen = "L";
  });
  picture.append(drawing("path", { class: "ecg", d: path }));
  const chances = Object.entries(data.probabilities).map(([label, p]) => `${label} ${Math.round(100 * p)} %`).join("  ");
  return element("figure", { class: "strip" },
    element("figcaption", {}, element("b", {}, `${data.label} ${words[data.label] ?? ""}`), element("span", {}, chances),
      element("span", {}, clock(data.effective_time_ns))),
    picture);
}

function showGateway(status) {
  const facts = { model: `${status.model_id} ${status.model_version}`, bundle: status.bundle_sha256.slice(0, 16),
    runtime: status.runtime, hardware: status.hardware, "agent version": status.agent_version,
    backlog: status.backlog, windows: status.windows, "rejected windows": status.rejected_windows,
    "memory (MiB)": (status.resident_bytes / 1048576).toFixed(1), "median inference (µs)": status.inference_us_p50 };
  at("gateway").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [element("dt", {}, name), element("dd", {}, String(value))]));
}

live(`/api/devices/${page.dataset.site}/${page.dataset.device}`, device => {
  showVitals(device);
  showTrend(device.trend);
  showBeats(device.beats, device.counts);
  const scale = range(device.strips);
  at("strips").replaceChildren(...device.strips.map(data => strip(data, scale)));
  showGateway(device.status);
});
