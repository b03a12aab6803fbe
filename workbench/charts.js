// Draws the Plotly figures that the kernel sends, in place, in the colours of the notebook's theme.
// Plotly itself comes from the kernel too, once per page: nothing is fetched from anywhere else.
const KEY = "workbenchPlotly";

function library(model) {
  globalThis[KEY] ??= (async () => {
    const name = model.get("library").slice("IPY_MODEL_".length);
    const packed = (await model.widget_manager.get_model(name)).get("packed");
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = await new Response(stream).text();
    // Loaders of other kinds of module must not catch it, wherever the notebook is open.
    const url = URL.createObjectURL(
      new Blob(["var define, module, exports;\n", code], { type: "text/javascript" }),
    );
    await import(url);
    URL.revokeObjectURL(url);
    return globalThis.Plotly;
  })();
  return globalThis[KEY];
}

function themed(layout, ink) {
  const parts = ink.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16));
  const line = `rgba(${parts}, 0.18)`; // the same colour, 18 % of it
  const axis = { gridcolor: line, zerolinecolor: line, linecolor: line };
  const copy = structuredClone(layout);
  for (const name of Object.keys(copy)) {
    if (/^[xy]axis\d*$/.test(name)) copy[name] = { ...axis, ...copy[name] };
  }
  return {
    ...copy,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...copy.font, color: ink },
    autosize: true,
  };
}

function plain(ink) {
  // Whatever the theme writes, as #rrggbb.
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = ink;
  return probe.fillStyle;
}

async function render({ model, el }) {
  el.classList.add("workbench-charts");
  const Plotly = await library(model);
  const draw = () => {
    const figures = model.get("figures");
    const ink = plain(getComputedStyle(el).color);
    while (el.children.length > figures.length) {
      Plotly.purge(el.lastChild);
      el.lastChild.remove();
    }
    figures.forEach((figure, i) => {
      if (!el.children[i]) el.append(document.createElement("div"));
      const layout = themed(figure.layout, ink);
      Plotly.react(el.children[i], figure.data, layout, { displaylogo: false });
    });
  };
  const fit = () => [...el.children].forEach((child) => Plotly.Plots.resize(child));
  const observer = new ResizeObserver(fit);
  model.on("change:figures", draw);
  draw();
  observer.observe(el);
  return () => {
    observer.disconnect();
    model.off("change:figures", draw);
    [...el.children].forEach((child) => Plotly.purge(child));
  };
}

export default { render };
