// What the explorers share. widget.js stands before this file in the module.

/** An element inside an <svg>, as `make` makes others. */
function draw(tag, attributes = {}, ...children) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** One of several for a trait, as radio buttons; `options` are [value, ...what to show]. */
function choices(model, trait, legend, options) {
  const rows = options.map(([value, ...shown]) => {
    const input = make("input", { type: "radio", name: trait,
      onchange: () => change(model, { [trait]: value }) });
    return { value, input, node: make("label", { class: "switch" }, input, ...shown) };
  });
  const stop = follow(model, [trait], () => {
    for (const { value, input } of rows) input.checked = value === model.get(trait);
  });
  const node = make("fieldset", {}, make("legend", { class: "heading" }, legend),
    make("div", { class: "switches" }, ...rows.map((row) => row.node)));
  return { node, stop };
}

/** A list of numbers under their names; `show(texts)` puts them there. */
function numberList(...names) {
  const values = names.map(() => make("dd"));
  const node = make("dl", { class: "numbers" },
    ...names.map((name, i) => make("div", {}, make("dt", {}, name), values[i])));
  return { node, show: (...texts) => values.forEach((value, i) => value.replaceChildren(texts[i])) };
}
