// What a photo goes through before the network sees it: the same arithmetic as segcore.data.images's
// letterbox, to the last bit. There Pillow resizes; here this file does as Pillow does.

const BITS = 22; // Pillow's weights are whole numbers, 1 being 2^22

/** Python's round: halves go to the even neighbour. */
function roundHalfEven(value) {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

/** [h, w] of a picture of `height` × `width` whose longer side is scaled to `size`. */
export function fitInside(width, height, size) {
  const scale = size / Math.max(width, height);
  return [height, width].map((side) => Math.max(roundHalfEven(side * scale), 1));
}

/** For each of `after` positions: the first old one that counts, how many, and their weights. When
 *  a picture shrinks, the triangle is as wide as the step between new pixels: that is what keeps
 *  fine patterns from turning into coarse ones, and what a canvas may or may not do. */
function triangle(before, after) {
  const scale = before / after;
  const reach = Math.max(scale, 1);
  const most = Math.ceil(reach) * 2 + 1;
  const [first, count] = [new Int32Array(after), new Int32Array(after)];
  const weights = new Int32Array(after * most);
  for (let i = 0; i < after; i++) {
    const centre = (i + 0.5) * scale;
    first[i] = Math.max(Math.trunc(centre - reach + 0.5), 0);
    count[i] = Math.min(Math.trunc(centre + reach + 0.5), before) - first[i];
    const raw = Array.from({ length: count[i] },
      (_, k) => Math.max(1 - Math.abs((k + first[i] - centre + 0.5) / reach), 0));
    const sum = raw.reduce((a, b) => a + b, 0);
    raw.forEach((w, k) => { weights[i * most + k] = Math.trunc(0.5 + (w / sum) * 2 ** BITS); });
  }
  return { first, count, weights, most };
}

const plans = new Map(); // a camera's frames all have one size: its weights are made once

function plan(before, after) {
  const key = `${before}>${after}`;
  if (!plans.has(key)) plans.set(key, triangle(before, after));
  return plans.get(key);
}

/** Rows of `step` bytes a pixel (3 or 4), `width` wide → RGB rows `w` wide. */
function resizeAcross(pixels, step, width, height, w) {
  const { first, count, weights, most } = plan(width, w);
  const out = new Uint8Array(height * w * 3);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < w; x++, to += 3) {
      let [r, g, b] = [1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1)];
      let from = step * (y * width + first[x]);
      for (let k = x * most, end = k + count[x]; k < end; k++, from += step) {
        r += pixels[from] * weights[k];
        g += pixels[from + 1] * weights[k];
        b += pixels[from + 2] * weights[k];
      }
      out[to] = r >> BITS;
      out[to + 1] = g >> BITS;
      out[to + 2] = b >> BITS;
    }
  }
  return out;
}

/** `height` rows of `row` bytes → `h` rows. */
function resizeDown(bytes, row, height, h) {
  const { first, count, weights, most } = plan(height, h);
  const out = new Uint8Array(h * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < h; y++) {
    sums.fill(1 << (BITS - 1));
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * most + k];
      const from = (first[y] + k) * row;
      for (let i = 0; i < row; i++) sums[i] += bytes[from + i] * weight;
    }
    for (let i = 0; i < row; i++) out[y * row + i] = sums[i] >> BITS;
  }
  return out;
}

/** RGBA bytes of a `width` × `height` picture → { box: bytes (size, size, 3), content: [h, w] }. The
 *  picture fills the top-left h × w, grey 127 the rest. */
export function letterbox(rgba, width, height, size) {
  const [h, w] = fitInside(width, height, size);
  // Pillow 13 starts with the columns of a picture more than twice as tall as wide; the bytes
  // between the two steps are rounded, so the order shows.
  const small = height > 2 * width
    ? resizeAcross(resizeDown(rgba, 4 * width, height, h), 4, width, h, w)
    : resizeDown(resizeAcross(rgba, 4, width, height, w), 3 * w, height, h);
  const box = new Uint8Array(size * size * 3).fill(127);
  for (let y = 0; y < h; y++) box.set(small.subarray(3 * w * y, 3 * w * (y + 1)), 3 * size * y);
  return { box, content: [h, w] };
}

const SIGNED = Float32Array.from({ length: 256 }, (_, byte) => Math.fround(byte / 127.5) - 1);

/** Bytes 0..255 → float32 -1..1, as MobileNetV2 was trained. */
export function signed(bytes) {
  const values = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) values[i] = SIGNED[bytes[i]];
  return values;
}
