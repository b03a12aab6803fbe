// Draws the lessons' Plotly figures, each when it comes near the window, in the page's theme.
"use strict";

const line = (ink) => ink.replace(/^rgb\((.*)\)$/, "rgba($1, 0.18)"); // the same colour, 18 % of it

function themed(layout, ink) {
  const axis = { gridcolor: line(ink), zerolinecolor: line(ink), linecolor: line(ink) };
  const copy = structuredClone(layout);
  for (const name of Object.keys(copy)) {
    if (/^[xy]axis\d*$/.test(name)) copy[name] = { ...axis, ...copy[name] };
  }
  const clear = "rgba(0,0,0,0)";
  return {
    ...copy,
    paper_bgcolor: clear,
    plot_bgcolor: clear,
    font: { ...copy.font, color: ink },
    width: undefined,
    autosize: true,
  };
}

function draw(place) {
  place.figure ??= JSON.parse(place.querySelector("script").textContent);
  const ink = getComputedStyle(place).color;
  if (place.ink === ink) return;
  place.ink = ink;
  const { data, layout } = place.figure;
  const options = { displaylogo: false, responsive: true };
  Plotly.react(place, data, themed(layout, ink), options);
}

const places = [...document.querySelectorAll("div.figure")];
const near = new IntersectionObserver(
  (seen) => seen.filter((s) => s.isIntersecting).forEach((s) => draw(s.target)),
  { rootMargin: "600px" },
);
places.forEach((place) => near.observe(place));
const again = () => setTimeout(() => places.filter((p) => p.ink).forEach(draw), 50);
new MutationObserver(again).observe(document.body, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
addEventListener("beforeprint", () => places.forEach(draw));
