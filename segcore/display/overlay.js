// The interactive mask. widget.js stands before this file in the module: see segcore/display/widget.py.

const HINT = "Point, tap or use the arrow keys to name a pixel.";

/** 0 inside a class, 1 on its coloured outline, 2 on the white hairline around that. */
function findEdges(ids, width, height) {
  const edges = new Uint8Array(ids.length);
  const line = Math.max(1, Math.round(width / 200));
  const differs = (i, x, y, d) =>
    (x >= d && ids[i - d] !== ids[i]) || (x + d < width && ids[i + d] !== ids[i]) ||
    (y >= d && ids[i - d * width] !== ids[i]) || (y + d < height && ids[i + d * width] !== ids[i]);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (line > 1 && differs(i, x, y, 1)) edges[i] = 2;
      else if (differs(i, x, y, line)) edges[i] = 1;
      else if (differs(i, x, y, Math.ceil(line / 2))) edges[i] = 1; // corners and thin parts
    }
  }
  return edges;
}

/** Patterns of `period` pixels tell classes apart without colour: does (x, y) lie in a gap? */
function inGap(pattern, x, y, period) {
  const along = [0, x + y, x - y + 4096 * period, y, x][pattern];
  return pattern > 0 && along % period >= period / 2;
}

/** The colour layer as ImageData. `spot`: the one class to stand out, or null. */
function paintMask(scene, masks, edges, state, spot) {
  const { width, height } = scene;
  const layer = new ImageData(width, height);
  const pixels = new Uint32Array(layer.data.buffer); // one ABGR number a pixel
  const [colors, patterns, alphas] = [new Uint32Array(256), new Uint8Array(256), new Uint8Array(256)];
  for (const row of scene.classes) {
    const [, r, g, b] = (state.safe ? row.safe : row.color).match(/#(..)(..)(..)/);
    colors[row.id] = parseInt(b + g + r, 16);
    patterns[row.id] = state.safe || row.pattern === 1 ? row.pattern : 0;
    const dim = spot === null || spot === row.id ? 1 : 0.2;
    const strength = state.outlines ? 1 : state.opacity;
    alphas[row.id] = state.visible.includes(row.id) ? Math.round(255 * strength * dim) : 0;
  }
  const period = Math.max(2, Math.round(width / 64));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const side = masks.length > 1 && x + 0.5 > state.wipe * width ? 1 : 0;
      const id = masks[side][i];
      let [color, alpha] = [colors[id], alphas[id]];
      if (alpha === 0) continue;
      if (state.outlines) {
        if (edges[side][i] === 0) continue;
        if (edges[side][i] === 2) color = 0xffffff;
      } else if (patterns[id] && inGap(patterns[id], x, y, period)) alpha *= 0.3;
      pixels[i] = ((alpha << 24) | color) >>> 0;
    }
  }
  return layer;
}

/** "3.1"; what is there but rounds to nothing is "<0.1". */
function percent(share) {
  return share > 0 && share < 0.0005 ? "<0.1" : fixed(100 * share, 1);
}

/** A small square in the colour of a class, hatched where the picture is. */
function swatch(row, safe) {
  const hatched = row.pattern === 1 || (safe && row.pattern > 0);
  const square = make("span", { class: hatched ? "swatch hatched" : "swatch" });
  square.style.setProperty("--color", safe ? row.safe : row.color);
  return square;
}

/** The button of a class. `onspot(id)` while the mouse or the keyboard is on it, null after. */
function chip(model, { labels }, row, onspot) {
  const flip = () => {
    const now = model.get("visible");
    const next = now.includes(row.id) ? now.filter((id) => id !== row.id) : [...now, row.id];
    change(model, { visible: next.sort((a, b) => a - b) });
  };
  const shares = row.shares.map(percent);
  const told = shares.map((share, side) => `${labels[side]} ${share} %`).join(", ");
  const button = make("button", { type: "button", class: "chip", onclick: flip,
    ...(shares.length > 1 && { title: told }),
    onpointerenter: (event) => event.pointerType === "mouse" && onspot(row.id),
    onpointerleave: () => onspot(null),
    onfocus: () => button.matches(":focus-visible") && onspot(row.id),
    onblur: () => onspot(null) });
  const stop = follow(model, ["visible", "safe_palette"], () => {
    button.setAttribute("aria-pressed", model.get("visible").includes(row.id));
    button.replaceChildren(swatch(row, model.get("safe_palette")),
      make("span", { class: "name" }, row.name),
      make("span", { class: "share" }, `${shares.join(" · ")} %`));
  });
  return { node: make("li", {}, button), stop };
}

/** Wipe: a handle to drag, a slider for the keyboard, and what each side is called. */
function wiper(model, { labels }, stage) {
  const handle = make("div", { class: "divider", "aria-hidden": "true",
    onpointerdown: (event) => handle.setPointerCapture(event.pointerId),
    onpointermove(event) {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const share = Math.round(1000 * pointerIn(stage, event)[0]) / 1000;
      change(model, { wipe: Math.min(1, Math.max(0, share)) });
    } });
  const sides = labels.map((label, side) =>
    make("span", { class: side ? "side right" : "side left", "aria-hidden": "true" }, label));
  stage.append(...sides, handle);
  const { node, stop } = slider(model, "wipe", "Wipe");
  const stopHandle = follow(model, ["wipe"], () => {
    const wipe = model.get("wipe");
    handle.style.left = `${100 * wipe}%`;
    sides[0].hidden = wipe < 0.15;
    sides[1].hidden = wipe > 0.85;
  });
  return { node, stop: () => { stop(); stopHandle(); } };
}

/** Below the picture: sliders, checkboxes and the classes. Returns [node, stop]. */
function controlPanel(model, scene, stage, compared, onspot) {
  const opacity = slider(model, "opacity", "Opacity");
  const wipe = compared ? [wiper(model, scene, stage)] : [];
  const switches = [toggle(model, "outlines", "Outlines only"),
                    toggle(model, "safe_palette", "Colour-blind-safe")];
  const chips = scene.classes.map((row) => chip(model, scene, row, onspot));
  const heading = "Share of pixels" + (compared ? `: ${scene.labels.join(" · ")}` : "");
  const nodes = (parts) => parts.map((part) => part.node);
  const panel = make("div", { class: "panel" }, ...nodes([opacity, ...wipe]),
    make("div", { class: "switches" }, ...nodes(switches)),
    make("div", {}, make("p", { class: "heading" }, heading),
      make("ul", { class: compared ? "chips pairs" : "chips" }, ...nodes(chips))));
  const stopOpacity = follow(model, ["outlines"], () => { // outlines are always drawn in full
    opacity.input.disabled = model.get("outlines");
  });
  const parts = [opacity, ...wipe, ...switches, ...chips];
  return [panel, () => { stopOpacity(); parts.forEach((part) => part.stop()); }];
}

/** Names the pixel under the mouse at once, and picks (the trait that Python sees) with a press,
 *  a finger or the arrow keys. Pixels count at the photo's full size. Returns its nodes and stop. */
function probe(model, scene, masks, canvas) {
  const { width, height, native: [fullWidth, fullHeight] } = scene;
  const cross = make("div", { class: "cross" });
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const classesAt = ({ x, y }) => { // on each mask; the page's may be scaled down
    const [column, row] = [((x + 0.5) * width) / fullWidth, ((y + 0.5) * height) / fullHeight];
    const at = Math.floor(row) * width + Math.floor(column);
    return masks.map((ids) => scene.classes.find(({ id }) => id === ids[at]));
  };
  const tell = (pixel) => {
    if (!pixel) return readout.replaceChildren(HINT);
    const found = classesAt(pixel).flatMap((row, side) => [
      side ? " · " : "", masks.length > 1 ? `${scene.labels[side]}: ` : "",
      swatch(row, model.get("safe_palette")), make("b", {}, row.name)]);
    readout.replaceChildren(...found, ` at x ${pixel.x}, y ${pixel.y}`);
  };
  const pick = (x, y) => {
    const pixel = { x: clamp(x, fullWidth), y: clamp(y, fullHeight) };
    const right = masks.length > 1 && pixel.x + 0.5 > model.get("wipe") * fullWidth;
    const { id, name } = classesAt(pixel)[right ? 1 : 0];
    change(model, { picked: { ...pixel, id, name } });
  };
  const point = (event) => {
    const [across, down] = pointerIn(canvas, event);
    const [x, y] = [across * fullWidth, down * fullHeight];
    const hovering = event.type === "pointermove" && event.pointerType === "mouse" && !event.buttons;
    if (hovering) tell({ x: clamp(x, fullWidth), y: clamp(y, fullHeight) });
    else pick(x, y);
  };
  const press = (event) => {
    if (event.key === "Escape") return change(model, { picked: null });
    const way = arrow(event);
    if (!way) return;
    const step = event.shiftKey ? 1 : Math.max(1, Math.round(fullWidth / 50));
    const from = model.get("picked") ?? { x: fullWidth >> 1, y: fullHeight >> 1 };
    pick(from.x + step * way[0], from.y + step * way[1]);
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", () => tell(model.get("picked")));
  canvas.addEventListener("keydown", press);
  const stop = follow(model, ["picked", "safe_palette"], () => {
    const pixel = model.get("picked");
    cross.hidden = !pixel;
    cross.style.left = `${(100 * ((pixel?.x ?? 0) + 0.5)) / fullWidth}%`;
    cross.style.top = `${(100 * ((pixel?.y ?? 0) + 0.5)) / fullHeight}%`;
    tell(pixel);
  });
  return { cross, readout, stop };
}

/** Keeps the canvas true to the traits. Returns [spotlight, stop]; spotlight(id) dims the rest. */
function painter(model, scene, photo, masks, canvas) {
  const { width, height } = scene;
  const edges = masks.map((ids) => findEdges(ids, width, height));
  const context = canvas.getContext("2d");
  const layer = make("canvas", { width, height });
  let spot = null;
  const draw = () => {
    const state = { opacity: model.get("opacity"), outlines: model.get("outlines"),
      visible: model.get("visible"), wipe: model.get("wipe"), safe: model.get("safe_palette") };
    const lit = state.visible.includes(spot) ? spot : null;
    layer.getContext("2d").putImageData(paintMask(scene, masks, edges, state, lit), 0, 0);
    context.drawImage(photo, 0, 0, width, height);
    context.drawImage(layer, 0, 0);
  };
  const stop = follow(model, ["opacity", "outlines", "visible", "wipe", "safe_palette"], draw);
  return [(id) => { spot = id; draw(); }, stop];
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const [photoSource, ...maskSources] = model.get("_sources");
  const [photo, ...masks] = await Promise.all([loadImage(photoSource), ...maskSources.map(readIds)]);
  const canvas = make("canvas", { width: scene.width, height: scene.height, tabindex: 0,
    role: "application", "aria-label": `${scene.alt}. ${HINT}` });
  const [onspot, stopPaint] = painter(model, scene, photo, masks, canvas);
  const { cross, readout, stop: stopProbe } = probe(model, scene, masks, canvas);
  const stage = makeStage(scene, canvas, cross);
  const [panel, stopPanel] = controlPanel(model, scene, stage, masks.length > 1, onspot);
  return fillCard(el, scene, [stage, readout], panel, [stopPaint, stopProbe, stopPanel]);
}

export default { render };
