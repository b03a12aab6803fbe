// The tab "Map": demonstrations as dots on a plane, and the path of each prompt from noise to them.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { number } from "./math.js";
import { rim } from "./chart.js";
import { fit, h } from "./dom.js";
import { onMap } from "./read.js";

const HEIGHT = 400, EDGE = 26;

/**
 * The plane in which the demonstrations differ most: they are dots, each column walks through it.
 * `shown(column, now)` is where a column is, `frames(column)` all its prompts from noise to the end.
 */
export function mapView(columns, variables, shown, frames, shared) {
  const sets = variables.demos.map(({ points, colour }) => ({
    colour, places: Array.from({ length: points.length / 2 }, (_, i) => [points[2 * i], points[2 * i + 1]]),
  }));
  const total = sets.reduce((sum, { places }) => sum + places.length, 0);
  const canvas = h("canvas", { role: "img" });
  let low, high, known = null;

  /** Find what the map must hold: demonstrations, and every moment of every chain. */
  function scale() {
    known = shared.guess;
    [low, high] = [[Infinity, Infinity], [-Infinity, -Infinity]];
    const hold = (point) => [0, 1].forEach((k) => {
      low[k] = Math.min(low[k], point[k]);
      high[k] = Math.max(high[k], point[k]);
    });
    for (const { places } of sets) places.forEach(hold);
    for (const { chain } of columns) {
      const size = chain.length * chain.d;
      const values = known && chain.n ? chain.guess : chain.x;
      for (let i = 0; i < values.length; i += size) hold(onMap(variables, values.subarray(i, i + size)));
    }
  }

  function draw(now, final) {
    const board = fit(canvas, HEIGHT);
    if (!board) return;
    if (known !== shared.guess) scale();
    const { ctx, width, height } = board;
    const { look } = shared;
    const per = Math.min((width - 2 * EDGE) / (high[0] - low[0] || 1), (height - 2 * EDGE) / (high[1] - low[1] || 1));
    const place = ([a, b]) => [
      width / 2 + (a - (low[0] + high[0]) / 2) * per, height / 2 - (b - (low[1] + high[1]) / 2) * per,
    ];
    ctx.fillStyle = look.panel;
    ctx.fillRect(0, 0, width, height);
    for (const { places, colour } of sets) {
      ctx.fillStyle = sets.length > 1 ? look.thin(colour) : look.dots;
      for (const point of places) disc(ctx, place(point), 2.2);
    }
    ctx.font = `11px ${look.font}`;
    ctx.fillStyle = look.muted;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const share = (i) => `${number(100 * variables.share[i], 0)} %`;
    ctx.fillText(`first direction, ${share(0)} of what varies \u2192`, width - 8, height - 10);
    ctx.save();
    ctx.translate(11, 8);
    ctx.rotate(-Math.PI / 2);
    ctx.fillText(`second direction, ${share(1)} \u2192`, 0, 0);
    ctx.restore();
    const walks = columns.map((column, i) => walk(ctx, column, now, place, look, rim(i, columns.length)));
    const taken = [];
    columns.forEach((column, i) => letter(ctx, column, walks[i].here, taken, look));
    if (final) {
      canvas.setAttribute("aria-label", `Map of ${total} pieces of the demonstrations and of the prompts. ${walks.map(({ words }) => words).join("; ")}.`);
    }
  }

  /** The path of one column so far, the rest of it faint, and where it is. */
  function walk(ctx, column, now, place, look, wider) {
    const way = frames(column).map((values) => place(onMap(variables, values)));
    const one = shown(column, now);
    const here = place(onMap(variables, one.values));
    ctx.strokeStyle = ctx.fillStyle = look.ink(column.colour);
    ctx.lineJoin = "round";
    const reached = Math.min(one.frame + 1, way.length);
    for (const [part, alpha, wide] of [[way, 0.3, 1.2], [way.slice(0, reached), 1, 2]]) {
      ctx.globalAlpha = alpha;
      ctx.lineWidth = wide * wider;
      ctx.beginPath();
      for (const [x, y] of part) ctx.lineTo(x, y);
      ctx.stroke();
      for (const at of part) disc(ctx, at, 1.8 * Math.sqrt(wider));
    }
    ctx.globalAlpha = 1;
    return { here, words: `${column.label}: ${one.words}` };
  }

  /** The letter of a column where it is now, beside those that are there already. */
  function letter(ctx, column, here, taken, look) {
    const at = [...here];
    while (taken.some((other) => Math.hypot(at[0] - other[0], at[1] - other[1]) < 14)) at[0] += 15;
    taken.push(at);
    ctx.fillStyle = look.ink(column.colour);
    ctx.strokeStyle = look.back;
    ctx.lineWidth = 2;
    disc(ctx, at, 7);
    ctx.stroke();
    ctx.fillStyle = look.onInk(column.colour);
    ctx.textAlign = "center";
    ctx.font = `700 10px ${look.font}`;
    ctx.fillText(column.name, at[0], at[1] + 0.5);
  }

  const element = h("div", {}, canvas, h("p", {
    textContent: "Dots: pieces of the demonstrations as long as the prompt, seen along the two directions in which "
      + "they differ most. The letters walk from noise to the finished prompts.",
  }));
  return { element, draw };
}

function disc(ctx, [x, y], radius) {
  ctx.beginPath();
  ctx.arc(x, y, radius, 0, 2 * Math.PI);
  ctx.fill();
}
