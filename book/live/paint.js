// Class ids to colours on the screen, and to a picture to keep.

const GAP = 76; // of 255: how much ink a pattern leaves in its gaps

/** Does (x, y) lie in a gap of pattern 1 (slanted lines) or 2 (lines across)? 0 has none. */
function inGap(pattern, x, y, period) {
  const along = pattern === 1 ? x + y : y;
  return pattern > 0 && along % period >= period / 2;
}

/** Ids (height, width) → ImageData in the classes' inks, background transparent. With `where`, only
 *  the pixels marked there, chequered black and white. */
export function paintMask(ids, width, height, classes, where = null) {
  const layer = new ImageData(width, height);
  const pixels = new Uint32Array(layer.data.buffer); // one ABGR number a pixel
  const inks = classes.map(({ color }) => {
    const [, r, g, b] = color.match(/#(..)(..)(..)/);
    return parseInt(b + g + r, 16);
  });
  const period = Math.max(4, Math.round(Math.max(width, height) / 40));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = ids[i];
      if (where?.[i]) pixels[i] = ((x >> 1) + (y >> 1)) & 1 ? 0xffffffff : 0xff000000;
      else if (id > 0) {
        const alpha = inGap(classes[id].pattern, x, y, period) ? GAP : 255;
        pixels[i] = ((alpha << 24) | inks[id]) >>> 0;
      }
    }
  }
  return layer;
}

/** Where to write each class's name: the middle of its longest run in the row of its centre of
 *  gravity, which lies inside it. [{ id, x, y }], x and y from 0 to 1; classes below 1.5 % go
 *  without. */
export function anchors(ids, width, height, found) {
  return found.filter(({ id, share }) => id > 0 && share >= 0.015).map(({ id }) => {
    let [rows, count] = [0, 0];
    for (let i = 0; i < ids.length; i++) {
      if (ids[i] === id) { rows += Math.floor(i / width); count++; }
    }
    const { row, from, length } = longestRun(ids, width, height, id, Math.round(rows / count));
    return { id, x: (from + length / 2) / width, y: (row + 0.5) / height };
  });
}

/** The longest run of `id` in row `row`, or in the nearest row that has any. */
function longestRun(ids, width, height, id, row) {
  let best = { row, from: 0, length: 0 };
  for (let off = 0; best.length === 0 && off < height; off++) {
    for (const y of [row - off, row + off]) {
      if (y < 0 || y >= height) continue;
      for (let x = 0, run = 0; x < width; x++) {
        run = ids[y * width + x] === id ? run + 1 : 0;
        if (run > best.length) best = { row: y, from: x - run + 1, length: run };
      }
    }
  }
  return best;
}

/** A canvas of photo, mask and names, as large as the photo: what the screen shows. */
export function compose(photo, mask, opacity, mirrored, marks) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [photo.width, photo.height];
  const context = canvas.getContext("2d");
  context.save();
  if (mirrored) context.setTransform(-1, 0, 0, 1, canvas.width, 0);
  context.drawImage(photo, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  context.restore();
  const size = Math.max(13, Math.round(Math.max(canvas.width, canvas.height) / 36));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { name, x, y } of marks) {
    const at = [(mirrored ? 1 - x : x) * canvas.width, y * canvas.height];
    context.lineWidth = size / 3.5;
    context.lineJoin = "round";
    context.strokeText(name, ...at);
    context.fillStyle = "#ffffff";
    context.fillText(name, ...at);
  }
  return canvas;
}
