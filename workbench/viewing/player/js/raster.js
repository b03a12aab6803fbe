// The rasteriser: lit triangles with a depth buffer, for scenes with meshes. Thousands of faces would
// take a 2-D canvas ten times as long, and sorting by depth would let tables and arms hide each other
// the wrong way.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { axes, clamp, dot, mix, sum, unpack } from "./math.js";

const SHADES = 63;
const CREASE = Math.cos((50 * Math.PI) / 180); // sharper edges than this are not smoothed
const NEAR = 0.05; // metres
const DUSK = [38, 44, 56]; // what never moves recedes into it in a dark theme

/** Points and faces (counter-clockwise from outside) of a geom in its own frame. */
export function triangles(geom, meshes) {
  const [a, b, c] = geom.size;
  if (geom.type === "mesh") {
    const mesh = meshes[geom.mesh];
    if (!mesh) return null;
    const steps = unpack(mesh.vertices, Uint16Array);
    const points = Float32Array.from(steps, (x, i) =>
      mesh.low[i % 3] + (x / 65535) * (mesh.high[i % 3] - mesh.low[i % 3]));
    return finished(points, unpack(mesh.faces, Uint16Array), true);
  }
  if (geom.type === "box") {
    const points = [];
    for (const x of [-a, a]) for (const y of [-b, b]) for (const z of [-c, c]) points.push(x, y, z);
    return finished(points, [
      0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3,
    ]);
  }
  // Everything else is turned around z: rings of (radius, height), from below to the top.
  const turn = Array.from({ length: 9 }, (_, i) => ((i - 4) * Math.PI) / 8);
  const rings = geom.type === "cylinder"
    ? [[0, -b], [a, -b], [a, b], [0, b]]
    : geom.type === "capsule"
      ? [...turn.slice(0, 5), ...turn.slice(4)].map((t, i) => [a * Math.cos(t), a * Math.sin(t) + (i < 5 ? -b : b)])
      : turn.map((t) => [a * Math.cos(t), (geom.type === "ellipsoid" ? c : a) * Math.sin(t)]);
  const squash = geom.type === "ellipsoid" ? b / a : 1;
  const [sides, points, faces] = [16, [], []];
  rings.forEach(([radius, height], ring) => {
    for (let i = 0; i < sides; i++) {
      const angle = (2 * Math.PI * i) / sides;
      points.push(radius * Math.cos(angle), squash * radius * Math.sin(angle), height);
      if (!ring) continue;
      const [j, next, below] = [ring * sides + i, ring * sides + ((i + 1) % sides), sides];
      if (rings[ring - 1][0] > 1e-9) faces.push(j - below, next - below, next);
      if (radius > 1e-9) faces.push(j - below, next, j);
    }
  });
  return finished(points, faces);
}

/** Add a normal per corner of each face: the mean over the faces around it that are not over an edge. */
function finished(points, faces, shell = false) {
  const n = faces.length / 3;
  const flat = new Float32Array(faces.length);
  const around = Array.from({ length: points.length / 3 }, () => []);
  for (let f = 0; f < n; f++) {
    const [i, j, k] = [3 * faces[3 * f], 3 * faces[3 * f + 1], 3 * faces[3 * f + 2]];
    const [ux, uy, uz] = [points[j] - points[i], points[j + 1] - points[i + 1], points[j + 2] - points[i + 2]];
    const [vx, vy, vz] = [points[k] - points[i], points[k + 1] - points[i + 1], points[k + 2] - points[i + 2]];
    flat.set([uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx], 3 * f);
    for (const corner of [i, j, k]) around[corner / 3].push(f);
  }
  const length = Float32Array.from({ length: n }, (_, f) => Math.hypot(flat[3 * f], flat[3 * f + 1], flat[3 * f + 2]) || 1e-12);
  const normals = new Float32Array(9 * n);
  for (let corner = 0; corner < faces.length; corner++) {
    const f = Math.floor(corner / 3);
    let [x, y, z] = [0, 0, 0];
    for (const g of around[faces[corner]]) {
      const along = flat[3 * f] * flat[3 * g] + flat[3 * f + 1] * flat[3 * g + 1] + flat[3 * f + 2] * flat[3 * g + 2];
      if (g !== f && along < CREASE * length[f] * length[g]) continue;
      x += flat[3 * g];
      y += flat[3 * g + 1];
      z += flat[3 * g + 2];
    }
    const size = Math.hypot(x, y, z) || 1;
    normals.set([x / size, y / size, z / size], 3 * corner);
  }
  return { points: Float32Array.from(points), faces: Uint16Array.from(faces), normals, shell, seen: new Float32Array(points.length) };
}

export const packed = ([r, g, b], alpha = 255) =>
  ((alpha << 24) | (clamp(b, 0, 255) << 16) | (clamp(g, 0, 255) << 8) | clamp(r, 0, 255)) >>> 0;

/** A picture of `width` x `height` dots, and the triangles in it. Without any DOM. */
export function raster(width, height) {
  const pixels = new Uint32Array(width * height); // 0 is clear
  const depth = new Float32Array(width * height); // 1 / metres: larger is nearer, 0 is nothing

  /** Where the points are in the picture: x, y, 1 / depth each; 0 for what lies behind the eye. */
  function transform({ points, seen }, [rx, ry, rz], [x0, y0, z0], focal) {
    const [cx, cy] = [width / 2, height / 2];
    for (let i = 0; i < points.length; i += 3) {
      const [x, y, z] = [points[i], points[i + 1], points[i + 2]];
      const away = rz[0] * x + rz[1] * y + rz[2] * z + z0;
      const near = away > NEAR ? 1 / away : 0;
      seen[i] = cx + (rx[0] * x + rx[1] * y + rx[2] * z + x0) * near * focal;
      seen[i + 1] = cy - (ry[0] * x + ry[1] * y + ry[2] * z + y0) * near * focal;
      seen[i + 2] = near;
    }
  }

  /**
   * Draw the faces that look at us, lit from `light` (in the solid's frame). Of shells also the dark
   * insides, a little farther away: they are what shows through the gaps between two of them.
   */
  function draw({ faces, normals, shell, seen }, light, palette) {
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [3 * faces[i], 3 * faces[i + 1], 3 * faces[i + 2]];
      const [ax, ay, bx, by, cx, cy] = [seen[a], seen[a + 1], seen[b], seen[b + 1], seen[c], seen[c + 1]];
      const area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
      const back = area >= 0;
      if (area === 0 || (back && !shell)) continue;
      const far = back ? 0.995 : 1;
      const az = far * seen[a + 2], bz = far * seen[b + 2], cz = far * seen[c + 2];
      if (az === 0 || bz === 0 || cz === 0) continue;
      const n = 3 * i;
      const la = back ? 0 : lit(normals, n, light), lb = back ? 0 : lit(normals, n + 3, light);
      const lc = back ? 0 : lit(normals, n + 6, light);
      const zx = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area;
      const zy = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area;
      const lx = ((lb - la) * (cy - ay) - (lc - la) * (by - ay)) / area;
      const ly = ((lc - la) * (bx - ax) - (lb - la) * (cx - ax)) / area;
      const low = Math.max(Math.ceil(Math.min(ay, by, cy) - 0.5), 0);
      const high = Math.min(Math.ceil(Math.max(ay, by, cy) - 0.5), height);
      for (let y = low; y < high; y++) {
        const from = span(ax, ay, bx, by, cx, cy, y + 0.5), to = right;
        let z = az + (from + 0.5 - ax) * zx + (y + 0.5 - ay) * zy;
        let l = la + (from + 0.5 - ax) * lx + (y + 0.5 - ay) * ly;
        for (let at = y * width + from, end = y * width + to; at < end; at++, z += zx, l += lx) {
          if (z <= depth[at]) continue;
          depth[at] = z;
          pixels[at] = palette[l < 0 ? 0 : l > SHADES ? SHADES : l | 0];
        }
      }
    }
  }

  /** Darken what lies on the ground, once: seen are the points' shadows there. */
  function shade({ faces, seen }, darker) {
    for (let i = 0; i < faces.length; i += 3) {
      const [a, b, c] = [3 * faces[i], 3 * faces[i + 1], 3 * faces[i + 2]];
      const [ax, ay, az] = [seen[a], seen[a + 1], seen[a + 2]];
      const [bx, by, bz] = [seen[b], seen[b + 1], seen[b + 2]];
      const [cx, cy, cz] = [seen[c], seen[c + 1], seen[c + 2]];
      const area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay);
      if (area === 0 || az === 0 || bz === 0 || cz === 0) continue;
      const zx = ((bz - az) * (cy - ay) - (cz - az) * (by - ay)) / area;
      const zy = ((cz - az) * (bx - ax) - (bz - az) * (cx - ax)) / area;
      const low = Math.max(Math.ceil(Math.min(ay, by, cy) - 0.5), 0);
      const high = Math.min(Math.ceil(Math.max(ay, by, cy) - 0.5), height);
      for (let y = low; y < high; y++) {
        const from = span(ax, ay, bx, by, cx, cy, y + 0.5), to = right;
        let z = az + (from + 0.5 - ax) * zx + (y + 0.5 - ay) * zy;
        for (let at = y * width + from, end = y * width + to; at < end; at++, z += zx) {
          if (Math.abs(z - depth[at]) < 0.004 * z || depth[at] === 0) pixels[at] = darker[at];
        }
      }
    }
  }

  let right = 0; // the second result of span: where the row ends
  function span(ax, ay, bx, by, cx, cy, y) {
    let low = Infinity, high = -Infinity;
    if (ay <= y !== by <= y) low = high = ax + ((y - ay) * (bx - ax)) / (by - ay);
    if (by <= y !== cy <= y) {
      const x = bx + ((y - by) * (cx - bx)) / (cy - by);
      if (x < low) low = x;
      if (x > high) high = x;
    }
    if (cy <= y !== ay <= y) {
      const x = cx + ((y - cy) * (ax - cx)) / (ay - cy);
      if (x < low) low = x;
      if (x > high) high = x;
    }
    right = Math.min(Math.ceil(high - 0.5), width);
    return Math.max(Math.ceil(low - 0.5), 0);
  }

  function blend(at, colour, alpha) {
    const old = pixels[at];
    if (!old) pixels[at] = packed(colour, 255 * alpha);
    else pixels[at] = packed(mix([old & 255, (old >> 8) & 255, (old >> 16) & 255], colour, alpha), old >>> 24);
  }

  /** Draw a round dot of `radius` pixels where nothing nearer is. */
  function dab(x, y, near, radius, colour) {
    for (let j = Math.max(Math.ceil(y - radius - 0.5), 0); j < Math.min(y + radius, height); j++) {
      for (let i = Math.max(Math.ceil(x - radius - 0.5), 0); i < Math.min(x + radius, width); i++) {
        if ((i + 0.5 - x) ** 2 + (j + 0.5 - y) ** 2 > radius ** 2 || near * 1.004 < depth[j * width + i]) continue;
        pixels[j * width + i] = colour;
      }
    }
  }

  /** Blend a ball into the picture: thinner where something stands inside it, thicker at its rim. */
  function ball({ x, y, depth: away, scale }, metres, colour, alpha) {
    const radius = metres * scale;
    for (let j = Math.max(Math.ceil(y - radius - 0.5), 0); j < Math.min(y + radius, height); j++) {
      for (let i = Math.max(Math.ceil(x - radius - 0.5), 0); i < Math.min(x + radius, width); i++) {
        const inside = 1 - ((i + 0.5 - x) ** 2 + (j + 0.5 - y) ** 2) / radius ** 2;
        if (inside <= 0) continue;
        const half = Math.sqrt(inside);
        const there = depth[j * width + i];
        if (there * (away - metres * half) > 1) continue;
        const thick = alpha * (0.7 + 0.9 * (1 - half) ** 2) * (there * away > 1 ? 0.6 : 1);
        blend(j * width + i, colour, Math.min(thick, 1));
      }
    }
  }

  return { pixels, depth, width, height, transform, draw, shade, dab, ball };
}

/** How bright a corner is, in shades. */
function lit(normals, n, light) {
  const x = normals[n] * light[0] + normals[n + 1] * light[1] + normals[n + 2] * light[2];
  return x > 0 ? x * SHADES : 0;
}

const paletteOf = (colour) =>
  Uint32Array.from({ length: SHADES + 1 }, (_, i) => packed(colour.map((x) => x * (0.6 + (0.5 * i) / SHADES))));

/**
 * Return paint(ctx, view, actors, look, float): all solids of actors { poseOf, colour }, tinted with
 * the colour unless it is null, and what float(raster, project, dots) draws among them, `dots` being
 * the raster's per pixel of the picture. Geoms of which isFixed(index) holds are drawn again only
 * when the camera, the size or the theme changes.
 */
export function solidPainter(scene, geoms, seen, isFixed) {
  const solids = geoms.map((geom) => (geom.visible && geom.type !== "plane" ? triangles(geom, scene.meshes) : null));
  const palettes = geoms.map((geom) => paletteOf(geom.colour.slice(0, 3)));
  const all = [...solids.keys()].filter((index) => solids[index]);
  const [fixedGeoms, moving] = [all.filter(isFixed), all.filter((index) => !isFixed(index))];
  let rows, lamp; // of where the reader looks from now
  const fall = (vector, height) => sum([1, vector], [(height - vector[2]) / lamp[2], lamp]);
  const boards = new Map();

  function boardOf(width, height) {
    const key = `${width} ${height}`;
    if (!boards.has(key)) {
      if (boards.size > 2) boards.clear();
      const target = raster(width, height);
      boards.set(key, {
        target, drawnFor: "", canvas: Object.assign(document.createElement("canvas"), { width, height }),
        image: new ImageData(new Uint8ClampedArray(target.pixels.buffer), width, height),
      });
    }
    return boards.get(key);
  }

  const dyed = new Map();
  /** The palette of a geom, tinted with a colour. */
  function dye(index, colour) {
    const key = `${index} ${colour}`;
    if (!dyed.has(key)) dyed.set(key, paletteOf(mix(geoms[index].colour.slice(0, 3), colour, 0.78)));
    return dyed.get(key);
  }

  return function paint(ctx, view, actors, look, float) {
    rows = [seen.right, seen.upward, seen.ahead];
    // The lamp of the shadows hangs higher, so that a shadow lies below what casts it.
    lamp = sum([0.35, seen.light], [0.65, [0, 0, 1]]);
    const ratio = ctx.canvas.width / view.width;
    // Finer than the screen, for smooth edges; a little coarser while things move.
    const dots = ratio >= 1.5 ? ratio : look.sharp ? 2 * ratio : 1.5 * ratio;
    const board = boardOf(Math.round(view.width * dots), Math.round(view.height * dots));
    const { target } = board;
    const place = (index, columns, at) => {
      const offset = sum([1, at], [-1, view.eye]);
      const turned = rows.map((row) => columns.map((column) => dot(row, column)));
      target.transform(solids[index], turned, rows.map((row) => dot(row, offset)), view.focal * dots);
    };
    const draw = (index, palette, { poseOf } = actors[0]) => {
      const { at, turn } = poseOf(index);
      const columns = axes(turn);
      place(index, columns, at);
      target.draw(solids[index], columns.map((column) => dot(column, seen.light)), palette);
    };
    const key = [...view.eye, look.sky].join();
    if (board.drawnFor === key) {
      target.pixels.set(board.pixels);
      target.depth.set(board.depth);
    } else {
      target.pixels.fill(0);
      target.depth.fill(0);
      for (const index of fixedGeoms) {
        draw(index, look.dark ? paletteOf(mix(geoms[index].colour.slice(0, 3), DUSK, 0.5)) : palettes[index]);
      }
      const keep = look.dark ? 0.62 : 0.76;
      Object.assign(board, {
        drawnFor: key, pixels: target.pixels.slice(), depth: target.depth.slice(),
        darker: target.pixels.map((p) => (p
          ? packed([p & 255, (p >> 8) & 255, (p >> 16) & 255].map((x) => x * keep), p >>> 24)
          : packed([10, 15, 25], look.dark ? 90 : 50))),
      });
    }
    for (const { poseOf } of scene.ground === null ? [] : actors) {
      for (const index of moving) {
        const { at, turn } = poseOf(index);
        place(index, axes(turn).map((column) => fall(column, 0)), fall(at, scene.ground));
        target.shade(solids[index], board.darker);
      }
    }
    for (const actor of actors) {
      for (const index of moving) draw(index, actor.colour ? dye(index, actor.colour) : palettes[index], actor);
    }
    float(target, (point) => {
      const p = view.project(point);
      return { x: p.x * dots, y: p.y * dots, depth: p.depth, scale: p.scale * dots };
    }, dots);
    board.canvas.getContext("2d").putImageData(board.image, 0, 0);
    ctx.imageSmoothingQuality = "medium";
    ctx.drawImage(board.canvas, 0, 0, view.width, view.height);
  };
}
