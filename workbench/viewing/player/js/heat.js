// The tab "Heat map": every number of a prompt as a colour, one block for each column.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { number } from "./math.js";
import { LIMIT, SCALE, fit, h } from "./dom.js";
import { episodeOf, readingAt } from "./read.js";

const ROW = 15, GAP = 8, TOP = 44, STRIP = 20, APART = 8;

/**
 * Variables down, the rows of the prompt across, the columns side by side under their letters.
 * `shown(column, now)` gives { values, guess } of each.
 */
export function heatView(columns, variables, shown, shared) {
  const { length } = columns[0].chain;
  const d = variables.names.length;
  const canvas = h("canvas", { role: "img" });
  const bar = h("i");
  const groupAt = variables.groups.map((g, i) => i > 0 && g !== variables.groups[i - 1]);
  const rowTop = [];
  for (let i = 0, y = TOP; i < d; i++, y += ROW) {
    if (groupAt[i]) y += GAP;
    rowTop.push(y);
  }
  const height = rowTop[d - 1] + ROW + 2;
  let left = 0, cell = 0, seen = [];

  const blockAt = (c) => left + c * (length * cell + APART);

  function draw(now, final) {
    const board = fit(canvas, height);
    if (!board) return;
    const { ctx, width } = board;
    const { look } = shared;
    seen = columns.map((column) => shown(column, now));
    ctx.font = `11.5px ${look.font}`;
    ctx.textBaseline = "middle";
    const labels = variables.names.map((name, i) => [name, variables.units[i] ? ` ${variables.units[i]}` : ""]);
    const widest = Math.max(...labels.map(([a, b]) => ctx.measureText(a + b).width));
    const share = columns.length > 1 ? 0.48 : 0.56;
    left = STRIP + Math.min(widest, width * share - STRIP) + 8;
    cell = (width - left - APART * (columns.length - 1)) / length / columns.length;
    columns.forEach((column, c) => paintHead(ctx, column, blockAt(c), look));
    ctx.textAlign = "right";
    for (let i = 0; i < d; i++) {
      const y = rowTop[i] + ROW / 2;
      const [name, unit] = labels[i];
      const room = left - STRIP - 8;
      const whole = ctx.measureText(name + unit).width <= room + 0.5;
      ctx.fillStyle = look.muted;
      ctx.globalAlpha = 0.75;
      if (whole) ctx.fillText(unit, left - 8, y);
      ctx.globalAlpha = 1;
      ctx.fillStyle = look.text;
      ctx.fillText(name, left - 8 - (whole ? ctx.measureText(unit).width : 0), y, room);
      seen.forEach(({ values }, c) => {
        for (let j = 0; j < length; j++) {
          ctx.fillStyle = shared.colours(values[j * d + i]);
          ctx.fillRect(blockAt(c) + j * cell, rowTop[i], cell - 1, ROW - 1);
        }
      });
    }
    paintGroups(ctx, look);
    const readings = columns.map((column) => (shared.reading ? readingAt(episodeOf(column, shared.update), now.step) : null));
    readings.forEach((sizes, c) => sizes && paintReading(ctx, sizes, blockAt(c), look));
    sayReading(readings, now);
    if (final) {
      const words = seen.map(({ words: state }, c) => `${columns[c].label}: ${state}`).join("; ");
      canvas.setAttribute("aria-label", `Heat maps of ${d} variables in ${length} rows of the prompt. ${words}. `
        + `Colours from \u2212${LIMIT} to ${LIMIT} standard deviations.`);
    }
  }

  function paintHead(ctx, column, at, look) {
    const wide = length * cell - 1;
    ctx.fillStyle = look.ink(column.colour);
    ctx.fillRect(at, 15, wide, 3);
    ctx.textAlign = "left";
    ctx.font = `600 11.5px ${look.font}`;
    ctx.fillStyle = look.text;
    ctx.fillText(columns.length > 1 ? column.name : "prompt row (time \u2192)", at, 7);
    ctx.font = `11.5px ${look.font}`;
    ctx.fillStyle = look.muted;
    ctx.textAlign = "center";
    for (let j = 0; j < length; j++) ctx.fillText(`${j + 1}`, at + (j + 0.5) * cell, 32);
  }

  /** Dots over the cells, their area as large as what the cell does to the action, by the largest. */
  function paintReading(ctx, sizes, at, look) {
    const most = Math.max(...sizes) || 1;
    ctx.lineWidth = 1;
    [ctx.fillStyle, ctx.strokeStyle] = [look.text, look.back];
    for (let i = 0; i < d; i++) {
      for (let j = 0; j < length; j++) {
        const radius = Math.sqrt(sizes[j * d + i] / most) * (ROW / 2 - 1);
        if (radius < 0.8) continue;
        ctx.beginPath();
        ctx.arc(at + (j + 0.5) * cell - 0.5, rowTop[i] + ROW / 2 - 0.5, Math.min(radius, cell / 2), 0, 2 * Math.PI);
        ctx.fill();
        ctx.stroke();
      }
    }
  }

  /** Name what is read most, by its share of the squared sizes. */
  function sayReading(readings, now) {
    words.hidden = !shared.reading;
    if (!shared.reading) return;
    const when = `${number(now.step * shared.dt, 1)} s`;
    words.textContent = readings.map((sizes, c) => {
      if (!sizes) return `${columns[c].name}: no episode yet.`;
      const shares = variables.names.map((_, i) => Array.from({ length }, (_, j) => sizes[j * d + i] ** 2).reduce((a, b) => a + b));
      const total = shares.reduce((a, b) => a + b) || 1;
      const top = shares.indexOf(Math.max(...shares));
      return `${columns[c].name} at ${when}: most of all ${variables.names[top]}, ${number((100 * shares[top]) / total, 0)} %; `
        + `all numbers together move the action by ${number(Math.sqrt(total), 3)} per sd.`;
    }).join(" ");
  }

  function paintGroups(ctx, look) {
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
        ctx.fillText(variables.groups[i], 0, 0);
        ctx.restore();
      }
      from = i + 1;
    }
  }

  canvas.addEventListener("pointermove", (event) => {
    const row = rowTop.findIndex((y) => event.offsetY >= y && event.offsetY < y + ROW);
    const block = length * cell + APART;
    const c = Math.floor((event.offsetX - left) / block);
    const column = Math.floor((event.offsetX - blockAt(c)) / cell);
    if (row < 0 || event.offsetX < 0 || c >= columns.length || column >= length) return shared.tip(null);
    const name = `${variables.names[row]} (${variables.groups[row]})`;
    if (c < 0) return shared.tip(event, `${name}\nunit: ${variables.units[row] || "none"}`);
    const values = seen.map((one) => one.values[column * d + row]);
    const raw = (v) => `${number(variables.mean[row] + variables.scale[row] * v)} ${variables.units[row]}`;
    const lines = values.map((v, i) => `${columns.length > 1 ? `${columns[i].name}: ` : ""}${raw(v)}, ${number(v, 2)} normalised`);
    return shared.tip(event, [`${name}, prompt row ${column + 1}`, ...lines].join("\n"));
  });
  canvas.addEventListener("pointerleave", () => shared.tip(null));

  const words = h("p", { hidden: true, "data-pdw": "reading-words" });
  const known = columns.some(({ episodes }) => episodes.some(({ reading }) => reading));
  const check = h("input", { type: "checkbox", checked: shared.reading ?? false, "data-pdw": "reading" });
  check.addEventListener("change", () => {
    shared.reading = check.checked;
    shared.redraw();
  });
  const choice = h("label", { className: "pdw-check", hidden: !known,
    title: "How far each number of the prompt, moved by one standard deviation, would move the action: the gradient of the action by the prompt, at the playhead." },
  check, h("span", { textContent: "what the transformer reads of it now" }));
  const element = h("div", {}, choice, words, canvas,
    h("div", { className: "pdw-legend" }, h("span", { textContent: `\u2212${LIMIT}` }), bar,
      h("span", { textContent: `${LIMIT}  standard deviations from the training mean` })));
  if (variables.left_out) {
    element.append(h("p", { textContent: `${variables.left_out} variables that are always 0 are not shown.` }));
  }
  const restyle = () => {
    bar.style.background = `linear-gradient(90deg, ${SCALE[shared.look.dark ? "dark" : "light"].join(", ")})`;
  };
  return { element, draw, restyle };
}
