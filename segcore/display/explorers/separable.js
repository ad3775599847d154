// A standard and a separable convolution, value by value. widget.js stands before this file in the module.

const PACE = 350; // milliseconds a value

/** What step `step` computes: { half, channel, row, column }; channels go one after the other. */
function locate({ convolution, size, channels_in: M }, step) {
  const area = size ** 2;
  const depthwise = convolution === "separable" && step <= area * M;
  const value = step - 1 - (convolution === "separable" && !depthwise ? area * M : 0);
  return { half: convolution === "standard" ? "standard" : depthwise ? "depthwise" : "pointwise",
    channel: Math.floor(value / area), row: Math.floor((value % area) / size), column: value % size };
}

/** Multiply-adds of each kind of value, of the whole convolutions, and how many values there are. */
function bill({ size, channels_in: M, channels_out: N, kernel: k }) {
  const area = size ** 2;
  const each = { standard: k ** 2 * M, depthwise: k ** 2, pointwise: M };
  return { each, standard: area * N * each.standard, depthwise: area * M * each.depthwise,
    pointwise: area * N * each.pointwise,
    values: { standard: area * N, separable: area * (M + N) } };
}

/** One channel as a square of features; `kindOf(row, column)` adds to a feature's class. With
 *  `zeros` that many rows and columns of padding are around it. */
function drawChannel(size, zeros, kindOf) {
  const cells = [];
  for (let row = -zeros; row < size + zeros; row++) {
    for (let column = -zeros; column < size + zeros; column++) {
      const inside = Math.min(row, column) >= 0 && Math.max(row, column) < size;
      cells.push(draw("rect", { x: column + 0.06, y: row + 0.06, width: 0.88, height: 0.88,
        class: `cell${inside ? "" : " zero"} ${kindOf(row, column)}` }));
    }
  }
  const side = size + 2 * zeros;
  cells.sort((a, b) => /now|read/.test(a.getAttribute("class")) - /now|read/.test(b.getAttribute("class")));
  return draw("svg", { viewBox: `${-zeros} ${-zeros} ${side} ${side}`, "aria-hidden": "true" }, ...cells);
}

/** The channels of one feature map under a title. */
function pane(title, number, drawn) {
  return make("div", { class: "pane" },
    make("p", { class: "heading" }, `${title} (${number})`),
    make("div", { class: "channels" }, ...Array.from({ length: number }, (_, channel) => drawn(channel))));
}

/** The feature maps while value `now` is computed: what is read, what is done. */
function drawMaps(shape, step, now) {
  const { convolution, size, channels_in: M, channels_out: N, kernel } = shape;
  const [area, reach] = [size ** 2, (kernel - 1) / 2];
  const near = (row, column) => step > 0 && Math.abs(row - now.row) <= reach && Math.abs(column - now.column) <= reach;
  const here = (row, column) => step > 0 && row === now.row && column === now.column;
  const result = (half, before) => (channel) => drawChannel(size, 0, (row, column) => {
    if (now.half === half && channel === now.channel && here(row, column)) return "now";
    const value = before + channel * area + row * size + column + 1;
    return half === "depthwise" && now.half === "pointwise" && here(row, column) ? "read"
      : value <= step ? "done" : "";
  });
  const input = (channel) => drawChannel(size, reach, (row, column) =>
    now.half !== "pointwise" && (now.half === "standard" || channel === now.channel) && near(row, column) ? "read" : "");
  const between = convolution === "separable" ? [pane("Depthwise", M, result("depthwise", 0))] : [];
  const last = convolution === "separable" ? result("pointwise", area * M) : result("standard", 0);
  return [pane("Input", M, input), ...between, pane("Output", N, last)];
}

/** A bar of so many multiply-adds, `done` of them filled, as long as its part of `longest`. */
function bar(total, done, longest) {
  const filled = make("span");
  filled.style.width = `${(100 * done) / total}%`;
  const node = make("div", { class: "bar", "aria-hidden": "true" }, filled);
  node.style.width = `${(100 * total) / longest}%`;
  return node;
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const names = ["convolution", "channels_out"];
  const shape = () => ({ ...scene, convolution: model.get("convolution"), channels_out: model.get("channels_out") });
  const last = () => bill(shape()).values[model.get("convolution")];
  const at = () => Math.min(model.get("step"), last());
  const maps = make("div", { class: "panes", role: "img" });
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const numbers = numberList("Multiply-adds so far", "Standard", "Separable: depthwise + pointwise",
    "Separable / standard = 1/N + 1/k²");
  const bars = make("div", { class: "panel" });
  const told = (step) => `value ${step} of ${last()}`;
  const steps = player(model, "step", { noun: "value", pace: PACE, first: 0, last, told,
    counted: (step) => `${Math.min(step, last())} / ${last()}` });

  const tell = (step, now, { each }) => {
    const { kernel: k, channels_in: M } = scene;
    const products = { standard: `${k} · ${k} · ${M}`, depthwise: `${k} · ${k}`, pointwise: `${M}` };
    const kind = { standard: "Standard", depthwise: "Depthwise half", pointwise: "Pointwise half" };
    return step === 0 ? "Nothing is computed yet." : `${kind[now.half]}, channel ${now.channel}, row ` +
      `${now.row}, column ${now.column}: ${products[now.half]} = ${each[now.half]} multiply-adds.`;
  };
  const show = () => {
    const [step, costs] = [at(), bill(shape())];
    const now = locate(shape(), step);
    const { each, standard, depthwise, pointwise } = costs;
    const { convolution, channels_out: N, kernel: k } = shape();
    const first = Math.min(step, costs.values.separable - scene.size ** 2 * N);
    const done = convolution === "standard" ? step * each.standard
      : first * each.depthwise + (step - first) * each.pointwise;
    const separable = depthwise + pointwise;
    maps.replaceChildren(...drawMaps(shape(), step, now));
    readout.textContent = tell(step, now, costs);
    maps.setAttribute("aria-label", `${scene.alt} ${readout.textContent}`);
    numbers.show(fixed(done), fixed(standard), `${fixed(depthwise)} + ${fixed(pointwise)} = ${fixed(separable)}`,
      `1/${N} + 1/${k ** 2} = ${fixed(separable / standard, 3)}`);
    const longest = Math.max(standard, separable);
    bars.replaceChildren(...[["Standard", standard, convolution === "standard"],
      ["Separable", separable, convolution === "separable"]].map(([name, total, chosen]) =>
      make("div", {}, make("p", { class: "heading" }, name), bar(total, chosen ? done : 0, longest))));
    steps.show();
  };
  const kind = choices(model, "convolution", "Convolution", [["standard", "standard"], ["separable", "separable"]]);
  const channels = slider(model, "channels_out", "Channels out, N", { min: 1, max: 6, step: 1 }, String);
  const panel = make("div", { class: "panel" }, channels.node, numbers.node, bars);
  const stop = follow(model, [...names, "step"], show);
  return fillCard(el, scene, [kind.node, maps, readout, steps.node], panel,
    [stop, steps.stop, kind.stop, channels.stop]);
}

export default { render };
