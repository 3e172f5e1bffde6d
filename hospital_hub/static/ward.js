import { clock, connection, element, live, words } from "./live.js";

const alarming = device => device.alarms.some(alarm => alarm.new);

function urgency(device) { return alarming(device) ? 0 : device.state === "live" ? 1 : 2; }

function tile(device) {
  const state = `${device.state === "live" ? "" : "stale"} ${alarming(device) ? "alarm" : ""}`;
  const rate = device.heart_rate === null ? "–" : String(Math.round(device.heart_rate));
  const beat = device.beat ?? "";
  const counts = Object.entries(device.counts).sort().map(([name, count]) => `${name} ${count}`).join("  ");
  const shown = element("a", { class: `tile ${state}`, href: `/devices/${device.site}/${device.device}` },
    element("div", { class: "who" }, element("b", {}, device.subject || device.device),
      element("span", { class: `soft connection ${device.state}` }, connection[device.state])),
    element("div", { class: "row" },
      element("span", { class: "rate" }, rate, element("small", {}, "/min")),
      element("span", { class: `beat ${beat}`, title: words[beat] ?? "" }, beat || "–")),
    element("div", { class: "soft counts" }, counts),
    element("div", { class: "soft" }, `${device.site} · ${device.device} · ${device.status.model_id || "no model"}`),
    element("div", { class: "soft" }, `${clock(device.effective_time_ns)} ${device.clock} · backlog ${device.status.backlog}`));
  const [last] = device.alarms;
  if (last) shown.append(element("p", { class: last.new ? "alarms" : "soft" }, `${last.display}, ${clock(last.effective_time_ns)}`));
  shown.setAttribute("aria-label", `${device.subject}: heart rate ${rate} per minute, ${connection[device.state]}`);
  return shown;
}

live("/api/overview", devices => {
  devices.sort((a, b) => urgency(a) - urgency(b));
  const focused = document.activeElement?.getAttribute("href");
  document.getElementById("tiles").replaceChildren(...devices.map(tile));
  document.getElementById("empty").hidden = devices.length > 0;
  if (focused) document.querySelector(`a.tile[href="${CSS.escape(focused)}"]`)?.focus();
});
