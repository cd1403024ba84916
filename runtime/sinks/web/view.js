// The picture on its stage: zoom, movement, divider, and the rectangle of a region. Knows nothing of where frames come from.

const MOST = 32; // screen pixels for a pixel of the result
const KEY_STEP = 40; // screen pixels
const SMALLEST = 8; // screen pixels of a rectangle that was meant

export class View {
  // parts: { stage, panes: [bicubic, high], labels: [bicubic, high], divider, selection }
  // on: { zoomed(scale), selected({ x, y, width, height } as shares of the picture), selecting(yes) }
  constructor(parts, on) {
    Object.assign(this, parts);
    this.on = on;
    this.canvases = this.panes.map((pane) => pane.querySelector("canvas"));
    this.width = 0; // of the result; 0: nothing to show yet
    this.height = 0;
    this.share = 0.5; // of the visible picture that is bicubic
    this.compares = true;
    this.selecting = false;
    this.pointers = new Map();
    this.listen();
    new ResizeObserver(() => this.resized()).observe(this.stage);
  }

  // The size of the pictures; they are shown as a whole where it changes.
  setSize(width, height, compares) {
    const changed = width !== this.width || height !== this.height;
    this.width = width;
    this.height = height;
    if (changed || compares !== this.compares) {
      this.compares = compares;
      this.stage.classList.add("filled");
      if (changed) this.fit();
      else this.arrange();
    }
  }

  get whole() { // the scale at which all is seen
    return Math.min(this.stage.clientWidth / this.width, this.stage.clientHeight / this.height);
  }

  fit() {
    if (!this.width) return;
    this.scale = this.whole;
    this.x = this.y = 0;
    this.arrange();
  }

  resized() {
    if (!this.width) return;
    if (!this.stage.classList.contains("zoomed")) this.fit();
    else this.zoomTo(this.scale, this.stage.clientWidth / 2, this.stage.clientHeight / 2);
  }

  // Zoom so that what is under (x, y) of the stage stays there.
  zoomTo(scale, x, y) {
    if (!this.width) return;
    const next = Math.min(Math.max(scale, this.whole), Math.max(MOST, this.whole));
    this.x = x - ((x - this.x) * next) / this.scale;
    this.y = y - ((y - this.y) * next) / this.scale;
    this.scale = next;
    this.arrange();
  }

  zoomBy(factor) {
    this.zoomTo(this.scale * factor, this.stage.clientWidth / 2, this.stage.clientHeight / 2);
  }

  moveBy(x, y) {
    if (!this.width) return;
    this.x += x;
    this.y += y;
    this.arrange();
  }

  divideAt(share) {
    this.share = Math.min(Math.max(share, 0), 1);
    this.arrange();
  }

  // What of the picture is on the stage, in pixels of the stage.
  get visible() {
    const left = Math.max(0, this.x);
    const top = Math.max(0, this.y);
    const right = Math.min(this.stage.clientWidth, this.x + this.width * this.scale);
    const bottom = Math.min(this.stage.clientHeight, this.y + this.height * this.scale);
    return { left, top, right, bottom, width: right - left, height: bottom - top };
  }

  arrange() {
    if (!this.width) {
      this.divider.style.left = `${this.share * 100}%`;
      this.sayDivider();
      return;
    }
    const { stage } = this;
    this.x = kept(this.x, stage.clientWidth, this.width * this.scale);
    this.y = kept(this.y, stage.clientHeight, this.height * this.scale);
    for (const canvas of this.canvases) canvas.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    const { left, top, right, width, height } = this.visible;
    const edge = (this.edge = this.compares ? left + this.share * width : left);
    this.panes[0].style.clipPath = `inset(0 ${stage.clientWidth - edge}px 0 0)`;
    this.panes[1].style.clipPath = `inset(0 0 0 ${edge}px)`;
    Object.assign(this.divider.style, { left: `${edge}px`, top: `${top}px`, bottom: "auto", height: `${height}px` });
    this.divider.hidden = !this.compares;
    const [before, after] = this.labels;
    Object.assign(before.style, { left: `${left + 12}px`, top: `${top + 12}px` });
    Object.assign(after.style, { right: `${stage.clientWidth - right + 12}px`, top: `${top + 12}px` });
    before.style.opacity = this.compares && edge - left > before.offsetWidth + 16 ? 1 : 0;
    after.style.opacity = right - edge > after.offsetWidth + 16 ? 1 : 0;
    stage.classList.toggle("zoomed", this.scale > this.whole * 1.001);
    stage.classList.toggle("sharp", this.scale * devicePixelRatio >= 2);
    this.sayDivider();
    this.on.zoomed(this.scale * devicePixelRatio);
  }

  sayDivider() {
    const percent = Math.round(this.share * 100);
    this.divider.setAttribute("aria-valuenow", percent);
    this.divider.setAttribute("aria-valuetext", `${percent} % bicubic`);
  }

  // A rectangle is dragged, or moved by keys, until it is taken or given up.
  select(yes) {
    if (yes && !this.width) return;
    this.selecting = yes;
    this.stage.classList.toggle("selecting", yes);
    this.selection.hidden = !yes;
    if (yes) {
      const { left, top, width, height } = this.visible;
      this.drawSelection({ x: left + width / 4, y: top + height / 4, width: width / 2, height: height / 2 });
      this.stage.focus({ preventScroll: true });
    }
    this.on.selecting(yes);
  }

  drawSelection({ x, y, width, height }) {
    const see = this.visible;
    width = Math.min(Math.max(width, SMALLEST), see.width);
    height = Math.min(Math.max(height, SMALLEST), see.height);
    x = Math.min(Math.max(x, see.left), see.right - width);
    y = Math.min(Math.max(y, see.top), see.bottom - height);
    this.rectangle = { x, y, width, height };
    Object.assign(this.selection.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  }

  take() {
    const { x, y, width, height } = this.rectangle;
    const across = this.width * this.scale;
    const down = this.height * this.scale;
    this.select(false);
    this.on.selected({ x: (x - this.x) / across, y: (y - this.y) / down, width: width / across, height: height / down });
  }

  listen() {
    const { stage, divider } = this;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      const [x, y] = this.place(event);
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      this.zoomTo(this.scale * Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), x, y);
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      const [x, y] = this.place(event);
      if (this.compares && Math.abs(x - this.edge) < divider.offsetWidth / 2) this.divideAt(0.5);
      else if (stage.classList.contains("zoomed")) this.fit();
      else this.zoomTo(Math.max(this.scale * 3, 1 / devicePixelRatio), x, y);
    });
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.up(event));
    divider.addEventListener("keydown", (event) => this.dividerKey(event));
    stage.addEventListener("keydown", (event) => this.stageKey(event));
  }

  place(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (!this.width || event.button > 0) return;
    const [x, y] = this.place(event);
    this.pointers.set(event.pointerId, [x, y]);
    this.stage.setPointerCapture(event.pointerId);
    const onDivider = this.divider.contains(event.target);
    if (this.pointers.size === 2) this.gesture = "pinch";
    else if (this.selecting) this.gesture = "select";
    else this.gesture = onDivider || !this.stage.classList.contains("zoomed") ? "divide" : "move";
    this.began = [x, y];
    if (this.gesture === "divide" && !onDivider && event.pointerType === "mouse") this.divideTo(x);
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const [x, y] = this.place(event);
    if (this.gesture === "pinch" && this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      const grown = distance([x, y], other) / Math.max(distance(before, other), 1);
      const middle = [(x + other[0]) / 2, (y + other[1]) / 2];
      this.x += (x - before[0]) / 2;
      this.y += (y - before[1]) / 2;
      this.zoomTo(this.scale * grown, ...middle);
    } else if (this.gesture === "divide") {
      this.divideTo(x);
    } else if (this.gesture === "move") {
      this.moveBy(x - before[0], y - before[1]);
    } else if (this.gesture === "select") {
      const [fromX, fromY] = this.began;
      this.drawSelection({ x: Math.min(x, fromX), y: Math.min(y, fromY), width: Math.abs(x - fromX), height: Math.abs(y - fromY) });
    }
    this.pointers.set(event.pointerId, [x, y]);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const far = distance(this.place(event), this.began) >= SMALLEST;
    if (this.gesture === "select" && this.selecting && event.type === "pointerup" && far) this.take();
    this.gesture = this.pointers.size === 1 && this.stage.classList.contains("zoomed") ? "move" : "";
  }

  divideTo(x) {
    const { left, width } = this.visible;
    this.divideAt((x - left) / width);
  }

  dividerKey(event) {
    const steps = { ArrowLeft: -0.02, ArrowDown: -0.02, ArrowRight: 0.02, ArrowUp: 0.02, PageDown: -0.1, PageUp: 0.1, Home: -1, End: 1 };
    if (!(event.key in steps)) return;
    this.divideAt(this.share + steps[event.key]);
    event.preventDefault();
    event.stopPropagation();
  }

  stageKey(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const [x, y] = (arrows[event.key] ?? [0, 0]).map((way) => way * KEY_STEP);
    if (event.key in arrows && this.selecting) {
      const box = { ...this.rectangle };
      if (event.shiftKey) Object.assign(box, { width: box.width + x / 2, height: box.height + y / 2 });
      else Object.assign(box, { x: box.x + x / 2, y: box.y + y / 2 });
      this.drawSelection(box);
    } else if (event.key in arrows) {
      this.moveBy(-x, -y);
    } else if (event.key === "Enter" && this.selecting) {
      this.take();
    } else {
      return;
    }
    event.preventDefault();
  }
}

// Where a picture of `size` may lie on a stage of `room`: in the middle where it fits, else covering it.
function kept(position, room, size) {
  return size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, position));
}

function distance([x1, y1], [x2, y2]) {
  return Math.hypot(x1 - x2, y1 - y2);
}
