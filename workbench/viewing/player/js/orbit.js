// Looking from elsewhere: dragging a picture turns the view of all of them, wheel and pinch come nearer.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp } from "./math.js";

const NEAREST = 4, FARTHEST_AWAY = 0.4; // zoom

/** The view as the family is looked at. */
export const straight = () => ({ around: 0, up: 0, zoom: 1 });

/** Turn by degrees and come nearer by a factor. */
export function turnBy(shared, around, up, nearer = 1) {
  const { orbit } = shared;
  shared.orbit = {
    around: orbit.around + around, up: clamp(orbit.up + up, -75, 30),
    zoom: clamp(orbit.zoom * nearer, FARTHEST_AWAY, NEAREST),
  };
  shared.redraw();
}

/** Keys: + and - come nearer and go away, brackets turn, 0 resets; true if it was one of them. */
export function turnByKey(shared, key) {
  const by = { "+": [0, 0, 1.15], "-": [0, 0, 1 / 1.15], "[": [-8, 0], "]": [8, 0] }[key];
  if (by) turnBy(shared, ...by);
  else if (key === "0") Object.assign(shared, { orbit: straight() });
  else return false;
  shared.redraw();
  return true;
}

/** Let a picture be turned by mouse, by touch and by wheel. */
export function orbits(canvas, shared) {
  const fingers = new Map();
  canvas.title = "Drag turns the view, Ctrl and wheel or two fingers zoom, a double click resets. Keys: [ ] + \u2212 0.";
  canvas.classList.add("pdw-orbits");
  const apart = () => {
    const [a, b] = [...fingers.values()];
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", (event) => {
    const from = fingers.get(event.pointerId);
    if (!from || !event.buttons) return void fingers.delete(event.pointerId); // let go where we did not see it
    const before = fingers.size === 2 ? apart() : 0;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) turnBy(shared, 0, 0, apart() / before);
    else turnBy(shared, (from.x - event.clientX) * 0.4, (from.y - event.clientY) * 0.3);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => fingers.delete(event.pointerId));
  }
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !shared.full) return; // else the page could not be scrolled past it
    event.preventDefault();
    turnBy(shared, 0, 0, Math.exp(-event.deltaY * 0.0015));
  }, { passive: false });
  canvas.addEventListener("dblclick", () => {
    shared.orbit = straight();
    shared.redraw();
  });
}
