// One picture of a recorded film, where an environment draws itself and there are no poses.
// One of the player's files (player.js lists them); component.py joins all into one module.

import { clamp } from "./math.js";

const sheets = new WeakMap();
/** The sheet of an episode's film as an image, which calls `redraw` once it has come. */
function sheetOf(film, redraw) {
  if (!sheets.has(film)) {
    const image = new Image();
    image.addEventListener("load", redraw);
    image.src = `data:image/jpeg;base64,${film.sheet}`;
    sheets.set(film, image);
  }
  return sheets.get(film);
}

/** Return paint(ctx, width, height, [episode], step, look), as painter does of a scene with poses. */
export function filmPainter(redraw) {
  return (ctx, width, height, [{ film }], step, look) => {
    ctx.fillStyle = look.sky;
    ctx.fillRect(0, 0, width, height);
    const image = film && sheetOf(film, redraw);
    if (!film) {
      ctx.fillStyle = look.text;
      ctx.font = `13px ${look.font}`;
      ctx.textAlign = "center";
      ctx.fillText("This episode was not filmed.", width / 2, height / 2);
    } else if (image.complete && image.naturalWidth) {
      const i = clamp(Math.floor(step / film.every + 1e-6), 0, film.n - 1);
      const by = Math.min(width / film.width, height / film.height);
      const [wide, high] = [film.width * by, film.height * by];
      ctx.drawImage(image, (i % film.columns) * film.width, Math.floor(i / film.columns) * film.height,
        film.width, film.height, (width - wide) / 2, (height - high) / 2, wide, high);
    }
  };
}
