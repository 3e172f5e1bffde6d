import { clock, element, live, words } from "./live.js";

function urgency(device) { return device.alarms.length ? 0 : device.stale ? 2 : 1; }

function tile(device) {
  const state = device.stale ? "stale" : device.alarms.length ? "alarm" : "";
  const rate = device.stale || device.heart_rate === null ? "–" : Math.round(device.heart_rate);
  const beat = device.stale ? "" : device.beat ?? "";
  const counts = Object.entries(device.counts).sort().map(([name, count]) => `${name} ${count}`).join("  ");
  const connection = device.online ? device.stale ? "nothing new" : "connected" : "offline";
  const shown = element("a", { class: `tile ${state}`, href: `/devices/${device.site}/${device.device}` },
    element("div", { class: "who" }, element("b", {}, device.subject || device.device),
      element("span", { class: "soft connection" }, connection)),
    element("div", { class: "row" },
      element("span", { class: "rate" }, String(rate), element("small", {}, "/min")),
      element("span", { class: `beat ${beat}`, title: words[beat] ?? "" }, beat || "–")),
    element("div", { class: "soft counts" }, counts),
    element("div", { class: "soft" }, `${device.site} · ${device.device} · ${device.status.model_id || "no model"}`),
    element("div", { class: "soft" }, `${clock(device.effective_time_ns)} ${device.clock} · backlog ${device.status.backlog}`));
  if (device.alarms.length) shown.append(element("p", { class: "alarms" }, device.alarms[0].display));
  shown.setAttribute("aria-label", `${device.subject}: heart rate ${rate} per minute, ${connection}`);
  return shown;
}

live("/api/overview", devices => {
  devices.sort((a, b) => urgency(a) - urgency(b));
  const focused = document.activeElement?.getAttribute("href");
  document.getElementById("tiles").replaceChildren(...devices.map(tile));
  document.getElementById("empty").hidden = devices.length > 0;
  if (focused) document.querySelector(`a.tile[href="${CSS.escape(focused)}"]`)?.focus();
});
