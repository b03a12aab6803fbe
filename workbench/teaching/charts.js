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
  const [red, green, blue] = rgba(ink);
  const line = `rgba(${red}, ${green}, ${blue}, 0.18)`; // the same colour, 18 % of it
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

function rgba(colour) {
  // Whatever the theme writes, names and transparent colours included, as four numbers.
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data;
}

async function render({ model, el }) {
  el.classList.add("workbench-charts");
  const Plotly = await library(model);
  let ink = "";
  const draw = () => {
    ink = getComputedStyle(el).color;
    if (!ink) return; // not on the page yet: the observer of its size draws it
    const figures = model.get("figures");
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
  const follow = () => getComputedStyle(el).color !== ink && draw();
  const size = new ResizeObserver(() => {
    follow();
    [...el.children].forEach((child) => Plotly.Plots.resize(child));
  });
  // Another theme shows in an attribute of the body first, in the colours a bit later.
  const theme = new MutationObserver(() => setTimeout(follow, 300));
  model.on("change:figures", draw);
  draw();
  size.observe(el);
  theme.observe(document.body, { attributes: true });
  return () => {
    size.disconnect();
    theme.disconnect();
    model.off("change:figures", draw);
    [...el.children].forEach((child) => Plotly.purge(child));
  };
}

export default { render };
