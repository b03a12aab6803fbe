// One picture of a scene: floor, robots as depth-sorted, shaded shapes, and marks, on a 2-D canvas.
// Scenes with meshes leave their solids to raster.js.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { axes, camera, clamp, cross, css, dot, mix, number, rgb, sum, unit } from "./math.js";
import { floatMarks, paintBalls, paintFloorMarks, paintPace } from "./marks.js";
import { solidPainter } from "./raster.js";

/** Corners and faces of a convex solid around the origin: a box, or a 16-sided cylinder. */
function solid(type, [a, b, c]) {
  if (type === "box") {
    const corners = [];
    for (const x of [-a, a]) for (const y of [-b, b]) for (const z of [-c, c]) corners.push([x, y, z]);
    return {
      corners,
      faces: [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]],
    };
  }
  const sides = 16;
  const corners = [];
  const faces = [[], []];
  for (let i = 0; i < sides; i++) {
    const angle = (2 * Math.PI * i) / sides;
    for (const z of [-b, b]) corners.push([a * Math.cos(angle), a * Math.sin(angle), z]);
    const next = (i + 1) % sides;
    faces.push([2 * i, 2 * next, 2 * next + 1, 2 * i + 1]);
    faces[0].unshift(2 * i);
    faces[1].push(2 * i + 1);
  }
  return { corners, faces };
}

const STRAIGHT = { around: 0, up: 0, zoom: 1 }; // as the family is looked at

/** Follow the robot without shaking: its track, averaged over half a second each way. */
export function smoothTrack(episode, moving, scene) {
  const { track, at } = scene.camera;
  const rows = episode.position.length / 3 / (moving.length || 1);
  const column = moving.indexOf(track);
  const reach = Math.round(0.25 / scene.dt / episode.every);
  return Array.from({ length: Math.max(rows, 1) }, (_, t) => {
    if (column < 0) return at.slice(0, 2);
    const total = [0, 0];
    const [from, to] = [Math.max(0, t - reach), Math.min(rows - 1, t + reach)];
    for (let i = from; i <= to; i++) {
      for (const axis of [0, 1]) total[axis] += episode.position[(i * moving.length + column) * 3 + axis];
    }
    return total.map((x) => x / (to - from + 1));
  });
}

/**
 * Return paint(ctx, width, height, episodes, step, look): `step` may lie between two recorded ones.
 * One episode has the robot's own colours, unless `look.tinted`; several share the scene, each tinted
 * with the colour of its column.
 */
export function painter(scene, moving) {
  const seen = camera(scene.camera);
  const geoms = scene.geoms.map((geom) => ({
    ...geom,
    colour: geom.rgba.map((x) => x * 255),
    ...(geom.type === "box" || geom.type === "cylinder" ? solid(geom.type, geom.size) : {}),
  }));
  const columnOf = new Map(moving.map((geom, column) => [geom, column]));
  const paintSolids = geoms.some((geom) => geom.visible && geom.type === "mesh")
    ? solidPainter(scene, geoms, seen, (index) => !columnOf.has(index)) : null; // drawn by raster.js
  const backdrop = { canvas: null, key: "" };

  /** Where a geom is, at a row of the recording that may lie between two. */
  function poseOf(episode, index, row) {
    if (!columnOf.has(index)) {
      const pose = scene.fixed_poses[index];
      return { at: pose.slice(0, 3), turn: pose.slice(3) };
    }
    const last = episode.position.length / 3 / moving.length - 1;
    const low = clamp(Math.floor(row), 0, last);
    const high = Math.min(low + 1, last);
    const f = clamp(row - low, 0, 1);
    const a = low * moving.length + columnOf.get(index);
    const b = high * moving.length + columnOf.get(index);
    const at = [0, 1, 2].map((i) => episode.position[a * 3 + i] * (1 - f) + episode.position[b * 3 + i] * f);
    const q = [0, 1, 2, 3].map((i) => episode.quaternion[a * 4 + i]);
    const p = [0, 1, 2, 3].map((i) => episode.quaternion[b * 4 + i]);
    const sign = q.reduce((total, x, i) => total + x * p[i], 0) < 0 ? -1 : 1; // q and -q are one turn
    const turn = q.map((x, i) => x * (1 - f) + sign * p[i] * f);
    const length = Math.hypot(...turn) || 1;
    return { at, turn: turn.map((x) => x / length) };
  }

  /** What lies behind everything, drawn once where the camera stands still. */
  function paintBackdrop(ctx, view, look) {
    if (seen.follows) return paintFloor(ctx, view, seen, scene, look);
    const { width, height } = ctx.canvas;
    const key = [width, height, look.sky, look.tiles, seen.key].join();
    if (backdrop.key !== key) {
      backdrop.key = key;
      backdrop.canvas = Object.assign(document.createElement("canvas"), { width, height });
      const board = backdrop.canvas.getContext("2d");
      board.scale(width / view.width, height / view.height);
      paintFloor(board, view, seen, scene, look);
    }
    ctx.drawImage(backdrop.canvas, 0, 0, view.width, view.height);
  }

  const tinted = new Map();
  /** The geoms in the colours of a column. */
  function tint(colour) {
    if (!tinted.has(colour)) {
      const dye = (geom) => ({ ...geom, colour: [...mix(geom.colour.slice(0, 3), rgb(colour), 0.78), geom.colour[3]] });
      tinted.set(colour, geoms.map(dye));
    }
    return tinted.get(colour);
  }

  /** Where the camera looks in one episode: its track between two rows. */
  function centreOf(episode, row) {
    const [prev, next] = [Math.floor(row), Math.ceil(row)].map((i) => episode.track[clamp(i, 0, episode.track.length - 1)]);
    return [0, 1].map((i) => prev[i] + (next[i] - prev[i]) * clamp(row - Math.floor(row), 0, 1));
  }

  return function paint(ctx, width, height, episodes, step, look) {
    const several = episodes.length > 1 || look.tinted;
    seen.turn(look.orbit ?? STRAIGHT);
    const actors = episodes.map((episode) => {
      const row = Math.min(step, episode.steps - 1) / episode.every;
      return {
        episode, poseOf: (index) => poseOf(episode, index, row), centre: centreOf(episode, row),
        step: Math.min(step, episode.steps - 1), geoms: several ? tint(episode.colour) : geoms,
      };
    });
    const [low, high] = [Math.min, Math.max].map((f) => [0, 1].map((i) => f(...actors.map(({ centre }) => centre[i]))));
    const [middle, apart] = [1, -1].map((sign) => [0, 1].map((i) => (high[i] + sign * low[i]) / 2));
    const view = seen.seen(width, height, middle, apart);
    const [first] = actors;
    view.robot = columnOf.has(scene.camera.track) ? first.poseOf(scene.camera.track).at : [...first.centre, 0];
    paintBackdrop(ctx, view, look);
    ctx.font = `11px ${look.font}`;
    if (scene.ruler) paintRuler(ctx, view, scene.floor ?? 0, look);
    for (const mark of scene.marks) {
      if (mark.kind === "pace" && look.seconds !== null) paintPace(ctx, view, mark, scene.floor ?? 0, first.episode, look);
    }
    actors.forEach(({ episode, step: now }, i) => paintFloorMarks(ctx, view, scene, episode, now, look, i === 0));
    if (paintSolids) {
      paintSolids(ctx, view, actors.map(({ poseOf: at, episode }) => ({ poseOf: at, colour: several ? rgb(episode.colour) : null })), look,
        (target, project, dots) => {
          actors.forEach(({ episode, step: now }, i) => floatMarks(target, project, dots, scene, episode, now, look, i === 0));
        });
    } else paintShapes(ctx, view, seen, actors, scene.ground, look, (index) => !columnOf.has(index));
    paintBalls(ctx, view, scene, first.episode, first.step, look, paintSolids !== null);
  };
}

/** Sky and floor. The floor's far end fades into the sky, which is the page. */
function paintFloor(ctx, view, seen, scene, look) {
  const { width, height, centre, project } = view;
  const { ahead, upward, level, right } = seen;
  ctx.fillStyle = look.sky;
  ctx.fillRect(0, 0, width, height);
  if (scene.floor === null) return;
  const horizon = height / 2 - (view.focal * dot(level, upward)) / dot(level, ahead);
  ctx.fillStyle = look.tiles[0];
  ctx.fillRect(0, Math.max(horizon, 0), width, height);
  const { tile, floor } = scene;
  const home = [0, 1].map((i) => Math.round((centre[i] + 2 * level[i]) / tile / 2) * 2);
  ctx.beginPath();
  const deep = Math.max(11, (view.distance + 2) / tile);
  const wide = (10 + width / 60) * Math.max(1, view.distance / scene.camera.distance);
  const reach = [0, 1].map((i) => Math.ceil(wide * Math.abs(right[i]) + deep * Math.abs(level[i])));
  for (let i = -reach[0]; i <= reach[0]; i++) {
    for (let j = -reach[1]; j <= reach[1]; j++) {
      if ((i + j) & 1) continue;
      const x = (home[0] + i) * tile;
      const y = (home[1] + j) * tile;
      const quad = [[x, y, floor], [x + tile, y, floor], [x + tile, y + tile, floor], [x, y + tile, floor]].map(project);
      if (quad.some((p) => p.depth < 0.3)) continue;
      quad.forEach((p, n) => (n ? ctx.lineTo(p.x, p.y) : ctx.moveTo(p.x, p.y)));
      ctx.closePath();
    }
  }
  ctx.fillStyle = look.tiles[1];
  ctx.globalAlpha = seen.follows ? 1 : 0.45; // paler where the camera, and so the floor, does not move
  ctx.fill();
  ctx.globalAlpha = 1;
  const fade = ctx.createLinearGradient(0, horizon, 0, horizon + (height - horizon) * 0.6);
  fade.addColorStop(0, look.sky);
  fade.addColorStop(1, look.clear);
  ctx.fillStyle = fade;
  ctx.fillRect(0, horizon - 1, width, height);
}

/** A number on every metre of the floor, so that distance can be read. */
function paintRuler(ctx, { width, centre, distance, project }, floor, look) {
  ctx.textAlign = "center";
  ctx.strokeStyle = ctx.fillStyle = look.faint;
  ctx.lineWidth = 1.5;
  const far = 4 + 2 * Math.max(distance - 3, 0);
  for (let metre = Math.ceil(centre[0] - far); metre <= centre[0] + far; metre++) {
    const near = project([metre, centre[1] - 0.62, floor]);
    if (near.depth < 0.3 || near.x < -20 || near.x > width + 20) continue;
    const [from, to] = [-0.5, 0.5].map((y) => project([metre, centre[1] + y, floor]));
    ctx.beginPath();
    ctx.moveTo(from.x, from.y);
    ctx.lineTo(to.x, to.y);
    ctx.stroke();
    ctx.fillText(`${number(metre, 0)} m`, near.x, near.y + 9);
  }
}

/**
 * Capsules, spheres, boxes, cylinders and ellipsoids of all actors, far ones first, over their
 * shadows. What never moves is drawn once, with the first actor.
 */
function paintShapes(ctx, view, seen, actors, ground, look, isFixed) {
  const { project, eye } = view;
  const shapes = [];
  actors.forEach(({ geoms, poseOf }, actor) => geoms.forEach((geom, index) => {
    if (!geom.visible || geom.type === "plane" || (actor && isFixed(index))) return;
    const { at, turn } = poseOf(index);
    const frame = axes(turn);
    const half = geom.type === "capsule" ? geom.size[1] : 0;
    const ends = [-half, half].map((s) => at.map((x, i) => x + s * frame[2][i]));
    const depth = Math.round(project(at).depth * 20);
    shapes.push({ geom, at, frame, ends, depth, index: index - actor * geoms.length });
  }));
  // Shadows first, all in one path, so that overlaps do not darken.
  const fallen = (p) => project([...sum([1, p], [-(p[2] - ground) * 0.3, seen.light]).slice(0, 2), ground]);
  ctx.beginPath();
  for (const { geom, ends } of ground === null ? [] : shapes) {
    const [a, b] = ends.map(fallen);
    const [angle, quarter] = [Math.atan2(b.y - a.y, b.x - a.x), Math.PI / 2];
    const [ra, rb] = [a, b].map((foot) => foot.scale * geom.size[0] * 0.8);
    ctx.moveTo(a.x - ra * Math.sin(angle), a.y + ra * Math.cos(angle));
    ctx.arc(a.x, a.y, ra, angle + quarter, angle + 3 * quarter);
    ctx.arc(b.x, b.y, rb, angle - quarter, angle + quarter);
    ctx.closePath();
  }
  ctx.fillStyle = look.shadow;
  ctx.fill();
  // Then the shapes, far ones first; equal depths keep the model's order, so nothing flickers.
  shapes.sort((a, b) => b.depth - a.depth || a.index - b.index);
  for (const shape of shapes) {
    if (shape.geom.corners) paintSolid(ctx, shape, project, eye, seen.light);
    else if (shape.geom.type === "ellipsoid") paintEllipsoid(ctx, shape, project, seen.right, seen.upward);
    else paintCapsule(ctx, shape, project);
  }
}

const shade = (colour, light) => css(colour.slice(0, 3).map((x) => clamp(x * light, 0, 255)), colour[3] / 255);

/** A capsule, or a sphere as one of no length: a tapered band lit across its width. */
function paintCapsule(ctx, { geom, ends }, project) {
  const [a, b] = ends.map(project);
  if (a.depth < 0.3 || b.depth < 0.3) return;
  const [ra, rb] = [a.scale * geom.size[0], b.scale * geom.size[0]];
  const length = Math.hypot(b.x - a.x, b.y - a.y);
  const radius = Math.max(ra, rb);
  const angle = Math.atan2(b.y - a.y, b.x - a.x);
  let across = [-Math.sin(angle), Math.cos(angle)];
  if (across[0] * 0.4 + across[1] * 0.9 < 0) across = [-across[0], -across[1]]; // from light to dark
  ctx.beginPath();
  let fill;
  if (length <= Math.abs(ra - rb) + 0.5) {
    const ball = ra > rb ? a : b;
    ctx.arc(ball.x, ball.y, radius, 0, 2 * Math.PI);
    fill = ctx.createRadialGradient(ball.x - radius * 0.35, ball.y - radius * 0.4, radius * 0.1, ball.x, ball.y, radius);
  } else {
    const lean = Math.acos((ra - rb) / length);
    ctx.arc(a.x, a.y, ra, angle + lean, angle - lean + 2 * Math.PI);
    ctx.arc(b.x, b.y, rb, angle - lean, angle + lean);
    ctx.closePath();
    const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
    fill = ctx.createLinearGradient(
      x - across[0] * radius, y - across[1] * radius, x + across[0] * radius, y + across[1] * radius,
    );
  }
  fill.addColorStop(0, shade(geom.colour, 1));
  fill.addColorStop(0.3, shade(geom.colour, 1.14));
  fill.addColorStop(1, shade(geom.colour, 0.6));
  ctx.fillStyle = fill;
  ctx.fill();
  ctx.strokeStyle = shade(geom.colour, 0.45);
  ctx.lineWidth = 0.8;
  ctx.stroke();
}

function paintEllipsoid(ctx, { geom, at, frame }, project, right, upward) {
  const centre = project(at);
  if (centre.depth < 0.3) return;
  // Seen from far away its outline is the ellipse whose squared half-axes are the eigenvalues
  // of J Jᵀ, J (2, 3) being its half-axes on the screen.
  const columns = frame.map((axis, i) => [right, upward].map((side) => dot(axis, side) * geom.size[i] * centre.scale));
  const [p, q, r] = columns.reduce(([xx, xy, yy], [x, y]) => [xx + x * x, xy - x * y, yy + y * y], [0, 0, 0]);
  const spread = Math.hypot((p - r) / 2, q);
  const [big, small] = [(p + r) / 2 + spread, (p + r) / 2 - spread].map((x) => Math.sqrt(Math.max(x, 0)));
  ctx.beginPath();
  ctx.ellipse(centre.x, centre.y, big, small, Math.atan2(2 * q, p - r) / 2, 0, 2 * Math.PI);
  const fill = ctx.createRadialGradient(
    centre.x - big * 0.3, centre.y - big * 0.4, big * 0.1, centre.x, centre.y, big,
  );
  fill.addColorStop(0, shade(geom.colour, 1.14));
  fill.addColorStop(1, shade(geom.colour, 0.6));
  ctx.fillStyle = fill;
  ctx.fill();
}

function paintSolid(ctx, { geom, at, frame }, project, eye, light) {
  const corners = geom.corners.map((c) => at.map((x, i) => x + dot(c, [frame[0][i], frame[1][i], frame[2][i]])));
  const screen = corners.map(project);
  if (screen.some((p) => p.depth < 0.3)) return;
  for (const face of geom.faces) {
    const [a, b, c] = face.map((i) => corners[i]);
    let normal = unit(cross(b.map((x, i) => x - a[i]), c.map((x, i) => x - b[i])));
    if (dot(normal, a.map((x, i) => x - at[i])) < 0) normal = normal.map((x) => -x); // outward
    if (dot(normal, a.map((x, i) => x - eye[i])) >= 0) continue;
    ctx.beginPath();
    face.forEach((i, n) => (n ? ctx.lineTo(screen[i].x, screen[i].y) : ctx.moveTo(screen[i].x, screen[i].y)));
    ctx.closePath();
    ctx.fillStyle = ctx.strokeStyle = shade(geom.colour, 0.6 + 0.5 * Math.max(dot(normal, light), 0));
    ctx.lineWidth = 0.6;
    ctx.fill();
    ctx.stroke();
  }
}
