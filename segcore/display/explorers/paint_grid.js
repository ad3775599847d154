// Label and prediction to paint. widget.js stands before this file in the module.

/** Counts [label][prediction] of the pixels whose label is no void. */
function countPixels(labels, predictions, number) {
  const matrix = Array.from({ length: number }, () => Array(number).fill(0));
  labels.forEach((row, y) => row.forEach((label, x) => {
    if (label < number) matrix[label][predictions[y][x]]++;
  }));
  return matrix;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** What segcore.metrics reads from a confusion matrix; a class without label has no IoU. */
function score(matrix) {
  const classes = matrix.map((row, i) => {
    const [labelled, predicted] = [sum(row), sum(matrix.map((other) => other[i]))];
    const union = labelled + predicted - row[i];
    return { shared: row[i], union, labelled, iou: union && row[i] / union };
  });
  const mean = (chosen) => sum(chosen.map((row) => row.iou)) / chosen.length;
  return { classes, right: sum(classes.map((row) => row.shared)), pixels: sum(matrix.map(sum)),
    labelledMean: mean(classes.filter((row) => row.labelled)),
    usedMean: mean(classes.filter((row) => row.union)) };
}

const perCent = (fraction) => Number.isNaN(fraction) ? "–" : `${fixed(100 * fraction, 1)} %`;

function tint(element, { color, ink }) {
  element.style.setProperty("--color", color ?? "");
  element.style.setProperty("--text", ink ?? "");
}

/** The square of a class as it stands in the grids. */
function key(row) {
  const square = make("span", { class: row.id === 255 ? "key void" : "key", "aria-hidden": "true" },
    row.id === 255 ? "" : String(row.id));
  tint(square, row);
  return square;
}

/** One of the grids: a press, a drag, or the arrow keys with Space. Returns { node, stop }. */
function paintable(model, trait, title, classes, refuse) {
  const [height, width] = [model.get(trait).length, model.get(trait)[0].length];
  const cells = model.get(trait).map((row) => row.map(() => make("div", { role: "gridcell" })));
  const at = { x: 0, y: 0 };
  const focus = (x, y) => {
    cells[at.y][at.x].tabIndex = -1;
    [at.x, at.y] = [clamp(x, width), clamp(y, height)];
    cells[at.y][at.x].tabIndex = 0;
    cells[at.y][at.x].focus({ preventScroll: true });
  };
  const paint = () => {
    const brush = model.get("brush");
    if (trait === "predictions" && brush === 255) return refuse();
    const rows = model.get(trait).map((row) => [...row]);
    if (rows[at.y][at.x] === brush) return;
    rows[at.y][at.x] = brush;
    change(model, { [trait]: rows });
  };
  const press = (event) => {
    const [x, y] = pointerIn(grid, event);
    if (Math.min(x, y) < 0 || Math.max(x, y) >= 1) return;
    focus(x * width, y * height);
    paint();
  };
  const grid = make("div", { role: "grid", class: "grid", "aria-label": title,
    onpointerdown(event) {
      event.preventDefault(); // the mouse would take the focus away again
      grid.setPointerCapture(event.pointerId);
      press(event);
    },
    onpointermove: (event) => grid.hasPointerCapture(event.pointerId) && press(event),
    onkeydown(event) {
      const way = arrow(event);
      if (way) return focus(at.x + way[0], at.y + way[1]);
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      paint();
    } }, ...cells.map((row) => make("div", { role: "row" }, ...row)));
  const stop = follow(model, ["labels", "predictions"], () => model.get(trait).forEach((ids, y) =>
    ids.forEach((id, x) => {
      const label = model.get("labels")[y][x];
      const row = classes.find((one) => one.id === id);
      const wrong = trait === "predictions" && label !== 255 && label !== id;
      const cell = cells[y][x];
      cell.textContent = id === 255 ? "" : id;
      cell.className = [id === 255 && "void", wrong && "wrong"].filter(Boolean).join(" ");
      tint(cell, row);
      cell.setAttribute("aria-label",
        `row ${y}, column ${x}: ${row.name}${wrong ? ", wrong" : ""}`);
    })));
  cells[0][0].tabIndex = 0;
  for (const cell of cells.flat().slice(1)) cell.tabIndex = -1;
  const node = make("div", { class: "pane" }, make("p", { class: "heading" }, title), grid);
  node.style.flexBasis = `${24 * width}px`; // so small at least that a finger meets one
  return { node, stop };
}

/** Confusion matrix and IoU of each class as tables. Returns { nodes, show }. */
function scoreTables(classes) {
  const counts = classes.map(() => classes.map(() => make("td")));
  const shared = classes.map(() => [make("td"), make("td")]);
  const name = (row) => make("th", { scope: "row" }, key(row), row.name);
  const nodes = [
    make("table", { class: "matrix" },
      make("caption", {}, "Confusion matrix: a row for each label, a column for each prediction"),
      make("tr", {}, make("td"), ...classes.map((row) =>
        make("th", { scope: "col" }, key(row), make("span", { class: "unseen" }, row.name)))),
      ...classes.map((row, i) => make("tr", {}, name(row), ...counts[i]))),
    make("table", {},
      make("caption", {}, "IoU of each class, shared pixels / union"),
      ...classes.map((row, i) => make("tr", {}, name(row), ...shared[i])))];
  const show = (matrix, scores) => classes.forEach((_, i) => {
    counts[i].forEach((cell, j) => { cell.textContent = matrix[i][j]; });
    const { shared: both, union, labelled, iou } = scores.classes[i];
    shared[i][0].textContent = union ? `${both} / ${union}` : "";
    shared[i][1].textContent = labelled ? perCent(iou) : union ? "no label" : "unused";
  });
  counts.forEach((row, i) => row[i].classList.add("right"));
  return { nodes, show };
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const brushes = [...scene.classes, { id: scene.void, name: "void" }];
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const refuse = () => {
    readout.textContent = "Void can be painted on the label only: a prediction names a class everywhere.";
  };
  const brush = choices(model, "brush", "Paint with",
    brushes.map((row) => [row.id, key(row), row.name]));
  const grids = [paintable(model, "labels", "Label", brushes, refuse),
                 paintable(model, "predictions", "Prediction", brushes, refuse)];
  const action = (name, traits) =>
    make("button", { type: "button", onclick: () => change(model, traits()) }, name);
  const filled = (id) => model.get("labels").map((row) => row.map(() => id));
  const buttons = make("div", { class: "chips row" },
    action("Copy the label", () => ({ predictions:
      model.get("labels").map((row) => row.map((id) => (id === scene.void ? 0 : id))) })),
    action(`All ${scene.classes[0].name}`, () => ({ predictions: filled(0) })),
    action("Start again", () => scene.start));
  const means = numberList("Pixel accuracy", "mIoU over labelled classes",
    "mIoU with 0 for classes that are only predicted");
  const tables = scoreTables(scene.classes);
  const stop = follow(model, ["labels", "predictions"], () => {
    const matrix = countPixels(model.get("labels"), model.get("predictions"), scene.classes.length);
    const scores = score(matrix);
    const accuracy = perCent(scores.right / scores.pixels);
    const [first, second] = [perCent(scores.labelledMean), perCent(scores.usedMean)];
    means.show(`${scores.right} / ${scores.pixels} = ${accuracy}`, first, second);
    tables.show(matrix, scores);
    readout.textContent = `Accuracy ${accuracy}, mIoU ${first}` +
      (first === second ? "." : `, or ${second} with 0 for classes that are only predicted.`);
  });
  const panes = make("div", { class: "panes" }, ...grids.map((grid) => grid.node));
  const panel = make("div", { class: "panel" }, means.node, ...tables.nodes);
  return fillCard(el, scene, [brush.node, panes, readout, buttons], panel,
    [brush.stop, stop, ...grids.map((grid) => grid.stop)]);
}

export default { render };
