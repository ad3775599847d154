// The service worker: it keeps the page for use without a network, and gives it the two headers
// that threads need, which static hosting cannot send.

const TRIED = "live: reloaded for the headers";

/** Registers sw.js and waits until it serves this page. True when the page must be loaded once
 *  more to get its headers; the browser is then already doing so. */
export async function registerAndIsolate() {
  if (!("serviceWorker" in navigator)) return false;
  try {
    await navigator.serviceWorker.register("sw.js");
  } catch {
    return false; // a private window, or storage switched off: the page works, on one thread
  }
  if (self.crossOriginIsolated) {
    sessionStorage.removeItem(TRIED);
    return false;
  }
  if (sessionStorage.getItem(TRIED)) return false; // headers did not help: never twice
  await Promise.race([controlled(), new Promise((resolve) => setTimeout(resolve, 4000))]);
  if (!navigator.serviceWorker.controller) return false;
  sessionStorage.setItem(TRIED, "yes");
  location.reload();
  return true;
}

function controlled() {
  if (navigator.serviceWorker.controller) return Promise.resolve();
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
}

/** Fetches what this visit has not needed yet, so that a later one needs no network. The service
 *  worker keeps everything that passes through it. True when all is kept. */
export async function keepAll(files) {
  if (!navigator.serviceWorker?.controller) return false;
  try {
    for (const file of files) {
      const answer = await fetch(file);
      if (!answer.ok) return false;
      await answer.arrayBuffer();
    }
    await navigator.storage?.persist?.();
    return true;
  } catch {
    return false;
  }
}
