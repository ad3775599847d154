// Pixels and features on a ruler. widget.js stands before this file in the module.

const [IMAGE, FEATURES, ANSWER, TALL] = [34, 104, 174, 212]; // heights in the drawing
const EDGE = 12; // left and right of it
const SETTING = ["size", "stride", "method", "crop"];

/** Where features stand among pixels after 3 × 3 convolutions of stride 2 with "same" padding. */
function standing({ size, stride }) {
  let [start, jump, features] = [0, 1, size];
  while (jump < stride) {
    if (features % 2 === 0) start += jump; // an even side gets its one zero behind
    [features, jump] = [Math.ceil(features / 2), 2 * jump];
  }
  return Array.from({ length: features }, (_, i) => start + jump * i);
}

/** Where upsampling puts the value of each of `count` features among the pixels of the answer. */
function landing(count, { size, stride, method, crop }) {
  return Array.from({ length: count }, (_, i) => {
    if (method === "align_corners") return i * ((size - 1) / (count - 1));
    if (method === "half_pixel") return (i + 0.5) * (size / count) - 0.5;
    return (i + 0.5) * stride - 0.5 - crop;
  });
}

/** Pixels to coordinates of a drawing `wide` across, and back; nothing that lands is left out. */
function scaleFor(size, lands, wide) {
  const first = Math.min(0, lands[0]) - 0.5;
  const last = Math.max(size - 1, lands.at(-1)) + 0.5;
  const unit = (wide - 2 * EDGE) / (last - first);
  return { unit, x: (pixel) => EDGE + (pixel - first) * unit, back: (x) => (x - EDGE) / unit + first };
}

/** A row of pixels. */
function ruler({ x, unit }, y, size) {
  const lines = Array.from({ length: size - 1 }, (_, i) => `M${x(i + 0.5)} ${y - 7}v14`).join("");
  return [draw("rect", { x: x(-0.5), y: y - 7, width: size * unit, height: 14, class: "map" }),
    draw("path", { d: unit >= 4 ? lines : "", class: "lines" })];
}

/** The numbers of some pixels, below their row. */
function numbering({ x }, y, pixels) {
  return pixels.map((pixel) => draw("text", { x: x(pixel), y: y + 23, class: "number" }, String(pixel)));
}

/** The way of one feature: from its pixel, through the feature, to where it lands. */
function drawWay({ x, unit }, stand, land, stride, chosen) {
  const kind = (Math.abs(land - stand) > 0.05 ? " off" : "") + (chosen ? " chosen" : "");
  const radius = Math.min(6, Math.max(2, (stride * unit) / 3)) + (chosen ? 2 : 0);
  return [
    draw("path", { d: `M${x(stand)} ${IMAGE + 7}V${FEATURES}L${x(land)} ${ANSWER - 7}`, class: `way${kind}` }),
    draw("circle", { cx: x(stand), cy: FEATURES, r: radius, class: `feature${kind}` }),
    draw("rect", { x: x(land) - 2, y: ANSWER - 7, width: 4, height: 14, class: `land${kind}` })];
}

/** First, middle and last feature in a table. Returns { node, show }. */
function sampleTable() {
  const names = ["Feature", "stands on", "lands on", "off by"];
  const rows = [0, 1, 2].map(() => [make("th", { scope: "row" }), ...names.slice(1).map(() => make("td"))]);
  const node = make("table", { class: "matrix" }, make("caption", {}, "In pixels: the first, a middle and the last"),
    make("tr", {}, ...names.map((name) => make("th", { scope: "col" }, name))),
    ...rows.map((cells) => make("tr", {}, ...cells)));
  const show = (stands, lands) => [0, stands.length >> 1, stands.length - 1].forEach((i, row) =>
    [String(i), fixed(stands[i]), fixed(lands[i], 1), signed(lands[i] - stands[i])].forEach(
      (text, column) => { rows[row][column].textContent = text; }));
  return { node, show };
}

function signed(value) {
  return (value >= 0.05 ? "+" : "") + fixed(value, 1);
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const plot = draw("svg", { class: "plot slide", tabindex: 0, role: "application",
    "aria-label": `${scene.alt} Point at a feature, or use the arrow keys.` });
  const stage = make("div", { class: "stage" }, plot);
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const numbers = numberList("Features", "Largest misalignment", "Mean misalignment");
  const table = sampleTable();
  const look = () => {
    const setting = Object.fromEntries(SETTING.map((name) => [name, model.get(name)]));
    const stands = standing(setting);
    const lands = landing(stands.length, setting);
    const wide = Math.max(stage.clientWidth, 200);
    return { ...setting, stands, lands, wide, scale: scaleFor(setting.size, lands, wide),
      chosen: clamp(model.get("feature"), stands.length) };
  };
  const paint = () => {
    const { size, stride, stands, lands, wide, scale, chosen } = look();
    const every = Math.ceil(28 / (stride * scale.unit)); // so that no two numbers touch
    const numbered = stands.filter((_, i) => i % every === 0);
    const title = (y, words) => draw("text", { x: EDGE, y, class: "title" }, words);
    plot.setAttribute("viewBox", `0 0 ${wide} ${TALL}`);
    plot.replaceChildren(...ruler(scale, IMAGE, size), ...ruler(scale, ANSWER, size),
      ...stands.flatMap((stand, i) => drawWay(scale, stand, lands[i], stride, i === chosen)),
      ...numbering(scale, IMAGE, numbered), ...numbering(scale, ANSWER, numbered),
      title(IMAGE - 14, "Pixels of the image"), title(FEATURES - 14, "Features"),
      title(ANSWER - 14, "Pixels of the answer"));
  };
  const tell = () => {
    const { size, stride, method, crop, stands, lands, chosen } = look();
    const off = stands.map((stand, i) => lands[i] - stand);
    const mean = off.reduce((total, value) => total + value, 0) / off.length;
    numbers.show(`${stands.length}, from pixel ${stands[0]} in steps of ${stride}`,
      `${fixed(Math.max(...off.map(Math.abs)), 1)} pixels`, `${signed(mean)} pixels`);
    table.show(stands, lands);
    const short = method === "crop" ? size - (stands.length * stride - crop) : 0;
    readout.textContent = `Feature ${chosen} stands on pixel ${stands[chosen]} and lands on ` +
      `${fixed(lands[chosen], 1)}: ${signed(off[chosen])} pixels.` +
      (short > 0 ? ` The answer ends ${short} pixels too early.` : "");
    cropping.input.disabled = method !== "crop";
  };
  const choose = (feature) => change(model, { feature: clamp(feature, look().stands.length) });
  const point = (event) => {
    const { stands, stride, wide, scale } = look();
    choose(Math.round((scale.back(pointerIn(plot, event)[0] * wide) - stands[0]) / stride));
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    point(event);
  });
  plot.addEventListener("pointermove", (event) => plot.hasPointerCapture(event.pointerId) && point(event));
  plot.addEventListener("keydown", (event) => {
    const way = arrow(event);
    if (way) choose(look().chosen + way[0] + way[1]);
  });

  const pixels = (number) => `${number} ${number === 1 ? "pixel" : "pixels"}`;
  const side = slider(model, "size", "Side of the image", { min: 17, max: 129, step: 1 },
    (size) => `${size}, ${size % 2 ? "odd" : "even"}`);
  const strides = choices(model, "stride", "Cumulative stride", [2, 4, 8, 16].map((n) => [n, String(n)]));
  const methods = choices(model, "method", "Back to pixels", scene.methods);
  const cropping = slider(model, "crop", "Crop in front", { min: 0, max: 15, step: 1 }, pixels);
  const nudge = (name, by) => button(name, name, () =>
    change(model, { size: Math.min(129, Math.max(17, model.get("size") + by)) }));
  const nudges = make("div", { class: "chips row" }, nudge("1 pixel less", -1), nudge("1 pixel more", 1));
  const panel = make("div", { class: "panel" }, side.node, nudges, strides.node, methods.node, cropping.node);
  const below = make("div", { class: "panel" }, numbers.node, table.node);
  const parts = [side, strides, methods, cropping];
  const stops = [follow(model, [...SETTING, "feature"], () => { paint(); tell(); })];
  const watch = new ResizeObserver(paint); // letters keep their size on every screen
  watch.observe(stage);
  return fillCard(el, scene, [stage, readout, below], panel,
    [...stops, () => watch.disconnect(), ...parts.map((part) => part.stop)]);
}

export default { render };
