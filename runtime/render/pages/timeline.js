"use strict";
// Draws `timeline-data` (timeline.py): lanes of layers and units, then the rows live in each
// memory, for the cycles from `view.first` to `view.last`.
(() => {
  const canvas = document.getElementById("timeline");
  if (!canvas) return;
  const data = JSON.parse(document.getElementById("timeline-data").textContent);
  const shown = document.querySelector(".zoom output");
  const pen = canvas.getContext("2d");
  const units = Object.keys(data.units);
  const memories = Object.keys(data.memories);
  const LANE = 26, MEMORY = 54, GAP = 8, AXIS = 24, LABEL = 62;
  const CLOSEST = 200; // cycles on the screen, at least
  const view = { first: 0, last: data.cycles };
  let width = 0, colors = {};

  // ------------------------------------------------------------------------------ places

  const laneTop = (n) => n * (LANE + GAP);
  const memoryTop = (n) => laneTop(units.length + 1) + GAP + n * (MEMORY + GAP);
  const height = memoryTop(memories.length) + AXIS;
  const toX = (cycle) =>
    LABEL + ((cycle - view.first) / (view.last - view.first)) * (width - LABEL);
  const toCycle = (x) =>
    view.first + ((x - LABEL) / (width - LABEL)) * (view.last - view.first);

  // The last index whose start is at or before the cycle.
  function indexAt(starts, cycle) {
    let low = 0, high = starts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= cycle) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  // ----------------------------------------------------------------------------- drawing

  function draw() {
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    drawAxis();
    drawOwners();
    units.forEach((unit, n) => drawUnit(unit, laneTop(n + 1)));
    memories.forEach((name, n) => drawMemory(name, memoryTop(n)));
    const part = (view.last - view.first) / data.cycles;
    shown.textContent = part > 0.999 ? "" :
      `cycles ${Math.round(view.first).toLocaleString()} to ${Math.round(view.last).toLocaleString()}`;
  }

  function label(text, top, high) {
    pen.fillStyle = colors.soft;
    pen.textAlign = "left";
    pen.fillText(text, 0, top + high / 2);
  }

  function drawAxis() {
    const span = view.last - view.first, wanted = Math.max(2, width / 130);
    const rough = span / wanted, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    pen.textAlign = "center";
    for (let at = Math.ceil(view.first / step) * step; at <= view.last; at += step) {
      const x = Math.round(toX(at)) + 0.5;
      pen.strokeStyle = colors.line;
      pen.beginPath();
      pen.moveTo(x, 0);
      pen.lineTo(x, height - AXIS + 4);
      pen.stroke();
      pen.fillStyle = colors.soft;
      const text = at >= 1e6 ? `${+(at / 1e6).toPrecision(6)} M` :
        at >= 1e3 ? `${+(at / 1e3).toPrecision(6)} k` : `${at}`;
      const half = pen.measureText(text).width / 2;
      pen.fillText(text, Math.min(Math.max(x, LABEL + half), width - half), height - AXIS / 2 + 2);
    }
    label("cycles", height - AXIS, AXIS + 4);
  }

  function drawOwners() {
    const { start, length, layer } = data.owners;
    label("layer", 0, LANE);
    pen.textAlign = "left";
    for (let n = Math.max(0, indexAt(start, view.first)); n < start.length; n++) {
      if (start[n] > view.last) break;
      const left = Math.max(LABEL, toX(start[n]));
      const right = Math.min(width, toX(start[n] + length[n]));
      pen.fillStyle = layer[n] % 2 ? colors.stripe : colors.line;
      pen.fillRect(left, 0, Math.max(right - left, 0.5), LANE);
      write(data.layers[layer[n]], left, right, LANE / 2);
    }
  }

  // A text between two places, if it fits, or its end.
  function write(text, left, right, y) {
    const room = right - left - 8;
    if (room < 18) return;
    let cut = text;
    while (cut.length > 3 && pen.measureText(cut).width > room) cut = `…${cut.replace(/^…?./, "")}`;
    if (pen.measureText(cut).width > room) return;
    pen.fillStyle = colors.ink;
    pen.fillText(cut, left + 4, y);
  }

  // How busy a unit is in each column of pixels; slices that are wide enough stand apart.
  function drawUnit(unit, top) {
    const { start, length, what } = data.units[unit];
    label(unit, top, LANE);
    const busy = new Float32Array(Math.ceil(width) + 1);
    const wide = [];
    for (let n = Math.max(0, indexAt(start, view.first)); n < start.length; n++) {
      if (start[n] > view.last) break;
      const left = Math.max(LABEL, toX(start[n]));
      const right = Math.min(width, toX(start[n] + length[n]));
      if (right - left >= 3) wide.push([left, right, what[n]]);
      else cover(busy, left, right);
    }
    pen.fillStyle = colors.unit;
    for (let x = LABEL; x < width; x++) {
      const tall = Math.min(1, busy[x]) * LANE;
      if (tall > 0) pen.fillRect(x, top + LANE - tall, 1, tall);
    }
    pen.textAlign = "left";
    for (const [left, right, kind] of wide) {
      pen.fillStyle = colors.unit;
      pen.fillRect(left, top, right - left - 0.5, LANE);
      if (right - left > 40) {
        pen.save();
        pen.globalAlpha = 0.9;
        writeOn(data.mnemonics[kind], left, right, top + LANE / 2);
        pen.restore();
      }
    }
  }

  function cover(busy, left, right) {
    for (let x = Math.floor(left); x < right; x++) {
      busy[x] += Math.min(x + 1, right) - Math.max(x, left);
    }
  }

  function writeOn(text, left, right, y) {
    if (pen.measureText(text).width > right - left - 8) return;
    pen.fillStyle = colors.panel;
    pen.fillText(text, left + 4, y);
  }

  function drawMemory(name, top) {
    const { rows, start, live } = data.memories[name];
    label(name, top, MEMORY);
    pen.fillStyle = colors.line;
    pen.fillRect(LABEL, top, width - LABEL, MEMORY);
    const most = new Float32Array(Math.ceil(width) + 1);
    for (let n = Math.max(0, indexAt(start, view.first)); n < start.length; n++) {
      if (start[n] > view.last) break;
      const left = Math.max(LABEL, toX(start[n]));
      const right = Math.min(width, n + 1 < start.length ? toX(start[n + 1]) : width);
      for (let x = Math.floor(left); x < Math.max(right, Math.floor(left) + 1); x++) {
        most[x] = Math.max(most[x], live[n]);
      }
    }
    pen.fillStyle = colors.memory;
    for (let x = LABEL; x < width; x++) {
      const tall = (most[x] / rows) * MEMORY;
      pen.fillRect(x, top + MEMORY - tall, 1, tall);
    }
  }

  // ---------------------------------------------------------------------- looking closer

  function look(first, last) {
    const span = Math.min(data.cycles, Math.max(last - first, Math.min(CLOSEST, data.cycles)));
    view.first = Math.min(Math.max(0, first), data.cycles - span);
    view.last = view.first + span;
    requestAnimationFrame(draw);
  }

  function zoom(factor, x) {
    const at = toCycle(x === undefined ? (LABEL + width) / 2 : Math.max(x, LABEL));
    look(at - (at - view.first) / factor, at + (view.last - at) / factor);
  }

  function move(pixels) {
    const cycles = (pixels / (width - LABEL)) * (view.last - view.first);
    const span = view.last - view.first;
    const first = Math.min(Math.max(0, view.first + cycles), data.cycles - span);
    look(first, first + span);
  }

  // What is at a place.
  function describe(x, y) {
    const cycle = toCycle(x);
    if (x < LABEL || cycle >= data.cycles) return "";
    const number = (n) => Math.round(n).toLocaleString();
    const owner = data.owners, at = indexAt(owner.start, cycle);
    const lines = [];
    const lane = Math.floor(y / (LANE + GAP));
    if (lane >= 1 && lane <= units.length) {
      const unit = units[lane - 1], slices = data.units[unit], n = indexAt(slices.start, cycle);
      if (n >= 0 && cycle < slices.start[n] + slices.length[n]) {
        lines.push(data.layers[slices.layer[n]],
          `${data.mnemonics[slices.what[n]]}, pc ${slices.pc[n]}`,
          `${number(slices.length[n])} cycles from ${number(slices.start[n])}`);
      } else lines.push(`${unit} idles`, `cycle ${number(cycle)}`);
    } else {
      lines.push(data.layers[owner.layer[at]], `cycle ${number(cycle)}`);
      for (const name of memories) {
        const { rows, row_bytes, start, live } = data.memories[name];
        const n = indexAt(start, cycle);
        lines.push(`${name} ${number((live[n] * row_bytes) / 1024)} of ` +
          `${number((rows * row_bytes) / 1024)} KiB`);
      }
    }
    return lines.join("\n");
  }

  const fingers = new Map(); // places of what is pressed, by pointer
  const place = (event) => event.clientX - canvas.getBoundingClientRect().left;

  canvas.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const x = place(event), before = fingers.get(event.pointerId);
    const y = event.clientY - canvas.getBoundingClientRect().top;
    if (before === undefined) {
      const text = describe(x, y);
      if (text) showTip(text, event.clientX, event.clientY);
      else hideTip();
      return;
    }
    hideTip();
    const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length === 0) move(before - x);
    else {
      const apart = Math.abs(before - others[0]), now = Math.abs(x - others[0]);
      if (apart > 8 && now > 8) zoom(now / apart, (x + others[0]) / 2);
    }
    fingers.set(event.pointerId, x);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("click", (event) => {
    const text = describe(place(event), event.clientY - canvas.getBoundingClientRect().top);
    if (text) showTip(text, event.clientX, event.clientY);
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("dblclick", (event) => zoom(3, place(event)));
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(-event.deltaY / 200), place(event));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX);
    else return;
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const step = { "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), ArrowLeft: () => move(-60),
      ArrowRight: () => move(60), Home: () => look(0, data.cycles) }[event.key];
    if (!step) return;
    step();
    event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => ({ in: () => zoom(2), out: () => zoom(0.5),
      all: () => look(0, data.cycles) })[button.dataset.zoom]());
  }

  // ---------------------------------------------------------------------- size and colours

  function fit() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "line", "stripe", "panel", "unit", "memory"]) {
      colors[name] = style.getPropertyValue(`--${name}`).trim();
    }
    width = canvas.parentElement.clientWidth -
      2 * parseFloat(getComputedStyle(canvas.parentElement).paddingLeft);
    const sharp = devicePixelRatio || 1;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    canvas.style.height = `${height}px`;
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    draw();
  }
  addEventListener("resize", fit);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", fit);
  fit();
})();
