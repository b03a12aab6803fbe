// The panel of the prompts: two sliders, and tabs for the four ways of looking at a prompt on its way
// out of noise (heat.js, curves.js, map.js, and the charts "How real" below).
// One of the player's files (player.js lists them); component.py joins all into one module.

import { number } from "./math.js";
import { badge, h, setRange, tabs } from "./dom.js";
import { momentOf, measureOf, promptOf } from "./read.js";
import { chainAxis, chartView } from "./chart.js";
import { heatView } from "./heat.js";
import { curvesView } from "./curves.js";
import { mapView } from "./map.js";

/** The panel on the left. `n` is the length of the longest chain, `moments` those of the tuning. */
export function chainPanel(columns, variables, n, moments, shared) {
  const prompted = columns.filter(({ chain }) => chain);
  const denoised = prompted.some(({ chain }) => chain.n);
  const shown = (column, now) => {
    const one = promptOf(column.chain, now.frame, n, shared.update, shared.guess);
    const k = column.chain.n - one.frame;
    const words = one.guess ? `guess of the finished prompt at step ${k}` : k ? `diffusion step ${k}` : "finished prompt";
    return { ...one, words };
  };
  const frames = (column) => Array.from({ length: column.chain.n + 1 }, (_, f) =>
    promptOf(column.chain, f, column.chain.n, shared.update, shared.guess).values);
  const parts = [heatView(prompted, variables, shown, shared), curvesView(prompted, variables, shown, shared)];
  const views = [
    { name: "Heat map", help: "Every number of the prompt as a colour.", element: parts[0].element },
    { name: "Curves", help: "Every variable over the rows of the prompt, in front of the demonstrations.", element: parts[1].element },
  ];
  if (variables.axes) {
    parts.push(mapView(prompted, variables, shown, frames, shared));
    views.push({ name: "Map", help: "The way from noise to the data, in two dimensions.", element: parts[2].element });
  }
  if (prompted.some(({ chain }) => chain.distance)) {
    const charts = realCharts(prompted, variables, n, shared);
    parts.push(...charts.parts);
    views.push({ name: "How real", help: "How far the prompt is from what was recorded, and from what the simulator does.", element: charts.element });
  }

  const title = h("div", { className: "pdw-step pdw-number", "data-pdw": "step" });
  const slider = h("input", {
    type: "range", min: 0, max: n, step: 1, value: 0, "data-pdw": "diffusion",
    "aria-label": "Diffusion step, from noise to the finished prompt",
    title: "How far the noise has been removed. Arrow keys move it by one step.",
  });
  slider.addEventListener("input", () => shared.seekFrame(+slider.value));
  const check = h("input", { type: "checkbox", checked: shared.guess, "data-pdw": "guess" });
  check.addEventListener("change", () => {
    shared.guess = check.checked;
    shared.redraw();
  });
  const tuning = tuningSlider(moments, shared);
  const badges = prompted.length > 1 ? prompted.map((column) => badge(column, shared)) : [];
  const element = h("section", { className: "pdw-chain" },
    h("h3", { textContent: denoised ? "Noise becomes a prompt" : "The prompt" }),
    h("p", { textContent: `A prompt is ${prompted[0].chain.length} rows of an episode that tell the frozen model how to act.${denoised ? " The diffuser makes it out of noise." : ""}` }));
  if (denoised) element.append(title, h("div", { className: "pdw-slider" }, "noise", slider, "prompt"));
  if (tuning) element.append(tuning.element);
  if (badges.length) {
    element.append(h("div", { className: "pdw-columns" }, ...badges.map((one, i) =>
      h("span", { title: prompted[i].label }, one.node, ` ${prompted[i].label}`, prompted[i].chain.n || !denoised ? "" : h("em", { textContent: " not denoised" })))));
  }
  element.append(tabs(views, "chain", "Ways to look at the prompt", shared));
  if (denoised) {
    element.append(h("label", { className: "pdw-check", title: "At every step the model guesses the finished prompt and goes a little towards it." }, check,
      h("span", { textContent: "show x\u0302\u2080: the model\u2019s current guess of the finished prompt" })));
  }

  function draw(now, final) {
    const k = n - now.frame;
    const words = k === n ? `Diffusion step ${n} of ${n}: pure noise`
      : k ? `Diffusion step ${k} of ${n}: noise is being removed` : "Step 0: the finished prompt";
    title.textContent = shared.guess && k ? `Guess of the finished prompt, made at step ${k} of ${n}` : words;
    setRange(slider, now.frame);
    slider.setAttribute("aria-valuetext", words);
    tuning?.draw();
    for (const part of parts) part.draw(now, final);
  }
  const restyle = () => [...parts, ...badges].forEach((part) => part.restyle?.());
  return { element, draw, restyle };
}

/** The slider over the tuning: the same noise, denoised after more and more updates. */
function tuningSlider(moments, shared) {
  if (moments.length < 2) return null;
  const last = moments.length - 1;
  const slider = h("input", {
    type: "range", min: 0, max: last, step: 1, value: last, "data-pdw": "tuning",
    "aria-label": "Updates of the tuning",
    title: "The same noise, denoised after more and more updates of the tuning. The robots follow the prompts of the nearest evaluation before.",
  });
  const play = h("button", {
    type: "button", className: "pdw-small", textContent: "\u25b6", "data-pdw": "play-tuning",
    "aria-label": "Play the tuning", title: "Play the tuning: the same noise after more and more updates",
  });
  const words = h("output", { className: "pdw-number", "data-pdw": "updates" });
  slider.addEventListener("input", () => shared.seekUpdate(moments[+slider.value]));
  play.addEventListener("click", () => shared.playTuning());
  const element = h("div", { className: "pdw-slider pdw-tuning" }, "tuning", slider, play, words);
  const draw = () => {
    setRange(slider, momentOf(moments, shared.update));
    words.textContent = shared.update ? `${shared.update} updates` : "no update";
    slider.setAttribute("aria-valuetext", words.textContent);
  };
  return { element, draw };
}

/**
 * "How real": two charts over the denoising, how far a prompt is from recorded transitions, and how far
 * its rows are from what the simulator makes of the rows before (realism.py measures both).
 */
function realCharts(columns, variables, n, shared) {
  const axis = chainAxis(n, shared);
  const curvesOf = (name) => columns.map((column) => ({
    label: column.name, colour: column.colour,
    read: () => measureOf(column.chain, name, n, shared.update, shared.guess),
  }));
  const all = (name, guess) => () => columns.flatMap(({ chain }) => [...((shared.guess && chain.n ? chain[guess] : chain[name]) ?? [])]);
  // One band, even for several sets of demonstrations: how far apart recorded rows are, or less.
  const spacings = variables.demos.map(({ spacing }) => spacing).filter(Boolean);
  const errors = variables.demos.map((set) => set.recorded_error).filter((error) => error !== null);
  const recorded = errors.length ? Math.max(...errors) : null;
  const parts = [chartView({
    title: "Distance to the nearest recorded row (sd)", unit: "sd", height: 200, steady: true,
    all: all("distance", "guessDistance"), curves: curvesOf("distance"),
    band: spacings.length ? [Math.min(...spacings.map(([low]) => low)), Math.max(...spacings.map(([, , high]) => high)), "between recorded rows"] : null,
  }, axis, shared)];
  const element = h("div", { className: "pdw-real" }, parts[0].element);
  if (columns.some(({ chain }) => chain.error)) {
    parts.push(chartView({
      title: "One-step error in the simulator (sd)", unit: "sd", height: 200, steady: true,
      all: all("error", "guessError"), target: recorded, curves: curvesOf("error"), targetLeft: true,
      targetLabel: recorded === null ? "" : `recorded rows: ${recorded < 0.001 ? "under 0.001" : number(recorded, 3)}`,
    }, axis, shared));
    element.append(parts[1].element);
  }
  element.append(h("p", {
    textContent: `From noise on the left to the finished prompt on the right, by diffusion step. ${variables.why_no_error
      || "One-step error: the simulator is put where a row says, does the row\u2019s action, and should arrive at the next row."}`,
  }));
  return { element, parts };
}
