// The painter: robots as depth-sorted, shaded shapes on a tiled floor, on a 2-D canvas.
// Part of the player; player.py joins the player*.js files into one module.

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
export const css = ([r, g, b], alpha = 1) => `rgba(${r | 0},${g | 0},${b | 0},${alpha})`;
export const mix = (a, b, f) => a.map((x, i) => x + (b[i] - x) * f);

/** Numbers for people: a true minus sign, as many digits as the size deserves. */
export function number(x, digits = Math.abs(x) < 10 ? 2 : 1) {
  if (!Number.isFinite(x)) return "\u2013";
  return (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "\u2212");
}

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
const unit = (a) => a.map((x) => x / (Math.hypot(...a) || 1));
const LIGHT = unit([-0.45, -0.55, 0.7]);

/** The columns of the rotation matrix of a quaternion wxyz. */
function axes([w, x, y, z]) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
}

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

/** Follow the robot without shaking: its track, averaged over half a second each way. */
export function smoothTrack(run, moving, scene) {
  const column = moving.indexOf(scene.camera.track);
  const reach = Math.round(0.25 / scene.dt);
  return Array.from({ length: run.steps }, (_, t) => {
    const sum = [0, 0];
    let n = 0;
    for (let i = Math.max(0, t - reach); i <= Math.min(run.steps - 1, t + reach) && column >= 0; i++) {
      for (const axis of [0, 1]) sum[axis] += run.position[(i * moving.length + column) * 3 + axis];
      n++;
    }
    return sum.map((x) => x / (n || 1));
  });
}

/** Return paint(ctx, width, height, run, step, look): `step` may lie between two recorded ones. */
export function painter(scene, moving) {
  const view = scene.camera;
  const [azimuth, elevation] = [view.azimuth, view.elevation].map((x) => (x * Math.PI) / 180);
  const ahead = [
    Math.cos(azimuth) * Math.cos(elevation), Math.sin(azimuth) * Math.cos(elevation), Math.sin(elevation),
  ];
  const right = unit(cross(ahead, [0, 0, 1]));
  const upward = cross(right, ahead);
  const geoms = scene.geoms.map((geom) => ({
    ...geom,
    colour: geom.rgba.map((x) => x * 255),
    ...(geom.type === "box" || geom.type === "cylinder" ? solid(geom.type, geom.size) : {}),
  }));
  const columnOf = new Map(moving.map((geom, column) => [geom, column]));

  function poseOf(run, index, step) {
    if (!columnOf.has(index)) {
      const still = scene.still[index];
      return { at: still.slice(0, 3), turn: still.slice(3) };
    }
    const low = clamp(Math.floor(step), 0, run.steps - 1);
    const high = Math.min(low + 1, run.steps - 1);
    const f = clamp(step - low, 0, 1);
    const a = low * moving.length + columnOf.get(index);
    const b = high * moving.length + columnOf.get(index);
    const at = [0, 1, 2].map((i) => run.position[a * 3 + i] * (1 - f) + run.position[b * 3 + i] * f);
    const q = [0, 1, 2, 3].map((i) => run.quaternion[a * 4 + i]);
    const p = [0, 1, 2, 3].map((i) => run.quaternion[b * 4 + i]);
    const sign = q.reduce((sum, x, i) => sum + x * p[i], 0) < 0 ? -1 : 1; // q and -q are one turn
    const turn = q.map((x, i) => x * (1 - f) + sign * p[i] * f);
    const length = Math.hypot(...turn) || 1;
    return { at, turn: turn.map((x) => x / length) };
  }

  return function paint(ctx, width, height, run, step, look) {
    const track = run.track[clamp(Math.round(step), 0, run.steps - 1)];
    const next = run.track[clamp(Math.ceil(step), 0, run.steps - 1)];
    const prev = run.track[clamp(Math.floor(step), 0, run.steps - 1)];
    const part = clamp(step - Math.floor(step), 0, 1);
    const centre = track ? [0, 1].map((i) => prev[i] + (next[i] - prev[i]) * part) : [0, 0];
    const target = [...centre, view.height];
    const eye = target.map((x, i) => x - view.distance * ahead[i]);
    const focal = Math.min(
      height / 2 / Math.tan((view.fovy * Math.PI) / 360),
      (width / 2) * view.distance, // at least one metre to either side
    );
    const project = (point) => {
      const d = [point[0] - eye[0], point[1] - eye[1], point[2] - eye[2]];
      const depth = dot(d, ahead);
      const scale = focal / Math.max(depth, 0.05);
      return { x: width / 2 + dot(d, right) * scale, y: height / 2 - dot(d, upward) * scale, depth, scale };
    };

    // Sky and floor. The floor's far end fades into the sky, which is the page.
    const level = unit([ahead[0], ahead[1], 0]);
    const horizon = height / 2 - (focal * dot(level, upward)) / dot(level, ahead);
    ctx.fillStyle = look.sky;
    ctx.fillRect(0, 0, width, height);
    ctx.fillStyle = look.tiles[0];
    ctx.fillRect(0, Math.max(horizon, 0), width, height);
    const tile = scene.tile;
    const home = [0, 1].map((i) => Math.round((centre[i] + 2 * level[i]) / tile / 2) * 2);
    ctx.beginPath();
    const reach = 10 + Math.ceil(width / 60);
    for (let i = -reach; i < reach; i++) {
      for (let j = -10; j < 12; j++) {
        if ((i + j) & 1) continue;
        const x = (home[0] + i) * tile;
        const y = (home[1] + j) * tile;
        const quad = [[x, y, 0], [x + tile, y, 0], [x + tile, y + tile, 0], [x, y + tile, 0]].map(project);
        if (quad.some((p) => p.depth < 0.3)) continue;
        quad.forEach((p, n) => (n ? ctx.lineTo(p.x, p.y) : ctx.moveTo(p.x, p.y)));
        ctx.closePath();
      }
    }
    ctx.fillStyle = look.tiles[1];
    ctx.fill();
    const fade = ctx.createLinearGradient(0, horizon, 0, horizon + (height - horizon) * 0.6);
    fade.addColorStop(0, look.sky);
    fade.addColorStop(1, look.clear);
    ctx.fillStyle = fade;
    ctx.fillRect(0, horizon - 1, width, height);

    // A number on every metre of the floor, so that distance can be read.
    ctx.font = `11px ${look.font}`;
    ctx.textAlign = "center";
    for (let metre = Math.ceil(centre[0] - 4); metre <= centre[0] + 4; metre++) {
      const near = project([metre, centre[1] - 0.62, 0]);
      if (near.depth < 0.3 || near.x < -20 || near.x > width + 20) continue;
      const [from, to] = [project([metre, centre[1] - 0.5, 0]), project([metre, centre[1] + 0.5, 0])];
      ctx.strokeStyle = ctx.fillStyle = look.faint;
      ctx.lineWidth = 1.5;
      ctx.beginPath();
      ctx.moveTo(from.x, from.y);
      ctx.lineTo(to.x, to.y);
      ctx.stroke();
      ctx.fillText(`${number(metre, 0)} m`, near.x, near.y + 9);
    }

    if (look.pace !== null) paintPace(ctx, width, look, project, centre);

    const shapes = [];
    geoms.forEach((geom, index) => {
      if (!geom.visible || geom.type === "plane") return;
      const { at, turn } = poseOf(run, index, step);
      const frame = axes(turn);
      const half = geom.type === "capsule" ? geom.size[1] : 0;
      const ends = [-half, half].map((s) => at.map((x, i) => x + s * frame[2][i]));
      shapes.push({ geom, at, frame, ends, depth: Math.round(project(at).depth * 20), index });
    });
    // Shadows first, one path per radius so that overlaps do not darken.
    ctx.strokeStyle = look.shadow;
    ctx.lineCap = "round";
    const radii = new Map();
    for (const { geom, ends } of shapes) {
      const feet = ends.map((p) => project([p[0] - LIGHT[0] * p[2] * 0.3, p[1] - LIGHT[1] * p[2] * 0.3, 0]));
      if (feet[0].x === feet[1].x) feet[1].x += 0.1;
      const radius = (feet[0].scale * geom.size[0] * 1.6).toFixed(0);
      radii.set(radius, [...(radii.get(radius) ?? []), feet]);
    }
    for (const [radius, lines] of radii) {
      ctx.lineWidth = radius;
      ctx.beginPath();
      for (const [a, b] of lines) {
        ctx.moveTo(a.x, a.y);
        ctx.lineTo(b.x, b.y);
      }
      ctx.stroke();
    }
    // Then the shapes, far ones first; equal depths keep the model's order, so nothing flickers.
    shapes.sort((a, b) => b.depth - a.depth || a.index - b.index);
    for (const shape of shapes) {
      if (shape.geom.corners) paintSolid(ctx, shape, project, eye);
      else if (shape.geom.type === "ellipsoid") paintEllipsoid(ctx, shape, project, right, upward);
      else paintCapsule(ctx, shape, project);
    }
  };
}

const shade = (colour, light) => css(colour.slice(0, 3).map((x) => clamp(x * light, 0, 255)), colour[3] / 255);

/** A post that runs at the target speed; where it is out of sight, a note at the edge. */
function paintPace(ctx, width, look, project, centre) {
  const [foot, top] = [project([look.pace, centre[1] + 0.3, 0]), project([look.pace, centre[1] + 0.3, 1.02])];
  ctx.strokeStyle = ctx.fillStyle = look.strong;
  ctx.lineWidth = 2;
  const away = number(Math.abs(look.pace - centre[0]), 1);
  if (foot.x > 8 && foot.x < width - 8) {
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(foot.x, foot.y);
    ctx.lineTo(foot.x, top.y);
    ctx.stroke();
    ctx.setLineDash([]);
    const room = ctx.measureText("target pace").width / 2 + 6;
    ctx.fillText("target pace", clamp(foot.x, room, width - room), top.y - 6);
  } else {
    const ahead = foot.x >= width - 8;
    ctx.textAlign = ahead ? "right" : "left";
    ctx.fillText(ahead ? `target pace: ${away} m ahead \u25b8` : `\u25c2 target pace: ${away} m behind`, ahead ? width - 8 : 8, top.y - 6);
  }
}

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

function paintSolid(ctx, { geom, at, frame }, project, eye) {
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
    ctx.fillStyle = ctx.strokeStyle = shade(geom.colour, 0.6 + 0.5 * Math.max(dot(normal, LIGHT), 0));
    ctx.lineWidth = 0.6;
    ctx.fill();
    ctx.stroke();
  }
}
