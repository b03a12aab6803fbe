// The player: the denoising chains of prompts, the episodes they lead to and their curves, drawn
// from ONE playhead. No dependencies, no build step, no requests. Which file draws what:
//
//   player.js   the bar with the clock (play, timeline, speed); puts the two panels beside each other
//   strip.js    the method as one picture, over both panels
//   chain.js    the left panel, prompts: its sliders, its tabs, and the tab "How real"
//   heat.js       its tab "Heat map"
//   curves.js     its tab "Curves"
//   map.js        its tab "Map"
//   episode.js  the right panel, episodes: its tabs of charts
//   replay.js     its pictures of robots, with caption and return
//   orbit.js        looking at them from elsewhere
//     painter.js      the scene in a picture: floor, robots, camera
//   raster.js       robots made of meshes: triangles with a depth buffer
//   marks.js        the goal and the path so far
//   chart.js    any chart of curves under the playhead, in both panels
//
//   read.js     unpacks the payload (Python's side: contents.py)
//   dom.js      elements, canvases, tabs, the theme's colours
//   math.js     numbers, vectors, colours, the camera
//
// component.py joins the files into one module without imports and exports, which both Streamlit and
// anywidget take: so names at the top of a file must differ from those of all other files. The imports
// are for editors and readers.
//
// mount(element, data) returns { update(data), destroy() }; the adapters at the end fit it to
// Streamlit's components v2 and to anywidget. A part of the player is { element, draw(now, final),
// restyle() }; `final` is set when the clock does not run, the moment to bring the alternative texts up
// to date. Nothing from `data` is ever parsed as HTML: text goes through textContent.

import { clamp, number } from "./math.js";
import { SCALE, colourScale, h, lookOf, setRange } from "./dom.js";
import { chainPanel } from "./chain.js";
import { episodePanel } from "./episode.js";
import { straight, turnByKey } from "./orbit.js";
import { momentOf, readColumn, readVariables } from "./read.js";
import { methodStrip } from "./strip.js";

const CHAIN = { lead: 0.3, move: 3, hold: 0.7 }; // seconds of the first stretch of the timeline
const MOMENT = 0.35; // seconds of each moment while the tuning plays

/**
 * What a reader chose, from a link such as "c2u50t6.1"; broken parts are ignored. c, e: tab of chain and
 * episode; u: update; t: seconds on the clock; g: guess shown; r: reading shown;
 * s: one scene.
 */
function readView(words) {
  const known = {};
  for (const [, name, value] of `${words ?? ""}`.matchAll(/([ceutgrs])(\d+(?:\.\d+)?)/g)) known[name] = +value;
  return known;
}

/** report(words) is called once a reader has chosen another view and the clock does not run. */
export function mount(element, data, report = null) {
  const root = h("div", { className: "pdw", tabIndex: 0, role: "group" });
  root.setAttribute("aria-label", "Player. Space plays and pauses, arrow keys step.");
  element.append(root);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const clock = { t: 0, playing: false, tuning: null, rate: 1, total: 0, chain: 0 };
  const shared = { guess: false, ghosts: false, tab: {}, update: 0, look: null, stage: null, orbit: straight(), full: false, redraw: () => schedule(), tip: showTip };
  let parts = [], controls = {}, current = "", id = null, n = 0, steps = 0, moments = [0];
  let request = 0, last = 0, painted = 0, cost = 8, visible = true, tip, held = false, waiting = null;
  let reported = data.view ?? "", reportSoon = 0;

  // -- time
  const frameOf = (t) => Math.round(clamp((t - CHAIN.lead) / CHAIN.move, 0, 1) * n);
  shared.seekFrame = (frame) => seek(frame ? CHAIN.lead + (frame / n) * CHAIN.move : 0);
  shared.seekStep = (step) => seek(clock.chain + step * shared.dt);
  shared.seekUpdate = (update) => {
    clock.tuning = null;
    shared.update = update;
    schedule();
  };
  shared.playTuning = () => {
    const from = momentOf(moments, shared.update);
    clock.tuning = from < moments.length - 1 ? from : 0;
    last = performance.now();
    if (!clock.playing && clock.t < CHAIN.lead + CHAIN.move) shared.seekFrame(n); // the finished prompts
    schedule();
  };

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
    const moves = clock.playing || clock.tuning !== null;
    // Some 30 pictures a second; down to 20 where painting is slow, so that the page never sticks.
    if (moves && time - painted < clamp(4 * cost, 32, 52) - 4) return schedule();
    if (moves) advance(Math.min(Math.max(time - last, 0), 250) / 1000);
    last = time;
    painted = time;
    const began = performance.now();
    draw(!clock.playing && clock.tuning === null);
    cost = 0.9 * cost + 0.1 * (performance.now() - began);
    root.dataset.frameMs = cost.toFixed(1);
    if (clock.playing || clock.tuning !== null) schedule();
  }
  function advance(seconds) {
    if (clock.tuning !== null) {
      clock.tuning += (seconds / MOMENT) * clock.rate;
      const moment = Math.min(Math.floor(clock.tuning), moments.length - 1);
      shared.update = moments[moment];
      if (moment === moments.length - 1) clock.tuning = null;
    }
    if (!clock.playing) return;
    clock.t += seconds * clock.rate;
    if (clock.t < clock.total) return;
    clock.t = clock.total;
    play(false);
  }

  function draw(final) {
    if (!shared.look) readLook();
    const ran = Math.max(clock.t - clock.chain, 0);
    const now = {
      frame: n ? frameOf(clock.t) : 0, step: steps ? ran / shared.dt : 0,
      waiting: clock.chain > 0 && clock.t < clock.chain, acts: steps > 0, tuning: clock.tuning !== null,
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

  function readLook() {
    shared.look = lookOf(root);
    root.style.colorScheme = shared.look.dark ? "dark" : "light";
    shared.colours = colourScale(SCALE[shared.look.dark ? "dark" : "light"]);
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
    const columns = data.columns.map((column) => readColumn(column, data));
    const [prompted, acting] = [columns.filter(({ chain }) => chain), columns.filter(({ episodes }) => episodes.length)];
    const { chart } = data;
    shared.dt = data.scene.dt;
    shared.chart = chart && { ...chart, note: chart.seconds ? `mean of last ${chart.seconds} s` : "" };
    n = Math.max(0, ...prompted.map(({ chain }) => chain.n));
    steps = Math.max(0, ...acting.flatMap(({ episodes }) => episodes.map((episode) => episode.steps)));
    const atEnd = shared.update >= moments[moments.length - 1];
    moments = [...new Set(columns.flatMap(({ chain, episodes }) => [...(chain?.updates ?? []), ...episodes.map(({ update }) => update)]))]
      .sort((a, b) => a - b);
    if (data.id !== id) shared.update = data.update ?? moments[moments.length - 1];
    else if (atEnd) shared.update = moments[moments.length - 1]; // follow a tuning that goes on
    clock.chain = n ? CHAIN.lead + CHAIN.move + CHAIN.hold : 0;
    clock.total = clock.chain + steps * shared.dt;
    clock.t = Math.min(clock.t, clock.total);

    const bar = buildBar();
    const grid = h("div", { className: "pdw-grid" });
    grid.classList.toggle("pdw-single", !prompted.length || !acting.length);
    parts = data.method ? [methodStrip(data.method, shared)] : [];
    const strip = parts.map((part) => part.element);
    if (prompted.length) parts.push(chainPanel(columns, readVariables(data.variables), n, moments, shared));
    if (acting.length) parts.push(episodePanel(acting, data, steps, n > 0, shared));
    grid.append(...parts.slice(strip.length).map((part) => part.element));
    tip = h("div", { className: "pdw-tip", hidden: true });
    const focused = root.getRootNode().activeElement?.dataset?.pdw;
    root.replaceChildren(bar, ...strip, grid, tip);
    if (focused) root.querySelector(`[data-pdw="${focused}"]`)?.focus({ preventScroll: true });
    shared.look = null;
  }

  function buildBar() {
    const play = h("button", { type: "button", className: "pdw-play", "data-pdw": "play", title: "Play or pause (space)" });
    const again = h("button", { type: "button", textContent: "\u21ba  Restart", "data-pdw": "again", title: "Back to the noise" });
    const line = h("input", {
      type: "range", min: 0, max: clock.total, step: shared.dt, value: 0, "aria-label": "Timeline", "data-pdw": "line",
      title: "First the noise becomes a prompt, then the robots act as the prompts tell",
    });
    const when = h("output", { className: "pdw-when pdw-number", "data-pdw": "when" });
    const rate = h("select", { title: "Speed of the clock", "data-pdw": "rate" });
    rate.setAttribute("aria-label", "Speed of the clock");
    for (const x of [0.5, 1, 2, 4]) rate.append(h("option", { value: x, textContent: `${x}\u00d7`, selected: x === clock.rate }));
    const stretches = [];
    if (n) stretches.push([h("span", { textContent: "1 \u00b7 Denoise" }), true, clock.chain]);
    if (steps) stretches.push([h("span", { textContent: n ? "2 \u00b7 Act as the prompt tells" : "The episode" }), false, steps * shared.dt]);
    const full = h("button", { type: "button", textContent: "Full screen", "data-pdw": "full", title: "The robots as large as the screen, and back" });
    full.addEventListener("click", () => (shared.full ? document.exitFullscreen() : root.requestFullscreen()));
    for (const [node, , span] of stretches) node.style.flex = `${span} 1 0`;
    controls = { play, line, when, stretches };
    play.addEventListener("click", () => toggle());
    again.addEventListener("click", () => seek(0));
    line.addEventListener("input", () => seek(+line.value));
    rate.addEventListener("change", () => (clock.rate = +rate.value));
    return h("div", { className: "pdw-bar" }, play, again,
      h("div", { className: "pdw-timeline" }, line,
        h("div", { className: "pdw-stretches" }, ...stretches.map(([node]) => node))), when, rate, full);
  }

  const toggle = () => play(!clock.playing);

  function update(data) {
    if (held) waiting = data; // never take a slider away from under a hand
    else show(data);
  }
  function show({ view, ...data }) {
    const text = JSON.stringify(data);
    if (text !== current) {
      const fresh = data.id !== id;
      const { c, e, u, t, g, r, s } = id === null ? readView(view) : {};
      if (fresh) [clock.t, clock.tuning, shared.ghosts] = [0, null, s ? true : data.ghosts];
      if (id === null) [shared.tab, shared.guess, shared.reading] = [{ chain: c ?? 0, episode: e ?? 0 }, g === 1, r === 1];
      build(data);
      if (u !== undefined) shared.update = moments[momentOf(moments, u)];
      if (t !== undefined) clock.t = Math.min(t, clock.total);
      [current, id] = [text, data.id];
      play(fresh ? data.autoplay && !calm && t === undefined : clock.playing);
    }
    shared.look = null; // the theme may have changed
    schedule();
  }
  /** The present view as readView reads it, leaving out what is the default. */
  function words() {
    const { chain, episode } = shared.tab;
    const parts = { c: chain, e: episode, g: shared.guess ? 1 : 0, r: shared.reading ? 1 : 0, s: shared.ghosts ? 1 : 0 };
    if (shared.update !== moments[moments.length - 1]) parts.u = shared.update;
    if (clock.t < clock.total) parts.t = clock.t.toFixed(1);
    return Object.entries(parts).filter(([name, value]) => +value || (name === "u")).map((part) => part.join("")).join("");
  }
  function touched() {
    if (!report) return;
    clearTimeout(reportSoon);
    reportSoon = setTimeout(() => {
      if (clock.playing || clock.tuning !== null || words() === reported) return;
      reported = words();
      report(reported);
    }, 600);
  }
  const hold = () => (held = true);
  function release() {
    held = false;
    if (waiting) show(waiting);
    waiting = null;
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
    } else if (tag === "INPUT" || tag === "SELECT" || event.ctrlKey || event.metaKey || !turnByKey(shared, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  root.addEventListener("fullscreenchange", () => {
    shared.full = root.matches(":fullscreen");
    schedule();
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
  document.fonts.addEventListener("loadingdone", schedule); // what a canvas says is not set anew by itself
  root.addEventListener("pointerdown", hold);
  window.addEventListener("pointerup", release);
  window.addEventListener("pointercancel", release);
  for (const name of ["change", "click", "pointerup", "keyup"]) root.addEventListener(name, touched);

  update(data);
  return {
    update,
    destroy() {
      cancelAnimationFrame(request);
      clearTimeout(reportSoon);
      visible = false;
      seen.disconnect();
      sized.disconnect();
      document.removeEventListener("visibilitychange", wake);
      document.fonts.removeEventListener("loadingdone", schedule);
      window.removeEventListener("pointerup", release);
      window.removeEventListener("pointercancel", release);
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
  const { data, parentElement, setStateValue } = component;
  if (!data) return undefined;
  const report = data.reports_view ? (words) => setStateValue("view", words) : null;
  if (mounted.has(parentElement)) mounted.get(parentElement).update(data);
  else mounted.set(parentElement, mount(parentElement, data, report));
  return () => {
    mounted.get(parentElement)?.destroy();
    mounted.delete(parentElement);
  };
}
