// Draws the figures of a sheet, and turns its slides: arrow keys, page keys, space, two buttons.
const sections = [...document.querySelectorAll(".slides section")];
const drawn = new WeakSet();

function drawIn(place) {
  for (const figure of place.querySelectorAll(".figure")) {
    if (drawn.has(figure)) continue;
    drawn.add(figure);
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    Plotly.newPlot(figure, data, { ...layout, width: undefined, autosize: true }, { responsive: true, displaylogo: false });
  }
}

if (!sections.length) drawIn(document);
else {
  const nav = document.body.appendChild(document.createElement("nav"));
  const [back, where, onward] = ["button", "span", "button"].map((tag) => nav.appendChild(document.createElement(tag)));
  [back.textContent, onward.textContent] = ["\u2039", "\u203a"];
  back.setAttribute("aria-label", "Previous slide");
  onward.setAttribute("aria-label", "Next slide");
  let at = Math.min(Math.max(+location.hash.slice(1) || 1, 1), sections.length) - 1;
  const turn = (by) => {
    at = Math.min(Math.max(at + by, 0), sections.length - 1);
    sections.forEach((section, i) => section.classList.toggle("now", i === at));
    where.textContent = `${at + 1} / ${sections.length}`;
    history.replaceState(null, "", `#${at + 1}`);
    drawIn(sections[at]);
    window.scrollTo(0, 0);
  };
  back.onclick = () => turn(-1);
  onward.onclick = () => turn(1);
  document.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1, Home: -1e9, End: 1e9 }[event.key];
    if (!by || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    turn(by);
  });
  window.addEventListener("beforeprint", () => drawIn(document));
  turn(0);
}
