// Frames and figures come over one WebSocket; what the viewer wishes goes back as short lines of text (server.py tells which).

import { Bicubic } from "./bicubic.js";
import { Chart, STAGES } from "./chart.js";
import { View } from "./view.js";

const AGAIN_MS = [500, 1000, 2000, 4000]; // between attempts to reach the server
const at = (id) => document.getElementById(id);

history.replaceState(null, "", location.pathname); // a token does not stay in the address bar

// ---- what is shown

const pen = at("high").getContext("2d", { alpha: false });
const chart = new Chart(at("chart"));
const view = new View(
  {
    stage: at("stage"),
    panes: [at("bicubic-pane"), at("high-pane")],
    labels: [at("bicubic-label"), at("high-label")],
    divider: at("divider"),
    selection: at("selection"),
  },
  {
    zoomed: (scale) => { at("zoom").value = `${(scale * 100).toFixed(0)} %`; },
    selecting: (yes) => {
      at("region").setAttribute("aria-pressed", yes);
      say("region", yes ? "Drag a rectangle, or use the arrow keys (Shift: its size) and Enter" : "");
    },
    selected: chooseRegion,
  },
);

let bicubic = null;
try {
  bicubic = new Bicubic(at("bicubic"));
} catch (error) {
  say("bicubic", error.message);
}

let header = null; // of the frame that is seen
let figures = null;

// The picture's line of text: the most urgent of what there is to say.
const notices = { server: "Connecting …" };
function say(topic, text) {
  notices[topic] = text;
  const line = ["server", "trouble", "region", "state", "bicubic"].map((name) => notices[name]).find((found) => found) ?? "";
  if (at("notice").textContent !== line) at("notice").textContent = line;
}

function complain(text) {
  say("trouble", text);
  clearTimeout(complain.timer);
  complain.timer = setTimeout(() => say("trouble", ""), 6000);
}

// ---- frames

// A header's length, the header, its files (packet.py).
function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const unpacked = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let from = 4 + length;
  const files = {};
  for (const [name, size] of unpacked.files) {
    files[name] = new Blob([new Uint8Array(buffer, from, size)], { type: name === "high" ? "" : "image/png" });
    from += size;
  }
  return { header: unpacked, files };
}

const decoded = (blob) => createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });

async function show(buffer) {
  const { header: next, files } = unpack(buffer);
  const compares = Boolean(files.low && bicubic);
  const pictures = await Promise.all([decoded(files.high), compares ? decoded(files.low) : null]);
  const [width, height] = next.high;
  for (const canvas of view.canvases) {
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }
  pen.drawImage(pictures[0], 0, 0);
  if (compares) bicubic.draw(pictures[1]);
  for (const picture of pictures) picture?.close();
  header = next;
  view.setSize(width, height, compares);
  at("stage").dataset.frame = next.frame;
  return next.number;
}

// Frames are drawn one after another; a hidden page draws none, and so is sent none.
let drawing = Promise.resolve();
function draw(buffer, socket) {
  drawing = drawing.then(async () => {
    const late = document.hidden;
    if (late) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
    if (socket.readyState !== WebSocket.OPEN) return;
    try {
      const number = await show(buffer);
      if (socket.readyState === WebSocket.OPEN) socket.send(`${late ? "late" : "seen"} ${number}`);
    } catch (error) {
      complain(`A frame cannot be shown: ${error.message}`);
      socket.close();
    }
  });
}

// ---- the connection

let socket = null;
let attempts = 0;

function connect() {
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/watch`);
  socket.binaryType = "arraybuffer";
  const own = socket;
  own.onopen = () => {
    attempts = 0;
    say("server", "");
  };
  own.onmessage = ({ data }) => {
    if (typeof data !== "string") return draw(data, own);
    const told = JSON.parse(data);
    if (told.trouble) complain(told.trouble);
    else tell(told);
  };
  own.onclose = ({ reason }) => {
    setState("no server");
    say("server", reason === "over" ? "The stream is over; waiting for the next" : "The server does not answer; trying again");
    setTimeout(connect, AGAIN_MS[Math.min(attempts++, AGAIN_MS.length - 1)]);
  };
}

function wish(text) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(text);
}

// ---- figures

const whole = new Intl.NumberFormat("en");
const ms = (value) => (value == null ? "–" : value < 99.95 ? value.toFixed(1) : value.toFixed(0));

function setState(state) {
  if (at("state").dataset.state === state && at("state").textContent === state) return; // not read aloud again
  at("state").textContent = state;
  at("state").dataset.state = state;
}

function tell(now) {
  figures = now;
  setState(now.state === "running" && now.pausing ? "paused" : now.state);
  at("model").textContent = now.model || "–";
  at("high-label").textContent = now.model.split(" · ")[0] || "Super-resolved";
  at("source").textContent = at("source").title = now.source;
  document.title = now.model ? `${now.model} – edgesr` : "edgesr";
  at("sizes").textContent = header?.low ? `${header.low.join("×")} → ${header.high.join("×")}` : header ? header.high.join("×") : "–";

  const lost = Object.values(now.drops).reduce((sum, count) => sum + count, 0);
  at("rate").textContent = now.frames_per_second.toFixed(1);
  at("captured").textContent = now.captured_per_second.toFixed(1);
  at("age").textContent = ms(now.here_ms);
  at("dropped").textContent = whole.format(lost);
  at("misses").textContent = whole.format(now.misses);
  at("misses").classList.toggle("alarm", now.misses > 0);

  chart.add(now.seconds, now.recent);
  fill(at("stages"), stageRows(now));
  fill(at("frames"), frameRows(now, lost));
  if (now.events.length) fill(at("events"), [...now.events].reverse().map(eventRow));

  const states = { starting: "Waiting for the first frame", "source lost": "Source lost; this is its last picture", reconnecting: "Source lost, reconnecting; this is its last picture", over: "The stream is over" };
  say("state", now.warnings[0] ?? (now.pausing ? "Paused" : states[now.state]) ?? "");
  at("pause").setAttribute("aria-pressed", now.pausing);
  at("pause").firstElementChild.textContent = now.pausing ? "Resume" : "Pause";
  at("whole").disabled = !now.region;
  at("whole").title = now.region ? `Super-resolve the whole frame again, not only ${now.region}` : "The whole frame is super-resolved";
}

function stageRows(now) {
  const charted = STAGES.map(({ name }) => name);
  const names = [...charted, ...Object.keys(now.run).filter((name) => !charted.includes(name)).sort()];
  return names.map((name) => {
    const recent = now.recent[name];
    const row = element("tr", "", element("th", name), element("td", ms(recent?.median_ms)), element("td", ms(recent?.p95_ms)), element("td", ms(recent?.p99_ms)), element("td", ms(now.run[name]?.max_ms)));
    row.firstElementChild.scope = "row";
    const colour = STAGES.find((stage) => stage.name === name)?.colour;
    if (colour) row.style.setProperty("--line", `var(${colour})`);
    return row;
  });
}

function frameRows(now, lost) {
  const reasons = Object.entries(now.drops).sort(([, a], [, b]) => b - a).map(([reason, count]) => [reason, count, "part"]);
  const rows = [
    ["captured", now.captured], ["shown", now.shown], ["dropped", lost], ...reasons,
    ["sent to this page", now.sent], ["this page was too slow for", now.missed], ["pages that watch", now.viewers],
  ];
  return rows.flatMap(([name, count, kind = ""]) => {
    const pair = [element("dt", name), element("dd", whole.format(count))];
    for (const part of pair) part.className = kind;
    return pair;
  });
}

function eventRow({ seconds, text }) {
  const clock = [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, "0"));
  return element("li", "", element("time", clock.join(":")), element("span", text));
}

function element(kind, text, ...children) {
  const made = document.createElement(kind);
  made.textContent = text;
  made.append(...children);
  return made;
}

// Replaced only where something changed: a selection or a screen reader's place stays.
function fill(parent, children) {
  const text = children.map((child) => child.outerHTML).join("");
  if (parent.filled === text) return;
  parent.filled = text;
  parent.replaceChildren(...children);
}

// ---- what the viewer wishes

function togglePause() {
  wish(figures?.pausing ? "pause off" : "pause on");
}

function chooseRegion(box) {
  if (!header?.low) return complain("This stream tells no input, so no region can be chosen.");
  const [width, height] = header.low;
  const x = Math.floor(box.x * width);
  const y = Math.floor(box.y * height);
  const [fromX, fromY] = header.region ?? [0, 0];
  const size = [Math.ceil((box.x + box.width) * width) - x, Math.ceil((box.y + box.height) * height) - y];
  wish(`region ${fromX + x},${fromY + y},${Math.min(size[0], width - x)},${Math.min(size[1], height - y)}`);
}

async function takeSnapshot() {
  at("snapshot").disabled = true;
  try {
    const answer = await fetch("snapshot");
    if (!answer.ok) throw new Error((await answer.text()).trim());
    const { header: taken, files } = unpack(await answer.arrayBuffer());
    const name = `edgesr-${String(taken.frame).padStart(6, "0")}`;
    if (files.bicubic) save(files.bicubic, `${name}-bicubic.png`);
    save(files.high, `${name}-super-resolved.png`);
  } catch (error) {
    complain(`No snapshot: ${error.message}`);
  } finally {
    at("snapshot").disabled = false;
  }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const actions = {
  pause: togglePause,
  snapshot: takeSnapshot,
  region: () => view.select(!view.selecting),
  whole: () => wish("region none"),
  in: () => view.zoomBy(1.5),
  out: () => view.zoomBy(1 / 1.5),
  fit: () => view.fit(),
};
for (const [id, act] of Object.entries(actions)) at(id).addEventListener("click", act);

const keys = { " ": "pause", s: "snapshot", r: "region", "+": "in", "=": "in", "-": "out", 0: "fit" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && view.selecting) return view.select(false);
  const id = keys[event.key.toLowerCase()];
  if (!id || (event.key === " " && event.target.closest("button"))) return;
  event.preventDefault();
  if (!at(id).disabled) actions[id]();
});

connect();
