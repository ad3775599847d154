// What all widgets share. segcore/display/widget.py joins the style sheets (as STYLE), this file and
// the widget's own into one ES module, so that nothing here imports or exports.

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** An element: make("b", { class: "name" }, "cat"). Children are text or nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  return dress(document.createElement(tag), attributes, children);
}

function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value); // "onclick"
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Calls `update` now and at each change of the traits. Returns what stops it. */
function follow(model, names, update) {
  for (const name of names) model.on(`change:${name}`, update);
  update();
  return () => names.forEach((name) => model.off(`change:${name}`, update));
}

/** Sets traits and tells Python, if there is one. The views redraw from the model's event. */
function change(model, traits) {
  for (const [name, value] of Object.entries(traits)) model.set(name, value);
  model.save_changes();
}

/** The part of the anywidget model that we use, over a plain object: a book has no kernel. */
function plainModel(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const listener of listeners[`change:${name}`] ?? []) listener();
    },
    save_changes() {},
    on: (event, listener) => (listeners[event] ??= new Set()).add(listener),
    off: (event, listener) => listeners[event]?.delete(listener),
  };
}

/** Brings the still pictures called `name` in this page to life. If that fails they stay. */
function mount(name, state) {
  for (const el of document.querySelectorAll(`[data-segcore="${name}"]:not([data-alive])`)) {
    el.dataset.alive = "";
    const sources = [...el.querySelectorAll("img")].map((picture) => picture.src);
    render({ model: plainModel({ ...state, _sources: sources }), el }).catch(console.error);
  }
}

/** Is the page dark? The book, JupyterLab, VS Code and Colab each say it in their own way. */
function pageIsDark() {
  const [root, body] = [document.documentElement, document.body];
  const said = [root.dataset.theme, root.getAttribute("theme"), body.dataset.vscodeThemeKind,
                body.dataset.theme].filter(Boolean).join(" ");
  if (body.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false";
  if (/dark|vscode-high-contrast(?!-light)/.test(said)) return true;
  if (/light/.test(said)) return false;
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/** An empty card in a shadow root of `el`, as dark as the page. Returns [card, stop]. */
function openCard(el, width) {
  const card = make("div", { class: "card" });
  const host = make("div");
  const sheet = new CSSStyleSheet(); // unlike <style>, allowed under VS Code's content policy
  sheet.replaceSync(STYLE);
  const shadow = host.attachShadow({ mode: "open" });
  shadow.adoptedStyleSheets = [sheet];
  shadow.append(card);
  card.style.maxWidth = `${width}px`;
  host.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes the arrow keys for itself
  el.style.maxWidth = "none";
  el.replaceChildren(host);

  const paint = () => card.classList.toggle("dark", pageIsDark());
  const system = matchMedia("(prefers-color-scheme: dark)");
  const watch = new MutationObserver(paint);
  for (const node of [document.documentElement, document.body]) {
    watch.observe(node, { attributes: true });
  }
  system.addEventListener("change", paint);
  paint();
  return [card, () => { watch.disconnect(); system.removeEventListener("change", paint); }];
}

/** The box of the picture. From three times its size on, pixels stay square and crisp. */
function makeStage({ width, shown }, ...children) {
  const stage = make("div", { class: shown >= 3 * width ? "stage pixels" : "stage" }, ...children);
  stage.style.maxWidth = `${shown}px`;
  return stage;
}

/** Title, what there is to see and the panel beside it, as a card. Returns what stops it all. */
function fillCard(el, { shown, title }, seen, panel, stops) {
  const [card, stopCard] = openCard(el, shown + 290); // panel 232, gap 24, padding and border 34
  const caption = title ? [make("figcaption", {}, title)] : [];
  const body = make("div", { class: "body" }, make("div", {}, ...seen), panel);
  card.append(make("figure", {}, ...caption, body));
  card.dataset.ready = "";
  return () => [...stops, stopCard].forEach((stop) => stop());
}

/** [columns, rows] that an arrow key asks for, which then scrolls nothing; null for other keys. */
function arrow(event) {
  if (!(event.key in ARROWS) || event.altKey || event.ctrlKey || event.metaKey) return null;
  event.preventDefault();
  return ARROWS[event.key];
}

/** Where a pointer is in the box of `node`, [x, y], as fractions of its sides. */
function pointerIn(node, event) {
  const box = node.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

/** A whole number of 0 to `size` - 1. */
function clamp(value, size) {
  return Math.min(size - 1, Math.max(0, Math.floor(value)));
}

/** A number as Python's format "z,.2f" prints it: halves go to the even digit, no -0. */
function fixed(value, digits = 0) {
  const text = value.toLocaleString("en", { minimumFractionDigits: digits,
    maximumFractionDigits: digits, roundingMode: "halfEven" });
  return /^-[0.]*$/.test(text) ? text.slice(1) : text;
}

/** A decoded <img>, or an error. */
async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

/** A range input whose track is filled up to the thumb. `show(value)` puts it there. */
function makeRange(attributes, oninput) {
  const input = make("input", { type: "range", ...attributes,
    oninput: () => oninput(Number(input.value)) });
  const show = (value) => {
    input.value = value;
    const filled = (value - input.min) / Math.max(input.max - input.min, 1e-9);
    input.style.setProperty("--filled", `${100 * filled}%`);
  };
  return { input, show };
}

/** A labelled slider for a trait, which says `told(value)`; per cent of 0 to 1 unless told. */
function slider(model, trait, label, limits = { min: 0, max: 1, step: 0.01 },
                told = (value) => `${Math.round(100 * value)} %`) {
  const value = make("span", { class: "value", "aria-hidden": "true" }); // the slider says it too
  const { input, show } = makeRange({ ...limits, "aria-label": label },
    (number) => change(model, { [trait]: number }));
  const stop = follow(model, [trait], () => {
    show(model.get(trait));
    value.textContent = told(model.get(trait));
    input.setAttribute("aria-valuetext", value.textContent);
  });
  return { node: make("label", { class: "slider" }, make("span", {}, label), value, input), input, stop };
}

/** A labelled checkbox for a trait. */
function toggle(model, trait, label) {
  const input = make("input", { type: "checkbox",
    onchange: () => change(model, { [trait]: input.checked }) });
  const stop = follow(model, [trait], () => { input.checked = model.get(trait); });
  return { node: make("label", { class: "switch" }, input, label), stop };
}

/** A button with a sign to see and a name to hear. */
function button(sign, name, onclick) {
  return make("button", { type: "button", "aria-label": name, title: name, onclick }, sign);
}

/** Class ids from a palette PNG, whose indices they are. Reading them from the file is exact;
 *  colours read back from a canvas are not (colour management, fingerprinting protection). */
async function readIds(source) {
  const bytes = Uint8Array.from(atob(source.split(",")[1]), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const [width, height] = [view.getUint32(16), view.getUint32(20)];
  const packed = [];
  for (let at = 8; at < bytes.length; at += 12 + view.getUint32(at)) { // length type data crc
    const isData = String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "IDAT";
    if (isData) packed.push(bytes.subarray(at + 8, at + 8 + view.getUint32(at)));
  }
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(stream).arrayBuffer());
  const ids = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) { // each row starts with its filter, 0 in a palette PNG
    const start = y * (width + 1);
    if (rows[start] !== 0) throw new Error(`mask row ${y} is filtered`);
    ids.set(rows.subarray(start + 1, start + 1 + width), y * width);
  }
  return ids;
}
