// The player: the denoising chain of a prompt, the episodes it leads to and their curves, drawn
// from ONE playhead. No dependencies, no build step, no requests. Python's side: player.py.
//
//   player_math.js     numbers, vectors, colours, the camera
//   player_raster.js   triangles with a depth buffer, for scenes with meshes
//   player_marks.js    the goal and the way that was gone
//   player_painter.js  the floor and the robots
//   player_views.js    heat map, replay and chart: { element, draw(now, final) } each
//   player.js          the clock:  mount(element, data) -> { update(data), destroy() },
//                      and thin adapters for Streamlit components v2 and anywidget
//
// Nothing from `data` is ever parsed as HTML: text goes through textContent.

import { clamp, css, dot, mix, number, rgb, unpack } from "./player_math.js";
import { painter, smoothTrack } from "./player_painter.js";
import { SCALE, chainView, chartView, colourScale, h, readColour, replayView, setRange } from "./player_views.js";

const CHAIN = { lead: 0.3, move: 3, hold: 0.7 }; // seconds of the first stretch of the timeline

function readRun(run, moving, scene, chart) {
  const rewards = unpack(run.rewards, Float32Array);
  const total = new Float64Array(run.steps + 1); // earned before step i
  rewards.forEach((r, i) => (total[i + 1] = total[i] + r));
  const out = {
    ...run, total,
    position: unpack(run.position, Float32Array),
    quaternion: unpack(run.quaternion, Int16Array),
    path: run.path && unpack(run.path, Float32Array),
  };
  out.curve = chart && run.measured && curveOf(unpack(run.measured, Float32Array), total, Math.round(chart.seconds / scene.dt));
  out.track = smoothTrack(out, moving, scene);
  out.start = out.path ? out.path.slice(0, 3) : [...out.track[0], 0];
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

export function mount(element, data) {
  const root = h("div", { className: "pdw", tabIndex: 0, role: "group" });
  root.setAttribute("aria-label", "Player. Space plays and pauses, arrow keys step.");
  element.append(root);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const clock = { t: 0, playing: false, rate: 1, total: 0, chain: 0 };
  const shared = { guess: false, look: null, redraw: () => schedule(), tip: showTip };
  let parts = [], controls = {}, current = "", id = null, n = 0, steps = 0;
  let request = 0, last = 0, painted = 0, cost = 8, visible = true, tip;

  // -- time
  const frameOf = (t) => Math.round(clamp((t - CHAIN.lead) / CHAIN.move, 0, 1) * n);
  shared.seekFrame = (frame) => seek(frame ? CHAIN.lead + (frame / n) * CHAIN.move : 0);
  shared.seekStep = (step) => seek(clock.chain + step * shared.dt);

  function seek(t) {
    clock.t = clamp(t, 0, clock.total);
    schedule();
  }
  function play(on) {
    if (on && clock.t >= clock.total - 1e-6) clock.t = 0;
    clock.playing = on;
    last = performance.now();
    controls.play.textContent = on ? "\u275a\u275a  Pause" : "\u25b6  Play";
    controls.play.setAttribute("aria-label", on ? "Pause" : "Play");
    schedule();
  }
  function schedule() {
    if (!request && visible && !document.hidden) request = requestAnimationFrame(tick);
  }
  function tick(time) {
    request = 0;
    // Some 30 pictures a second; down to 20 where painting is slow, so that the page never sticks.
    if (clock.playing && time - painted < clamp(4 * cost, 32, 52) - 4) return schedule();
    if (clock.playing) {
      clock.t += (Math.min(Math.max(time - last, 0), 250) / 1000) * clock.rate;
      last = time;
      if (clock.t >= clock.total) {
        clock.t = clock.total;
        play(false);
      }
    }
    painted = time;
    const began = performance.now();
    draw(!clock.playing);
    cost = 0.9 * cost + 0.1 * (performance.now() - began);
    root.dataset.frameMs = cost.toFixed(1);
    if (clock.playing) schedule();
  }

  function draw(final) {
    if (!shared.look) readLook();
    const ran = Math.max(clock.t - clock.chain, 0);
    const now = {
      frame: frameOf(clock.t), step: steps ? ran / shared.dt : 0,
      waiting: clock.chain > 0 && clock.t < clock.chain,
    };
    for (const part of parts) part.draw(now, final);
    const inChain = now.waiting || !steps;
    setRange(controls.line, clock.t);
    controls.when.textContent = inChain
      ? `step ${n - now.frame} of ${n}` : `${number(ran, 1)} / ${number(steps * shared.dt, 1)} s`;
    controls.line.setAttribute("aria-valuetext", inChain
      ? `denoising, ${controls.when.textContent}` : `acting, ${controls.when.textContent}`);
    controls.stretches.forEach(([node, isChain]) => node.classList.toggle("pdw-now", isChain === inChain));
  }

  // -- looks: whatever theme surrounds us
  function readLook() {
    const style = getComputedStyle(root);
    const colour = (name) => readColour(style.getPropertyValue(name).trim() || "#888");
    const [text, back, panel] = [readColour(style.color), colour("--pdw-back"), colour("--pdw-panel")];
    const dark = dot(back, [0.3, 0.6, 0.1]) < 128;
    const tint = (hex) => (dark ? mix(rgb(hex), [255, 255, 255], 0.3) : rgb(hex));
    const sky = mix(panel, dark ? [70, 90, 120] : [214, 226, 240], dark ? 0.25 : 0.6);
    shared.look = {
      dark, tint, casing: back, ink: (hex) => css(tint(hex)),
      goal: dark ? "#ff8ccb" : "#b8246f", reached: dark ? "#53d8a9" : "#00855f",
      font: style.fontFamily, text: css(text), back: css(back),
      muted: css(mix(text, back, 0.32)), line: css(mix(text, back, 0.78)),
      faint: css(mix(text, sky, 0.45)), strong: css(mix(text, back, 0.15)),
      sky: css(sky), clear: css(sky, 0), veil: css(back, 0.82),
      tiles: dark ? [css(mix(sky, [255, 255, 255], 0.1)), css(mix(sky, [0, 0, 0], 0.12))]
        : [css(mix(sky, [255, 255, 255], 0.45)), css(mix(sky, [40, 60, 90], 0.13))],
      shadow: dark ? "rgba(0,0,0,0.38)" : "rgba(20,30,50,0.2)",
    };
    root.style.colorScheme = dark ? "dark" : "light";
    shared.colours = colourScale(SCALE[dark ? "dark" : "light"]);
    for (const part of parts) part.restyle?.();
  }

  function showTip(event, text) {
    tip.hidden = !event;
    if (!event) return;
    tip.textContent = text;
    const box = root.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    tip.style.left = `${clamp(x + 14, 0, Math.max(box.width - tip.offsetWidth - 4, 0))}px`;
    tip.style.top = `${y + 16 + tip.offsetHeight > box.height ? y - tip.offsetHeight - 10 : y + 16}px`;
  }

  // -- content
  function build(data) {
    const { scene, moving } = data;
    const { chart } = data;
    const runs = data.runs.map((run) => readRun(run, moving, scene, chart));
    shared.dt = scene.dt;
    shared.chart = chart && { ...chart, note: chart.seconds ? `mean of last ${chart.seconds} s` : "" };
    n = data.chain ? data.chain.shape[0] : 0;
    steps = Math.max(0, ...runs.map((run) => run.steps));
    clock.chain = n ? CHAIN.lead + CHAIN.move + CHAIN.hold : 0;
    clock.total = clock.chain + steps * scene.dt;
    clock.t = Math.min(clock.t, clock.total);

    const play = h("button", { type: "button", className: "pdw-play", "data-pdw": "play" });
    const again = h("button", { type: "button", textContent: "\u21ba  Restart" });
    const line = h("input", {
      type: "range", min: 0, max: clock.total, step: scene.dt, value: 0, "aria-label": "Timeline",
    });
    const when = h("output", { className: "pdw-when pdw-number", "data-pdw": "when" });
    const rate = h("select", { title: "Speed of the clock" });
    rate.setAttribute("aria-label", "Speed of the clock");
    for (const x of [0.5, 1, 2, 4]) rate.append(h("option", { value: x, textContent: `${x}\u00d7`, selected: x === clock.rate }));
    const stretches = [];
    if (n) stretches.push([h("span", { textContent: "1 \u00b7 Denoise" }), true, clock.chain]);
    if (steps) stretches.push([h("span", { textContent: n ? "2 \u00b7 Act as the prompt tells" : "The episode" }), false, steps * scene.dt]);
    for (const [node, , span] of stretches) node.style.flex = `${span} 1 0`;
    controls = { play, line, when, stretches };
    play.addEventListener("click", () => toggle());
    again.addEventListener("click", () => seek(0));
    line.addEventListener("input", () => seek(+line.value));
    rate.addEventListener("change", () => (clock.rate = +rate.value));
    const bar = h("div", { className: "pdw-bar" }, play, again,
      h("div", { className: "pdw-timeline" }, line,
        h("div", { className: "pdw-stretches" }, ...stretches.map(([node]) => node))), when, rate);

    parts = [];
    const grid = h("div", { className: "pdw-grid" });
    grid.classList.toggle("pdw-single", !n || !runs.length);
    if (n) {
      parts.push(chainView(data.chain, shared));
      grid.append(parts[0].element);
    }
    if (runs.length) grid.append(buildRuns(data, runs, painter(scene, moving)));
    tip = h("div", { className: "pdw-tip", hidden: true });
    root.replaceChildren(bar, grid, tip);
    shared.look = null;
  }

  function buildRuns(data, runs, paint) {
    const replays = runs.map((run) => replayView(run, paint, shared));
    const charts = [chartView({
      title: "Return so far", unit: "",
      curves: runs.map((run) => ({ label: run.label, colour: run.colour, main: run.total })),
    }, steps, shared)];
    const drawn = runs.filter((run) => run.curve);
    if (drawn.length) {
      const { title, unit, digits, note, target, target_label: targetLabel } = shared.chart;
      charts.push(chartView({
        title: unit ? `${title} (${unit})` : title, note, unit, digits, target, targetLabel,
        curves: drawn.map((run) => ({ label: run.label, colour: run.colour, main: run.curve })),
      }, steps, shared));
    }
    parts.push(...replays, ...charts);
    const place = h("div", { className: "pdw-replays" }, ...replays.map((part) => part.element));
    place.style.gridTemplateColumns = `repeat(${[1, 2, 3, 2][runs.length - 1]}, minmax(0, 1fr))`;
    return h("section", {},
      h("h3", { textContent: n ? "The prompt makes the robot act" : "What the robot does" }),
      h("p", { textContent: "The return is the sum of all rewards: higher is better. Drag on a curve to move in time." }),
      place, h("div", { className: "pdw-charts" }, ...charts.map((part) => part.element)));
  }

  const toggle = () => play(!clock.playing);

  function update(data) {
    const text = JSON.stringify(data);
    if (text !== current) {
      const fresh = data.id !== id;
      if (fresh) clock.t = 0;
      [current, id] = [text, data.id];
      build(data);
      play(fresh ? data.autoplay && !calm : clock.playing);
    }
    shared.look = null; // the theme may have changed
    schedule();
  }

  root.addEventListener("keydown", (event) => {
    const tag = event.composedPath()[0]?.tagName;
    const type = event.composedPath()[0]?.type;
    if (event.key === " " && tag !== "BUTTON" && tag !== "SELECT" && type !== "checkbox") toggle();
    else if (/^Arrow(Left|Right)$/.test(event.key) && tag !== "SELECT" && type !== "range") {
      const by = event.key === "ArrowRight" ? 1 : -1;
      const inChain = clock.t + by * 1e-6 < clock.chain;
      play(false);
      if (inChain && by > 0 && frameOf(clock.t) === n) seek(steps ? clock.chain : clock.total);
      else if (inChain) shared.seekFrame(clamp(frameOf(clock.t) + by, 0, n));
      else seek(clock.t + by * shared.dt);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const wake = () => {
    last = performance.now();
    schedule();
  };
  const seen = new IntersectionObserver(([entry]) => {
    visible = entry.isIntersecting;
    wake();
  });
  seen.observe(root);
  const sized = new ResizeObserver(() => schedule());
  sized.observe(root);
  document.addEventListener("visibilitychange", wake);

  update(data);
  return {
    update,
    destroy() {
      cancelAnimationFrame(request);
      visible = false;
      seen.disconnect();
      sized.disconnect();
      document.removeEventListener("visibilitychange", wake);
      root.remove();
    },
  };
}

// ---------------------------------------------------------------- adapters

const mounted = new WeakMap();

function widget({ model, el }) {
  const player = mount(el, model.get("payload"));
  const changed = () => player.update(model.get("payload"));
  model.on("change:payload", changed);
  return () => {
    model.off("change:payload", changed);
    player.destroy();
  };
}

/**
 * Streamlit calls this again whenever the data or the theme changes, and cleans up at unmount;
 * anywidget calls it once, without arguments, for what it needs.
 */
export default function adapter(component) {
  if (!component) return { render: widget };
  const { data, parentElement } = component;
  if (!data) return undefined;
  if (mounted.has(parentElement)) mounted.get(parentElement).update(data);
  else mounted.set(parentElement, mount(parentElement, data));
  return () => {
    mounted.get(parentElement)?.destroy();
    mounted.delete(parentElement);
  };
}
