// The replays: one picture a column or all robots in one scene, with what they have earned so far.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, number } from "./math.js";
import { badge, fit, h } from "./dom.js";
import { orbits } from "./orbit.js";
import { episodeOf } from "./read.js";

/** What a column has earned so far, in words under its picture. */
function readoutOf(column, shared) {
  const [earned, measured] = [h("b", { className: "pdw-number" }), h("b", { className: "pdw-number" })];
  const { chart } = shared;
  const element = h("div", { className: "pdw-readout" }, h("span", {}, "return so far ", earned));
  if (column.episodes.some((episode) => episode.curve)) element.append(h("span", { title: chart.note }, `${chart.name} `, measured));

  /** Bring the numbers up to date; return them as a sentence, for screen readers. */
  function update(episode, now) {
    const i = Math.min(Math.floor(now.step + 1e-6), episode.steps);
    earned.textContent = episode.stands ? "\u2013" : number(episode.total[i], 1);
    if (episode.curve && !episode.stands) measured.textContent = `${number(episode.curve[i], chart.digits)} ${chart.unit}`;
    if (episode.stands) return `${column.label}: ${episode.ending}.`;
    const ended = i >= episode.steps && episode.ending ? `, ${episode.ending}` : "";
    const speed = episode.curve ? `, ${chart.name} ${measured.textContent}` : "";
    return `${column.label} at ${number(i * shared.dt, 1)} s: return so far ${earned.textContent}${speed}${ended}.`;
  }
  return { element, update };
}

/** Letter, label and moment of the tuning over a picture. */
function captionOf(column, shared) {
  const chip = badge(column, shared);
  const when = h("span");
  const element = h("figcaption", {}, chip.node,
    h("div", {}, h("b", { textContent: column.label, title: column.label }), when));
  const update = (episode) => {
    when.textContent = column.episodes.length > 1 ? (episode.update ? `after ${episode.update} updates` : "before any update") : "";
  };
  return { element, update, restyle: chip.restyle };
}

/** A line of text on a veil, in the corner of a picture. */
function noteOn({ ctx, height }, text, look) {
  ctx.font = `12px ${look.font}`;
  ctx.textAlign = "left";
  const wide = ctx.measureText(text).width + 16;
  ctx.fillStyle = look.veil;
  ctx.fillRect(8, height - 48, wide, 24); // the top belongs to the goal, the bottom line to the ruler
  ctx.fillStyle = look.text;
  ctx.textBaseline = "middle";
  ctx.fillText(text, 16, height - 36);
  ctx.textBaseline = "alphabetic";
}

/** Pixels of a picture's height: in full screen all that the bar and the curves leave. */
const heightOf = (shared, usual) => Math.round(shared.full ? Math.max(window.innerHeight - 330, 200) : usual);

const WAITING = "starts when the prompt is finished";

/** One episode: its robot, and what it has earned so far. */
export function replayView(column, paint, shared) {
  const canvas = h("canvas", { role: "img" });
  orbits(canvas, shared);
  const [caption, readout] = [captionOf(column, shared), readoutOf(column, shared)];
  const element = h("figure", { className: "pdw-replay" }, caption.element, canvas, readout.element);

  function draw(now, final) {
    const episode = episodeOf(column, shared.update);
    const sentence = readout.update(episode, now);
    caption.update(episode);
    const width = canvas.clientWidth;
    const board = fit(canvas, heightOf(shared, clamp(width * 0.68, 170, 310)));
    if (!board) return;
    const { look } = shared;
    const seconds = now.waiting ? null : now.step * shared.dt;
    paint(board.ctx, board.width, board.height, [episode], now.step, { ...look, seconds, sharp: final, tinted: shared.tinted, orbit: shared.orbit });
    const over = episode.stands || now.step >= episode.steps - 1e-6 ? episode.ending || "end of the episode" : "";
    if (now.waiting || over) noteOn(board, now.waiting && !episode.stands ? WAITING : over, look);
    if (final) canvas.setAttribute("aria-label", `Replay of ${sentence}`);
  }
  return { element, draw, restyle: caption.restyle };
}

/** All robots in one scene, each tinted with its column's colour. */
export function sceneView(columns, paint, shared) {
  const canvas = h("canvas", { role: "img" });
  orbits(canvas, shared);
  const acting = columns.filter((column) => column.episodes.length);
  const parts = acting.map((column) => [column, captionOf(column, shared), readoutOf(column, shared)]);
  const legend = parts.map(([, caption, readout]) => h("div", {}, caption.element, readout.element));
  const element = h("figure", { className: "pdw-replay" },
    canvas, h("div", { className: "pdw-legends" }, ...legend));

  function draw(now, final) {
    const episodes = acting.map((column) => episodeOf(column, shared.update));
    const sentences = parts.map(([, caption, readout], i) => {
      caption.update(episodes[i]);
      return readout.update(episodes[i], now);
    });
    const board = fit(canvas, heightOf(shared, clamp(canvas.clientWidth * 0.5, 200, 340)));
    if (!board) return;
    const seconds = now.waiting ? null : now.step * shared.dt;
    paint(board.ctx, board.width, board.height, episodes, now.step, { ...shared.look, seconds, sharp: final, orbit: shared.orbit });
    if (now.waiting) noteOn(board, WAITING, shared.look);
    if (final) canvas.setAttribute("aria-label", `All robots in one scene. ${sentences.join(" ")}`);
  }
  const restyle = () => parts.forEach(([, caption]) => caption.restyle());
  return { element, draw, restyle };
}
