// The parts of the picture. Each is made once from its data and gives { element, draw(now, final) };
// `final` is set when the clock stands still, the moment to bring the alternative texts up to date.
// Part of the player; player.py joins the player*.js files into one module.

import { clamp, css, mix, number, rgb, unpack } from "./player_math.js";

const LIMIT = 3; // normalised units at the ends of the colour scale
// Blue to orange stays apart in every common form of colour blindness; the middle is the page.
export const SCALE = {
  light: ["#1f4e9c", "#5f95d0", "#f4f4f2", "#ee9a55", "#a8400c"],
  dark: ["#8fc1ff", "#3a74bd", "#23272f", "#bd6420", "#ffb877"],
};

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Move a slider; the style sheet fills its track up to --pdw-fill. */
export function setRange(slider, value) {
  slider.value = value;
  slider.style.setProperty("--pdw-fill", (slider.value - slider.min) / (slider.max - slider.min || 1));
}

/** Read a CSS colour of any spelling as [r, g, b]. */
export function readColour(text) {
  const canvas = h("canvas", { width: 1, height: 1 });
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = text;
  ctx.fillRect(0, 0, 1, 1);
  return [...ctx.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

/** Give the canvas `height` CSS pixels and the screen's own resolution; null while hidden. */
function fit(canvas, height) {
  const width = canvas.clientWidth;
  if (!width) return null;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return { ctx, width, height };
}

export function colourScale(stops) {
  const colours = stops.map(rgb);
  const table = Array.from({ length: 129 }, (_, i) => {
    const at = (i / 128) * (colours.length - 1);
    const from = Math.min(Math.floor(at), colours.length - 2);
    return css(mix(colours[from], colours[from + 1], at - from));
  });
  return (x) => table[clamp(Math.round((x / LIMIT + 1) * 64), 0, 128)];
}

/** The prompt as a heat map: variables down, the rows of the prompt across, one chain frame. */
export function chainView(chain, shared) {
  const [n, length, d] = chain.shape;
  const data = { x: unpack(chain.x, Float32Array), guess: unpack(chain.x0_hat, Float32Array) };
  const [mean, scale] = [unpack(chain.mean, Float32Array), unpack(chain.scale, Float32Array)];
  const canvas = h("canvas", { role: "img" });
  const title = h("div", { className: "pdw-step pdw-number", "data-pdw": "step" });
  const slider = h("input", {
    type: "range", min: 0, max: n, step: 1, value: 0, "aria-label": "Diffusion step, from noise to the finished prompt",
  });
  const check = h("input", { type: "checkbox", checked: shared.guess });
  const bar = h("i");
  const ROW = 15, GAP = 8, TOP = 34, STRIP = 20;
  const groupAt = chain.groups.map((g, i) => i > 0 && g !== chain.groups[i - 1]);
  const rowTop = [];
  for (let i = 0, y = TOP; i < d; i++, y += ROW) {
    if (groupAt[i]) y += GAP;
    rowTop.push(y);
  }
  const height = rowTop[d - 1] + ROW + 2;
  let left = 0, cell = 0, frame = 0;

  const guessing = () => shared.guess && frame < n;
  const values = () => (guessing() ? data.guess : data.x);
  const words = () => {
    const k = n - frame;
    if (k === n) return `Diffusion step ${n} of ${n}: pure noise`;
    return k ? `Diffusion step ${k} of ${n}: noise is being removed` : "Step 0: the finished prompt";
  };

  function draw(now, final) {
    frame = now.frame;
    title.textContent = guessing() ? `Guess of the finished prompt, made at step ${n - frame} of ${n}` : words();
    setRange(slider, frame);
    slider.setAttribute("aria-valuetext", words());
    const board = fit(canvas, height);
    if (!board) return;
    const { ctx, width } = board;
    const { look } = shared;
    ctx.font = `11.5px ${look.font}`;
    ctx.textBaseline = "middle";
    const labels = chain.names.map((name, i) => [name, chain.units[i] ? ` ${chain.units[i]}` : ""]);
    const widest = Math.max(...labels.map(([a, b]) => ctx.measureText(a + b).width));
    left = STRIP + Math.min(widest, width * 0.56) + 8;
    cell = (width - left) / length;
    ctx.fillStyle = look.muted;
    ctx.textAlign = "center";
    ctx.fillText("prompt row (time \u2192)", left + (width - left) / 2, 8);
    for (let j = 0; j < length; j++) ctx.fillText(`${j + 1}`, left + (j + 0.5) * cell, 24);
    ctx.textAlign = "right";
    for (let i = 0; i < d; i++) {
      const y = rowTop[i] + ROW / 2;
      const [name, label] = labels[i];
      const room = left - STRIP - 8;
      const wide = ctx.measureText(label).width;
      ctx.fillStyle = look.muted;
      ctx.globalAlpha = 0.75;
      const shown = ctx.measureText(name + label).width <= room + 0.5;
      if (shown) ctx.fillText(label, left - 8, y);
      ctx.globalAlpha = 1;
      ctx.fillStyle = look.text;
      ctx.fillText(name, left - 8 - (shown ? wide : 0), y, room);
      for (let j = 0; j < length; j++) {
        ctx.fillStyle = shared.colours(values()[(frame * length + j) * d + i]);
        ctx.fillRect(left + j * cell, rowTop[i], cell - 1, ROW - 1);
      }
    }
    for (let i = 0, from = 0; i < d; i++) {
      if (i < d - 1 && !groupAt[i + 1]) continue;
      const [top, bottom] = [rowTop[from], rowTop[i] + ROW - 1];
      ctx.strokeStyle = look.line;
      ctx.lineWidth = 2;
      ctx.beginPath();
      ctx.moveTo(STRIP - 4, top);
      ctx.lineTo(STRIP - 4, bottom);
      ctx.stroke();
      ctx.fillStyle = look.muted;
      if (bottom - top > 60) {
        ctx.save();
        ctx.translate(8, (top + bottom) / 2);
        ctx.rotate(-Math.PI / 2);
        ctx.textAlign = "center";
        ctx.fillText(chain.groups[i], 0, 0);
        ctx.restore();
      }
      from = i + 1;
    }
    if (final) {
      canvas.setAttribute("aria-label", `${title.textContent}. Heat map of ${d} variables in ${length} rows of the prompt; colours from \u2212${LIMIT} to ${LIMIT} standard deviations.`);
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const row = rowTop.findIndex((y) => event.offsetY >= y && event.offsetY < y + ROW);
    const column = Math.floor((event.offsetX - left) / cell);
    if (row < 0 || event.offsetX < 0 || column >= length) return shared.tip(null);
    const name = `${chain.names[row]} (${chain.groups[row]})`;
    if (column < 0) return shared.tip(event, `${name}\nunit: ${chain.units[row] || "none"}`);
    const value = values()[(frame * length + column) * d + row];
    const raw = number(mean[row] + scale[row] * value);
    shared.tip(event, `${name}, prompt row ${column + 1}\n${raw} ${chain.units[row]}\n${number(value, 2)} normalised`);
  });
  canvas.addEventListener("pointerleave", () => shared.tip(null));
  slider.addEventListener("input", () => shared.seekFrame(+slider.value));
  check.addEventListener("change", () => {
    shared.guess = check.checked;
    shared.redraw();
  });

  const element = h("section", { className: "pdw-chain" },
    h("h3", { textContent: chain.label || "Noise becomes a prompt" }),
    h("p", { textContent: `The diffuser turns noise into a prompt: ${length} rows of an example episode that tell the frozen model how to act.` }),
    title, h("div", { className: "pdw-slider" }, "noise", slider, "prompt"), canvas,
    h("div", { className: "pdw-legend" }, h("span", { textContent: `\u2212${LIMIT}` }), bar,
      h("span", { textContent: `${LIMIT}  standard deviations from the training mean` })),
    h("label", { className: "pdw-check" }, check,
      h("span", { textContent: "show x\u0302\u2080: the model\u2019s current guess of the finished prompt" })));
  const restyle = () => {
    bar.style.background = `linear-gradient(90deg, ${SCALE[shared.look.dark ? "dark" : "light"].join(", ")})`;
  };
  return { element, draw, restyle };
}

/** One episode: its robot, and what it has earned so far. */
export function replayView(run, paint, shared) {
  const canvas = h("canvas", { role: "img" });
  const [earned, measured] = [h("b", { className: "pdw-number" }), h("b", { className: "pdw-number" })];
  const chip = h("i");
  const readout = h("div", { className: "pdw-readout" }, h("span", {}, "return so far ", earned));
  const { chart } = shared;
  if (run.curve) readout.append(h("span", { title: chart.note }, `${chart.name} `, measured));
  const element = h("figure", { className: "pdw-replay" },
    h("figcaption", {}, chip, h("b", { textContent: run.label, title: run.label })), canvas, readout);

  function draw(now, final) {
    const i = Math.min(Math.floor(now.step + 1e-6), run.steps);
    earned.textContent = number(run.total[i], 1);
    if (run.curve) measured.textContent = `${number(run.curve[i], chart.digits)} ${chart.unit}`;
    const width = canvas.clientWidth;
    const board = fit(canvas, Math.round(clamp(width * 0.68, 170, 310)));
    if (!board) return;
    const { look } = shared;
    const seconds = now.waiting ? null : now.step * shared.dt;
    paint(board.ctx, board.width, board.height, run, Math.min(now.step, run.steps - 1), { ...look, seconds, sharp: final });
    const over = run.ending || "end of the episode";
    const note = now.waiting ? "starts when the prompt is finished" : i >= run.steps ? over : "";
    if (note) {
      const { ctx } = board;
      ctx.font = `12px ${look.font}`;
      ctx.textAlign = "left";
      const wide = ctx.measureText(note).width + 16;
      ctx.fillStyle = look.veil;
      ctx.fillRect(8, 8, wide, 24);
      ctx.fillStyle = look.text;
      ctx.textBaseline = "middle";
      ctx.fillText(note, 16, 20);
      ctx.textBaseline = "alphabetic";
    }
    if (final) {
      canvas.setAttribute("aria-label", `Replay of ${run.label} at ${number(i * shared.dt, 1)} s: return so far ${earned.textContent}${run.curve ? `, ${chart.name} ${measured.textContent}` : ""}${i >= run.steps && run.ending ? `, ${run.ending}` : ""}.`);
    }
  }
  const restyle = () => (chip.style.background = shared.look.ink(run.colour));
  return { element, draw, restyle };
}

/** Curves over the episode, faint as a whole and strong up to the playhead; drag to seek. */
export function chartView({ title, note, curves, target, targetLabel, unit: unitName, digits }, steps, shared) {
  const canvas = h("canvas", { role: "img" });
  const heading = h("h4", {}, title);
  if (note) heading.append(h("span", { textContent: ` ${note}` }));
  const element = h("div", {}, heading, canvas);
  const BOX = { left: 44, right: 14, top: 18, bottom: 22, height: 216 };
  const all = curves.flatMap((c) => [...c.main]).concat(target ?? []).filter(Number.isFinite);
  let [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  const step = [1, 2, 5].flatMap((m) => [-3, -2, -1, 0, 1, 2, 3, 4].map((e) => m * 10 ** e))
    .sort((a, b) => a - b).find((s) => (high - low) / s <= 4) || 1;
  const margin = 0.1 * (high - low || 1);
  [low, high] = [low - (low < 0 ? margin : 0), high + (high > 0 ? margin : 0)];
  if (low === high) high = low + 1;
  const seconds = steps * shared.dt;
  let hover = null;

  const trace = (ctx, values, x, y) => {
    ctx.beginPath();
    for (let i = 0; i < values.length; i++) ctx.lineTo(x(i * shared.dt), y(values[i]));
    ctx.stroke();
  };

  function draw(now, final) {
    const board = fit(canvas, BOX.height);
    if (!board) return;
    const { ctx, width, height } = board;
    const { look } = shared;
    const x = (t) => BOX.left + (t / seconds) * (width - BOX.left - BOX.right);
    const y = (v) => height - BOX.bottom - ((v - low) / (high - low)) * (height - BOX.bottom - BOX.top);
    ctx.font = `11px ${look.font}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    ctx.lineWidth = 1;
    for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) {
      ctx.strokeStyle = look.line;
      ctx.globalAlpha = Math.abs(v) < 1e-9 ? 1 : 0.5;
      ctx.beginPath();
      ctx.moveTo(BOX.left, y(v));
      ctx.lineTo(width - BOX.right, y(v));
      ctx.stroke();
      ctx.globalAlpha = 1;
      ctx.fillStyle = look.muted;
      ctx.fillText(number(v, step < 0.1 ? 2 : step < 1 ? 1 : 0), BOX.left - 6, y(v));
    }
    const tick = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((t) => seconds / t <= 6) ?? 1000;
    for (let t = 0; t <= seconds + 1e-9; t += tick) {
      const last = t + tick > seconds + 1e-9;
      ctx.textAlign = t === 0 ? "left" : last && x(t) > width - 40 ? "right" : "center";
      ctx.fillText(`${number(t, tick < 1 ? 1 : 0)}${last ? " s" : ""}`, x(t), height - 9);
    }
    if (target !== null && target !== undefined) {
      ctx.strokeStyle = ctx.fillStyle = look.strong;
      ctx.setLineDash([5, 4]);
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      ctx.moveTo(BOX.left, y(target));
      ctx.lineTo(width - BOX.right, y(target));
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.textAlign = "right";
      ctx.fillText(targetLabel, width - BOX.right, y(target) - (y(target) < 14 ? -9 : 9));
    }
    const head = x(Math.min(now.step, steps) * shared.dt);
    ctx.lineJoin = "round";
    for (const pass of ["faint", "strong"]) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(BOX.left, 0, (pass === "strong" ? head : width - BOX.right) - BOX.left, height);
      ctx.clip();
      for (const curve of curves) {
        ctx.strokeStyle = look.ink(curve.colour);
        ctx.globalAlpha = pass === "strong" ? 1 : 0.36;
        ctx.lineWidth = pass === "strong" ? 2.2 : 1.5;
        trace(ctx, curve.main, x, y);
      }
      ctx.restore();
    }
    ctx.strokeStyle = look.text;
    ctx.lineWidth = 1;
    for (const [at, alpha] of [[head, 0.8], ...(hover === null ? [] : [[x(hover * shared.dt), 0.35]])]) {
      ctx.globalAlpha = alpha;
      ctx.beginPath();
      ctx.moveTo(at, BOX.top - 4);
      ctx.lineTo(at, height - BOX.bottom);
      ctx.stroke();
    }
    ctx.globalAlpha = 1;
    for (const curve of curves) {
      ctx.fillStyle = look.ink(curve.colour);
      ctx.strokeStyle = look.back;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      const at = Math.min(now.step, curve.main.length - 1);
      ctx.arc(x(at * shared.dt), y(curve.main[Math.floor(at + 1e-6)]), 4.5, 0, 2 * Math.PI);
      ctx.fill();
      ctx.stroke();
    }
    if (final) {
      const ends = curves.map((c) => `${c.label} ends at ${number(c.main[c.main.length - 1], digits)}`);
      canvas.setAttribute("aria-label", `${title} over ${number(seconds, 0)} s. ${ends.join("; ")}. ${targetLabel ?? ""}`);
    }
  }

  const stepAt = (event) => {
    const part = (event.offsetX - BOX.left) / (canvas.clientWidth - BOX.left - BOX.right);
    return clamp(Math.round(part * steps), 0, steps);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    shared.seekStep(stepAt(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    hover = stepAt(event);
    const lines = curves.map((c) => `${c.label}: ${number(c.main[Math.min(hover, c.main.length - 1)], digits)} ${unitName}`);
    shared.tip(event, [`at ${number(hover * shared.dt, 2)} s`, ...lines].join("\n"));
    if (event.buttons & 1) shared.seekStep(hover);
    else shared.redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    hover = null;
    shared.tip(null);
    shared.redraw();
  });
  return { element, draw };
}
