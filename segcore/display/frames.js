// Pictures computed beforehand, one at a time. widget.js stands before this file in the module.

const PACE = 1200; // milliseconds a frame: slow enough to look, and to read a label

async function render({ model, el }) {
  const scene = model.get("_scene");
  const { width, height, title, frames } = scene;
  await Promise.all(model.get("_sources").map(loadImage)); // so that no step shows a blank
  const picture = make("img", { width, height });
  const stage = makeStage(scene, picture);
  const label = make("p", { class: "label", "aria-live": "polite" });
  const buttons = player(model, "index", { noun: "frame", pace: PACE, first: 0,
    last: () => frames.length - 1, told: (index) => frames[index].label,
    counted: (index) => `${index + 1} / ${frames.length}` });
  const show = () => {
    const index = model.get("index");
    picture.src = model.get("_sources")[index];
    picture.alt = frames[index].alt;
    label.textContent = frames[index].label;
  };
  const [card, stopCard] = openCard(el, Math.max(scene.shown, 420) + 34);
  const caption = title ? [make("figcaption", {}, title)] : [];
  card.append(make("figure", {}, ...caption, stage, label, buttons.node));
  const stopShow = follow(model, ["index"], show);
  card.dataset.ready = "";
  return () => [buttons.stop, stopShow, stopCard].forEach((end) => end());
}

export default { render };
