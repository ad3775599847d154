// A dilated kernel over a feature map. widget.js stands before this file in the module.

const SHAPE = ["size", "dilation", "kernel", "stride"];

/** Where "same" padding puts the kernel along one side: weight j of output i lies on feature
 *  stride · i - before + dilation · j. TensorFlow pads less in front where the sum is odd. */
function layOut({ size, dilation, kernel, stride }) {
  const outputs = Math.ceil(size / stride);
  const extent = (kernel - 1) * dilation + 1;
  const before = Math.floor(Math.max((outputs - 1) * stride + extent - size, 0) / 2);
  const weights = (i) =>
    Array.from({ length: kernel }, (_, j) => stride * i - before + dilation * j);
  const inside = (i) => weights(i).filter((at) => at >= 0 && at < size).length;
  const centre = (i) => stride * i - before + (extent - 1) / 2;
  return { outputs, extent, weights, inside, centre };
}

/** The feature map: lines, zeros around it, and the positions the darker the more weights count. */
function drawMap({ size, dilation, kernel }, { outputs, inside, centre }) {
  const margin = ((kernel - 1) / 2) * dilation;
  const lines = Array.from({ length: size - 1 }, (_, i) =>
    `M${i + 1} 0V${size}M0 ${i + 1}H${size}`).join("");
  const positions = [];
  for (let row = 0; row < outputs; row++) {
    for (let column = 0; column < outputs; column++) {
      positions.push(draw("rect", { x: centre(column), y: centre(row), width: 1, height: 1,
        class: "position", "fill-opacity": (0.65 * inside(row) * inside(column)) / kernel ** 2 }));
    }
  }
  const zeros = { x: -margin, y: -margin, width: size + 2 * margin, height: size + 2 * margin };
  return [draw("rect", { ...zeros, class: "zeros" }),
          draw("rect", { x: 0, y: 0, width: size, height: size, class: "map" }),
          ...positions, draw("path", { d: lines, class: "lines" })];
}

/** The kernel at one position: its extent, and each weight, inside the map or on zeros. */
function drawKernel({ size }, { extent, weights }, row, column) {
  const [rows, columns] = [weights(row), weights(column)];
  const counts = (at) => at >= 0 && at < size;
  const box = draw("rect", { x: columns[0], y: rows[0], width: extent, height: extent,
    class: "extent" });
  return [box, ...rows.flatMap((y) => columns.map((x) => draw("rect", { x, y, width: 1, height: 1,
    class: counts(x) && counts(y) ? "weight" : "weight outside" })))];
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const [map, kernel] = [draw("g"), draw("g")];
  const hint = "Drag the kernel, or use the arrow keys.";
  const plot = draw("svg", { class: "plot drag", tabindex: 0, role: "application",
    "aria-label": `${scene.alt} ${hint}` }, map, kernel);
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const legend = make("p", { class: "heading" }, make("span", { class: "sign weight" }),
    "weight inside", make("span", { class: "sign weight outside" }), "weight on zero padding",
    make("span", { class: "sign position" }), "position: the darker, the more weights inside");
  const numbers = numberList("Weights inside the feature map, here", "Mean over all positions",
    "Receptive field of this kernel", "Receptive field in pixels", "Output");
  const shape = () => Object.fromEntries(SHAPE.map((trait) => [trait, model.get(trait)]));
  const place = (outputs) => [clamp(model.get("row"), outputs), clamp(model.get("column"), outputs)];

  const showMap = () => {
    const { size, dilation, kernel: k } = shape();
    const margin = ((k - 1) / 2) * dilation + 0.5;
    plot.setAttribute("viewBox", `${-margin} ${-margin} ${size + 2 * margin} ${size + 2 * margin}`);
    map.replaceChildren(...drawMap(shape(), layOut(shape())));
  };
  const showKernel = () => {
    const laid = layOut(shape());
    const { outputs, extent, inside } = laid;
    const { dilation, kernel: k, stride } = shape();
    const [row, column] = place(outputs);
    kernel.replaceChildren(...drawKernel(shape(), laid, row, column));
    const here = inside(row) * inside(column);
    const along = Array.from({ length: outputs }, (_, i) => inside(i));
    const mean = (along.reduce((sum, count) => sum + count, 0) / outputs) ** 2;
    const { receptive_field: field, cumulative_stride: jump } = scene;
    numbers.show(`${here} of ${k ** 2}`, `${fixed(mean, 2)} of ${k ** 2}`,
      `1 + ${k - 1} · ${dilation} = ${extent} features`,
      `${field} + ${k - 1} · ${dilation} · ${jump} = ${field + (k - 1) * dilation * jump}`,
      `${outputs} × ${outputs}, cumulative stride ${jump * stride}`);
    readout.textContent = `Row ${row}, column ${column} of the output: ${here} of ${k ** 2} ` +
      "weights lie inside the feature map" +
      (here === 1 && k > 1 ? `; the ${k} × ${k} convolution is a 1 × 1 here.` : ".");
  };
  const move = (row, column) => {
    const { outputs } = layOut(shape());
    change(model, { row: clamp(row, outputs), column: clamp(column, outputs) });
  };
  const point = (event) => {
    const { size, dilation, kernel: k, stride } = shape();
    const margin = ((k - 1) / 2) * dilation + 0.5;
    const first = layOut(shape()).centre(0) + 0.5;
    const [x, y] = pointerIn(plot, event).map((part) => part * (size + 2 * margin) - margin);
    move(Math.round((y - first) / stride), Math.round((x - first) / stride));
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    point(event);
  });
  plot.addEventListener("pointermove", (event) => plot.hasPointerCapture(event.pointerId) && point(event));
  plot.addEventListener("keydown", (event) => {
    const [way, { outputs }] = [arrow(event), layOut(shape())];
    if (!way) return;
    const [row, column] = place(outputs);
    move(row + way[1], column + way[0]);
  });

  const sliders = [
    ["dilation", "Dilation rate", scene.limits.dilation, 1], ["stride", "Stride", scene.limits.stride, 1],
    ["size", "Side of the feature map", scene.limits.size, 1],
    ["kernel", "Side of the kernel", scene.limits.kernel, 2],
  ].map(([trait, label, [min, max], step]) => slider(model, trait, label, { min, max, step }, String));
  const panel = make("div", { class: "panel" }, ...sliders.map(({ node }) => node), numbers.node);
  const stops = [follow(model, SHAPE, showMap), follow(model, [...SHAPE, "row", "column"], showKernel)];
  const stage = make("div", { class: "stage" }, plot);
  return fillCard(el, scene, [stage, legend, readout], panel, [...stops, ...sliders.map(({ stop }) => stop)]);
}

export default { render };
