// The marks of a goal and the path so far, drawn into the scene (scene/marks.py does it for films).
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, number, rgb, sum } from "./math.js";
import { packed } from "./raster.js";

const CLOSE = 0.3; // metres: nothing on the floor is drawn closer to the eye
const FAR = 9; // metres from the robot
const ARROW = [[0, 0.04], [0.6, 0.04], [0.6, 0.16], [0.9, 0], [0.6, -0.16], [0.6, -0.04], [0, -0.04]];

/** Where what moves has been, up to a step that may lie between two recorded ones. */
export function trailOf(episode, step) {
  if (!episode.path) return [];
  const last = episode.path.length / 3 - 1;
  const at = clamp(step / episode.every, 0, last);
  const point = (i) => [0, 1, 2].map((k) => episode.path[3 * Math.min(i, last) + k]);
  const trail = Array.from({ length: Math.floor(at) + 1 }, (_, i) => point(i));
  if (at > Math.floor(at)) {
    const f = at - Math.floor(at);
    trail.push(sum([1 - f, point(Math.floor(at))], [f, point(Math.floor(at) + 1)]));
  }
  return trail;
}

/** What lies on the floor, under a robot; the goal itself is drawn for the first one. */
export function paintFloorMarks(ctx, view, scene, episode, step, look, goal) {
  const floor = (scene.floor ?? 0) + 0.01;
  ctx.lineJoin = ctx.lineCap = "round";
  for (const mark of goal ? scene.marks : []) {
    const right = [mark.vector[1], -mark.vector[0], 0];
    if (mark.kind === "line") paintLine(ctx, view, mark, right, [episode.start[0], episode.start[1], floor], look);
    if (mark.kind !== "arrow") continue;
    const tail = sum([1, [view.robot[0], view.robot[1], floor]], [mark.size, mark.vector], [mark.aside, right]);
    paintArrow(ctx, view, mark, right, tail, look);
  }
  if (scene.trail !== "floor") return;
  const trail = trailOf(episode, step).map(([x, y]) => [x, y, floor]);
  for (const [wide, colour] of [[6, look.back], [3, look.ink(episode.colour)]]) {
    [ctx.lineWidth, ctx.strokeStyle] = [wide, colour];
    strokes(ctx, view, [trail]);
  }
}

/** Stroke lines through points in the world, cut off where they come too close to the eye. */
function strokes(ctx, view, lines) {
  ctx.beginPath();
  for (const line of lines) {
    const seen = line.map(view.project);
    for (let i = 1; i < line.length; i++) {
      let [a, b] = [seen[i - 1], seen[i]];
      if (Math.max(a.depth, b.depth) < CLOSE) continue;
      if (Math.min(a.depth, b.depth) < CLOSE) {
        const f = (CLOSE - a.depth) / (b.depth - a.depth);
        const cut = view.project(sum([1 - f, line[i - 1]], [f, line[i]]));
        [a, b] = a.depth < CLOSE ? [cut, b] : [a, cut];
      }
      if (i === 1 || a !== seen[i - 1]) ctx.moveTo(a.x, a.y);
      ctx.lineTo(b.x, b.y);
    }
  }
  ctx.stroke();
}

/** From where the episode began towards the goal, with a tick on every metre. */
function paintLine(ctx, view, mark, right, start, look) {
  const gone = Math.hypot(view.robot[0] - start[0], view.robot[1] - start[1]);
  const end = mark.size * (Math.floor(gone / mark.size) + FAR);
  const at = (away, aside) => sum([1, start], [away, mark.vector], [aside, right]);
  const ticks = Array.from({ length: Math.floor(end / mark.size) }, (_, i) => (i + 1) * mark.size)
    .filter((away) => Math.hypot(...sum([1, at(away, 0)], [-1, view.robot]).slice(0, 2)) < FAR);
  [ctx.lineWidth, ctx.strokeStyle] = [1.6, look.goal];
  strokes(ctx, view, [[start, at(end, 0)], ...ticks.map((away) => [at(away, -0.09), at(away, 0.09)])]);
  ctx.textAlign = "left";
  for (const away of ticks) {
    const p = view.project(at(away, 0.16));
    const taken = view.label && Math.abs(p.x - view.label.x) < 70 && Math.abs(p.y + 4 - view.label.y) < 16;
    const inView = p.depth > CLOSE && p.x > 0 && p.x < view.width - 24;
    if (inView && !taken) write(ctx, `${number(away, 0)} m`, p.x, p.y + 4, look.goal, look);
  }
}

function paintArrow(ctx, view, mark, right, tail, look) {
  const corners = ARROW.map(([along, side]) => view.project(sum([1, tail], [along, mark.vector], [side, right])));
  if (corners.some((p) => p.depth < CLOSE)) return;
  ctx.beginPath();
  corners.forEach((p) => ctx.lineTo(p.x, p.y));
  ctx.closePath();
  ctx.fillStyle = ctx.strokeStyle = look.goal;
  ctx.lineWidth = 1.5;
  ctx.stroke();
  ctx.fill();
  const tip = view.project(sum([1, tail], [1.08, mark.vector]));
  const middle = view.project(sum([1, tail], [0.45, mark.vector]));
  const lean = (tip.x - middle.x) / (Math.hypot(tip.x - middle.x, tip.y - middle.y) || 1);
  ctx.textAlign = lean > 0.5 ? "left" : lean < -0.5 ? "right" : "center";
  view.label = { x: tip.x, y: tip.y + (tip.y > middle.y ? 8 : 0) };
  write(ctx, mark.label, view.label.x, view.label.y, look.goal, look);
}

/** Text that stays legible on whatever is behind it. */
function write(ctx, text, x, y, colour, look) {
  const long = ctx.measureText(text).width;
  const before = { left: 0, center: long / 2, right: long }[ctx.textAlign] ?? 0;
  const at = clamp(x, before + 4, ctx.canvas.clientWidth - (long - before) - 4);
  ctx.lineWidth = 3;
  ctx.lineJoin = "round";
  ctx.strokeStyle = look.sky;
  ctx.strokeText(text, at, y);
  ctx.fillStyle = colour;
  ctx.fillText(text, at, y);
}

/** A post that keeps the wanted speed; where it is out of sight, a note at the edge. */
export function paintPace(ctx, view, mark, floor, episode, look) {
  const [x, y] = [episode.start[0] + mark.vector[0] * look.seconds, view.centre[1] + 0.3];
  const [foot, top] = [view.project([x, y, floor]), view.project([x, y, floor + mark.size])];
  const { width } = view;
  ctx.strokeStyle = ctx.fillStyle = look.strong;
  ctx.lineWidth = 2;
  const away = number(Math.abs(x - view.centre[0]), 1);
  if (foot.x > 8 && foot.x < width - 8) {
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(foot.x, foot.y);
    ctx.lineTo(foot.x, top.y);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.textAlign = "center";
    const room = ctx.measureText(mark.label).width / 2 + 6;
    ctx.fillText(mark.label, clamp(foot.x, room, width - room), top.y - 6);
  } else {
    const ahead = foot.x >= width - 8;
    ctx.textAlign = ahead ? "right" : "left";
    ctx.fillText(
      ahead ? `${mark.label}: ${away} m ahead \u25b8` : `\u25c2 ${mark.label}: ${away} m behind`,
      ahead ? width - 8 : 8, top.y - 6,
    );
  }
}

/** Whether the end of a trail is inside a ball. */
const inside = (mark, trail) => trail.length > 0 && Math.hypot(...sum([1, trail[trail.length - 1]], [-1, mark.vector])) <= mark.size;

/** What floats among solids: the trail and balls, hidden by what stands before them. */
export function floatMarks(target, project, dots, scene, episode, step, look, goal) {
  const trail = trailOf(episode, step);
  if (scene.trail === "space") {
    const ends = trail.map(project);
    for (const [wide, colour] of [[2.4, look.casing], [1.3, look.tint(episode.colour)]]) {
      for (let i = 1; i < ends.length; i++) {
        const [a, b] = [ends[i - 1], ends[i]];
        const n = Math.ceil(Math.hypot(b.x - a.x, b.y - a.y)) || 1;
        for (let k = 1; k <= n; k++) {
          const [x, y, depth] = ["x", "y", "depth"].map((name) => a[name] + ((b[name] - a[name]) * k) / n);
          target.dab(x, y, 1 / depth, wide * dots, packed(colour));
        }
      }
    }
  }
  for (const mark of goal ? scene.marks.filter(({ kind }) => kind === "ball") : []) {
    target.ball(project(mark.vector), mark.size, rgb(inside(mark, trail) ? look.reached : look.goal), 0.5);
  }
}

/** Balls where there are no solids to hide them, and what to call them in either case. */
export function paintBalls(ctx, view, scene, episode, step, look, filled) {
  for (const mark of scene.marks.filter(({ kind }) => kind === "ball")) {
    const p = view.project(mark.vector);
    const reached = inside(mark, trailOf(episode, step));
    const [radius, colour] = [mark.size * p.scale, reached ? look.reached : look.goal];
    if (!filled) {
      ctx.beginPath();
      ctx.arc(p.x, p.y, radius, 0, 2 * Math.PI);
      ctx.globalAlpha = 0.5;
      ctx.fillStyle = colour;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    ctx.textAlign = "center";
    write(ctx, reached ? `${mark.label} reached` : mark.label, p.x, p.y + radius + 13, colour, look);
  }
}
