// Brings the page to life.

import { Camera } from "./camera.js";
import { connectCamera, connectPictures, connectSave, guarded } from "./controls.js";
import { Meter } from "./meter.js";
import { keepAll, registerAndIsolate } from "./offline.js";
import { say } from "./panel.js";
import { hasSimd, threadLimit } from "./segmenter.js";
import { connectNumbers, connectOpacity, connectPrecision, connectThreads } from "./settings.js";
import { Studio } from "./studio.js";
import { View } from "./view.js";

const find = (selector) => document.querySelector(selector);
const NO_SIMD = "This browser is too old for the network: it has no WebAssembly SIMD. Chrome or Edge 91, Firefox 89, Safari 16.4 and newer have it.";

/** What to say when a network or the runtime could not be loaded. */
function notLoaded(error) {
  return `The network could not be loaded (${error.message}). Reload this page when you are online; if you built it yourself, run “make book” again.`;
}

async function start() {
  say("Starting …");
  if (await registerAndIsolate()) return; // loading anew, with the headers that threads need
  if (!hasSimd()) {
    say(NO_SIMD, true);
    return;
  }
  const config = await (await fetch("live.json")).json();
  const view = new View(config.classes);
  const camera = new Camera(find("#video"));
  const studio = new Studio(config, view, camera, new Meter());
  // For the curious: in the developer console, live.photo, live.result.ids and so on.
  self.live = studio;

  const { stop, pause } = connectCamera(studio, camera, view);
  connectPictures(studio, view, stop);
  connectSave(view);
  connectOpacity(view);
  connectPrecision(studio, notLoaded);
  connectNumbers(studio, pause);
  const threads = connectThreads(studio, threadLimit(config.runtime), notLoaded);
  say(`Loading the network (${config.first_visit_mb} MB at the first visit) …`);
  if (!(await guarded(() => studio.useThreads(threads), notLoaded))) return;
  for (const id of ["#camera", "#open"]) find(id).disabled = false;
  for (const button of document.querySelectorAll(".samples button")) button.disabled = false;
  say("Ready.");
  if (await keepAll(config.keep)) find("#offline").textContent = "Kept on this device: the page now works without a network.";
}

guarded(start, notLoaded);
