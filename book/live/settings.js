// Opacity, precision, threads, and the numbers to take away.

import { guarded } from "./controls.js";
import { say, showTimes } from "./panel.js";

const find = (selector) => document.querySelector(selector);
const RUNS = 30;

export function connectOpacity(view) {
  const slider = find("#opacity");
  slider.addEventListener("input", () => {
    const text = `${slider.value} %`;
    view.setOpacity(slider.value / 100);
    find(".slider output").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  });
}

/** int8, float16, their difference, or sharp. `failed(error)`: what to say when a network is missing. */
export function connectPrecision(studio, failed) {
  find("#precision").addEventListener("change", async ({ target }) => {
    say("Loading the network …");
    const word = { both: "Both networks are" }[target.value] ?? `The ${target.value} network is`;
    if (await guarded(() => studio.usePrecision(target.value), failed)) say(`${word} running.`);
  });
}

/** 1 to 4 threads, those beyond `limit` greyed out and `why` told. Returns the number to start
 *  with: as many as there are cores, at most `limit`. */
export function connectThreads(studio, [limit, why], failed) {
  const start = Math.min(limit, navigator.hardwareConcurrency || 1);
  for (const choice of document.querySelectorAll("#threads input")) {
    choice.disabled = Number(choice.value) > limit;
    choice.checked = Number(choice.value) === start;
  }
  find("#why").hidden = !why;
  find("#why").textContent = why && `One thread only. ${why}`;
  find("#threads").addEventListener("change", async ({ target }) => {
    say("Starting the network anew …");
    const done = await guarded(() => studio.useThreads(Number(target.value)), failed);
    if (done) say(`Running on ${target.value} thread${target.value === "1" ? "" : "s"}.`);
  });
  return start;
}

/** Timing on one picture, and the numbers as text. `pause` holds the film. */
export function connectNumbers(studio, pause) {
  const [measure, copy] = [find("#measure"), find("#copy")];
  let measuring = false;
  measure.addEventListener("click", async () => {
    if (measuring) return;
    measuring = true;
    await pause();
    const done = await guarded(() => studio.measure(RUNS, (i) => say(`Measuring: ${i} of ${RUNS} …`)));
    measuring = false;
    showTimes(studio.meter, true);
    if (done) say(`${studio.meter.count} runs on this one picture, after five to warm up.`);
  });
  copy.addEventListener("click", async () => {
    const done = await guarded(() => navigator.clipboard.writeText(asText(studio)),
      () => "The browser keeps this page from its clipboard; write the numbers down by hand.");
    if (done) say("Copied. Chapter 11 has a sheet for such numbers.");
  });
}

/** The setting, the times and the browser, a line each. */
export function asText({ names, segmenter, meter, photo }) {
  const times = Object.entries(meter.summary()).map(
    ([step, { p50, p90 }]) => `${step}: p50 ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms`);
  return [`${names.join(" + ")}, threads: ${segmenter.threads}, frames: ${meter.count}, picture: ${
    photo.width} × ${photo.height}`, ...times, navigator.userAgent].join("\n");
}
