// Stepping through the numbers of a trait. widget.js stands before this file in the module.

/** Play, step and slide through the numbers `first` to `last()` of a trait. Plays to the last one
 *  and stops there; from the last it starts over. `show()` follows another `last()`. */
function player(model, trait, { noun, pace, first, last, told, counted }) {
  let timer = null;
  const go = (value) => {
    stop();
    change(model, { [trait]: Math.min(last(), Math.max(first, value)) });
  };
  const say = (sign, name) => {
    play.textContent = sign;
    play.setAttribute("aria-label", name);
    play.title = name;
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    say("▶\ufe0e", "Play");
  };
  const start = () => {
    if (model.get(trait) >= last()) change(model, { [trait]: first });
    timer = setInterval(() => {
      change(model, { [trait]: Math.min(last(), model.get(trait) + 1) });
      if (model.get(trait) >= last()) stop();
    }, pace);
    say("❚❚", "Pause");
  };
  const play = button("▶\ufe0e", "Play", () => (timer === null ? start() : stop()));
  const previous = button("‹", `Previous ${noun}`, () => go(model.get(trait) - 1));
  const next = button("›", `Next ${noun}`, () => go(model.get(trait) + 1));
  const label = noun[0].toUpperCase() + noun.slice(1);
  const slide = makeRange({ min: first, max: last(), step: 1, "aria-label": label }, go);
  const count = make("output");
  const show = () => {
    const value = model.get(trait);
    slide.input.max = last();
    slide.show(value);
    slide.input.setAttribute("aria-valuetext", told(value));
    count.textContent = counted(value);
    // Not `disabled`: a button that is disabled under the keyboard loses the focus.
    previous.setAttribute("aria-disabled", value <= first);
    next.setAttribute("aria-disabled", value >= last());
  };
  const stopShow = follow(model, [trait], show);
  const node = make("div", { class: "player" }, play, previous, slide.input, next, count);
  return { node, show, stop: () => { stop(); stopShow(); } };
}
