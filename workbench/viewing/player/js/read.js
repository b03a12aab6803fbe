// From the payload to numbers: unpacks what contents.py packed, and looks things up in it.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, unpack } from "./math.js";
import { smoothTrack } from "./painter.js";

/** Numbers that travelled as whole multiples of a small one. */
export const fixed = (packed) => packed && Float32Array.from(unpack(packed.whole, Int16Array), (x) => x * packed.by);
const floats = (text) => text && unpack(text, Float32Array);

/** Which of some rising moments holds at `update`: the last one up to it, else the first. */
export function momentOf(updates, update) {
  const later = updates.findIndex((u) => u > update);
  return later < 0 ? updates.length - 1 : Math.max(later - 1, 0);
}

function readEpisode(episode, moving, scene, chart, colour) {
  const rewards = unpack(episode.rewards, Float32Array);
  const total = new Float64Array(episode.steps + 1); // earned before step i
  rewards.forEach((r, i) => (total[i + 1] = total[i] + r));
  const position = fixed(episode.position);
  const path = fixed(episode.path);
  const out = { ...episode, colour, total, rewards, position, path, quaternion: fixed(episode.quaternion) };
  out.terms = Object.fromEntries(Object.entries(episode.terms).map(([name, values]) => [name, fixed(values)]));
  out.actions = fixed(episode.actions);
  out.reading = floats(episode.reading);
  out.curve = chart && episode.measured && curveOf(floats(episode.measured), total, Math.round(chart.seconds / scene.dt));
  out.track = smoothTrack(out, moving, scene);
  out.start = path ? path.slice(0, 3) : [...out.track[0], 0];
  return out;
}

/** What is known of a quantity before step i: its mean over a window of steps, or its value now. */
function curveOf(values, steps, window) {
  return Array.from(steps, (_, i) => {
    if (!window) return values[Math.min(i, values.length - 1)];
    // Before the first step there is no speed yet: 0 / 0 is NaN, shown as a dash.
    const recent = values.subarray(Math.max(0, i - window), i);
    return recent.reduce((a, b) => a + b, 0) / recent.length;
  });
}

function readChain(chain) {
  const [moments, n, length, d] = chain.shape;
  return {
    ...chain, moments, n, length, d, x: fixed(chain.x), guess: fixed(chain.x0_hat),
    distance: floats(chain.distance), guessDistance: floats(chain.guess_distance),
    error: floats(chain.error), guessError: floats(chain.guess_error),
    inner: chain.frames.filter((frame) => frame < n),
  };
}

export function readVariables(packed) {
  if (!packed) return null;
  const out = { ...packed, demos: packed.demos.map((set) => ({ ...set, band: fixed(set.band), points: fixed(set.points) })) };
  for (const name of ["mean", "scale", "centre", "axes"]) out[name] = floats(packed[name]);
  return out;
}

export const readColumn = (column, { moving, scene, chart }) => ({
  ...column,
  chain: column.chain && readChain(column.chain),
  episodes: column.episodes.map((episode) => readEpisode(episode, moving, scene, chart, column.colour)),
});

/** The episode of a column at one moment of the tuning; undefined while it has none. */
export const episodeOf = (column, update) => column.episodes[momentOf(column.episodes.map((episode) => episode.update), update)];

/** What the transformer reads of the prompt at a step of an episode: K* rows of D sizes, or null. */
export function readingAt(episode, step) {
  if (!episode?.reading) return null;
  const steps = episode.reading_steps;
  const size = episode.reading.length / steps.length;
  const at = momentOf(steps, step);
  return episode.reading.subarray(at * size, (at + 1) * size);
}

/**
 * The prompt of a chain at a frame of the longest of all chains (0 is noise, `frames` the finished
 * prompt) and a moment of the tuning: { moment, frame, guess, values }, K* rows of D values.
 */
export function promptOf(chain, frame, frames, update, wantGuess) {
  const moment = momentOf(chain.updates, update);
  const at = frames ? clamp(Math.round((frame / frames) * chain.n), 0, chain.n) : chain.n;
  const guess = wantGuess && at < chain.n;
  const size = chain.length * chain.d;
  const from = (moment * (chain.n + (guess ? 0 : 1)) + at) * size;
  return { moment, frame: at, guess, values: (guess ? chain.guess : chain.x).subarray(from, from + size) };
}

/** One measure of a chain at a moment: { xs, ys }, xs on the scale of the longest chain. */
export function measureOf(chain, name, frames, update, wantGuess) {
  const guess = wantGuess && chain.n > 0;
  const sparse = name === "error";
  const values = guess ? { error: chain.guessError, distance: chain.guessDistance }[name] : chain[name];
  const at = sparse ? (guess ? chain.inner : chain.frames)
    : Array.from({ length: chain.n + (guess ? 0 : 1) }, (_, i) => i);
  if (!values) return { xs: [], ys: [] };
  const moment = momentOf(chain.updates, update);
  const xs = at.map((frame) => (chain.n ? (frame / chain.n) * frames : frames));
  return { xs, ys: [...values.subarray(moment * at.length, (moment + 1) * at.length)] };
}

/** Where a prompt lies on the map: [along the first direction, along the second]. */
export function onMap(variables, values) {
  const { axes, centre } = variables;
  const out = [0, 0];
  for (let i = 0; i < values.length; i++) {
    out[0] += axes[i] * (values[i] - centre[i]);
    out[1] += axes[values.length + i] * (values[i] - centre[i]);
  }
  return out;
}
