// A chart of curves under the one playhead, over time or over the diffusion steps.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, number } from "./math.js";
import { fit, h } from "./dom.js";

/** A round step of which at most `most` fit into a range. */
export const roundStep = (range, most) => [1, 2, 5].flatMap((m) => [-3, -2, -1, 0, 1, 2, 3, 4].map((e) => m * 10 ** e))
  .sort((a, b) => a - b).find((s) => range / s <= most) || 1;

/** The axis of an episode: its index is the step. */
export function timeAxis(steps, shared) {
  const seconds = steps * shared.dt;
  const tick = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100].find((t) => seconds / t <= 6) ?? 1000;
  const ticks = Array.from({ length: Math.floor(seconds / tick + 1e-9) + 1 }, (_, i) => i * tick);
  return {
    last: steps, whole: true,
    ticks: ticks.map((t, i) => [t / shared.dt, `${number(t, tick < 1 ? 1 : 0)}${i === ticks.length - 1 ? " s" : ""}`]),
    head: (now) => Math.min(now.step, steps), seek: shared.seekStep,
    words: (index) => `at ${number(index * shared.dt, 2)} s`, over: `over ${number(seconds, 0)} s`,
  };
}

/** The axis of the denoising: its index is the frame, from noise to the finished prompt. */
export function chainAxis(n, shared) {
  const every = Math.max(1, Math.round(n / 4));
  const frames = Array.from({ length: Math.floor(n / every) + 1 }, (_, i) => n - i * every);
  return {
    last: n, whole: true, ticks: frames.map((f) => [f, f === n ? "0" : `${n - f}`]),
    head: (now) => now.frame, seek: shared.seekFrame,
    words: (index) => (index === n ? "the finished prompt" : `diffusion step ${n - index}`),
    over: `over ${n} diffusion steps`,
  };
}

/**
 * Curves, faint as a whole and strong up to the playhead; drag to move it.
 *
 * A curve is { label, colour, read() -> { xs, ys } }: values at rising indices of the axis; without
 * xs the index counts the values. The vertical axis holds all() at the present moment of the tuning,
 * or at every moment if it is `steady`; `band` is [low, high, words] and `target` a dashed line. Where curves coincide, the first one
 * shows as the rim of the next.
 */
export function chartView(options, axis, shared) {
  const { title, note, curves, all, target, targetLabel, band, unit = "", digits = 2 } = options;
  const canvas = h("canvas", { role: "img" });
  const heading = h("h4", { title }, title);
  if (note) heading.append(h("span", { textContent: ` ${note}` }));
  const element = h("div", {}, heading, canvas);
  const BOX = { left: 44, right: 14, top: 18, bottom: 22, height: options.height ?? 216 };
  let low = 0, high = 1, step = 1, known = null;

  const state = () => `${shared.guess} ${options.steady || shared.update}`;
  /** Find a range for the vertical axis, with 0 in it. */
  function scale() {
    known = state();
    const held = [...all(), ...(band ?? []).slice(0, 2), target ?? NaN].filter(Number.isFinite);
    [low, high] = held.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]);
    if (low === high) high = low + 1; // nothing was run yet, or all of it is 0
    step = roundStep(high - low, BOX.height < 150 ? 3 : 4);
    const margin = 0.1 * (high - low);
    [low, high] = [low - (low < 0 ? margin : 0), high + (high > 0 ? margin : 0)];
  }
  let hover = null;

  const valueAt = ({ xs, ys }, index) => {
    if (!xs) return ys[clamp(Math.floor(index + 1e-6), 0, ys.length - 1)];
    const later = xs.findIndex((x) => x > index + 1e-6);
    return ys[later < 0 ? ys.length - 1 : Math.max(later - 1, 0)];
  };

  function draw(now, final) {
    const board = fit(canvas, BOX.height);
    if (!board) return;
    if (known !== state()) scale();
    const { ctx, width, height } = board;
    const { look } = shared;
    const x = (index) => BOX.left + (index / (axis.last || 1)) * (width - BOX.left - BOX.right);
    const y = (v) => height - BOX.bottom - ((v - low) / (high - low)) * (height - BOX.bottom - BOX.top);
    ctx.font = `11px ${look.font}`;
    ctx.textBaseline = "middle";
    if (band) {
      ctx.fillStyle = look.line;
      ctx.globalAlpha = 0.6;
      ctx.fillRect(BOX.left, y(band[1]), width - BOX.left - BOX.right, Math.max(y(band[0]) - y(band[1]), 2));
      ctx.globalAlpha = 1;
      ctx.fillStyle = look.muted;
      ctx.textAlign = "left";
      ctx.fillText(band[2], BOX.left + 6, Math.min(y(band[0]) + 9, height - BOX.bottom - 7));
    }
    ctx.textAlign = "right";
    ctx.lineWidth = 1;
    for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) {
      ctx.strokeStyle = look.line;
      ctx.globalAlpha = Math.abs(v) < 1e-9 ? 1 : 0.5;
      line(ctx, BOX.left, y(v), width - BOX.right, y(v));
      ctx.globalAlpha = 1;
      ctx.fillStyle = look.muted;
      ctx.fillText(number(v, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9))), BOX.left - 6, y(v));
    }
    axis.ticks.forEach(([index, words]) => {
      const at = x(index);
      ctx.textAlign = at < BOX.left + 4 ? "left" : at > width - 40 ? "right" : "center";
      ctx.fillText(words, at, height - 9);
    });
    if (target !== null && target !== undefined) {
      ctx.strokeStyle = ctx.fillStyle = look.strong;
      ctx.setLineDash([5, 4]);
      ctx.lineWidth = 1.5;
      line(ctx, BOX.left, y(target), width - BOX.right, y(target));
      ctx.setLineDash([]);
      ctx.textAlign = options.targetLeft ? "left" : "right";
      ctx.fillText(targetLabel, options.targetLeft ? BOX.left + 6 : width - BOX.right, y(target) - (y(target) < 14 ? -9 : 9));
    }
    const read = curves.map((curve) => ({ ...curve, ...curve.read() })).filter(({ ys }) => ys.length);
    const index = axis.head(now);
    const head = x(index);
    ctx.lineJoin = "round";
    for (const pass of ["faint", "strong"]) {
      ctx.save();
      ctx.beginPath();
      ctx.rect(BOX.left, 0, (pass === "strong" ? head : width - BOX.right) - BOX.left, height);
      ctx.clip();
      for (const [order, curve] of read.entries()) {
        ctx.strokeStyle = look.ink(curve.colour);
        ctx.globalAlpha = pass === "strong" ? 1 : 0.36;
        ctx.lineWidth = (pass === "strong" ? 2.2 : 1.5) * (options.thin ? 0.6 : 1) * rim(order, read.length);
        ctx.beginPath();
        for (let i = 0; i < curve.ys.length; i++) {
          if (Number.isFinite(curve.ys[i])) ctx.lineTo(x(curve.xs ? curve.xs[i] : i), y(curve.ys[i]));
        }
        ctx.stroke();
      }
      ctx.restore();
    }
    ctx.strokeStyle = look.text;
    ctx.lineWidth = 1;
    for (const [at, alpha] of [[head, 0.8], ...(hover === null ? [] : [[x(hover), 0.35]])]) {
      ctx.globalAlpha = alpha;
      line(ctx, at, BOX.top - 4, at, height - BOX.bottom);
    }
    ctx.globalAlpha = 1;
    for (const [order, curve] of read.entries()) {
      ctx.fillStyle = look.ink(curve.colour);
      ctx.strokeStyle = look.back;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      const at = curve.xs ? clamp(index, curve.xs[0], curve.xs[curve.xs.length - 1]) : Math.min(index, curve.ys.length - 1);
      ctx.arc(x(at), y(valueAt(curve, index)), (options.thin ? 3 : 4.5) * Math.sqrt(rim(order, read.length)), 0, 2 * Math.PI);
      ctx.fill();
      ctx.stroke();
    }
    if (final) {
      const ends = read.map((c) => `${c.label} ends at ${number(c.ys[c.ys.length - 1], digits)}`);
      canvas.setAttribute("aria-label", `${title} ${axis.over}. ${ends.join("; ")}. ${targetLabel ?? ""}${band ? band[2] : ""}`);
    }
  }

  const indexAt = (event) => {
    const part = (event.offsetX - BOX.left) / (canvas.clientWidth - BOX.left - BOX.right);
    return clamp(Math.round(part * axis.last), 0, axis.last);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    axis.seek(indexAt(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    hover = indexAt(event);
    const lines = curves.map((c) => [c.label, c.read()]).filter(([, c]) => c.ys.length)
      .map(([label, c]) => `${label}: ${number(valueAt(c, hover), digits)} ${unit}`);
    shared.tip(event, [axis.words(hover), ...lines].join("\n"));
    if (event.buttons & 1) axis.seek(hover);
    else shared.redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    hover = null;
    shared.tip(null);
    shared.redraw();
  });
  return { element, draw };
}

/** How much wider a curve is than the last one: what lies under another one shows beside it. */
export const rim = (order, n) => 1 + (n - 1 - order) * Math.min(0.9, 1.2 / (n - 1 || 1));

/** Stroke one straight line. */
export function line(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}
