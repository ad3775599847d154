// Clip range and bit width over a layer's histogram. widget.js stands before this file in the module.

const LEVELS = 65535; // of the codes in which the values travel
const [WIDE, HIGH] = [450, 170]; // of the histogram, in its own units
const TOP = 60; // decibels at the upper end of the curves

/** [value, how many it stands for] of the layer, from 16-bit codes in a data URI and runs of weights. */
function readValues({ codes, weights, ends: [low, high] }) {
  const bytes = Uint8Array.from(atob(codes.split(",")[1]), (letter) => letter.charCodeAt(0));
  const each = weights.flatMap(([weight, times]) => Array(times).fill(weight));
  return Array.from(new Uint16Array(bytes.buffer), (code, i) =>
    [low + code * ((high - low) / LEVELS), each[i]]);
}

/** The nearest integer; halves go to the even one, as Python's round. */
function roundEven(value) {
  const up = Math.round(value);
  return Math.abs(value % 1) === 0.5 && up % 2 !== 0 ? up - 1 : up;
}

/** Step, zero point and ends of `bits`-bit integers that cover low to high: integers.affine_for. */
function affineFor([low, high], bits) {
  const [lowest, highest] = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  [low, high] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = (high - low) / (highest - lowest);
  const zero = Math.min(highest, Math.max(lowest, roundEven(lowest - low / scale)));
  return { scale, zero, lowest, highest, ends: [(lowest - zero) * scale, (highest - zero) * scale] };
}

/** Mean squares of the errors, as quantisation.error.quantisation_error, and how many are clipped. */
function errorsOf(values, range, bits) {
  const { scale, zero, lowest, highest, ends } = affineFor(range, bits);
  let [count, signal, rounding, clipping, clipped] = [0, 0, 0, 0, 0];
  for (const [value, weight] of values) {
    const scaled = value / scale;
    const nearest = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5) + zero; // halves outwards
    const restored = (Math.min(highest, Math.max(lowest, nearest)) - zero) * scale;
    const inside = Math.min(ends[1], Math.max(ends[0], value));
    count += weight;
    signal += weight * value ** 2;
    rounding += weight * (inside - restored) ** 2;
    clipping += weight * (value - inside) ** 2;
    if (inside !== value) clipped += weight;
  }
  const decibels = (noise) => 10 * Math.log10(signal / noise);
  return { rounding: rounding / count, clipping: clipping / count, clipped: clipped / count,
    sqnr: decibels(rounding + clipping), parts: [rounding, clipping].map(decibels) };
}

/** The histogram with its clip range, to drag. Returns { node, show }. */
function histogram(model, { counts, ends: [low, high], clips, alt }) {
  const x = (value) => ((value - low) / (high - low)) * WIDE;
  const tallest = Math.log1p(Math.max(...counts));
  const width = WIDE / counts.length;
  const bars = counts.map((count, i) => {
    const height = ((HIGH - 10) * Math.log1p(count)) / tallest;
    return draw("rect", { x: i * width, y: HIGH - height, width: width - 0.5, height });
  });
  const [levels, limits] = [draw("path", { class: "lines levels" }), draw("path", { class: "limits" })];
  const node = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot slide", role: "img",
    "aria-label": alt }, ...bars, levels, limits);
  const point = (event) => {
    const value = low + pointerIn(node, event)[0] * (high - low);
    const end = value < 0 || clips.every((clip) => clip[1] === clips[0][1]) ? 0 : 1;
    const away = clips.map((clip) => Math.abs(clip[end] - value));
    change(model, { clip: away.indexOf(Math.min(...away)) });
  };
  node.addEventListener("pointerdown", (event) => {
    node.setPointerCapture(event.pointerId);
    point(event);
  });
  node.addEventListener("pointermove", (event) => node.hasPointerCapture(event.pointerId) && point(event));
  const show = ({ scale, zero, lowest, highest, ends }) => {
    bars.forEach((bar, i) => {
      const centre = low + ((i + 0.5) / counts.length) * (high - low);
      bar.setAttribute("class", centre >= ends[0] && centre <= ends[1] ? "kept" : "clipped");
    });
    const numbers = Array.from({ length: highest - lowest + 1 }, (_, i) => (lowest + i - zero) * scale);
    const drawn = numbers.length <= 64 ? numbers : [];
    levels.setAttribute("d", drawn.map((value) => `M${x(value)} ${HIGH}v-${HIGH}`).join(""));
    limits.setAttribute("d", ends.map((value) => `M${x(value)} 0V${HIGH}`).join(""));
  };
  return { node, show };
}

/** SQNR, and what rounding or clipping alone would leave, for every clip range. */
function curves(values, { clips }) {
  const names = ["total", "rounding", "clipping"];
  const lines = names.map((name) => draw("path", { class: `curve ${name}` }));
  const mark = draw("circle", { r: 4, class: "mark" });
  const frame = draw("rect", { width: 220, height: 90, class: "map" });
  const node = draw("svg", { viewBox: "-6 -6 232 102", class: "plot", role: "img" }, frame, ...lines, mark);
  const x = (i) => (i * 220) / Math.max(clips.length - 1, 1);
  const y = (decibels) => 90 - (90 * Math.min(TOP, Math.max(0, decibels))) / TOP;
  const show = (bits, clip) => {
    const all = clips.map((range) => errorsOf(values, range, bits));
    const series = [all.map((one) => one.sqnr), ...[0, 1].map((k) => all.map(({ parts }) => parts[k]))];
    lines.forEach((line, k) => line.setAttribute("d",
      series[k].map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value)}`).join("")));
    mark.setAttribute("cx", x(clip));
    mark.setAttribute("cy", y(series[0][clip]));
    const best = series[0].indexOf(Math.max(...series[0]));
    node.setAttribute("aria-label", `SQNR at ${bits} bits, range by range; ` +
      `best is number ${best + 1} of ${clips.length}.`);
  };
  const legend = make("p", { class: "heading" }, `SQNR (0 to ${TOP} dB) for each clip range, `,
    make("span", { class: "said rounding" }, "rounding alone"), ", ",
    make("span", { class: "said clipping" }, "clipping alone"));
  return { node: make("div", {}, legend, node), show };
}

/** The photo under a mask, as two canvases: by the float network and by the one at hand. */
function masked(photo, stack, { width, height, classes, words }) {
  const colors = new Map(classes.map(({ id, name, color }) =>
    [id, name === "background" ? null : color.match(/[0-9a-f]{2}/g).map((part) => parseInt(part, 16))]));
  const area = width * height;
  const ids = stack.map((id, i) => (i < area ? id : id ^ stack[i % area]));
  const paint = (canvas, at) => {
    const context = canvas.getContext("2d");
    const layer = new ImageData(width, height);
    for (let i = 0; i < area; i++) {
      const [id, color] = [ids[at * area + i], colors.get(ids[at * area + i])];
      if (id !== ids[i]) layer.data.set([255, 255, 255, 255], 4 * i);
      else if (color) layer.data.set([...color, 153], 4 * i);
    }
    const over = make("canvas", { width, height });
    over.getContext("2d").putImageData(layer, 0, 0);
    context.drawImage(photo, 0, 0, width, height);
    context.drawImage(over, 0, 0);
  };
  const panes = ["Float", "Quantised"].map((title) => {
    const canvas = make("canvas", { width, height, role: "img" });
    const node = make("div", { class: "pane" }, make("p", { class: "heading" }, title),
      make("div", { class: "stage" }, canvas));
    return { canvas, node };
  });
  panes[0].canvas.setAttribute("aria-label", `Mask of the float network: ${words}`);
  paint(panes[0].canvas, 0);
  const show = (nth) => { // of the masks below the first; returns the part of pixels that changed
    paint(panes[1].canvas, nth + 1);
    let changed = 0;
    for (let i = 0; i < area; i++) changed += ids[i] !== ids[(nth + 1) * area + i];
    panes[1].canvas.setAttribute("aria-label",
      `Mask of the quantised network: ${fixed((100 * changed) / area, 1)} % of the pixels changed.`);
    return changed / area;
  };
  return { node: make("div", { class: "panes" }, ...panes.map((pane) => pane.node)), show };
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const { bits: offered, clips, digits, ends, masks } = scene;
  const values = readValues(scene);
  const pictures = masks && masked(await loadImage(model.get("_sources")[0]),
    await readIds(masks.uri), masks);
  const rangeText = (index) => clips[index].map((end) => fixed(end, 2)).join(" to ");
  const bars = histogram(model, scene);
  const lines = curves(values, scene);
  const sliders = [
    slider(model, "clip", "Clip range", { min: 0, max: clips.length - 1, step: 1 }, rangeText),
    slider(model, "bits", "Bit width", { min: offered[0], max: offered.at(-1), step: 1 },
      (bits) => `${bits} bits`)];
  const names = ["Quantisation step, zero point", "Rounding error (RMS)", "Clipping error (RMS)",
    "SQNR", ...(masks ? ["Pixels whose class changes"] : [])];
  const numbers = numberList(...names);
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const show = () => {
    const [clip, bits] = [model.get("clip"), model.get("bits")];
    const [affine, errors] = [affineFor(clips[clip], bits), errorsOf(values, clips[clip], bits)];
    const changed = masks && `${fixed(100 * pictures.show(clip * offered.length + bits - offered[0]), 1)} %`;
    const share = `${fixed(100 * errors.clipped, 1)} %`;
    bars.show(affine);
    lines.show(bits, clip);
    numbers.show(`${fixed(affine.scale, digits)}, ${affine.zero}`,
      fixed(Math.sqrt(errors.rounding), digits), fixed(Math.sqrt(errors.clipping), digits),
      `${fixed(errors.sqnr, 1)} dB`, changed);
    readout.textContent = `${bits} bits over ${rangeText(clip)}: SQNR ${fixed(errors.sqnr, 1)} dB, ` +
      `${share} of the values clipped${masks ? `, ${changed} of the pixels changed (white)` : ""}.`;
  };
  const stop = follow(model, ["clip", "bits"], show);
  const axis = make("p", { class: "axis heading" }, make("span", {}, fixed(ends[0], 2)),
    make("span", {}, "number of values, logarithmic"), make("span", {}, fixed(ends[1], 2)));
  const seen = [make("div", { class: "stage" }, bars.node), axis,
    make("div", { class: "panel" }, ...sliders.map(({ node }) => node)),
    ...(masks ? [pictures.node] : []), readout];
  const panel = make("div", { class: "panel" }, numbers.node, lines.node);
  return fillCard(el, scene, seen, panel, [stop, ...sliders.map((one) => one.stop)]);
}

export default { render };
