// The stage: a photo, its mask, and the names of what was found, on top of one another.

import { anchors, compose, paintMask } from "./paint.js";

export class View {
  #photo = document.querySelector("#photo");
  #mask = document.querySelector("#mask");
  #names = document.querySelector("#names");
  #stage = document.querySelector("#stage");
  #marks = [];
  opacity = 0.6;
  mirrored = false;

  constructor(classes) {
    this.classes = classes;
  }

  /** Shows ImageData `photo` without a mask. */
  showPhoto(photo) {
    this.#resize(this.#photo, photo.width, photo.height);
    this.#photo.getContext("2d").putImageData(photo, 0, 0);
    this.#stage.style.setProperty("--ratio", photo.width / photo.height);
    this.#stage.classList.add("filled");
    this.#stage.classList.toggle("mirrored", this.mirrored);
    this.clearMask();
  }

  clearMask() {
    this.#mask.getContext("2d").clearRect(0, 0, this.#mask.width, this.#mask.height);
    this.#names.replaceChildren();
    this.#marks = [];
  }

  /** Lays `result` (ids, width, height) over the photo; `found` are its classes. */
  showMask({ ids, width, height }, found, where = null) {
    this.#resize(this.#mask, width, height);
    const layer = paintMask(ids, width, height, this.classes, where);
    this.#mask.getContext("2d").putImageData(layer, 0, 0);
    this.setOpacity(this.opacity);
    this.#marks = anchors(ids, width, height, found)
      .map((mark) => ({ ...mark, name: this.classes[mark.id].name }));
    this.#names.replaceChildren(...this.#marks.map(({ name, x, y }) => {
      const tag = document.createElement("span");
      tag.textContent = name;
      tag.style.left = `${100 * (this.mirrored ? 1 - x : x)}%`;
      tag.style.top = `${100 * y}%`;
      return tag;
    }));
  }

  setOpacity(value) {
    this.opacity = value;
    this.#mask.style.opacity = value;
  }

  /** Scrolls the stage into sight, where a small screen has lost it. */
  reveal() {
    this.#stage.scrollIntoView({ block: "nearest" });
  }

  /** What a screen reader says of the picture. */
  describe(text) {
    this.#stage.setAttribute("aria-label", text);
  }

  /** A PNG of what the stage shows. */
  picture() {
    const canvas = compose(this.#photo, this.#mask, this.opacity, this.mirrored, this.#marks);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  #resize(canvas, width, height) {
    if (canvas.width !== width || canvas.height !== height) {
      [canvas.width, canvas.height] = [width, height];
    }
  }
}
