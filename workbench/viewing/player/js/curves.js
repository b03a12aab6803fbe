// The tab "Curves": each variable of a prompt over its rows, in front of the demonstrations.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, number } from "./math.js";
import { rim } from "./chart.js";
import { LIMIT, fit, h } from "./dom.js";

const CELL = 62, HEAD = 15, FOOT = 5, BETWEEN = 10;

/** Small multiples: one cell a variable, the columns' curves over the band of the demonstrations. */
export function curvesView(columns, variables, shown, shared) {
  const { length } = columns[0].chain;
  const d = variables.names.length;
  const canvas = h("canvas", { role: "img" });
  let across = 3, cell = 0, seen = [];

  const corner = (i) => [(i % across) * (cell + BETWEEN), Math.floor(i / across) * CELL];
  const clampY = (v) => clamp(v, -LIMIT, LIMIT);

  function draw(now, final) {
    const width = canvas.clientWidth;
    across = clamp(Math.floor(width / 128), 2, 5);
    const board = fit(canvas, Math.ceil(d / across) * CELL);
    if (!board) return;
    cell = (width - BETWEEN * (across - 1)) / across;
    seen = columns.map((column) => shown(column, now));
    for (let i = 0; i < d; i++) paintCell(board.ctx, i);
    if (final) {
      const words = seen.map(({ words: state }, c) => `${columns[c].label}: ${state}`).join("; ");
      canvas.setAttribute("aria-label", `${d} variables of the prompt as curves over its ${length} rows. ${words}.`);
    }
  }

  function paintCell(ctx, i) {
    const { look } = shared;
    const [x0, y0] = corner(i);
    const [top, bottom] = [y0 + HEAD, y0 + CELL - FOOT];
    const x = (j) => x0 + 5 + (length > 1 ? j / (length - 1) : 0.5) * (cell - 10);
    const y = (v) => (top + bottom) / 2 - (clampY(v) / LIMIT) * ((bottom - top) / 2);
    ctx.fillStyle = look.panel;
    ctx.fillRect(x0, top, cell, bottom - top);
    ctx.font = `11px ${look.font}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.fillStyle = look.text;
    ctx.fillText(variables.names[i], x0, y0 + 7, cell);
    for (const { band, colour } of variables.demos) {
      const at = (which, j) => band[(which * length + j) * d + i];
      ctx.fillStyle = variables.demos.length > 1 ? look.veiled(colour) : look.band;
      ctx.beginPath();
      for (let j = 0; j < length; j++) ctx.lineTo(x(j), y(at(2, j)));
      for (let j = length - 1; j >= 0; j--) ctx.lineTo(x(j), y(at(0, j)) + 1);
      ctx.fill();
    }
    ctx.strokeStyle = look.line;
    ctx.lineWidth = 1;
    ctx.beginPath();
    ctx.moveTo(x0, y(0));
    ctx.lineTo(x0 + cell, y(0));
    ctx.stroke();
    ctx.lineJoin = "round";
    seen.forEach(({ values }, c) => {
      ctx.strokeStyle = ctx.fillStyle = look.ink(columns[c].colour);
      ctx.lineWidth = 1.6 * rim(c, seen.length);
      ctx.beginPath();
      for (let j = 0; j < length; j++) ctx.lineTo(x(j), y(values[j * d + i]));
      ctx.stroke();
      const half = 1.5 * Math.sqrt(rim(c, seen.length));
      for (let j = 0; j < length; j++) ctx.fillRect(x(j) - half, y(values[j * d + i]) - half, 2 * half, 2 * half);
    });
  }

  canvas.addEventListener("pointermove", (event) => {
    const i = Math.floor(event.offsetY / CELL) * across + Math.floor(event.offsetX / (cell + BETWEEN));
    if (i < 0 || i >= d || !seen.length) return shared.tip(null);
    const inside = (event.offsetX - corner(i)[0] - 5) / (cell - 10);
    const j = clamp(Math.round(inside * (length - 1)), 0, length - 1);
    const raw = (v) => `${number(variables.mean[i] + variables.scale[i] * v)} ${variables.units[i]}`;
    const lines = seen.map(({ values }, c) => `${columns[c].name}: ${raw(values[j * d + i])}`);
    for (const { band, columns: names } of variables.demos) {
      const [low, high] = [0, 2].map((which) => number(variables.mean[i] + variables.scale[i] * band[(which * length + j) * d + i]));
      const whose = variables.demos.length > 1 ? ` of ${names.join(", ")}` : "";
      lines.push(`9 of 10 recorded rows${whose}: ${low} to ${high} ${variables.units[i]}`);
    }
    return shared.tip(event, [`${variables.names[i]} (${variables.groups[i]}), prompt row ${j + 1}`, ...lines].join("\n"));
  });
  canvas.addEventListener("pointerleave", () => shared.tip(null));

  const element = h("div", {}, canvas, h("p", {
    textContent: `Each small picture goes over the ${length} prompt rows, from \u2212${LIMIT} to ${LIMIT} standard deviations. `
      + (variables.demos.length ? "Shaded: where 9 of 10 rows of the demonstrations lie." : ""),
  }));
  return { element, draw };
}
