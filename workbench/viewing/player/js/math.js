// Numbers, vectors, colours and the camera. Knows no page.
// One of the player's files (player.js lists them); component.py joins all into one module.

export const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
export const css = ([r, g, b], alpha = 1) => `rgba(${r | 0},${g | 0},${b | 0},${alpha})`;
export const mix = (a, b, f) => a.map((x, i) => x + (b[i] - x) * f);

export function rgb(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** Numbers for people: a true minus sign, as many digits as the size deserves. */
export function number(x, digits = Math.abs(x) < 10 ? 2 : 1) {
  if (!Number.isFinite(x)) return "\u2013";
  return (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "\u2212");
}

/** A typed array out of base64. */
export function unpack(text, Type) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new Type(bytes.buffer);
}

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
export const unit = (a) => a.map((x) => x / (Math.hypot(...a) || 1));

/** a x + b y + ... : a sum of vectors, given as pairs [factor, vector]. */
export const sum = (...terms) => [0, 1, 2].map((i) => terms.reduce((s, [f, v]) => s + f * v[i], 0));

/** The columns of the rotation matrix of a quaternion wxyz. */
export function axes([w, x, y, z]) {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  ];
}

const FARTHEST = 26; // metres that a camera steps back at most

/**
 * A camera as the scene describes it: seen(width, height, centre, apart) gives what one picture needs,
 * above all project(point) -> { x, y, depth, scale } in the picture's pixels. It steps back until
 * what is `apart` [x, y] metres from the centre is in the picture, either way, but not for ever.
 */
export function camera(view) {
  const lens = { follows: view.track !== null };
  /** Look from elsewhere: degrees around and up from where the scene stands, and how much nearer. */
  function turn({ around, up, zoom }) {
    const key = [around, up, zoom].join();
    if (key === lens.key) return;
    const azimuth = ((view.azimuth + around) * Math.PI) / 180;
    const elevation = (clamp(view.elevation + up, -88, -1) * Math.PI) / 180;
    const level = [Math.cos(azimuth), Math.sin(azimuth), 0];
    const ahead = sum([Math.cos(elevation), level], [Math.sin(elevation), [0, 0, 1]]);
    const right = unit(cross(level, [0, 0, 1]));
    // The lamp hangs behind the viewer's left shoulder.
    const light = unit(sum([-0.45, right], [-0.55, level], [0.7, [0, 0, 1]]));
    Object.assign(lens, { key, zoom, elevation, level, ahead, right, light, upward: cross(right, ahead) });
  }
  function seen(width, height, centre, apart = [0, 0]) {
    const { level, ahead, right, upward, elevation, zoom } = lens;
    const focal = Math.min(
      height / 2 / Math.tan((view.fovy * Math.PI) / 360),
      ((width / 2) * view.distance) / view.beside,
    );
    const [across, along] = [right, level].map((way) => Math.abs(way[0]) * apart[0] + Math.abs(way[1]) * apart[1]);
    // Room for the robots themselves there is already; what is nearer is larger.
    const wanted = along * Math.cos(elevation) + Math.max(
      (focal * (across + view.beside)) / (width / 2),
      view.distance + (focal * along * Math.abs(Math.sin(elevation))) / (height / 2),
    );
    const distance = clamp(wanted, view.distance, Math.max(view.distance, FARTHEST)) / zoom;
    const eye = sum([1, [centre[0], centre[1], view.at[2]]], [-distance, ahead]);
    const project = (point) => {
      const d = [point[0] - eye[0], point[1] - eye[1], point[2] - eye[2]];
      const depth = dot(d, ahead);
      const scale = focal / Math.max(depth, 0.05);
      return { x: width / 2 + dot(d, right) * scale, y: height / 2 - dot(d, upward) * scale, depth, scale };
    };
    return { eye, focal, project, width, height, centre, distance };
  }
  turn({ around: 0, up: 0, zoom: 1 });
  return Object.assign(lens, { seen, turn });
}
