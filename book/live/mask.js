// From a network's answer to class ids, and what can be counted on them.

/** Scores (size, size, classes) → ids (h, w): the winner of each pixel, in the network's own grid.
 *  Good enough for a moving picture, where it is drawn enlarged. */
export function winners(scores, size, classes, [h, w]) {
  const ids = new Uint8Array(h * w);
  for (let y = 0, i = 0; y < h; y++) {
    for (let x = 0, at = y * size * classes; x < w; x++, i++, at += classes) {
      let [best, most] = [0, scores[at]];
      for (let c = 1; c < classes; c++) {
        if (scores[at + c] > most) { best = c; most = scores[at + c]; }
      }
      ids[i] = best;
    }
  }
  return ids;
}

/** For each of `after` positions: the two old ones around it and how far along it lies, 0..1. */
function neighbours(before, after) {
  return Array.from({ length: after }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * before) / after - 0.5, 0), before - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, before - 1), at - low];
  });
}

/** Scores (size, size, classes) → ids (height, width), as segcore.data.images.unletterbox makes them: the
 *  scores are enlarged before the winner is taken, which keeps edges smooth. */
export function enlargedWinners(scores, size, classes, [h, w], width, height) {
  const ids = new Uint8Array(height * width);
  const across = neighbours(w, width);
  const line = new Float32Array(w * classes);
  neighbours(h, height).forEach(([top, bottom, down], y) => {
    const [above, below] = [top * size * classes, bottom * size * classes];
    for (let i = 0; i < line.length; i++) {
      line[i] = scores[above + i] * (1 - down) + scores[below + i] * down;
    }
    across.forEach(([left, right, along], x) => {
      const [a, b] = [left * classes, right * classes];
      let [best, most] = [0, -Infinity];
      for (let c = 0; c < classes; c++) {
        const score = line[a + c] * (1 - along) + line[b + c] * along;
        if (score > most) { best = c; most = score; }
      }
      ids[y * width + x] = best;
    });
  });
  return ids;
}

/** Ids (size, size) that the network chose itself → ids (height, width), repeated. */
export function repeated(answer, size, [h, w], width, height) {
  const ids = new Uint8Array(height * width);
  const near = (i, before, after) => Math.floor(((i + 0.5) * before) / after);
  for (let y = 0, i = 0; y < height; y++) {
    const row = near(y, h, height) * size;
    for (let x = 0; x < width; x++, i++) ids[i] = answer[row + near(x, w, width)];
  }
  return ids;
}

/** [{ id, share }] of the classes in `ids`, largest first; shares add up to 1. */
export function shares(ids) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < ids.length; i++) counts[ids[i]]++;
  return Array.from(counts, (count, id) => ({ id, share: count / ids.length }))
    .filter(({ share }) => share > 0)
    .sort((a, b) => b.share - a.share);
}

/** Where two masks of one size disagree: { where: 0 or 1 a pixel, share }. */
export function differences(one, other) {
  const where = new Uint8Array(one.length);
  let count = 0;
  for (let i = 0; i < one.length; i++) {
    where[i] = one[i] === other[i] ? 0 : 1;
    count += where[i];
  }
  return { where, share: count / one.length };
}
