// The panel of the episodes: the replays, and tabs of charts of return, rewards and actions.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { h, tabs } from "./dom.js";
import { chartView, timeAxis } from "./chart.js";
import { filmPainter } from "./film.js";
import { painter } from "./painter.js";
import { episodeOf } from "./read.js";
import { replayView, sceneView } from "./replay.js";

/** The panel on the right: `columns` that have episodes, `steps` of the longest one. */
export function episodePanel(columns, data, steps, afterChain, shared) {
  const paint = data.scene.filmed ? filmPainter(() => shared.redraw()) : painter(data.scene, data.moving);
  shared.tinted = columns.length > 1;
  const replays = columns.map((column) => replayView(column, paint, shared));
  const place = h("div", { className: "pdw-replays" }, ...replays.map((part) => part.element));
  place.style.gridTemplateColumns = `repeat(${[1, 2, 3, 2][columns.length - 1]}, minmax(0, 1fr))`;
  const head = h("div", { className: "pdw-head" },
    h("h3", { textContent: afterChain ? "The prompt makes the robot act" : "What the robot does" }));
  const parts = [...replays];
  head.title = "The return is the sum of all rewards: higher is better. Drag on a curve to move in time.";
  const element = h("section", { className: "pdw-acts" }, head, place);
  if (columns.length > 1 && !data.scene.filmed) {
    const scene = sceneView(columns, painter(data.scene, data.moving), shared);
    const button = h("button", { type: "button", className: "pdw-small", textContent: "One scene", "data-pdw": "ghosts",
      title: "Put all robots into one scene, each in the colour of its letter" });
    const choose = (on) => {
      shared.ghosts = on;
      [place.hidden, scene.element.hidden] = [on, !on];
      button.setAttribute("aria-pressed", on);
      shared.redraw();
    };
    button.addEventListener("click", () => choose(!shared.ghosts));
    head.append(button);
    element.append(scene.element);
    parts.push(scene);
    choose(shared.ghosts);
  }
  const axis = timeAxis(steps, shared);
  const views = [returnView(columns, axis, shared), rewardView(columns, axis, shared), actionView(columns, data.actions, axis, shared)];
  const shown = views.filter(({ charts }) => charts.length);
  for (const { charts } of shown) parts.push(...charts);
  element.append(tabs(shown.map(({ name, help, charts }) => ({
    name, help, element: h("div", { className: "pdw-charts" }, ...charts.map((part) => part.element)),
  })), "episode", "Curves of the episode", shared));

  const draw = (now, final) => parts.forEach((part) => part.draw(now, final));
  const restyle = () => parts.forEach((part) => part.restyle?.());
  return { element, draw, restyle };
}

/** One curve a column: of(episode) gives its values, whatever episode the tuning slider has chosen. */
const curvesOf = (columns, shared, of) => columns.map((column) => ({
  label: column.name, colour: column.colour, read: () => ({ ys: valuesOf(column, shared, of) }),
}));
/** A robot that only stands has no values yet: axes alone. */
const valuesOf = (column, shared, of) => {
  const episode = episodeOf(column, shared.update);
  return episode.stands ? [] : of(episode) ?? [];
};
const allOf = (columns, shared, of) => columns.flatMap((column) => [...valuesOf(column, shared, of)]);

/** What was earned so far, and the family's own measure against its target. */
function returnView(columns, axis, shared) {
  const total = (episode) => episode.total;
  const charts = [chartView({ title: "Return so far", curves: curvesOf(columns, shared, total), all: () => allOf(columns, shared, total) }, axis, shared)];
  const curve = (episode) => episode.curve;
  if (columns.some(({ episodes }) => episodes.some(curve))) {
    const { title, unit, digits, note, target, target_label: targetLabel } = shared.chart;
    charts.push(chartView({
      title: unit ? `${title} (${unit})` : title, note, unit, digits, target, targetLabel,
      curves: curvesOf(columns, shared, curve), all: () => allOf(columns, shared, curve),
    }, axis, shared));
  }
  const name = shared.chart ? `Return and ${shared.chart.name}` : "Return";
  return { name, help: "What was earned so far, and how it came about.", charts };
}

/** The reward of each step and the terms that it is the sum of. */
function rewardView(columns, axis, shared) {
  const terms = [...new Set(columns.flatMap(({ episodes }) => episodes.flatMap((episode) => Object.keys(episode.terms))))];
  const wanted = [["Reward of each step", (episode) => episode.rewards]];
  if (terms.length > 1) for (const name of terms) wanted.push([`Its term “${name}”`, (episode) => episode.terms[name]]);
  const charts = wanted.map(([title, of]) => chartView({
    title, thin: true, height: 150, curves: curvesOf(columns, shared, of), all: () => allOf(columns, shared, of),
  }, axis, shared));
  return { name: "Reward", help: "The reward of each step, and the terms it is the sum of.", charts };
}

/** Each action over the episode. */
function actionView(columns, names, axis, shared) {
  const known = columns.some(({ episodes }) => episodes.some((episode) => episode.actions)) ? names : [];
  const charts = known.map((name, i) => {
    const of = (episode) => episode.actions && strided(episode.actions, i, names.length);
    return chartView({
      title: name, thin: true, height: 104, curves: curvesOf(columns, shared, of), all: () => [-1, 1],
    }, axis, shared);
  });
  return { name: "Actions", help: "What the transformer tells each motor, from \u22121 to 1.", charts };
}

const columnsOfActions = new WeakMap();
/** One column of (T, A) values, cut out once. */
function strided(values, column, width) {
  if (!columnsOfActions.has(values)) {
    columnsOfActions.set(values, Array.from({ length: width }, (_, k) => values.filter((_, i) => i % width === k)));
  }
  return columnsOfActions.get(values)[column];
}
