// What all parts of the player are made of: elements, canvases, tabs, and the colours of the theme.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp, css, dot, mix, rgb } from "./math.js";

export const LIMIT = 3; // normalised units at the ends of the colour scale
// Blue to orange stays apart in every common form of colour blindness; the middle is the page.
export const SCALE = {
  light: ["#1f4e9c", "#5f95d0", "#f4f4f2", "#ee9a55", "#a8400c"],
  dark: ["#8fc1ff", "#3a74bd", "#23272f", "#bd6420", "#ffb877"],
};

export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Move a slider; the style sheet fills its track up to --pdw-fill. */
export function setRange(slider, value) {
  slider.value = value;
  slider.style.setProperty("--pdw-fill", (slider.value - slider.min) / (slider.max - slider.min || 1));
}

/** Read a CSS colour of any spelling as [r, g, b]. */
function readColour(text) {
  const canvas = h("canvas", { width: 1, height: 1 });
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = text;
  ctx.fillRect(0, 0, 1, 1);
  return [...ctx.getImageData(0, 0, 1, 1).data].slice(0, 3);
}

/** The colours and the font of whatever theme surrounds us. */
export function lookOf(root) {
  const style = getComputedStyle(root);
  const colour = (name) => readColour(style.getPropertyValue(name).trim() || "#888");
  const [text, back, panel] = [readColour(style.color), colour("--pdw-back"), colour("--pdw-panel")];
  const dark = dot(back, [0.3, 0.6, 0.1]) < 128;
  const tint = (hex) => (dark ? mix(rgb(hex), [255, 255, 255], 0.3) : rgb(hex));
  const sky = mix(panel, dark ? [70, 90, 120] : [214, 226, 240], dark ? 0.25 : 0.6);
  return {
    dark, tint, casing: back, ink: (hex) => css(tint(hex)),
    onInk: (hex) => (dot(tint(hex), [0.3, 0.6, 0.1]) > 140 ? "#111" : "#fff"),
    thin: (hex) => css(tint(hex), 0.45), veiled: (hex) => css(tint(hex), 0.2),
    goal: dark ? "#ff8ccb" : "#b8246f", reached: dark ? "#53d8a9" : "#00855f",
    font: style.fontFamily, text: css(text), back: css(back), panel: css(mix(panel, back, 0.3)),
    muted: css(mix(text, back, 0.32)), line: css(mix(text, back, 0.78)),
    band: css(mix(text, back, 0.8)), dots: css(mix(text, back, 0.62)),
    faint: css(mix(text, sky, 0.45)), strong: css(mix(text, back, 0.15)),
    sky: css(sky), clear: css(sky, 0), veil: css(back, 0.82),
    tiles: dark ? [css(mix(sky, [255, 255, 255], 0.1)), css(mix(sky, [0, 0, 0], 0.12))]
      : [css(mix(sky, [255, 255, 255], 0.45)), css(mix(sky, [40, 60, 90], 0.13))],
    shadow: dark ? "rgba(0,0,0,0.38)" : "rgba(20,30,50,0.2)",
  };
}

/** Give the canvas `height` CSS pixels and the screen's own resolution; null while hidden. */
export function fit(canvas, height) {
  const width = canvas.clientWidth;
  if (!width) return null;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  return { ctx, width, height };
}

export function colourScale(stops) {
  const colours = stops.map(rgb);
  const table = Array.from({ length: 129 }, (_, i) => {
    const at = (i / 128) * (colours.length - 1);
    const from = Math.min(Math.floor(at), colours.length - 2);
    return css(mix(colours[from], colours[from + 1], at - from));
  });
  return (x) => table[clamp(Math.round((x / LIMIT + 1) * 64), 0, 128)];
}

/** The letter of a column on its colour. */
export function badge(column, shared) {
  const node = h("i", { className: "pdw-badge", textContent: column.name });
  const restyle = () => {
    Object.assign(node.style, { background: shared.look.ink(column.colour), color: shared.look.onInk(column.colour) });
  };
  return { node, restyle };
}

/**
 * Some views of one thing, one shown at a time: [{ name, help, element }]. The choice is kept in
 * shared.tab[key], so that it survives new data. Arrow keys go from one to the next.
 */
export function tabs(views, key, label, shared) {
  const list = h("div", { className: "pdw-tabs", role: "tablist" });
  list.setAttribute("aria-label", label);
  const buttons = views.map(({ name, help }, i) => {
    const button = h("button", { type: "button", role: "tab", textContent: name, title: help });
    button.dataset.pdw = `${key}-${i}`;
    button.addEventListener("click", () => choose(i));
    return button;
  });
  function choose(index, focus = false) {
    shared.tab[key] = index;
    views.forEach(({ element }, i) => {
      element.hidden = i !== index;
      buttons[i].setAttribute("aria-selected", i === index);
      buttons[i].tabIndex = i === index ? 0 : -1;
    });
    if (focus) buttons[index].focus();
    shared.redraw();
  }
  list.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    choose((shared.tab[key] + by + views.length) % views.length, true);
    event.preventDefault();
    event.stopPropagation();
  });
  list.append(...buttons);
  choose(clamp(shared.tab[key] ?? 0, 0, views.length - 1));
  return h("div", {}, list, ...views.map(({ element }) => element));
}
