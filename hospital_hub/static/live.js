// What both pages share: live updates, and building elements without innerHTML.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Calls `show` with fresh data at once and whenever the hub says that something changed.
export function live(address, show) {
  const link = document.getElementById("link");
  const say = (words, kind) => {
    link.textContent = words;
    link.className = `link ${kind}`;
    document.body.classList.toggle("lost", kind === "lost");
  };
  const lost = () => say("no connection to the hub: values are old", "lost");
  let busy = false, again = false;
  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(address);
      if (!answer.ok) throw new Error(answer.status);
      show(await answer.json());
      say("live", "live");
    } catch { lost(); }
    busy = false;
    if (again) { again = false; refresh(); }
  }
  const events = new EventSource("/api/events");
  events.addEventListener("change", refresh);
  events.addEventListener("alarm", event => raise(JSON.parse(event.data)));
  events.onerror = lost;
  refresh();
}

// An alarm is shown the moment it is raised, on whatever page is open.
function raise({ device, alarm }) {
  const banner = element("a", { class: "raised", href: `/devices/${device}` }, `${alarm} · ${device}`);
  document.getElementById("raised").append(banner);
  setTimeout(() => banner.remove(), 120000);
}

export function clock(nanoseconds) {
  if (!nanoseconds) return "";
  const moment = new Date(Number(BigInt(nanoseconds) / 1000000n));
  return moment.toISOString().replace("T", " ").slice(0, 19);
}

export const connection = { live: "live", behind: "catching up", silent: "nothing new", offline: "offline" };
export const words = { N: "normal", S: "supraventricular", V: "ventricular", F: "fusion", Q: "unclassifiable" };
