// Latency over the last minute, drawn by hand: a line for the median of each stage, a band up to the 95th percentile of the age.

const MINUTE_S = 60;
const MARGIN = { left: 34, right: 6, top: 8, bottom: 18 };

export const STAGES = [
  { name: "network", colour: "--network" },
  { name: "whole frame", colour: "--whole" },
  { name: "age", colour: "--aged", band: true },
  { name: "page age", colour: "--page", outside: true },
];

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.points = []; // { at, stages: { name: { median_ms, p95_ms } } }, oldest first
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.draw());
  }

  add(at, stages) {
    if (this.points.length && at < this.points.at(-1).at) this.points = []; // another run
    this.points.push({ at, stages });
    while (this.points[0].at < at - MINUTE_S) this.points.shift();
    this.draw();
    const now = STAGES.filter(({ name }) => stages[name]?.count).map(({ name }) => `${name} ${stages[name].median_ms.toFixed(1)} ms`);
    this.canvas.setAttribute("aria-label", `Latency over the last minute. Now: ${now.join(", ") || "nothing yet"}`);
  }

  draw() {
    const canvas = this.canvas;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(canvas);
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `11px ${style.fontFamily}`;

    const end = this.points.at(-1)?.at ?? 0;
    const [top, step] = scale(this.highest());
    const x = (at) => width - MARGIN.right - ((end - at) / MINUTE_S) * (width - MARGIN.left - MARGIN.right);
    const y = (ms) => height - MARGIN.bottom - (Math.min(ms, top) / top) * (height - MARGIN.top - MARGIN.bottom);

    pen.strokeStyle = style.getPropertyValue("--edge");
    pen.fillStyle = style.getPropertyValue("--quiet");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (let ms = 0; ms <= top * 1.001; ms += step) {
      line(pen, MARGIN.left, Math.round(y(ms)) + 0.5, width - MARGIN.right, Math.round(y(ms)) + 0.5);
      pen.fillText(String(+ms.toFixed(2)), MARGIN.left - 6, y(ms));
    }
    pen.textBaseline = "alphabetic";
    for (const ago of [60, 45, 30, 15, 0]) {
      pen.textAlign = ago === 60 ? "left" : ago ? "center" : "right";
      pen.fillText(ago ? `−${ago} s` : "now", x(end - ago), height - 4);
    }
    for (const stage of STAGES) this.plot(pen, stage, x, y, style.getPropertyValue(stage.colour));
  }

  // The way to a far viewer may be long; it does not press the stream's own lines to the ground, but runs along the top.
  highest() {
    let [own, far] = [1, 1];
    for (const { stages } of this.points) {
      for (const { name, band, outside } of STAGES) {
        if (!stages[name]?.count) continue;
        if (outside) far = Math.max(far, stages[name].median_ms);
        else own = Math.max(own, band ? stages[name].p95_ms : stages[name].median_ms);
      }
    }
    return Math.max(own, Math.min(far, 3 * own));
  }

  plot(pen, { name, band }, x, y, colour) {
    const run = this.points.filter(({ stages }) => stages[name]?.count);
    if (!run.length) return;
    if (band) {
      pen.globalAlpha = 0.18;
      pen.fillStyle = colour;
      pen.beginPath();
      for (const { at, stages } of run) pen.lineTo(x(at), y(stages[name].p95_ms));
      for (const { at, stages } of [...run].reverse()) pen.lineTo(x(at), y(stages[name].median_ms));
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.strokeStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    pen.beginPath();
    for (const { at, stages } of run) pen.lineTo(x(at), y(stages[name].median_ms));
    if (run.length === 1) pen.lineTo(x(run[0].at) - 2, y(run[0].stages[name].median_ms));
    pen.stroke();
  }
}

// A round top above the highest value, and the step between three to six lines.
function scale(highest) {
  const wanted = (highest * 1.08) / 4;
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= wanted);
  return [Math.ceil((highest * 1.02) / step) * step, step];
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}
