// The method as one picture over the panels: from demonstrations to a robot, each stage lit while the
// clock is in it. A stage opens to what it is.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { h } from "./dom.js";

/** Which stages are at work: while the noise is removed, while the robot acts, while the tuning plays. */
const AT_WORK = { denoise: ["diffuser", "prompt"], act: ["transformer", "robot"], tune: ["demonstrations", "diffuser", "transformer"] };

/**
 * `stages` in order, each { key, name, note, arrow, words, equation, where }: `note` stands under the
 * name, `arrow` on the way to the next one. `back` is the way from the transformer to the diffuser.
 */
export function methodStrip({ stages, back }, shared) {
  const details = h("div", { className: "pdw-stage-words", hidden: true, role: "status" });
  const buttons = new Map();
  const parts = [];
  for (const [i, stage] of stages.entries()) {
    const button = h("button", { type: "button", className: "pdw-stage", "data-pdw": `stage-${stage.key}`, title: "What is this?" },
      h("b", { textContent: stage.name }), h("span", { textContent: stage.note }));
    button.setAttribute("aria-expanded", false);
    button.addEventListener("click", () => open(stage));
    buttons.set(stage.key, button);
    parts.push(button);
    if (i < stages.length - 1) parts.push(h("i", { className: "pdw-arrow", textContent: stage.arrow }));
  }
  const way = h("button", { type: "button", className: "pdw-back", "data-pdw": `stage-${back.key}`, textContent: back.name, title: "What is this?" });
  way.setAttribute("aria-expanded", false);
  way.addEventListener("click", () => open(back));
  buttons.set(back.key, way);
  const element = h("nav", { className: "pdw-strip" }, h("div", { className: "pdw-stages" }, ...parts, way), details);
  element.setAttribute("aria-label", "The method, stage by stage");

  function open(stage) {
    shared.stage = shared.stage === stage.key ? null : stage.key;
    show();
  }
  function show() {
    const chosen = [...stages, back].find(({ key }) => key === shared.stage);
    for (const [key, button] of buttons) button.setAttribute("aria-expanded", key === shared.stage);
    details.hidden = !chosen;
    if (!chosen) return;
    details.replaceChildren(h("p", {}, h("b", { textContent: `${chosen.name}. ` }), chosen.words),
      h("p", { className: "pdw-equation", textContent: chosen.equation }), h("p", { textContent: chosen.where }));
  }

  function draw(now) {
    const state = now.tuning ? "tune" : now.waiting || !now.acts ? "denoise" : "act";
    for (const [key, button] of buttons) {
      button.classList.toggle("pdw-now", AT_WORK[state].includes(key) || (key === back.key && state === "tune"));
    }
  }
  show();
  return { element, draw };
}
