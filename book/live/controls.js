// The buttons under the picture: camera, pause, switch, photo, samples, save.

import { explain } from "./camera.js";
import { say } from "./panel.js";
import { fromFile, fromImage } from "./pictures.js";

const find = (selector) => document.querySelector(selector);

/** Runs `work`; a failure becomes a sentence. True when it went well. */
export async function guarded(work, words = (error) => error.message) {
  try {
    await work();
    return true;
  } catch (error) {
    say(words(error), true);
    return false;
  }
}

/** What can be done with a picture can be done from now on. */
function enablePictureButtons() {
  for (const id of ["#save", "#measure", "#copy"]) find(id).disabled = false;
}

/** The camera's three buttons. Returns { stop, pause } for others. */
export function connectCamera(studio, camera, view) {
  const [start, pause, other] = ["#camera", "#pause", "#other"].map(find);
  const show = async () => {
    start.textContent = camera.running ? "Stop camera" : "Camera";
    pause.disabled = !camera.running;
    pause.setAttribute("aria-pressed", studio.paused);
    other.disabled = !camera.running || (await camera.count()) < 2;
  };
  const film = async () => {
    await show();
    say(`Segmenting what the ${camera.name} sees.`);
    await guarded(() => studio.film());
  };
  const begin = async (open) => {
    studio.stop();
    say("Waiting for the camera …");
    const opened = await guarded(open, explain);
    if (!opened) return show();
    view.mirrored = camera.mirrored;
    view.reveal();
    enablePictureButtons();
    return film();
  };
  const stop = async () => {
    studio.stop();
    camera.close();
    await show();
  };
  const halt = async () => {
    if (!camera.running || studio.paused) return;
    await guarded(() => studio.pause());
    await show();
    say("Paused.");
  };
  start.addEventListener("click", async () => {
    if (!camera.running) return begin(() => camera.open());
    await stop();
    return say("The camera is off.");
  });
  other.addEventListener("click", () => begin(() => camera.next()));
  pause.addEventListener("click", () => (studio.paused ? film() : halt()));
  camera.onended = async (error) => {
    studio.stop();
    await show();
    say(explain(error), true);
  };
  return { stop, pause: halt };
}

/** Photos and samples. `stop` switches the camera off. */
export function connectPictures(studio, view, stop) {
  const show = async (read) => {
    await stop();
    say("Segmenting …");
    const done = await guarded(async () => {
      const photo = await read();
      view.mirrored = false;
      view.reveal();
      studio.meter.clear();
      await studio.still(photo);
    });
    if (!done) return;
    say(`Done: ${studio.photo.width} × ${studio.photo.height} pixels, each with a class.`);
    enablePictureButtons();
  };
  const input = find("#file");
  find("#open").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be chosen again
    return file && show(() => fromFile(file));
  });
  for (const button of document.querySelectorAll(".samples button")) {
    button.addEventListener("click", () => show(() => fromImage(button.querySelector("img"))));
  }
}

/** The picture as the stage shows it, into the browser's downloads. */
export function connectSave(view) {
  find("#save").addEventListener("click", async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await view.picture());
    link.download = "segmented.png";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say("Saved as segmented.png, where your browser keeps its downloads.");
  });
}
