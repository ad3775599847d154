// Pictures computed beforehand, one at a time. widget.js stands before this file in the module.

const PACE = 1200; // milliseconds a frame: slow enough to look, and to read a label

/** A button with a sign to see and a name to hear. */
function button(sign, name, onclick) {
  return make("button", { type: "button", "aria-label": name, title: name, onclick }, sign);
}

/** Plays to the last frame and stops there; from the last frame it starts over. */
function player(model, last) {
  let timer = null;
  const play = button("▶\ufe0e", "Play", () => (timer === null ? start() : stop()));
  const show = (sign, name) => {
    play.textContent = sign;
    play.setAttribute("aria-label", name);
    play.title = name;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    show("▶\ufe0e", "Play");
  };
  const start = () => {
    if (model.get("index") >= last) change(model, { index: 0 });
    timer = setInterval(() => {
      change(model, { index: Math.min(last, model.get("index") + 1) });
      if (model.get("index") >= last) stop();
    }, PACE);
    show("❚❚", "Pause");
  };
  return { play, stop };
}

async function render({ model, el }) {
  const scene = model.get("_scene");
  const { width, height, title, frames } = scene;
  await Promise.all(model.get("_sources").map(loadImage)); // so that no step shows a blank
  const last = frames.length - 1;

  const picture = make("img", { width, height });
  const stage = makeStage(scene, picture);
  const label = make("p", { class: "label", "aria-live": "polite" });
  const count = make("output");
  const { play, stop } = player(model, last);
  const go = (index) => {
    stop();
    change(model, { index: Math.min(last, Math.max(0, index)) });
  };
  const slider = makeRange({ min: 0, max: last, step: 1, "aria-label": "Frame" }, go);
  const previous = button("‹", "Previous frame", () => go(model.get("index") - 1));
  const next = button("›", "Next frame", () => go(model.get("index") + 1));
  const show = () => {
    const index = model.get("index");
    picture.src = model.get("_sources")[index];
    picture.alt = frames[index].alt;
    label.textContent = frames[index].label;
    count.textContent = `${index + 1} / ${frames.length}`;
    slider.show(index);
    slider.input.setAttribute("aria-valuetext", frames[index].label);
    // Not `disabled`: a button that is disabled under the keyboard loses the focus.
    previous.setAttribute("aria-disabled", index === 0);
    next.setAttribute("aria-disabled", index === last);
  };

  const [card, stopCard] = openCard(el, Math.max(scene.shown, 420) + 34);
  const caption = title ? [make("figcaption", {}, title)] : [];
  card.append(make("figure", {}, ...caption, stage, label,
    make("div", { class: "player" }, play, previous, slider.input, next, count)));
  const stopShow = follow(model, ["index"], show);
  card.dataset.ready = "";
  return () => [stop, stopShow, stopCard].forEach((end) => end());
}

export default { render };
