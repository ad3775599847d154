// What both widgets share. segcore/widget.py joins the style sheet (as STYLE), this file and the
// widget's own into one ES module, so that nothing here imports or exports.

/** An element: make("b", { class: "name" }, "cat"). Children are text or nodes, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
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
