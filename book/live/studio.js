// From a picture to a mask on the stage, once for a still picture, again and again for the camera.

import { differences, shares } from "./mask.js";
import { listClasses, showDifference, showTimes, speakClasses } from "./panel.js";
import { frame } from "./pictures.js";
import { Segmenter } from "./segmenter.js";

const both = ["int8", "float16"];

/** A new frame of `video` is there; in a hidden tab, at the latest when it is shown again. */
function nextFrame(video) {
  return new Promise((resolve) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

export class Studio {
  photo = null; // ImageData of the last picture
  result = null; // { ids, width, height, found } of its mask
  paused = false;
  #turn = 0; // grows with each new source; whoever holds an older number stops
  #precision = "int8";
  #ready = null;

  constructor(config, view, camera, meter) {
    Object.assign(this, { config, view, camera, meter });
  }

  get names() {
    return this.#precision === "both" ? both : [this.#precision];
  }

  /** Starts a worker with `threads` threads and loads what is needed. Rejects if that fails. */
  useThreads(threads) {
    this.segmenter?.close();
    this.segmenter = new Segmenter(this.config, threads);
    return this.#prepare();
  }

  /** "int8", "float16", "sharp" or "both", which is the first two. */
  usePrecision(precision) {
    this.#precision = precision;
    return this.#prepare();
  }

  async #prepare() {
    this.meter.clear();
    this.#ready = this.segmenter.load(this.names);
    await this.#ready;
    if (this.photo && (this.paused || !this.camera.running)) await this.still(this.photo);
  }

  /** Segments one picture, its mask as large as itself. */
  async still(photo) {
    const turn = ++this.#turn;
    this.photo = photo;
    this.view.showPhoto(photo);
    await this.#ready;
    await this.#segment(turn, true);
  }

  /** Segments what the camera sees until something else is shown or it is paused. */
  async film() {
    const turn = ++this.#turn;
    this.paused = false;
    this.photo = null; // what was shown before is not what the camera sees
    this.meter.clear();
    while (turn === this.#turn && this.camera.running) {
      await nextFrame(this.camera.video);
      await this.#ready;
      if (turn !== this.#turn || !this.camera.running) return;
      const begun = performance.now();
      this.photo = frame(this.camera.video);
      await this.#segment(turn, false, performance.now() - begun);
    }
  }

  /** Stops at the last frame and segments it once more, exactly. */
  async pause() {
    this.paused = true;
    if (this.photo) await this.still(this.photo);
    else this.stop();
  }

  /** Ends the film without another picture. */
  stop() {
    this.#turn++;
  }

  /** Runs the network `count` times on the picture that is shown, after five to warm up. */
  async measure(count, progress) {
    const turn = ++this.#turn;
    for (let i = -5; i < count && turn === this.#turn && this.photo; i++) {
      if (i === 0) this.meter.clear();
      await this.#segment(turn, false);
      progress(Math.max(i + 1, 0));
    }
  }

  async #segment(turn, exact, grabbed = 0) {
    const { photo, names, segmenter } = this;
    const results = [];
    for (const name of names) {
      try {
        results.push(await segmenter.run(name, photo, exact));
      } catch (error) {
        if (segmenter === this.segmenter) throw error;
        return; // the worker was replaced under our hands: whoever did it begins anew
      }
    }
    if (turn === this.#turn) this.#show(photo, results, grabbed, exact);
  }

  #show(photo, results, grabbed, exact) {
    const begun = performance.now();
    const [result] = results;
    const found = shares(result.ids);
    const difference = results.length > 1 ? differences(result.ids, results[1].ids) : null;
    if (!exact) this.view.showPhoto(photo);
    this.view.showMask(result, found, difference?.where);
    const sum = (step) => results.reduce((total, { times }) => total + times[step], 0);
    this.meter.add({ preprocess: sum("preprocess") + grabbed, network: sum("network"),
      mask: sum("mask") + performance.now() - begun });
    this.result = { ...result, found, difference: difference?.share ?? null };
    listClasses(found, this.config.classes);
    speakClasses(found, this.config.classes, this.view);
    showDifference(this.result.difference);
    showTimes(this.meter, this.camera.running && !this.paused);
  }
}
